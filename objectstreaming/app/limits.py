"""The bounds of the reference app, in one place."""

from __future__ import annotations

import msgspec

__all__ = ["AppLimits"]


class AppLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the reference app. Sizes in bytes, times in seconds."""

    body: int = 32 * 1024 * 1024
    """Of one request's body: 43 s of 48 kHz stereo int32, some 17 minutes of what speech needs."""
    body_seconds: float = 60
    """How long a body may take to arrive."""
    question: int = 4_000
    """Characters of a question that is text."""
    speech_seconds: float = 60
    """Of a question that is sound: recognition takes about as long as it lasts."""
    streams: int = 64
    """Streams that run at once."""
    stream_seconds: float = 300
    """How long one may run."""
    requests_a_minute: float = 120
    """Of one client."""
    burst: int = 30
    """Requests that one client may make at once, before the rate counts."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise ValueError(f"the limit {name} is a positive number, not {getattr(self, name)!r}")
