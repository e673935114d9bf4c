//! Coders: the meaning of headers and payloads (SPEC section 4).

mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "ndarray")]
mod ndarray;
mod raw;
mod tal;
mod traits;

pub use json::JsonCoder;
#[cfg(feature = "msgpack")]
pub use msgpack::MsgpackCoder;
#[cfg(feature = "ndarray")]
pub use ndarray::{AnyArray, Element, NdarrayCoder};
#[cfg(feature = "bytes")]
pub use raw::BytesCoder;
pub use raw::RawCoder;
pub use tal::{Samples, TalAudio, TalCoder, TalOrder};
pub use traits::{Coder, Decode, Encode, Refusal};
