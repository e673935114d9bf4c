//! The implementation under test of the conformance suite: this crate behind the protocol of
//! `objectstreaming/conformance/README.md`, JSON lines on stdin and stdout.

use std::fmt::Write as _;
use std::io::{self, BufRead, Write as _};
use std::time::Duration;

use objectstreaming::http::{Client, Place, ReadOptions, Request};
use objectstreaming::{
    AnyArray, ByteOrder, Decode, EncodeError, Error, FrameDecoder, FrameError, JsonCoder, Layout, Limits, MsgpackCoder,
    NdarrayCoder, RawCoder, StreamDecoder, StreamEncoder, TalAudio, TalCoder,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

type Raw = Box<RawValue>; // keeps integers of any size

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let mut answer = runtime.block_on(answer_to(&request));
        answer["id"] = request["id"].clone();
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

pub(crate) async fn answer_to(request: &Value) -> Value {
    match request["op"].as_str().unwrap_or_default() {
        "hello" => json!({
            "name": concat!("rust ", env!("CARGO_PKG_VERSION")),
            "features": "decode encode stream fetch resume limits layout json bigint tal msgpack ndarray",
        }),
        "decode" => decode(request),
        "encode" => encode(request),
        op @ ("stream" | "fetch" | "resume") => match request["coder"].as_str() {
            Some("json") => read(op, request, JsonCoder::<Raw, Raw>::typed()).await,
            Some("tal") => read(op, request, TalCoder).await,
            Some("msgpack") => read(op, request, MsgpackCoder::new()).await,
            Some("ndarray") => read(op, request, NdarrayCoder).await,
            Some("raw") => read(op, request, RawCoder).await,
            _ => json!({"skipped": "no such coder"}),
        },
        _ => json!({"skipped": "no such op"}),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte & 0xf) + 9 * u8::from(byte > b'9');
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn bytes(request: &Value, name: &str) -> Vec<u8> {
    unhex(request[name].as_str().unwrap_or_default())
}

/// `-` is an empty chunk, and has no two digits.
fn chunks(request: &Value) -> impl Iterator<Item = Vec<u8>> {
    request["chunks"].as_str().unwrap_or_default().split_whitespace().map(unhex)
}

fn size(request: &Value, name: &str) -> Option<usize> {
    request[name].as_u64().and_then(|size| usize::try_from(size).ok())
}

fn limits(request: &Value) -> Limits {
    let Limits { frame, header } = Limits::default();
    Limits { frame: size(request, "max_frame").unwrap_or(frame), header: size(request, "max_header").unwrap_or(header) }
}

fn layout(request: &Value) -> Layout {
    let order = if request["byte_order"] == "big" { ByteOrder::Big } else { ByteOrder::Little };
    Layout::new(size(request, "byte_length").unwrap_or(4), order)
}

fn decode(request: &Value) -> Value {
    let mut decoder = FrameDecoder::with(limits(request), layout(request));
    let (mut frames, mut fed) = (Vec::new(), 0);
    let mut read = || -> Result<(), FrameError> {
        for chunk in chunks(request) {
            fed += chunk.len();
            for frame in decoder.feed(&chunk) {
                let frame = frame?;
                frame.check_header()?;
                frames.push(format!("{}:{}", hex(frame.header_bytes()), hex(frame.payload())));
            }
        }
        decoder.finish()
    };
    let error = match read() {
        Ok(()) => String::new(),
        Err(error) => format!("{} {} {} {fed}", error.code(), error.index(), error.offset()),
    };
    json!({"frames": frames.join(" "), "error": error})
}

fn encode(request: &Value) -> Value {
    let (header, payload) = (bytes(request, "header"), bytes(request, "payload"));
    let refused = |error: serde_json::Error| EncodeError::new(error.to_string());
    let wire = match request["coder"].as_str() {
        None => layout(request).encode_frame(&header, &payload),
        Some("json") => serde_json::from_slice::<Raw>(&header).map_err(refused).and_then(|header| {
            let payload: Raw = serde_json::from_slice(&payload).map_err(refused)?;
            StreamEncoder::plain(JsonCoder::new()).data(&header, &payload)
        }),
        Some("tal") => serde_json::from_slice::<TalAudio>(&header)
            .map_err(refused)
            .and_then(|header| StreamEncoder::plain(TalCoder).data(&header, payload.as_slice())),
        Some(_) => return json!({"skipped": "no such coder"}),
    };
    match wire {
        Ok(wire) => json!({"wire": hex(&wire), "error": ""}),
        Err(error) => json!({"wire": "", "error": error.code()}),
    }
}

/// A header and a payload, in hex: JSON text, and what the coder has on the wire.
trait Spelled: Decode {
    fn spelled(header: &Self::Header, payload: &Self::Payload) -> String;
}

impl Spelled for JsonCoder<Raw, Raw> {
    fn spelled(header: &Raw, payload: &Raw) -> String {
        format!("{}:{}", hex(header.get().as_bytes()), hex(payload.get().as_bytes()))
    }
}

impl Spelled for TalCoder {
    fn spelled(header: &TalAudio, payload: &Self::Payload) -> String {
        let header = serde_json::to_vec(header).unwrap_or_default();
        format!("{}:{}", hex(&header), hex(&payload.to_bytes()))
    }
}

impl Spelled for MsgpackCoder {
    fn spelled(header: &Map<String, Value>, payload: &rmpv::Value) -> String {
        let mut bytes = Vec::new();
        let _ = rmpv::encode::write_value(&mut bytes, payload);
        RawCoder::spelled(header, &bytes)
    }
}

impl Spelled for NdarrayCoder {
    fn spelled(header: &Map<String, Value>, payload: &AnyArray) -> String {
        let mut header = header.clone();
        header.insert("dtype".into(), payload.dtype().into());
        header.insert("shape".into(), payload.shape().into());
        RawCoder::spelled(&header, &payload.bytes().to_vec())
    }
}

impl Spelled for RawCoder {
    fn spelled(header: &Map<String, Value>, payload: &Vec<u8>) -> String {
        format!("{}:{}", hex(&serde_json::to_vec(header).unwrap_or_default()), hex(payload))
    }
}

/// A message, or the place of a payload that was refused; any other error goes on.
fn spelled<C: Spelled>(message: Result<(C::Header, C::Payload), Error>) -> Result<String, Error> {
    match message {
        Ok((header, payload)) => Ok(C::spelled(&header, &payload)),
        Err(Error::Payload(error)) => Ok(format!("!{}:{}", error.index(), error.offset())),
        Err(error) => Err(error),
    }
}

async fn read<C: Spelled + Clone>(op: &str, request: &Value, coder: C) -> Value {
    match op {
        "stream" => stream(request, coder),
        "fetch" => fetch(request, coder).await,
        _ => resume(request, coder).await,
    }
}

fn answer(
    frames: &[String],
    position: u64,
    trailers: Option<&Map<String, Value>>,
    failed: Option<Error>,
    fed: &str,
) -> Value {
    let dash = |place: Option<u64>| place.map_or("-".into(), |place| place.to_string());
    let mut end = String::from(if trailers.is_some() { "ok" } else { "missing" });
    let (mut error, mut message) = (String::new(), String::new());
    match failed {
        None => {}
        Some(Error::Peer(peer)) => {
            end = format!("error:{}", peer.code());
            message.push_str(peer.message());
        }
        Some(Error::Response(response)) => {
            error = format!("http_status:{}:{}", response.status().as_u16(), response.code());
        }
        Some(Error::Transport(_)) => error.push_str("no_response"),
        Some(other) => error = format!("{} {} {}{fed}", other.code(), dash(other.index()), dash(other.offset())),
    }
    json!({
        "frames": frames.join(" "),
        "end": end,
        "error": error,
        "position": position,
        "trailers": hex(&serde_json::to_vec(&trailers.cloned().unwrap_or_default()).unwrap_or_default()),
        "message": hex(message.as_bytes()),
    })
}

fn stream<C: Spelled>(request: &Value, coder: C) -> Value {
    let mut decoder = StreamDecoder::new(coder).limits(limits(request));
    if let Some(required) = request["require_end"].as_str() {
        decoder = decoder.require_end(required == "yes");
    }
    let (mut frames, mut fed) = (Vec::new(), 0);
    let mut read = || -> Result<(), Error> {
        for chunk in chunks(request) {
            fed += chunk.len();
            for message in decoder.feed(&chunk) {
                frames.push(spelled::<C>(message)?);
            }
        }
        decoder.finish()
    };
    let failed = read().err();
    answer(&frames, decoder.position(), decoder.trailers(), failed, &format!(" {fed}"))
}

/// The request of `fetch` and `resume`.
fn ask(client: &Client, request: &Value) -> Request {
    let url = request["url"].as_str().unwrap_or_default();
    let ask = match (request["position"].as_u64(), request["method"].as_str()) {
        (Some(position), _) => client.resume(&Place::new(url, position)),
        (_, Some("GET")) => client.get(url),
        _ => client.post(url),
    };
    let mut options = ReadOptions::default().limits(limits(request));
    options.patience = request["patience"].as_u64().map(Duration::from_secs);
    let ask = ask.options(options);
    if !request["body"].is_string() {
        return ask;
    }
    let kind = request["content_type"].as_str().unwrap_or("application/json");
    ask.body(kind.parse().expect("a content type"), bytes(request, "body"))
}

async fn fetch<C: Spelled>(request: &Value, coder: C) -> Value {
    let mut frames = Vec::new();
    let mut messages = match ask(&Client::new(), request).send(coder).await {
        Ok(messages) => messages,
        Err(error) => return answer(&frames, 0, None, Some(error), ""),
    };
    let mut failed = None;
    while let Some(message) = messages.next().await {
        match spelled::<C>(message) {
            Ok(word) => frames.push(word),
            Err(error) => failed = Some(error),
        }
    }
    answer(&frames, messages.position(), messages.trailers(), failed, "")
}

async fn resume<C: Spelled + Clone>(request: &Value, coder: C) -> Value {
    let mut frames = Vec::new();
    let mut messages = match ask(&Client::new(), request).send_resuming(coder).await {
        Ok(messages) => messages,
        Err(error) => {
            let position = request["position"].as_u64().unwrap_or_default();
            let mut answer = answer(&frames, position, None, Some(error), "");
            answer["place"] = "".into();
            return answer;
        }
    };
    let mut failed = None;
    while let Some(message) = messages.next().await {
        match spelled::<C>(message) {
            Ok(word) => frames.push(word),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        if size(request, "leave_after") == Some(frames.len()) {
            break;
        }
        if size(request, "stop_after") == Some(frames.len()) {
            failed = messages.stop().await.err();
        }
    }
    let mut answer = answer(&frames, messages.position(), messages.trailers(), failed, "");
    let place = messages.place().map(|place| format!("{} {}", place.url(), place.position()));
    answer["place"] = place.unwrap_or_default().into();
    answer
}
