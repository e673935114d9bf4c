//! A client on hyper: HTTP/1.1 without TLS.

use alloc::format;
use alloc::vec::Vec;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT as ACCEPT_HEADER, ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use tokio::time::timeout;

use super::media_type::ACCEPT;
use super::response_stream::{FIRST_READ, ReadOptions, ResponseStream, read_response};
use crate::coder::Decode;
use crate::error::{Cause, EncodeError};
use crate::http_error::TransportError;
use crate::read_json;
use crate::stream_error::{Error, IdleTimeout};

/// Sends requests over HTTP/1.1 without TLS, and keeps connections for later requests. Clones share the connections.
///
/// ```no_run
/// # async fn ask() -> Result<(), objectstreaming::Error> {
/// use objectstreaming::{JsonCoder, http::Client};
///
/// let client = Client::new();
/// let question = serde_json::json!({"question": "What is a frame?"});
/// let mut stream = client.post("http://127.0.0.1:8000/objects").json(&question).send(JsonCoder::new()).await?;
/// while let Some(message) = stream.next().await {
///     let (header, payload) = message?;
///     println!("{header:?} {payload}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    connections: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client without connections. It opens them when requests are sent.
    #[must_use]
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(10)));
        Self { connections: legacy::Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// A POST request, which starts a stream.
    pub fn post(&self, url: &str) -> Request {
        self.request(Method::POST, url)
    }

    /// A GET request, for example to resume a stream: see [`Request::position`].
    pub fn get(&self, url: &str) -> Request {
        self.request(Method::GET, url)
    }

    /// A request with any method.
    pub fn request(&self, method: Method, url: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_HEADER, HeaderValue::from_static(ACCEPT));
        // Compression holds frames back until a block is full, and makes audio larger.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Request {
            client: self.clone(),
            method,
            uri: uri_of(url),
            headers,
            body: Ok(Bytes::new()),
            options: ReadOptions::default(),
        }
    }
}

fn uri_of(url: &str) -> Result<Uri, EncodeError> {
    let uri: Uri = url.parse().map_err(|error| EncodeError::new(format!("{url:?} is not a URL: {error}")))?;
    match uri.scheme_str() {
        Some("http") => Ok(uri),
        Some("https") => Err(EncodeError::new(format!(
            "{url:?} needs TLS, which this client does not have: send the request with another client, for example reqwest, \
             and give its response to objectstreaming::http::read_response"
        ))),
        _ => Err(EncodeError::new(format!("{url:?} does not begin with http://"))),
    }
}

/// A request. [`send`](Self::send) sends it, and returns any error of the methods before it.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    method: Method,
    uri: Result<Uri, EncodeError>,
    headers: HeaderMap,
    body: Result<Bytes, EncodeError>,
    options: ReadOptions,
}

impl Request {
    /// Sets a header. It replaces any header with the same name.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets a JSON body.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        let mut text = Vec::new();
        self.body = read_json::write(&mut text, value).map(|()| text.into());
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    /// Sets a body of any type: encoded frames, a WAV file.
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.body = Ok(body.into());
        self.header(CONTENT_TYPE, content_type)
    }

    /// Asks for the data frames after number `position` of a stream that was cut. Use it with a GET: a second POST would
    /// start another stream.
    pub fn position(self, position: u64) -> Self {
        self.header(HeaderName::from_static("last-event-id"), HeaderValue::from(position))
    }

    /// Sets how the response is read.
    pub fn options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }

    /// Sends the request, and returns the messages of the response. A request is never sent twice.
    ///
    /// # Errors
    /// [`Error::Encode`] for a request that cannot be sent, [`Error::Transport`] if no response was received,
    /// [`Error::IdleTimeout`] if none arrived in time, and the errors of [`read_response`].
    pub async fn send<C: Decode>(self, coder: C) -> Result<ResponseStream<C>, Error> {
        let mut request = http::Request::new(Full::new(self.body?));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri?;
        *request.headers_mut() = self.headers;
        let limit = self.options.idle_timeout.unwrap_or(FIRST_READ);
        let response = timeout(limit, self.client.connections.request(request))
            .await
            .map_err(|_| IdleTimeout::no_response(limit.as_secs_f64()))?
            .map_err(|error| TransportError::new(Cause::new(error)))?;
        read_response(response, coder, self.options).await
    }
}
