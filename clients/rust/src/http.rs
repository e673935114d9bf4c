//! Streams over HTTP (SPEC section 6).
//!
//! The response decides, before a byte of its body: its status, its media type and its parameters are checked, and what
//! is wrong is told with the beginning of the body. Then nothing that ends early looks like an end: a response of version
//! 1 must bring its `end` frame, and a connection that breaks becomes `truncated_frame` inside a frame and
//! `stream_incomplete` between two, after every message that was whole. Once the `end` has come the stream is whole,
//! whatever then happens to the connection.
//!
//! **Silence.** A server of version 1 says in its `open` frame how often it will be heard: three of these heartbeats
//! without a byte mean that it is gone. Only time spent waiting for the network counts: a slow reader is no silence.
//!
//! **Cancelling** is dropping: the stream, or the future that waits for it. The connection is closed then.
//!
//! **TLS**, proxies and redirects are another client's business. [`read_response`] takes the response of any that speaks
//! the `http` crate: hyper with a TLS connector, or reqwest by `http::Response::from(response)`.

mod problem;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http::header::{ACCEPT as ACCEPT_HEADER, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::{Instant, Sleep, sleep, timeout};

pub use problem::{ContentTypeError, ResponseError, TransportError};

use crate::coder::Decode;
use crate::frame::Limits;
use crate::read_json;
use crate::stream_decoder::{Message, StreamDecoder};
use crate::stream_error::{Error, IdleTimeout, StreamIncomplete};

/// The content type of a stream of version 1; it has the parameters `v` and `coder`.
pub const MEDIA_TYPE: &str = "application/vnd.objectstreaming";
/// The content type of a plain stream.
pub const PLAIN_MEDIA_TYPE: &str = "application/octet-stream";
/// What is sent as `Accept` unless the caller says otherwise: version 1, or else plain frames.
pub const ACCEPT: &str = "application/vnd.objectstreaming;v=1, application/octet-stream;q=0.5";

const HEARTBEATS: f64 = 3.0; // one lost to a slow hop, one to a busy server
const FIRST_READ: Duration = Duration::from_secs(60); // a model that thinks outlasts most timeouts
const FOREVER: Duration = Duration::from_secs(1 << 30); // what `Duration::MAX` of a caller comes to
const LONGEST_SILENCE: f64 = 3600.0; // seconds; a peer may promise to be heard once a year
const AFTER_END: Duration = Duration::from_secs(1); // only the end of the body is missing, no message depends on it

/// How a response is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// What is accepted of frames.
    pub limits: Limits,
    /// Whether an answer without an `end` frame is broken. `None` requires it of a response of version 1, and of a plain
    /// one that sends control frames all the same.
    pub require_end: Option<bool>,
    /// How much silence is too much. `None` takes three of the heartbeats that the server announces, and a minute until
    /// it has.
    pub idle_timeout: Option<Duration>,
}

/// Sends requests over plain HTTP/1.1, and keeps connections for the next ones. Cloning shares them.
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
    /// A client of no connections yet.
    #[must_use]
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(10)));
        Self { connections: legacy::Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// A POST, as the question that starts a stream is.
    pub fn post(&self, url: &str) -> Request {
        self.request(Method::POST, url)
    }

    /// A GET, as resuming is: see [`Request::position`].
    pub fn get(&self, url: &str) -> Request {
        self.request(Method::GET, url)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, url: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_HEADER, HeaderValue::from_static(ACCEPT));
        // Compression holds frames back until a block is full, and makes sound larger.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Request {
            client: self.clone(),
            method,
            uri: url.parse().map_err(|error| format!("{url:?} is no URL: {error}")),
            headers,
            body: Ok(Bytes::new()),
            options: ReadOptions::default(),
        }
    }
}

/// A request that is being put together; [`send`](Self::send) sends it. What is wrong with it is told then.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    method: Method,
    uri: Result<Uri, String>,
    headers: HeaderMap,
    body: Result<Bytes, Error>,
    options: ReadOptions,
}

impl Request {
    /// With a header, in the place of any of that name.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With a JSON body.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        let mut text = Vec::new();
        self.body = read_json::write(&mut text, value).map(|()| text.into()).map_err(Error::from);
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    /// With any body: encoded frames, a WAV file.
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.body = Ok(body.into());
        self.header(CONTENT_TYPE, content_type)
    }

    /// Asks for what follows data frame `position` of a stream that was cut. It goes with a GET: repeating the POST
    /// would start another stream.
    pub fn position(self, position: u64) -> Self {
        self.header(HeaderName::from_static("last-event-id"), HeaderValue::from(position))
    }

    /// How the answer is read.
    pub fn options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }

    /// Sends it, and gives the messages of the answer. It is never sent twice.
    ///
    /// # Errors
    /// [`Error::Encode`] for what cannot be sent, [`Error::Transport`] where no response came, and as [`read_response`].
    pub async fn send<C: Decode>(self, coder: C) -> Result<ResponseStream<C>, Error> {
        let uri = self.uri.map_err(TransportError::new)?;
        let mut request = http::Request::new(Full::new(self.body?));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers;
        let limit = self.options.idle_timeout.unwrap_or(FIRST_READ);
        let response = timeout(limit, self.client.connections.request(request))
            .await
            .map_err(|_| IdleTimeout::new(0, limit.as_secs_f64()))?
            .map_err(|error| TransportError::from_source("no response came", error))?;
        read_response(response, coder, self.options).await
    }
}

/// The messages in a response, whoever got it.
///
/// # Errors
/// [`Error::Response`] for a status that is not 2xx, with the problem decoded; [`Error::ContentType`] for a response that
/// is no stream of this coder's frames.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// use http_body_util::Full;
/// use objectstreaming::{JsonCoder, encode_frame, http::{ReadOptions, read_response}};
///
/// let body = Full::new(bytes::Bytes::from(encode_frame(b"{}", b"42")?));
/// let response = http::Response::builder().header("content-type", "application/octet-stream").body(body)?;
/// let mut stream = read_response(response, JsonCoder::new(), ReadOptions::default()).await?;
/// let (header, payload) = stream.next().await.unwrap()?;
/// assert_eq!(payload, 42);
/// assert!(stream.next().await.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn read_response<C, B>(
    response: Response<B>,
    coder: C,
    options: ReadOptions,
) -> Result<ResponseStream<C, B>, Error>
where
    C: Decode,
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    let (parts, mut body) = response.into_parts();
    if !parts.status.is_success() {
        let beginning = problem::beginning(&mut body, problem::PROBLEM_SIZE).await;
        return Err(ResponseError::read(parts.status, beginning).into());
    }
    let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let content_type = String::from_utf8_lossy(content_type).into_owned();
    let media_type = problem::MediaType::read(&content_type);
    if let Some(refusal) = refuse(&media_type, &parts.headers, coder.name()) {
        let beginning = problem::beginning(&mut body, problem::BEGINNING_SIZE).await;
        return Err(ContentTypeError::new(&refusal, content_type, beginning).into());
    }
    let mut decoder = StreamDecoder::new(coder).limits(options.limits);
    let require_end = options.require_end.or((media_type.name == MEDIA_TYPE).then_some(true));
    if let Some(required) = require_end {
        decoder = decoder.require_end(required);
    }
    Ok(ResponseStream {
        status: parts.status,
        headers: parts.headers,
        body,
        decoder,
        chunk: Bytes::new(),
        idle_timeout: options.idle_timeout,
        silence: None,
        waiting: false,
        over: false,
    })
}

/// Why a response is no stream that can be read; `None` if it is one.
fn refuse(media_type: &problem::MediaType, headers: &HeaderMap, coder: &str) -> Option<String> {
    match media_type.name.as_str() {
        "" => return Some("the response has no Content-Type".into()),
        MEDIA_TYPE if media_type.version.as_deref() != Some("1") => {
            return Some(format!("the stream is of version {:?}, this reader knows 1", media_type.version));
        }
        MEDIA_TYPE | PLAIN_MEDIA_TYPE => {}
        other => return Some(format!("the content type is {other:?}")),
    }
    if let Some(theirs) = media_type.coder.as_deref().filter(|theirs| *theirs != coder) {
        return Some(format!("the stream's coder is {theirs:?}, this reader's {coder:?}"));
    }
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim());
    encoding
        .filter(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity"))
        .map(|encoding| format!("its Content-Encoding is {encoding:?}, which is not read here"))
}

/// The messages of one response, in order, as they arrive. It is a [`Stream`] too.
///
/// After [`Error::Payload`] the next message can be asked for; every other error is the last item.
pub struct ResponseStream<C: Decode, B = Incoming> {
    status: StatusCode,
    headers: HeaderMap,
    body: B,
    decoder: StreamDecoder<C>,
    chunk: Bytes,
    idle_timeout: Option<Duration>,
    silence: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    over: bool,
}

// Nothing in it is pinned in place: the body is asked for `Unpin`, the timer has a box.
impl<C: Decode, B> Unpin for ResponseStream<C, B> {}

impl<C, B> ResponseStream<C, B>
where
    C: Decode,
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers of the response.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// How many messages have come, those not readable included: what to resume from.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.decoder.position()
    }

    /// What the server sent with the end of the stream; `None` before it came, or of a plain stream.
    #[must_use]
    pub fn trailers(&self) -> Option<&Map<String, Value>> {
        self.decoder.trailers()
    }

    /// What the server sent with the `open` frame, which comes before the first message.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        self.decoder.metadata()
    }

    /// The seconds within which the server promised to be heard, once its `open` frame has come.
    #[must_use]
    pub fn heartbeat(&self) -> Option<f64> {
        self.decoder.heartbeat()
    }

    /// The next message; `None` after the last, which is sure to be the last where the server speaks version 1. May be
    /// cancelled: no message is lost by it.
    pub async fn next(&mut self) -> Option<Result<Message<C>, Error>> {
        poll_fn(|context| self.poll_message(context)).await
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message<C>, Error>>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            let mut input = &self.chunk[..];
            let found = self.decoder.next_from(&mut input);
            let taken = self.chunk.len() - input.len();
            self.chunk.advance(taken);
            match found {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) => {}
                Err(error) => {
                    self.over = !matches!(error, Error::Payload(_));
                    return Poll::Ready(Some(Err(error)));
                }
            }
            let failure = match ready!(self.poll_body(context)) {
                Read::Chunk(chunk) => {
                    self.chunk = chunk;
                    continue;
                }
                Read::End => self.decoder.finish().err(),
                _ if self.decoder.ended() && self.decoder.buffered() == 0 => None,
                Read::Silence(seconds) => Some(IdleTimeout::new(self.position(), seconds).into()),
                Read::Cut(reason) => Some(match self.decoder.finish() {
                    Err(error @ Error::Frame(_)) => error,
                    _ => StreamIncomplete::cut(self.position(), &reason).into(),
                }),
            };
            self.over = true;
            return Poll::Ready(failure.map(Err));
        }
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Read> {
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = false;
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) if !chunk.is_empty() => return Poll::Ready(Read::Chunk(chunk)),
                    _ => {} // HTTP's own trailers
                },
                Some(Err(error)) => return Poll::Ready(Read::Cut(error.to_string())),
                None => return Poll::Ready(Read::End),
            }
        }
        let limit = self.limit();
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.waiting {
            self.waiting = true;
            let now = Instant::now();
            silence.as_mut().reset(now.checked_add(limit).unwrap_or(now + FOREVER));
        }
        ready!(silence.as_mut().poll(context));
        Poll::Ready(Read::Silence(limit.as_secs_f64()))
    }

    fn limit(&self) -> Duration {
        if self.decoder.ended() {
            return AFTER_END;
        }
        let announced = |seconds: f64| Duration::from_secs_f64((HEARTBEATS * seconds).min(LONGEST_SILENCE));
        self.idle_timeout.or(self.decoder.heartbeat().map(announced)).unwrap_or(FIRST_READ)
    }
}

/// What the connection has to say.
enum Read {
    Chunk(Bytes),
    End,
    Cut(String),
    Silence(f64),
}

impl<C, B> Stream for ResponseStream<C, B>
where
    C: Decode,
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    type Item = Result<Message<C>, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(context)
    }
}

impl<C: Decode, B> fmt::Debug for ResponseStream<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStream")
            .field("status", &self.status)
            .field("decoder", &self.decoder)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
