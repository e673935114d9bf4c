//! A stream over several responses (SPEC section 6.3). The rules are in `resumption`; here is what waits and reads.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::Stream;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Map, Value};
use tokio::time::{Instant, Sleep, sleep};

use super::client::{Client, LAST_EVENT_ID, Opened, Opening, Request};
use super::response_stream::{ReadOptions, ResponseStream};
use super::resumption::{Place, Resumption};
use super::uri;
use crate::coder::Decode;
use crate::error::EncodeError;
use crate::stream_decoder::Message;
use crate::stream_error::Error;

impl Request {
    /// Sends the request, and returns the messages of the stream that it starts, over as many responses as it takes: when
    /// the connection breaks or falls silent, the rest is asked for with GET, if the server keeps the stream. This request
    /// is never sent twice, because it may have started something. Its headers are sent with every request.
    ///
    /// How long a stream may be out of reach is [`ReadOptions::patience`].
    ///
    /// # Errors
    /// As [`send`](Self::send). A request of [`Client::resume`] is tried again where the server is out of reach.
    pub async fn send_resuming<C: Decode + Clone>(self, coder: C) -> Result<ResumingStream<C>, Error> {
        let again = Again::new(&self, coder.name());
        if let Some(place) = &self.place {
            return ResumingStream::begin_at(coder, again, place).await;
        }
        let opened = self.open(coder.name(), true).await?;
        Ok(ResumingStream::begin(coder, again, opened))
    }
}

/// What asks for the rest of a stream, and stops it: the first request without its body.
#[derive(Clone, Debug)]
pub(super) struct Again {
    client: Client,
    headers: HeaderMap,
    options: ReadOptions,
    coder: &'static str,
}

impl Again {
    pub(super) fn new(request: &Request, coder: &'static str) -> Self {
        let mut headers = request.headers.clone();
        for name in [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, LAST_EVENT_ID] {
            headers.remove(name);
        }
        Self { client: request.client.clone(), headers, options: request.options, coder }
    }

    fn request(&self, method: Method, place: &Place) -> Request {
        let mut request = self.client.request(method, place.url()).options(self.options);
        request.headers.clone_from(&self.headers);
        request
    }

    fn rest(&self, place: &Place) -> Opening {
        self.request(Method::GET, place).position(place.position()).open(self.coder, false)
    }
}

/// The messages of one stored stream, in order, over as many responses as it takes. It is a [`Stream`] too. From
/// [`Request::send_resuming`].
///
/// Dropping it leaves the stream, which goes on at the server; [`stop`](Self::stop) ends it for everybody. A pause before
/// the next attempt ends at once when the stream, or the future that waits for it, is dropped. For a handle that another
/// task can use, there is `futures_util::stream::abortable`.
///
/// After [`Error::Payload`] the next message can be read. Every other error is the last item.
pub struct ResumingStream<C: Decode> {
    coder: C,
    again: Again,
    resumption: Resumption,
    state: State,
    stream: ResponseStream<C>, // of the response that is read, or was read last
    base: Option<Uri>,         // of that response, until its `open` frame was looked at
}

enum State {
    Reading,
    Pause(Pin<Box<Sleep>>),
    Opening(Opening),
    Over,
}

// Nothing inside is pinned that is not in a box.
impl<C: Decode> Unpin for ResumingStream<C> {}

impl<C: Decode + Clone> ResumingStream<C> {
    /// A stream that begins with this response.
    pub(super) fn begin(coder: C, again: Again, opened: Opened) -> Self {
        let resumption = Resumption::new(again.options.patience, None);
        Self::read(coder, again, resumption, opened)
    }

    /// A stream of another time. Where the server is out of reach, it is asked again.
    pub(super) async fn begin_at(coder: C, again: Again, place: &Place) -> Result<Self, Error> {
        let mut resumption = Resumption::new(again.options.patience, Some(place));
        loop {
            match again.rest(place).await {
                Ok(opened) => return Ok(Self::read(coder, again, resumption, opened)),
                Err(error) => match resumption.wait_after(&error, Instant::now()) {
                    Some(pause) => sleep(pause).await,
                    None => return Err(error),
                },
            }
        }
    }

    fn read(coder: C, again: Again, mut resumption: Resumption, opened: Opened) -> Self {
        resumption.opened(Instant::now());
        let (stream, base) = opened.read(coder.clone(), again.options);
        Self { coder, again, resumption, state: State::Reading, stream, base }
    }

    /// The next message. `None` after the last one; the stream is then known to be whole. If the future is cancelled, no
    /// message is lost, and a pause that has begun goes on with the next call.
    pub async fn next(&mut self) -> Option<Result<Message<C>, Error>> {
        poll_fn(|context| self.poll_message(context)).await
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message<C>, Error>>> {
        loop {
            let last = match ready!(self.poll_response(context)) {
                Ok(false) => return Poll::Ready(None),
                Ok(true) => {
                    let item = self.stream.poll_message(context);
                    self.look();
                    let position = self.stream.position();
                    match ready!(item) {
                        None => self.resumption.ended(position).err(),
                        Some(item @ (Ok(_) | Err(Error::Payload(_)))) => match self.resumption.is_new(position) {
                            Ok(true) => return Poll::Ready(Some(item)),
                            Ok(false) => continue,
                            Err(error) => Some(error),
                        },
                        Some(Err(error)) => match self.pause_after(error) {
                            Ok(()) => continue,
                            Err(error) => Some(error),
                        },
                    }
                }
                Err(error) => Some(error),
            };
            self.state = State::Over;
            self.stream.close();
            return Poll::Ready(last.map(Err));
        }
    }

    /// Ready with whether there is a response to read, or with the error that is final.
    fn poll_response(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        loop {
            match &mut self.state {
                State::Reading => return Poll::Ready(Ok(true)),
                State::Over => return Poll::Ready(Ok(false)),
                State::Pause(pause) => {
                    ready!(pause.as_mut().poll(context));
                    self.state = match self.resumption.place() {
                        Some(place) => State::Opening(self.again.rest(&place)),
                        None => State::Over,
                    };
                }
                State::Opening(opening) => match ready!(opening.as_mut().poll(context)) {
                    Ok(opened) => {
                        self.resumption.opened(Instant::now());
                        (self.stream, self.base) = opened.read(self.coder.clone(), self.again.options);
                        self.state = State::Reading;
                    }
                    Err(error) => self.pause_after(error)?,
                },
            }
        }
    }

    /// Closes the connection and begins a pause. An error is final.
    fn pause_after(&mut self, error: Error) -> Result<(), Error> {
        let Some(pause) = self.resumption.wait_after(&error, Instant::now()) else { return Err(error) };
        self.stream.close();
        self.state = State::Pause(Box::pin(sleep(pause)));
        Ok(())
    }

    /// Takes the place that the current response has told, once.
    fn look(&mut self) {
        if let (Some(base), Some(reference)) = (&self.base, self.stream.resume()) {
            if let Some(uri) = uri::resolve(base, reference) {
                self.resumption.url = Some(uri.to_string());
            }
            self.base = None;
        }
    }
}

impl<C: Decode> ResumingStream<C> {
    /// Where to go on after a restart, with [`Client::resume`]. `None` while the server has not said that the stream can
    /// be resumed.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.resumption.place()
    }

    /// Ends the stream for everybody, at the server, with DELETE. Its readers get an error with the code `canceled`. The
    /// future does not borrow the stream, so that another task can await it.
    ///
    /// # Errors
    /// [`Error::Encode`] if the server has not said that the stream goes on without its reader; dropping the stream is
    /// enough then. [`Error::Response`], [`Error::Transport`] and [`Error::IdleTimeout`] as for any request.
    pub fn stop(&self) -> impl Future<Output = Result<(), Error>> + Send + use<C> {
        let request = self.place().map(|place| self.again.request(Method::DELETE, &place)).ok_or_else(|| {
            EncodeError::new("the stream does not go on without its reader: drop it instead of stopping it".to_string())
        });
        async { request?.response().await.map(drop) }
    }

    /// The number of data frames of the stream that have come, those with a refused payload included.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.resumption.position
    }

    /// The status of the response that is read, or was read last.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.stream.status()
    }

    /// The headers of the response that is read, or was read last.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.stream.headers()
    }

    /// The trailers of the `end` frame. `None` before the end.
    #[must_use]
    pub fn trailers(&self) -> Option<&Map<String, Value>> {
        self.stream.trailers()
    }

    /// The metadata of the `open` frame.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        self.stream.metadata()
    }

    /// The heartbeat in seconds that the `open` frame announced.
    #[must_use]
    pub fn heartbeat(&self) -> Option<f64> {
        self.stream.heartbeat()
    }
}

impl<C: Decode + Clone> Stream for ResumingStream<C> {
    type Item = Result<Message<C>, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(context)
    }
}

impl<C: Decode> fmt::Debug for ResumingStream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumingStream")
            .field("resumption", &self.resumption)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
