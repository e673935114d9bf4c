//! Checks the JSON of the specification (SPEC section 2.3). The values are not returned.
//!
//! It is RFC 8259 with fewer options: valid UTF-8, no byte order mark, no NaN or Infinity, no lone surrogate, not even as
//! an escape, and at most [`MAX_DEPTH`] levels. One pass, no recursion, no allocation.

use core::fmt;

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: usize = 100;

/// The reason why a text is not the expected JSON, and the byte where it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    reason: &'static str,
    at: usize,
}

impl JsonError {
    /// The byte in the text, from 0.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {} of the text)", self.reason, self.at)
    }
}

impl core::error::Error for JsonError {}

/// Checks that a text is one JSON value.
///
/// # Errors
/// [`JsonError`], at the first wrong byte.
///
/// ```
/// use objectstreaming::strict_json::check;
/// assert!(check(br#"{"n": 18446744073709551617, "s": "\ud83d\ude00"}"#).is_ok());
/// assert_eq!(check(b"[NaN]").unwrap_err().at(), 1);
/// assert!(check(br#""\ud800""#).is_err());
/// ```
pub fn check(text: &[u8]) -> Result<(), JsonError> {
    as_str(text)?;
    Checker { text, at: 0 }.document()
}

/// Checks that a text is one JSON object, as every header must be.
///
/// # Errors
/// [`JsonError`], at the first wrong byte.
pub fn check_object(text: &[u8]) -> Result<(), JsonError> {
    as_str(text)?;
    starts_object(text)?;
    Checker { text, at: 0 }.document()
}

/// The text, checked to be UTF-8 without a byte order mark.
pub(crate) fn as_str(text: &[u8]) -> Result<&str, JsonError> {
    let string =
        core::str::from_utf8(text).map_err(|error| JsonError { reason: "not UTF-8", at: error.valid_up_to() })?;
    if string.starts_with('\u{feff}') {
        return Err(JsonError { reason: "a byte order mark, which JSON does not allow", at: 0 });
    }
    Ok(string)
}

pub(crate) fn starts_object(text: &[u8]) -> Result<(), JsonError> {
    let at = text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len());
    match text.get(at) {
        Some(b'{') => Ok(()),
        Some(_) => Err(JsonError { reason: "an object is expected", at }),
        None => Err(JsonError { reason: "empty, where an object is expected", at }),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

struct Checker<'a> {
    text: &'a [u8],
    at: usize,
}

impl Checker<'_> {
    fn document(&mut self) -> Result<(), JsonError> {
        let mut depth = 0;
        let mut objects = 0_u128; // one bit for each level, the innermost lowest: set for an object, clear for an array
        loop {
            self.spaces();
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return self.fail("nested deeper than 100 levels");
                    }
                    self.at += 1;
                    objects = objects << 1 | u128::from(open == b'{');
                    self.spaces();
                    if self.peek() == Some(open + 2) {
                        self.at += 1;
                        depth -= 1;
                        objects >>= 1;
                    } else {
                        if open == b'{' {
                            self.name()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                Some(_) => return self.fail("a value is expected"),
                None => return self.fail("the text ends where a value is expected"),
            }
            loop {
                self.spaces();
                let in_object = objects & 1 == 1;
                match self.peek() {
                    None if depth == 0 => return Ok(()),
                    _ if depth == 0 => return self.fail("more text after the value"),
                    Some(b',') => {
                        self.at += 1;
                        if in_object {
                            self.spaces();
                            self.name()?;
                        }
                        break;
                    }
                    Some(close @ (b'}' | b']')) if in_object == (close == b'}') => {
                        self.at += 1;
                        depth -= 1;
                        objects >>= 1;
                    }
                    Some(_) => return self.fail("a comma or the end of the array or object is expected"),
                    None => return self.fail("the text ends inside an array or object"),
                }
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn fail(&self, reason: &'static str) -> Result<(), JsonError> {
        Err(JsonError { reason, at: self.at })
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn name(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b'"') {
            return self.fail("the name of a member is expected");
        }
        self.string()?;
        self.spaces();
        if self.peek() != Some(b':') {
            return self.fail("a colon is expected");
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return self.fail("a value is expected");
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return self.fail("a control character in a string"),
                Some(_) => self.at += 1,
                None => return self.fail("the text ends inside a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        match self.text.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.unit(start) {
                Some(0xd800..0xdc00) => match self.unit(start + 6) {
                    Some(0xdc00..0xe000) => self.at += 12,
                    _ => return self.fail("a lone surrogate in a string"),
                },
                Some(0xdc00..0xe000) => return self.fail("a lone surrogate in a string"),
                Some(_) => self.at += 6,
                None => return self.fail("an invalid escape in a string"),
            },
            _ => return self.fail("an invalid escape in a string"),
        }
        Ok(())
    }

    /// The UTF-16 unit of an escape `\uXXXX`.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.fail("a digit is expected") } else { Ok(()) }
    }
}
