//! Frames and messages for `tokio_util::codec`: for `Framed`, `FramedRead` and `FramedWrite` over any byte stream.

use std::io;

use bytes::{Buf, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::decoder::FrameDecoder;
use crate::error::{EncodeError, FrameError, errors};
use crate::frame::{Frame, Layout, Limits};

errors! {
    /// The errors of [`FrameCodec`] and `MessageCodec`.
    #[derive(Debug)]
    CodecError
    /// The bytes are not frames.
    Frame(FrameError)
    /// The frame or message cannot be sent.
    Encode(EncodeError)
    /// The connection failed.
    Io(io::Error)
    /// An error of the stream, or of the peer. Only `MessageCodec` returns it.
    #[cfg(feature = "json")]
    Stream(crate::stream_error::Error)
}

/// Frames over a byte stream.
///
/// Unlike `LengthDelimitedCodec` it reserves no memory for a length that a peer claims. It takes all bytes from the read
/// buffer at once, and reports an end inside a frame as `truncated_frame`, with its place.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// use futures_util::{SinkExt, StreamExt};
/// use objectstreaming::{Frame, FrameCodec};
/// use tokio_util::codec::Framed;
///
/// let (ours, theirs) = tokio::io::duplex(64);
/// let mut sender = Framed::new(ours, FrameCodec::new());
/// let mut receiver = Framed::new(theirs, FrameCodec::new());
/// sender.send(Frame::new(b"{}", b"hello")?).await?;
/// assert_eq!(receiver.next().await.unwrap()?.payload(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct FrameCodec {
    decoder: FrameDecoder,
    layout: Layout,
}

impl FrameCodec {
    /// A codec with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A codec with other limits and another layout.
    #[must_use]
    pub fn with(limits: Limits, layout: Layout) -> Self {
        Self { decoder: FrameDecoder::with(limits, layout), layout }
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        let mut input = &source[..];
        let found = self.decoder.next_from(&mut input);
        let taken = source.len() - input.len();
        source.advance(taken);
        Ok(found?)
    }

    fn decode_eof(&mut self, source: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        let found = self.decode(source)?;
        // Between two frames the decoder goes on: a `Framed` may be read again after its end.
        if found.is_none() && self.decoder.buffered() > 0 {
            self.decoder.finish()?;
        }
        Ok(found)
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = CodecError;

    fn encode(&mut self, frame: Frame, wire: &mut BytesMut) -> Result<(), CodecError> {
        self.encode(&frame, wire)
    }
}

impl Encoder<&Frame> for FrameCodec {
    type Error = CodecError;

    fn encode(&mut self, frame: &Frame, wire: &mut BytesMut) -> Result<(), CodecError> {
        // The header was checked when the frame was made. The header of a received frame is sent unchanged.
        let prefix = self.layout.prefix(frame.header_bytes().len(), frame.payload().len())?;
        let prefix = &prefix[..2 * self.layout.byte_length()];
        wire.reserve(prefix.len() + frame.header_bytes().len() + frame.payload().len());
        wire.extend_from_slice(prefix);
        wire.extend_from_slice(frame.header_bytes());
        wire.extend_from_slice(frame.payload());
        Ok(())
    }
}

#[cfg(feature = "json")]
mod messages {
    use super::{Buf, BytesMut, CodecError, Decoder, Encoder};
    use crate::coder::{Decode, Encode};
    use crate::stream_decoder::{Message, StreamDecoder};
    use crate::stream_encoder::{End, Open, StreamEncoder};
    use crate::stream_error::{Error, PayloadError};

    /// The items that a [`MessageCodec`] sends.
    #[derive(Clone, Debug)]
    #[non_exhaustive]
    pub enum Outgoing<H, P> {
        /// The open frame. It is optional, but must come first.
        Open(Open),
        /// A message.
        Data(H, P),
        /// A ping, which shows that the stream is alive.
        Ping,
        /// The end frame, which comes last.
        End(End),
    }

    /// Messages over a byte stream without HTTP: a stream of version 1 in each direction.
    ///
    /// An item is a message, or the error of a payload that was refused. The latter is not an error of the codec, because
    /// the stream continues after it, and a `Framed` stops at its first error. A connection that ends without an `end`
    /// frame is an error.
    #[derive(Debug)]
    pub struct MessageCodec<C: Decode> {
        decoder: StreamDecoder<C>,
        encoder: StreamEncoder<C>,
    }

    impl<C: Decode + Clone> MessageCodec<C> {
        /// A codec with the default limits.
        #[must_use]
        pub fn new(coder: C) -> Self {
            Self::with(StreamDecoder::new(coder.clone()).require_end(true), StreamEncoder::new(coder))
        }
    }

    impl<C: Decode> MessageCodec<C> {
        /// A codec made of a decoder and an encoder.
        #[must_use]
        pub fn with(decoder: StreamDecoder<C>, encoder: StreamEncoder<C>) -> Self {
            Self { decoder, encoder }
        }

        /// The decoder: its position, trailers and metadata.
        #[must_use]
        pub fn decoder(&self) -> &StreamDecoder<C> {
            &self.decoder
        }

        /// The encoder.
        #[must_use]
        pub fn encoder(&self) -> &StreamEncoder<C> {
            &self.encoder
        }
    }

    impl<C: Decode> Decoder for MessageCodec<C> {
        type Item = Result<Message<C>, PayloadError>;

        type Error = CodecError;

        fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Self::Item>, CodecError> {
            let mut input = &source[..];
            let found = self.decoder.next_from(&mut input);
            let taken = source.len() - input.len();
            source.advance(taken);
            match found {
                Ok(message) => Ok(message.map(Ok)),
                Err(Error::Payload(error)) => Ok(Some(Err(error))),
                Err(error) => Err(error.into()),
            }
        }

        fn decode_eof(&mut self, source: &mut BytesMut) -> Result<Option<Self::Item>, CodecError> {
            let found = self.decode(source)?;
            if found.is_none() {
                if self.decoder.buffered() > 0 {
                    self.decoder.finish()?;
                }
                self.decoder.complete()?;
            }
            Ok(found)
        }
    }

    impl<C: Decode + Encode<H, P>, H, P> Encoder<Outgoing<H, P>> for MessageCodec<C> {
        type Error = CodecError;

        fn encode(&mut self, item: Outgoing<H, P>, wire: &mut BytesMut) -> Result<(), CodecError> {
            let frame = match item {
                Outgoing::Open(open) => self.encoder.open(open)?,
                Outgoing::Data(header, payload) => self.encoder.data(&header, &payload)?,
                Outgoing::Ping => self.encoder.ping()?,
                Outgoing::End(end) => self.encoder.end(end)?,
            };
            wire.extend_from_slice(&frame);
            Ok(())
        }
    }
}

#[cfg(feature = "json")]
pub use messages::{MessageCodec, Outgoing};
