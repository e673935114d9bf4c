"""What a coder is: the agreement of both sides on what headers and payloads mean (SPEC section 4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeAlias, TypeVar

from ..frames import Frame

__all__ = ["Coder", "OrderCheck", "PlainDecoder"]

H = TypeVar("H")
P = TypeVar("P")

OrderCheck: TypeAlias = Callable[[H, int], None]
"""Called with each header of one stream and its frame's index; raises `ProtocolError` where the headers do not follow
one another."""

PlainDecoder: TypeAlias = Callable[[bytes, bytes], tuple[H, P] | None]
"""See `Coder.plain_decoder`."""


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

    def order_check(self) -> OrderCheck[H] | None:
        """A fresh check of how the headers of one stream follow one another; `None` where any order will do."""
        return None

    def plain_decoder(self, check: OrderCheck[H] | None) -> PlainDecoder[H, P] | None:
        """A short cut through `decode` and `check`, for one stream; `None`: there is none.

        It is called with the bytes of a data frame's header and payload, and gives the message; or `None`, having
        changed nothing, where there is more to say of the frame: then `decode` and `check` are asked. It saves making a
        `Frame` of each, which is all that it is for.
        """
        return None
