"""What came of reading a stream, as a value that can be compared: the messages, and how it ended."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any

from ..coders import Coder
from ..errors import ObjectStreamError, PayloadError, StreamError
from ..frames import Limits
from ..protocol import StreamDecoder

__all__ = ["Outcome", "aread_outcome", "read_outcome"]


@dataclasses.dataclass(eq=False)
class Outcome:
    """The `messages` that came, the places of frames whose payload could not be read, and how the stream ended.

    Two outcomes are equal if all of that is, the error by its class, code, frame and byte; arrays are compared byte by
    byte. `trailers` is `None` where no end came.
    """

    messages: list[Any] = dataclasses.field(default_factory=list)
    unreadable: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    """Index and offset of each frame that gave a `PayloadError`, after which reading went on."""
    error: ObjectStreamError | None = None
    trailers: dict[str, Any] | None = None

    @property
    def position(self) -> int:
        """The number of data frames received."""
        return len(self.messages) + len(self.unreadable)

    @property
    def verdict(self) -> tuple[Any, ...] | None:
        """What the error says, but for its wording: class, code, index, offset, and of a `StreamError` its content."""
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
    """Read a stream to its end, or to what is wrong with it. Raises nothing that the package documents.

    >>> from objectstreaming import JsonCoder
    >>> wire = JsonCoder().encode({}, "hello")
    >>> outcome = read_outcome([wire[:5], wire[5:], b"no frame"], JsonCoder())
    >>> outcome.messages, outcome.verdict
    ([({}, 'hello')], ('FrameTooLarge', 'frame_too_large', 1, 17))
    """
    outcome = Outcome()
    decoder = StreamDecoder(coder, limits=limits, require_end=require_end)
    try:
        for chunk in chunks:
            _gather(outcome, decoder.feed(chunk), decoder)
        decoder.finish()
    except ObjectStreamError as error:
        outcome.error = error
    outcome.trailers = decoder.trailers
    return outcome


async def aread_outcome(
    chunks: AsyncIterable[bytes],
    coder: Coder[Any, Any],
    *,
    limits: Limits | None = None,
    require_end: bool | None = None,
) -> Outcome:
    """`read_outcome` for an asynchronous iterable: a response's `aiter_bytes()`."""
    outcome = Outcome()
    decoder = StreamDecoder(coder, limits=limits, require_end=require_end)
    try:
        async for chunk in chunks:
            _gather(outcome, decoder.feed(chunk), decoder)
        decoder.finish()
    except ObjectStreamError as error:
        outcome.error = error
    outcome.trailers = decoder.trailers
    return outcome


def _gather(outcome: Outcome, messages: Iterator[Any], decoder: StreamDecoder[Any, Any]) -> None:
    """All messages there are. After an unreadable one the iterator is over, and `next_message` goes on."""
    more: Callable[[], Any] = lambda: next(messages, None)  # noqa: E731
    while True:
        try:
            message = more()
        except PayloadError as error:
            outcome.unreadable.append((error.index, error.offset))
            more = decoder.next_message
            continue
        if message is None:
            return
        outcome.messages.append(message)
