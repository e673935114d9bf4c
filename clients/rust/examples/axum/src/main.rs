//! Answers questions with a stream of frames: `cargo run`, then ask `http://127.0.0.1:8000/objects`.

mod response;

use axum::Router;
use axum::extract::Json;
use axum::response::Response;
use axum::routing::post;
use futures_util::stream;
use objectstreaming::{Code, JsonCoder, StreamError};
use serde_json::{Value, json};

async fn objects(Json(request): Json<Value>) -> Response {
    let Some(question) = request["question"].as_str().map(String::from) else {
        return response::problem(&StreamError::new(Code::InvalidArgument, "there is no question"));
    };
    let words: Vec<String> = question.split_whitespace().map(String::from).collect();
    let answers = words.into_iter().map(|word| Ok((json!({"status": "success"}), json!({"answer": word}))));
    response::respond(JsonCoder::new(), stream::iter(answers)).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    axum::serve(listener, Router::new().route("/objects", post(objects))).await
}

#[cfg(test)]
mod tests;
