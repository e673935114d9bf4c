"""What a contender is, and ours: each made for one workload, and asked for the same three things.

`typed` gives the messages in the form in which this contender's user holds them; `writer` a function from a header and
a payload to bytes on the wire; `read` an iterator of messages from chunks. `plain` undoes `typed`, so that the content
can be compared: it is never timed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar

import msgspec

from objectstreaming import (
    Frame,
    FrameDecoder,
    JsonCoder,
    Limits,
    MsgpackCoder,
    RawCoder,
    StreamDecoder,
    encode_frame,
    encode_frame_parts,
)
from wav_streaming.tal import TALAudio, TALCoder

from . import original
from .workloads import Answer, Message, Status, Tal

Chunks = Iterable[bytes]


class Contender(ABC):
    name: ClassVar[str]
    library: ClassVar[str] = ""
    """The distribution whose version is named in the results."""
    kind: ClassVar[str] = "peer"
    """ours, original, peer, or pure peer: one whose framing is Python."""
    workloads: ClassVar[tuple[str, ...]] = ("T", "A", "B", "mix")
    decodes: ClassVar[bool] = True
    """Whether it reads in a way of its own, and so has rows of its own there."""
    writes: ClassVar[bool] = True
    """Whether the library has a writer at all; if not, ours is written by hand and stands for no peer."""

    def __init__(self, workload: str) -> None:
        self.workload = workload

    def typed(self, message: Message) -> Message:
        return message

    @abstractmethod
    def writer(self) -> Callable[[Any, Any], Any]:
        """A function from header and payload to the bytes that go out, or to parts of them."""

    def pieces(self, messages: list[Message]) -> list[bytes]:
        """The wire, a piece a message."""
        write = self.writer()
        return [write(*message) for message in messages]

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        """A function from a chunk to the messages that are now whole."""
        raise NotImplementedError

    def read(self, chunks: Chunks) -> Iterator[Any]:
        return chain.from_iterable(map(self.feeder(), chunks))

    def plain(self, message: Any) -> Message:
        header, payload = message
        return _builtins(header), _builtins(payload)


def _builtins(value: Any) -> Any:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, TALAudio):
        return value.to_dict()
    return msgspec.to_builtins(value)


# ------------------------------------------------------------------------------------------------------------- ours


class Ours(Contender):
    """Typed: `StreamDecoder` over the coder that a user would take."""

    name = "ours"
    kind = "ours"

    def __init__(self, workload: str) -> None:
        super().__init__(workload)
        self.coder: Any = {
            "T": lambda: JsonCoder(Status, Answer),
            "A": TALCoder,
            "B": TALCoder,
            "mix": MsgpackCoder,
        }[workload]()

    def typed(self, message: Message) -> Message:
        header, payload = message
        if self.workload == "T":
            return Status(**header), Answer(**payload)
        if self.workload == "mix":
            return message
        return TALAudio(**header), payload

    def writer(self) -> Callable[[Any, Any], Any]:
        encode: Callable[[Any, Any], Any] = self.coder.encode
        return encode

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        return StreamDecoder(self.coder).feed


class OursFrames(Ours):
    """`FrameDecoder`: the header is not parsed, as in a relay; written from a header that is JSON already."""

    name = "ours, frames"

    def typed(self, message: Message) -> Message:
        header, payload = super().typed(message)
        head: Any = header
        if self.workload != "mix":
            head = msgspec.json.encode(header)
        return head, msgspec.json.encode(payload) if self.workload == "T" else self._packed(payload)

    def _packed(self, payload: Any) -> Any:
        return msgspec.msgpack.encode(payload) if self.workload == "mix" else payload

    def writer(self) -> Callable[[Any, Any], Any]:
        return encode_frame

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        return FrameDecoder().feed

    def plain(self, message: Frame) -> Message:
        payload: Any = message.payload
        if self.workload == "T":
            payload = msgspec.json.decode(payload)
        elif self.workload == "mix":
            payload = msgspec.msgpack.decode(payload)
        return message.header, payload


class OursParts(OursFrames):
    """`encode_frame_parts`: a typed header and a view of the payload, for `writelines`; nothing is copied."""

    name = "ours, parts"
    decodes = False
    workloads = ("A", "B")

    def typed(self, message: Message) -> Message:
        return Ours.typed(self, message)

    def writer(self) -> Callable[[Any, Any], Any]:
        return encode_frame_parts

    def pieces(self, messages: list[Message]) -> list[bytes]:
        return [b"".join(encode_frame_parts(*message)) for message in messages]


class OursStream(Ours):
    """What `FrameResponse` writes: `StreamEncoder.data`, with the receiver's limits kept to."""

    name = "ours, stream"
    decodes = False

    def writer(self) -> Callable[[Any, Any], Any]:
        from objectstreaming import StreamEncoder

        return StreamEncoder(self.coder, limits=Limits()).data


class OursDicts(Ours):
    """Untyped: headers and payloads are dicts, as they come to those who declare nothing."""

    name = "ours, dicts"
    workloads = ("T", "A")

    def __init__(self, workload: str) -> None:
        super().__init__(workload)
        self.coder = JsonCoder() if workload == "T" else RawCoder()

    def typed(self, message: Message) -> Message:
        return message


# --------------------------------------------------------------------------------------------------------- original


class Original(Contender):
    name = "original"
    kind = "original"

    def __init__(self, workload: str) -> None:
        super().__init__(workload)
        self.codec: Any = {
            "T": original.JsonCodec,
            "A": original.AudioCodec,
            "B": original.AudioCodec,
            "mix": original.MixedCodec,
        }[workload]

    def writer(self) -> Callable[[Any, Any], Any]:
        encode: Callable[[Any, Any], Any] = self.codec.encode
        return encode

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        return original.feeder(self.codec.decode)


OURS: tuple[type[Contender], ...] = (Ours, OursFrames, OursStream, OursParts, OursDicts, Original)

__all__ = ["OURS", "Chunks", "Contender", "Tal"]
