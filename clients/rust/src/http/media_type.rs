//! Media types: the two of the specification, and what a response must have (SPEC section 6.1).

use alloc::format;
use alloc::string::String;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// The content type of a stream of version 1. Its parameters are `v` and `coder`.
pub const MEDIA_TYPE: &str = "application/vnd.objectstreaming";
/// The content type of a plain stream.
pub const PLAIN_MEDIA_TYPE: &str = "application/octet-stream";
/// The default `Accept` header: version 1 is preferred, a plain stream is accepted.
pub const ACCEPT: &str = "application/vnd.objectstreaming;v=1, application/octet-stream;q=0.5";

/// A content type and the parameters that are used here (RFC 9110, section 8.3.1).
pub(super) struct MediaType {
    pub(super) name: String,
    version: Option<String>,
    coder: Option<String>,
}

impl MediaType {
    pub(super) fn read(text: &str) -> Self {
        let (name, mut rest) = text.split_once(';').unwrap_or((text, ""));
        let mut found = Self { name: name.trim().to_ascii_lowercase(), version: None, coder: None };
        while let Some((parameter, after)) = rest.split_once('=') {
            let (value, left) = parameter_value(after);
            let place = match parameter.trim().trim_start_matches(';').trim().to_ascii_lowercase().as_str() {
                "v" => Some(&mut found.version),
                "coder" => Some(&mut found.coder),
                _ => None,
            };
            if let Some(place) = place {
                place.get_or_insert(value);
            }
            rest = left;
        }
        found
    }

    /// Why a response of this type, with these headers, cannot be read with this coder. `None` if it can.
    pub(super) fn refuse(&self, headers: &HeaderMap, coder: &str) -> Option<String> {
        match self.name.as_str() {
            "" => return Some("the response has no Content-Type".into()),
            MEDIA_TYPE if self.version.as_deref() != Some("1") => {
                let version = self.version.as_deref().unwrap_or_default();
                return Some(format!("the stream is of version {version:?}, this reader knows \"1\""));
            }
            MEDIA_TYPE | PLAIN_MEDIA_TYPE => {}
            other => return Some(format!("the content type is {other:?}")),
        }
        if let Some(theirs) = self.coder.as_deref().filter(|theirs| *theirs != coder) {
            return Some(format!("the stream's coder is {theirs:?}, this reader's {coder:?}"));
        }
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?").trim());
        encodings
            .find(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity"))
            .map(|encoding| format!("the Content-Encoding is {encoding:?}, which is not read here"))
    }
}

/// The value of a parameter, a token or a quoted string without its escapes; and the text after the parameter.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, rest) = text.split_once(';').unwrap_or((text, ""));
        return (token.trim().into(), rest);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, char) in quoted.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                continue;
            }
            '"' => return (value, quoted[at + 1..].split_once(';').map_or("", |(_, rest)| rest)),
            _ => {}
        }
        value.push(char);
    }
    (value, "")
}
