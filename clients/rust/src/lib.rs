#![cfg_attr(feature = "http", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "http"),
    doc = "Objects and speech in length-prefixed frames. See the README and `FrameDecoder`."
)]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "bytes"), allow(clippy::useless_conversion))] // `frame::Data` is a `Vec` then
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(feature = "http", feature = "msgpack", feature = "tokio"))]
extern crate std;

mod decoder;
mod error;
mod frame;
pub mod strict_json;

#[cfg(feature = "json")]
mod coder;
#[cfg(feature = "json")]
mod control;
#[cfg(feature = "json")]
mod finite;
#[cfg(feature = "json")]
mod peer_error;
#[cfg(feature = "json")]
mod read_json;
#[cfg(feature = "json")]
mod state;
#[cfg(feature = "json")]
mod stream_decoder;
#[cfg(feature = "json")]
mod stream_encoder;
#[cfg(feature = "json")]
mod stream_error;

#[cfg(feature = "tokio")]
mod codec;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "http")]
mod http_error;

pub use decoder::{FrameDecoder, Frames, decode_frame};
pub use error::{EncodeError, FrameError, FrameErrorKind};
pub use frame::{ByteOrder, Frame, Layout, Limits, encode_frame, encode_frame_head};

#[cfg(feature = "tokio")]
pub use codec::{CodecError, FrameCodec};
#[cfg(all(feature = "json", feature = "tokio"))]
pub use codec::{MessageCodec, Outgoing};
#[cfg(all(feature = "bytes", feature = "json"))]
pub use coder::BytesCoder;
#[cfg(feature = "msgpack")]
pub use coder::MsgpackCoder;
#[cfg(feature = "ndarray")]
pub use coder::{AnyArray, Element, NdarrayCoder};
#[cfg(feature = "json")]
pub use coder::{Coder, Decode, Encode, JsonCoder, RawCoder, Refusal, Samples, TalAudio, TalCoder, TalOrder};
#[cfg(feature = "json")]
pub use peer_error::{Code, StreamError};
#[cfg(feature = "json")]
pub use stream_decoder::{Message, Messages, StreamDecoder};
#[cfg(feature = "json")]
pub use stream_encoder::{End, Open, StreamEncoder};
#[cfg(feature = "json")]
pub use stream_error::{Error, IdleTimeout, PayloadError, ProtocolError, ProtocolErrorKind, StreamIncomplete};
