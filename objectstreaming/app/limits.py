"""The limits of the reference app."""

from __future__ import annotations

import math

import msgspec

__all__ = ["AppLimits"]


class AppLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the reference app. Sizes in bytes, times in seconds.

    A client is an IPv4 address, or the /64 of an IPv6 address. Together they bound the memory: `questions`, once more
    the largest question while it is recognized, `kept`, and about 3 MB for each stream.
    """

    body: int = 32 * 1024 * 1024
    """The largest body of a request, and the largest sound of a question over a WebSocket: 87 s of 48 kHz stereo int32,
    or 17 minutes of 16 kHz mono int16."""
    body_seconds: float = 60
    """How long a body may take to arrive."""
    question: int = 4_000
    """The largest number of characters in a question that is text."""
    conversation: int = 64_000
    """The largest number of characters in a conversation, the question included, that an OpenAI client sends."""
    speech_seconds: float = 60
    """The longest question that is sound."""
    questions: int = 256 * 1024 * 1024
    """How many bytes of questions are held at once: bodies and sound that are not whole or not recognized yet."""
    questions_per_client: int = 64 * 1024 * 1024
    """How many of them one client may have."""
    streams: int = 64
    """How many streams may run at once."""
    streams_per_client: int = 8
    """How many of them one client may have."""
    stream_seconds: float = 300
    """How long one stream may run."""
    kept: int = 64 * 1024 * 1024
    """How many bytes of answers are kept, for readers that come back."""
    kept_per_client: int = 16 * 1024 * 1024
    """How many of them one client's may have, when it asks the next question."""
    unread_seconds: float = 20
    """How long an answer goes on that nobody reads. Shorter than a recognition may take, which it would hold up for
    others; longer than clients wait before they come back, which is 10 s at most."""
    requests_a_minute: float = 120
    """How many questions one client may ask in a minute."""
    burst: int = 30
    """How many questions one client may ask at once, before the rate counts."""

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            kinds = (int, float) if field.type is float else (int,)
            if type(value) not in kinds or not 0 < value < math.inf:
                kind = "a number" if field.type is float else "an integer"
                raise ValueError(f"the limit {field.name} must be {kind} above 0, not {value!r}")
