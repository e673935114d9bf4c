//! Resuming: what is asked for again, when, and what is delivered. No socket, and no real waiting: the clock is tokio's.

mod server;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use objectstreaming::http::{Body, Client, Place, ReadOptions, ResumingStream};
use objectstreaming::{Code, End, Error, JsonCoder, Open, StreamEncoder, StreamError, encode_frame};
use serde_json::{Value, json};
use server::{end, part, part_of, whole};
use tokio::time::Instant;

const URL: &str = "http://server/ask?q=1";
const STREAM: &str = "http://server/streams/s";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How the server answers one request.
enum Answer {
    /// These bytes, and then the body ends.
    Wire(Vec<u8>),
    /// These bytes, and then the connection breaks.
    Cut(Vec<u8>),
    /// These bytes, and then silence. The value is dropped with the connection.
    Silence(Vec<u8>, Arc<()>),
    Refusal(u16, Code, Option<u64>),
    NoConnection,
}
use Answer::{Cut, NoConnection, Refusal, Silence, Wire};

struct Asked {
    method: Method,
    url: String,
    headers: HeaderMap,
    at: Instant,
}

#[derive(Clone)]
struct Server {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self { answers, requests: Arc::default() }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        Client::from_fn(move |request| std::future::ready(server.answer(request)))
    }

    fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let (parts, _) = request.into_parts();
        self.requests.lock().unwrap().push(Asked {
            method: parts.method,
            url: parts.uri.to_string(),
            headers: parts.headers,
            at: Instant::now(),
        });
        let body = match self.answers.lock().unwrap().pop_front().expect("no more requests") {
            Wire(wire) => Body::from(wire),
            Cut(wire) => {
                let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                Body::from_stream(stream::iter([Ok(wire), Err(broken)]))
            }
            Silence(wire, connection) => {
                let silence = std::future::pending::<std::io::Result<Vec<u8>>>().inspect(move |_| drop(connection));
                Body::from_stream(stream::iter([Ok(wire)]).chain(silence.into_stream()))
            }
            Refusal(status, code, retry_after) => {
                let mut response = Response::builder().status(status);
                if let Some(seconds) = retry_after {
                    response = response.header("retry-after", seconds);
                }
                return Ok(response.body(Body::from(json!({"code": code.as_str(), "message": ""}).to_string()))?);
            }
            NoConnection => return Err("connection refused".into()),
        };
        Ok(Response::builder().header("content-type", "application/vnd.objectstreaming;v=1;coder=json").body(body)?)
    }

    /// Each request: its method, its URL, its position if it has one.
    fn asked(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|asked| {
                let position = asked.headers.get("last-event-id").map(|value| value.to_str().unwrap());
                format!("{} {} {}", asked.method, asked.url, position.unwrap_or("-"))
            })
            .collect()
    }

    /// The pauses between the requests.
    fn pauses(&self) -> Vec<Duration> {
        self.requests.lock().unwrap().windows(2).map(|pair| pair[1].at - pair[0].at).collect()
    }
}

/// All payloads, and the errors.
async fn read(stream: &mut ResumingStream<JsonCoder>) -> (Vec<Value>, Vec<Error>) {
    let (mut payloads, mut errors) = (Vec::new(), Vec::new());
    while let Some(message) = stream.next().await {
        match message {
            Ok((_, payload)) => payloads.push(payload),
            Err(error) => errors.push(error),
        }
    }
    (payloads, errors)
}

/// The payloads that a reader gets from these answers, and the error that is final.
async fn ask(answers: impl IntoIterator<Item = Answer>) -> (Server, Vec<Value>, Option<Error>) {
    let server = Server::new(answers);
    let mut stream = match server.client().post(URL).json("?").send_resuming(JsonCoder::new()).await {
        Ok(stream) => stream,
        Err(error) => return (server, Vec::new(), Some(error)),
    };
    let (payloads, mut errors) = read(&mut stream).await;
    assert!(errors.len() < 2, "{errors:?}");
    assert!(stream.next().await.is_none());
    (server, payloads, errors.pop())
}

fn numbers(numbers: impl IntoIterator<Item = u64>) -> Vec<Value> {
    numbers.into_iter().map(Value::from).collect()
}

#[tokio::test(start_paused = true)]
async fn the_rest_is_asked_for_with_get_and_the_post_is_never_repeated() {
    let server = Server::new([Cut(part(0, 3)), Wire(part(3, 4)), Cut(part(4, 4)), Wire(whole(4, 6))]);
    let request = server.client().post(URL).json("?").header("x".parse().unwrap(), HeaderValue::from_static("y"));
    let mut stream = request.send_resuming(JsonCoder::new()).await.unwrap();
    let (payloads, errors) = read(&mut stream).await;
    assert_eq!((payloads, errors.len()), (numbers(1..=6), 0));
    assert_eq!(stream.trailers().unwrap()["tokens"], 7);
    let expected =
        [format!("POST {URL} -"), format!("GET {STREAM} 3"), format!("GET {STREAM} 4"), format!("GET {STREAM} 4")];
    assert_eq!(server.asked(), expected);
    let requests = server.requests.lock().unwrap();
    assert!(requests.iter().all(|asked| asked.headers["x"] == "y"));
    assert!(requests[1..].iter().all(|asked| !asked.headers.contains_key("content-type")));
}

#[tokio::test(start_paused = true)]
async fn a_cut_at_any_byte_loses_and_doubles_nothing() {
    let wire = whole(0, 3);
    let opening = part(0, 0).len();
    for cut in 0..wire.len() {
        let (server, payloads, error) = ask([Cut(wire[..cut].into()), Wire(whole(0, 3))]).await;
        if cut < opening {
            assert_eq!((server.asked().len(), payloads.len()), (1, 0), "the stream cannot be picked up before {cut}");
            assert!(error.is_some());
        } else {
            assert_eq!((payloads, error.is_none()), (numbers(1..=3), true), "cut at {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_after_longer_and_longer_pauses() {
    let failures = [(429, Code::ResourceExhausted), (502, Code::Unavailable), (503, Code::Unavailable)];
    let mut answers = vec![Cut(part(0, 1)), NoConnection, Silence(Vec::new(), Arc::new(()))];
    answers.extend(failures.map(|(status, code)| Refusal(status, code, None)));
    answers.push(Refusal(504, Code::DeadlineExceeded, Some(20)));
    answers.push(Cut(part(1, 2)));
    answers.push(Wire(whole(2, 3)));
    let (server, payloads, error) = ask(answers).await;
    assert_eq!((payloads, error.is_none()), (numbers(1..=3), true));
    let silence = Duration::from_secs(60);
    let longest = [250, 500, 1000, 2000, 4000, 8000].map(Duration::from_millis);
    let mut pauses = server.pauses();
    pauses[2] -= silence;
    for (pause, longest) in pauses.iter().zip(longest) {
        assert!(*pause <= longest + Duration::from_millis(2), "{pauses:?}");
    }
    assert_eq!(pauses[6].as_secs(), 20, "the server said how long: {pauses:?}");
    assert!(pauses[7] <= longest[0] + Duration::from_millis(2), "from the beginning after a message: {pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_lost_is_tried_again_for_ten_seconds_after_data() {
    for (status, code) in [(404, Code::NotFound), (400, Code::OutOfRange)] {
        let outage = Refusal(503, Code::Unavailable, Some(30));
        let (_, payloads, error) = ask([Cut(part(0, 1)), outage, Refusal(status, code, None), Wire(whole(1, 2))]).await;
        assert_eq!((payloads, error.is_none()), (numbers(1..=2), true));
        let lost = std::iter::repeat_with(|| Refusal(status, code, Some(3)));
        let (server, _, error) = ask(std::iter::once(Cut(part(0, 1))).chain(lost.take(9))).await;
        assert!(matches!(error, Some(Error::Response(_))), "{error:?}");
        assert_eq!(server.asked().len(), 6);
        let place = Place::new(STREAM, 1);
        let client = Server::new([Refusal(status, code, None)]).client();
        let error = client.resume(&place).send_resuming(JsonCoder::new()).await.unwrap_err();
        assert!(matches!(error, Error::Response(_)), "nothing had come: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_will_not_pass_is_final() {
    for (status, code) in
        [(400, Code::InvalidArgument), (401, Code::Unauthenticated), (410, Code::NotFound), (500, Code::Internal)]
    {
        let (server, payloads, error) = ask([Cut(part(0, 1)), Refusal(status, code, Some(0))]).await;
        assert_eq!((payloads, server.asked().len()), (numbers([1]), 2));
        assert!(matches!(error, Some(Error::Response(error)) if error.status() == status));
    }
    let invalid = [part(0, 1), b"<html>!!".to_vec()].concat();
    let (server, payloads, error) = ask([Wire(invalid)]).await;
    assert_eq!((payloads, server.asked().len(), error.unwrap().code()), (numbers([1]), 1, "frame_too_large"));
}

#[tokio::test(start_paused = true)]
async fn a_plain_stream_is_no_rest() {
    let plain = || Response::builder().header("content-type", "application/octet-stream").body(Body::from(part(1, 2)));
    let client = Client::from_fn(move |_| std::future::ready(plain()));
    assert!(client.get(STREAM).send(JsonCoder::new()).await.is_ok());
    let error = client.resume(&Place::new(STREAM, 1)).send_resuming(JsonCoder::new()).await.unwrap_err();
    assert!(error.code() == "unexpected_content_type" && error.to_string().contains("not plain"), "{error}");
    assert!(error.to_string().contains("expected application/vnd.objectstreaming;v=1; "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_end_is_final_whatever_it_says() {
    let mut encoder = StreamEncoder::new(JsonCoder::new());
    let mut wire = part(0, 1);
    encoder.data(&json!({}), &1).unwrap();
    wire.extend(encoder.end(StreamError::new(Code::Unavailable, "the writer has died")).unwrap());
    let (server, payloads, error) = ask([Wire(wire)]).await;
    assert_eq!((payloads, server.asked().len()), (numbers([1]), 1));
    assert_eq!(error.unwrap().to_string(), "unavailable: the writer has died");
}

#[tokio::test(start_paused = true)]
async fn the_first_request_is_sent_once() {
    let refusal = Refusal(503, Code::Unavailable, Some(0));
    for answer in [NoConnection, refusal, Cut(part(0, 0)[..9].into()), Wire(Vec::new())] {
        let (server, _, error) = ask([answer]).await;
        assert!(error.is_some());
        assert_eq!(server.asked(), [format!("POST {URL} -")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_of_another_origin_is_ignored() {
    for resume in
        ["https://server/streams/s", "//elsewhere/s", "http://server:81/s", "http://server@elsewhere/s", "http://["]
    {
        let (server, _, error) = ask([Cut(part_of(resume, 0, 1))]).await;
        assert!(matches!(error, Some(Error::Incomplete(_))), "{resume}: {error:?}");
        assert_eq!(server.asked().len(), 1, "{resume}");
    }
    for resume in ["s", "http://SERVER:80/s", "//server/s", "../s"] {
        let (server, payloads, _) = ask([Cut(part_of(resume, 0, 1)), Wire(whole(1, 2))]).await;
        assert_eq!((payloads, server.asked().len()), (numbers(1..=2), 2), "{resume}");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_have_come_are_dropped_and_a_gap_is_data_loss() {
    let (_, payloads, error) = ask([Cut(part(0, 3)), Wire(whole(1, 5))]).await;
    assert_eq!((payloads, error.is_none()), (numbers(1..=5), true));
    for later in [whole(4, 6), whole(4, 4), whole(0, 2)] {
        let (server, payloads, error) = ask([Cut(part(0, 3)), Wire(later)]).await;
        assert_eq!((payloads, server.asked().len(), error.unwrap().code()), (numbers(1..=3), 2, "data_loss"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_payload_is_reported_once() {
    let bad = encode_frame(b"{}", b"nope").unwrap();
    let third = encode_frame(b"{}", b"3").unwrap();
    let again = [part(0, 1), bad.clone(), third, end(3)].concat();
    let server = Server::new([Cut([part(0, 1), bad].concat()), Wire(again)]);
    let mut stream = server.client().get(URL).send_resuming(JsonCoder::new()).await.unwrap();
    let (payloads, errors) = read(&mut stream).await;
    assert_eq!((payloads, errors.len()), (vec![json!(1), json!(3)], 1));
    assert_eq!((errors[0].code(), stream.position()), ("invalid_payload", 3));
}

#[tokio::test(start_paused = true)]
async fn a_place_outlives_the_process() {
    let server = Server::new([Cut(part(0, 2)), Refusal(401, Code::Unauthenticated, None)]);
    let mut stream = server.client().post(URL).send_resuming(JsonCoder::new()).await.unwrap();
    assert_eq!(stream.place(), None);
    read(&mut stream).await;
    let kept = serde_json::to_string(&stream.place()).unwrap();
    assert_eq!(kept, format!(r#"{{"url":"{STREAM}","position":2}}"#));
    let place: Place = serde_json::from_str(&kept).unwrap();
    #[cfg(feature = "msgpack")] // which writes a struct as an array
    assert_eq!(rmp_serde::from_slice::<Place>(&rmp_serde::to_vec(&place).unwrap()).unwrap(), place);
    let later = Server::new([NoConnection, Refusal(503, Code::Unavailable, Some(1)), Wire(whole(2, 4))]);
    let mut stream = later.client().resume(&place).send_resuming(JsonCoder::new()).await.unwrap();
    assert_eq!(read(&mut stream).await.0, numbers(3..=4));
    assert_eq!(later.asked(), vec![format!("GET {STREAM} 2"); 3]);
    let once = Server::new([Wire(whole(2, 4))]);
    assert!(once.client().resume(&place).send(JsonCoder::new()).await.is_ok());
    for text in ["[]", "{}", r#"{"url":1,"position":2}"#, r#"{"url":"x","position":-1}"#, r#"{"url":"x"}"#] {
        assert!(serde_json::from_str::<Place>(text).is_err(), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_after_its_patience_with_the_last_error() {
    let down = || Refusal(503, Code::Unavailable, Some(4));
    let server = Server::new(std::iter::once(Cut(part(0, 1))).chain(std::iter::repeat_with(down).take(9)));
    let options = ReadOptions::default().patience(Duration::from_secs(10));
    let mut stream = server.client().get(URL).options(options).send_resuming(JsonCoder::new()).await.unwrap();
    let (_, errors) = read(&mut stream).await;
    assert!(matches!(&errors[..], [Error::Response(_)]), "{errors:?}");
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_ends_a_pause_and_closes_the_connection() {
    let connection = Arc::new(());
    let server = Server::new([Silence(part(0, 1), connection.clone()), Refusal(503, Code::Unavailable, Some(200))]);
    let mut stream = server.client().get(URL).send_resuming(JsonCoder::new()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert!(stream.next().now_or_never().is_none(), "it waits for the server");
    assert_eq!(Arc::strong_count(&connection), 2);
    assert!(tokio::time::timeout(Duration::from_secs(70), stream.next()).await.is_err(), "it waits for Retry-After");
    assert_eq!((Arc::strong_count(&connection), server.asked().len()), (1, 2));
    drop(stream);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(server.asked().len(), 2, "nothing is asked for in the background");

    let connection = Arc::new(());
    let server = Server::new([Silence(part(0, 1), connection.clone())]);
    let mut stream = server.client().get(URL).send_resuming(JsonCoder::new()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert_eq!(Arc::strong_count(&connection), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handle_in_another_task_ends_a_pause_at_once() {
    let server = Server::new([Cut(part(0, 1)), Refusal(503, Code::Unavailable, Some(200))]);
    let stream = server.client().get(URL).send_resuming(JsonCoder::new()).await.unwrap();
    let (stream, handle) = stream::abortable(stream);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(100)).await;
        handle.abort();
    });
    let start = Instant::now();
    assert_eq!(stream.count().await, 1);
    assert_eq!((start.elapsed().as_secs(), server.asked().len()), (100, 2));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_cancelled_in_a_pause_goes_on_where_it_was() {
    let server = Server::new([Cut(part(0, 1)), Refusal(503, Code::Unavailable, Some(200)), Wire(whole(1, 2))]);
    let mut stream = server.client().get(URL).send_resuming(JsonCoder::new()).await.unwrap();
    let mut payloads = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_secs(7), stream.next()).await {
            Ok(Some(message)) => payloads.push(message.unwrap().1),
            Ok(None) => break,
            Err(_) => {} // wait again
        }
    }
    assert_eq!((payloads, server.asked().len()), (numbers(1..=2), 3));
    assert_eq!(server.pauses()[1].as_secs(), 200);
}

#[tokio::test(start_paused = true)]
async fn stop_ends_the_stream_at_the_server_and_leaving_does_not() {
    let server = Server::new([Silence(part(0, 2), Arc::new(())), Wire(Vec::new()), Refusal(404, Code::NotFound, None)]);
    let request =
        server.client().post(URL).json("?").header(http::header::AUTHORIZATION, HeaderValue::from_static("a"));
    let mut stream = request.send_resuming(JsonCoder::new()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let stop = stream.stop();
    let waiting = stream.next(); // the future does not borrow the stream
    tokio::spawn(stop).await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    assert!(matches!(stream.stop().await, Err(Error::Response(error)) if error.status() == 404));
    drop(stream);
    assert_eq!(server.asked()[1..], [format!("DELETE {STREAM} -"), format!("DELETE {STREAM} -")]);
    assert_eq!(server.requests.lock().unwrap()[1].headers["authorization"], "a");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_kept_cannot_be_stopped_and_has_no_place() {
    let mut encoder = StreamEncoder::new(JsonCoder::new());
    let mut wire = encoder.open(Open::default()).unwrap();
    wire.extend(encoder.data(&json!({}), &1).unwrap());
    wire.extend(encoder.end(End::default()).unwrap());
    let server = Server::new([Wire(wire)]);
    let mut stream = server.client().get(URL).send_resuming(JsonCoder::new()).await.unwrap();
    assert_eq!(read(&mut stream).await.0, numbers([1]));
    assert_eq!(stream.place(), None);
    let error = stream.stop().await.unwrap_err();
    assert!(error.code() == "encode_error" && error.to_string().contains("drop it"), "{error}");
    assert_eq!(server.asked().len(), 1);
}
