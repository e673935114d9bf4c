//! Frames (SPEC section 2), and how they are written.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::error::{EncodeError, FrameError, FrameErrorKind, place};
use crate::strict_json;

/// The limits of a decoder, in bytes: 16 MiB and 64 KiB by default. Set lower ones if your messages are small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest T: the size of a whole frame, its length words included.
    pub frame: usize,
    /// The largest H: the size of a header.
    pub header: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame: 16 << 20, header: 64 << 10 }
    }
}

/// The byte order of a length word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// The least significant byte comes first, as in the standard layout.
    #[default]
    Little,
    /// The most significant byte comes first.
    Big,
}

/// How the two length words are written. A layout other than the standard one is a private agreement of both sides.
///
/// ```
/// use objectstreaming::{ByteOrder, Layout};
/// let wire = Layout::new(2, ByteOrder::Big).encode_frame(br#"{"a":1}"#, b"xy")?;
/// assert_eq!(wire, b"\0\x0d\0\x07{\"a\":1}xy");
/// # Ok::<(), objectstreaming::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    byte_length: usize,
    byte_order: ByteOrder,
}

impl Default for Layout {
    fn default() -> Self {
        Self { byte_length: 4, byte_order: ByteOrder::Little }
    }
}

impl Layout {
    /// A layout with length words of `byte_length` bytes each, 1 to 8.
    ///
    /// # Panics
    /// If `byte_length` is not 1 to 8.
    #[must_use]
    pub const fn new(byte_length: usize, byte_order: ByteOrder) -> Self {
        assert!(byte_length >= 1 && byte_length <= 8, "byte_length is 1 to 8");
        Self { byte_length, byte_order }
    }

    /// The number of bytes of a length word.
    #[must_use]
    pub fn byte_length(self) -> usize {
        self.byte_length
    }

    /// The byte order of a length word.
    #[must_use]
    pub fn byte_order(self) -> ByteOrder {
        self.byte_order
    }

    /// The bytes of one frame. `header` is JSON text. It is checked, and written unchanged.
    ///
    /// # Errors
    /// [`EncodeError`]: the header is not one strict JSON object, or the frame does not fit its length word.
    pub fn encode_frame(self, header: &[u8], payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
        check_header(header)?;
        let mut wire = Vec::with_capacity(2 * self.byte_length + header.len() + payload.len());
        self.write(&mut wire, header, payload)?;
        Ok(wire)
    }

    /// Appends a frame whose header was checked before.
    pub(crate) fn write(self, wire: &mut Vec<u8>, header: &[u8], payload: &[u8]) -> Result<(), EncodeError> {
        let prefix = self.prefix(header.len(), payload.len())?;
        wire.extend_from_slice(&prefix[..2 * self.byte_length]);
        wire.extend_from_slice(header);
        wire.extend_from_slice(payload);
        Ok(())
    }

    /// Both length words, in the first `2 * byte_length` bytes of the result.
    pub(crate) fn prefix(self, header: usize, payload: usize) -> Result<[u8; 16], EncodeError> {
        let size = self.byte_length;
        let total = 2 * size as u64 + header as u64 + payload as u64;
        if size < 8 && total >> (8 * size) != 0 {
            return Err(EncodeError::new(format!(
                "a frame of {total} bytes does not fit a length word of {size} bytes; send it in pieces, a frame each"
            )));
        }
        let mut prefix = [0; 16];
        for (word, place) in [(total, 0), (header as u64, size)] {
            match self.byte_order {
                ByteOrder::Little => prefix[place..place + size].copy_from_slice(&word.to_le_bytes()[..size]),
                ByteOrder::Big => prefix[place..place + size].copy_from_slice(&word.to_be_bytes()[8 - size..]),
            }
        }
        Ok(prefix)
    }

    /// The value of a length word, which is all of `bytes`: at most 8.
    pub(crate) fn word(self, bytes: &[u8]) -> u64 {
        let shift = |word, byte: &u8| word << 8 | u64::from(*byte);
        match self.byte_order {
            ByteOrder::Little => bytes.iter().rev().fold(0, shift),
            ByteOrder::Big => bytes.iter().fold(0, shift),
        }
    }
}

/// The bytes of one frame, in the standard layout, whose parts are appended by functions.
#[cfg(feature = "json")]
pub(crate) fn encode_parts(
    header: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    payload: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<Vec<u8>, EncodeError> {
    let mut wire = alloc::vec![0; 8];
    header(&mut wire)?;
    let header_len = wire.len() - 8;
    payload(&mut wire)?;
    let prefix = Layout::default().prefix(header_len, wire.len() - 8 - header_len)?;
    wire[..8].copy_from_slice(&prefix[..8]);
    Ok(wire)
}

pub(crate) fn check_header(header: &[u8]) -> Result<(), EncodeError> {
    strict_json::check_object(header)
        .map_err(|error| EncodeError::new(format!("the header is not a JSON object: {error}")))
}

/// The bytes of one frame, in the standard layout. `header` is JSON text. It is checked, and written unchanged.
///
/// # Errors
/// [`EncodeError`]: the header is not one strict JSON object, or the frame has 4 GiB or more.
///
/// ```
/// let wire = objectstreaming::encode_frame(br#"{"a": 1}"#, br#"{"b": 2}"#)?;
/// assert_eq!(wire, b"\x18\0\0\0\x08\0\0\0{\"a\": 1}{\"b\": 2}");
/// # Ok::<(), objectstreaming::EncodeError>(())
/// ```
pub fn encode_frame(header: &[u8], payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
    Layout::default().encode_frame(header, payload)
}

/// The length words and the header of a frame, for a vectored write that does not copy the payload.
///
/// # Errors
/// [`EncodeError`], as [`encode_frame`].
///
/// ```
/// let pcm = [0; 960];
/// let head = objectstreaming::encode_frame_head(b"{}", pcm.len())?;
/// assert_eq!([&head[..], &pcm].concat(), objectstreaming::encode_frame(b"{}", &pcm)?);
/// # Ok::<(), objectstreaming::EncodeError>(())
/// ```
pub fn encode_frame_head(header: &[u8], payload_len: usize) -> Result<Vec<u8>, EncodeError> {
    check_header(header)?;
    let prefix = Layout::default().prefix(header.len(), payload_len)?;
    Ok([&prefix[..8], header].concat())
}

/// The bytes of a frame. With the feature `bytes` they can be shared with the chunk that they came in.
#[cfg(feature = "bytes")]
pub(crate) type Data = bytes::Bytes;
#[cfg(not(feature = "bytes"))]
pub(crate) type Data = Vec<u8>;

/// One frame: a header that is not parsed yet, and a payload. Two frames are equal if their bytes are.
#[derive(Clone)]
pub struct Frame {
    data: Data, // the header, then the payload: at most one allocation per frame
    header_len: usize,
    index: u64,
    offset: u64,
}

impl Frame {
    /// A frame that was not received. `header` is JSON text.
    ///
    /// # Errors
    /// [`EncodeError`]: the header is not one strict JSON object.
    pub fn new(header: &[u8], payload: &[u8]) -> Result<Self, EncodeError> {
        check_header(header)?;
        Ok(Self { data: [header, payload].concat().into(), header_len: header.len(), index: 0, offset: 0 })
    }

    pub(crate) fn received(data: Data, header_len: usize, index: u64, offset: u64) -> Self {
        Self { data, header_len, index, offset }
    }

    /// The bytes of the header.
    #[must_use]
    pub fn header_bytes(&self) -> &[u8] {
        &self.data[..self.header_len]
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.data[self.header_len..]
    }

    /// The payload, without another allocation unless its memory is shared.
    #[must_use]
    pub fn into_payload(self) -> Vec<u8> {
        #[cfg(feature = "bytes")]
        return self.into_bytes().into();
        #[cfg(not(feature = "bytes"))]
        {
            let mut data = self.data;
            data.drain(..self.header_len);
            data
        }
    }

    /// The payload, without a copy. It keeps the memory of the frame alive, or of the chunk that the frame came in.
    #[cfg(feature = "bytes")]
    #[must_use]
    pub fn into_bytes(mut self) -> bytes::Bytes {
        self.data.split_off(self.header_len)
    }

    place!(
        "The number of the frame in its stream, from 0. 0 for a frame that was not received.",
        "The first byte of the frame in its stream, from 0. 0 for a frame that was not received."
    );

    /// Checks that the header is one strict JSON object. A frame decoder does not check it.
    ///
    /// # Errors
    /// [`FrameErrorKind::InvalidHeader`].
    pub fn check_header(&self) -> Result<(), FrameError> {
        strict_json::check_object(self.header_bytes())
            .map_err(|error| self.invalid_header(format!("the header is not a JSON object: {error}")))
    }

    /// The header as a `T`: a `serde_json::Map`, or a type of yours.
    ///
    /// # Errors
    /// [`FrameErrorKind::InvalidHeader`]: it is not one strict JSON object, or not a `T`.
    ///
    /// ```
    /// let frame = objectstreaming::Frame::new(br#"{"status": "success"}"#, b"")?;
    /// let header: serde_json::Map<_, _> = frame.header()?;
    /// assert_eq!(header["status"], "success");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "json")]
    pub fn header<T: serde::de::DeserializeOwned>(&self) -> Result<T, FrameError> {
        crate::read_json::object(self.header_bytes())
            .map_err(|error| self.invalid_header(format!("the header is not the expected JSON object: {error}")))
    }

    /// The bytes of the frame, in the standard layout.
    ///
    /// # Errors
    /// [`EncodeError`]: the frame has 4 GiB or more, which only a frame of another layout can have.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut wire = Vec::with_capacity(8 + self.data.len());
        Layout::default().write(&mut wire, self.header_bytes(), self.payload())?;
        Ok(wire)
    }

    fn invalid_header(&self, message: String) -> FrameError {
        FrameError::new(FrameErrorKind::InvalidHeader, self.index, self.offset, message)
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.header_len == other.header_len && self.data == other.data
    }
}

impl Eq for Frame {}

impl fmt::Debug for Frame {
    /// A line for logs: the place, the beginning of the header, the size of the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = &self.header_bytes()[..self.header_len.min(80)];
        let header: String = String::from_utf8_lossy(header).into_owned();
        let size = self.payload().len();
        write!(f, "Frame {} at byte {}: {header} + {size} bytes", self.index, self.offset)
    }
}
