//! The `msgpack` coder: headers are JSON objects, payloads are one `MessagePack` value (SPEC section 4.3).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::str;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::traits::{Coder, Decode, Encode, Refusal};
use crate::error::EncodeError;
use crate::frame::{Frame, encode_parts};
use crate::read_json;

const TIMESTAMP: u8 = 0xff; // the extension type -1

typed_coder! {
    /// Headers are JSON objects, payloads are `MessagePack` values. Received messages are serde types: `rmpv::Value` by default,
    /// or your own. To send, any type that serde can serialize will do; a struct is written as a map.
    ///
    /// Of the extension types only the timestamp is read. For the type bin of `MessagePack`, use `rmpv::Value` or the crate
    /// `serde_bytes`: serde writes a `Vec<u8>` as an array of numbers.
    ///
    /// ```
    /// use objectstreaming::{MsgpackCoder, StreamDecoder, StreamEncoder};
    /// use rmpv::Value;
    ///
    /// let wire = StreamEncoder::plain(MsgpackCoder::new()).data(&serde_json::json!({}), &Value::Binary(vec![0, 255]))?;
    /// let mut decoder = StreamDecoder::new(MsgpackCoder::new());
    /// for message in decoder.feed(&wire) {
    ///     assert_eq!(message?.1, Value::Binary(vec![0, 255]));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    MsgpackCoder, rmpv::Value, "A coder for any `MessagePack`."
}

impl<H, P> Coder for MsgpackCoder<H, P> {
    fn name(&self) -> &'static str {
        "msgpack"
    }

    fn neutral(&self) -> &'static [u8] {
        b"\xc0"
    }
}

impl<H: DeserializeOwned, P: DeserializeOwned> Decode for MsgpackCoder<H, P> {
    type Header = H;
    type Payload = P;
    type Order = ();

    fn decode(&self, frame: Frame) -> Result<(H, P), Refusal> {
        let header = read_json::object(frame.header_bytes()).map_err(Refusal::Header)?;
        check(frame.payload()).map_err(|reason| Refusal::Payload(reason.into()))?;
        let payload = rmp_serde::from_slice(frame.payload()).map_err(|error| Refusal::Payload(error.to_string()))?;
        Ok((header, payload))
    }
}

/// A header is any value that serde writes as an object, a payload any value. The types for reading do not matter.
impl<H, P, A: Serialize + ?Sized, B: Serialize + ?Sized> Encode<A, B> for MsgpackCoder<H, P> {
    fn encode(&self, header: &A, payload: &B) -> Result<Vec<u8>, EncodeError> {
        let refused = |reason: String| EncodeError::new(format!("not MessagePack: {reason}"));
        let write = |wire: &mut Vec<u8>| {
            let start = wire.len();
            let mut serializer = rmp_serde::Serializer::new(&mut *wire).with_struct_map();
            payload.serialize(&mut serializer).map_err(|error| refused(error.to_string()))?;
            check(&wire[start..]).map_err(|reason| refused(reason.into()))
        };
        encode_parts(|wire| read_json::write_object(wire, header), write)
    }
}

/// Checks that `data` is one value and nothing after it, without extension types but the timestamp. serde does not see
/// bytes that are left over, nor lengths that it skips. Nothing is allocated, and deep nesting needs no stack.
fn check(mut data: &[u8]) -> Result<(), &'static str> {
    let mut missing: u64 = 1; // values
    while missing > 0 {
        if missing > data.len() as u64 {
            return Err("the MessagePack value is cut"); // each value takes a byte
        }
        let first = take(&mut data, 1)?[0];
        missing -= 1;
        missing += match first {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 0,
            0x80..=0x8f => 2 * u64::from(first & 15),
            0x90..=0x9f => u64::from(first & 15),
            0xa0..=0xbf => text(&mut data, u64::from(first & 31))?,
            0xc1 => return Err("the byte 0xc1 is not MessagePack"),
            0xc4..=0xc6 => {
                let size = number(&mut data, 1 << (first - 0xc4))?;
                skip(&mut data, size)?
            }
            0xc7 => {
                let size = number(&mut data, 1)?;
                extension(&mut data, size)?
            }
            0xca | 0xce | 0xd2 => skip(&mut data, 4)?,
            0xcb | 0xcf | 0xd3 => skip(&mut data, 8)?,
            0xcc | 0xd0 => skip(&mut data, 1)?,
            0xcd | 0xd1 => skip(&mut data, 2)?,
            0xd6 => extension(&mut data, 4)?,
            0xd7 => extension(&mut data, 8)?,
            0xc8 | 0xc9 | 0xd4 | 0xd5 | 0xd8 => return Err(EXTENSION),
            0xd9..=0xdb => {
                let size = number(&mut data, 1 << (first - 0xd9))?;
                text(&mut data, size)?
            }
            0xdc | 0xdd => number(&mut data, 2 << (first - 0xdc))?,
            0xde | 0xdf => 2 * number(&mut data, 2 << (first - 0xde))?,
        };
    }
    if data.is_empty() { Ok(()) } else { Err("bytes follow the MessagePack value") }
}

const EXTENSION: &str = "a MessagePack extension type that is not the timestamp";

fn take<'a>(data: &mut &'a [u8], size: u64) -> Result<&'a [u8], &'static str> {
    let split = usize::try_from(size).ok().and_then(|size| data.split_at_checked(size));
    let (taken, rest) = split.ok_or("the MessagePack value is cut")?;
    *data = rest;
    Ok(taken)
}

fn number(data: &mut &[u8], size: u64) -> Result<u64, &'static str> {
    Ok(take(data, size)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn skip(data: &mut &[u8], size: u64) -> Result<u64, &'static str> {
    take(data, size).map(|_| 0)
}

fn text(data: &mut &[u8], size: u64) -> Result<u64, &'static str> {
    str::from_utf8(take(data, size)?).map(|_| 0).map_err(|_| "a string of MessagePack is not UTF-8")
}

/// The timestamp has 4, 8 or 12 bytes.
fn extension(data: &mut &[u8], size: u64) -> Result<u64, &'static str> {
    if take(data, 1)? != [TIMESTAMP] || !matches!(size, 4 | 8 | 12) {
        return Err(EXTENSION);
    }
    skip(data, size)
}
