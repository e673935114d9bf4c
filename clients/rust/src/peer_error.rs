//! The errors that one peer reports to the other (SPEC section 5.4).

use alloc::string::String;
use core::fmt;

use serde_json::Value;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $status:literal)*) => {
        /// The sixteen codes with which a peer reports its error. They are those of the Connect protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// The name of the code on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The HTTP status of the response if the error occurs before the first frame.
            #[must_use]
            pub fn http_status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)*
                }
            }

            /// The code with this name, if it is one of the sixteen.
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
    /// The caller cancelled the request.
    Canceled "canceled" 499
    /// No other code fits.
    Unknown "unknown" 500
    /// The request is wrong and can never succeed.
    InvalidArgument "invalid_argument" 400
    /// The deadline passed.
    DeadlineExceeded "deadline_exceeded" 504
    /// The requested object does not exist.
    NotFound "not_found" 404
    /// The object to be created exists already.
    AlreadyExists "already_exists" 409
    /// The caller is known but has no permission.
    PermissionDenied "permission_denied" 403
    /// A quota, a rate limit or a size limit was exceeded.
    ResourceExhausted "resource_exhausted" 429
    /// The current state does not allow it. A retry does not help.
    FailedPrecondition "failed_precondition" 400
    /// A conflict. A retry may help.
    Aborted "aborted" 409
    /// Outside the valid range, such as a position beyond the end.
    OutOfRange "out_of_range" 400
    /// The peer does not support it.
    Unimplemented "unimplemented" 501
    /// An error inside the peer.
    Internal "internal" 500
    /// Temporarily unavailable. Try again.
    Unavailable "unavailable" 503
    /// Data is lost or corrupt.
    DataLoss "data_loss" 500
    /// The caller is not authenticated.
    Unauthenticated "unauthenticated" 401
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error that the peer reported; or, given to [`StreamEncoder::end`](crate::StreamEncoder::end), the one to report to
/// the peer.
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
    /// An error with a message for people, and no details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    /// Adds details for programs.
    #[must_use]
    pub fn with_details(self, details: impl Into<Option<Value>>) -> Self {
        Self { details: details.into(), ..self }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message for people. May be empty.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details for programs.
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
