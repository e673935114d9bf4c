"""How the frames of an answer are numbered: the members `sign` and `order` of a TAL header (SPEC section 4.2).

    sign 1      starts an answer, and may come at any time: order is 1
    sign 2, 3   go on with the answer, sign 3 as its last frame: order is that of the frame before, plus 1
                first in a stream they resume one: order is any

The rule stands here once, in `AnswerOrder`. Readers check received frames by it, writers the frames that they send, and
`TALNumbering` numbers frames by it, for programs that have no numbers of their own.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from objectstreaming.errors import ProtocolError
from objectstreaming.frames import CODEC

if TYPE_CHECKING:
    from .tal import TALAudio

__all__ = ["AnswerOrder", "TALNumbering", "numbered"]

P = TypeVar("P")

START: Final = 1
MIDDLE: Final = 2
END: Final = 3


class Order:
    """Where in its answers a stream is: the order of the last frame; 0 after an answer's end, -1 before any frame."""

    __slots__ = ("previous",)

    def __init__(self) -> None:
        self.previous = -1


if not TYPE_CHECKING and CODEC == "native":
    with contextlib.suppress(ImportError):  # where it was not built
        from objectstreaming._native import TalOrder as Order


class AnswerOrder(Order):
    """The check of one stream: called with each header and its frame's index, in their order.

    Raises `ProtocolError("order_gap", ...)` for a frame that does not follow the one before it.

    >>> from wav_streaming import TALAudio
    >>> check = AnswerOrder()
    >>> check(TALAudio(sign=2, order=7), 0)
    >>> check(TALAudio(sign=2, order=9), 1)
    Traceback (most recent call last):
    objectstreaming.errors.ProtocolError: order 9 after order 7: was a frame lost? (order_gap, frame 1)
    """

    __slots__ = ()

    def __init__(self, previous: int = -1) -> None:
        super().__init__()
        self.previous = previous

    def __reduce__(self) -> tuple[Any, ...]:
        return AnswerOrder, (self.previous,)

    def __call__(self, tal: TALAudio, index: int) -> None:
        gap = self.advance(tal.sign, tal.order)
        if gap:
            raise ProtocolError("order_gap", gap, index)

    def advance(self, sign: int, order: int) -> str:
        """Go on to the next frame. Where it may not follow, say why, and stay."""
        previous = self.previous
        if sign != START and previous > 0:
            if order != previous + 1:
                return f"order {order} after order {previous}: was a frame lost?"
        elif sign == START:
            if order != 1:
                return f"sign 1 starts an answer with order 1, not {order}: sign 2 goes on with it"
        elif previous == 0:
            return f"sign {sign} after sign 3: an answer starts with sign 1"
        self.previous = 0 if sign == END else order
        return ""


class TALNumbering:
    """Numbers the frames of a stream: called with each header, it returns a copy with `sign` and `order` set.

    The first frame gets sign 1 and order 1, each other one sign 2 and the next order. A header whose `sign` is 3 keeps
    it, unless its frame is the first, and ends the answer: the frame after it starts another one. An answer need not be
    ended so (SPEC section 4.2), so a source need not know which frame is its last.

    >>> from wav_streaming import TALAudio
    >>> number = TALNumbering()
    >>> [number(TALAudio(answer=text)) for text in ("One.", "Two.")]
    [TALAudio(answer='One.'), TALAudio(answer='Two.', sign=2, order=2)]
    >>> number(TALAudio(sign=3)), number(TALAudio())
    (TALAudio(sign=3, order=3), TALAudio())
    """

    def __init__(self) -> None:
        self._order = 0  # of the last frame; 0 where an answer is to start

    def __call__(self, tal: TALAudio) -> TALAudio:
        copied = copy.copy(tal)
        sign: Literal[1, 2, 3] = START if self._order == 0 else END if tal.sign == END else MIDDLE
        self._order += 1
        copied.sign, copied.order = sign, self._order
        if tal.sign == END:
            self._order = 0
        return copied


@overload
def numbered(source: AsyncIterable[tuple[TALAudio, P]]) -> AsyncGenerator[tuple[TALAudio, P], None]: ...
@overload
def numbered(source: Iterable[tuple[TALAudio, P]]) -> Generator[tuple[TALAudio, P], None, None]: ...
def numbered(source: Any) -> Any:
    """The messages of `source`, a sync or async iterable of `(TALAudio, payload)`, numbered by a `TALNumbering`.

    `FrameResponse(numbered(speech()), coder=TALCoder())` is a stream that every reader accepts, whatever `speech` puts
    into `sign` and `order`. The source is closed when the iteration ends, early too, if it can be closed.

    >>> from wav_streaming import TALAudio
    >>> [tal.order for tal, pcm in numbered([(TALAudio(), b""), (TALAudio(), b"")])]
    [1, 2]
    """
    return _anumbered(source) if isinstance(source, AsyncIterable) else _numbered(source)


def _numbered(source: Iterable[tuple[TALAudio, P]]) -> Generator[tuple[TALAudio, P], None, None]:
    number = TALNumbering()
    try:
        for tal, payload in source:
            yield number(tal), payload
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


async def _anumbered(source: AsyncIterable[tuple[TALAudio, P]]) -> AsyncGenerator[tuple[TALAudio, P], None]:
    number = TALNumbering()
    try:
        async for tal, payload in source:
            yield number(tal), payload
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()
