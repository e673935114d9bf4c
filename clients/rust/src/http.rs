//! Streams over HTTP (SPEC section 6).
//!
//! **Checks before the body.** The status, the media type and its parameters are checked first. If one is wrong, the
//! error carries the beginning of the body.
//!
//! **A cut is never an end.** A response of version 1 must have its `end` frame. A connection that breaks is
//! `truncated_frame` inside a frame and `stream_incomplete` between two frames. All whole messages come before the error.
//! After the `end` frame the stream is whole, whatever happens to the connection.
//!
//! **Silence.** A server of version 1 announces a heartbeat in its `open` frame. If no byte arrives during three
//! heartbeats, the read fails. Only the time spent waiting for the network counts, so a slow reader causes no timeout.
//!
//! **Cancelling** is dropping: the stream, or the future that waits for it. The connection is then closed.
//!
//! **Resuming** is for streams that the server keeps: [`Request::send_resuming`].
//!
//! **TLS**, proxies and redirects are the business of the client: [`Client::from_fn`] takes another one, and
//! [`read_response`] the response of every client that uses the `http` crate.

mod body;
mod client;
mod media_type;
mod problem;
mod response_stream;
mod resuming;
mod resumption;
mod uri;
#[cfg(feature = "reqwest")]
mod with_reqwest;

pub use body::Body;
pub use client::{Client, Request};
pub use media_type::{ACCEPT, MEDIA_TYPE, PLAIN_MEDIA_TYPE};
pub use response_stream::{ReadOptions, ResponseStream, read_response};
pub use resuming::ResumingStream;
pub use resumption::Place;

pub use crate::http_error::{ContentTypeError, ResponseError, TransportError};
