"""Payload coders: decode undoes encode, what does not fit is refused with its place, hostile payloads get nowhere."""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import math
import pickle
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from types import MappingProxyType
from typing import Any, TypedDict

import msgpack
import msgspec
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from objectstreaming import (
    AnbJsonStreamCoder,
    EncodeError,
    Frame,
    FrameError,
    JsonCoder,
    MsgpackCoder,
    NdarrayCoder,
    PayloadError,
    RawCoder,
    StreamEncoder,
    TruncatedFrame,
    decode_frame,
    encode_frame,
)
from objectstreaming.coders import Coder
from objectstreaming.errors import InvalidHeader, InvalidLength
from wav_streaming import TALAudio, TALCoder

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=15,
)
headers = st.dictionaries(st.text().filter(lambda name: name != "$stream"), json_values, max_size=3)


def frame_of(coder: Coder[Any, Any], header: Any, payload: Any) -> Frame:
    return decode_frame(coder.encode(header, payload))


@dataclass
class Status:
    status: str
    reason: str = "none"


class Answer(msgspec.Struct):
    answer: str
    source: str


class Line(TypedDict):
    text: str


class TestJsonCoder:
    @given(headers, json_values)
    def test_decode_undoes_encode(self, header: dict[str, Any], payload: Any) -> None:
        coder = JsonCoder()
        assert coder.decode(frame_of(coder, header, payload)) == (header, payload)

    def test_decodes_into_the_types_it_is_given(self) -> None:
        assert JsonCoder(Status, Answer).decode(
            frame_of(JsonCoder(), {"status": "success"}, {"answer": "a", "source": "s", "unknown": 1})
        ) == (Status("success"), Answer("a", "s"))
        assert JsonCoder(payload=Line).decode(frame_of(JsonCoder(), {}, {"text": "t"})) == ({}, {"text": "t"})
        assert JsonCoder(payload=list[int]).decode(frame_of(JsonCoder(), {}, [1, 2])) == ({}, [1, 2])
        assert JsonCoder(dict[str, int]).decode(frame_of(JsonCoder(), {"a": 1}, 0)) == ({"a": 1}, 0)

    def test_encodes_typed_objects(self) -> None:
        coder = JsonCoder(Status, Answer)
        frame = frame_of(coder, Status("success"), Answer("a", "s"))
        assert frame.header == {"status": "success", "reason": "none"}
        assert coder.decode(frame) == (Status("success"), Answer("a", "s"))

    def test_writes_compact_utf8(self) -> None:
        frame = frame_of(JsonCoder(), {"é": 1}, ["漢", 2])
        assert (frame.header_bytes, frame.payload) == ('{"é":1}'.encode(), '["漢",2]'.encode())

    def test_integers_of_any_size_go_both_ways(self) -> None:
        for number in (2**53 + 1, 2**64, -(2**63) - 1, 10**400):
            assert JsonCoder().decode(frame_of(JsonCoder(), {"n": number}, number)) == ({"n": number}, number)

    def test_what_json_cannot_say_is_an_encode_error(self) -> None:
        circular: list[Any] = []
        circular.append(circular)
        for value in (float("nan"), [None, float("inf")], object(), "\ud800", circular, {None: 1}):
            with pytest.raises(EncodeError):
                JsonCoder().encode({}, value)
            with pytest.raises(EncodeError):
                JsonCoder().encode({"a": value}, 1)
        with pytest.raises(EncodeError, match="a header is a JSON object"):
            JsonCoder(Any, Any).encode([], 1)

    def test_long_messages_and_nulls_go_both_ways(self) -> None:
        for value in (None, [None] * 3, "x" * 500, ["é" * 300], {"a": [1.5] * 100}):
            assert JsonCoder().decode(frame_of(JsonCoder(), {"v": value}, value)) == ({"v": value}, value)

    def test_takes_any_mapping_as_header(self) -> None:
        assert frame_of(JsonCoder(), MappingProxyType({"a": 1}), 0).header == {"a": 1}

    @pytest.mark.parametrize(
        "payload", [b"", b"{", b"NaN", b"[1] 2", b"\xef\xbb\xbf1", b'"\xff"', b"[" * 101 + b"]" * 101]
    )
    def test_a_payload_that_is_not_strict_json_is_a_payload_error(self, payload: bytes) -> None:
        with pytest.raises(PayloadError) as caught:
            JsonCoder().decode(Frame(b"{}", payload, 3, 70))
        assert (caught.value.index, caught.value.offset) == (3, 70)

    def test_what_does_not_fit_the_type_names_the_type_and_the_member(self) -> None:
        with pytest.raises(PayloadError, match=r"does not fit Answer: Expected `str`, got `int` - at `\$\.answer`"):
            JsonCoder(payload=Answer).decode(Frame(b"{}", b'{"answer":1,"source":""}'))
        with pytest.raises(PayloadError, match=r"does not fit list\[int\]"):
            JsonCoder(payload=list[int]).decode(Frame(b"{}", b'["a"]'))
        with pytest.raises(InvalidHeader, match="does not fit Status") as caught:
            JsonCoder(Status).decode(Frame(b"{}", b"1", 2, 30))
        assert (caught.value.index, caught.value.offset) == (2, 30)

    @pytest.mark.parametrize("header", [b"", b"[]", b"1", b'{"a":NaN}'])
    def test_a_header_that_is_no_object_is_an_invalid_header(self, header: bytes) -> None:
        with pytest.raises(InvalidHeader, match="a JSON object"):
            JsonCoder().decode(Frame(header, b"1"))


class TestAnbJsonStreamCoder:
    """The original's calls: its bytes, its return shapes, none of its traps."""

    GOLDEN = bytes.fromhex("18000000 08000000 7b2261223a20317d 7b2262223a20327d")

    def test_golden(self) -> None:
        assert AnbJsonStreamCoder.encode({"a": 1}, {"b": 2}) == self.GOLDEN
        assert AnbJsonStreamCoder.decode(self.GOLDEN) == ({"a": 1}, {"b": 2}, None)

    @given(headers, json_values)
    def test_what_it_writes_json_coder_reads_and_back(self, header: dict[str, Any], value: Any) -> None:
        original = AnbJsonStreamCoder.encode(header, value)
        assert JsonCoder().decode(decode_frame(original)) == (header, value)
        assert AnbJsonStreamCoder.decode(JsonCoder().encode(header, value)) == (header, value, None)

    @given(headers, json_values)
    def test_its_bytes_are_those_of_a_straightforward_codec(self, header: dict[str, Any], value: Any) -> None:
        head, body = json.dumps(header).encode(), json.dumps(value).encode()
        size = 8 + len(head) + len(body)
        expected = size.to_bytes(4, "little") + len(head).to_bytes(4, "little") + head + body
        assert AnbJsonStreamCoder.encode(header, value) == expected

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_rest_is_of_the_inputs_type(self, kind: Any) -> None:
        header, value, rest = AnbJsonStreamCoder.decode(kind(self.GOLDEN + b"rest"))
        assert (header, value, rest) == ({"a": 1}, {"b": 2}, kind(b"rest"))
        assert type(rest) is kind

    @pytest.mark.parametrize(("byte_length", "byte_order"), [(2, "big"), (8, "little"), (3, "big"), (1, "little")])
    def test_both_parameters(self, byte_length: int, byte_order: Any) -> None:
        wire = AnbJsonStreamCoder.encode({"a": 1}, {"b": 2}, byte_length, byte_order)
        assert len(wire) == 2 * byte_length + 16
        assert AnbJsonStreamCoder.decode(wire, byte_length, byte_order) == ({"a": 1}, {"b": 2}, None)

    @pytest.mark.parametrize("size", range(24))
    def test_a_short_buffer_is_one_typed_error_and_a_value_error(self, size: int) -> None:
        with pytest.raises(TruncatedFrame):
            AnbJsonStreamCoder.decode(self.GOLDEN[:size])

    def test_a_number_cut_short_is_not_a_smaller_number(self) -> None:
        wire = AnbJsonStreamCoder.encode({}, 123456)
        for size in range(len(wire)):
            with pytest.raises(TruncatedFrame):
                AnbJsonStreamCoder.decode(wire[:size])

    def test_wrong_lengths_are_refused(self) -> None:
        for wire in (bytes(24), b"\x07\0\0\0" + self.GOLDEN[4:], self.GOLDEN[:4] + b"\x11" + self.GOLDEN[5:]):
            with pytest.raises(InvalidLength):
                AnbJsonStreamCoder.decode(wire)

    @pytest.mark.parametrize(
        ("header", "payload", "error"),
        [
            (b"{", b"1", InvalidHeader),
            (b"[]", b"1", InvalidHeader),
            (b"{}", b"", PayloadError),
            (b"{}", b"NaN", PayloadError),
            (b"{}", b'"\xff"', PayloadError),
            (b"{}", b"[" * 100_000, PayloadError),
            (b"{}", b"9" * 5000, PayloadError),
        ],
    )
    def test_what_is_not_json_is_a_typed_error(self, header: bytes, payload: bytes, error: type[Exception]) -> None:
        size = 8 + len(header) + len(payload)
        wire = size.to_bytes(4, "little") + len(header).to_bytes(4, "little") + header + payload
        with pytest.raises(error):
            AnbJsonStreamCoder.decode(wire)

    def test_what_json_cannot_say_is_an_encode_error(self) -> None:
        circular: list[Any] = []
        circular.append(circular)
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        for value in (float("nan"), object(), circular, deep):
            with pytest.raises(EncodeError):
                AnbJsonStreamCoder.encode({}, value)
        with pytest.raises(EncodeError, match="not a JSON object"):
            AnbJsonStreamCoder.encode([], {})
        with pytest.raises(EncodeError, match="does not fit"):
            AnbJsonStreamCoder.encode({}, "x" * 300, 1)


class TestMsgpackCoder:
    @given(
        headers,
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
            lambda children: (
                st.lists(children, max_size=4) | st.dictionaries(st.text() | st.integers(0, 9), children, max_size=4)
            ),
            max_leaves=15,
        ),
    )
    def test_decode_undoes_encode(self, header: dict[str, Any], payload: Any) -> None:
        coder = MsgpackCoder()
        assert coder.decode(frame_of(coder, header, payload)) == (header, payload)

    def test_times_travel(self) -> None:
        at = datetime(2026, 11, 20, 12, tzinfo=UTC)
        coder = MsgpackCoder()
        assert coder.decode(frame_of(coder, {}, [at])) == ({}, [at])

    def test_extensions_travel_once_registered(self) -> None:
        coder = MsgpackCoder()
        with pytest.raises(EncodeError, match="Fraction is not a MessagePack type; register"):
            coder.encode({}, Fraction(1, 3))
        coder.register(5, Fraction, lambda value: str(value).encode(), lambda data: Fraction(data.decode()))
        frame = frame_of(coder, {}, {"third": Fraction(1, 3)})
        assert coder.decode(frame) == ({}, {"third": Fraction(1, 3)})
        with pytest.raises(PayloadError, match="extension type 5 is not registered"):
            MsgpackCoder().decode(frame)

    def test_a_registered_function_that_fails_is_a_payload_error(self) -> None:
        coder = MsgpackCoder()
        coder.register(5, Fraction, lambda value: b"", lambda data: Fraction(data.decode()))
        with pytest.raises(PayloadError, match="Invalid literal"):
            coder.decode(Frame(b"{}", msgpack.packb(msgpack.ExtType(5, b"x"))))

    @pytest.mark.parametrize("code", [-1, 128])
    def test_codes_beyond_the_applications_are_refused(self, code: int) -> None:
        with pytest.raises(ValueError, match="0 to 127"):
            MsgpackCoder().register(code, Fraction, str.encode, Fraction)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"\xc1",
            b"\x01\x02",
            b"\xdd\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\x91" * 100_000 + b"\xc0",
            b"\xa1\xff",
            b"\x81\x90\x01",
            b"\xd7\xff" + b"\xff" * 8,
        ],
    )
    def test_hostile_payloads_are_payload_errors(self, payload: bytes) -> None:
        with pytest.raises(PayloadError) as caught:
            MsgpackCoder().decode(Frame(b"{}", payload, 2, 20))
        assert (caught.value.index, caught.value.offset) == (2, 20)

    def test_what_it_cannot_say_is_an_encode_error(self) -> None:
        circular: list[Any] = []
        circular.append(circular)
        for value in (2**64, object(), "\ud800", circular, datetime(2026, 1, 1)):
            with pytest.raises(EncodeError):
                MsgpackCoder().encode({}, value)


DTYPES = ["|b1", "|u1", "|i1", "<i2", ">i4", "<u8", "<f2", ">f4", "<f8", "<c8", ">c16"]


class TestNdarrayCoder:
    @given(
        headers,
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: st_numpy.arrays(dtype, st_numpy.array_shapes(min_dims=0, min_side=0))
        ),
    )
    def test_decode_undoes_encode(self, header: dict[str, Any], array: Any) -> None:
        header = {key: value for key, value in header.items() if key not in ("dtype", "shape")}
        coder = NdarrayCoder()
        again_header, again = coder.decode(frame_of(coder, header, array))
        assert again_header == header
        assert (again.dtype, again.shape) == (array.dtype, array.shape)
        numpy.testing.assert_array_equal(again, array)

    def test_any_memory_order_goes_out_as_c_order(self) -> None:
        array = numpy.arange(24, dtype="<i4").reshape(2, 3, 4)
        for view in (numpy.asfortranarray(array), array.transpose(), array[:, ::-1], array[::2]):
            numpy.testing.assert_array_equal(NdarrayCoder().decode(frame_of(NdarrayCoder(), {}, view))[1], view)

    def test_what_comes_back_is_a_read_only_view(self) -> None:
        frame = frame_of(NdarrayCoder(), {}, numpy.zeros(4))
        _, array = NdarrayCoder().decode(frame)
        assert not array.flags.writeable
        assert not array.flags.owndata

    @pytest.mark.parametrize(
        "array",
        [
            numpy.array([object()]),
            numpy.array(["text"]),
            numpy.array([b"bytes"]),
            numpy.zeros(1, "M8[s]"),
            numpy.zeros(1, [("a", "<i4")]),
            numpy.zeros([1] * 33) if numpy.lib.NumpyVersion(numpy.__version__) >= "2.0.0" else numpy.array([object()]),
        ],
        ids=["object", "str", "bytes", "datetime", "record", "33 dimensions"],
    )
    def test_other_arrays_are_refused(self, array: Any) -> None:
        with pytest.raises(EncodeError):
            NdarrayCoder().encode({}, array)

    @pytest.mark.parametrize("member", ["dtype", "shape"])
    def test_its_own_members_are_its_own(self, member: str) -> None:
        with pytest.raises(EncodeError, match=member):
            NdarrayCoder().encode({member: 1}, numpy.zeros(1))

    @pytest.mark.parametrize(
        "dtype", [None, 5, "O", "|O", "<U4", "|V8", "i2", "=i2", "<i3", "<f16", "<i2,<i2", "<M8[s]"]
    )
    def test_other_dtypes_are_invalid_headers(self, dtype: Any) -> None:
        header = json.dumps({"dtype": dtype, "shape": [0]}).encode()
        with pytest.raises(InvalidHeader, match="dtype") as caught:
            NdarrayCoder().decode(Frame(header, b"", 4, 50))
        assert (caught.value.index, caught.value.offset) == (4, 50)

    @pytest.mark.parametrize("shape", [None, 4, [-1], [1.0], [True], ["4"], [1] * 33, [0, 2**70]])
    def test_other_shapes_are_invalid_headers(self, shape: Any) -> None:
        header = json.dumps({"dtype": "<i4", "shape": shape}).encode()
        with pytest.raises(InvalidHeader, match="shape"):
            NdarrayCoder().decode(Frame(header, b""))

    @pytest.mark.parametrize("shape", [[2], [2**62], [2**32, 2**32], [65536] * 4, [10**30], [1, 1, 0]])
    def test_a_shape_that_does_not_match_the_bytes_is_refused_before_anything_is_built(self, shape: list[int]) -> None:
        header = json.dumps({"dtype": "<i4", "shape": shape}).encode()
        with pytest.raises(PayloadError, match=f"takes {math.prod(shape) * 4} bytes, the payload has 4"):
            NdarrayCoder().decode(Frame(header, b"1234"))

    def test_a_shape_whose_size_cannot_even_be_spelled_out_is_a_payload_error_too(self) -> None:
        size = "1" + "0" * 4_000
        header = f'{{"dtype":"<i4","shape":[{size},{size}]}}'.encode()
        with pytest.raises(PayloadError, match=r"takes 2\^1024 or more bytes, the payload has 4"):
            NdarrayCoder().decode(Frame(header, bytes(4)))


class TestRawCoder:
    @given(headers, st.binary())
    def test_decode_undoes_encode(self, header: dict[str, Any], payload: bytes) -> None:
        assert RawCoder().decode(frame_of(RawCoder(), header, payload)) == (header, payload)

    def test_a_header_that_is_no_object_is_an_invalid_header(self) -> None:
        with pytest.raises(InvalidHeader):
            RawCoder().decode(Frame(b"[]", b""))


@pytest.mark.parametrize(
    "coder", [JsonCoder(), MsgpackCoder(), NdarrayCoder(), RawCoder()], ids=lambda coder: coder.name
)
class TestEveryCoder:
    def test_hostile_frames_raise_documented_errors_only(self, coder: Coder[Any, Any]) -> None:
        chance = random.Random(coder.name)
        good = {
            "json": encode_frame({"a": 1}, b'{"b": [1, 2.5, null]}'),
            "msgpack": encode_frame({"a": 1}, msgpack.packb({"b": [1, 2.5, None, b"x"]})),
            "ndarray": encode_frame({"dtype": "<i4", "shape": [2, 2]}, bytes(16)),
            "raw": encode_frame({"a": 1}, b"bytes"),
        }[coder.name]
        frame = decode_frame(good)
        for _ in range(3000):
            header, payload = bytearray(frame.header_bytes), bytearray(frame.payload)
            for part in (header, payload):
                for _ in range(chance.randrange(3)):
                    part[chance.randrange(len(part))] = chance.randrange(256)
                del part[chance.randrange(len(part) + 1) :]
            with contextlib.suppress(FrameError, PayloadError):
                coder.decode(Frame(bytes(header), bytes(payload)))

    def test_needs_no_order(self, coder: Coder[Any, Any]) -> None:
        assert coder.order_check() is None


class TestCodersAsObjects:
    """What any object can be asked, whichever implementation it is."""

    def test_a_subclass_may_call_the_class_it_is_of(self) -> None:
        class Mine(JsonCoder[Any, Any]):
            def encode(self, header: Any, payload: Any) -> bytes:
                return JsonCoder.encode(self, {"mine": 1, **header}, payload)

        wire = Mine().encode({"a": 2}, 3)
        assert (
            wire
            == JsonCoder().encode({"mine": 1, "a": 2}, 3)
            == JsonCoder().encode(header={"mine": 1, "a": 2}, payload=3)
        )
        assert JsonCoder.encode.__name__ == "encode"
        assert inspect.isroutine(JsonCoder.encode)

    def test_json_coders_are_copied(self) -> None:
        for copied in (copy.copy(JsonCoder(dict, list[int])), copy.deepcopy(JsonCoder(dict, list[int]))):
            assert copied.decode(decode_frame(copied.encode({}, [1]))) == ({}, [1])
            with pytest.raises(PayloadError):
                copied.decode(decode_frame(copied.encode({}, ["x"])))  # type: ignore[list-item]
        encoder = StreamEncoder(JsonCoder())
        encoder.data({}, 1)
        assert copy.deepcopy(encoder).position == 1

    def test_tal_coders_travel_between_processes(self) -> None:
        for coder in (TALCoder(), TALCoder(samples=True)):
            for copied in (copy.copy(coder), copy.deepcopy(coder), pickle.loads(pickle.dumps(coder))):
                wire = copied.encode(TALAudio(order=2, sign=2), bytes(4))
                assert wire == coder.encode(TALAudio(order=2, sign=2), bytes(4))
                assert type(copied.decode(decode_frame(wire))[1]) is type(coder.decode(decode_frame(wire))[1])
        encoder = StreamEncoder(TALCoder())
        encoder.data(TALAudio(), b"")
        assert pickle.loads(pickle.dumps(encoder)).data(TALAudio(), b"") == encoder.data(TALAudio(), b"")
