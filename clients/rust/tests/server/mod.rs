//! What the tests of HTTP have in common: a request that is read, and the bytes of streams that can be resumed.

#![allow(dead_code)] // each test needs a part of it

use objectstreaming::encode_frame;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

pub(crate) async fn read_request(connection: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !is_whole(&request) {
        assert!(connection.read_buf(&mut request).await.unwrap() > 0, "the request was cut");
    }
    String::from_utf8(request).unwrap()
}

/// A port that refuses connections, as long as the socket lives: it does not listen.
pub(crate) fn refusing() -> (TcpSocket, std::net::SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    if head.contains("transfer-encoding: chunked") {
        body.ends_with("0\r\n\r\n")
    } else {
        body.len().to_string() == length.unwrap_or("0")
    }
}

/// An `open` frame, and the messages after `first` up to `last`.
pub(crate) fn part(first: u64, last: u64) -> Vec<u8> {
    part_of("/streams/s", first, last)
}

pub(crate) fn part_of(resume: &str, first: u64, last: u64) -> Vec<u8> {
    let open = json!({"$stream": {"type": "open", "v": 1, "resume": resume, "position": first}}).to_string();
    let mut wire = encode_frame(open.as_bytes(), b"{}").unwrap();
    for n in first + 1..=last {
        wire.extend(encode_frame(b"{}", n.to_string().as_bytes()).unwrap());
    }
    wire
}

pub(crate) fn end(frames: u64) -> Vec<u8> {
    let end = json!({"$stream": {"type": "end", "frames": frames, "trailers": {"tokens": 7}}}).to_string();
    encode_frame(end.as_bytes(), b"{}").unwrap()
}

pub(crate) fn whole(first: u64, last: u64) -> Vec<u8> {
    [part(first, last), end(last - first)].concat()
}
