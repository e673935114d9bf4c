"""Sections 4.1 to 4.5: what each coder reads."""

from __future__ import annotations

from ..case_writer import DATA, OPEN, PING, case, control, end, frame, suite, u32
from .sentences import (
    ANYTHING,
    CODER,
    DTYPE,
    EXTENSIONS,
    FILLED,
    GOES_ON,
    INDEX,
    INTEGERS,
    MUST_LIMIT,
    NO_SOUND,
    OBJECT,
    ONE_VALUE,
    PAYLOAD,
    SHAPE,
    TAL_AGAIN,
    TAL_BROKEN,
    TAL_END,
    TAL_EXTRA,
    TAL_NEXT,
    TAL_RESUMED,
    TAL_START,
    TAL_VALUES,
    TAL_WHOLE,
    VALUE,
)

ORIGINAL_TAL = (
    '{"audioType": "int16", "bitDepth": 16, "sampleRate": 16000, "channels": 1, "audioFormat": "wav", '
    '"question": "", "answer": "", "url": "", "sign": 1, "order": 1}'
)

suite("json", "stream", "json", coder="json")
for name, payload in (
    ("object", '{"answer":"é","source":null}'),
    ("array", "[1,[2,[3]]]"),
    ("string", '"é漢😀"'),
    ("number", "-12.5"),
    ("integer", "123456"),
    ("zero", "0"),
    ("true", "true"),
    ("false", "false"),
    ("null", "null"),
    ("space", " [ 1 ] "),
    ("escapes-of-the-original", '{"answer": "caf\\u00e9 \\ud83d\\ude00"}'),
    ("duplicates", '{"a":1,"a":2}'),
    ("depth-100", "[" * 100 + "]" * 100),
):
    case("json", name, "4.1", VALUE, frame('{"a":1}', payload), "missing")
case(
    "json",
    "integer-beyond-64-bits",
    "2.3",
    INTEGERS,
    frame("{}", "[18446744073709551617]"),
    "missing",
    level="should",
    flags=("bigint",),
)
for name, raw in (
    ("no-bytes", b""),
    ("two-values", b"1 2"),
    ("nan", b"NaN"),
    ("bad-utf8", b'"\xff"'),
    ("byte-order-mark", b"\xef\xbb\xbf1"),
    ("lone-surrogate", b'"\\ud800"'),
    ("not-closed", b'{"a":1'),
    ("depth-101", b"[" * 101 + b"]" * 101),
    ("html", b"<html>"),
    ("binary", bytes(8)),
):
    case("json", f"refused-{name}", "4.1", VALUE, frame("{}", raw), "refused")
case("json", "refused-and-on", "3.7", GOES_ON, OPEN + DATA + frame("{}", "nope") + DATA + end(3), "refused")
case("json", "refused-first-and-last", "3.7", GOES_ON, frame("{}", "x") + DATA + frame("{}", "y"), "refused")
case("json", "refused-counts-for-the-end", "3.7", GOES_ON, frame("{}", "x") + DATA + end(1), "count_mismatch")
case("json", "refused-then-framing-error", "3.7", GOES_ON, frame("{}", "x") + DATA + u32(0), "invalid_length")
case("json", "large", "4.1", VALUE, frame("{}", '"' + "a" * 20_000 + '"') + DATA, "missing")

suite("tal", "stream", "tal", coder="tal")


def tal(members: str = "", pcm: bytes = b"") -> bytes:
    return frame("{" + members + "}", pcm)


def sound(sign: int, order: int) -> bytes:
    return tal(f'"sign":{sign},"order":{order}', b"\1\0")


case("tal", "defaults-as-the-original-writes-them", "4.2", TAL_WHOLE, frame(ORIGINAL_TAL, b"\1\2\3\4"), "missing")
case("tal", "all-members-absent", "4.2", TAL_VALUES, tal(pcm=b"\1\2"), "missing")
case("tal", "no-sound", "4.2", NO_SOUND, tal('"answer":"(silence)"'), "missing")
case("tal", "32-bit", "4.2", TAL_WHOLE, tal('"audioType":"int32","bitDepth":32', bytes(8)), "missing")
case("tal", "stereo", "4.2", TAL_WHOLE, tal('"channels":2', bytes(8)), "missing")
case(
    "tal",
    "32-bit-5-channels",
    "4.2",
    TAL_WHOLE,
    tal('"audioType":"int32","bitDepth":32,"channels":5', bytes(40)),
    "missing",
)
case("tal", "most", "4.2", TAL_VALUES, tal('"sampleRate":768000,"channels":255', bytes(510)), "missing")
case("tal", "least", "4.2", TAL_VALUES, tal('"sampleRate":1,"channels":1', bytes(2)), "missing")
case(
    "tal",
    "text-of-every-kind",
    "4.2",
    TAL_VALUES,
    tal('"question":"é","answer":"漢😀\\n","url":"http://x/?a=b"'),
    "missing",
)
case(
    "tal", "unknown-members", "4.2", TAL_EXTRA, tal('"speaker":"Ann","visemes":[[0,"a"],[40,"o"]]', bytes(2)), "missing"
)
case("tal", "order-2-to-53-less-1", "4.2", TAL_VALUES, tal('"sign":2,"order":9007199254740991'), "missing")
for name, members in (
    ("audio-type-float32", '"audioType":"float32","bitDepth":32'),
    ("audio-type-int8", '"audioType":"int8","bitDepth":8'),
    ("audio-type-number", '"audioType":16'),
    ("audio-type-null", '"audioType":null'),
    ("bit-depth-7", '"bitDepth":7'),
    ("bit-depth-32-with-int16", '"bitDepth":32'),
    ("bit-depth-16-with-int32", '"audioType":"int32"'),
    ("bit-depth-string", '"bitDepth":"16"'),
    ("sample-rate-0", '"sampleRate":0'),
    ("sample-rate-negative", '"sampleRate":-16000'),
    ("sample-rate-string", '"sampleRate":"abc"'),
    ("sample-rate-true", '"sampleRate":true'),
    ("sample-rate-above", '"sampleRate":768001'),
    ("sample-rate-fraction", '"sampleRate":16000.5'),
    ("channels-0", '"channels":0'),
    ("channels-negative", '"channels":-1'),
    ("channels-256", '"channels":256'),
    ("audio-format-mp3", '"audioFormat":"mp3"'),
    ("audio-format-null", '"audioFormat":null'),
    ("question-number", '"question":1'),
    ("answer-null", '"answer":null'),
    ("answer-array", '"answer":["x"]'),
    ("url-object", '"url":{}'),
    ("sign-0", '"sign":0'),
    ("sign-4", '"sign":4'),
    ("sign-99", '"sign":99'),
    ("sign-string", '"sign":"1"'),
    ("order-0", '"order":0'),
    ("order-negative", '"order":-1'),
    ("order-string", '"order":"1"'),
    ("order-2-to-53", '"sign":2,"order":9007199254740992'),
):
    case("tal", f"refused-{name}", "4.2", TAL_VALUES, tal(members), "invalid_header")
case("tal", "refused-header-not-json", "2.3", OBJECT, sound(1, 1) + frame("[]"), "invalid_header")
case("tal", "odd-byte", "4.2", TAL_WHOLE, tal(pcm=b"\1\2\3"), "refused")
case("tal", "half-a-stereo-frame", "4.2", TAL_WHOLE, tal('"channels":2', bytes(6)), "refused")
case("tal", "half-a-32-bit-sample", "4.2", TAL_WHOLE, tal('"audioType":"int32","bitDepth":32', bytes(6)), "refused")
case("tal", "3-channels-4-samples", "4.2", TAL_WHOLE, tal('"channels":3', bytes(8)), "refused")
case("tal", "in-order", "4.2", TAL_NEXT, sound(1, 1) + sound(2, 2) + sound(2, 3) + sound(3, 4), "missing")
case(
    "tal",
    "whole-stream",
    "4.2",
    TAL_NEXT,
    control('"type":"open","v":1,"coder":"tal"', b"")
    + sound(1, 1)
    + control('"type":"ping"', b"")
    + sound(3, 2)
    + control('"type":"end","frames":2', b""),
    "ok",
)
case("tal", "two-answers", "4.2", TAL_END, sound(1, 1) + sound(3, 2) + sound(1, 1) + sound(3, 2), "missing")
case("tal", "answer-not-ended", "4.2", TAL_AGAIN, sound(1, 1) + sound(2, 2) + sound(1, 1) + sound(2, 2), "missing")
case("tal", "resumed", "4.2", TAL_RESUMED, sound(2, 7) + sound(2, 8) + sound(3, 9), "missing")
case("tal", "resumed-at-the-end", "4.2", TAL_RESUMED, sound(3, 9) + sound(1, 1), "missing")
case("tal", "start-not-at-1", "4.2", TAL_START, sound(1, 2), "order_gap")
case("tal", "second-start-not-at-1", "4.2", TAL_START, sound(1, 1) + sound(1, 2), "order_gap")
case("tal", "frame-lost", "4.2", TAL_NEXT, sound(1, 1) + sound(2, 2) + sound(2, 4), "order_gap")
case("tal", "end-lost-one", "4.2", TAL_NEXT, sound(1, 1) + sound(3, 3), "order_gap")
case("tal", "frame-twice", "4.2", TAL_NEXT, sound(1, 1) + sound(2, 2) + sound(2, 2), "order_gap")
case("tal", "backwards", "4.2", TAL_NEXT, sound(2, 5) + sound(2, 4), "order_gap")
case("tal", "on-after-the-end", "4.2", TAL_END, sound(1, 1) + sound(3, 2) + sound(2, 3), "order_gap")
case("tal", "end-twice", "4.2", TAL_END, sound(1, 1) + sound(3, 2) + sound(3, 3), "order_gap")
case(
    "tal",
    "gap-counts-control-frames-in-its-index",
    "5",
    INDEX,
    OPEN + sound(1, 1) + PING + sound(2, 3),
    "order_gap",
)
case(
    "tal",
    "on-after-a-refused-payload",
    "4.2",
    TAL_BROKEN,
    sound(1, 1) + tal('"sign":2,"order":2', b"\1") + sound(2, 3) + sound(3, 4),
    "refused",
)

suite("msgpack", "stream", "msgpack", coder="msgpack")
for name, value in (
    ("nil", "c0"),
    ("true", "c3"),
    ("fixint", "07"),
    ("negative-fixint", "ff"),
    ("uint64", "cfffffffffffffffff"),
    ("int64", "d38000000000000000"),
    ("float64", "cb3ff8000000000000"),
    ("fixstr", "a3666f6f"),
    ("str8", "d903666f6f"),
    ("bin8", "c40300ff01"),
    ("empty-array", "90"),
    ("array", "9301c0a3666f6f"),
    ("array16", "dc00020102"),
    ("map", "82a16101a16292c2c3"),
    ("nested", "91919181a16190"),
):
    case("msgpack", name, "4.3", ONE_VALUE, frame("{}", bytes.fromhex(value)), "missing")
case(
    "msgpack",
    "whole-stream",
    "3.1",
    PAYLOAD,
    control('"type":"open","v":1,"coder":"msgpack"', b"\xc0")
    + frame("{}", b"\x01")
    + control('"type":"end","frames":1', b"\xc0"),
    "ok",
)
for name, value in (
    ("no-bytes", ""),
    ("two-values", "0102"),
    ("never-used-byte", "c1"),
    ("array-too-short", "9301"),
    ("array-of-4-gi", "ddffffffff"),
    ("map-of-4-gi", "dfffffffff"),
    ("string-beyond", "a5666f6f"),
    ("bin-of-4-gi", "c6ffffffff00"),
    ("string-not-utf8", "a1ff"),
    ("cut-number", "cf0000"),
):
    case(
        "msgpack",
        f"refused-{name}",
        "4.3",
        ONE_VALUE,
        frame("{}", bytes.fromhex(value)) + frame("{}", b"\x01"),
        "refused",
    )
case("msgpack", "refused-extension", "4.3", EXTENSIONS, frame("{}", bytes.fromhex("d40500")), "refused")

suite("ndarray", "stream", "ndarray", coder="ndarray")


def array(dtype: str, shape: str, data: bytes = b"", more: str = "") -> bytes:
    return frame(f'{{"dtype":{dtype},"shape":{shape}{more}}}', data)


for dtype, size in (
    ("|b1", 1),
    ("|u1", 1),
    ("|i1", 1),
    ("<i2", 2),
    (">i2", 2),
    ("<u4", 4),
    ("<i8", 8),
    ("<f2", 2),
    ("<f4", 4),
    (">f8", 8),
    ("<c8", 8),
    ("<c16", 16),
):
    case(
        "ndarray",
        f"{dtype[1:]}-{'any' if dtype[0] == '|' else 'little' if dtype[0] == '<' else 'big'}",
        "4.4",
        DTYPE,
        array(f'"{dtype}"', "[3]", bytes(3 * size)),
        "missing",
    )
case("ndarray", "two-dimensions", "4.4", SHAPE, array('"<i2"', "[2,3]", bytes(range(12)), ',"name":"x"'), "missing")
case("ndarray", "no-dimension", "4.4", SHAPE, array('"<f4"', "[]", bytes(4)), "missing")
case("ndarray", "no-elements", "4.4", SHAPE, array('"<f4"', "[0,7]"), "missing")
for name, dtype in (
    ("object", '"|O"'),
    ("string", '"<U4"'),
    ("bytes", '"|S4"'),
    ("void", '"|V4"'),
    ("native", '"=i4"'),
    ("no-byte-order", '"i4"'),
    ("name", '"int16"'),
    ("date", '"<M8[s]"'),
    ("unknown-size", '"<i3"'),
    ("trailing-newline", '"<i2\\n"'),
    ("number", "2"),
    ("null", "null"),
    ("list", '[["a","<i2"]]'),
    ("order-on-a-byte", '"<u1"'),
):
    case("ndarray", f"refused-dtype-{name}", "4.4", DTYPE, array(dtype, "[1]", bytes(8)), "invalid_header")
for name, shape in (
    ("negative", "[-1]"),
    ("fraction", "[1.5]"),
    ("string", '"3"'),
    ("true", "[true]"),
    ("null", "null"),
    ("number", "3"),
    ("33-dimensions", "[" + ",".join(["1"] * 33) + "]"),
):
    case("ndarray", f"refused-shape-{name}", "4.4", SHAPE, array('"<i2"', shape, bytes(2)), "invalid_header")
case("ndarray", "refused-no-members", "4.4", DTYPE, frame("{}", bytes(2)), "invalid_header")
for name, shape, data in (
    ("too-few", "[3]", bytes(4)),
    ("too-many", "[1]", bytes(4)),
    ("odd", "[1]", bytes(3)),
    ("huge", "[1000000,1000000]", bytes(2)),
    ("overflow", "[4294967296,4294967296,2]", b""),
):
    case(
        "ndarray",
        f"refused-{name}-bytes",
        "4.4",
        FILLED,
        array('"<i2"', shape, data) + array('"<i2"', "[1]", bytes(2)),
        "refused",
    )

suite("raw", "stream", "json", coder="raw")
case("raw", "bytes", "4.5", ANYTHING, OPEN + frame('{"name":"a"}', bytes(range(256))) + end(1), "ok")
case("raw", "nothing", "4.5", ANYTHING, frame() + frame(), "missing")
case("raw", "neutral-value-of-control-frames", "3.1", PAYLOAD, control('"type":"ping"', b"") + end(0), "ok")
case("raw", "open-with-its-name", "3.2", CODER, control('"type":"open","v":1,"coder":"raw"', b"") + end(0), "ok")
case("raw", "bad-header", "2.3", OBJECT, frame("{}", "x") + frame("null", "y"), "invalid_header")
case("raw", "good-then-limit", "2.4", MUST_LIMIT, frame("{}", "x") * 3 + u32(65), "frame_too_large", max_frame=64)
