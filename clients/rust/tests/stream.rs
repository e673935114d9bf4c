//! Streams and coders, where the vectors do not test them.

use objectstreaming::{
    Code, Coder, Encode, End, Error, Frame, JsonCoder, Limits, Open, ProtocolErrorKind, RawCoder, Samples,
    StreamDecoder, StreamEncoder, StreamError, TalAudio, TalCoder, encode_frame,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Status {
    status: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Answer {
    answer: String,
    score: Option<f64>,
}

fn one<H: serde::de::DeserializeOwned, P: serde::de::DeserializeOwned>(
    header: &[u8],
    payload: &[u8],
) -> Result<(H, P), Error> {
    let wire = Frame::new(header, payload).unwrap().encode().unwrap();
    StreamDecoder::new(JsonCoder::<H, P>::typed()).feed(&wire).next().unwrap()
}

#[test]
fn a_stream_is_written_and_read_with_everything_in_it() {
    let mut encoder = StreamEncoder::new(JsonCoder::new());
    let metadata = Map::from_iter([("id".to_owned(), json!("q7"))]);
    let mut wire = encoder.open(Open::default().heartbeat(0.5).metadata(metadata.clone())).unwrap();
    wire.extend(
        encoder.data(&Status { status: "success".into() }, &Answer { answer: "é".into(), score: None }).unwrap(),
    );
    wire.extend(encoder.ping().unwrap());
    wire.extend(encoder.frame(&Frame::new(br#"{"status": "ok"}"#, br#"{"answer":"b"}"#).unwrap()).unwrap());
    assert!(!encoder.ended());
    wire.extend(encoder.end(End::trailers(json!({"tokens": 7}))).unwrap());
    assert!(encoder.ended() && encoder.position() == 2);

    let mut decoder = StreamDecoder::new(JsonCoder::<Status, Answer>::typed());
    let mut answers = Vec::new();
    for byte in wire.chunks(1) {
        answers.extend(decoder.feed(byte).map(|message| message.unwrap().1.answer));
    }
    decoder.finish().unwrap();
    assert_eq!(answers, ["é", "b"]);
    assert_eq!((decoder.heartbeat(), decoder.metadata()), (Some(0.5), &metadata));
    assert_eq!((decoder.position(), decoder.trailers().unwrap()["tokens"].as_u64()), (2, Some(7)));
    assert_eq!((decoder.offset(), decoder.buffered()), (wire.len() as u64, 0));
}

#[test]
fn an_encoder_that_refuses_a_frame_has_not_changed() {
    let mut encoder = StreamEncoder::new(JsonCoder::new());
    encoder.data(&json!({}), &1).unwrap();
    assert!(encoder.open(Open::default()).unwrap_err().to_string().contains("begun already"));
    for header in [json!({"$stream": 1}), json!({"a": 1, "$stream": {}})] {
        assert!(encoder.data(&header, &1).unwrap_err().to_string().contains("$stream"));
    }
    assert!(encoder.data(&json!({"a": {"$stream": 1}, "b": "$stream"}), &1).is_ok());
    let spelled = Frame::new(b"{\"\\u0024stream\": 1}", b"1").unwrap();
    assert!(encoder.frame(&spelled).is_err());
    assert!(encoder.data(&json!([]), &1).is_err());
    assert_eq!(encoder.position(), 2);
    encoder.end(StreamError::new(Code::Aborted, "")).unwrap();
    assert!(encoder.ping().is_err() && encoder.end(End::default()).is_err() && encoder.data(&json!({}), &1).is_err());

    let mut encoder = StreamEncoder::plain(JsonCoder::new()).limits(Limits { frame: 64, header: 16 });
    assert!(encoder.ping().unwrap_err().to_string().contains("plain"));
    assert!(encoder.data(&json!({}), &"x".repeat(60)).is_err());
    assert!(encoder.data(&json!({"a": "x".repeat(10)}), &1).is_err());
    assert!(encoder.data(&json!({}), &1).is_ok());
    let heartbeat = |seconds| StreamEncoder::new(RawCoder).open(Open::default().heartbeat(seconds));
    assert!(heartbeat(0.0).is_err() && heartbeat(f64::NAN).is_err() && heartbeat(0.1).is_ok());
}

#[test]
fn an_error_is_told_without_what_is_beyond_the_limits() {
    let long = "x".repeat(200);
    for (error, told) in [
        (StreamError::new(Code::Internal, "no").with_details(json!([long])), "no"),
        (StreamError::new(Code::Internal, long.clone()), "the message of this error cannot be sent"),
    ] {
        let mut encoder = StreamEncoder::new(JsonCoder::new()).limits(Limits { header: 160, ..Limits::default() });
        let wire = encoder.end(error).unwrap();
        let error = format!(r#"{{"code":"internal","message":"{told}"}}"#);
        assert!(String::from_utf8_lossy(&wire).contains(&error), "{wire:?}");
    }
}

#[test]
fn values_that_json_cannot_express_are_not_sent() {
    #[derive(Serialize)]
    enum Kind {
        Unit,
        Newtype(f64),
        Tuple(f64, Option<f32>),
        Struct { value: f64 },
    }
    let send = |payload: &dyn Fn(f64) -> Result<Vec<u8>, objectstreaming::EncodeError>| {
        assert!(payload(1.5).is_ok());
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = payload(number).unwrap_err().to_string();
            assert!(error.contains("is not JSON"), "{error}");
        }
    };
    let encode = |payload: &dyn erased::Json| payload.send();
    send(&|number| encode(&number));
    send(&|number| encode(&vec![None, Some(number)]));
    send(&|number| encode(&Answer { answer: String::new(), score: Some(number) }));
    send(&|number| encode(&(Kind::Unit, (), Kind::Newtype(number))));
    #[allow(clippy::cast_possible_truncation)]
    send(&|number| encode(&Kind::Tuple(1.0, Some(number as f32))));
    send(&|number| encode(&Kind::Struct { value: number }));
    send(&|number| encode(&std::collections::BTreeMap::from([("a", number)])));

    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let mut encoder = StreamEncoder::plain(JsonCoder::new());
    assert!(encoder.data(&json!({}), &nested(100)).is_ok());
    assert!(encoder.data(&json!({}), &nested(101)).unwrap_err().to_string().contains("100 levels"));
}

mod erased {
    use objectstreaming::{EncodeError, JsonCoder, StreamEncoder};

    /// Anything that serde writes, as a payload.
    pub(crate) trait Json {
        fn send(&self) -> Result<Vec<u8>, EncodeError>;
    }

    impl<T: serde::Serialize> Json for T {
        fn send(&self) -> Result<Vec<u8>, EncodeError> {
            StreamEncoder::plain(JsonCoder::new()).data(&serde_json::json!({}), self)
        }
    }
}

#[test]
fn typed_messages_are_as_strict_as_untyped_ones() {
    // serde_json alone would accept these errors, because they are in members that the type does not have.
    let code = |header: &[u8], payload: &[u8]| {
        let wire = [
            u32::try_from(8 + header.len() + payload.len()).unwrap().to_le_bytes().to_vec(),
            u32::try_from(header.len()).unwrap().to_le_bytes().to_vec(),
            header.to_vec(),
            payload.to_vec(),
        ]
        .concat();
        let mut decoder = StreamDecoder::new(JsonCoder::<Status, Answer>::typed());
        let error = decoder.feed(&wire).next().unwrap().map(|_| ()).map_err(|error| error.code());
        error.err().unwrap_or("ok")
    };
    let (status, answer) = (br#"{"status":"s"}"#, br#"{"answer":"a"}"#);
    assert_eq!(code(status, answer), "ok");
    assert_eq!(code(br#"["s"]"#, answer), "invalid_header");
    assert_eq!(code(br#"{"status":1}"#, answer), "invalid_header");
    assert_eq!(code(br#"{"status":"s","x":"\ud800"}"#, answer), "invalid_header");
    assert_eq!(code(b"{\"status\":\"s\",\"x\":\"\xff\"}", answer), "invalid_header");
    assert_eq!(code(status, br#"{"answer":"a","x":"\udc00"}"#), "invalid_payload");
    let deep = |levels: usize| format!("{{\"answer\":\"a\",\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(code(status, deep(99).as_bytes()), "ok");
    assert_eq!(code(status, deep(100).as_bytes()), "invalid_payload");
    assert_eq!(code(status, b"\xef\xbb\xbf{\"answer\":\"a\"}"), "invalid_payload");
}

#[test]
fn the_last_member_of_a_name_counts_for_derived_types_too() {
    let (status, answer): (Status, Answer) =
        one(br#"{"status":"a","status":"b"}"#, br#"{"answer":"a","answer":"b"}"#).unwrap();
    assert_eq!((status.status.as_str(), answer.answer.as_str()), ("b", "b"));
    let (tal, _) = StreamDecoder::new(TalCoder)
        .feed(&encode_frame(br#"{"order":5,"order":1}"#, b"").unwrap())
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(tal.order, 1);
}

#[test]
fn integers_of_any_size_are_accepted_and_kept_if_the_type_can_hold_them() {
    let digits = "9".repeat(4300);
    let (_, value): (Value, Value) = one(b"{}", format!("[-{digits}, 1.5e3, \"{digits}\"]").as_bytes()).unwrap();
    assert_eq!(value, json!([-f64::MAX, 1.5e3, digits]));
    let (_, raw): (Value, Box<RawValue>) = one(b"{}", digits.as_bytes()).unwrap();
    assert_eq!(raw.get(), digits);
    let (_, wide): (Value, i128) = one(b"{}", b"-170141183460469231731687303715884105728").unwrap();
    assert_eq!(wide, i128::MIN);
    let (_, exact): (Value, Value) = one(b"{}", b"18446744073709551615").unwrap();
    assert_eq!(exact, json!(u64::MAX));
}

#[test]
fn after_a_refused_payload_the_stream_continues() {
    let wire = [encode_frame(b"{}", b"1"), encode_frame(b"{}", b"nope"), encode_frame(b"{}", b"3")];
    let wire: Vec<u8> = wire.into_iter().flat_map(Result::unwrap).collect();
    let mut decoder = StreamDecoder::new(JsonCoder::<Value, u8>::typed());
    let read: Vec<_> = decoder.feed(&wire).map(|message| message.map(|(_, payload)| payload).ok()).collect();
    assert_eq!(read, [Some(1), None, Some(3)]);
    decoder.finish().unwrap();
    assert_eq!(decoder.position(), 3);
}

#[test]
fn messages_that_were_not_read_stay_in_the_decoder() {
    let mut encoder = StreamEncoder::new(JsonCoder::new());
    let mut wire: Vec<u8> = (0..3).flat_map(|n| encoder.data(&json!({}), &n).unwrap()).collect();
    wire.extend(encoder.end(End::default()).unwrap());
    let mut decoder = StreamDecoder::new(JsonCoder::<Value, u8>::typed());
    assert_eq!(decoder.feed(&wire).next().unwrap().unwrap().1, 0);
    decoder.finish().unwrap();
    assert_eq!(decoder.next_message().unwrap().unwrap().1, 1);
    assert_eq!(decoder.next_message().unwrap().unwrap().1, 2);
    assert!(!decoder.ended());
    assert!(decoder.next_message().unwrap().is_none() && decoder.ended());

    let mut decoder = StreamDecoder::new(JsonCoder::<Value, u8>::typed()).require_end(true);
    drop(decoder.feed(&wire[..11]));
    decoder.finish().unwrap();
    assert_eq!(decoder.next_message().unwrap().unwrap().1, 0);
    assert!(matches!(decoder.next_message(), Err(Error::Incomplete(error)) if error.position() == 1));
}

#[test]
fn a_failed_decoder_returns_the_same_error_again() {
    let mut decoder = StreamDecoder::new(JsonCoder::new());
    let wire = encode_frame(b"{\"$stream\":1}", b"").unwrap();
    for _ in 0..2 {
        let Some(Err(Error::Protocol(error))) = decoder.feed(&wire).next() else { panic!("no error") };
        assert_eq!((error.kind(), error.index()), (ProtocolErrorKind::InvalidControl, 0));
    }
    assert_eq!(decoder.finish().unwrap_err().code(), "invalid_control");
}

#[test]
fn speech_is_read_as_samples_and_keeps_unknown_members() {
    let extra = Map::from_iter([("speaker".to_owned(), json!("Ann"))]);
    let speech = TalAudio { answer: "Yes.".into(), channels: 2, extra, ..TalAudio::default() };
    let mut encoder = StreamEncoder::plain(TalCoder);
    let wire = encoder.data(&speech, &Samples::from(vec![0_i16, -1, i16::MAX, i16::MIN])).unwrap();
    assert_eq!(&wire[wire.len() - 8..], b"\0\0\xff\xff\xff\x7f\0\x80");
    let (tal, samples) = StreamDecoder::new(TalCoder).feed(&wire).next().unwrap().unwrap();
    assert_eq!((&tal, tal.block_align()), (&speech, 4));
    assert_eq!((samples.as_i16(), samples.as_i32()), (Some(&[0, -1, i16::MAX, i16::MIN][..]), None));

    let int32 = TalAudio { audio_type: "int32".into(), bit_depth: 32, ..TalAudio::default() };
    let wire = encoder.data(&int32, &Samples::from(vec![i32::MIN, 1])).unwrap();
    let (_, samples) = StreamDecoder::new(TalCoder).feed(&wire).next().unwrap().unwrap();
    assert_eq!(samples.as_i32(), Some(&[i32::MIN, 1][..]));
    assert!(encoder.data(&int32, &Samples::from(vec![1_i16])).is_err());
    assert!(encoder.data(&speech, &[0; 6][..]).is_err());
    assert!(encoder.data(&TalAudio { sign: 4, ..speech }, &[0; 4][..]).is_err());
}

#[test]
fn a_coder_of_somebody_else_returns_one_whole_frame() {
    struct Returns(Vec<u8>);
    impl Coder for Returns {
        fn name(&self) -> &'static str {
            "returns"
        }
    }
    impl Encode<(), ()> for Returns {
        fn encode(&self, &(): &(), &(): &()) -> Result<Vec<u8>, objectstreaming::EncodeError> {
            Ok(self.0.clone())
        }
    }
    let one = encode_frame(b"{}", b"1").unwrap();
    assert_eq!(StreamEncoder::new(Returns(one.clone())).data(&(), &()).unwrap(), one);
    for wrong in [Vec::new(), one[..10].to_vec(), one.repeat(2), vec![8, 0, 0, 0, 1, 0, 0, 0]] {
        let mut encoder = StreamEncoder::new(Returns(wrong));
        assert!(encoder.data(&(), &()).unwrap_err().to_string().contains("whole frame"));
        assert_eq!(encoder.position(), 0);
    }
}
