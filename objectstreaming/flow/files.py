"""Files as streams: read_lines, read_chunks, write_lines, write_chunks.

Calls that may block are made on a thread, one at a time, each for a batch of items. A cancel waits for the current
call, so that no thread uses a file that has been closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from os import PathLike
from typing import IO, Any, Final, TypeVar

from .closing import aclose

__all__ = ["read_chunks", "read_lines", "write_chunks", "write_lines"]

T = TypeVar("T")
Path = str | PathLike[str]

_BATCH: Final = 64 * 1024
"""Bytes or characters that are passed to or from a thread at once."""


async def _on_thread(function: Callable[..., T], *arguments: Any) -> T:
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # retrieved, so that asyncio does not log it: the cancel is raised instead
        raise


@asynccontextmanager
async def _opened(path: Path, mode: str, **options: Any) -> AsyncIterator[IO[Any]]:
    files: list[IO[Any]] = []
    try:
        await _on_thread(lambda: files.append(open(path, mode, **options)))  # noqa: SIM115  closed below
        yield files[0]
    finally:
        for file in files:
            await _on_thread(file.close)


async def read_lines(path: Path, encoding: str = "utf-8") -> AsyncGenerator[str, None]:
    r"""The lines of a text file, without their line ends (`\n`, `\r\n` or `\r`).

    >>> import asyncio, pathlib, tempfile
    >>> from objectstreaming.flow import collect, read_lines
    >>> talk = pathlib.Path(tempfile.mkdtemp(), "talk.txt")
    >>> _ = talk.write_text("Hello\nWorld")
    >>> asyncio.run(collect(read_lines(talk)))
    ['Hello', 'World']

    Args:
        path: of a file; it is opened when the first line is asked for.
        encoding: of its text.

    Raises:
        OSError: The file cannot be read.
        UnicodeDecodeError: The text is not in that encoding.
    """
    async with _opened(path, "r", encoding=encoding) as file:
        while lines := await _on_thread(file.readlines, _BATCH):
            for line in lines:
                yield line.removesuffix("\n")


async def write_lines(source: AsyncIterable[Any], path: Path, encoding: str = "utf-8") -> None:
    r"""Write `str(item)` and `\n` for every item. The file is replaced; it exists also if there are no items.

    >>> import asyncio, pathlib, tempfile
    >>> from objectstreaming.flow import from_iterable, write_lines
    >>> copy = pathlib.Path(tempfile.mkdtemp(), "copy.txt")
    >>> asyncio.run(write_lines(from_iterable(["a", "b"]), copy))
    >>> copy.read_text()
    'a\nb\n'

    The file is opened before the first item is asked for. Writing is buffered (64 KiB).

    Args:
        source: an error of it is raised, with the items before it in the file.
        path: of the file.
        encoding: of its text.

    Raises:
        OSError: The file cannot be written.
    """
    await _write(source, path, lambda item: f"{item}\n", mode="w", encoding=encoding, newline="\n")


def read_chunks(path: Path, size: int = _BATCH) -> AsyncGenerator[bytes, None]:
    """The bytes of a file, `size` at a time. The last chunk may be smaller.

    >>> import asyncio, pathlib, tempfile
    >>> from objectstreaming.flow import collect, read_chunks
    >>> sound = pathlib.Path(tempfile.mkdtemp(), "sound.pcm")
    >>> _ = sound.write_bytes(b"abcde")
    >>> asyncio.run(collect(read_chunks(sound, 2)))
    [b'ab', b'cd', b'e']

    Args:
        path: of a file; it is opened when the first chunk is asked for.
        size: of a chunk, in bytes.

    Raises:
        ValueError: `size` is less than 1.
        OSError: The file cannot be read.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, not {size}")
    return _read_chunks(path, size)


async def _read_chunks(path: Path, size: int) -> AsyncGenerator[bytes, None]:
    async with _opened(path, "rb") as file:
        while chunk := await _on_thread(file.read, size):
            yield chunk


async def write_chunks(source: AsyncIterable[bytes | bytearray | memoryview], path: Path) -> None:
    """Write the bytes of every item. The file is replaced; it exists also if there are no items.

    >>> import asyncio, pathlib, tempfile
    >>> from objectstreaming.flow import from_iterable, write_chunks
    >>> copy = pathlib.Path(tempfile.mkdtemp(), "copy.bin")
    >>> asyncio.run(write_chunks(from_iterable([b"ab", b"c"]), copy))
    >>> copy.read_bytes()
    b'abc'

    Opens and buffers as `write_lines` does.

    Args:
        source: an error of it is raised, with the items before it in the file.
        path: of the file.

    Raises:
        OSError: The file cannot be written.
    """
    await _write(source, path, bytes, mode="wb")


async def _write(
    source: AsyncIterable[Any], path: Path, encode: Callable[[Any], Any], *, mode: str, **options: Any
) -> None:
    iterator = aiter(source)
    try:
        async with _opened(path, mode, **options) as file:
            waiting: list[Any] = []
            size = 0
            try:
                async for item in iterator:
                    data = encode(item)
                    waiting.append(data)
                    size += len(data)
                    if size >= _BATCH:
                        batch, waiting, size = waiting, [], 0
                        await _on_thread(file.writelines, batch)
            finally:
                await _on_thread(file.writelines, waiting)
    finally:
        await aclose(iterator)
