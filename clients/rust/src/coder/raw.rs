//! The `raw` coder: headers are JSON objects, payloads are bytes (SPEC section 4.5).

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde::Serialize;
use serde_json::{Map, Value};

use super::traits::{Coder, Decode, Encode, Refusal};
use crate::error::EncodeError;
use crate::frame::{Frame, write_lengths};
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
        let mut wire = vec![0; 8];
        read_json::write_object(&mut wire, header)?;
        let header_len = wire.len() - 8;
        wire.extend_from_slice(payload.as_ref());
        write_lengths(&mut wire, header_len)?;
        Ok(wire)
    }
}
