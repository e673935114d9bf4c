//! The traits of coders (SPEC section 4).

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::EncodeError;
use crate::frame::Frame;

/// Gives headers and payloads their meaning. Both sides of a stream use the same coder.
///
/// This crate has [`JsonCoder`](crate::JsonCoder), [`TalCoder`](crate::TalCoder) and [`RawCoder`](crate::RawCoder). To
/// write another one, implement this trait and [`Decode`], [`Encode`] or both.
pub trait Coder {
    /// The name of the coder in `open` frames and media types.
    fn name(&self) -> &'static str;

    /// The payload of control frames. A peer that does not know control frames decodes it without an error.
    fn neutral(&self) -> &'static [u8] {
        b""
    }
}

/// A coder that reads messages.
pub trait Decode: Coder {
    /// The type of received headers.
    type Header;
    /// The type of received payloads.
    type Payload;
    /// The state of a stream whose messages are numbered; `()` for all other coders.
    type Order: Default;

    /// Reads the message in a frame.
    ///
    /// # Errors
    /// [`Refusal::Header`], which ends the stream, or [`Refusal::Payload`], after which it can continue.
    fn decode(&self, frame: Frame) -> Result<(Self::Header, Self::Payload), Refusal>;

    /// Checks that a message may follow the messages before it.
    ///
    /// # Errors
    /// The reason why it may not.
    fn follow(&self, order: &mut Self::Order, header: &Self::Header) -> Result<(), String> {
        let _ = (order, header);
        Ok(())
    }
}

/// A coder that writes messages of a header `H` and a payload `P`.
pub trait Encode<H: ?Sized, P: ?Sized>: Coder {
    /// Writes a message as one frame, in the standard layout.
    ///
    /// # Errors
    /// [`EncodeError`] for a message that cannot be sent.
    fn encode(&self, header: &H, payload: &P) -> Result<Vec<u8>, EncodeError>;
}

/// The reason why a coder refuses a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The header is not what the coder reads. The stream ends.
    Header(String),
    /// The payload is not what the coder reads. The stream can continue.
    Payload(String),
}
