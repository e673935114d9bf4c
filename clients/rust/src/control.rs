//! Reads control frames (SPEC sections 3.1 to 3.4).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::peer_error::{Code, StreamError};
use crate::read_json;
use crate::state::Event;

/// The beginning of the header of a control frame. No other header begins with it.
pub(crate) const CONTROL: &[u8] = b"{\"$stream\":";

/// The members of `$stream`, as text: `1.0` is not an integer, and no conversion would keep that difference.
pub(crate) struct Control {
    pub(crate) event: Event,
    members: BTreeMap<String, Box<RawValue>>,
}

/// The members of an `open` frame.
pub(crate) struct Opened {
    pub(crate) heartbeat: Option<f64>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) position: u64,
    pub(crate) resume: Option<String>,
}

/// The members of an `end` frame, except the count.
pub(crate) struct Ended {
    pub(crate) trailers: Map<String, Value>,
    pub(crate) error: Option<StreamError>,
}

impl Control {
    /// Reads a header that is known to be a strict JSON object, but only the type: the caller looks it up in the table
    /// before the other members are read.
    pub(crate) fn read(header: &[u8]) -> Result<Self, String> {
        let mut header: BTreeMap<String, Box<RawValue>> = read_json::object(header)?;
        let members = header.remove("$stream").and_then(|value| object::<Box<RawValue>>(&value));
        if let Some(members) = members {
            if let Some(kind) = members.get("type").and_then(|value| string(value)) {
                let event = match kind.as_str() {
                    "open" => Event::Open,
                    "ping" => Event::Ping,
                    "end" => Event::End,
                    _ => Event::Other,
                };
                return Ok(Self { event, members });
            }
        }
        Err("$stream is an object with the member type, a string".into())
    }

    fn get(&self, name: &str) -> Option<&RawValue> {
        self.members.get(name).map(|value| &**value)
    }

    pub(crate) fn opened(&self, coder: &str) -> Result<Opened, String> {
        let version = self.get("v").map(RawValue::get);
        if version != Some("1") {
            let version = version.unwrap_or("none");
            return Err(format!("the stream is of version {version:.40}, this reader knows 1"));
        }
        if let Some(theirs) = self.get("coder") {
            if string(theirs).as_deref() != Some(coder) {
                return Err(format!("the stream's coder is {:.40}, this reader's {coder:?}", theirs.get()));
            }
        }
        let heartbeat = match self.get("heartbeat") {
            Some(value) if value.get() != "null" => match read_json::value::<f64>(value.get().as_bytes()) {
                Ok(seconds) if seconds > 0.0 => Some(seconds),
                _ => return Err(format!("heartbeat is a positive number of seconds, not {:.40}", value.get())),
            },
            _ => None,
        };
        let metadata = self.optional_object("metadata")?;
        let position = match self.get("position") {
            Some(value) => count("position", value.get())?.parse().unwrap_or(u64::MAX),
            None => 0,
        };
        let resume = match self.get("resume") {
            Some(value) => Some(
                string(value).ok_or_else(|| format!("resume is a URI reference, a string, not {:.40}", value.get()))?,
            ),
            None => None,
        };
        Ok(Opened { heartbeat, metadata, position, resume })
    }

    /// Checks the time of an `open`, a `ping` or an `end` frame.
    pub(crate) fn timed(&self) -> Result<(), String> {
        self.get("at").map_or(Ok(()), |value| count("at", value.get()).map(drop))
    }

    /// Whether `frames` is `received`. An error if it is not a count.
    pub(crate) fn counts(&self, received: u64) -> Result<bool, String> {
        let digits = count("frames", self.get("frames").map_or("none", RawValue::get))?;
        Ok(digits.parse() == Ok(received)) // a count larger than a u64 is never equal
    }

    pub(crate) fn frames(&self) -> &str {
        self.get("frames").map_or("", RawValue::get)
    }

    pub(crate) fn ended(&self) -> Result<Ended, String> {
        let trailers = self.optional_object("trailers")?;
        let error = self.get("error").map(peer_error).transpose()?;
        Ok(Ended { trailers, error })
    }

    fn optional_object(&self, name: &str) -> Result<Map<String, Value>, String> {
        let Some(value) = self.get(name) else { return Ok(Map::new()) };
        read_json::object(value.get().as_bytes()).map_err(|_| format!("{name} is an object, not {:.40}", value.get()))
    }
}

/// The digits of an integer of 0 or more.
fn count<'a>(name: &str, text: &'a str) -> Result<&'a str, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !whole || (digits.len() < text.len() && digits != "0") {
        return Err(format!("{name} is an integer of 0 or more, not {text:.40}"));
    }
    Ok(digits)
}

fn peer_error(value: &RawValue) -> Result<StreamError, String> {
    let wrong = || format!("error is an object with code and message, not {:.60}", value.get());
    let members = object::<Value>(value).ok_or_else(wrong)?;
    let code = members.get("code").and_then(Value::as_str).ok_or_else(wrong)?;
    let message = match members.get("message") {
        Some(message) => message.as_str().ok_or_else(wrong)?,
        None => "",
    };
    // A code of a later version is an error too.

    let code = Code::from_name(code).unwrap_or(Code::Unknown);
    Ok(StreamError::new(code, message).with_details(members.get("details").cloned()))
}

fn object<T: serde::de::DeserializeOwned>(value: &RawValue) -> Option<BTreeMap<String, T>> {
    read_json::object(value.get().as_bytes()).ok()
}

fn string(value: &RawValue) -> Option<String> {
    read_json::value(value.get().as_bytes()).ok()
}
