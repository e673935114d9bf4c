//! Coders: the meaning of headers and payloads (SPEC section 4).

/// A coder of serde types. Not derived: a derive would ask of the types what it gives to the coder.
macro_rules! typed_coder {
    ($(#[$meta:meta])* $name:ident, $payload:ty, $new:literal) => {
        $(#[$meta])*
        pub struct $name<H = Map<String, Value>, P = $payload> {
            types: PhantomData<fn() -> (H, P)>,
        }

        impl $name {
            #[doc = $new]
            #[must_use]
            pub fn new() -> Self {
                Self::typed()
            }
        }

        impl<H, P> $name<H, P> {
            /// A coder for messages of your types.
            #[must_use]
            pub fn typed() -> Self {
                Self { types: PhantomData }
            }
        }

        impl<H, P> Default for $name<H, P> {
            fn default() -> Self {
                Self::typed()
            }
        }

        impl<H, P> Clone for $name<H, P> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<H, P> Copy for $name<H, P> {}

        impl<H, P> fmt::Debug for $name<H, P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

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
