"""`at` in control frames: when the server has sent them, for clients that ask for it (SPEC sections 3.3 and 6.2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..coders import Coder
from ..frames import Limits
from ..protocol import VERSION, StreamEncoder

__all__ = ["TimedEncoder", "prefers_times"]

H = TypeVar("H")
P = TypeVar("P")


def prefers_times(values: Iterable[str]) -> bool:
    """Whether one of a request's `Prefer` headers (RFC 7240) names `at`.

    >>> prefers_times(["respond-async, at"]), prefers_times(["At"]), prefers_times(["at=no; x"]), prefers_times([])
    (True, True, False, False)
    """
    return any(preference.partition(";")[0].strip().lower() == "at" for preference in ",".join(values).split(","))


class TimedEncoder(StreamEncoder[H, P]):
    """Writes into each control frame how many microseconds ago this encoder was made, with the response.

    >>> from objectstreaming import JsonCoder
    >>> times = iter([5.0, 5.25])
    >>> TimedEncoder(JsonCoder(), clock=lambda: next(times)).ping()[8:-2]
    b'{"$stream":{"type":"ping","at":250000}}'
    """

    def __init__(
        self, coder: Coder[H, P], *, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(coder, VERSION, limits=limits)
        self._clock = clock
        self._began = clock()
        self._opened: dict[str, Any] = {}

    def open(self, **members: Any) -> bytes:
        self._opened = members
        return super().open(**{"at": self._now(), **members})

    def opening(self) -> bytes:
        """The open frame once more. It is written before the source runs, and sent when the first message is there."""
        encoder: StreamEncoder[H, P] = StreamEncoder(self._coder)
        return encoder.open(**{"at": self._now(), **self._opened})

    def ping(self, *, at: int | None = None) -> bytes:
        return super().ping(at=self._now() if at is None else at)

    def end(self, *, at: int | None = None, **members: Any) -> bytes:
        return super().end(at=self._now() if at is None else at, **members)

    def _now(self) -> int:
        return round((self._clock() - self._began) * 1e6)
