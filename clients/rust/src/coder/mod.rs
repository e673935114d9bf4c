//! Coders: what headers and payloads mean (SPEC section 4).

mod json;
mod raw;
mod tal;

use alloc::string::String;
use alloc::vec::Vec;

pub use json::JsonCoder;
pub use raw::RawCoder;
pub use tal::{Samples, TalAudio, TalCoder, TalOrder};

use crate::error::EncodeError;
use crate::frame::Frame;

/// Gives headers and payloads their meaning; both sides of a stream use the same one.
///
/// [`JsonCoder`], [`TalCoder`] and [`RawCoder`] are here. Another one implements this, and [`Decode`], [`Encode`] or both.
pub trait Coder {
    /// The coder's name, as it stands in `open` frames and media types.
    fn name(&self) -> &'static str;

    /// The payload of control frames: one that the coder can read, and that says nothing.
    fn neutral(&self) -> &'static [u8] {
        b""
    }
}

/// A coder that reads messages.
pub trait Decode: Coder {
    /// What a header is read into.
    type Header;
    /// What a payload is read into.
    type Payload;
    /// What is remembered of the messages before, where they must follow one another in order; else `()`.
    type Order: Default;

    /// The message in a frame.
    ///
    /// # Errors
    /// [`Refusal`]: of the header, which ends the stream, or of the payload, after which it may go on.
    fn decode(&self, frame: Frame) -> Result<(Self::Header, Self::Payload), Refusal>;

    /// Whether a message may follow the ones before it.
    ///
    /// # Errors
    /// Why not, in words.
    fn follow(&self, order: &mut Self::Order, header: &Self::Header) -> Result<(), String> {
        let _ = (order, header);
        Ok(())
    }
}

/// A coder that writes messages of a header `H` and a payload `P`.
pub trait Encode<H: ?Sized, P: ?Sized>: Coder {
    /// A message as one frame, in the wire's own layout.
    ///
    /// # Errors
    /// [`EncodeError`] for what cannot be sent.
    fn encode(&self, header: &H, payload: &P) -> Result<Vec<u8>, EncodeError>;
}

/// Why a coder refuses a frame, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The header is not what the coder wants: the end of the stream.
    Header(String),
    /// The payload is not.
    Payload(String),
}
