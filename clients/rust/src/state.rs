//! The states of a stream (SPEC section 3.5). Encoder and decoder follow the same table.
//!
//! A row is a state, a column is the frame that comes next:
//!
//! ```text
//!             open        data        ping        other       end
//! Start       Streaming   Streaming   Streaming   Streaming   Ended
//! Streaming   error       Streaming   Streaming   Streaming   Ended
//! Ended       error       error       error       error       error
//! ```

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Start,
    Streaming,
    Ended,
}

/// A column of the table. `Other` is a control frame of a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Open,
    Data,
    Ping,
    Other,
    End,
}

impl State {
    /// The state after a frame. `None` if the table does not allow the frame.
    pub(crate) fn after(self, event: Event) -> Option<Self> {
        match (self, event) {
            (Self::Ended, _) | (Self::Streaming, Event::Open) => None,
            (_, Event::End) => Some(Self::Ended),
            _ => Some(Self::Streaming),
        }
    }
}

impl Event {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Data => "data",
            Self::Ping => "ping",
            Self::Other => "other",
            Self::End => "end",
        }
    }
}
