//! Responses that are not streams: their errors, decoded.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, LOCATION};
use http::{HeaderMap, StatusCode};
use http_body::Body;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::media_type::{MEDIA_TYPE, PLAIN_MEDIA_TYPE};
use crate::http_error::{ContentTypeError, ResponseError};
use crate::peer_error::{Code, StreamError};
use crate::read_json;

const PROBLEM_SIZE: usize = 16 * 1024;
const BEGINNING_SIZE: usize = 256;
const BEGINNING_TIME: Duration = Duration::from_secs(5);

/// The error of a response whose status is not 2xx. The message is taken from the specification's own members, from
/// `detail` as `FastAPI` uses it, from the `title` of RFC 9457, or from the text of the body.
pub(super) async fn response_error<B>(status: StatusCode, headers: HeaderMap, body: &mut B) -> ResponseError
where
    B: Body<Data = Bytes> + Unpin,
{
    let body = beginning(body, PROBLEM_SIZE).await;
    let members: Map<String, Value> = match read_json::value(&body) {
        Ok(Value::Object(mut members)) => match members.remove("detail") {
            Some(Value::Object(detail)) => detail,
            Some(detail) => {
                members.insert("detail".into(), detail);
                members
            }
            None => members,
        },
        Ok(_) => Map::new(),
        Err(_) => {
            let message = match headers.get(CONTENT_ENCODING) {
                None => excerpt(&body),
                Some(encoding) => format!("a body of Content-Encoding {encoding:?}"),
            };
            [("message".to_string(), message.into())].into_iter().collect()
        }
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let code = text("code").and_then(Code::from_name).unwrap_or_else(|| code_for_status(status.as_u16()));
    let mut details = members.get("details").filter(|details| !details.is_null()).cloned();
    let mut message: String = ["message", "detail", "title"].into_iter().find_map(text).unwrap_or_default().into();
    if let (None, Some(list @ Value::Array(_))) = (&details, members.get("detail")) {
        // What FastAPI found wrong with the request: an object for each error.
        if message.is_empty() {
            message = first_error(&list[0]);
        }
        details = Some(list.clone());
    }
    if message.is_empty() {
        message = status.canonical_reason().unwrap_or_default().into();
    }
    if let (true, Some(place)) = (status.is_redirection(), headers.get(LOCATION).and_then(|place| place.to_str().ok()))
    {
        message = format!("{message}, to {place:?}: redirects are not followed");
    }
    ResponseError::new(status, headers, StreamError::new(code, message).with_details(details), body)
}

/// The place of an error that `FastAPI` reports, and what is wrong there.
fn first_error(error: &Value) -> String {
    let Some(message) = error["msg"].as_str() else { return String::new() };
    let step = |step: &Value| step.as_str().map_or_else(|| step.to_string(), String::from);
    let place = error["loc"].as_array().map(|steps| steps.iter().map(step).collect::<Vec<_>>().join("."));
    format!("{}: {message}", place.as_deref().unwrap_or("request"))
}

/// The code that fits an HTTP status whose body does not name one.
fn code_for_status(status: u16) -> Code {
    match status {
        400 | 415 | 422 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        408 | 504 => Code::DeadlineExceeded,
        409 => Code::Aborted,
        413 | 429 => Code::ResourceExhausted,
        499 => Code::Canceled,
        500 => Code::Internal,
        501 => Code::Unimplemented,
        502 | 503 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The error of a successful response that is not a stream.
pub(super) async fn content_type_error<B>(
    refusal: &str,
    plain: bool,
    content_type: String,
    body: &mut B,
) -> ContentTypeError
where
    B: Body<Data = Bytes> + Unpin,
{
    let beginning = beginning(body, BEGINNING_SIZE).await;
    let begins = match excerpt(&beginning) {
        text if text.is_empty() => "the body is empty".into(),
        text => format!("the body begins {text:?}"),
    };
    let expected = if plain { format!("v=1 or {PLAIN_MEDIA_TYPE}") } else { "v=1".into() };
    let message = format!("{refusal}; expected {MEDIA_TYPE};{expected}; {begins}");
    ContentTypeError::new(message, content_type, beginning)
}

/// The first bytes of a body, as many as arrive in time.
async fn beginning<B: Body<Data = Bytes> + Unpin>(body: &mut B, size: usize) -> Vec<u8> {
    let mut beginning = Vec::new();
    let reading = async {
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            if let Ok(chunk) = frame.into_data() {
                beginning.extend_from_slice(&chunk[..chunk.len().min(size - beginning.len())]);
            }
            if beginning.len() == size {
                break;
            }
        }
    };
    let _ = timeout(BEGINNING_TIME, reading).await;
    beginning
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(BEGINNING_SIZE)]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // No message controls a terminal.
    line.chars().map(|char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char }).take(80).collect()
}
