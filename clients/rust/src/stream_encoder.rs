//! Writes streams, version 1, in the order of the table of [`state`](crate::state) (SPEC section 3).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use crate::coder::{Coder, Encode};
use crate::error::EncodeError;
use crate::frame::{Frame, Layout, Limits, encode_frame};
use crate::peer_error::StreamError;
use crate::read_json;
use crate::state::{Event, State};

/// The members of an `open` frame, except version and coder.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Open {
    /// In seconds: the reader receives something at least this often.
    pub heartbeat: Option<f64>,
    /// An object of the application.
    pub metadata: Option<Map<String, Value>>,
}

/// The members of an `end` frame. Without an `error` the stream succeeded.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct End {
    /// An object of the application.
    pub trailers: Option<Map<String, Value>>,
    /// The error that ended the stream.
    pub error: Option<StreamError>,
}

impl Open {
    /// Promises that the reader receives something at least every so many seconds.
    #[must_use]
    pub fn heartbeat(mut self, seconds: f64) -> Self {
        self.heartbeat = Some(seconds);
        self
    }

    /// Sets the object of the application.
    #[must_use]
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata = Some(metadata);
        self
    }
}

impl End {
    /// Success with trailers. A value that is not an object has no members, so there are no trailers.
    #[must_use]
    pub fn trailers(trailers: Value) -> Self {
        Self { trailers: if let Value::Object(members) = trailers { Some(members) } else { None }, error: None }
    }
}

impl From<StreamError> for End {
    fn from(error: StreamError) -> Self {
        Self { trailers: None, error: Some(error) }
    }
}

/// Writes one stream. Each method returns the bytes of one frame. A method that fails changes nothing.
///
/// ```
/// use objectstreaming::{End, JsonCoder, Open, StreamEncoder};
/// let mut encoder = StreamEncoder::new(JsonCoder::new());
/// encoder.open(Open::default().heartbeat(15.0))?;
/// encoder.data(&serde_json::json!({"n": 1}), "hello")?;
/// encoder.end(End::default())?;
/// assert!(encoder.data(&serde_json::json!({}), "too late").is_err());
/// # Ok::<(), objectstreaming::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct StreamEncoder<C> {
    coder: C,
    plain: bool,
    limits: Limits,
    state: State,
    position: u64,
}

impl<C: Coder> StreamEncoder<C> {
    /// An encoder of version 1.
    #[must_use]
    pub fn new(coder: C) -> Self {
        Self { coder, plain: false, limits: Limits::default(), state: State::Start, position: 0 }
    }

    /// An encoder of data frames only.
    #[must_use]
    pub fn plain(coder: C) -> Self {
        Self { plain: true, ..Self::new(coder) }
    }

    /// Sets the limits of the receiver. A larger frame is refused here, where the program that made it gets the error.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The number of data frames written.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the `end` frame was written.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The open frame, which comes first.
    ///
    /// # Errors
    /// [`EncodeError`]: another frame was written before, the stream is plain, or the heartbeat is not a positive number.
    pub fn open(&mut self, open: Open) -> Result<Vec<u8>, EncodeError> {
        let mut members = json!({"type": "open", "v": 1, "coder": self.coder.name()});
        if let Some(heartbeat) = open.heartbeat {
            if !(heartbeat.is_finite() && heartbeat > 0.0) {
                return Err(EncodeError::new(format!("heartbeat is a positive number of seconds, not {heartbeat}")));
            }
            members["heartbeat"] = heartbeat.into();
        }
        if let Some(metadata) = open.metadata {
            members["metadata"] = metadata.into();
        }
        self.control(Event::Open, &members)
    }

    /// A data frame with a message, written by the coder.
    ///
    /// # Errors
    /// [`EncodeError`]: the stream has ended, or the message cannot be sent or is beyond the limits.
    pub fn data<H: ?Sized, P: ?Sized>(&mut self, header: &H, payload: &P) -> Result<Vec<u8>, EncodeError>
    where
        C: Encode<H, P>,
    {
        let after = self.after(Event::Data)?;
        let wire = self.coder.encode(header, payload)?;
        let header = header_of(&wire).ok_or_else(|| EncodeError::new("the coder did not return one whole frame"))?;
        self.check(header, wire.len())?;
        self.state = after;
        self.position += 1;
        Ok(wire)
    }

    /// A data frame that is encoded already, from another stream or an archive. Its header is sent unchanged.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn frame(&mut self, frame: &Frame) -> Result<Vec<u8>, EncodeError> {
        let after = self.after(Event::Data)?;
        frame.check_header().map_err(|error| EncodeError::new(format!("{error}")))?;
        let wire = frame.encode()?;
        self.check(frame.header_bytes(), wire.len())?;
        self.state = after;
        self.position += 1;
        Ok(wire)
    }

    /// A ping. It shows the reader, and every proxy between, that the stream is alive.
    ///
    /// # Errors
    /// [`EncodeError`]: the stream has ended, or is plain.
    pub fn ping(&mut self) -> Result<Vec<u8>, EncodeError> {
        self.control(Event::Ping, &json!({"type": "ping"}))
    }

    /// The end frame, which comes last: success, or the error that ended the stream.
    ///
    /// # Errors
    /// [`EncodeError`]: the stream has ended already, or is plain.
    pub fn end(&mut self, end: impl Into<End>) -> Result<Vec<u8>, EncodeError> {
        let end = end.into();
        let mut members = json!({"type": "end", "frames": self.position});
        if let Some(trailers) = end.trailers {
            members["trailers"] = trailers.into();
        }
        let Some(error) = end.error else {
            return self.control(Event::End, &members);
        };
        let brief = json!({"code": error.code().as_str(), "message": error.message()});
        if let Some(details) = error.details() {
            members["error"] = brief.clone();
            members["error"]["details"] = details.clone();
            if let Ok(wire) = self.control(Event::End, &members) {
                return Ok(wire);
            }
        }
        // The peer is to hear of the error in any case: without what is beyond the limits.
        members["error"] = brief;
        self.control(Event::End, &members).or_else(|_| {
            let message = "the message of this error cannot be sent";
            let error = json!({"code": error.code().as_str(), "message": message});
            self.control(Event::End, &json!({"type": "end", "frames": self.position, "error": error}))
        })
    }

    fn after(&self, event: Event) -> Result<State, EncodeError> {
        self.state.after(event).ok_or_else(|| {
            let past = if self.state == State::Ended { "ended" } else { "begun already" };
            EncodeError::new(format!("{} is not allowed: the stream has {past}", event.name()))
        })
    }

    fn control(&mut self, event: Event, members: &Value) -> Result<Vec<u8>, EncodeError> {
        if self.plain {
            let message = format!("a plain stream has no control frames, {} cannot be sent in it", event.name());
            return Err(EncodeError::new(message));
        }
        let after = self.after(event)?;
        let header = format!("{{\"$stream\":{members}}}");
        let wire = encode_frame(header.as_bytes(), self.coder.neutral())?;
        self.check_size(header.len(), wire.len())?;
        self.state = after;
        Ok(wire)
    }

    fn check(&self, header: &[u8], size: usize) -> Result<(), EncodeError> {
        self.check_size(header.len(), size)?;
        // The name may be written with escapes. Most headers contain neither, and are not parsed.
        let contains = |word: &[u8]| header.windows(word.len()).any(|part| part == word);
        if contains(b"$stream") || contains(b"\\u") {
            let members: Map<String, Value> = read_json::object(header).map_err(EncodeError::new)?;
            if members.contains_key("$stream") {
                return Err(EncodeError::new("the header member \"$stream\" belongs to control frames"));
            }
        }
        Ok(())
    }

    fn check_size(&self, header: usize, size: usize) -> Result<(), EncodeError> {
        if size <= self.limits.frame && header <= self.limits.header {
            return Ok(());
        }
        Err(EncodeError::new(format!(
            "a frame of {size} bytes with a header of {header} is beyond the limits of {} and {}, which receivers keep \
             to; send it in pieces, or raise the limits on both sides",
            self.limits.frame, self.limits.header
        )))
    }
}

/// The header in the bytes of a frame. `None` if they are not one whole frame.
fn header_of(wire: &[u8]) -> Option<&[u8]> {
    let (words, body) = wire.split_at_checked(8)?;
    let (total, header) = words.split_at(4);
    let layout = Layout::default();
    let size = usize::try_from(layout.word(header)).ok()?;
    if layout.word(total) == wire.len() as u64 { body.get(..size) } else { None }
}
