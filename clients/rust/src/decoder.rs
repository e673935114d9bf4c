//! Reads frames from bytes (SPEC section 2.2).
//!
//! **Theory of operation.** A frame that is whole in the input is copied out of it: one allocation, one copy; none where
//! the input is `Bytes`, whose memory can be shared. For a frame
//! in several chunks, the length words are collected in `prefix` and the rest in `body`. Each length word is checked as
//! soon as its bytes have arrived, T before H. No byte is read twice, so the cost is linear for any chunks. `body` grows
//! with the bytes that arrive, to at most twice their number. No memory is reserved for a length that a peer claims.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{FrameError, FrameErrorKind};
use crate::frame::{Data, Frame, Layout, Limits};

/// Reads frames from bytes, in chunks of any size. It does no input or output and uses no clock.
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
    sizes: Option<Sizes>, // set when both words are valid
    body: Vec<u8>,
    // The bytes that were not read from the iterator of `feed`, and how many of them have been read since.
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
    /// A decoder with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder with other limits and another layout.
    #[must_use]
    pub fn with(limits: Limits, layout: Layout) -> Self {
        Self { limits, layout, ..Self::default() }
    }

    /// The number of frames returned.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.index - u64::from(self.peeked.is_some())
    }

    /// The number of bytes of the frames returned: where the next frame begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.peeked.as_ref().map_or(self.offset, Frame::offset)
    }

    /// The number of bytes taken beyond [`offset`](Self::offset).
    #[must_use]
    pub fn buffered(&self) -> usize {
        let peeked = self.peeked.as_ref().map_or(0, |frame| self.offset - frame.offset());
        usize::try_from(peeked).unwrap_or(usize::MAX)
            + self.prefix_len
            + self.body.len()
            + (self.rest.len() - self.rest_at)
    }

    /// Takes a chunk, and returns an iterator over the frames that are now whole: first all valid frames, then the error,
    /// if there is one. Frames that are not read from the iterator stay in the decoder.
    ///
    /// # Panics
    /// If [`finish`](Self::finish) was called before.
    pub fn feed<'a>(&'a mut self, chunk: &'a [u8]) -> Frames<'a> {
        self.assert_open();
        Frames { decoder: self, chunk, failed: false }
    }

    /// The next frame. Its bytes are removed from the front of `input`. `None`: all of `input` was taken, and more bytes
    /// are needed. The other methods are built on this one.
    ///
    /// # Errors
    /// [`FrameError`]. The decoder has then failed, and returns the same error again.
    ///
    /// # Panics
    /// If [`finish`](Self::finish) was called before and `input` is not empty.
    pub fn next_from(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        self.next_of(input, |data| data.to_vec().into())
    }

    /// [`next_from`](Self::next_from) without a copy: a frame that is whole in `input` shares its memory. Keep such a frame
    /// for long only if its chunk may stay in memory as long.
    ///
    /// # Errors
    /// As [`next_from`](Self::next_from).
    ///
    /// # Panics
    /// As [`next_from`](Self::next_from).
    #[cfg(feature = "bytes")]
    pub fn next_from_bytes(&mut self, input: &mut bytes::Bytes) -> Result<Option<Frame>, FrameError> {
        let mut left = &input[..];
        let found = self.next_of(&mut left, |data| input.slice_ref(data));
        let taken = input.len() - left.len();
        bytes::Buf::advance(input, taken);
        found
    }

    /// `own` makes a part of `input` the data of a frame.
    fn next_of(&mut self, input: &mut &[u8], own: impl Fn(&[u8]) -> Data) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if !input.is_empty() {
            self.assert_open();
        }
        if let Some(frame) = self.peeked.take() {
            return Ok(Some(frame));
        }
        let found = self.find(input, own);
        if let Err(error) = &found {
            self.failed = Some(error.clone());
        }
        found
    }

    /// The next frame that was not read from the iterator of [`feed`](Self::feed).
    ///
    /// # Errors
    /// As [`next_from`](Self::next_from).
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        self.next_from(&mut &[][..])
    }

    /// Tells the decoder that no more bytes will come.
    ///
    /// Frames that were not read yet can still be read with [`next_frame`](Self::next_frame), which returns the error after
    /// them.
    ///
    /// # Errors
    /// [`FrameErrorKind::TruncatedFrame`] if a frame has begun and is not whole.
    pub fn finish(&mut self) -> Result<(), FrameError> {
        self.finished = true;
        self.peeked = self.next_frame()?;
        Ok(())
    }

    fn assert_open(&self) {
        assert!(!self.finished, "feed() after finish(): the stream has ended");
    }

    #[inline]
    fn find(&mut self, input: &mut &[u8], own: impl Fn(&[u8]) -> Data) -> Result<Option<Frame>, FrameError> {
        if self.rest_at < self.rest.len() {
            let rest = core::mem::take(&mut self.rest);
            let mut left = &rest[self.rest_at..];
            let found = self.step(&mut left, |data| data.to_vec().into());
            self.rest_at = rest.len() - left.len();
            self.rest = rest;
            if let Some(frame) = found? {
                return Ok(Some(frame));
            }
        }
        if self.rest_at > 0 {
            (self.rest, self.rest_at) = (Vec::new(), 0);
        }
        if let Some(frame) = self.step(input, own)? {
            return Ok(Some(frame));
        }
        if self.finished && self.prefix_len > 0 {
            return Err(self.truncated());
        }
        Ok(None)
    }

    #[inline]
    fn step(&mut self, input: &mut &[u8], own: impl Fn(&[u8]) -> Data) -> Result<Option<Frame>, FrameError> {
        let prefix = 2 * self.layout.byte_length();
        let sizes = match self.sizes {
            Some(sizes) => sizes,
            None if self.prefix_len == 0 && input.len() >= prefix => {
                let (words, rest) = input.split_at(prefix);
                let sizes = self.check(words)?;
                if let Some((data, rest)) = rest.split_at_checked(sizes.body) {
                    *input = rest;
                    return Ok(Some(self.deliver(own(data), sizes)));
                }
                *input = rest;
                self.prefix[..prefix].copy_from_slice(words);
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
            // Doubled, but never more than the frame needs.
            self.body.reserve_exact(missing.min(taken.len().max(self.body.len())));
        }
        self.body.extend_from_slice(taken);
        if taken.len() < missing {
            return Ok(None);
        }
        self.prefix_len = 0;
        self.sizes = None;
        let data = core::mem::take(&mut self.body);
        Ok(Some(self.deliver(data.into(), sizes)))
    }

    fn deliver(&mut self, data: Data, sizes: Sizes) -> Frame {
        let frame = Frame::received(data, sizes.header, self.index, self.offset);
        self.index += 1;
        self.offset += (2 * self.layout.byte_length() + sizes.body) as u64;
        frame
    }

    /// Collects length words that arrive in pieces. T is checked when its own bytes have arrived, before those of H.
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
                self.check_total(&self.prefix[..size])?;
            }
        }
        self.check(&self.prefix[..prefix]).map(Some)
    }

    /// The checks of SPEC section 2.2, in its order.
    #[inline]
    fn check(&self, words: &[u8]) -> Result<Sizes, FrameError> {
        let (total_word, header_word) = words.split_at(words.len() / 2);
        let left = self.check_total(total_word)?;
        let header = self.layout.word(header_word);
        if header > left as u64 {
            let (total, cause) = (self.layout.word(total_word), self.likely_cause(total_word));
            let message = format!("H is {header}, but T is {total} and leaves {left} bytes{cause}");
            return Err(self.error(FrameErrorKind::InvalidLength, words.len() / 2, message));
        }
        if header > self.limits.header as u64 {
            let message = format!("H is {header}, above the limit of {} bytes", self.limits.header);
            return Err(self.error(FrameErrorKind::HeaderTooLarge, words.len() / 2, message));
        }
        Ok(Sizes { body: left, header: as_usize(header) })
    }

    /// The number of bytes after the two words, if T is valid.
    #[inline]
    fn check_total(&self, word: &[u8]) -> Result<usize, FrameError> {
        let total = self.layout.word(word);
        let prefix = 2 * word.len() as u64;
        if total < prefix {
            let message = format!("T is {total}, but a frame has at least {prefix} bytes{}", self.likely_cause(word));
            return Err(self.error(FrameErrorKind::InvalidLength, 0, message));
        }
        if total > self.limits.frame as u64 {
            let (limit, cause) = (self.limits.frame, self.likely_cause(word));
            let message = format!("T is {total}, above the limit of {limit} bytes{cause}");
            return Err(self.error(FrameErrorKind::FrameTooLarge, 0, message));
        }
        Ok(as_usize(total - prefix))
    }

    fn truncated(&self) -> FrameError {
        let held = self.prefix_len + self.body.len();
        let of =
            self.sizes.map(|sizes| format!(" of {}", 2 * self.layout.byte_length() + sizes.body)).unwrap_or_default();
        let cause = if self.index == 0 { self.likely_cause(&self.prefix[..self.prefix_len]) } else { String::new() };
        let message = format!("the stream ended inside a frame, after {held}{of} bytes{cause}");
        self.error(FrameErrorKind::TruncatedFrame, 0, message)
    }

    /// The likely cause of a wrong length word, as the end of its message. Empty if there is no guess.
    fn likely_cause(&self, bytes: &[u8]) -> String {
        if self.index > 0 {
            return ": was the frame before it written with a wrong length, or were bytes lost?".into();
        }
        let start = &bytes[..bytes.len().min(4)];
        let cause = match start {
            [0x1f, 0x8b, ..] => "gzip: was its Content-Encoding not undone?",
            b"HTTP" => "an HTTP response with its head still on?",
            [b'<', ..] => "an error page?",
            b"RIFF" => "a WAV file instead of frames?",
            b"data" | b"even" => "server-sent events?",
            [b'{' | b'[', ..] => "JSON without frames?",
            [0, 0, rest @ ..] if rest.iter().any(|byte| *byte != 0) => return ": the other byte order?".into(),
            _ if !start.is_empty() && start.iter().all(|byte| (0x20..0x7f).contains(byte)) => "text instead of frames?",
            _ => return String::new(),
        };
        format!(": the stream starts with \"{}\", {cause}", start.escape_ascii())
    }

    #[cold]
    fn error(&self, kind: FrameErrorKind, place: usize, message: String) -> FrameError {
        FrameError::new(kind, self.index, self.offset + place as u64, message)
    }
}

/// A size that is below a limit, which is a `usize`.
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
            // The bytes that were read are removed once they are the larger part, so that the moves stay linear.
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
/// [`FrameErrorKind::TruncatedFrame`] if `data` has fewer bytes, [`FrameErrorKind::InvalidLength`] if it has more or a
/// length word is wrong; and the other errors of [`FrameDecoder`] with the default limits.
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
        let message =
            format!("the frame ends at byte {}, but {} more bytes follow it", data.len() - left.len(), left.len());

        return Err(FrameError::new(FrameErrorKind::InvalidLength, 0, 0, message));
    }
    Ok(frame)
}
