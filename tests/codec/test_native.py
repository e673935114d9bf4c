"""The two implementations compared: whatever they are given, they return the same.

What each of them must do is in test_frames.py, which runs on both (OBJECTSTREAMING_PURE=1 for the pure one). Here is
what only the one in C can get wrong: another behaviour, reference counts, calls from within a call.
"""

from __future__ import annotations

import array
import copy
import gc
import inspect
import math
import mmap
import os
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from implementations import load_pure, needs_native

from objectstreaming import errors, frames, strict_json

needs_native()

from objectstreaming import _native as native  # noqa: E402

pure = load_pure("objectstreaming.frames")
pure_protocol = load_pure("objectstreaming.protocol")
pure_json = load_pure("objectstreaming.coders.json")
GOLDEN = bytes.fromhex("18000000 08000000 7b2261223a20317d 7b2262223a20327d")


def outcome(ask: Callable[..., Any], *args: Any) -> Any:
    """What a call gave, or the error it raised, in a form that can be compared."""
    try:
        return plain(ask(*args))
    except (errors.ObjectStreamError, AttributeError, RuntimeError, TypeError) as error:
        return type(error), error.args, str(error), error.__cause__


def plain(value: Any) -> Any:
    if isinstance(value, native.Frame | pure.Frame):
        return value.header_bytes, value.payload, value.index, value.offset, repr(value), str(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, memoryview):
        return value.tobytes(), value.format, value.shape, value.readonly
    return value


def test_the_package_runs_on_the_native_codec_where_it_was_built() -> None:
    chosen = os.environ.get("OBJECTSTREAMING_PURE", "") in ("", "0")
    assert chosen is native.CHOSEN
    codec = "native" if chosen else "pure"
    assert codec == frames.CODEC
    assert (frames.FrameDecoder is native.FrameDecoder) is chosen
    assert (pure.CODEC, pure.FrameDecoder.__module__) == ("pure", "objectstreaming._pure_frames")


@pytest.mark.parametrize(
    ("setting", "codec"), [("1", "pure"), ("yes", "pure"), ("0", "native"), ("", "native"), (None, "native")]
)
def test_a_switch_picks_the_pure_codec(setting: str | None, codec: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OBJECTSTREAMING_PURE"}
    if setting is not None:
        environment["OBJECTSTREAMING_PURE"] = setting
    code = "from objectstreaming import Frame, frames; print(frames.CODEC, Frame.__module__)"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [codec, "objectstreaming.frames"]


class TestBothLookAlike:
    @pytest.mark.parametrize("name", ["Frame", "FrameDecoder", "encode_frame", "encode_frame_parts"])
    def test_their_docstrings_are_the_same(self, name: str) -> None:
        assert inspect.getdoc(getattr(native, name)) == inspect.getdoc(getattr(pure, name))

    @pytest.mark.parametrize("name", ["Frame", "FrameDecoder"])
    def test_so_are_their_public_members_and_theirs(self, name: str) -> None:
        ours, theirs = getattr(native, name), getattr(pure, name)
        assert public(ours) == public(theirs)
        for member in public(ours) - {"header_bytes", "payload", "index", "offset"}:
            assert inspect.getdoc(getattr(ours, member)) == inspect.getdoc(getattr(theirs, member))

    @pytest.mark.parametrize("name", ["FrameDecoder", "encode_frame", "encode_frame_parts"])
    def test_so_are_the_names_and_kinds_of_their_parameters(self, name: str) -> None:
        ours = inspect.signature(getattr(native, name)).parameters.values()
        both = inspect.signature(getattr(pure, name)).parameters.values()
        assert [(p.name, p.kind) for p in ours] == [(p.name, p.kind) for p in both]

    def test_the_limits_of_the_header_file_are_those_of_limits(self) -> None:
        for over in (
            (frames.Limits().frame + 1).to_bytes(4, "little"),
            (100_000).to_bytes(4, "little") + (frames.Limits().header + 1).to_bytes(4, "little"),
        ):
            with pytest.raises(errors.FrameError, match=r"large|above the limit"):
                list(native.FrameDecoder().feed(over))
        exactly = frames.Limits().header.to_bytes(4, "little")
        assert list(native.FrameDecoder().feed(frames.Limits().frame.to_bytes(4, "little") + exactly)) == []


def public(class_: type) -> set[str]:
    return {name for name in dir(class_) if not name.startswith("_")}


# ------------------------------------------------------------------------------------------------------- by property


WRONG = [bytes(4), b"\x07\0\0\0", b"\xff\xff\xff\xff", b"<html>", b"\x14\0\0\0\x0d\0\0\0", b"HTTP", b"\x1f\x8b\x08\0"]


@st.composite
def wires(draw: st.DrawFn, large: bool = False) -> bytes:
    """Frames, mostly good ones, some of which are wrong in a way of their own."""
    sizes = st.integers(0, 40_000 if large else 5000)
    pieces = draw(
        st.lists(
            st.one_of(
                st.binary(max_size=40).map(lambda payload: frames.encode_frame(b'{"a":1}', payload)),
                sizes.map(lambda size: frames.encode_frame(b"{}", bytes([size % 256]) * size)),
                st.binary(max_size=30).map(
                    lambda header: (8 + len(header)).to_bytes(4, "little") + len(header).to_bytes(4, "little") + header
                ),
            ),
            max_size=8,
        )
    )
    return b"".join(pieces) + draw(st.one_of(st.just(b""), st.sampled_from(WRONG), st.binary(max_size=12)))


def states(decoder: Any) -> tuple[int, int, int]:
    return decoder.position, decoder.offset, decoder.buffered


class TestBothAgree:
    @settings(deadline=None)
    @given(st.data())
    def test_at_every_step_whatever_they_are_asked(self, data: st.DataObject) -> None:
        wire = data.draw(wires(large=True))
        limits = data.draw(st.sampled_from([None, frames.Limits(64, 16), frames.Limits(frame=1000)]))
        layout = data.draw(st.sampled_from([frames.LAYOUT, frames.LAYOUT, frames.Layout(1), frames.Layout(3, "big")]))
        both = native.FrameDecoder(limits, layout), pure.FrameDecoder(limits, layout)
        at = 0
        for _ in range(data.draw(st.integers(1, 25))):
            action = data.draw(st.sampled_from(["feed", "feed", "feed", "some", "next", "header", "finish", "wrong"]))
            if action in ("feed", "some"):
                size = data.draw(
                    st.one_of(st.integers(0, 3), st.integers(0, 50), st.integers(0, 6000), st.integers(500, 20_000))
                )
                chunk, at = wire[at : at + size], at + size
                count = 10**6 if action == "feed" else data.draw(st.integers(0, 3))
                seen = [outcome(feed_and_take, one, chunk, count) for one in both]
            elif action == "next":
                seen = [outcome(one.next_frame) for one in both]
            elif action == "header":
                seen = [outcome(next_header, one) for one in both]
            elif action == "finish":
                seen = [outcome(one.finish) for one in both]
            else:
                wrong = data.draw(st.sampled_from(["text", 5, None, [1], True]))
                seen = [outcome(one.feed, wrong) for one in both]
            assert seen[0] == seen[1]
            assert states(both[0]) == states(both[1])

    @settings(deadline=None)
    @given(wires(), st.integers(1, 40), st.booleans())
    def test_on_whole_streams_in_chunks_of_any_size(self, wire: bytes, size: int, bytewise: bool) -> None:
        step = 1 if bytewise else size
        chunks = [wire[at : at + step] for at in range(0, len(wire), step)]
        assert everything(native.FrameDecoder(), chunks) == everything(pure.FrameDecoder(), chunks)

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    def test_when_several_iterators_read_one_stream(self, turns: list[int]) -> None:
        both = native.FrameDecoder(), pure.FrameDecoder()
        iterators = [[one.feed(GOLDEN * 2) for _ in range(3)] for one in both]
        for turn in turns:
            if turn == 3:
                seen = [outcome(one.finish) for one in both]
            else:
                seen = [outcome(next, mine[turn], "ended") for mine in iterators]
            assert seen[0] == seen[1]
            assert states(both[0]) == states(both[1])

    @settings(deadline=None)
    @given(
        st.one_of(
            st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=200) | st.integers() | st.floats()),
            st.binary(max_size=20),
            st.sampled_from([b"{}", b'{"a":[1]}', b'{"a":1', b'{"a":"\\ud800"}', b"{} x", b"\xef\xbb\xbf{}"]),
            st.recursive(st.just({}), lambda inner: st.fixed_dictionaries({"a": inner}), max_leaves=3),
            st.sampled_from([[1], "text", 5, None, object(), {"a": b"x"}, {1: 2}, {(1, 2): 3}, range(3)]),
        ),
        st.one_of(st.binary(max_size=20), st.sampled_from(["text", 5, None, [1], numpy.float32(1.5), bytearray(b"x")])),
        st.sampled_from([frames.LAYOUT, frames.Layout(1), frames.Layout(2, "big"), frames.Layout(8)]),
    )
    def test_on_what_they_encode_and_refuse(self, header: Any, payload: Any, layout: frames.Layout) -> None:
        for name in ("encode_frame", "encode_frame_parts"):
            ours, theirs = (partial(getattr(module, name), layout=layout) for module in (native, pure))
            assert outcome(ours, header, payload) == outcome(theirs, header, payload)

    @pytest.mark.parametrize("depth", [1, 60, 99, 100, 101, 5000])
    def test_on_how_deep_a_header_may_be(self, depth: int) -> None:
        header: Any = {}
        for _ in range(depth - 1):
            header = {"a": header}
        text = b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)
        for given_ in (header, text):
            assert outcome(native.encode_frame, given_) == outcome(pure.encode_frame, given_)
        assert outcome(lambda: native.Frame(text).header) == outcome(lambda: pure.Frame(text).header)

    @pytest.mark.parametrize("digits", [4299, 4300, 4301, 10_000])
    def test_on_how_long_an_integer_may_be(self, digits: int) -> None:
        text = b'{"a":' + b"1" * digits + b"}"
        assert outcome(native.encode_frame, text) == outcome(pure.encode_frame, text)

    @pytest.mark.parametrize(
        "payload",
        [
            numpy.array([1, 2], ">i2"),
            numpy.array(5, "<i4"),
            numpy.array([[1, 2], [3, 4]], "<i2").T,
            numpy.array([1, 2, 3, 4], "<i2")[::-2],
            numpy.zeros((2, 0, 3)),
            numpy.zeros(2, [("left", "<i2"), ("right", "<i2")]),
            numpy.array(["2026-11-20"], "M8[D]"),
            numpy.array([object()]),
            numpy.array([True]),
            numpy.array([1.5], "<f2"),
            array.array("d", [1.5]),
            memoryview(b"abcdef").cast("B", (2, 3)),
            memoryview(b"abcdef")[::-1],
            memoryview(array.array("h", [1, 2])),
        ],
        ids=repr,
    )
    def test_on_arrays_of_every_kind(self, payload: Any) -> None:
        for name in ("encode_frame", "encode_frame_parts"):
            assert outcome(getattr(native, name), {}, payload) == outcome(getattr(pure, name), {}, payload)

    def test_on_what_a_frame_is_equal_to(self) -> None:
        for made in (native.Frame, pure.Frame):
            assert made(b"{}", b"x", 3, 4) == made(b"{}", b"x")
            assert made(b"{}", b"x") != made(b"{}", b"")
            assert made(b"{}") != b"{}"
            assert {made(b"{}", b"x"), made(b"{}", b"x", 1, 2)} == {made(b"{}", b"x")}
        assert hash(native.Frame(b"{}", b"x")) == hash(pure.Frame(b"{}", b"x"))

    def test_on_calls_that_are_wrong(self) -> None:
        for wrong in (
            lambda m: m.encode_frame(),
            lambda m: m.encode_frame({}, b"", b""),
            lambda m: m.encode_frame({}, payload=b"", header={}),
            lambda m: m.encode_frame({}, other=1),
            lambda m: m.Frame(),
            lambda m: m.FrameDecoder(1, 2, 3),
            lambda m: m.FrameDecoder().feed(),
        ):
            for module in (native, pure):
                with pytest.raises(TypeError):
                    wrong(module)


def next_header(decoder: Any) -> Any:
    return decoder.next_frame().header


def feed_and_take(decoder: Any, chunk: bytes, count: int) -> list[Any]:
    """Up to `count` items; an error that follows them is kept beside them."""
    iterator = decoder.feed(chunk)
    items: list[Any] = []
    while len(items) < count:
        item = outcome(next, iterator, None)
        if item is None:
            break
        items.append(item)
        if isinstance(item[0], type):
            break
    return items


def everything(decoder: Any, chunks: list[bytes]) -> list[Any]:
    seen = [(outcome(feed_and_take, decoder, chunk, 10**6), states(decoder)) for chunk in chunks]
    return [*seen, outcome(decoder.finish), states(decoder)]


# ------------------------------------------------------------------------------------------------ what C can get wrong


class TestFrame:
    def test_is_copied_and_pickled(self) -> None:
        frame = native.Frame(b'{"a":1}', b"xy", 3, 40)
        assert frame.header == {"a": 1}
        for one in (copy.copy(frame), copy.deepcopy(frame)):
            assert plain(one) == plain(frame)

    @pytest.mark.parametrize("writer", ["", "1"])
    @pytest.mark.parametrize("reader", ["", "1"])
    def test_crosses_from_one_process_to_another_whichever_codec_each_runs_on(self, writer: str, reader: str) -> None:
        dump = (
            "import pickle, sys; from objectstreaming import Frame; frame = Frame(b'{\"a\":1}', b'xy', 3, 40); "
            "frame.header; sys.stdout.buffer.write(pickle.dumps(frame))"
        )
        load = "import pickle, sys; frame = pickle.load(sys.stdin.buffer); print(repr(frame), frame.header)"

        def run(code: str, switch: str, stdin: bytes = b"") -> bytes:
            environment = {**os.environ, "OBJECTSTREAMING_PURE": switch}
            return subprocess.run(
                [sys.executable, "-c", code], env=environment, input=stdin, capture_output=True, check=True
            ).stdout

        loaded = run(load, reader, run(dump, writer)).decode()
        assert loaded.strip() == "Frame(b'{\"a\":1}', b'xy', index=3, offset=40) {'a': 1}"

    def test_can_be_subclassed_and_matched(self) -> None:
        class Mine(native.Frame):
            pass

        mine = Mine(b"{}", b"x", 1, 2)
        mine.note = mine  # a cycle, which the collector finds
        assert mine == native.Frame(b"{}", b"x")
        match mine:
            case native.Frame(header, payload):
                assert (header, payload) == (b"{}", b"x")
            case _:
                pytest.fail("a frame matches by position")

    def test_takes_any_bytes_like_in_it(self) -> None:
        assert bytes(native.Frame(bytearray(b"{}"), memoryview(b"x"))) == bytes(native.Frame(b"{}", b"x"))
        with pytest.raises(TypeError):
            bytes(native.Frame("{}"))  # type: ignore[arg-type]


class Header(msgspec.Struct):
    a: int = 0


HEADER, ANY = msgspec.json.Decoder(Header).decode, msgspec.json.Decoder().decode


def checked(header: Any, payload: Any) -> bytes:
    return frames.encode_frame(header, strict_json.dumps(payload))


class Encoding(native.JsonEncoder):
    def __init__(self, checked: Any = None) -> None:
        self.checked = checked

    def _encode_checked(self, header: Any, payload: Any) -> bytes:
        return self.checked(header, payload) if self.checked else b"looked at"


class TestTheJsonCodersShortCuts:
    """What they give is what strict_json gives; where they cannot know, they give nothing, or ask."""

    HEADERS = st.sampled_from(
        [
            b"{}",
            b'{"a":1}',
            b'{"a":"x"}',
            b"[]",
            b"",
            b'{"b":"\xff"}',
            b'{"b":"\xc3\xa9"}',
            b"{",
            b'{"b":"\xed\xa0\x80"}',
        ]
    )
    PAYLOADS = st.one_of(
        st.binary(max_size=10),
        st.sampled_from(
            [b"1", b"null", b'"\xc3\xa9"', b'{"a":"\xff"}', b"[" * 150 + b"]" * 150, b'"' + b"[" * 150 + b'"']
        ),
    )

    @settings(deadline=None)
    @given(HEADERS, PAYLOADS)
    def test_decode_what_strict_json_decodes_and_nothing_else(self, header: bytes, payload: bytes) -> None:
        plains = native.PlainJson(HEADER, ANY), pure_json._plain_decoder(HEADER, ANY)
        assert outcome(plains[0], header, payload) == outcome(plains[1], header, payload)
        short = plains[0](header, payload)
        if short is not None:
            assert short == (strict_json.Decoder(Header).decode(header), strict_json.loads(payload))

    @pytest.mark.parametrize(
        "payload", [b'"x"', '"é"'.encode(), b'"' + b"x" * 5000 + b'"', b"[1," * 40 + b"0" + b"]" * 40]
    )
    def test_decode_an_ordinary_frame(self, payload: bytes) -> None:
        for plain_json in (native.PlainJson(HEADER, ANY), pure_json._plain_decoder(HEADER, ANY)):
            assert plain_json(b'{"a":1}', payload) == (Header(1), strict_json.loads(payload))

    @pytest.mark.parametrize(
        "error", [RecursionError(), UnicodeDecodeError("utf-8", b"", 0, 1, ""), msgspec.DecodeError()]
    )
    def test_decoding_gives_way_to_who_can_say_more(self, error: Exception) -> None:
        def fail(data: bytes) -> None:
            raise error

        for plain_json in (native.PlainJson(HEADER, fail), pure_json._plain_decoder(HEADER, fail)):
            assert plain_json(b"{}", b"1") is None

    def test_a_million_in_one_another_are_let_go(self) -> None:
        nested: Any = None
        for _ in range(1_000_000):
            nested = native.PlainJson(nested, None)
        assert copy.deepcopy(nested) is nested
        del nested

    def test_decoding_passes_on_what_is_not_about_json(self) -> None:
        def fail(data: bytes) -> None:
            raise KeyError(data)

        for plain_json in (native.PlainJson(HEADER, fail), pure_json._plain_decoder(HEADER, fail)):
            with pytest.raises(KeyError):
                plain_json(b"{}", b"1")

    def test_decoding_takes_two_arguments(self) -> None:
        plain_json = native.PlainJson(HEADER, ANY)
        assert plain_json(bytearray(b"{}"), b"1") is None  # type: ignore[arg-type]
        for wrong in ((b"{}",), (b"{}", b"1", b"2")):
            with pytest.raises(TypeError):
                plain_json(*wrong)
        with pytest.raises(TypeError):
            plain_json(b"{}", b"1", wrong=1)  # type: ignore[call-arg]

    @settings(deadline=None)
    @given(
        st.one_of(st.dictionaries(st.text(max_size=3), st.integers()), st.sampled_from([[1], None, Header(2), b"{}"])),
        st.recursive(
            st.none() | st.floats() | st.text(max_size=8) | st.integers() | st.just(object()),
            lambda inner: st.lists(inner, max_size=3),
        ),
    )
    def test_encode_what_strict_json_encodes_and_nothing_else(self, header: Any, payload: Any) -> None:
        wire = Encoding().encode(header, payload)
        if wire != b"looked at":
            assert wire == pure.encode_frame(strict_json.dumps(header), strict_json.dumps(payload))
        assert outcome(Encoding(checked).encode, header, payload) == outcome(
            pure_json.JsonCoder().encode, header, payload
        )

    def test_encode_an_ordinary_frame_without_a_look(self) -> None:
        encode = Encoding().encode
        for payload in (["x"] * 500, "null and void"[1:], "nul", "unnullable"[3:], "u", "n", "ull", 0, "é"):
            assert encode(Header(1), payload) == frames.encode_frame({"a": 1}, strict_json.dumps(payload))
        for header, payload in (([1], 1), ({}, float("nan")), ({}, [[]] * 101), ({}, "null"), (msgspec.Raw(b""), 1)):
            assert encode(header, payload) == b"looked at"
        assert encode(header={}, payload=1) == b"looked at"
        with pytest.raises(TypeError):
            encode({})  # type: ignore[call-arg]
        with pytest.raises(NotImplementedError):
            pure_json.JsonEncoder()._encode_checked({}, 1)
        with pytest.raises(AttributeError):
            native.JsonEncoder().encode({}, object())


class TestOrdinary:
    @given(
        st.one_of(
            st.tuples(
                st.sampled_from([b"{}", b'{"$stream":1}', b'{"a":"$stream"}', b'{"$strea":"m$"}', b'{"a":"$$stream"}']),
                st.sampled_from([b"", b"$stream", b"x" * 40]),
            ).map(lambda both: pure.encode_frame(*both)),
            st.binary(min_size=8, max_size=40),
        ),
        st.sampled_from([0, 8, 20, 1 << 20, 1 << 70]),
        st.sampled_from([0, 2, 20, 1 << 70]),
    )
    def test_is_what_the_pure_codec_says_it_is(self, wire: bytes, max_frame: int, max_header: int) -> None:
        _, size = pure_protocol._words(wire, 0)
        expected = pure_protocol.is_ordinary(wire, max_frame, max_header) and size <= len(wire) - 8
        assert native.is_ordinary(wire, max_frame, max_header) is expected

    def test_what_is_no_frame_is_not(self) -> None:
        assert native.is_ordinary(b"short", 100, 100) is False
        assert native.is_ordinary(bytearray(8), 100, 100) is False
        assert native.is_ordinary(bytes(8), math.inf, 5) is False  # type: ignore[arg-type]  # and then Python looks
        with pytest.raises(TypeError):
            native.is_ordinary(b"")  # type: ignore[call-arg]


class NativeReader(native.Reader):
    look: Callable[[Any, Any], Any]

    def _look(self, frame: Any) -> Any:
        return self.look(self, frame)


class PureReader(pure_protocol.Reader[Any, Any]):  # type: ignore[name-defined, misc]
    look: Callable[[Any, Any], Any]
    _look = NativeReader._look


def readers(look: Callable[[Any, Any], Any], plains: Any = (None, None)) -> tuple[Any, Any]:
    """A reader of either kind, whose frames `look(reader, frame)` is shown."""
    made = NativeReader(native.FrameDecoder()), PureReader(pure.FrameDecoder())
    for reader, plain_decoder in zip(made, plains, strict=True):
        reader.look = look
        reader._plain = plain_decoder
    return made


def finish(reader: Any) -> None:
    """As `StreamDecoder.finish` does."""
    reader._finished = True
    reader._frames.finish()


def plain_json_decoders() -> tuple[Any, Any]:
    return native.PlainJson(HEADER, ANY), pure_json._plain_decoder(HEADER, ANY)


class TestTheReaders:
    def test_look_only_at_what_is_not_plain(self) -> None:
        looked_at: list[bytes | None] = []

        def look(self: Any, frame: Any) -> Any:
            looked_at.append(frame and frame.header_bytes)
            return None if frame is None or b"$stream" in frame.header_bytes else ("looked at", frame.index)

        ordinary = native.encode_frame({"a": 1}, b"2")
        others = [b'{"$stream":{"type":"ping"}}', b'{"a":"x"}', b""]
        wire = ordinary * 3 + b"".join(bytes(native.Frame(other, b"3")) + ordinary for other in others)
        message = (Header(1), 2)
        for reader in readers(look, plain_json_decoders()):
            looked_at.clear()
            read = [*reader.feed(wire[:40]), *reader.feed(wire[40:])]
            assert looked_at == others
            assert read == [message] * 4 + [("looked at", 5), message, ("looked at", 7), message]
            finish(reader)
            assert reader.next_message() is None
            assert looked_at[-1] is None

    @given(st.one_of(st.integers(1, 60), st.integers(400, 20_000)), st.booleans(), st.data())
    @settings(deadline=None)
    def test_agree_at_every_step(self, size: int, plainly: bool, data: st.DataObject) -> None:
        wire = data.draw(wires(large=size > 60))

        def look(self: Any, frame: Any) -> Any:
            if frame is None:
                return None
            if frame.index % 5 == 4:
                raise errors.PayloadError("refused", frame.index)
            self._plain = kept[self] if plainly and frame.index % 3 else None
            return None if frame.index % 4 == 2 else ("looked at", frame.header_bytes, frame.index, frame.offset)

        both = readers(look, plain_json_decoders() if plainly else (None, None))
        kept = dict(zip(both, plain_json_decoders(), strict=True))
        finished = False
        for at in range(0, len(wire) + size, size):
            chunk = wire[at : at + size]
            if not chunk:
                seen = [outcome(finish, one) for one in both]
                assert seen[0] == seen[1]
                finished = True
            iterators = [None if finished else outcome(one.feed, chunk) for one in both]
            lost = finished or isinstance(iterators[0], tuple)  # an error
            if isinstance(iterators[0], tuple):
                assert iterators[0] == iterators[1]
            for _ in range(data.draw(st.sampled_from([0, 1, 100]))):
                if lost:
                    seen = [outcome(one.next_message) for one in both]
                else:
                    seen = [outcome(next, iterator, "ended") for iterator in iterators]
                assert seen[0] == seen[1]
                assert states(both[0]._frames) == states(both[1]._frames)
                if seen[0] in (None, "ended"):
                    break

    def test_a_failure_is_raised_by_every_call(self) -> None:
        for reader in readers(lambda self, frame: None):
            reader._failure = errors.StreamIncomplete("cut", 3)
            for ask in (lambda reader=reader: reader.feed(b""), reader.next_message):
                with pytest.raises(errors.StreamIncomplete, match="cut"):
                    ask()
            for wrong in (5, "text", ValueError):
                reader._failure = wrong
                with pytest.raises((TypeError, AttributeError)):
                    reader.feed(b"")

    def test_what_is_raised_within_ends_the_iteration_and_loses_one_frame_only(self) -> None:
        def look(self: Any, frame: Any) -> Any:
            raise errors.PayloadError("refused", frame.index)

        for reader in readers(look, plain_json_decoders()):
            wire = native.encode_frame({}, b"1") + native.encode_frame({}, b"no") + native.encode_frame({}, b"3")
            messages = reader.feed(wire + bytes(4))
            assert next(messages) == (Header(), 1)
            with pytest.raises(errors.PayloadError):
                next(messages)
            assert next(messages, None) is None
            assert reader.next_message() == (Header(), 3)
            with pytest.raises(errors.InvalidLength):
                reader.next_message()

    def test_a_plain_decoder_of_any_kind_will_do(self) -> None:
        def plain_decoder(header: bytes, payload: bytes) -> Any:
            if payload == b"stop":
                raise StopIteration
            return (header, payload) if payload else None

        for reader in readers(lambda self, frame: "looked at", (plain_decoder, plain_decoder)):
            wire = b"".join(native.encode_frame({}, payload) for payload in (b"x", b"", b"stop", b"y"))
            assert list(reader.feed(wire[:20])) == [(b"{}", b"x")]
            assert next(reader.feed(wire[20:])) == "looked at"
            with pytest.raises(RuntimeError):
                reader.next_message()
            assert reader.next_message() == (b"{}", b"y")

    def test_what_is_decoded_holds_no_chunk(self) -> None:
        frame = native.encode_frame({}, b'"small"')
        chunk = b"%b%b%b" % (frame, frame, bytes(8))
        for payload_type in (Any, msgspec.Raw):
            (reader, _) = readers(
                look_in_vain, (native.PlainJson(HEADER, msgspec.json.Decoder(payload_type).decode), None)
            )
            held = sys.getrefcount(chunk)
            messages = reader.feed(chunk)
            values = [next(messages)[1], next(messages)[1]]
            assert [bytes(value) if payload_type is msgspec.Raw else value for value in values] == (
                [b'"small"'] * 2 if payload_type is msgspec.Raw else ["small"] * 2
            )
            with pytest.raises(errors.InvalidLength):
                next(messages)
            assert sys.getrefcount(chunk) == held

    def test_what_decodes_may_keep_what_it_is_shown(self) -> None:
        kept: list[Any] = []

        def decode(data: Any) -> Any:
            kept.append(data)
            return bytes(data)

        (reader, _) = readers(look_in_vain, (native.PlainJson(decode, decode), None))
        assert list(reader.feed(GOLDEN * 2)) == [(b'{"a": 1}', b'{"b": 2}')] * 2
        assert set(map(bytes, kept)) == {b'{"a": 1}', b'{"b": 2}'}

    def test_decoders_may_be_entered_again(self) -> None:
        class Nested(msgspec.Struct):
            a: int = 0

            def __post_init__(self) -> None:
                if self.a < 3:
                    inner.extend(other.feed(native.encode_frame({"a": self.a + 1}, b"[0]") * 2))

        inner: list[Any] = []
        plain_json = native.PlainJson(msgspec.json.Decoder(Nested).decode, ANY)
        reader, other = (readers(look_in_vain, (plain_json, None))[0] for _ in range(2))
        read = list(reader.feed(native.encode_frame({"a": 1}, b"[1]") * 2))
        assert [(header.a, payload) for header, payload in read] == [(1, [1])] * 2
        assert sorted((header.a, payload) for header, payload in inner) == [(2, [0])] * 4 + [(3, [0])] * 8

    def test_what_decodes_may_feed_the_reader_and_change_it(self) -> None:
        def plain_decoder(header: bytes, payload: bytes) -> Any:
            reader._plain = None
            reader.feed(native.encode_frame({}, payload + b"'"))
            return payload

        for reader in readers(lambda self, frame: frame.payload + b"!", (plain_decoder, plain_decoder)):
            assert list(reader.feed(GOLDEN[:8] + b'{"a": 1}' + b"payload1" + GOLDEN)) == [
                b"payload1",
                b'{"b": 2}!',
                b"payload1'!",
            ]

    def test_one_may_be_made_again_from_within(self) -> None:
        def look(self: Any, frame: Any) -> Any:
            self.__init__(type(self._frames)())
            return frame.index

        for reader in readers(look):
            messages = reader.feed(GOLDEN * 3)
            assert next(messages) == 0
            assert list(reader.feed(GOLDEN)) == [0]

    def test_a_chunk_that_is_used_up_is_let_go_with_the_next(self) -> None:
        chunk = b"%b%b" % (GOLDEN, GOLDEN)
        held = sys.getrefcount(chunk)
        for reader in readers(lambda self, frame: frame):
            reader.feed(chunk)
            assert reader.next_message() is not None
            assert reader.next_message() is not None
            reader.feed(GOLDEN[:1])
            assert sys.getrefcount(chunk) == held

    def test_the_native_one_is_of_native_frames(self) -> None:
        with pytest.raises(TypeError):
            native.Reader(pure.FrameDecoder())
        bare = native.Reader.__new__(native.Reader)
        for ask in (lambda: bare.feed(b""), bare.next_message):
            with pytest.raises(RuntimeError, match="__init__"):
                ask()

    def test_the_pure_one_is_to_be_built_upon(self) -> None:
        with pytest.raises(NotImplementedError):
            pure_protocol.Reader(pure.FrameDecoder())._look(None)

    def test_their_docstrings_are_the_same(self) -> None:
        for name in ("feed", "next_message"):
            ours, theirs = getattr(native.Reader, name), getattr(pure_protocol.Reader, name)
            assert inspect.getdoc(ours) == inspect.getdoc(theirs)
        assert inspect.getdoc(native.is_ordinary) == inspect.getdoc(pure_protocol.is_ordinary)


class TestReEntry:
    def test_feeding_and_reading_from_within_the_iteration(self) -> None:
        decoder = native.FrameDecoder()
        read = []
        for frame in decoder.feed(GOLDEN * 2 + GOLDEN[:7]):
            read.append(frame.index)
            if len(read) == 1:
                decoder.feed(GOLDEN[7:] + GOLDEN * 3)
                inner = decoder.next_frame()
                assert inner is not None
                read.append(inner.index)
                read.extend(other.index for other in decoder.feed(GOLDEN))
        assert read == list(range(7))
        assert states(decoder) == (7, 7 * 24, 0)

    def test_a_decoder_started_anew_from_within_its_iteration(self) -> None:
        decoder = native.FrameDecoder()
        for frame in decoder.feed(GOLDEN * 3):
            assert frame.index == 0
            decoder.__init__()
        assert states(decoder) == (0, 0, 0)

    def test_an_error_class_that_feeds_the_decoder_while_it_is_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        decoder = native.FrameDecoder()
        made = errors.FrameError.__init__
        depth = 0

        def init(self: Any, *args: Any) -> None:
            nonlocal depth
            made(self, *args)
            if depth < 3:
                depth += 1
                outcome(decoder.feed, GOLDEN)
                outcome(decoder.next_frame)

        monkeypatch.setattr(errors.FrameError, "__init__", init)
        with pytest.raises(errors.InvalidLength):
            list(decoder.feed(bytes(8)))
        with pytest.raises(errors.InvalidLength):
            decoder.next_frame()
        assert decoder.buffered == 0

    def test_an_iterator_that_has_ended_or_failed_stays_so(self) -> None:
        decoder = native.FrameDecoder()
        ended = decoder.feed(GOLDEN)
        assert len(list(ended)) == 1
        decoder.feed(GOLDEN)
        assert next(ended, None) is None
        failing = decoder.feed(bytes(4))
        next(failing)
        with pytest.raises(errors.InvalidLength):
            next(failing)
        assert next(failing, None) is None

    def test_threads_that_share_a_decoder_lose_nothing(self) -> None:
        decoder = native.FrameDecoder()
        decoder.feed(GOLDEN * 4000)
        taken: list[int] = []

        def read() -> None:
            while (frame := decoder.next_frame()) is not None:
                taken.append(frame.index)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == list(range(4000))


class TestBuffers:
    def test_a_callers_buffer_is_its_own_again_after_feed(self, tmp_path: Path) -> None:
        decoder = native.FrameDecoder()
        chunk = bytearray(GOLDEN * 2)
        unread = decoder.feed(chunk)
        chunk.clear()  # a BufferError, were it still held
        assert [frame.payload for frame in unread] == [b'{"b": 2}'] * 2
        path = tmp_path / "frames"
        path.write_bytes(GOLDEN)
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            unread = decoder.feed(mapped)
            mapped.close()
        assert len(list(unread)) == 1

    def test_a_payload_is_let_go_after_encoding_and_after_a_refusal(self) -> None:
        pcm = bytearray(b"\1\2")
        native.encode_frame({}, pcm)
        with pytest.raises(errors.EncodeError):
            native.encode_frame({}, bytearray(300), layout=frames.Layout(1))
        head, body = native.encode_frame_parts({}, pcm)
        del head, body
        pcm.append(3)

    def test_small_frames_do_not_pin_the_chunk_they_came_in(self) -> None:
        gc.collect()
        tracemalloc.start()
        try:
            decoder = native.FrameDecoder()
            kept = []
            for _ in range(20):
                chunk = native.encode_frame({}, bytes(10)) + native.encode_frame({}, bytes(200_000))
                kept.append(next(decoder.feed(chunk)))
                decoder.next_frame()
            decoder.next_frame()
            del chunk
            assert tracemalloc.get_traced_memory()[0] < 100_000
        finally:
            tracemalloc.stop()

    def test_a_frame_that_comes_in_pieces_holds_at_most_twice_what_has_come(self) -> None:
        claimed = (10_000_000).to_bytes(4, "little") + (2).to_bytes(4, "little") + b"{}"
        tracemalloc.start()
        try:
            decoder = native.FrameDecoder()
            decoder.feed(claimed)
            for n in range(1, 200):
                decoder.feed(b"x" * 1000)
                assert tracemalloc.get_traced_memory()[0] < 2 * 1000 * n + 8192
        finally:
            tracemalloc.stop()


def memory_of(work: Callable[[], object], rounds: int) -> int:
    """Bytes that `rounds` calls leave behind, after as many to warm up."""
    for _ in range(rounds):
        work()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(rounds):
            work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


class TestReferences:
    """Every path leaves as many references as it found."""

    PATHS: ClassVar[dict[str, Callable[[], object]]] = {
        "whole frames": lambda: list(native.FrameDecoder().feed(GOLDEN * 50)),
        "straddling frames": lambda: everything(native.FrameDecoder(), [GOLDEN[:5], GOLDEN[5:20], GOLDEN[20:] * 2]),
        "unread frames": lambda: native.FrameDecoder().feed(GOLDEN * 5),
        "waiting chunks": lambda: [native_with_waiting().next_frame() for _ in range(2)],
        "a straddler left behind": lambda: native.FrameDecoder().feed(GOLDEN[:20]),
        "a length error": lambda: everything(native.FrameDecoder(), [GOLDEN, bytes(8), GOLDEN]),
        "a truncated frame": lambda: everything(native.FrameDecoder(), [GOLDEN[:9]]),
        "a peeked frame": lambda: native_with_waiting().finish(),
        "a wrong chunk": lambda: outcome(native.FrameDecoder().feed, 5),
        "a bytearray": lambda: list(native.FrameDecoder().feed(bytearray(GOLDEN))),
        "a header": lambda: native.Frame(b'{"a":1}').header,
        "a bad header": lambda: outcome(getattr, native.Frame(b"[1]"), "header"),
        "str and repr and bytes": lambda: (str(FRAME), repr(FRAME), bytes(FRAME), hash(FRAME), FRAME == FRAME),
        "a pickle": lambda: FRAME.__reduce__(),
        "messages": lambda: list(readers(look_in_vain, plain_json_decoders())[0].feed(GOLDEN * 50)),
        "messages of any kind": lambda: list(readers(look_in_vain, (lambda *both: both, None))[0].feed(GOLDEN * 50)),
        "messages looked at": lambda: list(readers(lambda self, frame: frame)[0].feed(GOLDEN * 50)),
        "messages unread": lambda: readers(look_in_vain)[0].feed(GOLDEN * 50),
        "a look that raises": lambda: outcome(list, readers(lambda self: None)[0].feed(GOLDEN)),
        "a decoder that raises": lambda: outcome(list, readers(look_in_vain, (lambda: None, None))[0].feed(GOLDEN)),
        "a reader that failed": lambda: outcome(failed_reader().next_message),
        "a message refused": lambda: native.PlainJson(HEADER, ANY)(b"{}", b"nope"),
        "encoding JSON": lambda: [outcome(encode_json, {}, value) for value in (1, None, {1j}, "\ud800")],
        "ordinary frames": lambda: (native.is_ordinary(GOLDEN, 100, 100), outcome(native.is_ordinary, GOLDEN, "", 1)),
        "encoding a dict": lambda: native.encode_frame({"a": 1}, b"x"),
        "encoding bytes": lambda: native.encode_frame(b'{"a":1}', bytearray(b"x")),
        "encoding in parts": lambda: native.encode_frame_parts({"a": None}, numpy.zeros(3)),
        "a refused header": lambda: outcome(native.encode_frame, [1]),
        "a refused JSON header": lambda: outcome(native.encode_frame, b"[1]"),
        "a refused payload": lambda: outcome(native.encode_frame, {}, "x"),
        "a refused array": lambda: outcome(native.encode_frame, {}, numpy.array([object()])),
        "a frame too large": lambda: outcome(partial(native.encode_frame, layout=frames.Layout(1)), {}, bytes(300)),
        "parts too large": lambda: outcome(partial(native.encode_frame_parts, layout=frames.Layout(1)), {}, bytes(300)),
    }

    @pytest.mark.parametrize("path", PATHS)
    def test_do_not_leak(self, path: str) -> None:
        assert memory_of(self.PATHS[path], 300) < 2000

    def test_memory_is_flat_over_a_million_frames(self) -> None:
        chunk = GOLDEN * 2700 + GOLDEN[:11]  # 64 KiB, cut inside a frame
        rest = GOLDEN[11:]
        decoder = native.FrameDecoder()

        def work() -> None:
            for part in (chunk, rest):
                for frame in decoder.feed(part):
                    del frame

        assert memory_of(work, 185) < 2000
        assert decoder.position == 2 * 185 * 2701

    def test_a_cycle_through_a_dead_decoder_is_collected(self) -> None:
        class Marked(native.FrameDecoder):
            pass

        alive = []

        def die() -> None:
            decoder = Marked()
            alive.append(weakref.ref(decoder))
            try:
                list(decoder.feed(bytes(4)))
            except errors.InvalidLength as error:
                error.decoder = decoder  # type: ignore[attr-defined]

        die()
        gc.collect()
        assert [reference() for reference in alive] == [None]


FRAME = native.Frame(b'{"a":1}', b"xy")


def look_in_vain(reader: Any, frame: Any) -> None:
    """No message."""


encode_json = Encoding(checked).encode


def failed_reader() -> Any:
    reader = native.Reader(native.FrameDecoder())
    reader._failure = errors.StreamIncomplete("cut", 3)
    return reader


def native_with_waiting() -> Any:
    decoder = native.FrameDecoder()
    for _ in range(12):
        decoder.feed(GOLDEN)
    return decoder


def test_an_allocation_that_fails_anywhere_leaves_no_short_success() -> None:
    """Memory runs out at every point in turn: the decoder raises MemoryError, and then goes on or stays dead."""
    testcapi = pytest.importorskip("_testcapi")
    wire = GOLDEN * 3
    chunks = [wire[:10], wire[10:30], wire[30:]]
    expected = [GOLDEN] * 3
    for start in range(60):
        decoder = native.FrameDecoder()
        read: list[bytes] = []
        failed = False
        died = False
        for chunk in chunks:
            try:
                testcapi.set_nomemory(start, start + 1)
                try:
                    unread = decoder.feed(chunk)
                finally:
                    testcapi.remove_mem_hooks()
            except MemoryError:
                failed = died = True
                break
            while True:
                try:
                    testcapi.set_nomemory(start, start + 1)
                    try:
                        frame = next(unread, None)
                    finally:
                        testcapi.remove_mem_hooks()
                except MemoryError:
                    failed = True
                    try:
                        frame = decoder.next_frame()
                    except MemoryError:
                        died = True
                        break
                if frame is None:
                    break
                read.append(bytes(frame))
            if died:
                break
        assert read == expected[: len(read)]
        assert died or read == expected, f"memory failed at {start}: {failed}"
