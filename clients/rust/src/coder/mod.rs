//! Coders: the meaning of headers and payloads (SPEC section 4).

mod json;
mod raw;
mod tal;
mod traits;

pub use json::JsonCoder;
pub use raw::RawCoder;
pub use tal::{Samples, TalAudio, TalCoder, TalOrder};
pub use traits::{Coder, Decode, Encode, Refusal};
