"""The record of a response that `open_stream` or `aopen_stream` reads."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Final

from .errors import ObjectStreamError
from .observe import Observer, Outcome, ReadWatch, StreamRecord, observing

__all__ = ["ObservedCall", "observed"]


class ObservedCall(ReadWatch):
    """One call of `open_stream`, which is told to its observers: a context manager around everything that it does."""

    __slots__ = ("_became", "_library")

    def __init__(self, record: StreamRecord, observers: list[Observer], library: Any) -> None:
        super().__init__(record, observers)
        self._library = library
        self._became: tuple[Outcome, str | None, int] | None = None

    def __enter__(self) -> ObservedCall:
        self.started()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ended(*(self._became or self._refused(error)))

    def responded(self, response: Any, media_type: str) -> None:
        """The response has begun."""
        self.record.status = response.status_code
        self.record.media_type = media_type

    def became(self, outcome: Outcome, code: str | None, frames: int, pings: int) -> None:
        """The stream was read, as far as it will be."""
        self._became = outcome, code, frames
        self.record.pings = pings

    def _refused(self, error: BaseException | None) -> tuple[Outcome, str | None, int]:
        """No stream has come."""
        if isinstance(error, ObjectStreamError):
            return "failed", error.code, 0
        if isinstance(error, self._library.TimeoutException):
            return "failed", "deadline_exceeded", 0
        if isinstance(error, self._library.TransportError):
            return "failed", "unavailable", 0
        if isinstance(error, Exception):
            return "failed", "unknown", 0
        return "left", "canceled", 0  # a task was cancelled, or the program is being ended


_NOTHING: Final = nullcontext()


def observed(
    observer: Observer | None, library: Any, client: Any, method: str, url: Any, coder: str
) -> AbstractContextManager[ObservedCall | None]:
    """Put around a call. Gives `None` if nobody wants to know of it."""
    observers = observing(observer)
    if observers is None:
        return _NOTHING
    asked = client.build_request(method, url).url  # with the client's base URL
    shown = asked.copy_with(query=None, fragment=None, username=None, password=None)
    return ObservedCall(StreamRecord(method.upper(), str(shown), coder, kind="client"), observers, library)
