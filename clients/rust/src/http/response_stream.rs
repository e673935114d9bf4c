//! The messages of a response.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};
use tokio::time::{Instant, Sleep, sleep};

use super::body::Body;
use super::media_type::{MEDIA_TYPE, MediaType};
use super::problem;
use crate::coder::Decode;
use crate::error::Cause;
use crate::frame::Limits;
use crate::stream_decoder::{Message, StreamDecoder};
use crate::stream_error::{Error, IdleTimeout, StreamIncomplete};

/// The timeout before the server has announced a heartbeat. It is long, because a model may need time for its first word.
pub(super) const FIRST_READ: Duration = Duration::from_secs(60);

const HEARTBEATS: f64 = 3.0; // one may be lost on a slow network, one to a busy server
const FOREVER: Duration = Duration::from_secs(1 << 30); // used for a `Duration::MAX` of the caller
const LONGEST_SILENCE: f64 = 3600.0; // seconds; the upper bound, whatever heartbeat the server announces
const AFTER_END: Duration = Duration::from_secs(1); // only the end of the body is missing, no message depends on it

/// How a response is read.
///
/// ```
/// use std::time::Duration;
/// use objectstreaming::http::ReadOptions;
///
/// let options = ReadOptions::default().idle_timeout(Duration::from_secs(90)).require_end(true);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The limits of frames and headers.
    pub limits: Limits,
    /// Whether a response without an `end` frame is an error. `None`: it is for a response of version 1, and for a plain
    /// response that contains a control frame.
    pub require_end: Option<bool>,
    /// How long to wait for the next byte. `None`: three of the heartbeats that the server announces, and one minute
    /// before it has announced them.
    pub idle_timeout: Option<Duration>,
    /// How long a stream that is resumed may be out of reach. `None`: five minutes. See
    /// [`Request::send_resuming`](super::Request::send_resuming).
    pub patience: Option<Duration>,
}

impl ReadOptions {
    /// Sets the limits of frames and headers.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets whether a response without an `end` frame is an error.
    #[must_use]
    pub fn require_end(mut self, required: bool) -> Self {
        self.require_end = Some(required);
        self
    }

    /// Sets how long to wait for the next byte.
    #[must_use]
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit);
        self
    }

    /// Sets how long a stream that is resumed may be out of reach.
    #[must_use]
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = Some(limit);
        self
    }
}

/// The messages of a response of any client.
///
/// # Errors
/// [`Error::Response`] for a status that is not 2xx, with the problem decoded; [`Error::ContentType`] for a response that
/// is not a stream of this coder.
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
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
{
    let (response, require_end) = check(response, coder.name(), true).await?;
    Ok(ResponseStream::new(response, coder, options, require_end))
}

/// Checks that a response is a stream of this coder. Beside it: whether its media type requires an end. The rest of a
/// stream may not be `plain`: that says neither where it begins nor that it is whole.
pub(super) async fn check<B>(
    response: Response<B>,
    coder: &str,
    plain: bool,
) -> Result<(Response<B>, Option<bool>), Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let (parts, mut body) = response.into_parts();
    if !parts.status.is_success() {
        return Err(problem::response_error(parts.status, parts.headers, &mut body).await.into());
    }
    let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let content_type = String::from_utf8_lossy(content_type).into_owned();
    let media_type = MediaType::read(&content_type);
    let mut refusal = media_type.refuse(&parts.headers, coder);
    if !plain && media_type.name != MEDIA_TYPE {
        refusal.get_or_insert_with(|| "the rest of a stream is not plain".into());
    }
    if let Some(refusal) = refusal {
        return Err(problem::content_type_error(&refusal, plain, content_type, &mut body).await.into());
    }
    Ok((Response::from_parts(parts, body), (media_type.name == MEDIA_TYPE).then_some(true)))
}

/// The messages of one response, in order, as they arrive. It is a [`Stream`] too.
///
/// After [`Error::Payload`] the next message can be read. Every other error is the last item.
pub struct ResponseStream<C: Decode, B = Body> {
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

// Nothing inside is pinned: the body must be `Unpin`, and the timer is in a box.
impl<C: Decode, B> Unpin for ResponseStream<C, B> {}

impl<C, B> ResponseStream<C, B>
where
    C: Decode,
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
{
    pub(super) fn new(response: Response<B>, coder: C, options: ReadOptions, require_end: Option<bool>) -> Self {
        let (parts, body) = response.into_parts();
        let mut decoder = StreamDecoder::new(coder).limits(options.limits);
        if let Some(required) = options.require_end.or(require_end) {
            decoder = decoder.require_end(required);
        }
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
            decoder,
            chunk: Bytes::new(),
            idle_timeout: options.idle_timeout,
            silence: None,
            waiting: false,
            over: false,
        }
    }

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

    /// The number of messages received, those with a refused payload included: the position to resume from.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.decoder.position()
    }

    /// The trailers of the `end` frame. `None` before the end, and for a plain stream.
    #[must_use]
    pub fn trailers(&self) -> Option<&Map<String, Value>> {
        self.decoder.trailers()
    }

    /// The metadata of the `open` frame, which comes before the first message.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        self.decoder.metadata()
    }

    /// The heartbeat in seconds that the `open` frame announced: the server sends something at least this often.
    #[must_use]
    pub fn heartbeat(&self) -> Option<f64> {
        self.decoder.heartbeat()
    }

    /// The URI reference at which the stream can be picked up (SPEC section 6.3), once the `open` frame has told it.
    #[must_use]
    pub fn resume(&self) -> Option<&str> {
        self.decoder.resume()
    }

    /// The next message. `None` after the last one; a stream of version 1 is then known to be whole. No message is lost if
    /// the future is cancelled.
    pub async fn next(&mut self) -> Option<Result<Message<C>, Error>> {
        poll_fn(|context| self.poll_message(context)).await
    }

    pub(super) fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message<C>, Error>>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            match self.decoder.next_from_bytes(&mut self.chunk) {
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
                Read::Silence(seconds) => Some(IdleTimeout::silence(seconds, self.position()).into()),
                Read::Cut(cause) => Some(match self.decoder.finish() {
                    Err(Error::Frame(error)) => error.caused_by(cause).into(),
                    _ => StreamIncomplete::cut(self.position(), cause).into(),
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
                    _ => {} // the trailers of HTTP
                },
                Some(Err(error)) => return Poll::Ready(Read::Cut(Cause::new(error))),
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

impl<C: Decode> ResponseStream<C> {
    /// Closes the connection, unless the response was read to its end.
    pub(super) fn close(&mut self) {
        self.over = true;
        self.body = Body::default();
    }
}

/// The result of waiting for the body.
enum Read {
    Chunk(Bytes),
    End,
    Cut(Cause),
    Silence(f64),
}

impl<C, B> Stream for ResponseStream<C, B>
where
    C: Decode,
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
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
