"""gzip and deflate, undone in pieces of bounded size. Sans-IO.

httpx's own decoder makes 64 MiB of one chunk that asks for it, and any amount of one that was compressed twice. Here no
piece is larger than 64 KiB, whatever the input says.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

__all__ = ["ENCODINGS", "Inflater"]

ENCODINGS: Final = ("gzip", "x-gzip", "deflate")
"""The content codings that `Inflater` undoes (RFC 9110, section 8.4.1)."""

PIECE_SIZE: Final = 64 * 1024
"""The largest piece, in bytes."""

# Either format: zlib tells them apart by their first bytes.
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32


class Inflater:
    """Decompresses one body, chunk by chunk. Raises `zlib.error` for bytes that are not compressed.

    >>> import gzip
    >>> inflater = Inflater()
    >>> b"".join(inflater.feed(gzip.compress(b"hello"))), inflater.is_cut
    (b'hello', False)
    """

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._begun = False
        self._left = b""
        self._full = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The decompressed bytes, lazily. What is not taken from this iterator comes first in the next `feed`."""
        self._left += chunk
        while self._left or self._full:
            if self._zlib.eof:
                if not self._left:
                    break
                self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)  # RFC 1952: members may follow one another
            self._begun = True
            piece = self._zlib.decompress(self._left, PIECE_SIZE)
            self._left = self._zlib.unconsumed_tail or self._zlib.unused_data
            self._full = len(piece) == PIECE_SIZE  # there may be more, although all input is taken
            if piece:
                yield piece

    @property
    def is_cut(self) -> bool:
        """Whether the compressed data has begun and not ended."""
        return self._begun and not self._zlib.eof
