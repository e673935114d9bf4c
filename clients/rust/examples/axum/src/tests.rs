//! The example, read by the client of this crate.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use objectstreaming::http::Client;
use objectstreaming::{Code, Error, JsonCoder, StreamDecoder, StreamError};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{objects, response::respond};

type Message = Result<(Value, Value), StreamError>;

fn message(n: u64) -> Message {
    Ok((json!({}), json!(n)))
}

async fn answer(source: impl Stream<Item = Message> + Send + 'static) -> Response {
    respond(JsonCoder::new(), source).await
}

/// All payloads of a response, and the error at its end.
async fn read(response: Response) -> (Vec<Value>, Option<Error>) {
    let mut body = response.into_body().into_data_stream();
    let mut decoder = StreamDecoder::new(JsonCoder::new()).require_end(true);
    let mut payloads = Vec::new();
    while let Some(chunk) = body.next().await {
        for message in decoder.feed(&chunk.unwrap()) {
            match message {
                Ok((_, payload)) => payloads.push(payload),
                Err(error) => return (payloads, Some(error)),
            }
        }
    }
    (payloads, decoder.finish().err())
}

#[tokio::test]
async fn a_question_is_answered_over_http() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/objects", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/objects", post(objects))).into_future());
    let request = Client::new().post(&url).json(&json!({"question": "What is it?"}));
    let mut stream = request.send(JsonCoder::new()).await.unwrap();
    assert_eq!(stream.headers()["cache-control"], "no-store, no-transform");
    let mut answers = Vec::new();
    while let Some(message) = stream.next().await {
        answers.push(message.unwrap().1["answer"].clone());
    }
    assert_eq!(answers, ["What", "is", "it?"]);
    assert_eq!(stream.heartbeat(), Some(15.0));
    let error = Client::new().post(&url).json(&json!({})).send(JsonCoder::new()).await.unwrap_err();
    assert!(matches!(error, Error::Response(error) if error.code() == Code::InvalidArgument));
}

#[tokio::test]
async fn an_error_before_the_first_message_has_a_status_and_a_later_one_is_the_end() {
    let busy = || Err(StreamError::new(Code::ResourceExhausted, "busy"));
    assert_eq!(answer(stream::iter([busy(), message(1)])).await.status(), 429);
    let response = answer(stream::iter([message(1), busy(), message(2)])).await;
    assert_eq!(response.status(), 200);
    let (payloads, error) = read(response).await;
    assert!(matches!(error, Some(Error::Peer(error)) if error.code() == Code::ResourceExhausted));
    assert_eq!(payloads, [1]);
    let (payloads, error) = read(answer(stream::iter([Ok((json!([]), json!(1)))])).await).await;
    assert!(matches!(error, Some(Error::Peer(error)) if error.code() == Code::Internal), "a header is an object");
    assert_eq!(payloads.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_status_waits_for_the_first_message_but_for_one_heartbeat_at_most() {
    let late = |seconds| stream::once(tokio::time::sleep(Duration::from_secs(seconds)).map(|()| message(1)));
    let start = Instant::now();
    let response = answer(late(10)).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(read(response).await.0, [1]);
    let start = Instant::now();
    let response = answer(late(40)).await;
    assert_eq!(start.elapsed().as_secs(), 15);
    let chunks: Vec<_> = response.into_body().into_data_stream().collect().await;
    assert_eq!(start.elapsed().as_secs(), 40);
    let pings = chunks.iter().filter(|chunk| chunk.as_ref().unwrap().ends_with(b"\"ping\"}}{}")).count();
    assert_eq!((chunks.len(), pings), (4, 1), "open, a ping, a message, the end");
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_source_with_it() {
    let held = Arc::new(());
    let source = held.clone();
    let answers = move || {
        let held = source.clone();
        let waiting = stream::once(std::future::pending().inspect(move |_: &Message| drop(held)));
        answer(stream::once(ready(message(1))).chain(waiting))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/", get(answers))).into_future());
    let mut stream = Client::new().get(&url).send(JsonCoder::new()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let running = Arc::strong_count(&held);
    drop(stream);
    tokio::time::timeout(Duration::from_secs(10), async {
        while Arc::strong_count(&held) == running {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the source is dropped");
}

#[tokio::test]
async fn a_response_that_is_dropped_before_it_is_read_drops_the_source() {
    let held = Arc::new(());
    let source = held.clone();
    let response =
        answer(stream::iter([message(1)]).chain(stream::once(ready(message(2)).inspect(move |_| drop(source))))).await;
    drop::<Response<Body>>(response);
    assert_eq!(Arc::strong_count(&held), 1);
}
