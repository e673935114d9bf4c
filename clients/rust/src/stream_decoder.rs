//! Reads streams, version 1: messages and control frames (SPEC section 3).
//!
//! **Theory of operation.** A plain stream has data frames only, and its end cannot be told from a cut. Version 1 adds
//! control frames. `open` may come first and `ping` at any time. `end` comes once, last, and has the number of data
//! frames. The order is the table of [`state`](crate::state).

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde_json::{Map, Value};

use crate::coder::{Decode, Refusal};
use crate::control::{CONTROL, Control};
use crate::decoder::FrameDecoder;
use crate::error::{FrameError, FrameErrorKind};
use crate::frame::{Frame, Layout, Limits};
use crate::state::{Event, State};
use crate::stream_error::{Error, PayloadError, ProtocolError, ProtocolErrorKind, StreamIncomplete};

/// Reads one stream: bytes in, in chunks of any size; messages out. Control frames are handled inside.
///
/// ```
/// use objectstreaming::{End, JsonCoder, Open, StreamDecoder, StreamEncoder};
/// use serde_json::json;
///
/// let mut encoder = StreamEncoder::new(JsonCoder::new());
/// let mut wire = encoder.open(Open::default())?;
/// wire.extend(encoder.data(&json!({"n": 1}), &json!("hello"))?);
/// wire.extend(encoder.end(End::trailers(json!({"tokens": 1})))?);
///
/// let mut decoder = StreamDecoder::new(JsonCoder::new());
/// for message in decoder.feed(&wire) {
///     let (header, payload) = message?;
///     assert_eq!((&header["n"], payload), (&json!(1), json!("hello")));
/// }
/// decoder.finish()?;
/// assert_eq!(decoder.trailers().unwrap()["tokens"], 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StreamDecoder<C: Decode> {
    coder: C,
    frames: FrameDecoder,
    order: C::Order,
    require_end: Option<bool>,
    state: State,
    received: u64, // data frames of this response
    before: u64,   // data frames of the stream that come before this response
    resume: Option<String>,
    controlled: bool,
    finished: bool,
    failed: Option<Error>,
    heartbeat: Option<f64>,
    metadata: Map<String, Value>,
    trailers: Option<Map<String, Value>>,
}

/// A header and a payload, as the coder has them.
pub type Message<C> = (<C as Decode>::Header, <C as Decode>::Payload);

impl<C: Decode> StreamDecoder<C> {
    /// A decoder with the default limits, that requires an end once a control frame was seen.
    #[must_use]
    pub fn new(coder: C) -> Self {
        Self {
            coder,
            frames: FrameDecoder::new(),
            order: C::Order::default(),
            require_end: None,
            state: State::Start,
            received: 0,
            before: 0,
            resume: None,
            controlled: false,
            finished: false,
            failed: None,
            heartbeat: None,
            metadata: Map::new(),
            trailers: None,
        }
    }

    /// Sets the limits. Call it before the first byte.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.frames = FrameDecoder::with(limits, Layout::default());
        self
    }

    /// Sets whether a stream without an `end` frame is an error. By default it is one if the stream has a control frame,
    /// because it is then a stream of version 1.
    #[must_use]
    pub fn require_end(mut self, required: bool) -> Self {
        self.require_end = Some(required);
        self
    }

    /// The number of data frames of the stream up to here, those before a resumed response included: what to resume from.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.before.saturating_add(self.received)
    }

    /// The number of bytes of the frames so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.frames.offset()
    }

    /// The number of bytes held: of a frame that is not whole yet, and of messages that were not read yet.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.frames.buffered()
    }

    /// Whether the `end` frame was received, and was valid.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.trailers.is_some()
    }

    /// The trailers of the `end` frame, empty if it had none. `None` before the end.
    #[must_use]
    pub fn trailers(&self) -> Option<&Map<String, Value>> {
        self.trailers.as_ref()
    }

    /// The metadata of the `open` frame.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        &self.metadata
    }

    /// The URI reference at which the stream can be picked up (SPEC section 6.3).
    #[must_use]
    pub fn resume(&self) -> Option<&str> {
        self.resume.as_deref()
    }

    /// The heartbeat in seconds that the `open` frame announced: the peer sends something at least this often.
    #[must_use]
    pub fn heartbeat(&self) -> Option<f64> {
        self.heartbeat
    }

    /// Takes a chunk, and returns an iterator over the messages that are now whole: first all valid messages, then the
    /// error, if there is one. Messages that are not read from the iterator stay in the decoder.
    ///
    /// After [`Error::Payload`] the iterator continues. After every other error the decoder has failed, and returns the same
    /// error again.
    ///
    /// # Panics
    /// If [`finish`](Self::finish) was called before.
    pub fn feed<'a>(&'a mut self, chunk: &'a [u8]) -> Messages<'a, C> {
        assert!(!self.finished, "feed() after finish(): the stream has ended");
        Messages { decoder: self, chunk, failed: false }
    }

    /// The next message. Its bytes are removed from the front of `input`. `None`: all of `input` was taken, and more bytes
    /// are needed. The other methods are built on this one.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    ///
    /// # Panics
    /// If [`finish`](Self::finish) was called before and `input` is not empty.
    pub fn next_from(&mut self, input: &mut &[u8]) -> Result<Option<Message<C>>, Error> {
        self.next_of(|frames| frames.next_from(input))
    }

    /// [`next_from`](Self::next_from) without a copy: see [`FrameDecoder::next_from_bytes`].
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    ///
    /// # Panics
    /// As [`next_from`](Self::next_from).
    #[cfg(feature = "bytes")]
    pub fn next_from_bytes(&mut self, input: &mut bytes::Bytes) -> Result<Option<Message<C>>, Error> {
        self.next_of(|frames| frames.next_from_bytes(input))
    }

    #[inline]
    fn next_of(
        &mut self,
        next: impl FnMut(&mut FrameDecoder) -> Result<Option<Frame>, FrameError>,
    ) -> Result<Option<Message<C>>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let found = self.find(next);
        if let Err(error) = &found {
            if !matches!(error, Error::Payload(_)) {
                self.failed = Some(error.clone());
            }
        }
        found
    }

    /// The next message that was not read from the iterator of [`feed`](Self::feed).
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn next_message(&mut self) -> Result<Option<Message<C>>, Error> {
        self.next_from(&mut &[][..])
    }

    /// Tells the decoder that no more bytes will come.
    ///
    /// Messages that were not read yet can still be read with [`next_message`](Self::next_message), which returns the error
    /// after them.
    ///
    /// # Errors
    /// [`FrameErrorKind::TruncatedFrame`](crate::FrameErrorKind::TruncatedFrame) inside a frame, [`Error::Incomplete`] if
    /// the end is missing.
    pub fn finish(&mut self) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.finished = true;
        let finished = self.frames.finish().map_err(Error::from).and_then(|()| match self.frames.buffered() {
            0 => self.complete(),
            _ => Ok(()),
        });
        if let Err(error) = &finished {
            self.failed = Some(error.clone());
        }
        finished
    }

    #[inline]
    fn find(
        &mut self,
        mut next: impl FnMut(&mut FrameDecoder) -> Result<Option<Frame>, FrameError>,
    ) -> Result<Option<Message<C>>, Error> {
        while let Some(frame) = next(&mut self.frames)? {
            if frame.header_bytes().starts_with(CONTROL) {
                self.control(&frame)?;
            } else {
                return self.data(frame).map(Some);
            }
        }
        if self.finished {
            self.complete()?;
        }
        Ok(None)
    }

    /// An error if the stream may not end here, between two frames.
    pub(crate) fn complete(&self) -> Result<(), Error> {
        if self.require_end.unwrap_or(self.controlled) && !self.ended() {
            return Err(StreamIncomplete::new(self.position()).into());
        }
        Ok(())
    }

    fn data(&mut self, frame: Frame) -> Result<Message<C>, Error> {
        let (index, offset) = (frame.index(), frame.offset());
        self.step(Event::Data, index)?;
        self.received += 1;
        let message = self.coder.decode(frame).map_err(|refusal| match refusal {
            Refusal::Header(reason) => {
                let message = format!("the header is not what the coder {} reads: {reason}", self.coder.name());
                Error::Frame(FrameError::new(FrameErrorKind::InvalidHeader, index, offset, message))
            }
            Refusal::Payload(reason) => {
                // The order of this frame is not known: the next frame may have any, as in a resumed stream.
                self.order = C::Order::default();
                let message = format!("the payload is not what the coder {} reads: {reason}", self.coder.name());
                Error::Payload(PayloadError::new(index, offset, message))
            }
        })?;
        self.coder
            .follow(&mut self.order, &message.0)
            .map_err(|reason| ProtocolError::new(ProtocolErrorKind::OrderGap, index, reason))?;
        Ok(message)
    }

    fn step(&mut self, event: Event, index: u64) -> Result<(), ProtocolError> {
        let Some(after) = self.state.after(event) else {
            let event = event.name();
            let (kind, message) = match self.state {
                State::Ended => {
                    (ProtocolErrorKind::FrameAfterEnd, format!("a {event} frame after the end of the stream"))
                }
                _ => (ProtocolErrorKind::InvalidControl, format!("{event} in a stream that has begun already")),
            };
            return Err(ProtocolError::new(kind, index, message));
        };
        self.state = after;
        Ok(())
    }

    fn control(&mut self, frame: &Frame) -> Result<(), Error> {
        self.controlled = true;
        let index = frame.index();
        let invalid = |reason| ProtocolError::new(ProtocolErrorKind::InvalidControl, index, reason);
        frame.check_header()?;
        let control = Control::read(frame.header_bytes()).map_err(invalid)?;
        self.step(control.event, index)?;
        match control.event {
            Event::Open => {
                let opened = control.opened(self.coder.name()).map_err(invalid)?;
                self.heartbeat = opened.heartbeat;
                self.metadata = opened.metadata;
                self.before = opened.position;
                self.resume = opened.resume;
                control.timed().map_err(invalid)?;
            }
            Event::Ping => control.timed().map_err(invalid)?,
            Event::End => {
                if !control.counts(self.received).map_err(invalid)? {
                    let message = format!("{:.40} data frames were sent, {} arrived", control.frames(), self.received);
                    return Err(ProtocolError::new(ProtocolErrorKind::CountMismatch, index, message).into());
                }
                control.timed().map_err(invalid)?;
                let ended = control.ended().map_err(invalid)?;
                self.trailers = Some(ended.trailers);
                if let Some(error) = ended.error {
                    return Err(error.into());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl<C: Decode> fmt::Debug for StreamDecoder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamDecoder")
            .field("coder", &self.coder.name())
            .field("state", &self.state)
            .field("position", &self.position())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// The messages of a chunk, from [`StreamDecoder::feed`].
#[derive(Debug)]
pub struct Messages<'a, C: Decode> {
    decoder: &'a mut StreamDecoder<C>,
    chunk: &'a [u8],
    failed: bool,
}

impl<C: Decode> Iterator for Messages<'_, C> {
    type Item = Result<Message<C>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.decoder.next_from(&mut self.chunk);
        self.failed = next.as_ref().is_err_and(|error| !matches!(error, Error::Payload(_)));
        next.transpose()
    }
}

impl<C: Decode> Drop for Messages<'_, C> {
    fn drop(&mut self) {
        if !self.failed && !self.chunk.is_empty() {
            drop(self.decoder.frames.feed(self.chunk)); // the frames that were not read stay in the decoder
        }
    }
}
