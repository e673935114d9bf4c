//! What can go wrong with frames; [`Error`](crate::Error) has the rest of the tree, for streams.

use alloc::string::String;
use core::fmt;

/// Which of the five ways it is that bytes are not frames (SPEC section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameErrorKind {
    /// A length word that cannot be true: T below its own two words, or H reaching past T.
    InvalidLength,
    /// T is above [`Limits::frame`](crate::Limits::frame). Nothing was allocated for it.
    FrameTooLarge,
    /// H is above [`Limits::header`](crate::Limits::header).
    HeaderTooLarge,
    /// The header is not one strict JSON object, or not what the coder wants.
    InvalidHeader,
    /// The input ended inside a frame.
    TruncatedFrame,
}

impl FrameErrorKind {
    /// The code of the specification, such as `invalid_length`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidLength => "invalid_length",
            Self::FrameTooLarge => "frame_too_large",
            Self::HeaderTooLarge => "header_too_large",
            Self::InvalidHeader => "invalid_header",
            Self::TruncatedFrame => "truncated_frame",
        }
    }
}

/// The bytes are not frames; the decoder that said so is dead, and says it again when asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    kind: FrameErrorKind,
    index: u64,
    offset: u64,
    message: String,
}

impl FrameError {
    pub(crate) fn new(kind: FrameErrorKind, index: u64, offset: u64, message: String) -> Self {
        Self { kind, index, offset, message }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> FrameErrorKind {
        self.kind
    }

    /// The code of the specification.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// Which frame of the stream, from 0, control frames included.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Which byte of the stream, from 0: the length word at fault, or else where the frame begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, frame {}, byte {})", self.message, self.code(), self.index, self.offset)
    }
}

impl core::error::Error for FrameError {}

/// What was asked to be sent cannot be; no byte has left, and nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    message: String,
}

impl EncodeError {
    /// For a [`Coder`](crate::Coder) to refuse a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// `encode_error`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "encode_error"
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for EncodeError {}
