"""Sections 2, 2.1, 2.2 and 2.4: frames, truncation, limits, layouts."""

from __future__ import annotations

from ..case_writer import MAX_FRAME, MAX_HEADER, case, frame, suite, u32
from .sentences import (
    BYTES,
    CHECK_ORDER,
    COUNTS,
    DEAD,
    DEFAULTS,
    END_TO_END,
    ENDIAN,
    EOF_INSIDE,
    ERROR_PAGE,
    EXACT,
    GOOD_FIRST,
    H_HIGH,
    LAYOUT,
    MUST_LIMIT,
    NO_CLAIM,
    T_LOW,
    WHOLE_FIRST,
)

suite("frames", "decode")
GOLDEN = frame('{"a": 1}', '{"b": 2}')
ORIGINAL = frame('{"status": "success", "reason": ""}', '{"answer": "caf\\u00e9", "source": "menu.md"}') + frame(
    '{"status": "end", "reason": ""}', "{}"
)
case("frames", "golden", "2", COUNTS, GOLDEN)
case("frames", "no-bytes-at-all", "2", END_TO_END, b"")
case("frames", "smallest", "2", COUNTS, frame())
case("frames", "no-payload", "2", COUNTS, frame('{"a":1}'))
case("frames", "one-byte-payload", "2", COUNTS, frame("{}", b"\0"))
case("frames", "payload-of-every-byte", "2", COUNTS, frame("{}", bytes(range(256))))
case("frames", "payload-that-looks-like-a-frame", "2", COUNTS, frame("{}", frame()) + frame())
case("frames", "payload-of-length-words-of-zero", "2", COUNTS, frame("{}", bytes(16)) + frame())
case(
    "frames",
    "header-with-multibyte-text",
    "2.3",
    BYTES,
    frame('{"s":"é漢😀"}', "é") + frame(),
)
case("frames", "two", "2", END_TO_END, frame("{}", "ab") + frame('{"n":2}', "c"))
case("frames", "hundred", "2", END_TO_END, b"".join(frame(f'{{"n":{n}}}', bytes(n)) for n in range(100)))
case("frames", "alternately-empty-and-not", "2", END_TO_END, (frame() + frame("{}", bytes(40))) * 3)
case("frames", "lengths-of-one-byte", "2", ENDIAN, frame("{}", bytes(0xFF - 10)))
case("frames", "lengths-of-two-bytes", "2", ENDIAN, frame("{}", bytes(0x100 - 10)) + frame())
case("frames", "lengths-of-two-bytes-full", "2", ENDIAN, frame("{}", bytes(0xFFFF - 10)) + frame())
case("frames", "lengths-of-three-bytes", "2", ENDIAN, frame("{}", bytes(0x10000 - 10)) + frame())
case("frames", "header-of-two-byte-length", "2", ENDIAN, frame('{"pad":"' + "a" * 300 + '"}', "x") + frame())
case("frames", "large-payload", "2", COUNTS, frame("{}", b"\x5a" * 1_000_000) + frame('{"n":2}'))
case("frames", "as-the-original-writes-them", "2", COUNTS, ORIGINAL, file="original-answer.bin")
for t in (0, 1, 4, 7):
    case("frames", f"t-is-{t}", "2.2", T_LOW, u32(t) + u32(0), "invalid_length")
case("frames", "t-is-0-and-nothing-more", "2.2", CHECK_ORDER, u32(0), "invalid_length")
case("frames", "t-is-0-and-much-more", "2.2", T_LOW, u32(0) + frame() * 8, "invalid_length")
case("frames", "t-is-8-less-than-whole", "2.2", T_LOW, frame("{}", t=2), "invalid_length")
case("frames", "t-below-8-and-h-wrong-too", "2.2", CHECK_ORDER, u32(6) + u32(0xFFFFFFFF), "invalid_length")
case("frames", "t-below-8-later", "2.2", T_LOW, frame("{}", "x") * 3 + u32(5), "invalid_length")
case("frames", "t-of-all-ones", "2.2", CHECK_ORDER, u32(0xFFFFFFFF), "frame_too_large")
case("frames", "t-of-the-sign-bit", "2", ENDIAN, u32(0x80000000) + u32(2), "frame_too_large")
case("frames", "t-too-large-and-h-beyond-it", "2.2", CHECK_ORDER, u32(0xFFFFFFFE) + u32(0xFFFFFFFF), "frame_too_large")
case("frames", "h-one-too-many", "2.2", H_HIGH, frame("{}", h=3), "invalid_length")
case("frames", "h-of-a-frame-of-8", "2.2", H_HIGH, u32(8) + u32(1), "invalid_length")
case("frames", "h-counts-the-length-word", "2.2", H_HIGH, frame('{"a":1}', h=7 + 4), "invalid_length")
case("frames", "h-of-all-ones", "2.2", H_HIGH, frame("{}", h=0xFFFFFFFF), "invalid_length")
case("frames", "h-wraps-around-with-8", "2.2", H_HIGH, frame("{}", h=0xFFFFFFF8), "invalid_length")
case("frames", "h-of-the-sign-bit", "2", ENDIAN, frame("{}", h=0x80000000), "invalid_length")
case("frames", "h-wrong-and-nothing-more", "2.2", CHECK_ORDER, u32(20) + u32(13), "invalid_length")
case("frames", "h-beyond-t-and-its-limit", "2.2", CHECK_ORDER, u32(20) + u32(MAX_HEADER + 1), "invalid_length")
case("frames", "h-wrong-later", "2.2", H_HIGH, frame("{}", "x") * 2 + frame("{}", h=3) + frame(), "invalid_length")
case(
    "frames",
    "t-one-too-few-shifts-the-rest",
    "2.2",
    EOF_INSIDE,
    frame("{}", b"\0\0", t=11) + frame("{}"),
    "truncated_frame",
)
case("frames", "big-endian-words", "2", ENDIAN, bytes.fromhex("0000000a000000027b7d"), "frame_too_large")
case(
    "frames",
    "html-instead-of-frames",
    "2.4",
    ERROR_PAGE,
    b"<html><body>502 Bad Gateway</body></html>",
    "frame_too_large",
)
case("frames", "gzip-instead-of-frames", "2.2", CHECK_ORDER, bytes.fromhex("1f8b08000000000000ff"), "truncated_frame")
case("frames", "json-instead-of-frames", "2.2", CHECK_ORDER, b'{"detail":"Not Found"}', "frame_too_large")
case("frames", "good-then-t-0", "2.2", GOOD_FIRST, frame("{}", "x") + u32(0), "invalid_length")
case("frames", "good-then-t-too-large", "2.2", GOOD_FIRST, frame("{}", "x") * 4 + u32(0xFFFFFFFF), "frame_too_large")
case("frames", "good-then-h-wrong", "2.2", GOOD_FIRST, frame("{}", "x") * 4 + frame("{}", h=9), "invalid_length")
case("frames", "good-then-cut", "2.2", GOOD_FIRST, frame("{}", "x") * 4 + frame("{}", "abc")[:-1], "truncated_frame")
case(
    "frames",
    "good-bad-good",
    "2.2",
    DEAD,
    frame("{}", "x") + frame("{}", h=9) + frame("{}", "y"),
    "invalid_length",
)
case("frames", "fifty-good-then-bad", "2.2", GOOD_FIRST, frame('{"n":1}', "xyz") * 50 + u32(1), "invalid_length")

suite("truncation", "decode")
ONE = frame('{"a":1}', b"payload")
for at, where in (
    (1, "in-t"),
    (2, "in-t-2"),
    (3, "in-t-3"),
    (4, "after-t"),
    (5, "in-h"),
    (7, "in-h-3"),
    (8, "after-h"),
    (9, "in-header"),
    (14, "before-the-headers-last-byte"),
    (15, "after-header"),
    (16, "in-payload"),
    (21, "before-the-last-byte"),
):
    case("truncation", f"first-frame-{where}", "2.2", EOF_INSIDE, ONE[:at], "truncated_frame")
for at, where in (
    (1, "in-t"),
    (4, "after-t"),
    (6, "in-h"),
    (8, "after-h"),
    (12, "in-header"),
    (15, "after-header"),
    (20, "in-payload"),
):
    case("truncation", f"third-frame-{where}", "2.2", EOF_INSIDE, ONE * 2 + ONE[:at], "truncated_frame")
case("truncation", "on-a-boundary", "2", END_TO_END, ONE * 2)
case("truncation", "frame-without-payload", "2.2", EOF_INSIDE, frame('{"a":1}')[:-1], "truncated_frame")
case("truncation", "numeric-payload", "2.2", EOF_INSIDE, frame("{}", "123456")[:-1], "truncated_frame")
case("truncation", "large-payload", "2.2", EOF_INSIDE, frame("{}", bytes(200_000))[:-1], "truncated_frame")
case(
    "truncation",
    "claims-the-limit",
    "2.4",
    NO_CLAIM,
    u32(MAX_FRAME) + u32(2) + b"{}",
    "truncated_frame",
)
case("truncation", "bad-header-in-a-cut-frame", "2.2", WHOLE_FIRST, frame("[]", "x")[:-1], "truncated_frame")
case("truncation", "empty-header-in-a-cut-frame", "2.2", WHOLE_FIRST, frame("", "xy")[:-1], "truncated_frame")
case("truncation", "zeros-are-not-the-end", "2.2", T_LOW, ONE + bytes(4), "invalid_length")
case("truncation", "a-zero-byte-at-the-end", "2.2", EOF_INSIDE, ONE + bytes(1), "truncated_frame")
case("truncation", "a-newline-at-the-end", "2.2", EOF_INSIDE, ONE + b"\n", "truncated_frame")

suite("limits", "decode")
case("limits", "t-is-the-limit", "2.4", EXACT, frame("{}", bytes(54)), max_frame=64)
case("limits", "t-is-one-above", "2.4", MUST_LIMIT, frame("{}", bytes(55)), "frame_too_large", max_frame=64)
case(
    "limits", "good-then-too-large", "2.4", MUST_LIMIT, frame("{}", b"\1\2") + u32(65), "frame_too_large", max_frame=64
)
case("limits", "limit-below-8", "2.4", MUST_LIMIT, frame(), "frame_too_large", max_frame=7)
case("limits", "limit-of-8-holds-no-header", "2.4", MUST_LIMIT, frame(), "frame_too_large", max_frame=8)
case("limits", "limit-of-10", "2.4", EXACT, frame() * 2, max_frame=10)
case("limits", "t-below-8-under-a-small-limit", "2.2", CHECK_ORDER, u32(3), "invalid_length", max_frame=2)
case("limits", "h-is-the-limit", "2.4", EXACT, frame('{"a":1}', "x"), max_header=7)
case("limits", "h-is-one-above", "2.4", MUST_LIMIT, frame('{"a":12}', "x"), "header_too_large", max_header=7)
case(
    "limits",
    "h-above-later",
    "2.4",
    MUST_LIMIT,
    frame('{"a":1}') * 2 + frame('{"a":12}'),
    "header_too_large",
    max_header=7,
)
case("limits", "h-beyond-t-before-its-limit", "2.2", CHECK_ORDER, u32(12) + u32(100), "invalid_length", max_header=7)
case("limits", "t-before-h", "2.2", CHECK_ORDER, u32(100) + u32(50), "frame_too_large", max_frame=64, max_header=7)
case("limits", "limit-of-h-only-is-about-h", "2.4", EXACT, frame("{}", bytes(100)), max_header=2)
case("limits", "header-limit-of-0", "2.4", MUST_LIMIT, frame(), "header_too_large", max_header=0)
case(
    "limits",
    "payload-above-the-default-when-allowed",
    "2.4",
    DEFAULTS,
    u32(MAX_FRAME + 1) + u32(2),
    "truncated_frame",
    max_frame=MAX_FRAME + 1,
)
case(
    "limits",
    "header-above-the-default-when-allowed",
    "2.4",
    DEFAULTS,
    frame('{"pad":"' + "a" * MAX_HEADER + '"}'),
    max_header=MAX_HEADER + 100,
)

suite("default-limits", "decode")
case("default-limits", "t-is-16-mib", "2.4", DEFAULTS, u32(MAX_FRAME) + u32(2), "truncated_frame")
case("default-limits", "t-is-16-mib-and-1", "2.4", DEFAULTS, u32(MAX_FRAME + 1), "frame_too_large")
case("default-limits", "h-is-64-kib", "2.4", DEFAULTS, frame('{"pad":"' + "a" * (MAX_HEADER - 10) + '"}', "x"))
case(
    "default-limits",
    "h-is-64-kib-and-1",
    "2.4",
    DEFAULTS,
    frame('{"pad":"' + "a" * (MAX_HEADER - 9) + '"}', "x"),
    "header_too_large",
)

suite("layouts", "decode", "layout")


def laid_out(
    width: int, order: str, header: bytes, payload: bytes = b"", t: int | None = None, h: int | None = None
) -> bytes:
    total = 2 * width + len(header) + len(payload)
    numbers = (total if t is None else t, len(header) if h is None else h)
    return b"".join(n.to_bytes(width, order) for n in numbers) + header + payload  # type: ignore[arg-type]


for width in range(1, 9):
    for order in ("little", "big"):
        if (width, order) != (4, "little"):
            case(
                "layouts",
                f"{width}-{order}",
                "2.1",
                LAYOUT,
                laid_out(width, order, b'{"a":1}', b"xy") + laid_out(width, order, b"{}"),
                layout=(width, order),
            )
for width, order in ((1, "little"), (2, "big"), (3, "little"), (8, "big")):
    case(
        "layouts",
        f"{width}-{order}-t-too-small",
        "2.1",
        LAYOUT,
        laid_out(width, order, b"{}") + laid_out(width, order, b"{}", t=2 * width - 1),
        "invalid_length",
        layout=(width, order),
    )
    case(
        "layouts",
        f"{width}-{order}-h-too-large",
        "2.1",
        LAYOUT,
        laid_out(width, order, b"{}", h=3),
        "invalid_length",
        layout=(width, order),
    )
    case(
        "layouts",
        f"{width}-{order}-cut",
        "2.1",
        LAYOUT,
        laid_out(width, order, b"{}", b"abc")[:-2],
        "truncated_frame",
        layout=(width, order),
    )
case("layouts", "8-little-t-of-all-ones", "2.1", LAYOUT, b"\xff" * 8, "frame_too_large", layout=(8, "little"))
case(
    "layouts",
    "8-big-t-above-the-limit",
    "2.1",
    LAYOUT,
    (1 << 40).to_bytes(8, "big"),
    "frame_too_large",
    layout=(8, "big"),
)
case("layouts", "1-little-largest", "2.1", LAYOUT, laid_out(1, "little", b"{}", bytes(255 - 4)), layout=(1, "little"))
