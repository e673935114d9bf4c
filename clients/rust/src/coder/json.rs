//! The `json` coder: headers are JSON objects, payloads are any JSON value (SPEC section 4.1).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::traits::{Coder, Decode, Encode, Refusal};
use crate::error::EncodeError;
use crate::frame::{Frame, encode_parts};
use crate::read_json;

typed_coder! {
    /// Received messages are serde types: the types of `serde_json` by default, or your own, which are faster. To send, any
    /// type that serde can serialize will do.
    ///
    /// Integers larger than 64 bits become doubles in a `Value`. An `i128` or a `Box<RawValue>` keeps them.
    ///
    /// ```
    /// use objectstreaming::{Frame, JsonCoder, StreamDecoder};
    /// #[derive(serde::Deserialize)]
    /// struct Status { status: String }
    /// #[derive(serde::Deserialize)]
    /// struct Answer { answer: String }
    ///
    /// let wire = Frame::new(br#"{"status": "success"}"#, br#"{"answer": "Yes.", "source": "a.md"}"#)?.encode()?;
    /// let mut decoder = StreamDecoder::new(JsonCoder::<Status, Answer>::typed());
    /// for message in decoder.feed(&wire) {
    ///     let (header, payload) = message?;
    ///     assert_eq!((header.status.as_str(), payload.answer.as_str()), ("success", "Yes."));
    /// }
    /// decoder.finish()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    JsonCoder, Value, "A coder for any JSON."
}

impl<H, P> Coder for JsonCoder<H, P> {
    fn name(&self) -> &'static str {
        "json"
    }

    fn neutral(&self) -> &'static [u8] {
        b"{}"
    }
}

impl<H: DeserializeOwned, P: DeserializeOwned> Decode for JsonCoder<H, P> {
    type Header = H;
    type Payload = P;
    type Order = ();

    fn decode(&self, frame: Frame) -> Result<(H, P), Refusal> {
        let header = read_json::object(frame.header_bytes()).map_err(Refusal::Header)?;
        let payload = read_json::value(frame.payload()).map_err(Refusal::Payload)?;
        Ok((header, payload))
    }
}

/// A header is any value that serde writes as an object, a payload any value. The types for reading do not matter.
impl<H, P, A: Serialize + ?Sized, B: Serialize + ?Sized> Encode<A, B> for JsonCoder<H, P> {
    fn encode(&self, header: &A, payload: &B) -> Result<Vec<u8>, EncodeError> {
        encode_parts(|wire| read_json::write_object(wire, header), |wire| read_json::write(wire, payload))
    }
}
