//! What can go wrong with a stream, as one tree (SPEC section 5).

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde_json::Value;

use crate::error::{EncodeError, FrameError};

/// Everything that reading a stream can give instead of a message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not frames.
    Frame(FrameError),
    /// One payload is not what its coder reads. The stream may go on: ask for the next message.
    Payload(PayloadError),
    /// Right frames in a wrong stream.
    Protocol(ProtocolError),
    /// The stream stopped on a frame boundary, and the end it promised never came.
    Incomplete(StreamIncomplete),
    /// Nothing came, not even a ping, for too long.
    IdleTimeout(IdleTimeout),
    /// The peer said that it failed.
    Peer(StreamError),
    /// The peer said so by its HTTP status, before the first frame.
    #[cfg(feature = "http")]
    Response(crate::http::ResponseError),
    /// The response is no stream of frames.
    #[cfg(feature = "http")]
    ContentType(crate::http::ContentTypeError),
    /// No response came at all.
    #[cfg(feature = "http")]
    Transport(crate::http::TransportError),
    /// What was to be sent cannot be.
    Encode(EncodeError),
}

impl Error {
    /// The code of the specification; of the peer's own errors the one of the sixteen that it said.
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
            Self::Transport(_) => Code::Unavailable.as_str(),
            Self::Encode(error) => error.code(),
        }
    }

    /// Which frame of the stream, from 0, where the error is one frame's.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        match self {
            Self::Frame(error) => Some(error.index()),
            Self::Payload(error) => Some(error.index()),
            Self::Protocol(error) => Some(error.index()),
            _ => None,
        }
    }

    /// Which byte of the stream, from 0, where the error has one.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Frame(error) => Some(error.offset()),
            Self::Payload(error) => Some(error.offset()),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Payload(error) => error.fmt(f),
            Self::Protocol(error) => error.fmt(f),
            Self::Incomplete(error) => error.fmt(f),
            Self::IdleTimeout(error) => error.fmt(f),
            Self::Peer(error) => error.fmt(f),
            #[cfg(feature = "http")]
            Self::Response(error) => error.fmt(f),
            #[cfg(feature = "http")]
            Self::ContentType(error) => error.fmt(f),
            #[cfg(feature = "http")]
            Self::Transport(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            #[cfg(feature = "http")]
            Self::Transport(error) => error.source(),
            _ => None,
        }
    }
}

macro_rules! gathers {
    ($($variant:ident($type:ty))*) => {
        $(impl From<$type> for Error {
            fn from(error: $type) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

gathers! {
    Frame(FrameError) Payload(PayloadError) Protocol(ProtocolError) Incomplete(StreamIncomplete)
    IdleTimeout(IdleTimeout) Peer(StreamError) Encode(EncodeError)
}
#[cfg(feature = "http")]
gathers! {
    Response(crate::http::ResponseError) ContentType(crate::http::ContentTypeError)
    Transport(crate::http::TransportError)
}

/// A frame whose framing is fine and whose payload is not what its coder reads.
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

    /// Which frame of the stream, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Where in the stream the frame begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (invalid_payload, frame {}, byte {})", self.message, self.index, self.offset)
    }
}

impl core::error::Error for PayloadError {}

/// The four ways a stream of right frames can be wrong (SPEC section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolErrorKind {
    /// A control frame that the specification does not allow.
    InvalidControl,
    /// A whole frame after the end.
    FrameAfterEnd,
    /// The end counts other data frames than came.
    CountMismatch,
    /// Frames of speech out of order.
    OrderGap,
}

/// Right frames in a wrong stream; the decoder that said so is dead.
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

    /// Which frame of the stream, from 0, control frames included.
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

/// The stream stopped on a frame boundary, but the end it promised never came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamIncomplete {
    position: u64,
    message: String,
}

impl StreamIncomplete {
    pub(crate) fn new(position: u64) -> Self {
        let message = format!("the stream stopped after {position} data frames without its end: was it cut?");
        Self { position, message }
    }

    #[cfg(feature = "http")]
    pub(crate) fn cut(position: u64, reason: &dyn fmt::Display) -> Self {
        Self { position, message: format!("the connection was cut after {position} data frames: {reason}") }
    }

    /// `stream_incomplete`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "stream_incomplete"
    }

    /// How many data frames came: what to resume from.
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

impl core::error::Error for StreamIncomplete {}

/// Nothing arrived, not even a ping, for longer than the peer's heartbeats allow.
#[derive(Clone, Debug, PartialEq)]
pub struct IdleTimeout {
    position: u64,
    seconds: f64,
}

impl IdleTimeout {
    #[cfg(feature = "http")]
    pub(crate) fn new(position: u64, seconds: f64) -> Self {
        Self { position, seconds }
    }

    /// `idle_timeout`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "idle_timeout"
    }

    /// How many data frames came: what to resume from.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl fmt::Display for IdleTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing arrived for {} s, not even a ping, after {} data frames", self.seconds, self.position)
    }
}

impl core::error::Error for IdleTimeout {}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $status:literal)*) => {
        /// The sixteen codes by which a peer says why it failed (SPEC section 5.4); they are those of the Connect protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// The code as it stands on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The HTTP status to answer with if the failure comes before the first frame.
            #[must_use]
            pub fn http_status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)*
                }
            }

            /// The code of this name, if it is one of the sixteen.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// The caller gave up.
    Canceled "canceled" 499
    /// Nothing better fits.
    Unknown "unknown" 500
    /// The request can never succeed.
    InvalidArgument "invalid_argument" 400
    /// Time ran out.
    DeadlineExceeded "deadline_exceeded" 504
    /// What was asked for is not there.
    NotFound "not_found" 404
    /// What was to be made is there.
    AlreadyExists "already_exists" 409
    /// The caller is known and may not.
    PermissionDenied "permission_denied" 403
    /// A quota, a rate, a size.
    ResourceExhausted "resource_exhausted" 429
    /// The state does not allow it; retrying will not help.
    FailedPrecondition "failed_precondition" 400
    /// A conflict; retrying may help.
    Aborted "aborted" 409
    /// Beyond what is there, such as a position.
    OutOfRange "out_of_range" 400
    /// Not supported there.
    Unimplemented "unimplemented" 501
    /// The peer's own fault.
    Internal "internal" 500
    /// For now; retry.
    Unavailable "unavailable" 503
    /// Data is gone or corrupt.
    DataLoss "data_loss" 500
    /// The caller is not known.
    Unauthenticated "unauthenticated" 401
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The peer said that it failed; or, given to [`StreamEncoder::end`](crate::StreamEncoder::end), tells the peer that we did.
///
/// ```
/// use objectstreaming::{Code, StreamError};
/// let error = StreamError::new(Code::NotFound, "no such document");
/// assert_eq!(error.to_string(), "not_found: no such document");
/// assert_eq!(error.code().http_status(), 404);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StreamError {
    code: Code,
    message: String,
    details: Option<Value>,
}

impl StreamError {
    /// An error with a message for people.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    /// With details for programs.
    #[must_use]
    pub fn with_details(self, details: impl Into<Option<Value>>) -> Self {
        Self { details: details.into(), ..self }
    }

    /// Why.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the peer said, for people; may be empty.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the peer said, for programs.
    #[must_use]
    pub fn details(&self) -> Option<&Value> {
        self.details.as_ref()
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.message.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.code, self.message)
    }
}

impl core::error::Error for StreamError {}
