//! Every conformance vector, under many chunkings: whole, byte by byte, cut in two, with empty chunks. The program in
//! `examples/` reads them, as it does for the runner of `objectstreaming/conformance`, which tries more.

#[allow(dead_code)] // its main, which reads lines
#[path = "../examples/conformance.rs"]
mod conformance;

use std::fs;
use std::path::{Path, PathBuf};

use conformance::{hex, unhex};
use serde_json::{Value, json};

#[test]
fn every_case_gives_its_verdict_under_every_chunking() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ask = |request: &Value| runtime.block_on(conformance::answer_to(request));
    let (mut failures, mut tried) = (Vec::new(), 0);
    for (op, case) in cases() {
        tried += 1;
        let mut request = request(&op, &case);
        let mut judge = |how: &str, complaint: Option<String>| {
            failures.extend(complaint.map(|complaint| format!("{}, {how}: {complaint}", case["id"])));
        };
        if op == "encode" {
            for part in ["header", "payload"] {
                request[part] = hex(&parts(&case[part])).into();
            }
            judge("encoded", complain_of_wire(&case, &ask(&request)));
            continue;
        }
        let wire = parts(&case["wire"]);
        for (how, chunks) in chunkings(&wire) {
            let words = chunks.iter().map(|chunk| if chunk.is_empty() { "-".into() } else { hex(chunk) });
            request["chunks"] = words.collect::<Vec<_>>().join(" ").into();
            judge(&how, complain(&case["expect"], &ask(&request), how == "bytewise"));
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

/// What the runner would ask.
fn request(op: &str, case: &Value) -> Value {
    let mut request = json!({"op": op});
    for (prefix, name) in [("max_", "limits"), ("", "layout")] {
        for (name, value) in case[name].as_object().into_iter().flatten() {
            request[format!("{prefix}{name}")] = value.clone();
        }
    }
    if let Some(coder) = case.get("coder") {
        request["coder"] = coder.clone();
    }
    if let Some(required) = case["require_end"].as_bool() {
        request["require_end"] = if required { "yes" } else { "no" }.into();
    }
    request
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

fn chunkings(wire: &[u8]) -> Vec<(String, Vec<&[u8]>)> {
    let mut chunkings = vec![("whole".to_owned(), vec![wire])];
    if wire.len() > 100_000 {
        chunkings.push(("as packets".to_owned(), wire.chunks(1460).collect()));
        return chunkings;
    }
    let sevens = wire.chunks(7).flat_map(|chunk| [&[][..], chunk, &[][..]]);
    chunkings.push(("bytewise".to_owned(), wire.chunks(1).collect()));
    chunkings.push(("sevens, with empty chunks".to_owned(), sevens.collect()));
    let step = if wire.len() <= 128 { 1 } else { wire.len() / 10 };
    for cut in (1..wire.len()).step_by(step) {
        chunkings.push((format!("cut at {cut}"), vec![&wire[..cut], &wire[cut..]]));
    }
    chunkings
}

/// What of the expectation was not met.
fn complain(expected: &Value, found: &Value, bytewise: bool) -> Option<String> {
    let words: Vec<&str> = found["frames"].as_str().unwrap().split_whitespace().collect();
    let frames = expected["frames"].as_array().unwrap();
    if frames.len() != words.len() || !frames.iter().zip(&words).all(|(frame, word)| same_frame(frame, word)) {
        return Some(format!("frames: {:.300}", found["frames"]));
    }
    let error = expected["error"].as_object().map_or(String::new(), |error| {
        let place = |name| error.get(name).map_or("-".into(), Value::to_string);
        format!("{} {} {}", error["code"].as_str().unwrap(), place("index"), place("offset"))
    });
    let (found_error, fed) = match found["error"].as_str().unwrap().rsplit_once(' ') {
        Some((error, fed)) => (error, fed.parse().unwrap()),
        None => ("", 0),
    };
    if found_error != error || bytewise && expected["error"]["by"].as_u64().is_some_and(|by| fed > by) {
        return Some(format!("error: {} instead of {}", found["error"], expected["error"]));
    }
    let text = |name: &str| unhex(found[name].as_str().unwrap());
    for (name, wanted) in expected.as_object().unwrap() {
        let same = match name.as_str() {
            "end" | "position" => found[name] == *wanted,
            "trailers" => expected["end"] == "missing" || same_json(wanted, &text(name)),
            "message" => wanted.as_str().unwrap().as_bytes() == text(name),
            _ => true,
        };
        if !same {
            return Some(format!("{name}: {} instead of {wanted}", found[name]));
        }
    }
    None
}

fn same_frame(wanted: &Value, word: &str) -> bool {
    if wanted.get("refused").is_some() {
        return word == format!("!{}:{}", wanted["index"], wanted["offset"]);
    }
    let Some((header, payload)) = word.split_once(':') else { return false };
    let header_is_same = match &wanted["header"] {
        text @ Value::Array(_) => same_json(&serde_json::from_slice(&parts(text)).unwrap(), &unhex(header)),
        members => same_json(members, &unhex(header)),
    };
    header_is_same
        && match (wanted.get("json"), &wanted["payload"]) {
            (Some(json), _) => same_json(json, &unhex(payload)),
            (None, Value::String(hex)) => hex == payload || same_msgpack(&unhex(hex), &unhex(payload)),
            (None, bytes) => parts(bytes) == unhex(payload) || same_msgpack(&parts(bytes), &unhex(payload)),
        }
}

/// What a coder wrote may be spelled otherwise.
fn complain_of_wire(case: &Value, found: &Value) -> Option<String> {
    let expected = &case["expect"];
    let wire = unhex(found["wire"].as_str().unwrap());
    let same =
        if expected["wire"].is_null() { wire.is_empty() } else { same_wire(case, &parts(&expected["wire"]), &wire) };
    let error = expected["error"]["code"].as_str().unwrap_or_default();
    (!same || found["error"] != *error).then(|| format!("{found} instead of {expected}"))
}

fn same_wire(case: &Value, wanted: &[u8], found: &[u8]) -> bool {
    if case["coder"].is_null() || found == wanted {
        return found == wanted;
    }
    let (Ok(wanted), Ok(found)) = (objectstreaming::decode_frame(wanted), objectstreaming::decode_frame(found)) else {
        return false;
    };
    let read = |json: &[u8]| serde_json::from_slice(json).unwrap_or_default();
    same_json(&read(wanted.header_bytes()), found.header_bytes())
        && (wanted.payload() == found.payload() || same_json(&read(wanted.payload()), found.payload()))
}

fn same_json(wanted: &Value, found: &[u8]) -> bool {
    serde_json::from_slice(found).is_ok_and(|found| same_value(wanted, &found))
}

/// The same `MessagePack` value, which has more than one spelling.
fn same_msgpack(wanted: &[u8], found: &[u8]) -> bool {
    let read = |mut bytes: &[u8]| rmpv::decode::read_value(&mut bytes).ok();
    read(wanted).is_some_and(|value| read(found) == Some(value))
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
