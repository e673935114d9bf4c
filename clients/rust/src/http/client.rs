//! Requests. The client is hyper, with HTTP/1.1 and without TLS, or any other.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT as ACCEPT_HEADER, ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use tokio::time::timeout;

use super::body::{Body, BoxError};
use super::media_type::ACCEPT;
use super::problem;
use super::response_stream::{self, FIRST_READ, ReadOptions, ResponseStream};
use super::resumption::Place;
use super::uri;
use crate::coder::Decode;
use crate::error::{Cause, EncodeError};
use crate::http_error::TransportError;
use crate::read_json;
use crate::stream_error::{Error, IdleTimeout};

pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Sends requests, and keeps connections for later requests. Clones share the connections.
///
/// [`Client::new`] sends over HTTP/1.1 without TLS, [`Client::from_fn`] with any other client.
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
#[derive(Clone)]
pub struct Client {
    send: Arc<dyn Fn(http::Request<Body>) -> Sending + Send + Sync>,
    tls: bool,
}

type Sending = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

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
        let connections = legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
        Self { tls: false, ..Self::from_fn(move |request| connections.request(request)) }
    }

    /// A client that sends with `send`: hyper with a TLS connector, a tower service, a test.
    ///
    /// ```
    /// use objectstreaming::{JsonCoder, encode_frame, http::{Body, Client}};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # runtime.block_on(async {
    /// let client = Client::from_fn(|request| async move {
    ///     assert_eq!(request.uri(), "https://example.org/");
    ///     let body = Body::from(encode_frame(b"{}", b"42").unwrap());
    ///     http::Response::builder().header("content-type", "application/octet-stream").body(body)
    /// });
    /// let mut stream = client.get("https://example.org/").send(JsonCoder::new()).await?;
    /// assert_eq!(stream.next().await.unwrap()?.1, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_fn<F, R, B, E>(send: F) -> Self
    where
        F: Fn(http::Request<Body>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
        E: Into<BoxError>,
    {
        let send = move |request| -> Sending {
            let sending = send(request);
            Box::pin(async move { sending.await.map(|response| response.map(Body::new)).map_err(Into::into) })
        };
        Self { send: Arc::new(send), tls: true }
    }

    /// A POST request, which starts a stream.
    pub fn post(&self, url: &str) -> Request {
        self.request(Method::POST, url)
    }

    /// A GET request.
    pub fn get(&self, url: &str) -> Request {
        self.request(Method::GET, url)
    }

    /// A request for the rest of a stream of another time, from the place that [`ResumingStream::place`](super::ResumingStream::place) told.
    pub fn resume(&self, place: &Place) -> Request {
        Request { place: Some(place.clone()), ..self.get(place.url()).position(place.position()) }
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
            uri: uri_of(url, self.tls),
            headers,
            body: Ok(Body::default()),
            options: ReadOptions::default(),
            place: None,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

fn uri_of(url: &str, tls: bool) -> Result<Uri, EncodeError> {
    let uri: Uri = url.parse().map_err(|error| EncodeError::new(format!("{url:?} is not a URL: {error}")))?;
    match uri.scheme_str() {
        Some("http") => Ok(uri),
        Some("https") if tls => Ok(uri),
        Some("https") => Err(EncodeError::new(format!(
            "{url:?} needs TLS, which this client does not have: use objectstreaming::http::Client::from_fn with a client \
             that has it, or the feature reqwest, or give the response of another client to \
             objectstreaming::http::read_response"
        ))),
        _ => Err(EncodeError::new(format!("{url:?} does not begin with http://"))),
    }
}

/// A request. [`send`](Self::send) sends it, and returns any error of the methods before it.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(super) client: Client,
    pub(super) headers: HeaderMap,
    pub(super) options: ReadOptions,
    method: Method,
    uri: Result<Uri, EncodeError>,
    body: Result<Body, EncodeError>,
    pub(super) place: Option<Place>,
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
        self.body = read_json::write(&mut text, value).map(|()| Body::from(text));
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    /// Sets a body of any type: encoded frames, a WAV file, or chunks of [`Body::from_stream`].
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Body>) -> Self {
        self.body = Ok(body.into());
        self.header(CONTENT_TYPE, content_type)
    }

    /// Asks for the data frames after number `position` of a stream that was cut. Use it with a GET: a second POST would
    /// start another stream.
    pub fn position(self, position: u64) -> Self {
        self.header(LAST_EVENT_ID, HeaderValue::from(position))
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
    /// [`Error::IdleTimeout`] if none arrived in time, and the errors of [`read_response`](super::read_response).
    pub async fn send<C: Decode>(self, coder: C) -> Result<ResponseStream<C>, Error> {
        let options = self.options;
        Ok(self.open(coder.name(), true).await?.read(coder, options).0)
    }

    /// Sends the request. The response is a stream of this coder, which may be `plain` or not.
    pub(super) fn open(self, coder: &'static str, plain: bool) -> Opening {
        Box::pin(async move {
            let (response, base) = self.response().await?;
            let (response, require_end) = response_stream::check(response, coder, plain).await?;
            Ok(Opened { response, require_end, base })
        })
    }

    /// Sends the request. The status is 2xx. Beside the response: its URL, unless a redirect has led to another origin.
    pub(super) async fn response(self) -> Result<(Response<Body>, Option<Uri>), Error> {
        let uri = self.uri?;
        let mut request = http::Request::new(self.body?);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers;
        let limit = self.options.idle_timeout.unwrap_or(FIRST_READ);
        let response = timeout(limit, (self.client.send)(request))
            .await
            .map_err(|_| IdleTimeout::no_response(limit.as_secs_f64()))?
            .map_err(|error| TransportError::new(Cause::new(error)))?;
        if !response.status().is_success() {
            let (parts, mut body) = response.into_parts();
            return Err(problem::response_error(parts.status, parts.headers, &mut body).await.into());
        }
        let base = match response.extensions().get() {
            Some(FinalUrl(url)) => uri::same_origin(&uri, url).then(|| url.clone()),
            None => Some(uri),
        };
        Ok((response, base))
    }
}

/// Where redirects have led, as an extension of a response. For a client that follows them.
#[derive(Clone)]
#[cfg_attr(not(feature = "reqwest"), allow(dead_code))] // so old compilers say
pub(super) struct FinalUrl(pub(super) Uri);

/// A response that is a stream of the coder that was asked for.
pub(super) struct Opened {
    response: Response<Body>,
    require_end: Option<bool>,
    base: Option<Uri>,
}

pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send>>;

impl Opened {
    pub(super) fn read<C: Decode>(self, coder: C, options: ReadOptions) -> (ResponseStream<C>, Option<Uri>) {
        (ResponseStream::new(self.response, coder, options, self.require_end), self.base)
    }
}
