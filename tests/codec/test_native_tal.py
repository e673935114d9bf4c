"""The tal coder's short cuts in C beside those in Python: whatever they are asked, they say the same."""

from __future__ import annotations

import copy
import enum
import gc
import itertools
import pickle
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from implementations import load_pure, needs_native

from objectstreaming import FrameDecoder, encode_frame, errors
from wav_streaming import TALAudio, TALCoder
from wav_streaming.tal import MEMBERS as TABLE

needs_native()

from objectstreaming import _native as native  # noqa: E402

pure = load_pure("wav_streaming.tal")
pure_order = load_pure("wav_streaming.order")
JSON, FROM_JSON = msgspec.json.Encoder().encode, msgspec.json.Decoder(TALAudio).decode
CODEC = native.TalCodec(TALAudio, JSON, FROM_JSON, msgspec.UNSET, TABLE)

# Members as they may be, and as they may not.
STRINGS = st.one_of(
    st.just(""), st.text(max_size=12), st.sampled_from(['"', "\\", "\n", "\x7f", "\ud800", "é", "语音"])
)
MEMBERS = {
    "audioType": st.sampled_from(["int16", "int32", "float32", 16, None]),
    "bitDepth": st.sampled_from([16, 32, 24, True, "16"]),
    "sampleRate": st.sampled_from([1, 16000, 768_000, 768_001, 0, -1, 1 << 70, 16000.0]),
    "channels": st.sampled_from([1, 2, 255, 256, 0, True, numpy.int64(1)]),
    "audioFormat": st.sampled_from(["wav", "mp3", "", b"wav"]),
    "question": st.one_of(STRINGS, st.sampled_from([None, 5, b"x"])),
    "answer": st.one_of(STRINGS, st.sampled_from([None, 5, b"x"])),
    "url": st.one_of(STRINGS, st.sampled_from([None, 5, b"x"])),
    "sign": st.sampled_from([1, 2, 3, 4, 0, True, "1"]),
    "order": st.sampled_from([1, 2, 10, (1 << 53) - 1, 1 << 53, 0, -5, True, 1.0]),
}
ANY_MEMBERS = st.fixed_dictionaries({}, optional={name: value for name, value in MEMBERS.items()})  # noqa: C416
SOUND = st.fixed_dictionaries(
    {},
    optional={
        "sampleRate": st.integers(1, 768_000),
        "channels": st.integers(1, 255),
        "question": STRINGS,
        "answer": STRINGS,
        "url": STRINGS,
        "sign": st.integers(1, 3),
        "order": st.integers(1, (1 << 53) - 1),
    },
)
PCM = st.one_of(
    st.integers(0, 9).map(bytes),
    st.sampled_from([bytearray(4), memoryview(bytes(6)), numpy.zeros(4, "<i2"), "text", 5, None]),
)


def outcome(ask: Callable[..., Any], *args: Any) -> Any:
    try:
        return plain(ask(*args))
    except (errors.ObjectStreamError, AttributeError, TypeError) as error:
        return type(error), str(error)


def plain(value: Any) -> Any:
    if isinstance(value, TALAudio | pure.TALAudio):
        return value.to_dict()
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


def made_of(kind: Any, members: dict[str, Any]) -> Any:
    tal = kind()
    for name, value in members.items():
        setattr(tal, name, value)
    return tal


class TestEncoding:
    @settings(deadline=None)
    @given(st.lists(st.one_of(SOUND, SOUND, ANY_MEMBERS), min_size=1, max_size=4), PCM, st.booleans())
    def test_is_the_same_in_c_and_in_python(self, stream: list[dict[str, Any]], pcm: Any, wide: bool) -> None:
        ours, theirs = TALCoder(), pure.TALCoder()
        for members in stream:
            if wide:
                members = {"audioType": "int32", "bitDepth": 32} | members
            expected = outcome(theirs.encode, made_of(pure.TALAudio, members), pcm)
            assert outcome(ours.encode, made_of(TALAudio, members), pcm) == expected
            short = CODEC.encode(made_of(TALAudio, members), pcm)
            assert short is None or short == expected

    def test_writes_every_character_as_msgspec_does(self) -> None:
        for code in itertools.chain(range(0x300), (0x2028, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF)):
            tal = TALAudio(question=chr(code), answer="a" + chr(code), url=chr(code) * 2)
            assert CODEC.encode(tal, b"") == encode_frame(JSON(tal), b"")

    def test_takes_the_short_way_with_ordinary_frames(self) -> None:
        for members in ({}, {"answer": "Good morning.", "sign": 2, "order": 77}, {"answer": 'He said "é".'}):
            tal = TALAudio(**members)
            assert CODEC.encode(tal, bytes(4)) == encode_frame(msgspec.json.encode(tal), bytes(4))

    def test_gives_way_where_there_is_more_to_say(self) -> None:
        more = TALAudio()
        more.extra = {"speaker": "Ann"}
        torn = TALAudio()
        del torn.url
        for tal in (more, torn, TALAudio(answer="\ud800"), {}, None, 5):
            assert CODEC.encode(tal, bytes(4)) is None
        for pcm in (bytes(3), bytearray(4), "text", None):
            assert CODEC.encode(TALAudio(), pcm) is None
        with pytest.raises(TypeError):
            CODEC.encode(TALAudio())  # type: ignore[call-arg]
        with pytest.raises(errors.EncodeError, match="the header is a TALAudio, not dict"):
            TALCoder().encode({"order": 1}, b"")  # type: ignore[arg-type]

    def test_a_collector_that_changes_what_is_being_encoded_breaks_nothing(self) -> None:
        """To say that a surrogate has no UTF-8 makes an error; that may start the collector, and that run anything."""
        tal = TALAudio(question="q\ud800")
        junk: list[Any] = []

        def meddle(phase: str, info: Any) -> None:
            tal.answer, tal.url = "short", "u"
            junk.append([b"\xff" * 200_100 for _ in range(3)])

        thresholds = gc.get_threshold()
        gc.callbacks.append(meddle)
        try:
            for threshold in range(1, 40):
                junk.clear()
                tal.answer, tal.url = ("".join(chr(0xE9 + n % 5) for n in range(100_000)) for _ in range(2))
                gc.set_threshold(threshold)
                assert CODEC.encode(tal, bytes(4)) is None
                gc.set_threshold(*thresholds)
        finally:
            gc.set_threshold(*thresholds)
            gc.callbacks.remove(meddle)

    def test_a_number_that_only_looks_like_an_integer_is_refused_after_a_good_frame_too(self) -> None:
        class Rate(enum.IntEnum):
            USUAL = 16_000

        class Kind(enum.StrEnum):
            SHORT = "int16"

        for coder, tal in ((TALCoder(), TALAudio()), (pure.TALCoder(), pure.TALAudio())):
            for name, alike in (("sampleRate", Rate.USUAL), ("audioType", Kind.SHORT)):
                coder.encode(tal, b"")
                right = getattr(tal, name)
                setattr(tal, name, alike)
                with pytest.raises(errors.EncodeError, match=name):
                    coder.encode(tal, b"")
                setattr(tal, name, right)

    def test_a_change_within_a_stream_is_seen(self) -> None:
        for coder, tal in ((TALCoder(), TALAudio()), (pure.TALCoder(), pure.TALAudio())):
            coder.encode(tal, bytes(4))
            for name, wrong in (("sign", True), ("url", 5), ("question", None), ("channels", 0), ("order", 0)):
                right = getattr(tal, name)
                setattr(tal, name, wrong)
                with pytest.raises(errors.EncodeError, match=name):
                    coder.encode(tal, bytes(4))
                setattr(tal, name, right)
                coder.encode(tal, bytes(4))
            tal.channels = 2
            with pytest.raises(errors.EncodeError, match="whole sample frames"):
                coder.encode(tal, bytes(2))


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """What encoders write, a byte or a piece of it changed now and then; and other spellings of it."""
    members = draw(SOUND)
    if draw(st.booleans()):
        members = {"audioType": "int32", "bitDepth": 32} | members
    try:
        header = JSON(made_of(TALAudio, members))
    except UnicodeEncodeError:
        header = JSON(TALAudio())
    how = draw(st.sampled_from(["as it is", "as it is", "byte", "cut", "piece", "spaced", "members"]))
    at = draw(st.integers(0, len(header) - 1))
    if how == "byte":
        return header[:at] + bytes([draw(st.integers(0, 255))]) + header[at + 1 :]
    if how == "cut":
        return header[:at]
    if how == "piece":
        piece = draw(
            st.sampled_from([b"0", b"1", b"-", b".5", b"e1", b'"', b"\\", b"\xff", b"\xc3\xa9", b"\\u00e9", b"}", b" "])
        )
        return header[:at] + piece + header[at:]
    if how == "spaced":
        return header.replace(b":", b": ").replace(b",", b", ")
    if how == "members":
        return draw(
            st.sampled_from([b"{}", b'{"order":5}', header[:-1] + b',"speaker":"Ann"}', b'{"$":1}', b"[]", b"x"])
        )
    return header


class NoMembers(msgspec.Struct):
    pass


class TestThePureShortCuts:
    def test_leave_what_is_not_ordinary_to_the_checks(self) -> None:
        coder = pure.TALCoder()
        good, lone = pure.TALAudio(order=1), pure.TALAudio(order=2)
        coder.encode(good, b"")
        lone.answer = "\ud800"
        with pytest.raises(errors.EncodeError):
            coder.encode(lone, b"")
        assert pure._encode_original(NoMembers(), b"", 4) is None
        with pytest.raises(NotImplementedError):
            pure.TalEncoder()._encode_checked(good, b"")


class TestDecoding:
    @settings(deadline=None, max_examples=300)
    @given(headers(), st.integers(0, 9).map(bytes))
    @example(JSON(TALAudio()).replace(b'"order":1', b'"order":01'), b"")
    @example(JSON(TALAudio()).replace(b'"order":1', b'"order":9007199254740992'), b"")
    @example(JSON(TALAudio()).replace(b'"order":1', b'"order":99999999999999999999'), b"")
    @example(JSON(TALAudio()).replace(b'"sampleRate":16000', b'"sampleRate":768001'), b"")
    @example(JSON(TALAudio()).replace(b'"bitDepth":16', b'"bitDepth":32'), b"")
    @example(JSON(TALAudio()).replace(b'"answer":""', b'"answer":"\xed\xa0\x80"'), b"")
    @example(JSON(TALAudio()).replace(b'"answer":""', b'"answer":"\x1f"'), b"")
    def test_is_the_same_in_c_and_in_python(self, header: bytes, pcm: bytes) -> None:
        short = outcome(native.TalPlain(CODEC, None), header, pcm)
        assert short == outcome(pure._plain_decoder(None), header, pcm)
        (frame,) = FrameDecoder().feed(
            (8 + len(header) + len(pcm)).to_bytes(4, "little") + len(header).to_bytes(4, "little") + header + pcm
        )
        long = outcome(TALCoder().decode, frame)
        assert short is None or short == long
        assert outcome(pure.TALCoder().decode, frame) == long

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.booleans()), max_size=12))
    def test_so_is_the_order_whoever_looks_at_it(self, frames: list[tuple[int, int, bool]]) -> None:
        checks = TALCoder().order_check(), pure.TALCoder().order_check()
        plains = TALCoder().plain_decoder(checks[0]), pure.TALCoder().plain_decoder(checks[1])
        for index, (sign, order, shortly) in enumerate(frames):
            if shortly:
                header = JSON(TALAudio(sign=sign, order=order))
                seen = [outcome(plain_decoder, header, b"") for plain_decoder in plains]  # type: ignore[arg-type]
            else:
                seen = [outcome(check, TALAudio(sign=sign, order=order), index) for check in checks]
            assert seen[0] == seen[1]
            assert checks[0].previous == checks[1].previous  # type: ignore[attr-defined]

    def test_takes_the_short_way_with_ordinary_frames(self) -> None:
        for tal in (
            TALAudio(),
            TALAudio(answer='é "', order=3, sign=2),
            TALAudio(audioType="int32", bitDepth=32, channels=2),
        ):
            for spelled in (JSON(tal), msgspec.json.format(JSON(tal))):
                assert native.TalPlain(CODEC, None)(spelled, bytes(8)) == (tal, bytes(8))

    def test_what_was_decoded_is_like_any_other(self) -> None:
        decode = native.TalPlain(CODEC, None)
        tal, _ = decode(JSON(TALAudio(answer="one", order=2, sign=2)), b"")  # type: ignore[misc]
        other, _ = decode(JSON(TALAudio()), b"")  # type: ignore[misc]
        tal.extra = {"list": []}
        tal.question, tal.channels = "changed", 2
        assert other == TALAudio()
        assert decode(JSON(TALAudio()), b"") == (TALAudio(), b"")
        assert pickle.loads(pickle.dumps(tal)) == copy.deepcopy(tal) == tal

        class Kept(list[Any]):
            """A list to which there can be a weak reference."""

        kept = Kept([tal])
        tal.extra = {"list": kept}
        alive = weakref.ref(kept)
        del tal, kept
        gc.collect()
        assert alive() is None  # the collector saw the cycle through the decoded object

    def test_samples_come_by_the_short_way_too(self) -> None:
        for coder in (TALCoder(samples=True), pure.TALCoder(samples=True)):
            decode = coder.plain_decoder(coder.order_check())
            tal, samples = decode(JSON(TALAudio(channels=2)), bytes(8))
            assert (tal.channels, samples.shape, samples.dtype) == (2, (2, 2), numpy.dtype("<i2"))
            assert decode(JSON(TALAudio()), bytes(3)) is None

    def test_a_coder_that_does_more_has_no_short_way(self) -> None:
        class Loud(TALCoder[bytes]):
            def decode(self, frame: Any) -> Any:
                return super().decode(frame)

        assert Loud().plain_decoder(Loud().order_check()) is None
        assert TALCoder().plain_decoder(lambda tal, index: None) is None
        assert TALCoder().plain_decoder(None) is None

    def test_errors_that_are_not_about_the_header_are_passed_on(self) -> None:
        def fail(data: bytes) -> Any:
            if data == b"{}":
                return TALAudio()
            raise KeyError(data)

        decode = native.TalPlain(native.TalCodec(TALAudio, JSON, fail, msgspec.UNSET, TABLE), None)
        with pytest.raises(KeyError):
            decode(b"x", b"")
        assert decode(JSON(TALAudio()), b"") == (TALAudio(), b"")


class TestWhatTheyAreMadeOf:
    def test_is_looked_at(self) -> None:
        for wrong in (
            (TALAudio, JSON, msgspec.json.Decoder().decode, msgspec.UNSET, TABLE),
            (msgspec.defstruct("Other", [("a", int, 1)]), JSON, FROM_JSON, msgspec.UNSET, TABLE),
            (TALAudio, JSON),
            (5, JSON, FROM_JSON, msgspec.UNSET, TABLE),
            (TALAudio, JSON, FROM_JSON, msgspec.UNSET, list(TABLE)),
        ):
            with pytest.raises(TypeError):
                native.TalCodec(*wrong)
        members = {name: getattr(TALAudio, name) for name in (*MEMBERS, "_extra")}
        stranger = type("Stranger", (), {**members, "__copy__": None})
        with pytest.raises(TypeError, match="_extra is not kept in a slot"):
            native.TalCodec(stranger, JSON, lambda data: stranger(), msgspec.UNSET, TABLE)

        class Empty:
            __copy__ = None

        with pytest.raises(AttributeError):
            native.TalCodec(Empty, JSON, lambda data: Empty(), msgspec.UNSET, TABLE)
        for wrong in ((CODEC, 5), (5, None), (CODEC,)):
            with pytest.raises(TypeError):
                native.TalPlain(*wrong)
        decode = native.TalPlain(CODEC, None)
        assert decode(bytearray(b"{}"), b"") is None  # type: ignore[arg-type]
        for arguments in ((b"{}",), (b"{}", b"", b"")):
            with pytest.raises(TypeError):
                decode(*arguments)

    def test_a_table_that_does_not_fit_the_class_is_refused(self) -> None:
        def table(**changes: Any) -> tuple[Any, ...]:
            return tuple(changes.get(member[0], member) for member in TABLE)

        for wrong, reason in (
            ((), "channels is missing"),
            (TABLE[1:], "bitDepth"),
            (tuple(member for member in TABLE if member[0] != "bitDepth"), "a sample has whole bytes"),
            ((*TABLE, TABLE[-1]), "order"),
            (tuple(member for member in TABLE if member[0] != "order"), "order is missing"),
            ((*TABLE, ("speaker", str, None, "")), "speaker"),
            (TABLE * 2, "cannot be made"),
            (table(order="order"), "a member is a tuple"),
            (table(order=("order", int, range(1, 9))), "a member is a tuple"),
            (table(order=("order", int, range(1, 9), 2)), "order"),  # another default
            (table(order=("order", int, range(9), 1)), "order"),
            (table(order=("order", int, range(0), 1)), "range object index out of range"),
            (table(order=("order", int, ("a",), 1)), "integer"),
            (table(order=("order", int, None, 1)), "order"),
            (table(order=("ordér", int, range(1, 9), 1)), "ordér"),
            (table(order=("order", float, None, 1.5)), "order"),
            (table(answer=("answer", str, range(1, 9), "")), "answer"),
            (table(audioType=("audioType", str, ("int16", "int32", "é"), "int16")), "audioType"),
            (table(audioType=("audioType", str, ("int16",) * 5, "int16")), "audioType"),
            (table(bitDepth=("bitDepth", int, (16, 32, 64), 16)), "bitDepth"),
            (table(bitDepth=("bitDepth", int, (16, 4), 16)), "a sample has whole bytes"),
            ((*TABLE[:4], *TABLE[5:], TABLE[4]), "the last member has to be one that varies"),
        ):
            with pytest.raises((TypeError, IndexError, AttributeError), match=reason):
                native.TalCodec(TALAudio, JSON, FROM_JSON, msgspec.UNSET, wrong)

    def test_limits_come_from_the_table(self) -> None:
        few = tuple(("order", int, range(1, 6), 1) if member[0] == "order" else member for member in TABLE)
        codec = native.TalCodec(TALAudio, JSON, FROM_JSON, msgspec.UNSET, few)
        assert codec.encode(TALAudio(order=5), b"") is not None
        assert codec.encode(TALAudio(order=6), b"") is None
        assert native.TalPlain(codec, None)(JSON(TALAudio(order=6)), b"") is None

    def test_orders_begin_before_any_frame(self) -> None:
        assert native.TalOrder().previous == pure_order.Order().previous == -1


class TestReferences:
    PATHS: ClassVar[dict[str, Callable[[], object]]] = {
        "encoding": lambda: CODEC.encode(TALAudio(answer="yes"), bytes(4)),
        "encoding escapes": lambda: CODEC.encode(TALAudio(answer='"'), bytes(4)),
        "encoding what has no UTF-8": lambda: CODEC.encode(TALAudio(answer="\ud800"), bytes(4)),
        "decoding": lambda: native.TalPlain(CODEC, native.TalOrder())(USUAL, bytes(4)),
        "decoding the other way": lambda: native.TalPlain(CODEC, native.TalOrder())(b'{"answer":"yes"}', bytes(4)),
        "decoding bad UTF-8": lambda: native.TalPlain(CODEC, None)(USUAL.replace(b"yes", b"\xff"), bytes(4)),
        "decoding what is refused": lambda: native.TalPlain(CODEC, None)(b'{"order":0}', bytes(4)),
        "an order that is wrong": lambda: native.TalPlain(CODEC, native.TalOrder())(
            USUAL.replace(b'"order":1', b'"order":2'), b""
        ),
        "a codec": lambda: native.TalCodec(TALAudio, JSON, FROM_JSON, msgspec.UNSET, TABLE),
        "a codec refused": lambda: outcome(
            native.TalCodec, TALAudio, JSON, msgspec.json.Decoder().decode, msgspec.UNSET, TABLE
        ),
    }

    @pytest.mark.parametrize("path", PATHS)
    def test_do_not_leak(self, path: str) -> None:
        work = self.PATHS[path]
        for _ in range(300):
            work()
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(300):
                work()
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] - before < 2000
        finally:
            tracemalloc.stop()


USUAL = JSON(TALAudio(audioType="int32", bitDepth=32, answer="yes", sampleRate=24_000, channels=1))
