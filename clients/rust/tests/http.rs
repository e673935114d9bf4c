//! The HTTP client on a real connection, to a server that sends what a test gives it.

mod server;

use std::time::Duration;

use futures_util::future::{Either, select};
use objectstreaming::http::{ACCEPT, Body, Client, ReadOptions, read_response};
use objectstreaming::{Code, End, Error, JsonCoder, Open, StreamEncoder, StreamError, encode_frame};
use serde_json::{Value, json};
use server::read_request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const VERSION_1: &str = "application/vnd.objectstreaming;v=1";
const PLAIN: &str = "application/octet-stream";

/// What the server does, step by step, after it has read the request.
#[derive(Clone)]
enum Send {
    Bytes(Vec<u8>),
    Silence(Duration),
    /// Keeps the connection until the client closes it.
    UntilClosed,
}

/// Answers one request, and returns it.
async fn serve(script: Vec<Send>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/objects?q=1", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let request = read_request(&mut connection).await;
        for step in script {
            match step {
                Send::Bytes(bytes) => connection.write_all(&bytes).await.unwrap(),
                Send::Silence(time) => sleep(time).await,
                Send::UntilClosed => while connection.read(&mut [0; 64]).await.is_ok_and(|size| size > 0) {},
            }
        }
        request
    });
    (url, serving)
}

/// The head of a response without a length: the body ends with the connection.
fn head(status: &str, content_type: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n").into_bytes()
}

fn answer(content_type: &str, body: &[u8]) -> Vec<Send> {
    vec![Send::Bytes([&head("200 OK", content_type), body].concat())]
}

fn whole_stream() -> Vec<u8> {
    let mut encoder = StreamEncoder::new(JsonCoder::new());
    let mut wire = encoder.open(Open::default()).unwrap();
    wire.extend(encoder.data(&json!({}), "Yes.").unwrap());
    wire.extend(encoder.data(&json!({}), "No.").unwrap());
    wire.extend(encoder.end(End::trailers(json!({"tokens": 7}))).unwrap());
    wire
}

/// All payloads, and the last error.
async fn ask(script: Vec<Send>, options: ReadOptions) -> (Vec<Value>, Option<Error>) {
    let (url, _serving) = serve(script).await;
    let mut payloads = Vec::new();
    let mut stream = match Client::new().post(&url).options(options).send(JsonCoder::new()).await {
        Ok(stream) => stream,
        Err(error) => return (payloads, Some(error)),
    };
    let mut failed = None;
    while let Some(message) = stream.next().await {
        match message {
            Ok((_, payload)) => payloads.push(payload),
            Err(error) => failed = Some(error),
        }
    }
    (payloads, failed)
}

#[tokio::test]
async fn a_request_has_its_headers_and_the_answer_its_trailers() {
    let (url, serving) = serve(answer(VERSION_1, &whole_stream())).await;
    let request = Client::new().post(&url).json(&json!({"question": "?"}));
    let mut stream = request.send(JsonCoder::new()).await.unwrap();
    let mut payloads = Vec::new();
    while let Some(message) = stream.next().await {
        payloads.push(message.unwrap().1);
    }
    assert_eq!(payloads, [json!("Yes."), json!("No.")]);
    assert_eq!((stream.position(), &stream.trailers().unwrap()["tokens"]), (2, &json!(7)));
    let request = serving.await.unwrap();
    assert!(request.starts_with("POST /objects?q=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("accept: {ACCEPT}\r\n")), "{request}");
    assert!(request.contains("content-type: application/json\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"question\":\"?\"}"), "{request}");
}

#[tokio::test]
async fn a_body_in_pieces_is_sent_as_its_stream_gives_them() {
    let (url, serving) = serve(answer(VERSION_1, &whole_stream())).await;
    let pieces = futures_util::stream::iter(["one", "two"].map(Ok::<_, std::io::Error>));
    let body = Body::from_stream(pieces);
    let request = Client::new().post(&url).body("audio/wav".parse().unwrap(), body);
    assert!(request.send(JsonCoder::new()).await.is_ok());
    let request = serving.await.unwrap();
    assert!(request.contains("transfer-encoding: chunked\r\n"), "{request}");
    assert!(request.contains("\r\n3\r\none\r\n"), "{request}");
}

#[tokio::test]
async fn resuming_is_a_get_with_the_position() {
    let (url, serving) = serve(answer(VERSION_1, &whole_stream())).await;
    let stream = Client::new().get(&url).position(41).send(JsonCoder::new()).await.unwrap();
    assert_eq!(stream.status(), 200);
    let request = serving.await.unwrap();
    assert!(request.starts_with("GET ") && request.contains("last-event-id: 41\r\n"), "{request}");
}

#[tokio::test]
async fn a_chunked_body_without_its_last_chunk_is_cut_in_a_plain_stream_too() {
    let frame = encode_frame(b"{}", b"1").unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {PLAIN}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = [head.as_bytes(), format!("{:x}\r\n", frame.len()).as_bytes(), &frame, b"\r\n"].concat();
    let (payloads, failed) = ask(vec![Send::Bytes(chunk.clone())], ReadOptions::default()).await;
    let failed = failed.unwrap();
    assert_eq!((payloads.len(), failed.code()), (1, "stream_incomplete"));
    assert_eq!(failed.to_string(), "the connection was cut after 1 data frames");
    let ended = [&chunk[..], b"0\r\n\r\n"].concat();
    let (payloads, failed) = ask(vec![Send::Bytes(ended)], ReadOptions::default()).await;
    assert!(payloads.len() == 1 && failed.is_none(), "{failed:?}");
}

#[tokio::test]
async fn a_plain_stream_ends_with_its_body_unless_an_end_is_required() {
    let wire = encode_frame(b"{}", b"1").unwrap();
    let (payloads, failed) = ask(answer(PLAIN, &wire), ReadOptions::default()).await;
    assert!(payloads == [json!(1)] && failed.is_none(), "{failed:?}");
    let options = ReadOptions::default().require_end(true);
    let (_, failed) = ask(answer(PLAIN, &wire), options).await;
    assert_eq!(failed.unwrap().code(), "stream_incomplete");
}

/// The messages of an error and of its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}

/// The kind of the I/O error among the causes.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<std::io::Error>())
        .map(std::io::Error::kind)
}

#[tokio::test]
async fn a_connection_that_breaks_is_the_cause_down_to_the_io_error() {
    for cut in [11, 15] {
        let wire = [encode_frame(b"{}", b"1").unwrap(), encode_frame(b"{}", b"2").unwrap()].concat();
        let chunk = [format!("{cut:x}\r\n").as_bytes(), &wire[..cut], b"\r\n"].concat();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {PLAIN}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (read, was_read) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            read_request(&mut connection).await;
            connection.write_all(&[head.as_bytes(), &chunk].concat()).await.unwrap();
            was_read.await.unwrap();
            connection.set_zero_linger().unwrap(); // closing resets the connection
        });
        let mut stream = Client::new().post(&url).send(JsonCoder::new()).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().1, json!(1));
        read.send(()).unwrap();
        let failed = stream.next().await.unwrap().unwrap_err();
        serving.await.unwrap();
        assert_eq!(failed.code(), if cut == 11 { "stream_incomplete" } else { "truncated_frame" });
        assert_eq!(io_kind(&failed), Some(std::io::ErrorKind::ConnectionReset), "{:?}", chain(&failed));
        let chain = chain(&failed);
        assert!(chain.windows(2).all(|pair| !pair[0].contains(&pair[1])), "{chain:?}");
    }
}

#[tokio::test]
async fn the_error_of_the_peer_comes_last() {
    let mut encoder = StreamEncoder::new(JsonCoder::new());
    let mut wire = encoder.data(&json!({}), &1).unwrap();
    let error = StreamError::new(Code::Unavailable, "the model went away").with_details(json!({"retry": 5}));
    wire.extend(encoder.end(error.clone()).unwrap());
    let (payloads, failed) = ask(answer(VERSION_1, &wire), ReadOptions::default()).await;
    assert_eq!(payloads, [json!(1)]);
    let Some(Error::Peer(found)) = failed else { panic!("{failed:?}") };
    assert_eq!(found, error);
}

#[tokio::test]
async fn after_a_refused_payload_the_next_message_can_be_read() {
    let mut encoder = StreamEncoder::new(JsonCoder::new());
    let mut wire = [encoder.data(&json!({}), &1).unwrap(), encode_frame(b"{}", b"nope").unwrap()].concat();
    wire.extend(encode_frame(b"{}", b"3").unwrap());
    let (payloads, failed) = ask(answer(PLAIN, &wire), ReadOptions::default()).await;
    assert_eq!(payloads, [json!(1), json!(3)]);
    let failed = failed.unwrap();
    assert_eq!((failed.code(), failed.index(), failed.offset()), ("invalid_payload", Some(1), Some(11)));
}

#[tokio::test]
async fn a_server_that_never_answers_is_an_idle_timeout() {
    let options = ReadOptions::default().idle_timeout(Duration::from_millis(50));
    let (_, failed) = ask(vec![Send::UntilClosed], options).await;
    assert_eq!(failed.unwrap().code(), "idle_timeout");
}

#[tokio::test]
async fn a_timeout_may_be_unlimited() {
    let mut script = answer(VERSION_1, &[]);
    script.extend([Send::Silence(Duration::from_millis(20)), Send::Bytes(whole_stream())]);
    let options = ReadOptions::default().idle_timeout(Duration::MAX);
    let (payloads, failed) = ask(script, options).await;
    assert!(payloads.len() == 2 && failed.is_none(), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_causes_no_timeout() {
    let pieces = whole_stream().into_iter().map(|byte| Ok::<_, std::io::Error>(vec![byte]));
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let response = http::Response::builder().header("content-type", VERSION_1).body(body).unwrap();
    let options = ReadOptions::default().idle_timeout(Duration::from_millis(60));
    let mut stream = read_response(response, JsonCoder::new(), options).await.unwrap();
    while let Some(message) = stream.next().await {
        message.unwrap();
        sleep(Duration::from_millis(120)).await;
    }
    assert_eq!(stream.position(), 2);
}

#[tokio::test]
async fn a_status_that_is_not_2xx_is_an_error_with_its_problem_decoded() {
    let problems = [
        (r#"{"detail":[{"loc":["body","q",0],"msg":"too long"}]}"#, "body.q.0: too long"),
        (r#"{"code":"resource_exhausted","message":"slow down","details":{"seconds":5}}"#, "slow down"),
        (r#"{"detail":{"code":"resource_exhausted","message":"slow down"}}"#, "slow down"),
        (r#"{"title":"Too many"}"#, "Too many"),
        ("<html>busy", "<html>busy"),
        ("\x1b[31mred\0", "\u{fffd}[31mred\u{fffd}"),
        ("", "Too Many Requests"),
    ];
    for (body, message) in problems {
        let script = vec![Send::Bytes([&head("429 Too Many Requests", "application/json"), body.as_bytes()].concat())];
        let (_, failed) = ask(script, ReadOptions::default()).await;
        let Some(Error::Response(error)) = failed else { panic!("{failed:?}") };
        assert_eq!(error.status(), 429);
        assert_eq!((error.code(), error.message()), (Code::ResourceExhausted, message));
    }
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back_and_a_redirect_where_it_led() {
    let date = "Wed, 21 Oct 2015 07:28:00 GMT";
    let never = ("99999999999999999999", Some(u64::MAX));
    for (given, wait) in [
        ("7", Some(7)),
        ("0", Some(0)),
        never,
        (date, Some(0)),
        ("soon", None),
        ("-1", None),
        ("9e9", None),
        ("", None),
    ] {
        let text = format!("HTTP/1.1 429 Too Many Requests\r\nRetry-After: {given}\r\nContent-Length: 0\r\n\r\n");
        let (_, failed) = ask(vec![Send::Bytes(text.into_bytes())], ReadOptions::default()).await;
        let Some(Error::Response(error)) = failed else { panic!("{failed:?}") };
        assert_eq!(error.retry_after(), wait.map(Duration::from_secs), "{given}");
        assert_eq!(error.headers()["retry-after"], given);
    }
    // By the server's own clock, which may be wrong.
    let dated = format!("Date: {date}\r\nRetry-After: Wed, 21 Oct 2015 07:28:30 GMT\r\nContent-Length: 0\r\n\r\n");
    let text = [b"HTTP/1.1 503 Service Unavailable\r\n", dated.as_bytes()].concat();
    let (_, failed) = ask(vec![Send::Bytes(text)], ReadOptions::default()).await;
    let Some(Error::Response(error)) = failed else { panic!("{failed:?}") };
    assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
    let text = b"HTTP/1.1 500 Oops\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b";
    let (_, failed) = ask(vec![Send::Bytes(text.to_vec())], ReadOptions::default()).await;
    assert!(failed.unwrap().to_string().contains("a body of Content-Encoding \"gzip\""));
    let text = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    let (_, failed) = ask(vec![Send::Bytes(text.to_vec())], ReadOptions::default()).await;
    assert!(failed.unwrap().to_string().contains("to \"/elsewhere\""));
}

#[tokio::test]
async fn a_response_that_is_not_a_stream_is_refused_with_its_beginning() {
    let refused = [
        ("text/html", "the content type is \"text/html\""),
        ("application/vnd.objectstreaming", "version \"\", this reader knows \"1\""),
        ("application/vnd.objectstreaming; v=2", "version \"2\""),
        ("application/vnd.objectstreaming; V=\"1\"; coder=\"tal\"", "the stream's coder is \"tal\""),
        ("application/octet-stream\r\nContent-Encoding: identity\r\nContent-Encoding: gzip", "is \"gzip\""),
    ];
    for (content_type, reason) in refused {
        let (_, failed) = ask(answer(content_type, b"<html>\n  hello"), ReadOptions::default()).await;
        let Some(Error::ContentType(error)) = failed else { panic!("{failed:?}") };
        let text = error.to_string();
        assert!(text.contains(reason) && text.contains("begins \"<html> hello\""), "{text}");
        assert_eq!(error.code(), "unexpected_content_type");
    }
    let accepted = "Application/VND.objectstreaming ; charset=x; v=1; coder=json";
    let (payloads, failed) = ask(answer(accepted, &whole_stream()), ReadOptions::default()).await;
    assert!(payloads.len() == 2 && failed.is_none(), "{failed:?}");
}

#[tokio::test]
async fn no_response_is_an_error_with_its_cause() {
    let (_refusing, address) = server::refusing();
    let failed = Client::new().post(&format!("http://{address}/")).send(JsonCoder::new()).await.unwrap_err();
    assert!(matches!(failed, Error::Transport(_)), "{failed}");
    assert_eq!(failed.to_string(), "no response was received");
    assert_eq!(io_kind(&failed), Some(std::io::ErrorKind::ConnectionRefused), "{:?}", chain(&failed));
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_an_encode_error() {
    let failed = Client::new().post("http://[").send(JsonCoder::new()).await.unwrap_err();
    assert!(failed.code() == "encode_error" && failed.to_string().contains("is not a URL"), "{failed}");
    let failed = Client::new().post("https://a/").send(JsonCoder::new()).await.unwrap_err();
    assert!(failed.code() == "encode_error" && failed.to_string().contains("read_response"), "{failed}");
    let failed = Client::new().post("ftp://a/b").send(JsonCoder::new()).await.unwrap_err();
    assert!(failed.code() == "encode_error" && failed.to_string().contains("http://"), "{failed}");
    let failed = Client::new().post("http://a/").json(&f64::NAN).send(JsonCoder::new()).await.unwrap_err();
    assert_eq!(failed.code(), "encode_error");
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let mut script = answer(VERSION_1, &whole_stream()[..100]);
    script.push(Send::UntilClosed);
    let (url, serving) = serve(script).await;
    let mut stream = Client::new().post(&url).send(JsonCoder::new()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), serving).await.expect("the server notices it").unwrap();
}

#[tokio::test]
async fn a_wait_that_is_cancelled_loses_no_message() {
    let mut script = answer(VERSION_1, &[]);
    for byte in whole_stream() {
        script.extend([Send::Bytes(vec![byte]), Send::Silence(Duration::from_millis(1))]);
    }
    let (url, _serving) = serve(script).await;
    let mut stream = Client::new().post(&url).send(JsonCoder::new()).await.unwrap();
    let mut payloads = Vec::new();
    loop {
        let next = std::pin::pin!(stream.next());
        match select(next, std::pin::pin!(sleep(Duration::from_millis(2)))).await {
            Either::Left((Some(message), _)) => payloads.push(message.unwrap().1),
            Either::Left((None, _)) => break,
            Either::Right(_) => {} // wait again
        }
    }
    assert_eq!(payloads, [json!("Yes."), json!("No.")]);
}
