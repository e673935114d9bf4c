//! Frames: the unit of the wire (SPEC section 2), and how they are written.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::error::{EncodeError, FrameError, FrameErrorKind};
use crate::strict_json;

/// What a decoder accepts, in bytes.
///
/// A receiver of small answers does well to set less than the defaults, 16 MiB and 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest T: a whole frame, its length words included.
    pub frame: usize,
    /// The largest H.
    pub header: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame: 16 << 20, header: 64 << 10 }
    }
}

/// Which byte of a length word comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// The least significant: the wire's.
    #[default]
    Little,
    /// The most significant.
    Big,
}

/// How the two length words are written: a private agreement of both sides, where it is not the default.
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
    /// Length words of `byte_length` bytes each, 1 to 8.
    ///
    /// # Panics
    /// If `byte_length` is not 1 to 8.
    #[must_use]
    pub const fn new(byte_length: usize, byte_order: ByteOrder) -> Self {
        assert!(byte_length >= 1 && byte_length <= 8, "byte_length is 1 to 8");
        Self { byte_length, byte_order }
    }

    /// The bytes of one length word.
    #[must_use]
    pub fn byte_length(self) -> usize {
        self.byte_length
    }

    /// The order of the bytes in it.
    #[must_use]
    pub fn byte_order(self) -> ByteOrder {
        self.byte_order
    }

    /// One frame's bytes. `header` is JSON text, which goes out untouched once it has been checked.
    ///
    /// # Errors
    /// [`EncodeError`]: the header is not one strict JSON object, or the frame does not fit its length word.
    pub fn encode_frame(self, header: &[u8], payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
        check_header(header)?;
        let mut wire = Vec::with_capacity(2 * self.byte_length + header.len() + payload.len());
        self.write(&mut wire, header, payload)?;
        Ok(wire)
    }

    /// Appends a frame whose header is known to be good.
    pub(crate) fn write(self, wire: &mut Vec<u8>, header: &[u8], payload: &[u8]) -> Result<(), EncodeError> {
        let prefix = self.prefix(header.len(), payload.len())?;
        wire.extend_from_slice(&prefix[..2 * self.byte_length]);
        wire.extend_from_slice(header);
        wire.extend_from_slice(payload);
        Ok(())
    }

    /// Both length words, in the first `2 * byte_length` bytes.
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

    /// A length word: all of `bytes`, at most 8.
    pub(crate) fn word(self, bytes: &[u8]) -> u64 {
        let shift = |word, byte: &u8| word << 8 | u64::from(*byte);
        match self.byte_order {
            ByteOrder::Little => bytes.iter().rev().fold(0, shift),
            ByteOrder::Big => bytes.iter().fold(0, shift),
        }
    }
}

/// Writes the length words of a frame into the eight bytes that were left for them.
#[cfg(feature = "json")]
pub(crate) fn seal(wire: &mut [u8], header: usize) -> Result<(), EncodeError> {
    let prefix = Layout::default().prefix(header, wire.len() - 8 - header)?;
    wire[..8].copy_from_slice(&prefix[..8]);
    Ok(())
}

pub(crate) fn check_header(header: &[u8]) -> Result<(), EncodeError> {
    strict_json::check_object(header)
        .map_err(|error| EncodeError::new(format!("the header is not a JSON object: {error}")))
}

/// One frame's bytes, in the wire's own layout. `header` is JSON text, which goes out untouched once it has been checked.
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

/// What comes before a payload: length words and header, for a vectored write that does not copy the payload.
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

/// One frame as it was on the wire: a header, not yet parsed, and a payload. Equal if their bytes are.
#[derive(Clone)]
pub struct Frame {
    data: Vec<u8>, // the header, then the payload: one allocation a frame
    header_len: usize,
    index: u64,
    offset: u64,
}

impl Frame {
    /// A frame of its own. `header` is JSON text.
    ///
    /// # Errors
    /// [`EncodeError`]: the header is not one strict JSON object.
    pub fn new(header: &[u8], payload: &[u8]) -> Result<Self, EncodeError> {
        check_header(header)?;
        Ok(Self { data: [header, payload].concat(), header_len: header.len(), index: 0, offset: 0 })
    }

    pub(crate) fn received(data: Vec<u8>, header_len: usize, index: u64, offset: u64) -> Self {
        Self { data, header_len, index, offset }
    }

    /// The header as it came.
    #[must_use]
    pub fn header_bytes(&self) -> &[u8] {
        &self.data[..self.header_len]
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.data[self.header_len..]
    }

    /// The payload, without another allocation.
    #[must_use]
    pub fn into_payload(mut self) -> Vec<u8> {
        self.data.drain(..self.header_len);
        self.data
    }

    /// Which frame of its stream it was, from 0; 0 for a loose one.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// At which byte of its stream it began; 0 for a loose one.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the header is one strict JSON object, as the specification wants: a decoder does not look.
    ///
    /// # Errors
    /// [`FrameErrorKind::InvalidHeader`].
    pub fn check_header(&self) -> Result<(), FrameError> {
        strict_json::check_object(self.header_bytes()).map_err(|error| self.invalid_header(error))
    }

    /// The header as a `T`: `serde_json::Map`, or a type of your own.
    ///
    /// # Errors
    /// [`FrameErrorKind::InvalidHeader`]: it is not one strict JSON object, or no `T`.
    ///
    /// ```
    /// let frame = objectstreaming::Frame::new(br#"{"status": "success"}"#, b"")?;
    /// let header: serde_json::Map<_, _> = frame.header()?;
    /// assert_eq!(header["status"], "success");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "json")]
    pub fn header<T: serde::de::DeserializeOwned>(&self) -> Result<T, FrameError> {
        crate::read_json::object(self.header_bytes()).map_err(|error| self.invalid_header(error))
    }

    /// The frame's bytes, in the wire's own layout.
    ///
    /// # Errors
    /// [`EncodeError`]: the frame, of another layout, has 4 GiB or more.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut wire = Vec::with_capacity(8 + self.data.len());
        Layout::default().write(&mut wire, self.header_bytes(), self.payload())?;
        Ok(wire)
    }

    pub(crate) fn invalid_header(&self, reason: impl fmt::Display) -> FrameError {
        let message = format!("the header is not what it should be: {reason}");
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
    /// A line for logs: place, header in brief, size of the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = &self.header_bytes()[..self.header_len.min(80)];
        let header: String = String::from_utf8_lossy(header).into_owned();
        let size = self.payload().len();
        write!(f, "Frame {} at byte {}: {header} + {size} bytes", self.index, self.offset)
    }
}
