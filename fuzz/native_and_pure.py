"""The C implementation beside the pure one, under libFuzzer: whatever they are given, they return the same.

    fuzz/native_and_pure.sh                         the extension built with libFuzzer's coverage, in a copy; see there
    python fuzz/native_and_pure.py corpus/          as installed: atheris (the extra `fuzz`) covers the pure one alone
    python fuzz/native_and_pure.py --seeds corpus/  writes what a run begins with
    python fuzz/native_and_pure.py crash-...        one input again

`check` turns the fuzzer's bytes into calls, makes them on both, and compares all that they return, step by step.
Byte 0 says what to do: read frames, read a stream, read what is loose, write. The rest is choices, and what is read.
"""

from __future__ import annotations

import array
import itertools
import json
import re
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, MappingProxyType, SimpleNamespace
from typing import Any, TypedDict

import msgspec
import numpy

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from implementations import load_pure  # noqa: E402

import objectstreaming.coders.json  # noqa: E402
import objectstreaming.coders.original  # noqa: E402
import wav_streaming.tal  # noqa: E402
from objectstreaming import errors, frames, protocol  # noqa: E402

assert frames.CODEC == "native", "the C extensions were not built, or OBJECTSTREAMING_PURE is set"
NATIVE = SimpleNamespace(
    frames=frames,
    protocol=protocol,
    json=objectstreaming.coders.json,
    original=objectstreaming.coders.original,
    tal=wav_streaming.tal,
)
PURE = SimpleNamespace(**{name: load_pure(module.__name__) for name, module in vars(NATIVE).items()})
Implementation = SimpleNamespace
Said = Iterator[Any]


def check(data: bytes) -> None:
    """Raises AssertionError where the two differ over `data`."""
    if data.count(b"[") + data.count(b"{") > 800:
        return  # near the interpreter's own limit, which the pure one meets first, being a call or two deeper
    source = Source(data)
    do = DOINGS[source.byte() % len(DOINGS)]
    both = (do(codec, Source(data, source.at)) for codec in (NATIVE, PURE))
    for step, (ours, theirs) in enumerate(itertools.zip_longest(*both)):
        assert ours == theirs, f"{do.__name__}, step {step}:\n  native {ours}\n  pure   {theirs}"


class Source:
    """The fuzzer's bytes, taken from the front; after the last one there are zeros."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def some(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        self.at += len(piece)
        return piece

    def rest(self) -> bytes:
        return self.some(len(self.data))

    def byte(self) -> int:
        return (self.some(1) or b"\0")[0]

    def pick(self, options: Any) -> Any:
        return options[self.byte() % len(options)]

    def text(self) -> str:
        data = self.some(self.byte() % 24)
        return data.decode(*self.pick((("latin-1",), ("utf-8", "surrogateescape"), ("utf-8", "ignore"))))


# ------------------------------------------------------------------------------------------- in a form to be compared

EXPECTED = errors.ObjectStreamError, AttributeError, RuntimeError, TypeError, OverflowError, ValueError


def told(ask: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """What a call gave, or how it failed. An error of any other kind is a finding too, and passed on."""
    try:
        return plain(ask(*args, **more))
    except EXPECTED as error:
        if isinstance(error, RecursionError | SystemError):
            raise
        # Not its __context__: the pure one may raise an error while it handles another.
        said = type(error), str(error), error.args, vars(error), error.__cause__
        return "failed", re.sub(r" at 0x\w+", "", repr(said))


def plain(value: Any) -> Any:
    """By their repr, 1 and True and 1.0 are three, and the order of members counts."""
    if type(value) in (NATIVE.frames.Frame, PURE.frames.Frame):
        header = told(getattr, value, "header")
        equal = value == type(value)(value.header_bytes), value == value.header_bytes, hash(value)
        return value.header_bytes, value.payload, value.index, value.offset, repr(value), str(value), header, equal
    if type(value) in (NATIVE.tal.TALAudio, PURE.tal.TALAudio):
        return repr(value), repr(value.to_dict()), value == type(value)(), value.block_align
    if isinstance(value, msgspec.Raw):
        return bytes(value)
    if isinstance(value, numpy.ndarray):
        return value.dtype.str, value.shape, value.tobytes(), value.flags.writeable
    if isinstance(value, memoryview):
        return value.tobytes(), value.format, value.shape, value.readonly
    if isinstance(value, tuple | list):
        return type(value), [plain(item) for item in value]
    return repr(value)


# ------------------------------------------------------------------------------------------------------------- coders


class Header(msgspec.Struct):
    status: str = ""
    n: int = 0


@dataclass
class Answer:
    answer: str
    scores: list[float] = field(default_factory=list)


class Member(TypedDict, total=False):
    a: int | None
    b: dict[str, str]


CODERS: tuple[Callable[[Implementation], Any], ...] = (
    lambda codec: codec.json.JsonCoder(),
    lambda codec: codec.json.JsonCoder(Header, Answer),
    lambda codec: codec.json.JsonCoder(Member, payload=list[int]),
    lambda codec: codec.tal.TALCoder(),
    lambda codec: codec.tal.TALCoder(samples=True),
    lambda codec: codec.json.JsonCoder(dict, payload=list[msgspec.Raw]),  # which holds on to what it was decoded from
)
LIMITS = None, frames.Limits(64, 32), frames.Limits(1000, 400), frames.Limits(0, 0), frames.Limits(1 << 70, 1 << 70)
LAYOUTS = (frames.LAYOUT, *(frames.Layout(size, order) for size in range(1, 9) for order in ("little", "big")))

# ------------------------------------------------------------------------------------------------------------ reading

# A step of a script feeds a chunk of one of these sizes, and then asks for one of these things.
SIZES = 0, 1, 2, 3, 7, 24, 100, 1000
MOST_STEPS = 100


def reading_frames(codec: Implementation, source: Source) -> Said:
    decoder = codec.frames.FrameDecoder(source.pick(LIMITS), source.pick(LAYOUTS))
    yield from reading(decoder, decoder.next_frame, source, ("position", "offset", "buffered"))


def reading_a_stream(codec: Implementation, source: Source) -> Said:
    coder, limits = source.pick(CODERS)(codec), source.pick(LIMITS)
    decoder = codec.protocol.StreamDecoder(coder, limits=limits, require_end=source.pick((None, True, False)))
    shown = "position", "offset", "buffered", "ended", "trailers", "heartbeat", "metadata"
    yield from reading(decoder, decoder.next_message, source, shown)


def reading(decoder: Any, take_one: Callable[[], Any], source: Source, shown: tuple[str, ...]) -> Said:
    script = source.some(source.byte() % 16)
    iterators: list[Iterator[Any]] = []
    begun: list[Iterator[Any]] = [iter(())]
    held: list[Any] = []

    def feed(chunk: Any) -> None:
        iterators.clear()
        iterators.append(decoder.feed(chunk))
        if type(chunk) is bytearray:
            chunk[:] = b"\xaa" * len(chunk)  # its owner may use it again

    def drain(most: int = 1000) -> Said:
        # Only one that was asked at once is asked again later: the two may differ in which chunks give the
        # shared empty iterator, and which one that goes on with what is fed later.
        for iterator in iterators:
            yield from take(iterator, most)
            begun.append(iterator)

    def take(iterator: Iterator[Any], most: int) -> Said:
        for _ in range(most):
            yield (answer := told(hold, iterator))
            if answer == repr("end") or answer[0] == "failed":
                break

    def hold(iterator: Iterator[Any]) -> Any:
        held.append(next(iterator, "end"))
        return held[-1]

    def state() -> Any:
        return [repr(getattr(decoder, name)) for name in shown]

    for step in itertools.islice(itertools.cycle(script), MOST_STEPS):
        if source.at == len(source.data):
            break
        chunk: Any = source.some(SIZES[step & 7])
        kind, what = step >> 3 & 3, step >> 5
        yield told(feed, (chunk, chunk, bytearray(chunk), memoryview(chunk))[kind]), state()
        if what <= 2:
            yield from drain()
        elif what == 3:
            yield from drain(1)
        elif what == 4:
            yield from take(begun[step % len(begun)], 2)
        elif what == 5:
            yield told(take_one)
        elif what == 6 and kind:  # nothing: the next chunk has to wait
            yield told(feed, ("text", 5, None, array.array("h", b"\x08\0\0\0"))[kind])
        elif what == 7 and kind == 3:
            yield told(decoder.finish)
        yield state()
    yield told(feed, source.rest()), state()
    yield from drain()
    yield told(decoder.finish), state()
    yield told(take_one), told(take_one), state()
    for iterator in begun[-3:]:
        yield told(next, iterator, "end"), state()
    yield plain(held)  # what was read stays what it was, whatever has come since


def reading_loose(codec: Implementation, source: Source) -> Said:
    """The calls that take one frame, or look at what may be one."""
    layout = source.pick(LAYOUTS)
    plain_json, plain_tal = codec.json.JsonCoder(Header, Any), codec.tal.TALCoder()
    size, wire = source.byte(), source.rest()
    yield told(codec.frames.split_frame, wire, layout=layout)
    yield told(codec.frames.decode_frame, wire, layout=layout)
    for data, more in ((wire, ()), (wire, (layout.byte_length, layout.byte_order)), (bytearray(wire), ())):
        yield told(codec.original.AnbJsonStreamCoder.decode, data, *more)
        yield told(codec.tal.tal_decoder, data, *more[:1])
    for frame in (codec.frames.Frame(wire, wire[:size], 1, 2), codec.frames.Frame(wire[:size], wire[size:])):
        yield plain(frame), told(bytes, frame)
        yield told(plain_json.decode, frame), told(plain_tal.decode, frame)
        yield told(codec.protocol.StreamEncoder(plain_json, limits=source.pick(LIMITS)).frame, frame)
        yield told(codec.frames.encode_frame, frame.header_bytes, frame.payload, layout=layout)


# ------------------------------------------------------------------------------------------------------------ writing

NUMBERS = 0, -1, 255, 256, 1 << 53, 1 << 63, 1 << 64, -(1 << 63) - 1, 10**4299, 10**4300
ODD = (
    None,
    True,
    b"bytes",
    (1, "a"),
    {5},
    1j,
    Header("ok", 5),
    Answer("x", [1.5]),
    numpy.int64(1),
    MappingProxyType({"a": 1}),
)
NAMES = "a", "$stream", "null", "status", "n", "answer"


def value_of(source: Source, depth: int = 0) -> Any:
    kind = source.byte() % 12
    if kind < 3:
        return source.text()
    if kind == 3:
        return source.byte()
    if kind == 4:
        return source.pick(NUMBERS)
    if kind == 5:
        return struct.unpack("<d", source.some(8).ljust(8, b"\0"))[0]
    if kind == 6:
        return source.pick(ODD)
    if kind == 7:  # no deeper: see check
        value: Any = source.text()
        in_lists = source.byte() & 1
        for _ in range(source.pick((2, 98, 99, 100, 101, 150))):
            value = [value] if in_lists else {"a": value}
        return value
    if depth > 4:
        return None
    if kind < 10:
        names = [source.pick(NAMES) if source.byte() & 1 else source.text() for _ in range(source.byte() % 4)]
        return {name: value_of(source, depth + 1) for name in names}
    return [value_of(source, depth + 1) for _ in range(source.byte() % 4)]


def header_of(source: Source) -> Any:
    kind = source.byte() % 6
    if kind < 3:
        return {source.text(): value_of(source, 3) for _ in range(source.byte() % 4)}
    if kind < 5:
        return value_of(source)
    return source.pick((bytes, bytearray, memoryview))(source.some(source.byte()))


def payload_of(source: Source) -> Any:
    data = source.some(source.byte())
    kind = source.byte() % 12
    if kind < 6:
        return data
    if kind < 8:
        return (bytearray, memoryview)[kind - 6](data)
    if kind == 8:
        return source.pick(("text", 5, None, [1], 1.5, numpy.array([None])))
    dtype = source.pick(("<i2", "<i4", ">i2", "u1", "<f4", "<i8"))
    samples = numpy.frombuffer(data[: len(data) // 8 * 8], dtype)
    if kind == 9:
        return samples.reshape(-1, source.pick((1, 2, 4))) if len(samples) % 4 == 0 else samples[::2]
    return samples if kind == 10 else array.array("h", samples.tobytes())


MEMBERS: tuple[tuple[str, Any], ...] = (
    ("order", (1, 2, 3, 9, 10, (1 << 53) - 1, 1 << 53, 0, -5, True, 1.0, 1 << 64)),
    ("sign", (1, 2, 3, 4, 0, True, "1")),
    ("bitDepth", (16, 32, 24, True, "16")),
    ("audioType", ("int16", "int32", "float32", 16, None)),
    ("sampleRate", (1, 16000, 768_000, 768_001, 0, -1, 1 << 70, 16000.0)),
    ("channels", (1, 2, 3, 255, 256, 0, True, numpy.int64(1))),
    ("audioFormat", ("wav", "mp3", "", b"wav")),
)


def change(source: Source) -> tuple[str, Any]:
    """A member of a TALAudio, and what it is to be."""
    which = source.byte() % 16
    if which < len(MEMBERS):
        name, values = MEMBERS[which]
        return name, source.pick(values)
    if which < 14:
        return source.pick(("question", "answer", "url")), source.text() if source.byte() & 7 else source.pick(ODD)
    return "extra", {source.text(): value_of(source, 3) for _ in range(source.byte() % 3)}


def writing(codec: Implementation, source: Source) -> Said:
    coder, layout = source.pick(CODERS)(codec), source.pick(LAYOUTS)
    encoder = codec.protocol.StreamEncoder(coder, source.pick((1, None)), limits=source.pick(LIMITS))
    tal = codec.tal.TALAudio()
    while source.at < len(source.data):
        what = source.byte() % 12
        if what < 4 and coder.name == "tal":
            for name, value in [change(source) for _ in range(what)]:
                yield told(setattr, tal, name, value)
            yield told(encoder.data, tal, payload := payload_of(source))
            yield (
                told(codec.tal.tal_encoder, tal, payload),
                told(codec.tal.tal_encoder, tal, payload, layout.byte_length),
            )
        elif what < 5:
            header, value = header_of(source), value_of(source)
            yield told(encoder.data, header, value), told(coder.encode, header, value)
            encode = codec.original.AnbJsonStreamCoder.encode
            yield told(encode, header, value), told(encode, header, value, layout.byte_length, layout.byte_order)
        elif what < 8:
            header, payload = header_of(source), payload_of(source)
            for encode in (codec.frames.encode_frame, codec.frames.encode_frame_parts):
                yield told(encode, header, payload, layout=layout)
        elif what == 8:
            frame = codec.frames.Frame(source.some(source.byte()), source.some(source.byte()))
            wire = bytes(frame) + source.some(source.byte() % 2)
            yield told(encoder.frame, frame), told(encoder.check, wire), told(encoder.encoded, wire)
        elif what == 9:
            metadata = source.pick((None, {}, {"a": "é"}, {"n": float("nan")}))
            yield told(encoder.open, heartbeat=source.pick((None, 15, 0.5, 0)), metadata=metadata)
        elif what == 10:
            yield told(encoder.ping)
        else:
            failure = source.pick((None, None, errors.StreamError("internal", source.text(), {"a": 1})))
            yield told(encoder.end, trailers=source.pick((None, {"n": value_of(source)})), error=failure)
        yield encoder.position, encoder.ended


DOINGS: tuple[Callable[[Implementation, Source], Said], ...] = reading_frames, reading_a_stream, writing, reading_loose

# -------------------------------------------------------------------------------------------------------------- seeds

SCRIPTS = b"", b"\1", b"\4", b"\x65\2\xa0", b"\xc7\x63\1\xa7", b"\xff\5", bytes([5, 0x46, 0xC5, 0x93, 0x83])
TALS = (
    wav_streaming.tal.TALAudio(answer="Good morning.", question="Was?", url="u", sampleRate=24_000),
    wav_streaming.tal.TALAudio(answer="语音", sign=2, order=2, channels=2, audioType="int32", bitDepth=32),
    wav_streaming.tal.TALAudio(answer='é "\n', sign=3, order=3),
)
SPEECH = [(tal, bytes(range(8))) for tal in TALS]
MESSAGES: tuple[tuple[int, list[tuple[Any, Any]]], ...] = (
    (0, [({"n": 1}, "hello"), ({}, [1.5, None, "é"])]),
    (1, [(Header("ok", 5), Answer("42", [1.0])), (Header(), Answer("é"))]),
    (2, [({"a": 1, "b": {"x": "y"}}, [1, 2, 3])]),
    (3, SPEECH),
    (4, SPEECH),
    (5, [({"n": 1}, [1, "x", {"a": None}]), ({}, [])]),
)
# A header as the short cuts read it, and how each of its members may be on the edge, or over it.
SPOKEN = msgspec.json.encode(TALS[0])
EDGES = (
    *((b'"order":1', b'"order":' + order) for order in (b"01", b"9007199254740991", b"9007199254740992", b"1.0", b"0")),
    *((b'"channels":1', b'"channels":' + number) for number in (b"2", b"255", b"256", b"0", b"99999999999999999999")),
    *((b'"sampleRate":24000', b'"sampleRate":' + rate) for rate in (b"768000", b"768001", b"024000")),
    *((b'"sign":1', b'"sign":' + sign) for sign in (b"0", b"2", b"3", b"4", b"true")),
    *(
        (b'"Was?"', b'"' + text + b'"')
        for text in (b"\x1f", b" ", b"\x7f", b"\xff", b"\xed\xa0\x80", b"\\u00e9", b"\\")
    ),
    (b'"bitDepth":16', b'"bitDepth":32'),
    (b"}", b"} "),
    (b"}", b',"speaker":"Ann"}'),
)
# JSON whose UTF-8, depth or digits msgspec alone would not refuse.
JSONS = (
    *(b'{"x":"' + text + b'"}' for text in (b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"[" * 250)),
    *(b'{"x":' * depth + b"[]" + b"}" * depth for depth in (98, 99, 100, 101)),
    *(b'{"x":' + b"1" * digits + b"}" for digits in (4300, 4301)),
)


def of(header: bytes, payload: bytes) -> bytes:
    return struct.pack("<II", 8 + len(header) + len(payload), len(header)) + header + payload


def seeds() -> Iterator[bytes]:
    """The conformance vectors, read each in its own way and in others; what encoders write; and something to write."""
    for file in sorted((ROOT / "objectstreaming" / "conformance" / "vectors").glob("*.json")):
        for number, case in enumerate(json.loads(file.read_text())["cases"]):
            wire = b"".join(bytes.fromhex(piece) for piece in case.get("wire", ()) if isinstance(piece, str))
            if case["expect"].get("wire"):
                wire = b"".join(bytes.fromhex(piece) for piece in case["expect"]["wire"] if isinstance(piece, str))
            if len(wire) > 4000:
                continue
            limits = 1 if "limits" in case else 0
            layout = LAYOUTS.index(frames.Layout(**case.get("layout", {})))
            script = SCRIPTS[number % len(SCRIPTS)]
            script = bytes([len(script)]) + script
            yield bytes([0, limits, layout]) + script + wire
            if "coder" in case:
                require = (None, True, False).index(case.get("require_end"))
                coder = 3 + number % 2 if case["coder"] == "tal" else number % 3
                yield bytes([1, coder, limits, require]) + script + wire
            if number % 3 == 0:
                yield bytes([3, layout, 16]) + wire
                yield bytes([2, number % len(CODERS), number % 7 and 2, 0, 0]) + wire[8:]
    for coder, messages in MESSAGES:
        encoder = protocol.StreamEncoder(CODERS[coder](NATIVE))
        opened, wire = encoder.open(), b"".join(itertools.starmap(encoder.data, messages))
        ended = encoder.ping() + encoder.end()
        for script in SCRIPTS:
            beginning = bytes([1, coder, 0, 0, len(script)]) + script
            yield from (beginning + wire, beginning + opened + wire + ended)
    for old, new in EDGES:
        header = SPOKEN.replace(old, new)
        yield bytes([1, 3, 0, 0, 0]) + of(header, b"")  # no samples: whole ones of any size
        yield bytes([3, 0, 16]) + header
    for text in JSONS:
        answer = text.replace(b"{", b'{"answer":"y",', 1)
        for coder, payload in enumerate((b"1", b'{"answer":"y"}', b"[1]")):
            yield bytes([1, coder, 0, 0, 0]) + of(text, payload)
            yield bytes([1, coder, 0, 0, 0]) + of(b"{}", answer)
        yield bytes([3, 0, 16]) + text
        yield bytes([3, 0, 16]) + of(b'{"a":1}', text)
        yield bytes([3, 0, 16]) + of(text, b"[1.5]")
    pcm = bytes(2)  # of no bytes
    for which, (_, values) in enumerate(MEMBERS):
        yield bytes([2, 3, 0, 0, 0]) + b"".join(bytes([1, which, value]) + pcm for value in range(len(values)))
    for code in b'\x1f "\\\x7f\x80\xff':
        yield bytes([2, 3, 0, 0, 0]) + b"".join(bytes([1, 7, place, 1, 1, code, code % 3]) + pcm for place in range(3))
    for number in range(24):  # a byte is what to write, its members and their values
        yield bytes([2, number % 5, 0, 0, number % 2 * 2]) + bytes((number * n * n + n) % 29 for n in range(120))


def main() -> None:
    if sys.argv[1:2] == ["--seeds"]:
        folder = Path(sys.argv[2])
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds()):
            (folder / f"seed-{number}").write_bytes(seed)
        return
    import gc

    import atheris

    # Its own hook sees what is imported; these modules are loaded by their file.
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and "._pure_" in str(function.__module__):
            atheris.instrument_func(function)
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
