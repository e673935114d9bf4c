//! The `tal` coder: text, audio and lip in frames of speech (SPEC section 4.2).
//!
//! The header describes the audio, has its text, and gives the place of the frame in its answer. The payload is PCM:
//! little-endian, interleaved, whole sample frames. It never has a RIFF header, although `audioFormat` is `wav`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::raw::RawCoder;
use super::traits::{Coder, Decode, Encode, Refusal};
use crate::error::EncodeError;
use crate::frame::Frame;
use crate::read_json;

const MAX_SAMPLE_RATE: u32 = 768_000; // Hz: 16 times 48 kHz
const MAX_CHANNELS: u32 = 255;
const MAX_ORDER: u64 = (1 << 53) - 1; // the largest integer that every JSON reader keeps exactly

/// Makes the struct, its defaults, its JSON and its names from one list of members.
macro_rules! members {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $name:literal, $default:expr;)*) => {
        /// The header of a frame of speech: ten members, all with defaults, and any other members that a peer sent.
        ///
        /// ```
        /// let tal = objectstreaming::TalAudio { answer: "Good morning.".into(), ..Default::default() };
        /// assert_eq!((tal.sample_rate, tal.channels, tal.sign, tal.order), (16_000, 1, 1, 1));
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        pub struct TalAudio {
            $($(#[$doc])* pub $field: $type,)*
            /// All other members. They are sent after the ten.
            pub extra: Map<String, Value>,
        }

        const NAMES: &[&str] = &[$($name),*];

        impl Default for TalAudio {
            fn default() -> Self {
                Self { $($field: $default,)* extra: Map::new() }
            }
        }

        impl Serialize for TalAudio {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $(map.serialize_entry($name, &self.$field)?;)*
                for (name, value) in self.extra.iter().filter(|(name, _)| !NAMES.contains(&name.as_str())) {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }

        /// Not derived: a derived implementation refuses a member that occurs twice, and parses twice to `flatten`.
        impl<'de> Visitor<'de> for Members {
            type Value = TalAudio;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the members of a TALAudio")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TalAudio, A::Error> {
                let mut tal = TalAudio::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        $($name => tal.$field = map.next_value()?,)*
                        _ => {
                            tal.extra.insert(name, map.next_value()?);
                        }
                    }
                }
                Ok(tal)
            }
        }
    };
}

members! {
    /// `int16` or `int32`.
    audio_type: String = "audioType", "int16".into();
    /// 16 with `int16`, 32 with `int32`.
    bit_depth: u32 = "bitDepth", 16;
    /// Sample frames per second, 1 to 768,000.
    sample_rate: u32 = "sampleRate", 16_000;
    /// 1 to 255, interleaved.
    channels: u32 = "channels", 1;
    /// Always `wav`. It names the family of the format; there is no RIFF header.
    audio_format: String = "audioFormat", "wav".into();
    /// The question.
    question: String = "question", String::new();
    /// The text of this audio.
    answer: String = "answer", String::new();
    /// The source of the answer.
    url: String = "url", String::new();
    /// The place in the answer: 1 start, 2 middle, 3 end.
    sign: u32 = "sign", 1;
    /// The number of the frame in its answer, 1 to 2^53 - 1.
    order: u64 = "order", 1;
}

struct Members;

impl<'de> Deserialize<'de> for TalAudio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

impl TalAudio {
    /// The number of bytes of one sample frame: one sample for each channel.
    #[must_use]
    pub fn block_align(&self) -> usize {
        (self.bit_depth / 8) as usize * self.channels as usize
    }

    /// Checks every member against the table of the specification. The error says what is wrong.
    fn check(&self) -> Result<(), String> {
        let depth = match self.audio_type.as_str() {
            "int16" => 16,
            "int32" => 32,
            other => return Err(format!("audioType is \"int16\" or \"int32\", not {other:?}")),
        };
        if self.bit_depth != depth {
            return Err(format!(
                "bitDepth is {depth} where audioType is {:?}, not {}",
                self.audio_type, self.bit_depth
            ));
        }
        check_integer("sampleRate", self.sample_rate.into(), MAX_SAMPLE_RATE.into())?;
        check_integer("channels", self.channels.into(), MAX_CHANNELS.into())?;
        if self.audio_format != "wav" {
            return Err(format!("audioFormat is \"wav\", not {:?}", self.audio_format));
        }
        check_integer("sign", self.sign.into(), 3)?;
        check_integer("order", self.order, MAX_ORDER)
    }
}

fn check_integer(name: &str, value: u64, largest: u64) -> Result<(), String> {
    if (1..=largest).contains(&value) {
        return Ok(());
    }
    Err(format!("{name} is an integer from 1 to {largest}, not {value}"))
}

/// PCM as numbers. The channels are interleaved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Samples {
    /// The samples where `audioType` is `int16`.
    Int16(Vec<i16>),
    /// The samples where `audioType` is `int32`.
    Int32(Vec<i32>),
}

impl Samples {
    /// The samples, if they have 16 bits.
    #[must_use]
    pub fn as_i16(&self) -> Option<&[i16]> {
        match self {
            Self::Int16(samples) => Some(samples),
            Self::Int32(_) => None,
        }
    }

    /// The samples, if they have 32 bits.
    #[must_use]
    pub fn as_i32(&self) -> Option<&[i32]> {
        match self {
            Self::Int16(_) => None,
            Self::Int32(samples) => Some(samples),
        }
    }

    /// The PCM bytes: little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Int16(samples) => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
            Self::Int32(samples) => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
        }
    }

    fn from_bytes(pcm: &[u8], bit_depth: u32) -> Self {
        // The caller has checked that the samples are whole.
        if bit_depth == 16 {
            Self::Int16(pcm.chunks_exact(2).map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]])).collect())
        } else {
            let sample = |bytes: &[u8]| i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            Self::Int32(pcm.chunks_exact(4).map(sample).collect())
        }
    }

    fn bit_depth(&self) -> u32 {
        match self {
            Self::Int16(_) => 16,
            Self::Int32(_) => 32,
        }
    }
}

impl From<Vec<i16>> for Samples {
    fn from(samples: Vec<i16>) -> Self {
        Self::Int16(samples)
    }
}

impl From<Vec<i32>> for Samples {
    fn from(samples: Vec<i32>) -> Self {
        Self::Int32(samples)
    }
}

/// Headers are [`TalAudio`], payloads are [`Samples`]. To send, PCM bytes can be given instead of samples.
///
/// ```
/// use objectstreaming::{Samples, StreamDecoder, StreamEncoder, TalAudio, TalCoder};
///
/// let speech = TalAudio { answer: "Yes.".into(), ..Default::default() };
/// let wire = StreamEncoder::plain(TalCoder).data(&speech, &Samples::from(vec![0_i16, 512, -512]))?;
/// let mut decoder = StreamDecoder::new(TalCoder);
/// for message in decoder.feed(&wire) {
///     let (tal, samples) = message?;
///     assert_eq!((tal.answer.as_str(), samples.as_i16()), ("Yes.", Some(&[0, 512, -512][..])));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TalCoder;

/// The order of the last frame in a stream of speech.
#[derive(Clone, Copy, Debug, Default)]
pub enum TalOrder {
    /// Not known: there was no frame yet, or its payload was refused. The next frame may have any order.
    #[default]
    Unknown,
    /// The order of the last frame.
    At(u64),
    /// The last frame ended its answer.
    Ended,
}

impl Coder for TalCoder {
    fn name(&self) -> &'static str {
        "tal"
    }
}

impl Decode for TalCoder {
    type Header = TalAudio;
    type Payload = Samples;
    type Order = TalOrder;

    fn decode(&self, frame: Frame) -> Result<(TalAudio, Samples), Refusal> {
        let tal: TalAudio = read_json::object(frame.header_bytes()).map_err(Refusal::Header)?;
        tal.check().map_err(Refusal::Header)?;
        let advice = "was the PCM cut inside one?";
        check_whole(&tal, frame.payload().len(), advice).map_err(Refusal::Payload)?;
        let samples = Samples::from_bytes(frame.payload(), tal.bit_depth);
        Ok((tal, samples))
    }

    fn follow(&self, order: &mut TalOrder, header: &TalAudio) -> Result<(), String> {
        match (header.sign, &*order) {
            (1, _) if header.order != 1 => {
                return Err(format!("sign 1 starts an answer with order 1, not {}", header.order));
            }
            (2 | 3, TalOrder::Ended) => {
                return Err(format!("sign {} after sign 3: an answer starts with sign 1", header.sign));
            }
            (2 | 3, TalOrder::At(before)) if header.order != before + 1 => {
                return Err(format!("order {} after order {before}: was a frame lost?", header.order));
            }
            _ => {}
        }
        *order = if header.sign == 3 { TalOrder::Ended } else { TalOrder::At(header.order) };
        Ok(())
    }
}

impl Encode<TalAudio, [u8]> for TalCoder {
    fn encode(&self, header: &TalAudio, payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let advice = "carry the odd bytes over to the next frame";
        header.check().and_then(|()| check_whole(header, payload.len(), advice)).map_err(EncodeError::new)?;
        RawCoder.encode(header, payload)
    }
}

impl Encode<TalAudio, Samples> for TalCoder {
    fn encode(&self, header: &TalAudio, payload: &Samples) -> Result<Vec<u8>, EncodeError> {
        if payload.bit_depth() != header.bit_depth {
            let (bits, depth) = (payload.bit_depth(), header.bit_depth);
            return Err(EncodeError::new(format!("samples of {bits} bits where bitDepth is {depth}")));
        }
        self.encode(header, payload.to_bytes().as_slice())
    }
}

fn check_whole(tal: &TalAudio, size: usize, advice: &str) -> Result<(), String> {
    let block = tal.block_align();
    if size % block == 0 {
        return Ok(());
    }
    Err(format!("{size} bytes are not whole sample frames of {block} bytes: {advice}"))
}
