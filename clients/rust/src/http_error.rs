//! Errors of HTTP, as plain data: [`http`](crate::http) makes them, and [`Error`](crate::Error) holds them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::error::Cause;
use crate::peer_error::{Code, StreamError};

/// A response with a status that is not 2xx, its problem decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseError {
    status: StatusCode,
    headers: Box<HeaderMap>, // boxed, because every Result of a stream has room for this error
    error: StreamError,
    body: Vec<u8>,
}

impl ResponseError {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, error: StreamError, body: Vec<u8>) -> Self {
        Self { status, headers: Box::new(headers), error, body }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers of the response.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// How long the server asks to wait before the next request: its `Retry-After`, in seconds or as a date.
    ///
    /// A date is compared with the response's own `Date`, whose clock it was made by, or else with this machine's.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let given = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Duration::from_secs(given.parse().unwrap_or(u64::MAX)));
        }
        let date = httpdate::parse_http_date(given).ok()?;
        let now = self.headers.get(DATE).and_then(|now| httpdate::parse_http_date(now.to_str().ok()?).ok());
        Some(date.duration_since(now.unwrap_or_else(SystemTime::now)).unwrap_or_default())
    }

    /// The code that the body names, or else the one that fits the status.
    #[must_use]
    pub fn code(&self) -> Code {
        self.error.code()
    }

    /// The message for people. May be empty.
    #[must_use]
    pub fn message(&self) -> &str {
        self.error.message()
    }

    /// The details for programs.
    #[must_use]
    pub fn details(&self) -> Option<&Value> {
        self.error.details()
    }

    /// The beginning of the body.
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

/// A successful response that is not a stream of frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentTypeError {
    message: String,
    content_type: String,
    beginning: Vec<u8>,
}

impl ContentTypeError {
    pub(crate) fn new(message: String, content_type: String, beginning: Vec<u8>) -> Self {
        Self { message, content_type, beginning }
    }

    /// `unexpected_content_type`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "unexpected_content_type"
    }

    /// The `Content-Type` of the response. Empty if there was none.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The beginning of the body.
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

/// No response was received. `source()` is the error of the client that sent the request.
#[derive(Clone, Debug)]
pub struct TransportError {
    cause: Cause,
}

impl TransportError {
    pub(crate) fn new(cause: Cause) -> Self {
        Self { cause }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no response was received")
    }
}

impl core::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.cause.source()
    }
}
