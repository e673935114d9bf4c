//! What holds for any bytes at all, for the fuzz target and for the share of it that is an ordinary test:
//! no panic, the same verdict however the bytes were cut, no more held than a frame, one judgement of JSON.

use std::fmt::Write;

use objectstreaming::{
    Decode, Error, FrameDecoder, JsonCoder, Layout, Limits, RawCoder, StreamDecoder, TalCoder, encode_frame,
    strict_json,
};
use serde_json::Value;
use serde_json::value::RawValue;

const LIMITS: Limits = Limits { frame: 4096, header: 1024 };

/// Panics if it does not hold.
pub(crate) fn holds(data: &[u8]) {
    same_verdict(data, frames);
    same_verdict(data, |chunks| messages(chunks, JsonCoder::new()));
    same_verdict(data, |chunks| messages(chunks, TalCoder));
    same_verdict(data, |chunks| messages(chunks, RawCoder));
    one_judgement(data);
}

fn same_verdict(data: &[u8], read: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> String) {
    let whole = read(&mut std::iter::once(data));
    for size in [1, 3, 64] {
        assert_eq!(read(&mut data.chunks(size)), whole, "in chunks of {size}");
    }
}

fn frames(chunks: &mut dyn Iterator<Item = &[u8]>) -> String {
    let mut decoder = FrameDecoder::with(LIMITS, Layout::default());
    let mut seen = String::new();
    for chunk in chunks {
        for frame in decoder.feed(chunk).flatten() {
            writeln!(seen, "{frame:?}").unwrap();
        }
        assert!(decoder.buffered() <= LIMITS.frame);
    }
    // A decoder that failed says so once more.
    writeln!(seen, "{:?} {}", decoder.finish(), decoder.position()).unwrap();
    seen
}

fn messages<C: Decode>(chunks: &mut dyn Iterator<Item = &[u8]>, coder: C) -> String {
    let mut decoder = StreamDecoder::new(coder).limits(LIMITS);
    let mut seen = String::new();
    let mut see = |failed: Option<Error>| match failed {
        Some(error) => writeln!(seen, "{error}").unwrap(),
        None => writeln!(seen, "a message").unwrap(),
    };
    let mut dead = false;
    for chunk in chunks {
        for message in decoder.feed(chunk) {
            let failed = message.err();
            if !dead {
                dead = failed.as_ref().is_some_and(|error| !matches!(error, Error::Payload(_)));
                see(failed);
            }
        }
    }
    if !dead {
        see(decoder.finish().err());
    }
    writeln!(seen, "{} {:?} {:?}", decoder.position(), decoder.trailers(), decoder.heartbeat()).unwrap();
    seen
}

/// The checker, and `serde_json` with what we look at besides, agree about what is JSON; and what is read can be written.
fn one_judgement(text: &[u8]) {
    let good = strict_json::check(text).is_ok();
    assert_eq!(good && strict_json::check_object(text).is_ok(), strict_json::check_object(text).is_ok());
    assert_eq!(read::<Box<RawValue>>(text).is_some(), good, "{}", String::from_utf8_lossy(text));
    assert_eq!(read::<serde::de::IgnoredAny>(text).is_some(), good, "{}", String::from_utf8_lossy(text));
    match read::<Value>(text) {
        Some(value) => {
            assert!(good, "{}", String::from_utf8_lossy(text));
            let wire = objectstreaming::StreamEncoder::plain(JsonCoder::new()).data(&serde_json::json!({}), &value);
            let again = objectstreaming::decode_frame(&wire.unwrap()).unwrap();
            assert_eq!(read::<Value>(again.payload()), Some(value));
        }
        // A fraction or a power of ten that no double holds: the specification leaves it open.
        None => assert!(!good || text.iter().any(|byte| b".eE".contains(byte)), "{}", String::from_utf8_lossy(text)),
    }
}

fn read<T: serde::de::DeserializeOwned>(text: &[u8]) -> Option<T> {
    let wire = encode_frame(b"{}", text).unwrap();
    let mut decoder = StreamDecoder::new(JsonCoder::<Value, T>::typed());
    let message = decoder.feed(&wire).next().unwrap();
    message.ok().map(|(_, payload)| payload)
}
