//! The JSON of the specification (SPEC section 2.3), read into serde types and written from them.
//!
//! `serde_json` does the parsing. Two things that it does not check are checked before, unless a quick look shows that the
//! text cannot contain them: the depth, where it allows 127 levels, and escapes in members that the type does not have,
//! which it skips. UTF-8 is checked for the whole text at once, which is also faster. Two things that it refuses although
//! the specification allows them are read a second time, through a `Value`: a member that occurs twice, for a derived
//! struct, and an integer that no double can hold.

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

/// Reads a value of any kind from JSON text. The error is the reason in words.
pub(crate) fn value<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let string = strict_json::as_str(text).map_err(|error| error.to_string())?;
    if needs_check(text) {
        strict_json::check(text).map_err(|error| error.to_string())?;
    }
    match serde_json::from_str(string) {
        Ok(value) => Ok(value),
        Err(error) => read_again(string, &error),
    }
}

/// Reads a `T` from a JSON object. Without the check, serde would read a derived struct from an array too.
pub(crate) fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    strict_json::starts_object(text).map_err(|error| error.to_string())?;
    value(text)
}

/// Whether the text may contain something that `serde_json` does not check.
fn needs_check(text: &[u8]) -> bool {
    // A text that is deeper than the limit has at least this many opening brackets, and as many closing ones.
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

/// The text with integers that no double can hold replaced by the largest double: a receiver must accept them.
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
                // The fraction and the exponent are skipped too: their digits are not integers.
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
    // Not directly into `wire`: without std, serde_json writes only into vectors that it makes itself.
    let text = serde_json::to_vec(value).map_err(|error| EncodeError::new(format!("not JSON: {error}")))?;
    // serde_json writes NaN and Infinity as null. If the text has a null, check that the value has one.
    if text.windows(4).any(|word| word == b"null") {
        finite::check(value)?;
    }
    if needs_check(&text) {
        strict_json::check(&text).map_err(|error| EncodeError::new(format!("{error}: receivers refuse it")))?;
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
        return Err(EncodeError::new(format!("the header is not a JSON object: it is {beginning}")));
    }
    Ok(())
}
