//! The rules of resuming (SPEC section 6.3): which messages are new, and whether and when to try again. No input or output.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::hash::{BuildHasher, Hasher};
use std::hash::RandomState;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use tokio::time::Instant;

use crate::error::FrameErrorKind;
use crate::peer_error::{Code, StreamError};
use crate::stream_error::Error;

/// How long a stream may be out of reach, unless the caller says otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

const LOST: Duration = Duration::from_secs(10); // the store may be given again what it had lost
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A response that lasted for so long was no failed attempt, even if it had no data frame.
const WORKS: Duration = Duration::from_secs(15);

/// Where a reader is in a stored stream: the URL, and how many data frames it has had. Keep it over a restart, with serde.
///
/// ```
/// use objectstreaming::http::Place;
///
/// let place = Place::new("http://127.0.0.1:8000/streams/2f1c9a70", 7);
/// let text = serde_json::to_string(&place)?;
/// assert_eq!(text, r#"{"url":"http://127.0.0.1:8000/streams/2f1c9a70","position":7}"#);
/// assert_eq!(serde_json::from_str::<Place>(&text)?, place);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    url: String,
    position: u64,
}

impl Place {
    /// The place in the stream of this URL after so many data frames.
    pub fn new(url: impl Into<String>, position: u64) -> Self {
        Self { url: url.into(), position }
    }

    /// Where the stream can be picked up.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The number of data frames that have come.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }
}

// By hand, because serde's derive would bring a compiler for macros to all users.
impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A map in every format, as it is read: some formats write a struct as an array.
        let mut members = serializer.serialize_map(Some(2))?;
        members.serialize_entry("url", &self.url)?;
        members.serialize_entry("position", &self.position)?;
        members.end()
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a place: an object with url, a string, and position, an integer of 0 or more")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Place, A::Error> {
        let (mut url, mut position) = (None, None);
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "url" => url = Some(members.next_value()?),
                "position" => position = Some(members.next_value()?),
                _ => drop(members.next_value::<Value>()?),
            }
        }
        Ok(Place {
            url: url.ok_or_else(|| A::Error::missing_field("url"))?,
            position: position.ok_or_else(|| A::Error::missing_field("position"))?,
        })
    }
}

/// The state of one stream over several responses.
#[derive(Debug)]
pub(super) struct Resumption {
    pub(super) url: Option<String>,
    pub(super) position: u64,
    patience: Duration,
    failures: u32, // in a row
    trouble_since: Option<Instant>,
    missing_since: Option<Instant>, // the server does not find the stream, or not so much of it
    opened_at: Option<Instant>,     // of the response that is read
    has_data: bool,
}

impl Resumption {
    pub(super) fn new(patience: Option<Duration>, place: Option<&Place>) -> Self {
        Self {
            url: place.map(|place| place.url.clone()),
            position: place.map_or(0, Place::position),
            patience: patience.unwrap_or(PATIENCE),
            failures: 0,
            trouble_since: None,
            missing_since: None,
            opened_at: None,
            has_data: false,
        }
    }

    /// Where the stream can be picked up, once the server has said it.
    pub(super) fn place(&self) -> Option<Place> {
        self.url.as_ref().map(|url| Place::new(url.clone(), self.position))
    }

    /// A response has begun.
    pub(super) fn opened(&mut self, now: Instant) {
        self.opened_at = Some(now);
    }

    /// Whether the message at this position is to be delivered; it counts from then on.
    pub(super) fn is_new(&mut self, position: u64) -> Result<bool, Error> {
        if position <= self.position {
            return Ok(false);
        }
        if position > self.position + 1 {
            return Err(self.lost(position - 1));
        }
        self.position = position;
        self.failures = 0;
        self.trouble_since = None;
        self.missing_since = None;
        self.has_data = true;
        Ok(true)
    }

    /// A response has ended the stream at this position. An error if that is not ours.
    pub(super) fn ended(&self, position: u64) -> Result<(), Error> {
        if position == self.position { Ok(()) } else { Err(self.lost(position)) }
    }

    fn lost(&self, position: u64) -> Error {
        let message = format!("{} data frames have come, and the server goes on after {position}", self.position);
        StreamError::new(Code::DataLoss, message).into()
    }

    /// How long to wait before the next attempt. `None` if there is to be none: the error is final.
    pub(super) fn wait_after(&mut self, error: &Error, now: Instant) -> Option<Duration> {
        let lasted = self.opened_at.take().map(|opened| now - opened);
        if self.trouble_since.is_none() || lasted > Some(WORKS) {
            self.trouble_since = Some(now);
            self.failures = 0;
        }
        let trouble = now - self.trouble_since.unwrap_or(now);
        if self.url.is_none() || !self.may_pass(error, now) {
            return None;
        }
        let asked = match error {
            Error::Response(error) => error.retry_after(),
            _ => None,
        };
        let wait = asked.unwrap_or_else(|| random_below(longest_wait(self.failures)));
        self.failures += 1;
        (trouble.saturating_add(wait) <= self.patience).then_some(wait)
    }

    fn may_pass(&mut self, error: &Error, now: Instant) -> bool {
        match error {
            Error::Incomplete(_) | Error::IdleTimeout(_) | Error::Transport(_) => true,
            Error::Frame(error) => error.kind() == FrameErrorKind::TruncatedFrame,
            Error::Response(error) => match error.status().as_u16() {
                429 | 502 | 503 | 504 => true,
                404 => self.is_just_missing(now),
                400 => error.code() == Code::OutOfRange && self.is_just_missing(now),
                _ => false,
            },
            _ => false,
        }
    }

    fn is_just_missing(&mut self, now: Instant) -> bool {
        self.has_data && now - *self.missing_since.get_or_insert(now) < LOST
    }
}

fn longest_wait(failures: u32) -> Duration {
    LONGEST_WAIT.min(FIRST_WAIT * 2_u32.pow(failures.min(10)))
}

/// Many clients that were cut together must not come back together. `RandomState` has a random key; it is no secret here.
fn random_below(longest: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or_default();
    longest.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_error::StreamIncomplete;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn waits_are_longer_after_each_failure_in_a_row_and_never_above_ten_seconds() {
        let waits = [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000];
        for (failures, wait) in (0..).zip(waits) {
            assert_eq!(longest_wait(failures), Duration::from_millis(wait));
        }
        let some: std::collections::HashSet<_> = (0..50).map(|_| random_below(S)).collect();
        assert!(some.len() > 40 && some.iter().all(|wait| *wait <= S), "{some:?}");
    }

    #[test]
    fn it_gives_up_after_its_patience_which_begins_again_with_data() {
        let mut resumption = Resumption::new(Some(60 * S), Some(&Place::new("http://a/", 0)));
        let (start, cut) = (Instant::now(), StreamIncomplete::new(0).into());
        resumption.opened(start);
        assert!(resumption.wait_after(&cut, start).is_some());
        assert!(resumption.wait_after(&cut, start + 49 * S).is_some());
        assert!(resumption.wait_after(&cut, start + 61 * S).is_none());
        assert!(resumption.is_new(1).unwrap());
        assert!(resumption.wait_after(&cut, start + 1000 * S).is_some());
    }

    #[test]
    fn a_response_that_lasted_was_no_failed_attempt() {
        let mut resumption = Resumption::new(Some(60 * S), Some(&Place::new("http://a/", 0)));
        let (start, cut) = (Instant::now(), StreamIncomplete::new(0).into());
        for hour in 0..5 {
            resumption.opened(start + hour * 3600 * S);
            assert!(resumption.wait_after(&cut, start + (hour * 3600 + 20) * S).is_some());
            assert_eq!(resumption.failures, 1);
        }
    }

    #[test]
    fn nothing_is_tried_without_a_place() {
        let mut resumption = Resumption::new(None, None);
        assert_eq!(resumption.wait_after(&StreamIncomplete::new(0).into(), Instant::now()), None);
    }
}
