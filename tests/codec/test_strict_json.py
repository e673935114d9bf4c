"""JSON as the specification means it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstreaming.errors import EncodeError
from objectstreaming.strict_json import MAX_DEPTH, Decoder, InvalidJSON, dumps, loads, loads_object

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=5) | st.dictionaries(st.text(), children, max_size=5),
    max_leaves=20,
)


@given(json_values)
def test_loads_undoes_dumps(value: Any) -> None:
    assert loads(dumps(value)) == value


@given(json_values)
def test_the_standard_library_agrees_both_ways(value: Any) -> None:
    assert json.loads(dumps(value)) == value
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"{", "truncated"),
        (b"{} {}", "trailing"),
        (b"NaN", "invalid character"),
        (b"[-Infinity]", "invalid"),
        (b"1e400", "out of range"),
        (b'"\xff"', "not UTF-8"),
        (b'{"\xff": 1}', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\\ud800"', "truncated"),
        (b'"\\udc00\\ud800"', "surrogate"),
        (b'"\x01"', "invalid character"),
        (b"{'a': 1}", "malformed"),
        (b"[1,]", "malformed"),
        (b"01", "malformed"),
        (b"9" * 5000, "out of range"),
    ],
)
def test_what_is_not_json_is_refused_with_its_reason(text: bytes, reason: str) -> None:
    with pytest.raises(InvalidJSON, match=reason):
        loads(text)


@pytest.mark.parametrize("text", [b"[]", b'"x"', b"null", b"1"])
def test_an_object_is_an_object(text: bytes) -> None:
    with pytest.raises(InvalidJSON, match="Expected `object`"):
        loads_object(text)


def nested(depth: int, filling: bytes = b"") -> bytes:
    return b"[" * depth + filling + b"]" * depth


def test_depth_is_bounded_at_the_same_level_however_it_is_spelled() -> None:
    assert loads(nested(MAX_DEPTH)) is not None
    for too_deep in (nested(MAX_DEPTH + 1), nested(5000), nested(MAX_DEPTH, b'{"a":1}')):
        with pytest.raises(InvalidJSON, match="deeper than 100"):
            loads(too_deep)


def test_brackets_in_strings_and_beside_each_other_are_not_depth() -> None:
    assert len(loads(b"[" + b",".join([b"[{}]"] * 500) + b"]")) == 500
    assert loads(json.dumps(["[" * 500 + '\\"', "{" * 500]).encode())[1] == "{" * 500


def test_a_long_flat_text_is_not_deep() -> None:
    assert len(loads(b"[" + b"1," * 500 + b"1]")) == 501


class Point(msgspec.Struct):
    x: int


def test_a_typed_decoder_checks_the_utf8_of_members_it_skips() -> None:
    decoder: Decoder[Point] = Decoder(Point)
    assert decoder.decode('{"x": 1, "skipped": "é"}'.encode()) == Point(1)
    with pytest.raises(InvalidJSON, match="not UTF-8"):
        decoder.decode(b'{"x": 1, "skipped": "\xff"}')


def test_a_typed_decoder_names_the_member_that_does_not_fit() -> None:
    decoder: Decoder[Point] = Decoder(Point)
    with pytest.raises(InvalidJSON, match=r"`\$.x`"):
        decoder.decode(b'{"x": "one"}')


@dataclass
class Reading:
    value: float | None = None


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (float("nan"), r"\$\)"),
        ([1, {"a": float("inf")}], r'\$\[1\]\["a"\]'),
        ((None, -float("inf")), r"\$\[1\]"),
        (Reading(float("nan")), r'\$\["value"\]'),
    ],
)
def test_non_finite_numbers_are_refused_with_their_place(value: Any, place: str) -> None:
    with pytest.raises(EncodeError, match=f"not JSON .at {place}"):
        dumps(value)


def test_null_is_not_taken_for_a_number_that_is_not_finite() -> None:
    assert dumps([None, "null", Reading(), 1.5]) == b'[null,"null",{"value":null},1.5]'


def test_what_json_cannot_say_is_refused() -> None:
    circular: list[Any] = []
    circular.append(circular)
    for value in (object(), "\ud800", {None: 1}, circular):
        with pytest.raises(EncodeError):
            dumps(value)


def test_what_receivers_would_refuse_as_too_deep_is_not_sent() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert loads(dumps(value)) == value
    with pytest.raises(EncodeError, match="deeper than 100"):
        dumps([value])
