//! Properties that hold for all bytes, for the fuzz target and for `robustness.rs`: no panic, the same result for all
//! chunkings, at most one frame held, and two checks of JSON that agree.

use std::fmt::Write;

use objectstreaming::{
    Decode, Error, FrameDecoder, JsonCoder, Layout, Limits, RawCoder, StreamDecoder, TalCoder, encode_frame,
    strict_json,
};
use serde_json::Value;
use serde_json::value::RawValue;

const LIMITS: Limits = Limits { frame: 4096, header: 1024 };

/// Panics if a property does not hold.
pub(crate) fn check(data: &[u8]) {
    check_chunkings(data, frames);
    check_chunkings(data, |chunks| messages(chunks, JsonCoder::new()));
    check_chunkings(data, |chunks| messages(chunks, TalCoder));
    check_chunkings(data, |chunks| messages(chunks, RawCoder));
    check_json(data);
}

fn check_chunkings(data: &[u8], read: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> String) {
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
    // A decoder that has failed returns its error again.
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
    let mut over = false;
    for chunk in chunks {
        for message in decoder.feed(chunk) {
            let failed = message.err();
            if !over {
                over = failed.as_ref().is_some_and(|error| !matches!(error, Error::Payload(_)));
                see(failed);
            }
        }
    }
    if !over {
        see(decoder.finish().err());
    }
    writeln!(seen, "{} {:?} {:?}", decoder.position(), decoder.trailers(), decoder.heartbeat()).unwrap();
    seen
}

/// `strict_json` and the reader, which uses `serde_json`, accept the same texts; and a value that was read can be written.
fn check_json(text: &[u8]) {
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
        // A number with a fraction or an exponent that no double can hold: the specification does not define it.
        None => assert!(!good || text.iter().any(|byte| b".eE".contains(byte)), "{}", String::from_utf8_lossy(text)),
    }
}

fn read<T: serde::de::DeserializeOwned>(text: &[u8]) -> Option<T> {
    let wire = encode_frame(b"{}", text).unwrap();
    let mut decoder = StreamDecoder::new(JsonCoder::<Value, T>::typed());
    let message = decoder.feed(&wire).next().unwrap();
    message.ok().map(|(_, payload)| payload)
}
