//! Workload T: 10,000 frames of `{"status","reason"}` + `{"answer","source"}`, read into typed headers and payloads from
//! chunks of 64 KiB. It is compared with the usual way in Rust: tokio's `LengthDelimitedCodec` around each part, and
//! `serde_json`, and with JSON lines. All read the same JSON texts. The rounds are interleaved, the medians are printed.
//!
//! `cargo bench --all-features`

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use objectstreaming::{FrameCodec, FrameDecoder, JsonCoder, StreamDecoder, encode_frame};
use serde::Deserialize;
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

const FRAMES: usize = 10_000;
const CHUNK: usize = 64 * 1024;
const ROUNDS: usize = 31;

type Run<'a> = Box<dyn Fn() -> usize + 'a>;

#[derive(Deserialize)]
struct Status {
    status: String,
    reason: String,
}

#[derive(Deserialize)]
struct Answer {
    answer: String,
    source: String,
}

fn main() {
    let messages: Vec<(String, String)> = (0..FRAMES)
        .map(|n| {
            let header = r#"{"status":"success","reason":"none"}"#.to_owned();
            (header, format!(r#"{{"answer":"This is sentence {n} of an answer.","source":"docs/page-{}.md"}}"#, n % 97))
        })
        .collect();
    let ours: Vec<u8> = messages
        .iter()
        .flat_map(|(header, payload)| encode_frame(header.as_bytes(), payload.as_bytes()).unwrap())
        .collect();
    let mut theirs = BytesMut::new();
    for part in messages.iter().flat_map(|(header, payload)| [header, payload]) {
        LengthDelimitedCodec::new().encode(Bytes::copy_from_slice(part.as_bytes()), &mut theirs).unwrap();
    }
    let mut pairs = BytesMut::new();
    for (header, payload) in &messages {
        LengthDelimitedCodec::new().encode(Bytes::from(format!("[{header},{payload}]")), &mut pairs).unwrap();
    }
    let lines: Vec<u8> =
        messages.iter().flat_map(|(header, payload)| format!("[{header},{payload}]\n").into_bytes()).collect();
    let mut contenders: [(&str, Run); 8] = [
        ("LengthDelimitedCodec + serde_json", Box::new(|| length_delimited(&theirs))),
        ("StreamDecoder, typed", Box::new(|| messages_of(&ours, CHUNK))),
        ("the same, one part a message", Box::new(|| length_delimited_pairs(&pairs))),
        (
            "LengthDelimitedCodec, bytes alone",
            Box::new(|| sum_of(LengthDelimitedCodec::new(), &theirs, |part| black_box(part).len())),
        ),
        ("FrameDecoder, header unparsed", Box::new(|| frames_of(&ours, CHUNK))),
        (
            "FrameCodec, header unparsed",
            Box::new(|| sum_of(FrameCodec::new(), &ours, |frame| black_box(frame).payload().len())),
        ),
        ("FrameDecoder, 1-byte chunks", Box::new(|| frames_of(&ours, 1))),
        ("JSON lines", Box::new(|| json_lines(&lines))),
    ];
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for ((_, run), times) in contenders.iter_mut().zip(&mut times) {
            let start = Instant::now();
            black_box(run());
            times.push(start.elapsed());
        }
    }
    println!("{FRAMES} frames, {} bytes; medians of {ROUNDS} interleaved rounds", ours.len());
    let medians: Vec<Duration> = times.iter_mut().map(|times| median(times)).collect();
    for ((name, _), time) in contenders.iter().zip(&medians) {
        println!("{name:<36} {:>6.0} ns a frame", time.as_secs_f64() * 1e5);
    }
    println!("typed: {:.2} of the time of LengthDelimitedCodec + serde_json", ratio(medians[1], medians[0]));
    println!("       {:.2} of it where header and payload are one JSON text", ratio(medians[1], medians[2]));
    println!("       {:.2} of that of JSON lines", ratio(medians[1], medians[7]));
    println!("bare:  {:.2} of the time of LengthDelimitedCodec alone", ratio(medians[4], medians[3]));
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

/// The sum over all items that the codec finds.
fn sum_of<D: Decoder>(mut codec: D, wire: &[u8], mut size: impl FnMut(D::Item) -> usize) -> usize
where
    D::Error: std::fmt::Debug,
{
    let (mut buffer, mut sum) = (BytesMut::new(), 0);
    for chunk in wire.chunks(CHUNK) {
        buffer.extend_from_slice(chunk);
        while let Some(item) = codec.decode(&mut buffer).unwrap() {
            sum += size(item);
        }
    }
    sum
}

fn length_delimited(wire: &[u8]) -> usize {
    let mut header = None;
    sum_of(LengthDelimitedCodec::new(), wire, |part| match header.take() {
        None => {
            header = Some(serde_json::from_slice::<Status>(&part).unwrap());
            0
        }
        Some(status) => seen(&status, &serde_json::from_slice(&part).unwrap()),
    })
}

/// The usual way for a program that needs no separate header: both parts in one JSON text.
fn length_delimited_pairs(wire: &[u8]) -> usize {
    sum_of(LengthDelimitedCodec::new(), wire, |part| {
        let (status, answer) = serde_json::from_slice(&part).unwrap();
        seen(&status, &answer)
    })
}

fn json_lines(wire: &[u8]) -> usize {
    let (mut lines, mut line, mut size) = (BufReader::with_capacity(CHUNK, wire), Vec::new(), 0);
    while lines.read_until(b'\n', &mut line).unwrap() > 0 {
        let (status, answer) = serde_json::from_slice(&line).unwrap();
        size += seen(&status, &answer);
        line.clear();
    }
    size
}

fn messages_of(wire: &[u8], chunk: usize) -> usize {
    let mut decoder = StreamDecoder::new(JsonCoder::<Status, Answer>::typed());
    let mut size = 0;
    for chunk in wire.chunks(chunk) {
        for message in decoder.feed(chunk) {
            let (status, answer) = message.unwrap();
            size += seen(&status, &answer);
        }
    }
    decoder.finish().unwrap();
    size
}

fn frames_of(wire: &[u8], chunk: usize) -> usize {
    let mut decoder = FrameDecoder::new();
    let mut size = 0;
    for chunk in wire.chunks(chunk) {
        for frame in decoder.feed(chunk) {
            size += black_box(frame.unwrap()).payload().len();
        }
    }
    decoder.finish().unwrap();
    size
}

fn seen(status: &Status, answer: &Answer) -> usize {
    black_box(status.status.len() + status.reason.len() + answer.answer.len() + answer.source.len())
}
