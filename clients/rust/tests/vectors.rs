//! Every conformance vector, under many chunkings: whole, byte by byte, cut in two, with empty chunks.
//!
//! The runner of `objectstreaming/conformance` tries the program in `examples/` with more; this tries the crate itself,
//! with `Value`s.

use std::fs;
use std::path::{Path, PathBuf};

use objectstreaming::{
    ByteOrder, Decode, EncodeError, Error, Frame, FrameDecoder, FrameError, JsonCoder, Layout, Limits, MsgpackCoder,
    NdarrayCoder, RawCoder, StreamDecoder, StreamEncoder, TalAudio, TalCoder,
};
use serde_json::{Map, Value, json};

/// What is left out: integers that a `Value` cannot hold.
const LEFT_OUT: [&str; 1] = ["bigint"];

#[test]
fn every_case_gives_its_verdict_under_every_chunking() {
    let mut failures = Vec::new();
    let mut tried = 0;
    for (op, case) in cases() {
        if LEFT_OUT.iter().any(|flag| case["flags"].as_array().unwrap().contains(&json!(flag))) {
            continue;
        }
        tried += 1;
        if op == "encode" {
            failures.extend(complain(&case, &case["expect"], &encode(&case), ""));
            continue;
        }
        let wire = parts(&case["wire"]);
        for (how, chunks) in chunkings(&wire) {
            let (found, fed) = if op == "decode" { decode(&case, &chunks) } else { stream(&case, &chunks) };
            failures.extend(complain(&case, &case["expect"], &found, &how));
            let by = case["expect"]["error"]["by"].as_u64();
            if how == "bytewise" && by.is_some_and(|by| fed as u64 > by) {
                failures.push(format!("{}: the error was out at byte {fed} only", case["id"]));
            }
        }
    }
    assert!(tried > 450, "{tried} cases");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../objectstreaming/conformance/vectors")
}

fn cases() -> Vec<(String, Value)> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(vectors()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let suite: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            let op = suite["op"].as_str().unwrap();
            cases.extend(suite["cases"].as_array().unwrap().iter().map(|case| (op.to_owned(), case.clone())));
        }
    }
    cases
}

fn parts(parts: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts.as_array().unwrap() {
        if let Some(text) = part.as_str() {
            bytes.extend(unhex(text));
        } else if let Some(name) = part["file"].as_str() {
            bytes.extend(fs::read(vectors().join(name)).unwrap());
        } else {
            let times = usize::try_from(part["times"].as_u64().unwrap()).unwrap();
            bytes.extend(unhex(part["repeat"].as_str().unwrap()).repeat(times));
        }
    }
    bytes
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn chunkings(wire: &[u8]) -> Vec<(String, Vec<&[u8]>)> {
    let mut chunkings = vec![
        ("whole".to_owned(), vec![wire]),
        ("bytewise".to_owned(), wire.chunks(1).collect()),
        ("sevens, with empty chunks".to_owned(), wire.chunks(7).flat_map(|chunk| [&[][..], chunk, &[][..]]).collect()),
    ];
    let step = if wire.len() <= 128 { 1 } else { wire.len() / 30 };
    for cut in (1..wire.len()).step_by(step) {
        chunkings.push((format!("cut at {cut}"), vec![&wire[..cut], &wire[cut..]]));
    }
    chunkings
}

fn limits(case: &Value) -> Limits {
    let default = Limits::default();
    let limit = |name: &str, default: usize| {
        case["limits"][name].as_u64().map_or(default, |limit| usize::try_from(limit).unwrap())
    };
    Limits { frame: limit("frame", default.frame), header: limit("header", default.header) }
}

fn layout(case: &Value) -> Layout {
    let layout = &case["layout"];
    let order = if layout["byte_order"] == "big" { ByteOrder::Big } else { ByteOrder::Little };
    Layout::new(layout["byte_length"].as_u64().map_or(4, |length| usize::try_from(length).unwrap()), order)
}

fn decode(case: &Value, chunks: &[&[u8]]) -> (Value, usize) {
    let mut decoder = FrameDecoder::with(limits(case), layout(case));
    let (mut frames, mut fed) = (Vec::new(), 0);
    let mut read = || -> Result<(), FrameError> {
        for chunk in chunks {
            fed += chunk.len();
            for frame in decoder.feed(chunk) {
                let frame: Frame = frame?;
                frame.check_header()?;
                let header: Value = frame.header()?;
                frames.push(json!({"header": header, "payload": frame.payload()}));
            }
        }
        decoder.finish()
    };
    let found = match read() {
        Ok(()) => json!({}),
        Err(error) => json!({"error": {"code": error.code(), "index": error.index(), "offset": error.offset()}}),
    };
    (with(found, "frames", frames.into()), fed)
}

fn with(mut found: Value, name: &str, value: Value) -> Value {
    found[name] = value;
    found
}

fn stream(case: &Value, chunks: &[&[u8]]) -> (Value, usize) {
    match case["coder"].as_str().unwrap() {
        "json" => {
            stream_of(case, chunks, JsonCoder::new(), |header, payload| json!({"header": header, "json": payload}))
        }
        "tal" => stream_of(
            case,
            chunks,
            TalCoder,
            |header, payload| json!({"header": header, "payload": payload.to_bytes()}),
        ),
        "raw" => stream_of(case, chunks, RawCoder, |header, payload| json!({"header": header, "payload": payload})),
        "msgpack" => {
            let shown = |header: &Map<String, Value>, payload: &rmpv::Value| {
                let mut bytes = Vec::new();
                rmpv::encode::write_value(&mut bytes, payload).unwrap();
                json!({"header": header, "payload": bytes})
            };
            stream_of(case, chunks, MsgpackCoder::new(), shown)
        }
        "ndarray" => stream_of(case, chunks, NdarrayCoder, |header, array| {
            let mut header = header.clone();
            header.insert("dtype".into(), array.dtype().into());
            header.insert("shape".into(), array.shape().into());
            json!({"header": header, "payload": array.bytes()})
        }),
        other => panic!("no coder {other}"),
    }
}

fn stream_of<C: Decode>(
    case: &Value,
    chunks: &[&[u8]],
    coder: C,
    shown: fn(&C::Header, &C::Payload) -> Value,
) -> (Value, usize) {
    let mut decoder = StreamDecoder::new(coder).limits(limits(case));
    if let Some(required) = case["require_end"].as_bool() {
        decoder = decoder.require_end(required);
    }
    let (mut frames, mut fed) = (Vec::new(), 0);
    let mut read = || -> Result<(), Error> {
        for chunk in chunks {
            fed += chunk.len();
            for message in decoder.feed(chunk) {
                frames.push(match message {
                    Ok((header, payload)) => shown(&header, &payload),
                    Err(Error::Payload(error)) => {
                        json!({"refused": error.code(), "index": error.index(), "offset": error.offset()})
                    }
                    Err(error) => return Err(error),
                });
            }
        }
        decoder.finish()
    };
    let mut found = json!({"message": ""});
    let mut end = None;
    match read() {
        Ok(()) => {}
        Err(Error::Peer(error)) => {
            end = Some(format!("error:{}", error.code()));
            found["message"] = error.message().into();
        }
        Err(error) => {
            let mut place = Map::new();
            place.insert("code".into(), error.code().into());
            place.extend(error.index().map(|index| ("index".into(), index.into())));
            place.extend(error.offset().map(|offset| ("offset".into(), offset.into())));
            found["error"] = place.into();
        }
    }
    let otherwise = if decoder.ended() { "ok" } else { "missing" };
    found["end"] = end.unwrap_or_else(|| otherwise.into()).into();
    found["frames"] = frames.into();
    found["position"] = decoder.position().into();
    found["trailers"] = decoder.trailers().cloned().unwrap_or_default().into();
    (found, fed)
}

fn encode(case: &Value) -> Value {
    let (header, payload) = (parts(&case["header"]), parts(&case["payload"]));
    let refused = |error: serde_json::Error| EncodeError::new(error.to_string());
    let wire = match case["coder"].as_str() {
        None => layout(case).encode_frame(&header, &payload),
        Some("json") => serde_json::from_slice::<Value>(&header).map_err(refused).and_then(|header| {
            let payload: Value = serde_json::from_slice(&payload).map_err(refused)?;
            StreamEncoder::plain(JsonCoder::new()).data(&header, &payload)
        }),
        Some("tal") => serde_json::from_slice::<TalAudio>(&header)
            .map_err(refused)
            .and_then(|header| StreamEncoder::plain(TalCoder).data(&header, payload.as_slice())),
        Some(other) => panic!("no coder {other}"),
    };
    match wire {
        Ok(wire) => json!({"wire": wire}),
        Err(error) => json!({"error": {"code": error.code()}}),
    }
}

/// What of the expectation was not met.
fn complain(case: &Value, expected: &Value, found: &Value, how: &str) -> Option<String> {
    let id = &case["id"];
    let wrong = |name: &str, wanted: &Value| {
        let shown: String = found[name].to_string().chars().take(300).collect();
        let wanted: String = wanted.to_string().chars().take(300).collect();
        Some(format!("{id}, {how}: {name} is {shown}, wanted {wanted}"))
    };
    for (name, wanted) in expected.as_object()? {
        let same = match name.as_str() {
            "frames" => same_frames(wanted, &found["frames"]),
            "wire" => same_wire(case, &parts(wanted), &found["wire"]),
            "error" => wanted.as_object()?.iter().all(|(name, value)| name == "by" || found["error"][name] == *value),
            "trailers" if expected["end"] == "missing" => true,
            _ => found[name] == *wanted,
        };
        if !same {
            return wrong(name, wanted);
        }
    }
    if expected["error"].is_null() && !found["error"].is_null() {
        return wrong("error", &Value::Null);
    }
    None
}

fn same_frames(wanted: &Value, found: &Value) -> bool {
    let (wanted, found) = (wanted.as_array().unwrap(), found.as_array().unwrap());
    wanted.len() == found.len()
        && wanted.iter().zip(found).all(|(wanted, found)| {
            wanted.as_object().unwrap().iter().all(|(name, wanted)| match name.as_str() {
                "header" if wanted.is_array() => {
                    same_value(&serde_json::from_slice(&parts(wanted)).unwrap(), &found["header"])
                }
                "payload" => {
                    let wanted = if wanted.is_array() { parts(wanted) } else { unhex(wanted.as_str().unwrap()) };
                    json!(wanted) == found["payload"] || same_msgpack(&wanted, &found["payload"])
                }
                _ => same_value(wanted, &found[name]),
            })
        })
}

/// The same `MessagePack` value, which has more than one spelling.
fn same_msgpack(wanted: &[u8], found: &Value) -> bool {
    let found: Vec<u8> = serde_json::from_value(found.clone()).unwrap_or_default();
    let read = |mut bytes: &[u8]| rmpv::decode::read_value(&mut bytes).ok();
    read(wanted).is_some_and(|value| read(&found) == Some(value))
}

/// 1 and 1.0 are the same.
fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same_value(a, b)))
        }
        #[allow(clippy::float_cmp)]
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64().is_some_and(|a| b.as_f64() == Some(a)),
        _ => a == b,
    }
}

/// The header's text may be spelled otherwise, where a coder wrote it.
fn same_wire(case: &Value, wanted: &[u8], found: &Value) -> bool {
    let found: Vec<u8> = serde_json::from_value(found.clone()).unwrap_or_default();
    if case["coder"].is_null() || found == wanted {
        return found == wanted;
    }
    let read = |wire: &[u8]| {
        let frame = objectstreaming::decode_frame(wire).ok()?;
        Some((frame.header::<Value>().ok()?, frame.into_payload()))
    };
    read(wanted).is_some_and(|wanted| {
        read(&found).is_some_and(|found| {
            let payload = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
            same_value(&wanted.0, &found.0)
                && (wanted.1 == found.1 || payload(&wanted.1).is_some_and(|wanted| Some(wanted) == payload(&found.1)))
        })
    })
}
