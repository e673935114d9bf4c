//! The body of a request or of a response.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

pub(super) type BoxError = Box<dyn core::error::Error + Send + Sync>;

/// The body of a request or of a response: bytes that are there already, or that come one chunk after another.
///
/// ```
/// use bytes::Bytes;
/// use objectstreaming::http::Body;
///
/// let whole = Body::from("a WAV file");
/// let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("one")), Ok(Bytes::from("two"))]);
/// let streamed = Body::from_stream(chunks);
/// ```
pub struct Body(UnsyncBoxBody<Bytes, BoxError>);

impl Body {
    /// A body of any implementation.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(UnsyncBoxBody::new(body.map_err(Into::into)))
    }

    /// A body of unknown length. Its chunks are sent as the stream gives them; an error of the stream cuts the request.
    pub fn from_stream<S, T, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Into<Bytes>,
        E: Into<BoxError>,
    {
        Self(UnsyncBoxBody::new(Chunks(Box::pin(stream))))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::new(Full::new(bytes))
    }
}

macro_rules! from {
    ($($type:ty)*) => {
        $(impl From<$type> for Body {
            fn from(bytes: $type) -> Self {
                Self::from(Bytes::from(bytes))
            }
        })*
    };
}

from!(Vec<u8> String &'static [u8] &'static str);

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.get_mut().0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

struct Chunks<S>(Pin<Box<S>>);

impl<S, T, E> http_body::Body for Chunks<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Into<Bytes>,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = self.0.as_mut().poll_next(context);
        next.map(|chunk| chunk.map(|chunk| chunk.map(|bytes| Frame::data(bytes.into())).map_err(Into::into)))
    }
}
