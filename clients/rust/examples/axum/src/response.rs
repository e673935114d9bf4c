//! A response that streams messages as frames, as the Python server sends it (SPEC section 6.2).
//!
//! **The status waits** for the first message, so that an error before it has a status of its own; but for one heartbeat at
//! most. **In silence** a ping is sent once in a heartbeat. **The end** says whether the stream was whole. **When the client
//! leaves**, axum drops the response, and with it the source of the messages.

use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use objectstreaming::{Code, Encode, End, Open, StreamEncoder, StreamError};
use tokio::time::timeout;

const HEARTBEAT: Duration = Duration::from_secs(15);

/// Streams the messages of `source`. After an error of the source the stream ends with it.
pub async fn respond<C, H, P, S>(coder: C, source: S) -> Response
where
    C: Encode<H, P> + Send + 'static,
    H: Send + 'static,
    P: Send + 'static,
    S: Stream<Item = Result<(H, P), StreamError>> + Send + 'static,
{
    let mut source = Box::pin(source);
    let first = timeout(HEARTBEAT, source.next()).await;
    if let Ok(Some(Err(error))) = first {
        return problem(&error);
    }
    let content_type = format!("application/vnd.objectstreaming;v=1;coder={}", coder.name());
    let mut encoder = StreamEncoder::new(coder);
    let open = match encoder.open(Open::default().heartbeat(HEARTBEAT.as_secs_f64())) {
        Ok(open) => open,
        Err(error) => return problem(&StreamError::new(Code::Internal, error.to_string())),
    };
    let first = first.ok();
    let frames = stream::unfold((encoder, source, first), |(mut encoder, mut source, first)| async move {
        if encoder.ended() {
            return None;
        }
        let next = match first {
            Some(first) => Ok(first),
            None => timeout(HEARTBEAT, source.next()).await,
        };
        let frame = match next {
            Err(_) => encoder.ping(),
            Ok(Some(Ok((header, payload)))) => encoder.data(&header, &payload),
            Ok(Some(Err(error))) => encoder.end(error),
            Ok(None) => encoder.end(End::default()),
        };
        // What cannot be encoded ends the stream. An error here would break the connection without a reason.
        let frame = frame.or_else(|error| encoder.end(StreamError::new(Code::Internal, error.to_string())));
        Some((frame, (encoder, source, None)))
    });
    let body = Body::from_stream(stream::iter([Ok(open)]).chain(frames));
    let headers = [
        (header::CONTENT_TYPE, content_type.as_str()),
        (header::CACHE_CONTROL, "no-store, no-transform"), // a proxy that buffers or compresses holds frames back
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
        (header::CONTENT_ENCODING, "identity"),
    ];
    (headers, body).into_response()
}

/// The response of an error before the first message.
pub fn problem(error: &StreamError) -> Response {
    let status = StatusCode::from_u16(error.code().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut members = serde_json::json!({"code": error.code().as_str(), "message": error.message()});
    if let Some(details) = error.details() {
        members["details"] = details.clone();
    }
    (status, axum::Json(members)).into_response()
}
