"""What people hand to coders beside plain values: models, numpy's scalars, subclasses, odd keys, objects of their own.

The law is that decode undoes encode. What cannot keep it is refused, where it was made, with a sentence that helps.
"""

from __future__ import annotations

import copy
import enum
import pickle
import uuid
from collections import Counter, OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy
import pydantic
import pytest
from pydantic.alias_generators import to_camel

from objectstreaming import (
    AnbJsonStreamCoder,
    EncodeError,
    Frame,
    JsonCoder,
    MsgpackCoder,
    NdarrayCoder,
    PayloadError,
    RawCoder,
    StreamDecoder,
    StreamEncoder,
    decode_frame,
    iter_messages,
)
from objectstreaming.coders import Coder
from objectstreaming.errors import InvalidHeader
from wav_streaming import TALCoder


class Piece(pydantic.BaseModel):
    text: str
    score: float = 0.5


class Stop(pydantic.BaseModel):
    kind: Literal["stop"] = "stop"
    reason: str = "end"


class Delta(pydantic.BaseModel):
    kind: Literal["delta"] = "delta"
    text: str


class Camel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel)
    full_name: str


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    day: date


class Whole(pydantic.RootModel[list[int]]):
    pass


@dataclass
class Holder:
    piece: Piece
    n: int = 1


class Record(msgspec.Struct):
    pieces: list[Piece]


class Status(msgspec.Struct):
    status: str


class Tree(msgspec.Struct):
    inner: list[Tree]


class Text(msgspec.Struct, tag=True):
    text: str


class Number(msgspec.Struct, tag=True):
    number: int


class Sound(NamedTuple):
    rate: int
    pcm: bytes


class Token(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not what it is"


class Count(int):
    pass


class Score(float):
    pass


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


def travel(coder: Coder[Any, Any], payload: Any, header: Any = None) -> Any:
    """The message as it arrives."""
    return coder.decode(decode_frame(coder.encode({} if header is None else header, payload)))


CODERS = pytest.mark.parametrize("coder_class", [JsonCoder, MsgpackCoder])

MODELS = [
    (Piece, Piece(text="a")),
    (Delta | Stop, Stop()),
    (Annotated[Delta | Stop, pydantic.Field(discriminator="kind")], Delta(text="x")),
    (list[Piece], [Piece(text="a"), Piece(text="b", score=1)]),
    (dict[str, Piece], {"a": Piece(text="a")}),
    (Piece | None, None),
    (Piece | int, 3),
    (Camel, Camel(fullName="A B")),
    (Whole, Whole([1, 2])),
    (Holder, Holder(Piece(text="é"))),
    (Record, Record([Piece(text="a")])),
    (list[Holder], [Holder(Piece(text="a"), 2)]),
]


class TestPydanticModels:
    @CODERS
    @pytest.mark.parametrize(("kind", "value"), MODELS, ids=lambda value: str(value)[:40])
    def test_travel_as_payloads(self, coder_class: Any, kind: Any, value: Any) -> None:
        coder = coder_class(payload=kind)
        assert travel(coder, value)[1] == value
        decoder = StreamDecoder(coder)
        encoder = StreamEncoder(coder)
        wire = encoder.open() + encoder.data({}, value) + encoder.data({"n": 1}, value) + encoder.end()
        assert [payload for _, payload in decoder.feed(wire)] == [value, value]

    def test_that_are_strict_take_json_as_json(self) -> None:
        strict = Strict(day=date(2026, 1, 2))  # a string in JSON
        assert travel(JsonCoder(payload=Strict), strict)[1] == strict
        assert travel(JsonCoder(payload=dict[str, Strict]), {"a": strict})[1] == {"a": strict}

    @CODERS
    def test_travel_as_headers(self, coder_class: Any) -> None:
        header = Delta(text="x")
        assert travel(coder_class(Delta), 1, header) == (header, 1)
        assert travel(coder_class(Delta | Stop), 1, header) == (header, 1)
        with pytest.raises(InvalidHeader, match=r"does not fit Delta: Field required - at `\$.text`") as caught:
            coder_class(Delta).decode(Frame(b'{"x":1}', b"\xc0", 2, 30))
        assert (caught.value.index, caught.value.offset) == (2, 30)

    @CODERS
    def test_are_encoded_without_being_named(self, coder_class: Any) -> None:
        value = {"pieces": [Piece(text="a")], "by": Camel(fullName="A B")}
        assert travel(coder_class(), value)[1] == {"pieces": [{"text": "a", "score": 0.5}], "by": {"fullName": "A B"}}
        assert travel(coder_class(), Holder(Piece(text="a")), Piece(text="h")) == (
            {"text": "h", "score": 0.5},
            {"piece": {"text": "a", "score": 0.5}, "n": 1},
        )

    @CODERS
    def test_what_does_not_fit_names_the_member(self, coder_class: Any) -> None:
        frame = decode_frame(coder_class().encode({}, [{"text": "a"}, {"text": 7}, {}, {"text": [], "score": "x"}]))
        with pytest.raises(PayloadError, match=r"does not fit list.*valid string - at `\$.1.text`; .*; and 1 more"):
            coder_class(payload=list[Piece]).decode(frame)
        frame = decode_frame(coder_class().encode({}, {"piece": {}}))
        with pytest.raises(PayloadError, match=r"does not fit Holder: Field required - at `\$.text`"):
            coder_class(payload=Holder).decode(frame)

    @pytest.mark.parametrize(
        "payload",
        [b"", b"{", b'{"text":"a","score":NaN}', b'\xef\xbb\xbf{"text":"a"}', b'{"text":"a","x":"\xff"}',
         b'{"text":"\\ud800"}', b'{"text":"a","x":' + b"[" * 101 + b"]" * 101 + b"}", b'{"text":"a"} 1'],
    )  # fmt: skip
    @pytest.mark.parametrize("kind", [Piece, Holder])
    def test_are_decoded_as_strictly_as_everything_else(self, payload: bytes, kind: Any) -> None:
        if kind is Holder:
            payload = b'{"piece":' + payload + b"}"
        with pytest.raises(PayloadError):
            JsonCoder(payload=kind).decode(Frame(b"{}", payload))

    def test_with_a_number_that_is_not_json_are_refused(self) -> None:
        with pytest.raises(EncodeError, match=r'nan is not JSON \(at \$\["score"\]\)'):
            JsonCoder().encode({}, Piece(text="a", score=float("nan")))
        assert JsonCoder(payload=Piece | None).encode({}, None)[10:] == b"null"

    def test_with_bytes_stay_bytes_in_messagepack(self) -> None:
        class Audio(pydantic.BaseModel):
            pcm: bytes
            at: datetime

        audio = Audio(pcm=b"\x00\xff", at=datetime(2026, 1, 1, tzinfo=UTC))
        assert travel(MsgpackCoder(payload=Audio), audio)[1] == audio
        assert travel(MsgpackCoder(), audio)[1]["pcm"] == b"\x00\xff"

    def test_are_checked_by_their_own_validators(self) -> None:
        class Even(pydantic.BaseModel):
            n: int

            @pydantic.field_validator("n")
            @classmethod
            def check(cls, value: int) -> int:
                if value % 2:
                    raise ValueError("odd")
                return value

        assert travel(JsonCoder(payload=Even), {"n": 2})[1] == Even(n=2)
        with pytest.raises(PayloadError, match="odd"):
            travel(JsonCoder(payload=Even), {"n": 1})


class TestTypesThatNothingCanBeDecodedInto:
    @CODERS
    @pytest.mark.parametrize(
        "kind",
        [Fraction, list[Fraction], dict[str, Path], Path, numpy.ndarray, object, Token, Fraction | None,
         tuple[int, Path], "Status", Status | Record, 3, NamedTuple("Odd", [("at", Path)]), Piece | Status],
        ids=str,
    )  # fmt: skip
    def test_are_refused_when_the_coder_is_made(self, coder_class: Any, kind: Any) -> None:
        with pytest.raises(TypeError, match=r"no value can be decoded into|pydantic cannot decode into"):
            coder_class(payload=kind)

    @CODERS
    def test_are_refused_if_a_model_names_what_is_not_defined(self, coder_class: Any) -> None:
        class Unfinished(pydantic.BaseModel):
            other: NotDefinedAnywhere  # type: ignore[name-defined]  # noqa: F821

        with pytest.raises(TypeError, match="pydantic cannot decode into"):
            coder_class(payload=list[Unfinished])

    @CODERS
    def test_are_refused_as_headers_too(self, coder_class: Any) -> None:
        with pytest.raises(TypeError, match=r"fractions\.Fraction.*types are plain ones, dataclasses"):
            coder_class(Fraction)

    @CODERS
    def test_and_no_others(self, coder_class: Any) -> None:
        kinds: list[Any] = [
            Any,
            dict,
            list[int],
            Text | Number,
            Sound,
            Color,
            Level,
            datetime,
            uuid.UUID,
            Decimal,
            Holder,
        ]
        for kind in [
            *kinds,
            Tree,
            set[int],
            Literal[1, 2],
            Annotated[int, msgspec.Meta(gt=0)],
            Status | None,
            int | str,
        ]:
            coder_class(payload=kind)


@CODERS
class TestTypesOfACoder:
    def test_are_told(self, coder_class: Any) -> None:
        assert (coder_class(Status, Piece).header_type, coder_class(Status, Piece).payload_type) == (Status, Piece)
        assert (coder_class().header_type, coder_class().payload_type) == (dict, Any)


@CODERS
class TestScalarsAndSubclasses:
    @pytest.mark.parametrize(
        ("value", "arrives"),
        [
            (numpy.float64(0.5), 0.5),
            (numpy.float32(0.5), 0.5),
            (numpy.float16(0.5), 0.5),
            (numpy.longdouble(0.5), 0.5),
            (numpy.int8(-3), -3),
            (numpy.uint64(2**64 - 1), 2**64 - 1),
            (numpy.bool_(True), True),
            (numpy.str_("x"), "x"),
            (Token("x"), "x"),
            (Count(7), 7),
            (Score(1.5), 1.5),
            (Level.LOW, 1),
            (Color.RED, "red"),
            (OrderedDict(a=1), {"a": 1}),
            (Counter("aa"), {"a": 2}),
            (MappingProxyType({"a": 1}), {"a": 1}),
            (namedtuple("Pair", "a b")(1, 2), [1, 2]),
            ({1}, [1]),
            (uuid.UUID(int=1), str(uuid.UUID(int=1))),
            (Decimal("1.10"), "1.10"),
            (date(2026, 1, 2), "2026-01-02"),
            (timedelta(days=1), "P1D"),
        ],
        ids=repr,
    )
    def test_travel_as_what_they_are(self, coder_class: Any, value: Any, arrives: Any) -> None:
        coder = coder_class()
        assert travel(coder, value)[1] == arrives
        header, payload = travel(coder, {"a": [value, None]}, {"v": value})
        assert (header, payload) == ({"v": arrives}, {"a": [arrives, None]})
        for written in (payload["a"][0], header["v"]):
            assert type(written) is type(arrives)
        encoder = StreamEncoder(coder)
        decoder = StreamDecoder(coder)
        list(decoder.feed(encoder.open(metadata={"v": value}) + encoder.end(trailers={"v": value})))
        assert (decoder.metadata, decoder.trailers) == ({"v": arrives}, {"v": arrives})

    @pytest.mark.parametrize("value", [numpy.datetime64("2026"), numpy.complex128(1), numpy.array([1]), 1j, range(3)])
    def test_what_is_no_number_or_text_is_refused_by_its_name(self, coder_class: Any, value: Any) -> None:
        with pytest.raises(EncodeError, match=type(value).__name__):
            coder_class().encode({}, {"a": value})

    def test_numbers_that_are_none_are_refused_in_json(self, coder_class: Any) -> None:
        if coder_class is JsonCoder:
            with pytest.raises(EncodeError, match=r'nan is not JSON \(at \$\["a"\]\[0\]\)'):
                JsonCoder().encode({}, {"a": [numpy.float32("nan")]})


class TestWhatTheOriginalWrote:
    @pytest.mark.parametrize("value", [numpy.float64(0.5), Token("x"), Count(7), Score(1.5), Level.LOW])
    def test_is_written(self, value: Any) -> None:
        wire = AnbJsonStreamCoder.encode({"v": value}, {"v": value})
        assert AnbJsonStreamCoder.decode(wire)[:2] == JsonCoder().decode(
            decode_frame(JsonCoder().encode({"v": value}, {"v": value}))
        )


@CODERS
class TestDefault:
    def test_is_called_for_what_is_not_known(self, coder_class: Any) -> None:
        coder = coder_class(default=str)
        assert travel(coder, {"path": Path("/a"), "n": [Fraction(1, 3)]}, {"h": Fraction(1, 2)}) == (
            {"h": "1/2"},
            {"path": "/a", "n": ["1/3"]},
        )
        assert travel(coder, Piece(text="a"))[1] == {"text": "a", "score": 0.5}
        assert travel(coder, numpy.float32(0.5))[1] == 0.5

    def test_may_return_what_has_to_be_converted_again(self, coder_class: Any) -> None:
        coder = coder_class(default=lambda value: {"parts": (value.numerator, Piece(text="a"))})
        assert travel(coder, Fraction(1, 3))[1] == {"parts": [1, {"text": "a", "score": 0.5}]}

    def test_says_that_it_cannot_by_a_type_error(self, coder_class: Any) -> None:
        def refuse(value: object) -> Any:
            raise TypeError("no fractions today")

        with pytest.raises(EncodeError, match="no fractions today"):
            coder_class(default=refuse).encode({}, Fraction(1, 3))
        with pytest.raises(EncodeError, match=r"Fraction .*default="):
            coder_class().encode({}, Fraction(1, 3))

    def test_is_a_function(self, coder_class: Any) -> None:
        with pytest.raises(TypeError, match="default is a function"):
            coder_class(default=3)

    def test_its_numbers_are_checked_too(self, coder_class: Any) -> None:
        if coder_class is JsonCoder:
            with pytest.raises(EncodeError, match="nan is not JSON"):
                JsonCoder(default=lambda value: float("nan")).encode({}, [Fraction(1, 3)])


class TestKeys:
    @pytest.mark.parametrize(
        "value",
        [{1: "a", "1": "b"}, [{"x": ({1.5: 1, "1.5": 2},)}], {"red": 1, Color.RED: 2}, {Level.LOW: 1, "1": 2},
         {uuid.UUID(int=1): 1, str(uuid.UUID(int=1)): 2}, OrderedDict([(1, 1), ("1", 2)]),
         {Token("x"): 1, numpy.int64(1): 1, "1": 2}],
        ids=repr,
    )  # fmt: skip
    def test_that_are_the_same_name_in_json_are_refused(self, value: Any) -> None:
        with pytest.raises(EncodeError, match=r"are the same name in JSON"):
            JsonCoder().encode({}, value)
        with pytest.raises(EncodeError, match=r"are the same name in JSON"):
            JsonCoder().encode({"h": value}, 0)
        with pytest.raises(EncodeError, match=r"are the same name in JSON"):
            RawCoder().encode({"h": value}, b"")

    def test_the_place_of_the_keys_is_told(self) -> None:
        with pytest.raises(
            EncodeError, match=r"the keys 1 and '1' are the same name in JSON: \"1\" \(at \$\[\"a\"\]\[0\]\)"
        ):
            JsonCoder().encode({}, {"a": [{1: 2, "1": 3}]})

    def test_that_are_numbers_are_written_as_names(self) -> None:
        assert travel(JsonCoder(), {1: "a", 2: {3.5: "b"}, numpy.int64(4): "c"})[1] == {
            "1": "a",
            "2": {"3.5": "b"},
            "4": "c",
        }
        assert travel(JsonCoder(payload=dict[int, str]), {1: "a"})[1] == {1: "a"}

    @pytest.mark.parametrize("key", [None, True, (1, 2), frozenset([1]), float("nan"), numpy.bool_(True)], ids=repr)
    def test_that_json_does_not_have_are_refused(self, key: Any) -> None:
        with pytest.raises(EncodeError):
            JsonCoder().encode({}, {"a": {key: 1}})

    @pytest.mark.parametrize("key", [(1, 2), Sound(1, b""), frozenset([1]), Fraction(1, 2)], ids=repr)
    def test_that_messagepack_could_not_read_back_are_refused(self, key: Any) -> None:
        for value in ({key: 1}, [{"a": ({key: 1},)}], MappingProxyType({key: 1})):
            with pytest.raises(EncodeError, match=r"could not be read back|is not a MessagePack type"):
                MsgpackCoder().encode({}, value)

    def test_that_are_the_same_in_messagepack_are_refused(self) -> None:
        with pytest.raises(EncodeError, match="are the same in MessagePack"):
            MsgpackCoder().encode({}, {Color.RED: 1, "red": 2})

    def test_of_messagepack_come_back(self) -> None:
        value = {1: "a", "1": "b", b"1": "c", None: 1, 1.5: 2, datetime(2026, 1, 1, tzinfo=UTC): 3}
        assert travel(MsgpackCoder(), value)[1] == value
        assert travel(MsgpackCoder(), {numpy.int64(1): 1, uuid.UUID(int=1): 2})[1] == {1: 1, str(uuid.UUID(int=1)): 2}
        coder = MsgpackCoder()
        coder.register(7, Fraction, lambda value: str(value).encode(), lambda data: Fraction(data.decode()))
        assert travel(coder, {Fraction(1, 2): 1})[1] == {Fraction(1, 2): 1}


class TestMessagePack:
    def test_takes_typed_payloads_and_headers_as_json_does(self) -> None:
        for kind, value in [
            (Status, Status("a")),
            (Text | Number, Number(3)),
            (Sound, Sound(16000, b"\x00\xff")),
            (dict[int, bytes], {1: b"x"}),
            (list[datetime], [datetime(2026, 1, 1, tzinfo=UTC)]),
            (Decimal, Decimal("1.5")),
            (uuid.UUID, uuid.UUID(int=1)),
            (set[int], {1, 2}),
        ]:
            assert travel(MsgpackCoder(payload=kind), value)[1] == value
        assert travel(MsgpackCoder(Status, Status), Status("p"), Status("h")) == (Status("h"), Status("p"))
        with pytest.raises(
            PayloadError, match=r"does not fit Status: Expected `str`, got `int` - at `\$.status`"
        ) as caught:
            MsgpackCoder(payload=Status).decode(Frame(b"{}", b"\x81\xa6status\x01", 3, 40))
        assert (caught.value.index, caught.value.offset) == (3, 40)

    def test_its_errors_say_what_is_wrong(self) -> None:
        for value in (2**64, -(2**63) - 1, [10**4400], Holder(Piece(text="a"), 2**70)):
            with pytest.raises(EncodeError, match="bits is beyond the 64 of MessagePack"):
                MsgpackCoder().encode({}, value)
        for moment in (datetime(2026, 1, 1), [datetime(2026, 1, 1)], Holder(datetime(2026, 1, 1))):  # type: ignore[arg-type]
            with pytest.raises(EncodeError, match="has no time zone; give it one"):
                MsgpackCoder().encode({}, moment)

    def test_takes_datetimes_of_any_zone_and_class(self) -> None:
        class Moment(datetime):
            pass

        at = Moment(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
        assert travel(MsgpackCoder(), [at])[1] == [at]

    def test_registered_types_travel_within_typed_objects(self) -> None:
        coder = MsgpackCoder()
        coder.register(7, Fraction, lambda value: str(value).encode(), lambda data: Fraction(data.decode()))
        assert travel(coder, Holder(Fraction(1, 2)))[1] == {"piece": Fraction(1, 2), "n": 1}  # type: ignore[arg-type]


class TestArrays:
    def test_that_are_masked_are_refused(self) -> None:
        masked = numpy.ma.array([1, 999_999, 3], mask=[0, 1, 0])
        for array in (masked, masked.reshape(3, 1), [masked, masked]):
            with pytest.raises(EncodeError, match="would lose its mask"):
                NdarrayCoder().encode({}, array)
        assert travel(NdarrayCoder(), masked.filled(0))[1].tolist() == [1, 0, 3]

    @pytest.mark.parametrize("value", [[[1], [1, 2]], [1, "x"], object(), None, {"a": 1}, [2**70]])
    def test_what_is_no_array_is_an_encode_error(self, value: Any) -> None:
        with pytest.raises(EncodeError):
            NdarrayCoder().encode({}, value)

    def test_that_raise_when_they_are_asked_are_an_encode_error(self) -> None:
        class Tensor:
            def __array__(self, *args: Any, **options: Any) -> Any:
                raise RuntimeError("call .detach() first")

        with pytest.raises(EncodeError, match=r"not an array: call \.detach\(\) first"):
            NdarrayCoder().encode({}, Tensor())  # type: ignore[arg-type]

    def test_take_headers_of_all_kinds(self) -> None:
        array = numpy.arange(3)
        for header in (Status("a"), {"status": "a"}, MappingProxyType({"status": Token("a")})):
            assert travel(NdarrayCoder(), array, header)[0] == {"status": "a"}
        assert travel(NdarrayCoder(), array, {"mean": array.mean()})[0] == {"mean": 1.0}
        with pytest.raises(EncodeError, match="a header is a JSON object, not list"):
            NdarrayCoder().encode([1], array)  # type: ignore[arg-type]

    def test_are_written_to_after_a_copy(self) -> None:
        array = travel(NdarrayCoder(), numpy.arange(3))[1]
        with pytest.raises(ValueError, match="read-only"):
            array += 1
        array = array.copy()
        array += 1
        assert array.tolist() == [1, 2, 3]


class TestMisuse:
    def test_a_class_or_anything_else_in_the_place_of_a_coder_is_refused(self) -> None:
        for wrong, told in [
            (JsonCoder, r"the class JsonCoder is no coder: make one of it, JsonCoder\(\)"),
            (AnbJsonStreamCoder, "the class AnbJsonStreamCoder is no coder"),
            ("json", r"a coder is expected, as JsonCoder\(\), and not str"),
            (None, "not NoneType"),
        ]:
            for use in (StreamEncoder, StreamDecoder, lambda coder: iter_messages([], coder)):
                with pytest.raises(TypeError, match=told):
                    use(wrong)

    @pytest.mark.parametrize("value", [[1], "x", 3, [("a", 1)], Status("a")])
    def test_trailers_and_metadata_that_are_no_mapping_are_encode_errors(self, value: Any) -> None:
        encoder = StreamEncoder(JsonCoder())
        with pytest.raises(EncodeError, match="metadata are a mapping of names to values, not"):
            encoder.open(metadata=value)
        with pytest.raises(EncodeError, match="trailers are a mapping of names to values, not"):
            encoder.end(trailers=value)
        assert encoder.end(trailers=MappingProxyType({"a": 1}))

    @pytest.mark.parametrize(
        "coder",
        [
            JsonCoder(),
            JsonCoder(Status, list[int]),
            JsonCoder(payload=Delta | Stop, default=str),
            MsgpackCoder(),
            MsgpackCoder(Status, Piece, default=str),
            NdarrayCoder(),
            RawCoder(),
            TALCoder(),
        ],
        ids=lambda coder: coder.name,
    )
    def test_every_coder_is_pickled_and_copied(self, coder: Any) -> None:
        for again in (pickle.loads(pickle.dumps(coder)), copy.copy(coder), copy.deepcopy(coder)):
            assert type(again) is type(coder)
            if isinstance(coder, JsonCoder | MsgpackCoder):
                kinds = [(one._header.type, one._default) for one in (again, coder)]
                assert kinds[0] == kinds[1]
                assert again.encode({"status": "a"}, [1]) == coder.encode({"status": "a"}, [1])
        assert pickle.loads(pickle.dumps(StreamEncoder(coder))).position == 0

    def test_a_subclass_with_members_of_its_own_is_pickled(self) -> None:
        coder = Named("n")
        again = pickle.loads(pickle.dumps(coder))
        assert (again.label, travel(again, [1])[1]) == ("n", [1])


class Named(JsonCoder[Any, Any]):
    def __init__(self, label: str) -> None:
        super().__init__(dict, list[int])
        self.label = label
