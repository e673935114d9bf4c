"""What the commands show: a line for each frame, and texts of servers without control sequences.

A terminal obeys control sequences. A server could send some, so all of them are removed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, Generic, TextIO, TypeVar

from ..coders import Coder, OrderCheck
from ..errors import FrameError
from ..frames import Frame

__all__ = ["FrameLines", "Watched", "brief", "coloured", "counter", "harmless", "printable"]

H = TypeVar("H")
P = TypeVar("P")

_LINE: Final = 100


_COLOURS: Final = {"red": 31, "green": 32, "yellow": 33}


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """`text` in a colour if `stream` is a terminal that has colours, and NO_COLOR is not set (no-color.org).

    >>> import io
    >>> coloured("ok", "green", io.StringIO())
    'ok'
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def counter(what: str, stream: TextIO) -> Callable[[int, int], None]:
    """A function to be called with how many of how many are done. It keeps a line on a terminal, and nothing elsewhere.

    >>> import io
    >>> shown = io.StringIO()
    >>> counter("cases", shown)(1, 2)
    >>> shown.getvalue()
    ''
    """
    is_terminal = stream.isatty()

    def show(number: int, of: int) -> None:
        if is_terminal:
            stream.write("\r\x1b[K" if number >= of else f"\r{number} of {of} {what}")
            stream.flush()

    return show


def printable(text: str) -> str:
    r"""`text` on one line, without anything that a terminal would obey.

    >>> printable("a\tb\nc \x1b[31mred\u202e")
    'a b c �[31mred�'
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))


def harmless(text: str) -> str:
    r"""`text` with its spaces and lines, without anything else that a terminal would obey.

    >>> harmless("a\tb\nc \x1b[31mred")
    'a\tb\nc �[31mred'
    """
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def brief(header: Mapping[str, Any], longest: int = _LINE) -> str:
    """The members of a header, shortened where they are long. Of a TAL header only those that are not the default.

    >>> brief({"status": "success", "reason": "none"})
    'status=success reason=none'
    """
    shown = {name: value for name, value in header.items() if name not in _TAL or value != _TAL[name]}
    if "order" in header and "sign" in header:
        shown = {"order": header["order"], "sign": header["sign"]} | shown
    text = " ".join(f"{name}={_short(value)}" for name, value in shown.items())
    return printable(text if len(text) <= longest else text[: longest - 3] + "...")


def _short(value: object) -> str:
    text = str(value)
    if len(text) > 40:
        text = text[:37] + "..."
    return f'"{text}"' if " " in text else text


_TAL: Final[Mapping[str, Any]] = {
    "audioType": "int16",
    "bitDepth": 16,
    "channels": 1,
    "audioFormat": "wav",
    "question": "",
    "answer": "",
    "url": "",
}


class FrameLines:
    """Writes a line for each frame: index, seconds since the start, bytes, header in brief. Counts frames and time."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.perf_counter) -> None:
        self._write = write
        self._clock = clock
        self._began = clock()
        self.first: float | None = None
        self.last = 0.0
        self.frames = 0
        self.bytes = 0
        self._file: BinaryIO | None = None

    @contextmanager
    def saving(self, path: Path | None) -> Iterator[None]:
        """Also write every frame to a file, as a stream that can be read again."""
        if path is None:
            yield
            return
        with path.open("wb") as self._file:
            yield
        self._file = None

    def see(self, frame: Frame) -> None:
        if self._file is not None:
            self._file.write(bytes(frame))
        self.last = self._clock() - self._began
        if self.first is None:
            self.first = self.last
        self.frames += 1
        size = 8 + len(frame.header_bytes) + len(frame.payload)
        self.bytes += size
        try:
            header = brief(frame.header)
        except FrameError:
            header = printable(frame.header_bytes[:_LINE].decode(errors="replace"))
        self._write(f"{frame.index:>5}  {self.last:8.3f} s  {size:>11,} B  {header}")

    @property
    def summary(self) -> str:
        """First and total time, frames and bytes."""
        first = "none" if self.first is None else f"after {self.first:.3f} s"
        return f"first frame {first}, {self.frames} frames and {self.bytes:,} bytes in {self.last:.3f} s"


class Watched(Coder[H, P], Generic[H, P]):
    """A coder that shows each data frame to `see` before it decodes it."""

    name: ClassVar[str] = ""

    def __init__(self, coder: Coder[H, P], see: Callable[[Frame], None]) -> None:
        self.name = coder.name  # type: ignore[misc]
        self.neutral = coder.neutral  # type: ignore[misc]
        self._coder = coder
        self._see = see

    def encode(self, header: H, payload: P) -> bytes:
        return self._coder.encode(header, payload)

    def decode(self, frame: Frame) -> tuple[H, P]:
        self._see(frame)
        return self._coder.decode(frame)

    def order_check(self) -> OrderCheck[H] | None:
        return self._coder.order_check()
