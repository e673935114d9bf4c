//! The `tal` coder: text, audio and lip in frames of speech (SPEC section 4.2).
//!
//! The header says what the sound is, what is said in it, and where in the answer it stands; the payload is PCM,
//! little-endian, interleaved, whole sample frames, and never a RIFF header, whatever `audioFormat` seems to say.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::{Coder, Decode, Encode, Refusal};
use crate::error::EncodeError;
use crate::frame::{Frame, seal};
use crate::read_json;

const MAX_SAMPLE_RATE: u32 = 768_000; // Hz: 16 times 48 kHz
const MAX_CHANNELS: u32 = 255;
const MAX_ORDER: u64 = (1 << 53) - 1; // the largest integer that every JSON reader keeps

/// What a frame of speech says of itself: ten members, all with defaults, and whatever else a peer sent.
///
/// ```
/// let tal = objectstreaming::TalAudio { answer: "Good morning.".into(), ..Default::default() };
/// assert_eq!((tal.sample_rate, tal.channels, tal.sign, tal.order), (16_000, 1, 1, 1));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TalAudio {
    /// `audioType`: `int16` or `int32`.
    pub audio_type: String,
    /// `bitDepth`: 16 with `int16`, 32 with `int32`.
    pub bit_depth: u32,
    /// `sampleRate`: sample frames a second, 1 to 768,000.
    pub sample_rate: u32,
    /// `channels`: 1 to 255, interleaved.
    pub channels: u32,
    /// `audioFormat`: `wav`. It names the family; there is no RIFF header.
    pub audio_format: String,
    /// What was asked.
    pub question: String,
    /// The text of this sound.
    pub answer: String,
    /// Where it comes from.
    pub url: String,
    /// 1 start, 2 middle, 3 end of an answer.
    pub sign: u32,
    /// The frame's number in its answer, 1 to 2^53 - 1.
    pub order: u64,
    /// Members beside the ten: they go out again after them.
    pub extra: Map<String, Value>,
}

impl Default for TalAudio {
    fn default() -> Self {
        Self {
            audio_type: "int16".into(),
            bit_depth: 16,
            sample_rate: 16_000,
            channels: 1,
            audio_format: "wav".into(),
            question: String::new(),
            answer: String::new(),
            url: String::new(),
            sign: 1,
            order: 1,
            extra: Map::new(),
        }
    }
}

impl TalAudio {
    /// Bytes of one sample frame: a sample of every channel.
    #[must_use]
    pub fn block_align(&self) -> usize {
        (self.bit_depth / 8) as usize * self.channels as usize
    }

    /// Whether every member is what the specification allows; if not, what is wrong.
    fn check(&self) -> Result<(), String> {
        let depth = match self.audio_type.as_str() {
            "int16" => 16,
            "int32" => 32,
            other => return Err(format!("audioType is int16 or int32, not {other:?}")),
        };
        if self.bit_depth != depth {
            return Err(format!("bitDepth is {depth} where audioType is {}, not {}", self.audio_type, self.bit_depth));
        }
        if !(1..=MAX_SAMPLE_RATE).contains(&self.sample_rate) {
            return Err(format!("sampleRate is 1 to {MAX_SAMPLE_RATE} Hz, not {}", self.sample_rate));
        }
        if !(1..=MAX_CHANNELS).contains(&self.channels) {
            return Err(format!("channels is 1 to {MAX_CHANNELS}, not {}", self.channels));
        }
        if self.audio_format != "wav" {
            return Err(format!("audioFormat is wav, not {:?}", self.audio_format));
        }
        if !(1..=3).contains(&self.sign) {
            return Err(format!("sign is 1, 2 or 3, not {}", self.sign));
        }
        if !(1..=MAX_ORDER).contains(&self.order) {
            return Err(format!("order is 1 to {MAX_ORDER}, not {}", self.order));
        }
        Ok(())
    }
}

impl Serialize for TalAudio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("audioType", &self.audio_type)?;
        map.serialize_entry("bitDepth", &self.bit_depth)?;
        map.serialize_entry("sampleRate", &self.sample_rate)?;
        map.serialize_entry("channels", &self.channels)?;
        map.serialize_entry("audioFormat", &self.audio_format)?;
        map.serialize_entry("question", &self.question)?;
        map.serialize_entry("answer", &self.answer)?;
        map.serialize_entry("url", &self.url)?;
        map.serialize_entry("sign", &self.sign)?;
        map.serialize_entry("order", &self.order)?;
        for (name, value) in self.extra.iter().filter(|(name, _)| !MEMBERS.contains(&name.as_str())) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

const MEMBERS: [&str; 10] =
    ["audioType", "bitDepth", "sampleRate", "channels", "audioFormat", "question", "answer", "url", "sign", "order"];

/// By hand, for a derived one refuses a member that is given twice, and takes an object apart twice to `flatten` it.
impl<'de> Deserialize<'de> for TalAudio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = TalAudio;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the members of a TALAudio")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TalAudio, A::Error> {
                let mut tal = TalAudio::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "audioType" => tal.audio_type = map.next_value()?,
                        "bitDepth" => tal.bit_depth = map.next_value()?,
                        "sampleRate" => tal.sample_rate = map.next_value()?,
                        "channels" => tal.channels = map.next_value()?,
                        "audioFormat" => tal.audio_format = map.next_value()?,
                        "question" => tal.question = map.next_value()?,
                        "answer" => tal.answer = map.next_value()?,
                        "url" => tal.url = map.next_value()?,
                        "sign" => tal.sign = map.next_value()?,
                        "order" => tal.order = map.next_value()?,
                        _ => {
                            tal.extra.insert(name, map.next_value()?);
                        }
                    }
                }
                Ok(tal)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// PCM as numbers: interleaved, as many as channels for each moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Samples {
    /// Of `int16` speech.
    Int16(Vec<i16>),
    /// Of `int32` speech.
    Int32(Vec<i32>),
}

impl Samples {
    /// The samples, if they are of 16 bits.
    #[must_use]
    pub fn as_i16(&self) -> Option<&[i16]> {
        match self {
            Self::Int16(samples) => Some(samples),
            Self::Int32(_) => None,
        }
    }

    /// The samples, if they are of 32 bits.
    #[must_use]
    pub fn as_i32(&self) -> Option<&[i32]> {
        match self {
            Self::Int16(_) => None,
            Self::Int32(samples) => Some(samples),
        }
    }

    /// PCM as it is on the wire: little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Int16(samples) => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
            Self::Int32(samples) => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
        }
    }

    fn from_bytes(pcm: &[u8], bit_depth: u32) -> Self {
        // Whole samples: the caller has looked.
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

/// Messages are a [`TalAudio`] and its [`Samples`]; sent, PCM bytes will do as well.
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

/// Where in an answer a stream of speech stands.
#[derive(Clone, Copy, Debug, Default)]
pub enum TalOrder {
    /// Not known: nothing has come, or a payload was refused. Any order may follow.
    #[default]
    Unknown,
    /// The order of the frame before.
    At(u64),
    /// The frame before was the last of its answer.
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
        check_whole(&tal, frame.payload().len()).map_err(Refusal::Payload)?;
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
        header.check().and_then(|()| check_whole(header, payload.len())).map_err(EncodeError::new)?;
        let mut wire = vec![0; 8];
        read_json::write_object(&mut wire, header)?;
        let header_len = wire.len() - 8;
        wire.extend_from_slice(payload);
        seal(&mut wire, header_len)?;
        Ok(wire)
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

fn check_whole(tal: &TalAudio, size: usize) -> Result<(), String> {
    let block = tal.block_align();
    if size % block == 0 {
        return Ok(());
    }
    Err(format!("{size} bytes are not whole sample frames of {block} bytes: was the PCM cut inside one?"))
}
