//! Bytes in, in any pieces; frames out (SPEC section 2.2).
//!
//! **Theory of operation.** A frame that lies whole in the input is cut out of it: one allocation, one copy. Of one that
//! does not, the length words gather in `prefix`, then the rest in `body`. Both words are judged as soon as their bytes
//! are there, in field order. No byte is looked at twice, so the cost is linear whatever the pieces; `body` grows as
//! bytes arrive, at most to twice of them, so a length word is a claim and never a reason to allocate.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{FrameError, FrameErrorKind};
use crate::frame::{Frame, Layout, Limits};

/// Reads frames from bytes in any pieces. Sans-IO: it knows neither sockets nor clocks.
///
/// ```
/// use objectstreaming::{FrameDecoder, encode_frame};
///
/// let wire = [encode_frame(b"{}", b"first")?, encode_frame(b"{}", b"second")?].concat();
/// let mut decoder = FrameDecoder::new();
/// let mut payloads = Vec::new();
/// for chunk in wire.chunks(7) {
///     for frame in decoder.feed(chunk) {
///         payloads.push(frame?.into_payload());
///     }
/// }
/// decoder.finish()?;
/// assert_eq!(payloads, [&b"first"[..], b"second"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct FrameDecoder {
    limits: Limits,
    layout: Layout,
    index: u64,
    offset: u64,
    // The frame that has begun and is not whole.
    prefix: [u8; 16],
    prefix_len: usize,
    sizes: Option<Sizes>, // once both words are there and sound
    body: Vec<u8>,
    // What the reader of a `feed` left, and how much of that has been read since.
    rest: Vec<u8>,
    rest_at: usize,
    peeked: Option<Frame>,
    finished: bool,
    failed: Option<FrameError>,
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    body: usize,
    header: usize,
}

impl FrameDecoder {
    /// A decoder of the wire, with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder with limits and a layout of your own.
    #[must_use]
    pub fn with(limits: Limits, layout: Layout) -> Self {
        Self { limits, layout, ..Self::default() }
    }

    /// How many frames have been delivered.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.index - u64::from(self.peeked.is_some())
    }

    /// How many bytes the delivered frames took: where the next one begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.peeked.as_ref().map_or(self.offset, Frame::offset)
    }

    /// How many bytes have been taken in beyond [`offset`](Self::offset).
    #[must_use]
    pub fn buffered(&self) -> usize {
        let peeked = self.peeked.as_ref().map_or(0, |frame| self.offset - frame.offset());
        usize::try_from(peeked).unwrap_or(usize::MAX)
            + self.prefix_len
            + self.body.len()
            + (self.rest.len() - self.rest_at)
    }

    /// Takes a chunk, and gives an iterator over the frames that are now whole: first every good one, then the error,
    /// if there is one. What the iterator is not asked for stays in the decoder.
    ///
    /// # Panics
    /// If [`finish`](Self::finish) was called before.
    pub fn feed<'a>(&'a mut self, chunk: &'a [u8]) -> Frames<'a> {
        self.assert_open();
        Frames { decoder: self, chunk, failed: false }
    }

    /// The next frame, of bytes taken from the front of `input`: the primitive. `None`: all of `input` was taken, and
    /// more is needed.
    ///
    /// # Errors
    /// [`FrameError`]; the decoder is dead then, and gives the same error again.
    ///
    /// # Panics
    /// If [`finish`](Self::finish) was called before and `input` is not empty.
    pub fn next_from(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        if !input.is_empty() {
            self.assert_open();
        }
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Some(frame) = self.peeked.take() {
            return Ok(Some(frame));
        }
        let found = self.find(input);
        if let Err(error) = &found {
            self.failed = Some(error.clone());
        }
        found
    }

    /// The next frame of what an iterator from [`feed`](Self::feed) was not asked for.
    ///
    /// # Errors
    /// As [`next_from`](Self::next_from).
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        self.next_from(&mut &[][..])
    }

    /// Says that no more bytes will come.
    ///
    /// Frames not yet asked for can still be read with [`next_frame`](Self::next_frame), which then fails in its turn.
    ///
    /// # Errors
    /// [`FrameErrorKind::TruncatedFrame`] if a frame has begun and is not whole.
    pub fn finish(&mut self) -> Result<(), FrameError> {
        self.finished = true;
        self.peeked = self.next_frame()?;
        Ok(())
    }

    fn assert_open(&self) {
        assert!(!self.finished, "bytes after finish(): the stream was said to have ended");
    }

    fn find(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        if self.rest_at < self.rest.len() {
            let rest = core::mem::take(&mut self.rest);
            let mut left = &rest[self.rest_at..];
            let found = self.step(&mut left);
            self.rest_at = rest.len() - left.len();
            self.rest = rest;
            if let Some(frame) = found? {
                return Ok(Some(frame));
            }
        }
        if self.rest_at > 0 {
            (self.rest, self.rest_at) = (Vec::new(), 0);
        }
        if let Some(frame) = self.step(input)? {
            return Ok(Some(frame));
        }
        if self.finished && self.prefix_len > 0 {
            let size = self.prefix_len + self.body.len();
            return Err(self.error(
                FrameErrorKind::TruncatedFrame,
                0,
                format!("the stream ended {size} bytes into a frame: was it cut?"),
            ));
        }
        Ok(None)
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        let prefix = 2 * self.layout.byte_length();
        let sizes = match self.sizes {
            Some(sizes) => sizes,
            None if self.prefix_len == 0 && input.len() >= prefix => {
                let (words, rest) = input.split_at(prefix);
                let sizes = self.judge(words)?;
                if let Some((data, rest)) = rest.split_at_checked(sizes.body) {
                    *input = rest;
                    return Ok(Some(self.deliver(data.to_vec(), sizes)));
                }
                *input = rest;
                self.prefix_len = prefix;
                *self.sizes.insert(sizes)
            }
            None => match self.gather_prefix(input, prefix)? {
                Some(sizes) => *self.sizes.insert(sizes),
                None => return Ok(None),
            },
        };
        let missing = sizes.body - self.body.len();
        let (taken, rest) = input.split_at(missing.min(input.len()));
        *input = rest;
        if self.body.capacity() - self.body.len() < taken.len() {
            // Doubling, but never beyond what the frame will need.
            self.body.reserve_exact(missing.min(taken.len().max(self.body.len())));
        }
        self.body.extend_from_slice(taken);
        if taken.len() < missing {
            return Ok(None);
        }
        self.prefix_len = 0;
        self.sizes = None;
        let data = core::mem::take(&mut self.body);
        Ok(Some(self.deliver(data, sizes)))
    }

    fn deliver(&mut self, data: Vec<u8>, sizes: Sizes) -> Frame {
        let frame = Frame::received(data, sizes.header, self.index, self.offset);
        self.index += 1;
        self.offset += (2 * self.layout.byte_length() + sizes.body) as u64;
        frame
    }

    /// Length words that come in pieces: T is judged when its own bytes are there, before H's are.
    fn gather_prefix(&mut self, input: &mut &[u8], prefix: usize) -> Result<Option<Sizes>, FrameError> {
        let size = prefix / 2;
        for wanted in [size, prefix] {
            let missing = wanted.saturating_sub(self.prefix_len);
            if missing == 0 {
                continue;
            }
            let (taken, rest) = input.split_at(missing.min(input.len()));
            *input = rest;
            self.prefix[self.prefix_len..][..taken.len()].copy_from_slice(taken);
            self.prefix_len += taken.len();
            if taken.len() < missing {
                return Ok(None);
            }
            if wanted == size {
                self.judge_total(&self.prefix[..size])?;
            }
        }
        self.judge(&self.prefix[..prefix]).map(Some)
    }

    /// The checks of SPEC section 2.2, in its order.
    #[inline]
    fn judge(&self, words: &[u8]) -> Result<Sizes, FrameError> {
        let (total, header) = words.split_at(words.len() / 2);
        let body = self.judge_total(total)?;
        let header = self.layout.word(header);
        if header > body as u64 {
            let message = format!("the header is said to have {header} bytes, the frame has room for {body}");
            return Err(self.error(FrameErrorKind::InvalidLength, words.len() / 2, message));
        }
        if header > self.limits.header as u64 {
            let message = format!("a header of {header} bytes is beyond the limit of {}", self.limits.header);
            return Err(self.error(FrameErrorKind::HeaderTooLarge, words.len() / 2, message));
        }
        Ok(Sizes { body, header: as_usize(header) })
    }

    /// The bytes after the two words, of a T that is sound.
    #[inline]
    fn judge_total(&self, word: &[u8]) -> Result<usize, FrameError> {
        let total = self.layout.word(word);
        let prefix = 2 * word.len() as u64;
        if total < prefix {
            let message = format!("T is {total}, and the smallest frame has {prefix} bytes");
            return Err(self.error(FrameErrorKind::InvalidLength, 0, message));
        }
        if total > self.limits.frame as u64 {
            let message =
                format!("a frame of {total} bytes is beyond the limit of {}{}", self.limits.frame, self.likely(word));
            return Err(self.error(FrameErrorKind::FrameTooLarge, 0, message));
        }
        Ok(as_usize(total - prefix))
    }

    /// What a stream that begins with text probably is.
    fn likely(&self, word: &[u8]) -> String {
        match core::str::from_utf8(word) {
            Ok(text) if self.index == 0 && word.iter().all(|byte| (0x20..0x7f).contains(byte)) => {
                format!("; the stream starts with {text:?}: an error page?")
            }
            _ => String::new(),
        }
    }

    #[cold]
    fn error(&self, kind: FrameErrorKind, place: usize, message: String) -> FrameError {
        FrameError::new(kind, self.index, self.offset + place as u64, message)
    }
}

/// A size that was compared with one of our own, and so fits.
fn as_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// The frames of a chunk, from [`FrameDecoder::feed`].
#[derive(Debug)]
pub struct Frames<'a> {
    decoder: &'a mut FrameDecoder,
    chunk: &'a [u8],
    failed: bool,
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.decoder.next_from(&mut self.chunk);
        self.failed = next.is_err();
        next.transpose()
    }
}

impl Drop for Frames<'_> {
    fn drop(&mut self) {
        let FrameDecoder { rest, rest_at, .. } = &mut *self.decoder;
        if !self.failed && !self.chunk.is_empty() {
            // What was read goes once it is the larger part, so that the moving stays linear.
            if *rest_at > rest.len() / 2 {
                rest.drain(..*rest_at);
                *rest_at = 0;
            }
            rest.extend_from_slice(self.chunk);
        }
    }
}

/// Exactly one frame.
///
/// # Errors
/// [`FrameErrorKind::TruncatedFrame`] if there is less, [`FrameErrorKind::InvalidLength`] if there is more or a length
/// word is wrong, and as [`FrameDecoder`] with the default limits.
///
/// ```
/// let frame = objectstreaming::decode_frame(b"\x0c\0\0\0\x02\0\0\0{}\x01\x02")?;
/// assert_eq!((frame.header_bytes(), frame.payload()), (&b"{}"[..], &[1, 2][..]));
/// # Ok::<(), objectstreaming::FrameError>(())
/// ```
pub fn decode_frame(data: &[u8]) -> Result<Frame, FrameError> {
    let mut decoder = FrameDecoder::new();
    let mut left = data;
    let Some(frame) = decoder.next_from(&mut left)? else {
        let message = format!("one frame is expected, and {} bytes are not a whole one", data.len());
        return Err(FrameError::new(FrameErrorKind::TruncatedFrame, 0, 0, message));
    };
    if !left.is_empty() {
        let message = format!("one frame is expected, and {} bytes follow it", left.len());
        return Err(FrameError::new(FrameErrorKind::InvalidLength, 0, 0, message));
    }
    Ok(frame)
}
