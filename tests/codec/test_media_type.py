"""Media types and Accept headers, as client and server read them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstreaming.media_type import MediaType, parse_accept, parse_media_type

TEXT = st.text(st.sampled_from('application/vnd.objectstreaming*;=,q01. "\\\t'), max_size=60)


class TestAMediaType:
    @pytest.mark.parametrize(
        ("value", "parameters"),
        [
            ("a/b", {}),
            (" A/B\t", {}),
            ("a/b;", {}),
            ("a/b;;v=1; ;", {"v": "1"}),
            ("a/b;V=1 ; Coder=JSON", {"v": "1", "coder": "JSON"}),
            ('a/b; v="1"; x=""', {"v": "1", "x": ""}),
            (r'a/b; x="a;b\"c\\d"; y=1', {"x": r'a;b"c\d', "y": "1"}),
            ("a/b; v=1; v=2", {"v": "1"}),
        ],
    )
    def test_is_a_name_and_parameters(self, value: str, parameters: dict[str, str]) -> None:
        assert parse_media_type(value) == MediaType("a/b", parameters)

    @pytest.mark.parametrize(
        "parameter",
        ["c", "=1", "c=", "c = 1", "c=d e", 'c="d"e', 'c=d"e"', "c=(d)", "\N{LATIN SMALL LETTER E WITH ACUTE}=1"],
    )
    def test_keeps_its_other_parameters_if_one_is_malformed(self, parameter: str) -> None:
        assert parse_media_type(f"a/b; x=1; {parameter}; v=2") == MediaType("a/b", {"x": "1", "v": "2"})

    @pytest.mark.parametrize(("value", "quoted"), [('a/b;c="d', "d"), ('a/b;c="d;e=f', "d;e=f"), ('a/b;c="d\\', "d")])
    def test_takes_a_quote_that_is_not_closed_to_the_end(self, value: str, quoted: str) -> None:
        assert parse_media_type(value) == MediaType("a/b", {"c": quoted})

    @pytest.mark.parametrize("value", ["", "a", "a/", "/b", "a/b c", "a/b,", "a/b/c", "a /b", ";v=1", "a/b\n"])
    def test_is_none_if_it_does_not_begin_with_a_type(self, value: str) -> None:
        assert parse_media_type(value) is None


class TestAnAcceptHeader:
    @pytest.mark.parametrize(
        ("value", "ranges"),
        [
            ("", []),
            (" , ,", []),
            ("a/b", [("a/b", {}, 1.0)]),
            ("a/*;q=0.5, */*; q=0", [("a/*", {}, 0.5), ("*/*", {}, 0.0)]),
            ("a/b;v=1;Q=0.125;x=2", [("a/b", {"v": "1", "x": "2"}, 0.125)]),
            ('a/b;x="c,d/e",f/g', [("a/b", {"x": "c,d/e"}, 1.0), ("f/g", {}, 1.0)]),
            ("nonsense, a/b;c=d e, f/g", [("a/b", {}, 1.0), ("f/g", {}, 1.0)]),
        ],
    )
    def test_is_ranges_with_their_weights(self, value: str, ranges: list[tuple[str, dict[str, str], float]]) -> None:
        assert [(*wanted, weight) for wanted, weight in parse_accept(value)] == ranges

    @pytest.mark.parametrize("weight", ["2", "1.001", "-1", "0.1234", "x", ".5", '""'])
    def test_loses_a_range_whose_weight_is_malformed(self, weight: str) -> None:
        assert [wanted.name for wanted, _ in parse_accept(f"c/d, a/b;q={weight}, e/f")] == ["c/d", "e/f"]


@given(TEXT)
def test_no_header_is_worse_than_unreadable(value: str) -> None:
    for wanted, weight in [*parse_accept(value), (parse_media_type(value), 1)]:
        assert wanted is None or wanted.name == wanted.name.lower()
        assert 0 <= weight <= 1


@pytest.mark.parametrize("part", [",", ";", '"', "a/b,", "a/b;q=1;", 'a/b;c="\\', " \t", "a/b;c=d", '"\\', ";a=", "\\"])
def test_a_hostile_header_takes_linear_time(part: str) -> None:
    """CPU time: a tenth of a second where it is linear, minutes where it is quadratic."""
    header = part * (50_000 // len(part))
    before = time.process_time()
    for value in (header, f"a/b;{header}", f'a/b;c="{header}', f"{header},*/*"):
        list(parse_accept(value))
        parse_media_type(value)
    assert time.process_time() - before < 5
