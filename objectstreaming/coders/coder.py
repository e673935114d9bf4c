"""What a coder is: the agreement of both sides on what headers and payloads mean (SPEC section 4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeAlias, TypeVar

from ..frames import Frame

__all__ = ["Coder", "OrderCheck"]

H = TypeVar("H")
P = TypeVar("P")

OrderCheck: TypeAlias = Callable[[H, int], None]
"""Called with each header of one stream and its frame's index; raises `ProtocolError` where the headers do not follow
one another."""


class Coder(ABC, Generic[H, P]):
    """Turns messages, a header `H` and a payload `P`, into frames and back. Coders hold no state of a stream.

    A new coder gives `name`, `encode` and `decode`; the law is that decode undoes encode:

    >>> from objectstreaming import Frame, encode_frame
    >>> class UpperCoder(Coder[dict, str]):
    ...     name = "upper"
    ...     def encode(self, header, payload):
    ...         return encode_frame(header, payload.upper().encode())
    ...     def decode(self, frame):
    ...         return frame.header, frame.payload.decode()
    >>> from objectstreaming import decode_frame
    >>> UpperCoder().decode(decode_frame(UpperCoder().encode({"n": 1}, "hello")))
    ({'n': 1}, 'HELLO')
    """

    name: ClassVar[str]
    """What an `open` frame and the media type's `coder=` parameter call it."""

    neutral: ClassVar[bytes] = b""
    """The payload of control frames: one that a peer which knows none of them can decode too."""

    @abstractmethod
    def encode(self, header: H, payload: P) -> bytes:
        """One whole frame. Raises `EncodeError`, and then nothing has changed."""

    @abstractmethod
    def decode(self, frame: Frame) -> tuple[H, P]:
        """The message in a data frame. Raises `InvalidHeader` or `PayloadError`, with the frame's index and offset."""

    def plain_decoders(self) -> tuple[Callable[[bytes], H], Callable[[bytes], P]] | None:
        """For the native codec: decoders of a header's and a payload's bytes that together do what `decode` does.

        They are called for ASCII of less than `strict_json.TOO_SHORT_TO_BE_DEEP` bytes only, and where one of them
        raises a `msgspec.MsgspecError`, `decode` is asked for the reason. `None`: there are none.
        """
        return None

    def order_check(self) -> OrderCheck[H] | None:
        """A fresh check of how the headers of one stream follow one another; `None` where any order will do."""
        return None
