//! Responses that are no streams: what they are, and what they say.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{MEDIA_TYPE, PLAIN_MEDIA_TYPE};
use crate::read_json;
use crate::stream_error::{Code, StreamError};

pub(super) const PROBLEM_SIZE: usize = 16 * 1024;
pub(super) const BEGINNING_SIZE: usize = 256;
const BEGINNING_TIME: Duration = Duration::from_secs(5);

/// A response with a status that is not 2xx, its problem decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseError {
    status: StatusCode,
    error: StreamError,
    body: Vec<u8>,
}

impl ResponseError {
    /// Our own members, `detail` as `FastAPI` puts it, RFC 9457's `title`, or the body's text.
    pub(super) fn read(status: StatusCode, body: Vec<u8>) -> Self {
        let said: Map<String, Value> = match read_json::value(&body) {
            Ok(Value::Object(mut members)) => match members.remove("detail") {
                Some(Value::Object(detail)) => detail,
                Some(detail) => {
                    members.insert("detail".into(), detail);
                    members
                }
                None => members,
            },
            Ok(_) => Map::new(),
            Err(_) => [("message".to_string(), excerpt(&body).into())].into_iter().collect(),
        };
        let text = |name: &str| said.get(name).and_then(Value::as_str);
        let code = text("code").and_then(Code::from_name).unwrap_or_else(|| code_for_status(status.as_u16()));
        let mut details = said.get("details").filter(|details| !details.is_null()).cloned();
        let mut message: String = ["message", "detail", "title"].into_iter().find_map(text).unwrap_or_default().into();
        if let (None, Some(list @ Value::Array(_))) = (&details, said.get("detail")) {
            // What FastAPI found wrong with the request, an object each.
            if message.is_empty() {
                message = list[0]["msg"].as_str().unwrap_or_default().into();
            }
            details = Some(list.clone());
        }
        if message.is_empty() {
            message = status.canonical_reason().unwrap_or_default().into();
        }
        Self { status, error: StreamError::new(code, message).with_details(details), body }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// One of the sixteen: what the body said, or what fits the status.
    #[must_use]
    pub fn code(&self) -> Code {
        self.error.code()
    }

    /// What the server said, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        self.error.message()
    }

    /// What the server said, for programs.
    #[must_use]
    pub fn details(&self) -> Option<&Value> {
        self.error.details()
    }

    /// The beginning of the body as it came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}, {}", self.status.as_u16(), self.error)
    }
}

impl core::error::Error for ResponseError {}

/// The code that fits an HTTP status whose body did not name one.
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

/// A response that succeeded, but is no stream of frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentTypeError {
    message: String,
    content_type: String,
    beginning: Vec<u8>,
}

impl ContentTypeError {
    pub(super) fn new(refusal: &str, content_type: String, beginning: Vec<u8>) -> Self {
        let starts = match excerpt(&beginning) {
            text if text.is_empty() => "the body is empty".into(),
            text => format!("the body begins {text:?}"),
        };
        let message = format!("{refusal}; wanted is {MEDIA_TYPE};v=1 or {PLAIN_MEDIA_TYPE}; {starts}");
        Self { message, content_type, beginning }
    }

    /// `unexpected_content_type`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "unexpected_content_type"
    }

    /// The `Content-Type` as it came; empty if there was none.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// What the body starts with.
    #[must_use]
    pub fn beginning(&self) -> &[u8] {
        &self.beginning
    }
}

impl fmt::Display for ContentTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for ContentTypeError {}

/// No response came at all; the source says why.
#[derive(Clone, Debug)]
pub struct TransportError {
    message: String,
    source: Option<Arc<dyn core::error::Error + Send + Sync>>,
}

impl TransportError {
    pub(super) fn new(message: String) -> Self {
        Self { message, source: None }
    }

    pub(super) fn from_source(message: &str, source: impl core::error::Error + Send + Sync + 'static) -> Self {
        // The causes are what tells "connection refused" from the rest.
        let mut message = format!("{message}: {source}");
        let mut cause = source.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self { message, source: Some(Arc::from(Box::new(source) as Box<dyn core::error::Error + Send + Sync>)) }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn core::error::Error + 'static))
    }
}

/// The first bytes of a body, as many as come without much ado.
pub(super) async fn beginning<B: Body<Data = Bytes> + Unpin>(body: &mut B, size: usize) -> Vec<u8> {
    let mut beginning = Vec::new();
    let reading = async {
        while let Some(Ok(frame)) = core::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
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
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect()
}

/// A content type and the parameters that mean something here (RFC 9110, section 8.3.1).
pub(super) struct MediaType {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) coder: Option<String>,
}

impl MediaType {
    pub(super) fn read(text: &str) -> Self {
        let (name, mut rest) = text.split_once(';').unwrap_or((text, ""));
        let mut found = Self { name: name.trim().to_ascii_lowercase(), version: None, coder: None };
        while let Some((parameter, after)) = rest.split_once('=') {
            let (value, left) = parameter_value(after);
            let place = match parameter.trim().trim_start_matches(';').trim().to_ascii_lowercase().as_str() {
                "v" => Some(&mut found.version),
                "coder" => Some(&mut found.coder),
                _ => None,
            };
            if let Some(place) = place {
                place.get_or_insert(value);
            }
            rest = left;
        }
        found
    }
}

/// A token, or a quoted string with its escapes undone; and what follows the parameter.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, rest) = text.split_once(';').unwrap_or((text, ""));
        return (token.trim().into(), rest);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, char) in quoted.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                continue;
            }
            '"' => return (value, quoted[at + 1..].split_once(';').map_or("", |(_, rest)| rest)),
            _ => {}
        }
        value.push(char);
    }
    (value, "")
}
