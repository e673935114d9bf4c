//! The check of the fuzz target on a fixed set of inputs: valid streams and JSON texts, damaged at random.

mod invariant;

use objectstreaming::{End, JsonCoder, Open, StreamEncoder, TalAudio, TalCoder};
use serde_json::json;

/// Bytes to insert: pieces that have a meaning for a reader.
const PIECES: [&[u8]; 28] = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x18\0\0\0",
    b"\x08\0\0\0",
    b"\x0a\0\0\0\x02\0\0\0{}",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"\\",
    b"\\u0041",
    b"\\ud83d\\ude00",
    b"\\ud83d",
    b"null",
    b"true",
    b"NaN",
    b"-0",
    b"1e9",
    b"0.5",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"{\"$stream\":{\"type\":\"end\",\"frames\":1}}",
    b"\"order\":2",
    b" ",
];

struct Random(u64);

impl Random {
    /// A random number below `bound`. Xorshift, from Marsaglia's "Xorshift RNGs" (2003).
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn damage(&mut self, data: &mut Vec<u8>) {
        let at = self.below(data.len() + 1);
        match self.below(5) {
            0 if at < data.len() => data[at] ^= 1 << self.below(8),
            1 => data.truncate(at),
            2 => {
                let end = (at + 1 + self.below(8)).min(data.len());
                data.drain(at..end);
            }
            _ => drop(data.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied())),
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut json = StreamEncoder::new(JsonCoder::new());
    let mut wire = json.open(Open::default().heartbeat(15.0)).unwrap();
    wire.extend(json.data(&json!({"status": "é"}), &json!({"answer": [1, -2.5, null, "a\n"]})).unwrap());
    wire.extend(json.ping().unwrap());
    wire.extend(json.end(End::trailers(json!({"tokens": 7}))).unwrap());
    let mut tal = StreamEncoder::plain(TalCoder);
    let mut speech = tal.data(&TalAudio::default(), &[0; 4][..]).unwrap();
    speech.extend(tal.data(&TalAudio { sign: 3, order: 2, ..TalAudio::default() }, &[0; 2][..]).unwrap());
    let text = br#"{"a": [1, 2.5e-3, true, false, null], "\u00e9\ud83d\ude00": {"b": "c\\d\"", "": []}}"#;
    let deep = [vec![b'['; 99], b"{}".to_vec(), vec![b']'; 99]].concat();
    vec![wire, speech, text.to_vec(), deep]
}

#[test]
fn damaged_streams_and_texts_keep_the_invariant() {
    let mut random = Random(0x0b5e_55ed);
    let seeds = seeds();
    for seed in &seeds {
        invariant::check(seed);
    }
    for round in 0..20_000 {
        let mut data = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(4) {
            random.damage(&mut data);
        }
        invariant::check(&data);
    }
}
