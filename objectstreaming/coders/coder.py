"""A coder is the agreement of both sides on what headers and payloads mean (SPEC section 4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from .. import strict_json
from ..frames import CODEC, LAYOUT, BytesLike, Frame, Layout, encode_frame

__all__ = ["Coder", "OrderCheck", "PlainDecoder", "check_coder", "encode_data_frame"]

H = TypeVar("H")
P = TypeVar("P")

OrderCheck: TypeAlias = Callable[[H, int], None]
"""Called with each header of one stream and the index of its frame, in their order. Raises `ProtocolError` for a header
that may not follow the one before it, and then has not changed."""

PlainDecoder: TypeAlias = Callable[[bytes, bytes], tuple[H, P] | None]
"""See `Coder.plain_decoder`."""


def encode_data_frame(header: object, payload: BytesLike = b"", *, layout: Layout = LAYOUT) -> bytes:
    """`encode_frame` for a data frame: a header with the member `$stream` is refused.

    That member belongs to control frames (SPEC section 3.1): with it at its beginning, a header of a user's data could
    end the stream.

    >>> encode_data_frame({"$stream": {"type": "end", "frames": 0}})
    Traceback (most recent call last):
    objectstreaming.errors.EncodeError: the header member "$stream" belongs to control frames

    Args:
        header: as for `encode_frame`.
        payload: as for `encode_frame`.
        layout: as for `encode_frame`.

    Raises:
        EncodeError: As for `encode_frame`, and for the member `$stream`.
    """
    wire = encode_frame(header, payload, layout=layout)
    begin = 2 * layout.byte_length
    end = begin + int.from_bytes(wire[layout.byte_length : begin], layout.byte_order)
    if strict_json.may_have_stream_member(wire, begin, end):
        strict_json.check_data_header(wire[begin:end])
    return wire


if not TYPE_CHECKING and CODEC == "native":
    from .._native import encode_data_frame


class Coder(ABC, Generic[H, P]):
    """Turns messages, a header `H` and a payload `P`, into frames and back. A coder holds no state of a stream.

    A new coder defines `name`, `encode` and `decode`. The law is that decode undoes encode:

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
    """Its name in an `open` frame and in the media type's parameter `coder`."""

    neutral: ClassVar[bytes] = b""
    """The payload of control frames. A peer that does not know control frames can decode it (SPEC section 3.1)."""

    @property
    def header_type(self) -> Any:
        """The type of headers, for a description of them: `dict`, unless a coder says another."""
        return dict

    @property
    def payload_type(self) -> Any:
        """The type of payloads, for a description of them: anything, unless a coder says another."""
        return Any

    @abstractmethod
    def encode(self, header: H, payload: P) -> bytes:
        """One whole frame.

        Args:
            header: without the member `$stream`, which is refused: see `encode_data_frame`.
            payload: whatever this coder sends.

        Raises:
            EncodeError: It cannot be sent. Nothing has changed.
        """

    @abstractmethod
    def decode(self, frame: Frame) -> tuple[H, P]:
        """The message in a data frame.

        Raises:
            InvalidHeader: The header is not what this coder reads. Has the frame's index and offset, as has the other.
            PayloadError: The payload is not what this coder reads.
        """

    def order_check(self) -> OrderCheck[H] | None:
        """A new check of how the headers of one stream follow one another; `None` if any order is allowed.

        `StreamDecoder` checks what it receives, and `StreamEncoder` what it sends.
        """
        return None

    def plain_decoder(self, check: OrderCheck[H] | None) -> PlainDecoder[H, P] | None:
        """A faster form of `decode` and `check`, for one stream; `None` if there is none.

        It is called with the bytes of a data frame's header and payload, and returns the message. Where it returns
        `None`, nothing has changed, and `decode` and `check` are called, which report what is wrong.
        """
        return None


def check_coder(coder: object) -> None:
    """Raise `TypeError` for what is no coder: its class, for one.

    >>> check_coder(Coder)
    Traceback (most recent call last):
    TypeError: the class Coder is no coder: make one of it, Coder()
    """
    if isinstance(coder, type):
        raise TypeError(f"the class {coder.__name__} is no coder: make one of it, {coder.__name__}()")
    if not isinstance(coder, Coder):
        raise TypeError(f"a coder is expected, as JsonCoder(), and not {type(coder).__name__}")
