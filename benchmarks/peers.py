"""The peers: what a user would take instead, each used in the way that is fastest for it.

A peer that has a framing but no encoding of objects gets msgspec's typed JSON, which is the fastest. PCM goes as bytes
in a message of its own where that is possible, else as base64. A peer that has an encoding but no framing gets a
four-byte length and `LengthPrefixed`, which reads no byte twice. A peer that is not installed is named in the results.
"""

from __future__ import annotations

import importlib
import io
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import msgspec

from .contenders import Chunks, Contender
from .workloads import Answer, Message, Status, Tal


class Typed(msgspec.Struct, array_like=True):
    """T as one object, as users of msgspec have it."""

    header: Status
    payload: Answer


class TypedAudio(msgspec.Struct, array_like=True):
    header: Tal
    payload: bytes


class Whole(Contender):
    """A contender to which header and payload are one object of a class."""

    def typed(self, message: Message) -> Message:
        header, payload = message
        if self.workload == "T":
            return Status(**header), Answer(**payload)
        if self.workload == "mix":
            return message
        return Tal(**header), payload

    @property
    def type(self) -> Any:
        return {"T": Typed, "A": TypedAudio, "B": TypedAudio, "mix": Any}[self.workload]

    def plain(self, message: Any) -> Message:
        if not isinstance(message, list | tuple):
            message = message.header, message.payload
        return super().plain(message)


class LengthPrefixed:
    """Messages after a four-byte length, sliced out of the chunk; joined once where a message spans chunks."""

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        self._decode = decode
        self._parts: list[bytes] = []
        self._held = self._wanted = 0

    def feed(self, chunk: bytes) -> Iterator[Any]:
        decode, unpack = self._decode, _length.unpack_from
        if self._parts:
            self._parts.append(chunk)
            self._held += len(chunk)
            if self._held < self._wanted:
                return
            chunk = b"".join(self._parts)
            self._parts = []
        at, size = 0, len(chunk)
        while size - at >= 4:
            end = at + 4 + unpack(chunk, at)[0]
            if end > size:
                break
            yield decode(chunk[at + 4 : end])
            at = end
        if at < size:
            self._parts = [chunk[at:]]
            self._held = size - at
            self._wanted = 4 if size - at < 4 else end - at


_length = struct.Struct("<I")
_prefix = _length.pack


def _prefixed(data: bytes) -> bytes:
    return _prefix(len(data)) + data


class MsgspecMsgpack(Whole):
    name = "msgspec MessagePack, length prefix"
    library = "msgspec"
    format: ClassVar[Any] = msgspec.msgpack

    def writer(self) -> Callable[[Any, Any], Any]:
        encode, whole = self.format.Encoder().encode, self.type
        if whole is Any:
            return lambda header, payload: _prefixed(encode((header, payload)))
        return lambda header, payload: _prefixed(encode(whole(header, payload)))

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        return LengthPrefixed(self.format.Decoder(self.type).decode).feed


class MsgspecJson(MsgspecMsgpack):
    name = "msgspec JSON, length prefix, base64"
    workloads = ("T", "A", "B")
    format = msgspec.json


class JsonLines(Whole):
    name = "msgspec JSON lines, base64"
    library = "msgspec"
    workloads = ("T", "A", "B")

    def writer(self) -> Callable[[Any, Any], Any]:
        encode, whole = msgspec.json.Encoder().encode, self.type
        return lambda header, payload: encode(whole(header, payload)) + b"\n"

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        decode = msgspec.json.Decoder(self.type).decode
        parts: list[bytes] = []

        def feed(chunk: bytes) -> Iterator[Any]:
            lines = chunk.split(b"\n")
            parts.append(lines[0])
            if len(lines) == 1:
                return
            lines[0] = b"".join(parts)
            parts[:] = lines[-1:]
            for line in lines[:-1]:
                yield decode(line)

        return feed


class Msgpack(Contender):
    name = "msgpack.Unpacker"
    library = "msgpack"

    def writer(self) -> Callable[[Any, Any], Any]:
        import msgpack

        pack = msgpack.Packer().pack
        return lambda header, payload: pack((header, payload))

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        import msgpack

        unpacker = msgpack.Unpacker()

        def feed(chunk: bytes) -> Any:
            unpacker.feed(chunk)
            return unpacker

        return feed


class Cbor(Contender):
    name = "cbor2, length prefix"
    library = "cbor2"

    def writer(self) -> Callable[[Any, Any], Any]:
        import cbor2

        dumps = cbor2.dumps
        return lambda header, payload: _prefixed(dumps((header, payload)))

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        import cbor2

        return LengthPrefixed(cbor2.loads).feed


class Protobuf(Contender):
    """A length before each message, as gRPC has it; descriptors are made here, so that no protoc is needed."""

    name = "protobuf (upb), length prefix"
    library = "protobuf"
    workloads = ("T", "A", "B")

    TEXTS = ("status", "reason", "answer", "source")
    TAL: ClassVar[dict[str, type]] = {
        "audioType": str,
        "bitDepth": int,
        "sampleRate": int,
        "channels": int,
        "audioFormat": str,
        "question": str,
        "answer": str,
        "url": str,
        "sign": int,
        "order": int,
        "pcm": bytes,
    }

    def __init__(self, workload: str) -> None:
        super().__init__(workload)
        self.message = self.messages()["Objects" if workload == "T" else "Audio"]

    @classmethod
    def messages(cls) -> dict[str, Any]:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

        kinds = descriptor_pb2.FieldDescriptorProto
        of = {str: kinds.TYPE_STRING, int: kinds.TYPE_INT64, bytes: kinds.TYPE_BYTES}
        file = descriptor_pb2.FileDescriptorProto(name="benchmarks.proto", package="benchmarks", syntax="proto3")
        for name, members in (("Objects", dict.fromkeys(cls.TEXTS, str)), ("Audio", cls.TAL)):
            message = file.message_type.add(name=name)
            for number, (member, kind) in enumerate(members.items(), 1):
                message.field.add(name=member, number=number, type=of[kind], label=kinds.LABEL_OPTIONAL)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        return {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"benchmarks.{name}"))
            for name in ("Objects", "Audio")
        }

    def writer(self) -> Callable[[Any, Any], Any]:
        message = self.message
        if self.workload == "T":
            return lambda header, payload: _prefixed(message(**header, **payload).SerializeToString())
        return lambda header, payload: _prefixed(message(**header, pcm=payload).SerializeToString())

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        return LengthPrefixed(self.message.FromString).feed

    def plain(self, message: Any) -> Message:
        if self.workload == "T":
            return {n: getattr(message, n) for n in self.TEXTS[:2]}, {n: getattr(message, n) for n in self.TEXTS[2:]}
        return {name: getattr(message, name) for name in self.TAL if name != "pcm"}, message.pcm


class InParts(Whole):
    """A contender that frames bytes. T is one message, in JSON; speech is two, the header in JSON and the PCM."""

    workloads = ("T", "A", "B")

    def parts_writer(self, write: Callable[[bytes], bytes]) -> Callable[[Any, Any], Any]:
        encode = msgspec.json.Encoder().encode
        if self.workload == "T":
            return lambda header, payload: write(encode(Typed(header, payload)))
        return lambda header, payload: write(encode(header)) + write(payload)

    def parts_reader(self, bodies: Callable[[bytes], Iterable[bytes]]) -> Callable[[bytes], Iterable[Any]]:
        if self.workload == "T":
            decode: Any = msgspec.json.Decoder(Typed).decode
            return lambda chunk: map(decode, bodies(chunk))
        decode = msgspec.json.Decoder(Tal).decode
        header: Any = None

        def feed(chunk: bytes) -> Iterator[Any]:
            nonlocal header
            for body in bodies(chunk):
                if header is None:
                    header = decode(body)
                else:
                    message, header = (header, body), None
                    yield message

        return feed


class Websockets(InParts):
    name = "websockets (sans-IO)"
    library = "websockets"
    kind = "pure peer"

    def writer(self) -> Callable[[Any, Any], Any]:
        from websockets.protocol import State
        from websockets.server import ServerProtocol

        protocol = ServerProtocol(state=State.OPEN)

        def write(body: bytes) -> bytes:
            protocol.send_binary(body)
            return b"".join(protocol.data_to_send())

        return self.parts_writer(write)

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        from websockets.client import ClientProtocol
        from websockets.protocol import State
        from websockets.uri import parse_uri

        protocol = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=1 << 24)

        def bodies(chunk: bytes) -> Iterator[bytes]:
            protocol.receive_data(chunk)
            return (event.data for event in protocol.events_received())  # type: ignore[union-attr]

        return self.parts_reader(bodies)


class Wsproto(InParts):
    name = "wsproto"
    library = "wsproto"
    kind = "pure peer"

    def writer(self) -> Callable[[Any, Any], Any]:
        from wsproto.connection import Connection, ConnectionType
        from wsproto.events import BytesMessage

        send = Connection(ConnectionType.SERVER).send
        return self.parts_writer(lambda body: send(BytesMessage(body)))

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        from wsproto.connection import Connection, ConnectionType

        connection = Connection(ConnectionType.CLIENT)
        parts: list[bytes] = []

        def bodies(chunk: bytes) -> Iterator[bytes]:
            connection.receive_data(chunk)
            for event in connection.events():
                if parts or not event.message_finished:  # type: ignore[attr-defined]
                    parts.append(event.data)  # type: ignore[attr-defined]
                    if event.message_finished:  # type: ignore[attr-defined]
                        yield b"".join(parts)
                        parts.clear()
                else:
                    yield event.data  # type: ignore[attr-defined]

        return self.parts_reader(bodies)


class H11(InParts):
    """Chunked HTTP, one chunk a message: what a server sends that writes each, though HTTP does not guarantee it."""

    name = "h11 chunked"
    library = "h11"
    kind = "pure peer"

    REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def writer(self) -> Callable[[Any, Any], Any]:
        import h11

        connection = h11.Connection(h11.SERVER)
        connection.receive_data(self.REQUEST)
        connection.next_event()
        connection.send(h11.Response(status_code=200, headers=[("Transfer-Encoding", "chunked")]))
        send, data = connection.send, h11.Data
        return self.parts_writer(lambda body: send(data(body)))  # type: ignore[arg-type,return-value]

    def feeder(self) -> Callable[[bytes], Iterable[Any]]:
        import h11

        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="GET", target="/", headers=[("Host", "localhost")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(self.HEAD)
        connection.next_event()
        parts: list[bytes] = []
        need_data = h11.NEED_DATA

        def bodies(chunk: bytes) -> Iterator[bytes]:
            connection.receive_data(chunk)
            while True:
                event: Any = connection.next_event()
                if event is need_data:
                    return
                if event.chunk_start and event.chunk_end:
                    yield bytes(event.data)
                else:
                    parts.append(event.data)
                    if event.chunk_end:
                        yield b"".join(parts)
                        parts.clear()

        return self.parts_reader(bodies)


class _Chunked(io.RawIOBase):
    """The chunks as a file; one read gives at most one chunk."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = iter(chunks)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._left or memoryview(next(self._chunks, b""))
        size = min(len(left), len(buffer))
        buffer[:size] = left[:size]
        self._left = left[size:]
        return size


class Wyoming(Contender):
    """The sync functions over a buffered file; the async ones need an event loop and take longer."""

    name = "wyoming"
    library = "wyoming"
    kind = "pure peer"
    workloads = ("T", "A", "B")

    def writer(self) -> Callable[[Any, Any], Any]:
        from wyoming.event import Event, write_event

        objects = self.workload == "T"

        def write(header: Any, payload: Any) -> bytes:
            out = io.BytesIO()
            event = Event("objects", {**header, **payload}) if objects else Event("audio-chunk", header, payload)
            write_event(event, out)
            return out.getvalue()

        return write

    def read(self, chunks: Chunks) -> Iterator[Any]:
        from wyoming.event import read_event

        file: Any = io.BufferedReader(_Chunked(chunks), 64 * 1024)
        return iter(lambda: read_event(file), None)

    def plain(self, message: Any) -> Message:
        data = message.data
        if self.workload == "T":
            return {n: data[n] for n in ("status", "reason")}, {n: data[n] for n in ("answer", "source")}
        return data, message.payload


class Sse(Whole):
    name = "httpx-sse, base64"
    library = "httpx-sse"
    kind = "pure peer"
    writes = False
    workloads = ("T", "A", "B")

    def writer(self) -> Callable[[Any, Any], Any]:
        encode, whole = msgspec.json.Encoder().encode, self.type
        return lambda header, payload: b"data: " + encode(whole(header, payload)) + b"\n\n"

    def read(self, chunks: Chunks) -> Iterator[Any]:
        import httpx
        from httpx_sse import EventSource

        class Body(httpx.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                return iter(chunks)

        decode = msgspec.json.Decoder(self.type).decode
        response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Body())
        return (decode(event.data) for event in EventSource(response).iter_sse())


class Arrow(Contender):
    """The IPC stream format, a record batch of one row for each message, so that no message waits for another."""

    name = "pyarrow IPC, a batch a message"
    library = "pyarrow"
    workloads = ("T", "A", "B")

    def __init__(self, workload: str) -> None:
        super().__init__(workload)
        import pyarrow

        columns = dict.fromkeys(Protobuf.TEXTS, str) if workload == "T" else Protobuf.TAL
        of = {str: pyarrow.string(), int: pyarrow.int64(), bytes: pyarrow.binary()}
        self.schema = pyarrow.schema([(name, of[kind]) for name, kind in columns.items()])

    def _writer(self) -> tuple[Callable[[Any, Any], bytes], Callable[[], bytes]]:
        import pyarrow

        out: list[bytes] = []

        class Sink(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, data: Any) -> int:
                out.append(bytes(data))
                return len(data)

        def taken() -> bytes:
            data = b"".join(out)
            out.clear()
            return data

        schema, objects = self.schema, self.workload == "T"
        types = schema.types
        batch, array = pyarrow.RecordBatch.from_arrays, pyarrow.array
        writer = pyarrow.ipc.new_stream(pyarrow.PythonFile(Sink(), "w"), schema)

        def write(header: Any, payload: Any) -> bytes:
            values = (*header.values(), *(payload.values() if objects else (payload,)))
            writer.write_batch(batch([array([v], t) for v, t in zip(values, types, strict=True)], schema=schema))
            return taken()

        def end() -> bytes:
            writer.close()
            return taken()

        return write, end

    def writer(self) -> Callable[[Any, Any], Any]:
        return self._writer()[0]

    def pieces(self, messages: list[Message]) -> list[bytes]:
        write, end = self._writer()
        return [*(write(*message) for message in messages), end()]

    def read(self, chunks: Chunks) -> Iterator[Any]:
        import pyarrow

        file: Any = io.BufferedReader(_Chunked(chunks), 64 * 1024)
        with pyarrow.ipc.open_stream(pyarrow.PythonFile(file, "r")) as reader:
            for batch in reader:
                yield batch.to_pylist()[0]

    def plain(self, message: Any) -> Message:
        if self.workload == "T":
            return {n: message[n] for n in Protobuf.TEXTS[:2]}, {n: message[n] for n in Protobuf.TEXTS[2:]}
        return {name: message[name] for name in Protobuf.TAL if name != "pcm"}, message["pcm"]


PEERS: tuple[tuple[type[Contender], str], ...] = (
    (Msgpack, "msgpack"),
    (MsgspecMsgpack, "msgspec"),
    (MsgspecJson, "msgspec"),
    (JsonLines, "msgspec"),
    (Protobuf, "google.protobuf"),
    (Cbor, "cbor2"),
    (Websockets, "websockets"),
    (Wsproto, "wsproto"),
    (H11, "h11"),
    (Wyoming, "wyoming"),
    (Sse, "httpx_sse"),
    (Arrow, "pyarrow"),
)
"""And the modules that they need."""


def installed() -> tuple[list[type[Contender]], dict[str, str]]:
    """The peers that are installed, and why the others are absent."""
    there: list[type[Contender]] = []
    absent: dict[str, str] = {}
    for peer, module in PEERS:
        try:
            importlib.import_module(module)
        except ImportError as error:
            absent[peer.name] = str(error)
        else:
            there.append(peer)
    return there, absent
