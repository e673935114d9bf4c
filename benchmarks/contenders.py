"""What a contender is, and ours.

A contender is made for one workload. `typed` turns a message into the form in which this contender's user holds it;
`writer` gives a function from header and payload to bytes on the wire; `read` turns chunks into messages. `plain`
undoes `typed`, so that the content can be compared; it is never measured.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar

import msgspec

from objectstreaming import (
    AnbJsonStreamCoder,
    Frame,
    FrameDecoder,
    JsonCoder,
    Limits,
    MsgpackCoder,
    RawCoder,
    StreamDecoder,
    StreamEncoder,
    encode_frame,
    encode_frame_parts,
)
from wav_streaming.tal import TALAudio, TALCoder, tal_decoder, tal_encoder

from . import original
from .workloads import CHUNKINGS, Answer, Message, MiB, Status

Chunks = Iterable[bytes]


class Contender(ABC):
    name: ClassVar[str]
    library: ClassVar[str] = ""
    """The distribution whose version the results give."""
    kind: ClassVar[str] = "peer"
    """ours, original, peer, or pure peer (a peer whose framing is Python)."""
    workloads: ClassVar[tuple[str, ...]] = ("T", "A", "B", "mix")
    chunkings: ClassVar[tuple[str, ...]] = CHUNKINGS
    """Where its decoding is measured; empty if it decodes in no way of its own."""
    encodes: ClassVar[bool] = True
    """Whether its encoding is measured."""
    writes: ClassVar[bool] = True
    """Whether the library has a writer. If not, the benchmark writes by hand, and the row counts for no peer."""

    def __init__(self, workload: str) -> None:
        self.workload = workload

    def typed(self, message: Message) -> Message:
        return message

    @abstractmethod
    def writer(self) -> Callable[[Any, Any], Any]:
        """A function from header and payload to the bytes that go out, or to parts of them."""

    def pieces(self, messages: list[Message]) -> list[bytes]:
        """The wire, one piece a message."""
        write = self.writer()
        return [write(*message) for message in messages]

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        """A function from a chunk to the messages that it completes."""
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


# --- ours


class Ours(Contender):
    """Typed: `StreamDecoder` with the coder that a user would take."""

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
    """`FrameDecoder`: the header is not parsed, as in a relay. Written from a header that is JSON already."""

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
        return FrameDecoder(Limits(frame=1024 * MiB)).feed

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
    chunkings = ()
    workloads = ("A", "B")

    def typed(self, message: Message) -> Message:
        return Ours.typed(self, message)

    def writer(self) -> Callable[[Any, Any], Any]:
        return encode_frame_parts

    def pieces(self, messages: list[Message]) -> list[bytes]:
        return [b"".join(encode_frame_parts(*message)) for message in messages]


class OursStream(Ours):
    """What `FrameResponse` writes: `StreamEncoder.data`, within the receiver's limits."""

    name = "ours, stream"
    chunkings = ()

    def writer(self) -> Callable[[Any, Any], Any]:
        return StreamEncoder(self.coder, limits=Limits()).data


class OursDicts(Ours):
    """Untyped: headers and payloads are dicts, as for users who declare no types."""

    name = "ours, dicts"
    workloads = ("T", "A")

    def __init__(self, workload: str) -> None:
        super().__init__(workload)
        self.coder = JsonCoder() if workload == "T" else RawCoder()

    def typed(self, message: Message) -> Message:
        return message


class OneCall(Contender):
    """The original's calls: one frame a call, so its decoding is measured on one frame a chunk only."""

    kind = "ours"
    chunkings = ("frame",)


class Anb(OneCall):
    name = "AnbJsonStreamCoder"
    workloads = ("T",)

    def writer(self) -> Callable[[Any, Any], Any]:
        return AnbJsonStreamCoder.encode

    def read(self, chunks: Chunks) -> Iterator[Any]:
        return map(AnbJsonStreamCoder.decode, chunks)

    def plain(self, message: Any) -> Message:
        header, payload, rest = message
        assert rest is None
        return header, payload


class TalCalls(OneCall):
    name = "tal_encoder, tal_decoder"
    workloads = ("A",)

    def typed(self, message: Message) -> Message:
        header, payload = message
        return TALAudio(**header), payload  # type: ignore[return-value]

    def writer(self) -> Callable[[Any, Any], Any]:
        return tal_encoder

    def read(self, chunks: Chunks) -> Iterator[Any]:
        return map(tal_decoder, chunks)

    def plain(self, message: Any) -> Message:
        (header, payload), rest = message
        assert not rest
        return header, payload


# --- original


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


class OriginalOneCall(Original):
    """One frame a call, without the loop that collects bytes."""

    name = "original, one call"
    workloads = ("T", "A")
    chunkings = ("frame",)
    encodes = False

    def read(self, chunks: Chunks) -> Iterator[Any]:
        return map(self.codec.decode, chunks)

    def plain(self, message: Any) -> Message:
        (header, payload), rest = message
        assert not rest
        return header, payload


OURS: tuple[type[Contender], ...] = (
    *(Ours, OursFrames, OursStream, OursParts, OursDicts, Anb, TalCalls),
    *(Original, OriginalOneCall),
)
