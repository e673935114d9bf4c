"""What an encoder writes, and what it refuses."""

from __future__ import annotations

from ..case_writer import encode_case, suite
from .coders import ORIGINAL_TAL
from .sentences import (
    BYTES,
    COUNTS,
    DEPTH,
    ENCODE_JSON,
    ENDIAN,
    LAYOUT,
    NAN,
    NO_OBJECT,
    REFUSE_MEMBER,
    SURROGATE,
    TAL_EXTRA,
    TAL_VALUES,
    TAL_WHOLE,
    UTF8,
)

suite("encode", "encode")
encode_case("golden", "2", COUNTS, '{"a": 1}', b'{"b": 2}')
encode_case("smallest", "2", COUNTS, "{}")
encode_case("binary", "2", COUNTS, '{"n":1}', bytes(range(256)))
encode_case(
    "multibyte-text",
    "2.3",
    BYTES,
    '{"s":"é漢😀"}',
    "é漢😀".encode(),
)
encode_case("two-byte-lengths", "2", ENDIAN, '{"pad":"' + "a" * 300 + '"}', bytes(70_000))
encode_case("large", "2", COUNTS, "{}", b"\x5a" * 1_000_000)
for width, order in ((1, "little"), (2, "big"), (2, "little"), (4, "big"), (8, "little"), (8, "big"), (3, "big")):
    encode_case(f"layout-{width}-{order}", "2.1", LAYOUT, '{"a":1}', b"xy", layout=(width, order), flags=("layout",))
encode_case("layout-1-too-narrow", "2.1", LAYOUT, "{}", bytes(252), True, layout=(1, "little"), flags=("layout",))
for name, sentence, text in (
    ("array", NO_OBJECT, b"[1]"),
    ("empty", NO_OBJECT, b""),
    ("nan", NAN, b'{"x":NaN}'),
    ("bad-utf8", UTF8, b'{"s":"\xff"}'),
    ("depth-101", DEPTH, b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
    ("byte-order-mark", UTF8, b"\xef\xbb\xbf{}"),
    ("lone-surrogate", SURROGATE, b'{"s":"\\ud800"}'),
):
    encode_case(f"refused-header-{name}", "2.3", sentence, text, b"", True, flags=("json",))
encode_case("json", "4.1", ENCODE_JSON, '{"a":1}', '{"answer":"é"}'.encode(), coder="json", flags=("json",))
encode_case(
    "json-refused-member-stream",
    "3.1",
    REFUSE_MEMBER,
    '{"$stream":{"type":"end","frames":0}}',
    b"1",
    True,
    coder="json",
    flags=("json",),
)
encode_case(
    "json-refused-member-stream-later",
    "3.1",
    REFUSE_MEMBER,
    '{"a":1,"$stream":1}',
    b"1",
    True,
    coder="json",
    flags=("json",),
)
encode_case(
    "json-member-stream-inside-is-fine",
    "3.1",
    REFUSE_MEMBER,
    '{"a":{"$stream":1}}',
    b'"$stream"',
    coder="json",
    flags=("json",),
)
encode_case("tal", "4.2", TAL_WHOLE, ORIGINAL_TAL, bytes(4), coder="tal", flags=("tal",))
encode_case(
    "tal-unknown-members",
    "4.2",
    TAL_EXTRA,
    ORIGINAL_TAL[:-1] + ', "speaker": "Ann"}',
    bytes(4),
    coder="tal",
    flags=("tal",),
)
for name, sentence, members, pcm in (
    ("float32", TAL_VALUES, '{"audioType":"float32","bitDepth":32}', b""),
    ("sign-99", TAL_VALUES, '{"sign":99}', b""),
    ("sample-rate-0", TAL_VALUES, '{"sampleRate":0}', b""),
    ("odd-byte", TAL_WHOLE, "{}", b"\1\2\3"),
    ("half-a-stereo-frame", TAL_WHOLE, '{"channels":2}', bytes(6)),
):
    encode_case(f"tal-refused-{name}", "4.2", sentence, members, pcm, True, coder="tal", flags=("tal",))
