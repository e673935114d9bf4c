"""Section 2.3: what is a header, and what is JSON."""

from __future__ import annotations

from ..case_writer import case, frame, suite, u32
from .sentences import DEAD, DEPTH, DUPLICATES, GOOD_FIRST, INTEGERS, NAN, NO_OBJECT, OBJECT, SPACE, SURROGATE, UTF8

suite("headers", "decode", "json")
GOOD_HEADERS: tuple[tuple[str, str, bytes], ...] = (
    ("empty-object", OBJECT, b"{}"),
    ("nested", OBJECT, b'{"a":{"b":[1,[2,{"c":null}]]},"d":true,"e":false}'),
    ("numbers", OBJECT, b'{"a":0,"b":-0.5,"c":1e3,"d":1E-2,"e":-7,"f":0.1,"g":1.7976931348623157e308}'),
    ("escapes", OBJECT, b'{"s":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9"}'),
    ("escaped-nul", OBJECT, b'{"s":"\\u0000"}'),
    ("empty-name", OBJECT, b'{"":1}'),
    ("name-proto", OBJECT, b'{"__proto__":1,"constructor":2}'),
    ("utf8-of-each-length", UTF8, '{"s":"\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff"}'.encode()),
    ("surrogate-pair-escaped", SURROGATE, b'{"s":"\\ud83d\\ude00"}'),
    ("space-around", SPACE, b' \t\r\n{ "a" : [ 1 , 2 ] }\n '),
    ("brackets-in-strings-are-not-depth", DEPTH, b'{"s":"' + b"[" * 300 + b'","t":"\\"' + b"{" * 300 + b'"}'),
    ("many-brackets-not-deep", DEPTH, b'{"a":[' + b",".join([b"[{}]"] * 150) + b"]}"),
    ("depth-100-arrays", DEPTH, b'{"a":' + b"[" * 99 + b"]" * 99 + b"}"),
    ("depth-100-objects", DEPTH, b'{"a":' * 99 + b"{}" + b"}" * 99),
    ("integer-2-to-53", INTEGERS, b'{"n":9007199254740992}'),
    ("duplicate-members", DUPLICATES, b'{"a":1,"b":2,"a":3}'),
)
for name, sentence, header in GOOD_HEADERS:
    case("headers", name, "2.3", sentence, frame(header, "x"))
case(
    "headers",
    "integer-beyond-64-bits",
    "2.3",
    INTEGERS,
    frame(b'{"n":18446744073709551617}'),
    level="should",
    flags=("bigint",),
)
case(
    "headers",
    "integer-beyond-2-to-53",
    "2.3",
    INTEGERS,
    frame(b'{"n":-9007199254740993}'),
    level="should",
    flags=("bigint",),
)
case(
    "headers",
    "integer-of-100-digits",
    "2.3",
    INTEGERS,
    frame(b'{"n":' + b"1234567890" * 10 + b"}"),
    level="should",
    flags=("bigint",),
)
BAD_HEADERS: tuple[tuple[str, str, bytes], ...] = (
    ("no-text", NO_OBJECT, b""),
    ("only-space", NO_OBJECT, b"  "),
    ("array", NO_OBJECT, b"[1]"),
    ("string", NO_OBJECT, b'"{}"'),
    ("number", NO_OBJECT, b"1"),
    ("null", NO_OBJECT, b"null"),
    ("true", NO_OBJECT, b"true"),
    ("two-objects", OBJECT, b"{}{}"),
    ("text-after-the-object", OBJECT, b"{}x"),
    ("nul-after-the-object", OBJECT, b"{}\0"),
    ("not-closed", OBJECT, b'{"a":1'),
    ("string-not-closed", OBJECT, b'{"a":"'),
    ("trailing-comma", OBJECT, b'{"a":1,}'),
    ("trailing-comma-in-array", OBJECT, b'{"a":[1,]}'),
    ("no-comma", OBJECT, b'{"a":1 "b":2}'),
    ("no-colon", OBJECT, b'{"a" 1}'),
    ("single-quotes", OBJECT, b"{'a':1}"),
    ("unquoted-name", OBJECT, b"{a:1}"),
    ("name-not-a-string", OBJECT, b"{1:1}"),
    ("comment", OBJECT, b'{"a":1/*x*/}'),
    ("leading-zero", OBJECT, b'{"a":01}'),
    ("leading-plus", OBJECT, b'{"a":+1}'),
    ("leading-point", OBJECT, b'{"a":.5}'),
    ("trailing-point", OBJECT, b'{"a":1.}'),
    ("empty-exponent", OBJECT, b'{"a":1e}'),
    ("hex-number", OBJECT, b'{"a":0x10}'),
    ("lone-minus", OBJECT, b'{"a":-}'),
    ("capital-true", OBJECT, b'{"a":True}'),
    ("raw-newline-in-string", OBJECT, b'{"a":"x\ny"}'),
    ("raw-nul-in-string", OBJECT, b'{"a":"\0"}'),
    ("unknown-escape", OBJECT, b'{"a":"\\x41"}'),
    ("short-unicode-escape", OBJECT, b'{"a":"\\u41"}'),
    ("form-feed-as-space", OBJECT, b'{\x0c"a":1}'),
    ("latin-1", UTF8, b'{"s":"\xe9"}'),
    ("utf8-cut", UTF8, b'{"s":"\xe6\xbc"}'),
    ("utf8-lone-continuation", UTF8, b'{"s":"\x80"}'),
    ("utf8-overlong", UTF8, b'{"s":"\xc0\xaf"}'),
    ("utf8-surrogate", UTF8, b'{"s":"\xed\xa0\x80"}'),
    ("utf8-beyond-unicode", UTF8, b'{"s":"\xf4\x90\x80\x80"}'),
    ("utf8-bad-in-a-name", UTF8, b'{"\xff":1}'),
    ("utf8-bad-outside-strings", UTF8, b"{}\xff"),
    ("byte-order-mark", UTF8, b"\xef\xbb\xbf{}"),
    ("utf-16", UTF8, "{}".encode("utf-16-le")),
    ("utf-16-with-mark", UTF8, b"\xff\xfe" + "{}".encode("utf-16-le")),
    ("nan", NAN, b'{"x":NaN}'),
    ("infinity", NAN, b'{"x":Infinity}'),
    ("minus-infinity", NAN, b'{"x":-Infinity}'),
    ("nan-in-lower-case", NAN, b'{"x":nan}'),
    ("high-surrogate-escaped", SURROGATE, b'{"s":"\\ud800"}'),
    ("low-surrogate-escaped", SURROGATE, b'{"s":"\\udc00"}'),
    ("surrogates-the-wrong-way-round", SURROGATE, b'{"s":"\\ude00\\ud83d"}'),
    ("surrogate-then-a-letter", SURROGATE, b'{"s":"\\ud83dA"}'),
    ("surrogate-in-a-name", SURROGATE, b'{"\\ud800":1}'),
    ("depth-101-arrays", DEPTH, b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
    ("depth-101-objects", DEPTH, b'{"a":' * 100 + b"{}" + b"}" * 100),
    ("depth-20000", DEPTH, b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
    ("depth-20000-never-closed", DEPTH, b"[" * 20_000),
)
for name, sentence, header in BAD_HEADERS:
    case("headers", name, "2.3", sentence, frame(header, "x"), "invalid_header")
case("headers", "good-then-bad", "2.2", GOOD_FIRST, frame("{}", "x") * 2 + frame("[]", "y"), "invalid_header")
case(
    "headers",
    "bad-then-good",
    "2.2",
    DEAD,
    frame("[]", "y") + frame("{}", "x"),
    "invalid_header",
)
case("headers", "bad-then-t-0", "2.2", GOOD_FIRST, frame("[]", "y") + u32(0), "invalid_header")
