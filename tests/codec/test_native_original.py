"""The original's four calls, which have a fast path: whatever they are given, they return what the plain code returns.

The plain code is the standard library's json, with the checks around it: `AnbJsonStreamCoder`, `tal_encoder` and
`tal_decoder` without their fast paths.
"""

from __future__ import annotations

import collections
import contextlib
import decimal
import enum
import itertools
import json
import struct
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from unittest import mock

import msgspec
import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from implementations import load_pure, needs_native
from msgspec import UNSET

from objectstreaming import AnbJsonStreamCoder, Layout, decode_frame, encode_frame, errors
from objectstreaming.coders import original
from objectstreaming.coders.original import standard_json
from wav_streaming import TALAudio, tal, tal_decoder, tal_encoder
from wav_streaming.tal import MEMBERS

needs_native()

from objectstreaming import _native as native  # noqa: E402

pure = load_pure("objectstreaming.coders.original")
pure_tal = load_pure("wav_streaming.tal")


@contextlib.contextmanager
def without_fast_paths(module: ModuleType) -> Iterator[None]:
    """As if the calls of a module had no fast paths, and json.dumps made an encoder for each call."""
    with contextlib.ExitStack() as stack:
        for name in ("_encode_plain", "_decode_plain", "_encode_original", "_decode_original"):
            if hasattr(module, name):
                stack.enter_context(mock.patch.object(module, name, return_value=None))
        stack.enter_context(
            mock.patch.object(module, "standard_json", lambda value: json.dumps(value, allow_nan=False))
        )
        yield


def outcome(ask: Callable[..., Any], *args: Any) -> str:
    """What a call returned or raised. By their repr 1, 1.0 and True are three, and so are 0.0 and -0.0."""
    try:
        return repr(plain(ask(*args)))
    except (errors.ObjectStreamError, AttributeError, TypeError, ValueError, OverflowError, KeyError) as error:
        return repr((type(error), str(error), error.__cause__))


def plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return "memoryview", bytes(value)
    return tuple(map(plain, value)) if type(value) is tuple else value


# ------------------------------------------------------------------------------------------------ values


class Number(enum.IntEnum):
    SEVEN = 7


class Name(enum.StrEnum):
    STREAM = "$stream"
    OTHER = "other"


class Mode(str, enum.Enum):  # noqa: UP042 - json writes it in another way than a StrEnum, if at all
    ON = "on"


class Text(str):
    __slots__ = ()


class Integer(int):
    def __repr__(self) -> str:
        return "an integer"


class Real(float):
    def __repr__(self) -> str:
        return "a number"


class Listed(list[Any]):
    pass


class Mapped(dict[Any, Any]):
    def items(self) -> Any:
        return [("changed", 1)]


class Broken(dict[Any, Any]):
    def items(self) -> Any:
        raise KeyError("broken")


Pair = collections.namedtuple("Pair", "a b")


class Opaque:
    def __repr__(self) -> str:
        return "opaque"


TEXTS = st.one_of(
    st.text(max_size=8),
    st.text(st.characters(codec=None, categories=None), max_size=4),
    st.sampled_from(["", '"', "\\", "/", "\b\f\n\r\t", "\x00\x1f\x7f\x80\xff", "é", "语音", "😀", "\U0010ffff"]),
    st.sampled_from(["\ud800", "\udfff", "\ud83d\ude00", "a\udc00b", "$stream", "x" * 3000, "é" * 700]),
)
INTEGERS = st.one_of(
    st.integers(),
    st.sampled_from([(1 << 63) - 1, 1 << 63, -(1 << 63), -(1 << 63) - 1, (1 << 64) - 1, 1 << 64]),
    st.sampled_from([4299, 4300]).map(lambda digits: 10**digits),  # the longest that is written, and one more
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    INTEGERS,
    st.floats(),
    st.sampled_from([0.0, -0.0, 5e-324, 1e16, 1e22, 1e-7, 1.7976931348623157e308]),
    TEXTS,
)
ODD = st.sampled_from(
    [
        *(Number.SEVEN, Name.OTHER, Mode.ON, Text("text"), Integer(3), Real(1.5), Real("nan")),
        *(b"bytes", {1, 2}, 1j, Opaque(), decimal.Decimal(1), numpy.int64(1), numpy.float64(1.5)),
    ]
)
NAMES = st.one_of(
    TEXTS, SCALARS, st.sampled_from([Number.SEVEN, Name.OTHER, Name.STREAM, Text("t"), Real(2.0), (1, 2)])
)
VALUES = st.recursive(
    st.one_of(SCALARS, SCALARS, SCALARS, ODD),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(TEXTS, inner, max_size=4),
        st.dictionaries(NAMES, inner, max_size=3),
        st.dictionaries(TEXTS, inner, max_size=2).map(collections.OrderedDict),
        st.lists(inner, max_size=2).map(Listed),
        st.tuples(inner, inner).map(Pair._make),
        st.sampled_from([Mapped(a=1), Broken(a=1)]),
    ),
    max_leaves=12,
)
HEADERS = st.one_of(
    st.dictionaries(TEXTS, VALUES, max_size=4),
    st.dictionaries(NAMES, SCALARS, max_size=3),
    VALUES,
    VALUES.map(lambda v: {"a": v}),
)


def nested(depth: int, in_lists: bool) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if in_lists else {"a": value}
    return value


DEEP = st.builds(nested, st.sampled_from([2, 98, 99, 100, 101, 102, 300, 2000]), st.booleans())
LAYOUTS = st.one_of(
    st.just((4, "little")),
    st.tuples(
        st.sampled_from([1, 2, 3, 4, 8, 0, 9, -1, True, 4.0, "4", None, numpy.int64(4)]),
        st.sampled_from(["little", "big", Text("little"), "middle", None, 5]),
    ),
)


def is_odd(layout: tuple[Any, ...]) -> bool:
    """Whether it is of types that `Layout` does not name: these its users take each in their own way."""
    return type(layout[0]) not in (int, bool) or any(type(order) is not str for order in layout[1:])


# ------------------------------------------------------------------------------------------------ AnbJsonStreamCoder


class TestEncoding:
    @settings(deadline=None, max_examples=400)
    @given(st.one_of(HEADERS, DEEP), st.one_of(VALUES, DEEP), LAYOUTS)
    @example({"a": 1, "b": [1.5, None, True, {"c": "é"}]}, ("x", {}, []), (4, "little"))
    @example({1: 1, "1": 2, None: 3, False: 4, 1.5: 5, 1e400: 6}, {}, (4, "little"))
    @example({Name.STREAM: {"type": "end"}}, 1, (4, "little"))
    def test_returns_what_the_plain_code_returns(self, header: Any, value: Any, layout: tuple[Any, Any]) -> None:
        said = set()
        for module in (original, pure):
            with without_fast_paths(module):
                expected = outcome(module.AnbJsonStreamCoder.encode, header, value, *layout)
            assert outcome(module._encode_plain, header, value, *layout) in ("None", expected)
            assert outcome(module.AnbJsonStreamCoder.encode, header, value, *layout) == expected
            said.add(expected)
        assert len(said) == 1 or is_odd(layout)

    @settings(deadline=None, max_examples=300)
    @given(st.dictionaries(st.text(max_size=5), SCALARS, max_size=3), VALUES)
    def test_writes_what_the_standard_library_writes(self, header: Any, value: Any) -> None:
        wire = native.encode_original(header, value, 4, "little")
        if wire is not None:
            parts = json.dumps(header).encode(), json.dumps(value).encode()
            size = sum(map(len, parts))
            assert wire == struct.pack("<II", 8 + size, len(parts[0])) + b"".join(parts)

    def test_writes_every_character_as_the_standard_library_does(self) -> None:
        codes = itertools.chain(range(0x300), range(0x2020, 0x2030), range(0xD7F0, 0xD800), range(0xE000, 0xE010))
        for code in itertools.chain(codes, (0xFFFF, 0x10000, 0x1F600, 0x10FFFF)):
            text = f"a{chr(code)}b"
            header = json.dumps({text: text}).encode()
            payload = json.dumps([text, text * 400]).encode()
            assert native.encode_original({text: text}, [text, text * 400], 4, "little") == encode_frame(
                header, payload
            )

    def test_the_fast_paths_take_what_nearly_every_call_is_given(self) -> None:
        value = {"answer": "语音 😀", "n": [1, -5, (1 << 63) - 1, 1.5, True, None], 7: ()}
        for fast in (native.encode_original, pure._encode_plain):
            assert fast({"status": "é"}, value, 4, "little") is not None
            assert fast({}, "\ud800", 4, "little") is not None

    def test_what_contains_itself_is_refused(self) -> None:
        ring: list[Any] = []
        ring.append(ring)
        for coder in (AnbJsonStreamCoder, pure.AnbJsonStreamCoder):
            for header, value in (({}, ring), ({"a": ring}, 1)):
                with pytest.raises(errors.EncodeError, match=r"^not JSON: Circular reference detected$"):
                    coder.encode(header, value)
        with pytest.raises(ValueError, match="Circular"):
            standard_json(ring)

    def test_what_is_too_deep_is_refused(self) -> None:
        for coder in (AnbJsonStreamCoder, pure.AnbJsonStreamCoder):
            with pytest.raises(errors.EncodeError, match="too deeply nested"):
                coder.encode({}, nested(100_000, True))

    def test_an_error_of_the_values_own_code_is_passed_on(self) -> None:
        for coder in (AnbJsonStreamCoder, pure.AnbJsonStreamCoder):
            with pytest.raises(KeyError, match="broken"):
                coder.encode({}, Broken(a=1))

    def test_a_value_shared_by_many_members_is_written_for_each(self) -> None:
        shared = {"a": [1]}
        assert AnbJsonStreamCoder.encode({"x": shared}, [shared] * 3) == encode_frame(
            b'{"x": {"a": [1]}}', b'[{"a": [1]}, {"a": [1]}, {"a": [1]}]'
        )


def wire_of(header: bytes, payload: bytes, layout: tuple[int, Any] = (4, "little")) -> bytes:
    sizes = 2 * layout[0] + len(header) + len(payload), len(header)
    return b"".join(size.to_bytes(*layout) for size in sizes) + header + payload


SPELLINGS = st.sampled_from(
    [
        *(
            "-0",
            "-0.0",
            "0e5",
            "1e5",
            "1E+5",
            "1e400",
            "-1e400",
            "1e-400",
            "9007199254740993.0",
            "0.1e1",
            "01",
            "1.",
            "+1",
        ),
        *(
            "18446744073709551616",
            "-9223372036854775809",
            "1" * 4300,
            "1" * 4301,
            "NaN",
            "-Infinity",
            "nul",
            "",
            " ",
            "[1,]",
        ),
        *(
            '{"a":1,"b":2,"a":3}',
            '"\\ud800"',
            '"\\ud83d\\ude00"',
            '"\\ud83d\\ud83d\\ude00"',
            '"\\/\\b"',
            '"\x7f"',
            '"\t"',
        ),
        *(
            "[" * 101 + "]" * 101,
            "[" * 400 + "]" * 400,
            '{"a":' * 99 + "1" + "}" * 99,
            '"' + "[" * 200 + '"',
            "\ufeff1",
        ),
    ]
).map(str.encode)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """JSON as somebody may write it, sometimes damaged, and JSON that parsers are known to read differently."""
    value, separators = draw(JSON_VALUES), draw(st.sampled_from([(", ", ": "), (",", ":"), (" ,\n", "\t: ")]))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), separators=separators).encode(errors="surrogatepass")
    how = draw(st.sampled_from(["as it is", "as it is", "byte", "cut", "odd", "within"]))
    at = draw(st.integers(0, len(text) - 1))
    if how == "byte":
        return text[:at] + bytes([draw(st.integers(0, 255))]) + text[at + 1 :]
    if how == "cut":
        return text[:at]
    odd = draw(SPELLINGS)
    return odd if how == "odd" else b'{"a":' + odd + b"}" if how == "within" else text


@st.composite
def wires(draw: st.DrawFn) -> Any:
    """A frame, whole or not, with more behind it or not, in one of the types that a program may have it in."""
    header = draw(
        st.one_of(texts(), st.dictionaries(TEXTS, JSON_VALUES, max_size=3).map(lambda h: json.dumps(h).encode()))
    )
    wire = wire_of(header, draw(texts()))
    how = draw(st.sampled_from(["as it is", "as it is", "as it is", "cut", "byte"]))
    at = draw(st.integers(0, len(wire) - 1))
    if how == "cut":
        wire = wire[:at]
    elif how == "byte":
        wire = wire[:at] + bytes([draw(st.integers(0, 255))]) + wire[at + 1 :]
    wire += draw(st.sampled_from([b"", b"", b"more", wire]))
    return draw(st.sampled_from([bytes, bytes, bytes, bytearray, memoryview]))(wire)


class TestDecoding:
    @settings(deadline=None, max_examples=500)
    @given(wires(), LAYOUTS)
    @example(wire_of(b'{"a": 1}', b"[1.5, null]"), (4, "little"))
    @example(wire_of(b'{"a": 1}', b"[1.5, null]", (2, "big")), (2, "big"))
    @example("text", (4, "little"))
    @example(None, (4, "little"))
    @example(numpy.frombuffer(wire_of(b"{}", b"1"), numpy.uint8), (4, "little"))
    def test_returns_what_the_plain_code_returns(self, wire: Any, layout: tuple[Any, Any]) -> None:
        said = set()
        for module in (original, pure):
            with without_fast_paths(module):
                expected = outcome(module.AnbJsonStreamCoder.decode, wire, *layout)
            assert outcome(module._decode_plain, wire, *layout) in ("None", expected)
            assert outcome(module.AnbJsonStreamCoder.decode, wire, *layout) == expected
            said.add(expected)
        assert len(said) == 1 or is_odd(layout)

    @settings(deadline=None, max_examples=300)
    @given(texts())
    def test_reads_what_the_standard_library_reads(self, text: bytes) -> None:
        for fast in (native.decode_original, pure._decode_plain):
            message = fast(wire_of(b"{}", text), 4, "little")
            if message is not None:
                assert repr(message[1]) == repr(json.loads(text))

    def test_the_fast_paths_take_what_nearly_every_call_is_given(self) -> None:
        wire = AnbJsonStreamCoder.encode({"status": "é"}, {"answer": "语音 😀", "n": [1, -5, 1.5, True, None]})
        for fast in (native.decode_original, pure._decode_plain):
            assert fast(wire, 4, "little") == (
                {"status": "é"},
                {"answer": "语音 😀", "n": [1, -5, 1.5, True, None]},
                None,
            )
            assert fast(wire + b"more", 4, "little")[2] == b"more"


class TestTheirArguments:
    def test_are_counted(self) -> None:
        for wrong in ((), ({}, {}, 4), ({}, {}, 4, "little", 5)):
            with pytest.raises(TypeError, match="4 positional arguments"):
                native.encode_original(*wrong)
        with pytest.raises(TypeError, match="3 positional arguments"):
            native.decode_original(b"")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="3 positional arguments"):
            CODEC.encode_original(TALAudio(), b"")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="2 positional arguments"):
            CODEC.decode_original(b"")  # type: ignore[call-arg]


# ------------------------------------------------------------------------------------------------ speech

CODEC = native.TalCodec(TALAudio, msgspec.json.Encoder().encode, msgspec.json.Decoder(TALAudio).decode, UNSET, MEMBERS)
MEMBERS = {
    "audioType": st.sampled_from(["int16", "int32", Text("int16"), "float32", None]),
    "bitDepth": st.sampled_from([16, 32, True, "16", Integer(16)]),
    "sampleRate": st.sampled_from([1, 16000, 768_000, 768_001, 0, 1 << 70, 16000.0]),
    "channels": st.sampled_from([1, 2, 255, 256, 0, True, numpy.int64(1)]),
    "audioFormat": st.sampled_from(["wav", "mp3", b"wav"]),
    "question": TEXTS | st.none(),
    "answer": TEXTS | st.just(5),
    "url": TEXTS,
    "sign": st.sampled_from([1, 2, 3, 4, Number.SEVEN]),
    "order": st.sampled_from([1, 9, 10, (1 << 53) - 1, 1 << 53, 0, -5]),
    "extra": st.dictionaries(TEXTS | st.just("order"), VALUES, max_size=2),
}
USUAL = {
    "sampleRate": st.integers(1, 768_000),
    "channels": st.integers(1, 255),
    **dict.fromkeys(("question", "answer", "url"), TEXTS),
    "sign": st.integers(1, 3),
    "order": st.integers(1, (1 << 53) - 1),
}
AUDIO = st.one_of(
    st.fixed_dictionaries({}, optional=USUAL),
    st.fixed_dictionaries({}, optional=USUAL).map(lambda members: {"audioType": "int32", "bitDepth": 32} | members),
    st.fixed_dictionaries({}, optional=MEMBERS),
)
PCM = st.one_of(
    st.sampled_from([0, 2, 4, 8, 960, 1, 3, 1020]).map(bytes),
    st.sampled_from([bytearray(4), memoryview(bytes(8)), numpy.zeros(4, "<i2"), numpy.zeros(4, "<f4"), "text", None]),
)
LENGTHS = st.one_of(st.just(4), st.sampled_from([1, 2, 8, 0, 9, True, 4.0, "4", None]))


def changed(kind: Any, members: dict[str, Any]) -> Any:
    audio = kind()
    for name, value in members.items():
        setattr(audio, name, value)
    return audio


class TestSpeechEncoding:
    @settings(deadline=None, max_examples=400)
    @given(AUDIO, PCM, LENGTHS)
    def test_returns_what_the_plain_code_returns(self, members: dict[str, Any], pcm: Any, length: Any) -> None:
        said = set()
        for module in (tal, pure_tal):
            audio = changed(module.TALAudio, members)
            with without_fast_paths(module):
                expected = outcome(module.tal_encoder, audio, pcm, length)
            assert outcome(module._encode_original, audio, pcm, length) in ("None", expected)
            assert outcome(module.tal_encoder, audio, pcm, length) == expected
            said.add(expected)
        assert len(said) == 1 or is_odd((length,))

    @settings(deadline=None)
    @given(st.fixed_dictionaries({}, optional=USUAL))
    def test_writes_what_the_standard_library_writes(self, members: dict[str, Any]) -> None:
        audio = changed(TALAudio, members)
        header = json.dumps(audio.to_dict()).encode()
        wire = CODEC.encode_original(audio, bytes(960), 4)
        if 960 % audio.block_align == 0 and not any(
            0xD800 <= ord(c) < 0xE000 for text in members.values() for c in str(text)
        ):
            assert wire == wire_of(header, bytes(960))

    def test_the_fast_paths_take_what_nearly_every_call_is_given(self) -> None:
        for members in ({}, {"answer": '语音 "é"\n', "order": 7, "sign": 2}, {"audioType": "int32", "bitDepth": 32}):
            for fast, kind in ((CODEC.encode_original, TALAudio), (pure_tal._encode_original, pure_tal.TALAudio)):
                assert fast(changed(kind, members), bytes(8), 4) is not None

    def test_what_is_no_talaudio_fails_as_ever(self) -> None:
        for wrong in (None, 5, {"order": 1}):
            with without_fast_paths(tal):
                expected = outcome(tal_encoder, wrong, b"")
            assert outcome(tal_encoder, wrong, b"") == outcome(pure_tal.tal_encoder, wrong, b"") == expected


@st.composite
def speech(draw: st.DrawFn) -> Any:
    """What encoders of speech write, in either spelling, a byte or a piece of it changed now and then."""
    members = draw(AUDIO)
    try:
        audio = TALAudio(**members)
    except (errors.EncodeError, TypeError):
        audio = changed(TALAudio, {})
    separators = draw(st.sampled_from([(", ", ": "), (",", ":"), (", ", ": "), (" , ", ":")]))
    header = json.dumps(audio.to_dict(), ensure_ascii=draw(st.booleans()), separators=separators).encode(
        errors="surrogatepass"
    )
    how = draw(st.sampled_from(["as it is", "as it is", "byte", "cut", "piece", "other"]))
    at = draw(st.integers(0, len(header) - 1))
    if how == "byte":
        header = header[:at] + bytes([draw(st.integers(0, 255))]) + header[at + 1 :]
    elif how == "cut":
        header = header[:at]
    elif how == "piece":
        piece = st.sampled_from(
            [b"0", b"1", b"-", b".5", b"e1", b'"', b"\\", b"\xff", b"\xc3\xa9", b"\\u00e9", b"}", b" "]
        )
        header = header[:at] + draw(piece) + header[at:]
    elif how == "other":
        others = [b"{}", b'{"order":5}', header[:-1] + b',"speaker":"Ann"}', header[:-1] + b', "order":2}', b"[]", b"x"]
        header = draw(st.sampled_from(others))
    wire = wire_of(header, bytes(draw(st.sampled_from([0, 4, 960, 3]))))
    if draw(st.integers(0, 9)) == 0:
        wire = wire[: draw(st.integers(0, len(wire)))]
    wire += draw(st.sampled_from([b"", b"", b"more"]))
    return draw(st.sampled_from([bytes, bytes, bytes, bytearray, memoryview]))(wire)


class TestSpeechDecoding:
    @settings(deadline=None, max_examples=500)
    @given(speech(), LENGTHS)
    @example(None, 4)
    @example("text", 4)
    def test_returns_what_the_plain_code_returns(self, wire: Any, length: Any) -> None:
        said = set()
        for module in (tal, pure_tal):
            with without_fast_paths(module):
                expected = outcome(module.tal_decoder, wire, length)
            assert outcome(module._decode_original, wire, length) in ("None", expected)
            assert outcome(module.tal_decoder, wire, length) == expected
            said.add(expected)
        assert len(said) == 1 or is_odd((length,))

    def test_the_fast_paths_take_what_nearly_every_call_is_given(self) -> None:
        for members in ({}, {"answer": '语音 "é"\n', "order": 7, "sign": 2}, {"audioType": "int32", "bitDepth": 32}):
            audio = TALAudio(**members)
            for wire in (tal_encoder(audio, bytes(8)), encode_frame(audio, bytes(8))):
                for fast in (CODEC.decode_original, pure_tal._decode_original):
                    assert fast(wire + b"more", 4) == ((audio.to_dict(), bytes(8)), b"more")

    def test_a_header_is_the_callers_own(self) -> None:
        wire = tal_encoder(TALAudio(), b"")
        (header, _), _ = tal_decoder(wire)  # type: ignore[misc]
        header["answer"] = "changed"
        header["more"] = 1
        assert tal_decoder(wire) == ((TALAudio().to_dict(), b""), b"")


def test_the_calls_read_what_each_other_write() -> None:
    header, value = {"a": [1, "é"]}, {"b": None}
    wire = AnbJsonStreamCoder.encode(header, value)
    assert AnbJsonStreamCoder.decode(wire * 2) == (header, value, wire)
    assert decode_frame(AnbJsonStreamCoder.encode(header, value, 2, "big"), layout=Layout(2, "big")).header == header
