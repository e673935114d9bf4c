//! Errors of frames. [`Error`](crate::Error) has the rest of the tree, for streams.

use alloc::string::String;
#[cfg(feature = "http")]
use alloc::{boxed::Box, sync::Arc};
use core::fmt;

/// The cause of an error, for `source()`. It is shared, so that errors can be cloned, and never compared: two errors are
/// equal if they report the same. Without the feature `http` no error has a cause, and no atomics are needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause(#[cfg(feature = "http")] Option<Arc<dyn core::error::Error + Send + Sync>>);

impl Cause {
    #[cfg(feature = "http")]
    pub(crate) fn new(cause: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        Self(Some(Arc::from(cause.into())))
    }

    #[cfg_attr(not(feature = "http"), allow(clippy::unused_self))]
    pub(crate) fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        #[cfg(feature = "http")]
        if let Some(cause) = &self.0 {
            return Some(&**cause);
        }
        None
    }
}

impl PartialEq for Cause {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Cause {}

/// The accessors `index` and `offset`, the same in all that has a place in a stream.
macro_rules! place {
    ($index_doc:literal, $offset_doc:literal) => {
        #[doc = $index_doc]
        #[must_use]
        pub fn index(&self) -> u64 {
            self.index
        }

        #[doc = $offset_doc]
        #[must_use]
        pub fn offset(&self) -> u64 {
            self.offset
        }
    };
}
pub(crate) use place;

/// An enum of errors, whose `Display` and `source()` are those of the error inside.
#[cfg(any(feature = "json", feature = "tokio"))]
macro_rules! errors {
    ($(#[$meta:meta])* $name:ident
        $($(#[doc = $doc:literal])* $(#[cfg($cfg:meta)])? $variant:ident($type:ty))*) => {
        $(#[$meta])*
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $doc])* $(#[cfg($cfg)])? $variant($type),)*
        }

        impl $name {
            fn inner(&self) -> &(dyn core::error::Error + 'static) {
                match self {
                    $($(#[cfg($cfg)])? Self::$variant(error) => error,)*
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self.inner(), f)
            }
        }

        impl core::error::Error for $name {
            fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
                self.inner().source()
            }
        }

        $($(#[cfg($cfg)])? impl From<$type> for $name {
            fn from(error: $type) -> Self {
                Self::$variant(error)
            }
        })*
    };
}
#[cfg(any(feature = "json", feature = "tokio"))]
pub(crate) use errors;

/// The five ways in which bytes are not frames (SPEC section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameErrorKind {
    /// A length word that cannot be true: T is smaller than its two length words, or H is larger than T leaves.
    InvalidLength,
    /// T is above [`Limits::frame`](crate::Limits::frame). Nothing was allocated for it.
    FrameTooLarge,
    /// H is above [`Limits::header`](crate::Limits::header).
    HeaderTooLarge,
    /// The header is not one strict JSON object, or not what the coder reads.
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

/// The bytes are not frames. The decoder that returned it has failed, and returns it again when it is called again.
///
/// Where a connection broke inside a frame, `source()` is the error of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    kind: FrameErrorKind,
    index: u64,
    offset: u64,
    message: String,
    cause: Cause,
}

impl FrameError {
    pub(crate) fn new(kind: FrameErrorKind, index: u64, offset: u64, message: String) -> Self {
        Self { kind, index, offset, message, cause: Cause::default() }
    }

    #[cfg(feature = "http")]
    pub(crate) fn caused_by(self, cause: Cause) -> Self {
        Self { cause, ..self }
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

    place!(
        "The number of the frame in the stream, from 0. Control frames count.",
        "The byte of the stream, from 0: the first byte of the wrong length word, or else of the frame."
    );
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, frame {}, byte {})", self.message, self.code(), self.index, self.offset)
    }
}

impl core::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.cause.source()
    }
}

/// The message cannot be sent. No byte was written, and nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    message: String,
}

impl EncodeError {
    /// For a `Coder` that refuses a message.
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
