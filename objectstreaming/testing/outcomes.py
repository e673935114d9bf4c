"""The outcome of reading a stream, as a value that can be compared: the messages, and how the stream ended."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, Callable, Iterable
from types import TracebackType
from typing import Any

from ..coders import Coder
from ..errors import ObjectStreamError, PayloadError, StreamError
from ..frames import Limits
from ..protocol import StreamDecoder

__all__ = ["Outcome", "aread_outcome", "read_outcome"]


@dataclasses.dataclass(eq=False)
class Outcome:
    """The `messages` that arrived, the places of frames whose payload could not be read, and how the stream ended.

    Two outcomes are equal if all of this is equal. Errors are compared by class, code, frame and byte, arrays byte by
    byte. `trailers` is `None` if there was no end.
    """

    messages: list[Any] = dataclasses.field(default_factory=list)
    unreadable: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    """Index and offset of each frame that gave a `PayloadError`. Reading continued after it."""
    error: ObjectStreamError | None = None
    trailers: dict[str, Any] | None = None

    @property
    def position(self) -> int:
        """The number of data frames received."""
        return len(self.messages) + len(self.unreadable)

    @property
    def verdict(self) -> tuple[Any, ...] | None:
        """The error without its wording: class, code, index, offset, and the content of a `StreamError`."""
        error = self.error
        if error is None:
            return None
        content = (error.message, error.details) if isinstance(error, StreamError) else ()
        place = (getattr(error, "index", None), getattr(error, "offset", None))
        return (type(error).__name__, error.code, *place, *content)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Outcome):
            return NotImplemented
        return (
            self.unreadable == other.unreadable
            and self.verdict == other.verdict
            and self.trailers == other.trailers
            and _same(self.messages, other.messages)
        )

    __hash__ = None  # type: ignore[assignment]


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if hasattr(one, "dtype"):
        return (one.dtype.str, one.shape, one.tobytes()) == (other.dtype.str, other.shape, other.tobytes())
    return bool(one == other)


def read_outcome(
    chunks: Iterable[bytes],
    coder: Coder[Any, Any],
    *,
    limits: Limits | None = None,
    require_end: bool | None = None,
) -> Outcome:
    """Read a stream to its end, or to an error in it, which is returned and not raised.

    >>> from objectstreaming import JsonCoder
    >>> wire = JsonCoder().encode({}, "hello")
    >>> outcome = read_outcome([wire[:5], wire[5:], b"no frame"], JsonCoder())
    >>> outcome.messages, outcome.verdict
    ([({}, 'hello')], ('FrameTooLarge', 'frame_too_large', 1, 17))

    Args:
        chunks: the bytes, in any pieces.
        coder: decodes the messages.
        limits: as for `StreamDecoder`.
        require_end: as for `StreamDecoder`.
    """
    with _Recorder(coder, limits, require_end) as recorder:
        for chunk in chunks:
            recorder.feed(chunk)
    return recorder.outcome


async def aread_outcome(
    chunks: AsyncIterable[bytes],
    coder: Coder[Any, Any],
    *,
    limits: Limits | None = None,
    require_end: bool | None = None,
) -> Outcome:
    """`read_outcome` for an asynchronous iterable: a response's `aiter_bytes()`.

    Args:
        chunks: the bytes, in any pieces.
        coder: decodes the messages.
        limits: as for `StreamDecoder`.
        require_end: as for `StreamDecoder`.
    """
    with _Recorder(coder, limits, require_end) as recorder:
        async for chunk in chunks:
            recorder.feed(chunk)
    return recorder.outcome


class _Recorder:
    """Records in `outcome` what it is fed within a `with` block, whose end is the end of the stream."""

    def __init__(self, coder: Coder[Any, Any], limits: Limits | None, require_end: bool | None) -> None:
        self.outcome = Outcome()
        self._decoder = StreamDecoder(coder, limits=limits, require_end=require_end)

    def feed(self, chunk: bytes) -> None:
        messages = self._decoder.feed(chunk)
        more: Callable[[], Any] = lambda: next(messages, None)  # noqa: E731
        while True:
            try:
                message = more()
            except PayloadError as error:
                self.outcome.unreadable.append((error.index, error.offset))
                more = self._decoder.next_message  # the iterator has ended with the error
                continue
            if message is None:
                return
            self.outcome.messages.append(message)

    def __enter__(self) -> _Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None:
            try:
                self._decoder.finish()
            except ObjectStreamError as failure:
                self.outcome.error = failure
        elif isinstance(error, ObjectStreamError):
            self.outcome.error = error
        self.outcome.trailers = self._decoder.trailers
        return isinstance(error, ObjectStreamError)
