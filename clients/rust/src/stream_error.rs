//! Errors of streams: one tree (SPEC section 5).

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::error::{Cause, EncodeError, FrameError, errors, place};
#[cfg(feature = "http")]
use crate::http_error::{ContentTypeError, ResponseError, TransportError};
use crate::peer_error::StreamError;

errors! {
    /// Every error that reading a stream can return.
    ///
    /// `Display` is the message of the error inside, and `source()` is its source, down to the `std::io::Error` of a
    /// connection that broke. No message repeats the one of its source.
    #[derive(Clone, Debug)]
    Error
    /// The bytes are not frames.
    Frame(FrameError)
    /// One payload is not what its coder reads. The stream can continue: ask for the next message.
    Payload(PayloadError)
    /// The frames are valid, but their order or their content breaks the rules of a stream.
    Protocol(ProtocolError)
    /// The stream stopped between two frames, before its end.
    Incomplete(StreamIncomplete)
    /// Nothing arrived for too long, not even a ping.
    IdleTimeout(IdleTimeout)
    /// The peer reported an error in its end frame.
    Peer(StreamError)
    /// The peer reported an error by its HTTP status, before the first frame.
    #[cfg(feature = "http")]
    Response(ResponseError)
    /// The response is not a stream of frames.
    #[cfg(feature = "http")]
    ContentType(ContentTypeError)
    /// No response was received.
    #[cfg(feature = "http")]
    Transport(TransportError)
    /// The message or the request cannot be sent.
    Encode(EncodeError)
}

impl Error {
    /// The code of the specification. For an error of the peer it is a [`Code`](crate::Code).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Frame(error) => error.code(),
            Self::Payload(error) => error.code(),
            Self::Protocol(error) => error.code(),
            Self::Incomplete(error) => error.code(),
            Self::IdleTimeout(error) => error.code(),
            Self::Peer(error) => error.code().as_str(),
            #[cfg(feature = "http")]
            Self::Response(error) => error.code().as_str(),
            #[cfg(feature = "http")]
            Self::ContentType(error) => error.code(),
            #[cfg(feature = "http")]
            Self::Transport(_) => "unavailable",
            Self::Encode(error) => error.code(),
        }
    }

    /// The number of the frame in the stream, from 0, if the error belongs to one frame.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        match self {
            Self::Frame(error) => Some(error.index()),
            Self::Payload(error) => Some(error.index()),
            Self::Protocol(error) => Some(error.index()),
            _ => None,
        }
    }

    /// The byte of the stream, from 0, if the error has one.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Frame(error) => Some(error.offset()),
            Self::Payload(error) => Some(error.offset()),
            _ => None,
        }
    }
}

/// The frame is valid, but its payload is not what the coder reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadError {
    index: u64,
    offset: u64,
    message: String,
}

impl PayloadError {
    pub(crate) fn new(index: u64, offset: u64, message: String) -> Self {
        Self { index, offset, message }
    }

    /// `invalid_payload`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "invalid_payload"
    }

    place!(
        "The number of the frame in the stream, from 0. Control frames count.",
        "The first byte of the frame in the stream, from 0."
    );
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, frame {}, byte {})", self.message, self.code(), self.index, self.offset)
    }
}

impl core::error::Error for PayloadError {}

/// The four ways in which valid frames are not a valid stream (SPEC section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolErrorKind {
    /// A control frame that the specification does not allow.
    InvalidControl,
    /// A whole frame after the end.
    FrameAfterEnd,
    /// The end frame has another number of data frames than were received.
    CountMismatch,
    /// Frames of speech out of order.
    OrderGap,
}

/// The frames are valid, but not a valid stream. The decoder that returned it has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError {
    kind: ProtocolErrorKind,
    index: u64,
    message: String,
}

impl ProtocolError {
    pub(crate) fn new(kind: ProtocolErrorKind, index: u64, message: String) -> Self {
        Self { kind, index, message }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> ProtocolErrorKind {
        self.kind
    }

    /// The code of the specification.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            ProtocolErrorKind::InvalidControl => "invalid_control",
            ProtocolErrorKind::FrameAfterEnd => "frame_after_end",
            ProtocolErrorKind::CountMismatch => "count_mismatch",
            ProtocolErrorKind::OrderGap => "order_gap",
        }
    }

    /// The number of the frame in the stream, from 0. Control frames count.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, frame {})", self.message, self.code(), self.index)
    }
}

impl core::error::Error for ProtocolError {}

/// The stream stopped between two frames, before its end. Where a connection broke, `source()` is its error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamIncomplete {
    position: u64,
    message: String,
    cause: Cause,
}

impl StreamIncomplete {
    pub(crate) fn new(position: u64) -> Self {
        let message = format!("the stream stopped after {position} data frames without its end: was it cut?");
        Self { position, message, cause: Cause::default() }
    }

    #[cfg(feature = "http")]
    pub(crate) fn cut(position: u64, cause: Cause) -> Self {
        Self { position, message: format!("the connection was cut after {position} data frames"), cause }
    }

    /// `stream_incomplete`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "stream_incomplete"
    }

    /// The number of data frames received: the position to resume from.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl fmt::Display for StreamIncomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for StreamIncomplete {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.cause.source()
    }
}

/// Nothing arrived for longer than the heartbeat of the peer allows, not even a ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleTimeout {
    position: u64,
    message: String,
}

#[cfg(feature = "http")]
impl IdleTimeout {
    pub(crate) fn no_response(seconds: f64) -> Self {
        Self { position: 0, message: format!("no response arrived for {seconds} s") }
    }

    pub(crate) fn silence(seconds: f64, position: u64) -> Self {
        let message = format!("nothing arrived for {seconds} s, not even a ping, after {position} data frames");
        Self { position, message }
    }
}

impl IdleTimeout {
    /// `idle_timeout`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "idle_timeout"
    }

    /// The number of data frames received: the position to resume from.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl fmt::Display for IdleTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for IdleTimeout {}
