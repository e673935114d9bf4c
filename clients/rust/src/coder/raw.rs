//! The `raw` coder: headers are JSON objects, payloads are bytes (SPEC section 4.5).

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;
use serde_json::{Map, Value};

use super::traits::{Coder, Decode, Encode, Refusal};
use crate::error::EncodeError;
use crate::frame::{Frame, encode_parts};
use crate::read_json;

/// Headers are JSON objects, payloads are bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawCoder;

impl Coder for RawCoder {
    fn name(&self) -> &'static str {
        "raw"
    }
}

impl Decode for RawCoder {
    type Header = Map<String, Value>;
    type Payload = Vec<u8>;
    type Order = ();

    fn decode(&self, frame: Frame) -> Result<(Self::Header, Vec<u8>), Refusal> {
        let header = read_json::object(frame.header_bytes()).map_err(Refusal::Header)?;
        Ok((header, frame.into_payload()))
    }
}

impl<H: Serialize + ?Sized, P: AsRef<[u8]> + ?Sized> Encode<H, P> for RawCoder {
    fn encode(&self, header: &H, payload: &P) -> Result<Vec<u8>, EncodeError> {
        let write = |wire: &mut Vec<u8>| {
            wire.extend_from_slice(payload.as_ref());
            Ok(())
        };
        encode_parts(|wire| read_json::write_object(wire, header), write)
    }
}

/// [`RawCoder`] with payloads that share the memory of the chunk in which they came, from an HTTP response or from
/// [`next_from_bytes`](crate::StreamDecoder::next_from_bytes). To keep a small one for long, copy it: it keeps the whole
/// chunk.
///
/// ```
/// use bytes::Bytes;
/// use objectstreaming::{BytesCoder, StreamDecoder, encode_frame};
///
/// let mut chunk = Bytes::from(encode_frame(b"{}", b"hello")?);
/// let inside = chunk.as_ptr_range();
/// let (_, payload) = StreamDecoder::new(BytesCoder).next_from_bytes(&mut chunk)?.unwrap();
/// assert!(payload == "hello" && inside.contains(&payload.as_ptr()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "bytes")]
#[derive(Clone, Copy, Debug, Default)]
pub struct BytesCoder;

#[cfg(feature = "bytes")]
impl Coder for BytesCoder {
    fn name(&self) -> &'static str {
        RawCoder.name()
    }
}

#[cfg(feature = "bytes")]
impl Decode for BytesCoder {
    type Header = Map<String, Value>;
    type Payload = bytes::Bytes;
    type Order = ();

    fn decode(&self, frame: Frame) -> Result<(Self::Header, bytes::Bytes), Refusal> {
        let header = read_json::object(frame.header_bytes()).map_err(Refusal::Header)?;
        Ok((header, frame.into_bytes()))
    }
}

#[cfg(feature = "bytes")]
impl<H: Serialize + ?Sized, P: AsRef<[u8]> + ?Sized> Encode<H, P> for BytesCoder {
    fn encode(&self, header: &H, payload: &P) -> Result<Vec<u8>, EncodeError> {
        RawCoder.encode(header, payload)
    }
}
