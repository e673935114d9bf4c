//! JSON as the specification means it, read into serde types and written from them.
//!
//! `serde_json` reads. What it leaves open is looked at first, where a glance does not show that there is nothing: depth
//! (it allows 127 levels), and escapes in members that the type does not name (it skips them). UTF-8 is checked as a
//! whole, which is also quicker. What it refuses though the specification does not (a member given twice, for a derived
//! struct; an integer beyond every double) is read again, by way of a `Value`.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::EncodeError;
use crate::finite;
use crate::strict_json::{self, MAX_DEPTH};

/// A value of any kind, of JSON text; or why not.
pub(crate) fn value<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let string = strict_json::as_str(text).map_err(|error| error.to_string())?;
    if needs_look(text) {
        strict_json::check(text).map_err(|error| error.to_string())?;
    }
    match serde_json::from_str(string) {
        Ok(value) => Ok(value),
        Err(error) => read_again(string, &error),
    }
}

/// A `T` that is an object on the wire: serde would read a derived struct from an array too.
pub(crate) fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    strict_json::starts_object(text).map_err(|error| error.to_string())?;
    value(text)
}

/// Whether there may be more in the text than `serde_json` looks at.
fn needs_look(text: &[u8]) -> bool {
    // Deeper than the limit has at least this many brackets, and as many closing them.
    let deep = text.len() > 2 * MAX_DEPTH
        && text.iter().map(|byte| usize::from(matches!(byte, b'[' | b'{'))).sum::<usize>() > MAX_DEPTH;
    deep || (text.contains(&b'\\') && text.windows(2).any(|pair| pair == b"\\u"))
}

#[cold]
fn read_again<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> Result<T, String> {
    strict_json::check(text.as_bytes()).map_err(|error| error.to_string())?;
    serde_json::from_str::<Value>(&within_doubles(text))
        .ok()
        .and_then(|value| serde_json::from_value(value).ok())
        .ok_or_else(|| error.to_string())
}

/// The text with integers that no double reaches replaced by the largest one: a receiver must accept them.
fn within_doubles(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut rewritten = Vec::new();
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'0'..=b'9' => {
                let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let end = at + digits;
                let whole = !matches!(bytes.get(end), Some(b'.' | b'e' | b'E'));
                if whole && digits > 308 && text[at..end].parse().is_ok_and(f64::is_infinite) {
                    rewritten.extend_from_slice(&bytes[copied..at]);
                    rewritten.extend_from_slice(format!("{:e}", f64::MAX).as_bytes());
                    copied = end;
                }
                // Past a fraction and an exponent too: the digits of those are no integers.
                at = end + bytes[end..].iter().take_while(|byte| b"0123456789.eE+-".contains(byte)).count();
            }
            _ => at += 1,
        }
    }
    rewritten.extend_from_slice(&bytes[copied..]);
    String::from_utf8(rewritten).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Appends compact JSON text.
pub(crate) fn write<T: Serialize + ?Sized>(wire: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    // Not straight into `wire`: without std, serde_json writes into vectors of its own only.
    let text = serde_json::to_vec(value).map_err(|error| EncodeError::new(format!("this is not JSON: {error}")))?;
    // NaN and Infinity go out as null: where a null went out, look whether it was one.
    if text.windows(4).any(|word| word == b"null") {
        finite::check(value)?;
    }
    if needs_look(&text) {
        strict_json::check(&text).map_err(|error| EncodeError::new(format!("receivers would refuse it: {error}")))?;
    }
    wire.extend_from_slice(&text);
    Ok(())
}

/// Appends compact JSON text of an object.
pub(crate) fn write_object<T: Serialize + ?Sized>(wire: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    let start = wire.len();
    write(wire, value)?;
    let text = &wire[start..];
    if !text.starts_with(b"{") {
        let beginning = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        return Err(EncodeError::new(format!("a header is a JSON object, this is {beginning}")));
    }
    Ok(())
}
