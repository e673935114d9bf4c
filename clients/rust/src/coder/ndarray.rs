//! The `ndarray` coder: arrays of numbers (SPEC section 4.4).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use ndarray::{ArrayBase, ArrayD, Data, Dimension};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::traits::{Coder, Decode, Encode, Refusal};
use crate::error::EncodeError;
use crate::frame::{Frame, encode_parts};
use crate::read_json;

const MAX_DIMENSIONS: usize = 32; // what NumPy before 2.0 and many peers can have

/// An array as it was received: of any type of element, in any byte order. The last dimension is the fastest.
///
/// [`to_array`](Self::to_array) gives an array of the crate `ndarray`. Half-precision and complex numbers have no type
/// here: read their [`bytes`](Self::bytes).
#[derive(Clone, PartialEq, Eq)]
pub struct AnyArray {
    dtype: String,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl AnyArray {
    /// An array from its bytes.
    ///
    /// # Errors
    /// [`EncodeError`]: `dtype` is not one of the specification, there are more than 32 dimensions, or the bytes do not
    /// fill the shape.
    ///
    /// ```
    /// use objectstreaming::AnyArray;
    /// let array = AnyArray::new(">i2", &[2, 1], vec![0, 1, 0, 2])?;
    /// assert_eq!(array.to_array::<i16>().unwrap(), ndarray::array![[1], [2]].into_dyn());
    /// assert_eq!(array.to_array::<f32>(), None);
    /// # Ok::<(), objectstreaming::EncodeError>(())
    /// ```
    pub fn new(dtype: &str, shape: &[usize], data: Vec<u8>) -> Result<Self, EncodeError> {
        let item = item_size(dtype).ok_or_else(|| EncodeError::new(not_a_dtype(dtype)))?;
        check_dimensions(shape.len())
            .and_then(|()| check_filled(dtype, shape, item, &data))
            .map_err(EncodeError::new)?;
        Ok(Self { dtype: dtype.into(), shape: shape.into(), data })
    }

    /// The type of the elements and their byte order, as `NumPy` spells it: `<f4`.
    #[must_use]
    pub fn dtype(&self) -> &str {
        &self.dtype
    }

    /// The size of each dimension.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements as they are on the wire.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// A copy with elements of this machine. `None` if they are of another type than `T`.
    #[must_use]
    pub fn to_array<T: Element>(&self) -> Option<ArrayD<T>> {
        if self.dtype.get(1..) != T::DTYPE.get(1..) {
            return None;
        }
        let big = self.dtype.starts_with('>');
        let elements = self.data.chunks_exact(size_of::<T>()).map(|bytes| T::read(bytes, big)).collect();
        ArrayD::from_shape_vec(self.shape.as_slice(), elements).ok() // not of a size of 0 beside a huge one
    }
}

impl fmt::Debug for AnyArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyArray of {}, shape {:?}", self.dtype, self.shape)
    }
}

/// The types of elements of [`AnyArray::to_array`]: `bool`, the integers of 8 to 64 bits, `f32` and `f64`.
pub trait Element: Copy + sealed::Sealed {
    /// As `NumPy` spells it, in little-endian order.
    #[doc(hidden)]
    const DTYPE: &'static str;
    #[doc(hidden)]
    fn read(bytes: &[u8], big: bool) -> Self;
    #[doc(hidden)]
    fn write(self, data: &mut Vec<u8>);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($type:ty = $dtype:literal)*) => {
        $(impl sealed::Sealed for $type {}

        impl Element for $type {
            const DTYPE: &'static str = $dtype;

            fn read(bytes: &[u8], big: bool) -> Self {
                let mut value = [0; size_of::<Self>()];
                value.copy_from_slice(bytes);
                if big { Self::from_be_bytes(value) } else { Self::from_le_bytes(value) }
            }

            fn write(self, data: &mut Vec<u8>) {
                data.extend_from_slice(&self.to_le_bytes());
            }
        })*
    };
}

elements! {
    i8 = "|i1" u8 = "|u1" i16 = "<i2" u16 = "<u2" i32 = "<i4" u32 = "<u4" i64 = "<i8" u64 = "<u8" f32 = "<f4" f64 = "<f8"
}

impl sealed::Sealed for bool {}

impl Element for bool {
    const DTYPE: &'static str = "|b1";

    fn read(bytes: &[u8], _: bool) -> Self {
        bytes != [0]
    }

    fn write(self, data: &mut Vec<u8>) {
        data.push(self.into());
    }
}

/// Headers are JSON objects, payloads are arrays: received ones are [`AnyArray`], and to send, arrays of the crate
/// `ndarray` can be given too. The members `dtype` and `shape` of the header are the coder's; a received header does not
/// have them.
///
/// ```
/// use objectstreaming::{NdarrayCoder, StreamDecoder, StreamEncoder};
///
/// let array = ndarray::array![[1.5_f32, 2.5], [3.5, 4.5]];
/// let wire = StreamEncoder::plain(NdarrayCoder).data(&serde_json::json!({"name": "x"}), &array)?;
/// for message in StreamDecoder::new(NdarrayCoder).feed(&wire) {
///     let (header, received) = message?;
///     assert_eq!((header["name"].as_str(), received.dtype()), (Some("x"), "<f4"));
///     assert_eq!(received.to_array::<f32>().unwrap(), array.clone().into_dyn());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NdarrayCoder;

impl Coder for NdarrayCoder {
    fn name(&self) -> &'static str {
        "ndarray"
    }
}

impl Decode for NdarrayCoder {
    type Header = Map<String, Value>;
    type Payload = AnyArray;
    type Order = ();

    fn decode(&self, frame: Frame) -> Result<(Self::Header, AnyArray), Refusal> {
        let mut header: Self::Header = read_json::object(frame.header_bytes()).map_err(Refusal::Header)?;
        let dtype = match header.remove("dtype") {
            Some(Value::String(dtype)) => dtype,
            other => return Err(Refusal::Header(not_a_dtype(&other.unwrap_or_default().to_string()))),
        };
        let item = item_size(&dtype).ok_or_else(|| Refusal::Header(not_a_dtype(&dtype)))?;
        header.remove("shape");
        let shape = shape(frame.header_bytes()).map_err(Refusal::Header)?;
        check_filled(&dtype, &shape, item, frame.payload()).map_err(Refusal::Payload)?;
        Ok((header, AnyArray { dtype, shape, data: frame.into_payload() }))
    }
}

impl<H: Serialize + ?Sized> Encode<H, AnyArray> for NdarrayCoder {
    fn encode(&self, header: &H, payload: &AnyArray) -> Result<Vec<u8>, EncodeError> {
        encode(header, &payload.dtype, &payload.shape, |wire| wire.extend_from_slice(&payload.data))
    }
}

impl<H, T, S, D> Encode<H, ArrayBase<S, D>> for NdarrayCoder
where
    H: Serialize + ?Sized,
    T: Element,
    S: Data<Elem = T>,
    D: Dimension,
{
    fn encode(&self, header: &H, payload: &ArrayBase<S, D>) -> Result<Vec<u8>, EncodeError> {
        check_dimensions(payload.ndim()).map_err(EncodeError::new)?;
        encode(header, T::DTYPE, payload.shape(), |wire| payload.iter().for_each(|element| element.write(wire)))
    }
}

fn encode<H: Serialize + ?Sized>(
    header: &H,
    dtype: &str,
    shape: &[usize],
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<Vec<u8>, EncodeError> {
    let write_header = |wire: &mut Vec<u8>| {
        let start = wire.len();
        read_json::write_object(wire, header)?;
        let members: BTreeMap<String, Box<RawValue>> = read_json::object(&wire[start..]).map_err(EncodeError::new)?;
        if let Some(name) = ["dtype", "shape"].into_iter().find(|name| members.contains_key(*name)) {
            return Err(EncodeError::new(format!("the header member {name:?} is set by the coder, from the array")));
        }
        wire.pop(); // the closing brace
        let comma = if members.is_empty() { "" } else { "," };
        wire.extend_from_slice(format!("{comma}\"dtype\":{dtype:?},\"shape\":{shape:?}}}").as_bytes());
        Ok(())
    };
    let write_payload = |wire: &mut Vec<u8>| {
        write(wire);
        Ok(())
    };
    encode_parts(write_header, write_payload)
}

/// The shape in a header. Sizes that no memory could have are the largest ones here, so that no payload fills them.
fn shape(header: &[u8]) -> Result<Vec<usize>, String> {
    // As text: a `Value` does not tell a large integer from a fraction.
    let mut members: BTreeMap<String, Box<RawValue>> = read_json::object(header)?;
    let shape = members.remove("shape").map_or("none".into(), |shape| shape.get().to_string());
    let wrong = || format!("shape {shape:.40} is not an array of sizes");
    let sizes: Vec<Box<RawValue>> = read_json::value(shape.as_bytes()).map_err(|_| wrong())?;
    check_dimensions(sizes.len())?;
    let size = |size: Box<RawValue>| match size.get() {
        "-0" => Ok(0),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(digits.parse().unwrap_or(usize::MAX)),
        _ => Err(wrong()),
    };
    sizes.into_iter().map(size).collect()
}

fn not_a_dtype(dtype: &str) -> String {
    format!("dtype {dtype:.40} is not one of numbers or booleans, with its byte order")
}

fn check_dimensions(count: usize) -> Result<(), String> {
    if count <= MAX_DIMENSIONS { Ok(()) } else { Err(format!("at most {MAX_DIMENSIONS} dimensions, not {count}")) }
}

/// The number of bytes of an element, if the specification has the type.
fn item_size(dtype: &str) -> Option<usize> {
    match dtype.strip_prefix(['<', '>']) {
        None => matches!(dtype, "|b1" | "|i1" | "|u1").then_some(1),
        Some(kind) => match kind {
            "i2" | "u2" | "f2" => Some(2),
            "i4" | "u4" | "f4" => Some(4),
            "i8" | "u8" | "f8" | "c8" => Some(8),
            "c16" => Some(16),
            _ => None,
        },
    }
}

fn check_filled(dtype: &str, shape: &[usize], item: usize, data: &[u8]) -> Result<(), String> {
    let size = match shape {
        _ if shape.contains(&0) => Some(0), // also beside a size that would overflow
        _ => shape.iter().try_fold(item, |size, next| size.checked_mul(*next)),
    };
    if size == Some(data.len()) {
        return Ok(());
    }
    let size = size.map_or("more than any memory has".into(), |size| format!("{size} bytes"));
    Err(format!("shape {shape:?} of {dtype} takes {size}, the payload has {}", data.len()))
}
