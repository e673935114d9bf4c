"""The same stream in pieces of another size: buffer reads ahead, rechunk cuts and joins bytes or text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, TypeVar, overload

from .closing import aclose
from .pump import Branch, Pump

__all__ = ["buffer", "rechunk"]

T = TypeVar("T")
U = TypeVar("U")
Chunk = TypeVar("Chunk", bytes, str)


@overload
def buffer(source: AsyncIterable[T], maxsize: int | None) -> Branch[T]: ...
@overload
def buffer(source: AsyncIterable[T], maxsize: int | None, join: Callable[[list[T]], U]) -> Branch[U]: ...
def buffer(
    source: AsyncIterable[Any], maxsize: int | None, join: Callable[[list[Any]], Any] | None = None
) -> Branch[Any]:
    """Read items ahead, in a task, while the reader is busy.

    >>> import asyncio
    >>> from objectstreaming.flow import buffer, from_iterable
    >>> async def main():
    ...     stream = buffer(from_iterable("abcdef"), maxsize=3, join="".join)
    ...     return [len(text) <= 3 async for text in stream]
    >>> all(asyncio.run(main()))
    True

    Reading begins when the first item is asked for.

    Args:
        source: is read by the task, and closed when the result is.
        maxsize: how many items are read ahead; `None`: no bound.
        join: makes one item of the list of all that wait: `"".join` for text, `b"".join` for bytes. Without it each is
            given alone.

    Raises:
        ValueError: `maxsize` is less than 1.
    """
    pump = Pump(source, 1, maxsize=maxsize, ahead=1 << 62)
    return Branch(pump, pump.outlets[0]) if join is None else _Joined(pump, join)


class _Joined(Branch[Any]):
    __slots__ = ("_join",)

    def __init__(self, pump: Pump[Any], join: Callable[[list[Any]], Any]) -> None:
        super().__init__(pump, pump.outlets[0])
        self._join = join

    async def __anext__(self) -> Any:
        return self._join([await super().__anext__(), *self.take_ready()])


def rechunk(
    source: AsyncIterable[Chunk], max_size: int | None = None, min_size: int | None = None
) -> AsyncGenerator[Chunk, None]:
    """Pieces of bytes or text of at most `max_size` and at least `min_size`; only the last may be smaller.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, rechunk
    >>> asyncio.run(collect(rechunk(from_iterable([b"abcde", b"f"]), max_size=2)))
    [b'ab', b'cd', b'e', b'f']
    >>> asyncio.run(collect(rechunk(from_iterable([b"abcde", b"f"]), max_size=2, min_size=2)))
    [b'ab', b'cd', b'ef']
    >>> asyncio.run(collect(rechunk(from_iterable(["a", "b", "c"]), min_size=2)))
    ['ab', 'c']

    With `max_size` alone items are cut and never joined. With `min_size` alone they are joined and never cut. With both
    equal all pieces have that size. Empty items are dropped.

    Args:
        max_size: of a piece, in bytes or characters; `None`: nothing is cut.
        min_size: of a piece, in bytes or characters; `None`: nothing is joined.

    Raises:
        ValueError: Neither size is given, one is less than 1, or `max_size` is less than `min_size`.
    """
    if max_size is None and min_size is None:
        raise ValueError("rechunk needs max_size, min_size or both")
    if (max_size is not None and max_size < 1) or (min_size is not None and min_size < 1):
        raise ValueError("max_size and min_size must be at least 1")
    if max_size is not None and min_size is not None and max_size < min_size:
        raise ValueError(f"max_size {max_size} is less than min_size {min_size}")
    return _rechunk(source, max_size, min_size or 1)


async def _rechunk(source: AsyncIterable[Chunk], max_size: int | None, min_size: int) -> AsyncGenerator[Chunk, None]:
    iterator = aiter(source)
    parts: list[Chunk] = []
    held = 0
    try:
        async for item in iterator:
            if not item:
                continue
            parts.append(item)
            held += len(item)
            if held < min_size:
                continue
            whole = item if len(parts) == 1 else item[:0].join(parts)
            start = 0
            while held - start >= min_size:
                piece = whole if max_size is None else whole[start : start + max_size]
                start += len(piece)
                yield piece
            parts = [whole[start:]] if start < held else []
            held -= start
        if parts:
            # Smaller than min_size, and so smaller than max_size.
            yield parts[0][:0].join(parts)
    finally:
        await aclose(iterator)
