//! A client on reqwest: TLS, proxies, redirects, and with its feature `http2` HTTP/2.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Mutex;

use bytes::Bytes;
use http::{Response, Uri};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use super::body::{Body, BoxError};
use super::client::{Client, FinalUrl};

/// A body of at most so many bytes is given to reqwest whole: then it can repeat it, after a redirect with 307 or 308.
const SMALL: u64 = 1 << 20;

/// Sends with this client of reqwest, whose settings count: TLS, proxies, redirects, timeouts. A redirect to another origin
/// is followed if the settings say so, but no stream is resumed after one.
///
/// ```
/// use objectstreaming::http::Client;
///
/// let client = Client::from(reqwest::Client::new());
/// let request = client.post("https://example.org/objects").json("What is a frame?");
/// ```
impl From<reqwest::Client> for Client {
    fn from(client: reqwest::Client) -> Self {
        Self::from_fn(move |request| send(client.clone(), request))
    }
}

async fn send(client: reqwest::Client, request: http::Request<Body>) -> Result<Response<reqwest::Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let small = http_body::Body::size_hint(&body).upper().is_some_and(|size| size <= SMALL);
    let body =
        if small { body.collect().await?.to_bytes().into() } else { reqwest::Body::wrap(Shared(Mutex::new(body))) };
    let response = client.execute(http::Request::from_parts(parts, body).try_into()?).await?;
    let url: Uri = response.url().as_str().parse()?;
    let mut response = Response::from(response);
    response.extensions_mut().insert(FinalUrl(url));
    Ok(response)
}

/// A body that can be shared between threads, which reqwest requires. The lock is never waited for: reqwest does not share it.
struct Shared(Mutex<Body>);

impl Shared {
    fn look<T: Default>(&self, look: impl FnOnce(&Body) -> T) -> T {
        self.0.lock().map(|body| look(&body)).unwrap_or_default()
    }
}

impl http_body::Body for Shared {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut().0.get_mut() {
            Ok(body) => Pin::new(body).poll_frame(context),
            Err(_) => Poll::Ready(Some(Err("the body of the request has panicked".into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.look(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.look(http_body::Body::size_hint)
    }
}
