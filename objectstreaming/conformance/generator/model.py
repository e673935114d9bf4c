"""An independent model of SPEC sections 2 to 4: whole inputs in, verdicts out. The vectors are written from it.

It shares no code and no method with the codec, on purpose: what the codec gets wrong, the vectors must not get wrong
with it. So there is no incremental decoding, no msgspec and no numpy here, but a look at the whole wire from its front,
and JSON is read by the standard library, plus a scan for what that one accepts and section 2.3 does not. Tables that
the package has too (the sixteen codes, TAL's defaults and ranges) are written here a second time, from SPEC.md; do not
import them. It raises no error at its caller: a verdict is data.
"""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass, field
from typing import Any

CONTROL = b'{"$stream":'
CODES = {"canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "aborted"}
CODES |= {"permission_denied", "resource_exhausted", "failed_precondition", "out_of_range", "unimplemented", "internal"}
CODES |= {"unavailable", "data_loss", "unauthenticated"}
MAX_DEPTH = 100


@dataclass
class Error:
    """What ends the reading, and the byte `by` which it must be reported. `None`: this error has no such place."""

    code: str
    index: int | None
    offset: int | None
    by: int


@dataclass
class RawFrame:
    index: int
    offset: int
    end: int
    header: bytes
    payload: bytes


class NotJSON(ValueError):
    pass


def read_json(text: bytes) -> Any:
    """SPEC 2.3."""
    try:
        string = text.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise NotJSON(str(error)) from None
    if string.startswith("\ufeff"):
        raise NotJSON("byte order mark")
    depth = deepest = 0
    in_string = escaped = False
    for character in string:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    if deepest > MAX_DEPTH:
        raise NotJSON("too deep")

    def refuse(name: str) -> Any:
        raise NotJSON(name)

    try:
        value = json.loads(string, parse_constant=refuse)
    except NotJSON:
        raise
    except (ValueError, RecursionError) as error:
        raise NotJSON(str(error)) from None
    _no_lone_surrogates(value)
    return value


def _no_lone_surrogates(value: Any) -> None:
    if isinstance(value, str):
        if re.search("[\ud800-\udfff]", value):
            raise NotJSON("lone surrogate")
    elif isinstance(value, list):
        for item in value:
            _no_lone_surrogates(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            _no_lone_surrogates(name)
            _no_lone_surrogates(item)


def read_object(text: bytes) -> dict[str, Any]:
    value = read_json(text)
    if not isinstance(value, dict):
        raise NotJSON("not an object")
    return value


def read_frames(
    wire: bytes, max_frame: int, max_header: int, byte_length: int = 4, byte_order: str = "little"
) -> tuple[list[RawFrame], Error | None]:
    """SPEC 2.2, checks 1 to 4 and the end of the input."""
    order: Any = byte_order
    frames: list[RawFrame] = []
    at = 0
    words = 2 * byte_length
    while at < len(wire):
        index = len(frames)
        if len(wire) < at + byte_length:
            return frames, Error("truncated_frame", index, at, len(wire))
        total = int.from_bytes(wire[at : at + byte_length], order)
        if total < words:
            return frames, Error("invalid_length", index, at, at + byte_length)
        if total > max_frame:
            return frames, Error("frame_too_large", index, at, at + byte_length)
        if len(wire) < at + words:
            return frames, Error("truncated_frame", index, at, len(wire))
        header = int.from_bytes(wire[at + byte_length : at + words], order)
        if header > total - words:
            return frames, Error("invalid_length", index, at + byte_length, at + words)
        if header > max_header:
            return frames, Error("header_too_large", index, at + byte_length, at + words)
        if len(wire) < at + total:
            return frames, Error("truncated_frame", index, at, len(wire))
        start = at + words
        cut = start + header
        frames.append(RawFrame(index, at, at + total, wire[start:cut], wire[cut : at + total]))
        at += total
    return frames, None


@dataclass
class Verdict:
    """What a reader must report: the messages and refused payloads in order, and how the stream ended."""

    frames: list[dict[str, Any]] = field(default_factory=list)
    error: Error | None = None
    end: str = "missing"
    trailers: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    position: int = 0


def decode(wire: bytes, max_frame: int, max_header: int, byte_length: int = 4, byte_order: str = "little") -> Verdict:
    """The op `decode`: sections 2.2 and 2.3."""
    frames, error = read_frames(wire, max_frame, max_header, byte_length, byte_order)
    verdict = Verdict()
    for frame in frames:
        try:
            header = read_object(frame.header)
        except NotJSON:
            verdict.error = Error("invalid_header", frame.index, frame.offset, frame.end)
            return verdict
        verdict.frames.append({"header": header, "payload": frame.payload})
    verdict.error = error
    return verdict


def stream(wire: bytes, coder: str, max_frame: int, max_header: int, require_end: bool | None = None) -> Verdict:
    """The op `stream`: sections 3 and 4."""
    frames, framing_error = read_frames(wire, max_frame, max_header)
    verdict = Verdict()
    begun = controlled = False
    received = 0
    last_order: int | None = None
    last_sign: int | None = None

    def stop(code: str, frame: RawFrame, *, offset: bool = False) -> Verdict:
        verdict.error = Error(code, frame.index, frame.offset if offset else None, frame.end)
        return verdict

    ended = False
    for frame in frames:
        if frame.header.startswith(CONTROL):
            controlled = True
            try:
                control = read_object(frame.header)["$stream"]
            except NotJSON:
                return stop("invalid_header", frame, offset=True)
            if not isinstance(control, dict) or not isinstance(control.get("type"), str):
                return stop("invalid_control", frame)
            if ended:
                return stop("frame_after_end", frame)
            kind = control["type"]
            if kind == "ping" and not _good_at(control):
                return stop("invalid_control", frame)
            if kind == "open":
                if begun or not _good_open(control, coder):
                    return stop("invalid_control", frame)
                verdict.position = control.get("position", 0)
            elif kind == "end":
                counted = control.get("frames")
                if not isinstance(counted, int) or isinstance(counted, bool) or counted < 0:
                    return stop("invalid_control", frame)
                if counted != received:
                    return stop("count_mismatch", frame)
                if "trailers" in control and not isinstance(control["trailers"], dict):
                    return stop("invalid_control", frame)
                error = control.get("error", {"code": "ok"})
                if (
                    not isinstance(error, dict)
                    or not isinstance(error.get("code"), str)
                    or not isinstance(error.get("message", ""), str)
                    or not _good_at(control)
                ):
                    return stop("invalid_control", frame)
                ended = True
                verdict.trailers = control.get("trailers", {})
                verdict.end = "ok"
                if "error" in control:
                    verdict.end = "error:" + (error["code"] if error["code"] in CODES else "unknown")
                    verdict.message = error.get("message", "")
                    return verdict
            begun = True
            continue
        if ended:
            return stop("frame_after_end", frame)
        begun = True
        received += 1
        verdict.position += 1
        try:
            header = read_object(frame.header)
        except NotJSON:
            return stop("invalid_header", frame, offset=True)
        if coder == "tal":
            if not _good_tal(header):
                return stop("invalid_header", frame, offset=True)
            header = {**TAL_DEFAULTS, **header}
        if coder == "ndarray" and not _good_array(header):
            return stop("invalid_header", frame, offset=True)
        refused = {"refused": "invalid_payload", "index": frame.index, "offset": frame.offset}
        if coder == "json":
            try:
                verdict.frames.append({"header": header, "json": read_json(frame.payload)})
            except NotJSON:
                verdict.frames.append(refused)
            continue
        if not _good_payload(coder, header, frame.payload):
            verdict.frames.append(refused)
            last_order = last_sign = None
            continue
        if coder == "tal":
            sign, order = header["sign"], header["order"]
            gap = order != 1 if sign == 1 else last_sign == 3 or (last_order is not None and order != last_order + 1)
            if gap:
                return stop("order_gap", frame)
            last_sign, last_order = sign, order
        verdict.frames.append({"header": header, "payload": frame.payload})
    verdict.error = framing_error
    required = controlled if require_end is None else require_end
    if framing_error is None and required and not ended:
        verdict.error = Error("stream_incomplete", None, None, len(wire))
    return verdict


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _good_open(control: dict[str, Any], coder: str) -> bool:
    heartbeat = control.get("heartbeat")
    good_heartbeat = heartbeat is None or (
        isinstance(heartbeat, int | float) and not isinstance(heartbeat, bool) and heartbeat > 0
    )
    return (
        _is_integer(control.get("v"))
        and control["v"] == 1
        and control.get("coder", coder) == coder
        and good_heartbeat
        and isinstance(control.get("metadata", {}), dict)
        and _is_integer(control.get("position", 0))
        and control.get("position", 0) >= 0
        and isinstance(control.get("resume", ""), str)
        and _good_at(control)
    )


def _good_at(control: dict[str, Any]) -> bool:
    return _is_integer(control.get("at", 0)) and control.get("at", 0) >= 0


TAL_DEFAULTS: dict[str, Any] = {
    "audioType": "int16",
    "bitDepth": 16,
    "sampleRate": 16000,
    "channels": 1,
    "audioFormat": "wav",
    "question": "",
    "answer": "",
    "url": "",
    "sign": 1,
    "order": 1,
}


def _good_tal(header: dict[str, Any]) -> bool:
    full = {**TAL_DEFAULTS, **header}
    ranges = {"sampleRate": (1, 768_000), "channels": (1, 255), "sign": (1, 3), "order": (1, 2**53 - 1)}
    return (
        full["audioType"] in ("int16", "int32")
        and _is_integer(full["bitDepth"])
        and full["bitDepth"] == int(full["audioType"][3:])
        and full["audioFormat"] == "wav"
        and all(isinstance(full[name], str) for name in ("question", "answer", "url"))
        and all(_is_integer(full[name]) and low <= full[name] <= high for name, (low, high) in ranges.items())
    )


def _good_array(header: dict[str, Any]) -> bool:
    dtype, shape = header.get("dtype"), header.get("shape")
    return (
        isinstance(dtype, str)
        and re.fullmatch(r"\|[biu]1|[<>]([iuf][248]|c8|c16)", dtype) is not None
        and isinstance(shape, list)
        and len(shape) <= 32
        and all(_is_integer(size) and size >= 0 for size in shape)
    )


def _good_payload(coder: str, header: dict[str, Any], payload: bytes) -> bool:
    if coder == "tal":
        return bool(len(payload) % (header["bitDepth"] // 8 * header["channels"]) == 0)
    if coder == "ndarray":
        return bool(len(payload) == math.prod(header["shape"]) * int(header["dtype"][2:]))
    if coder == "msgpack":
        try:
            return _skip_msgpack(payload, 0) == len(payload)
        except (IndexError, ValueError, struct.error):
            return False
    return True


def _skip_msgpack(data: bytes, at: int) -> int:
    """Where the value that begins at `at` ends. Raises ValueError or IndexError if it is not a whole value."""
    first = data[at]
    at += 1
    if first <= 0x7F or first >= 0xE0 or first in (0xC0, 0xC2, 0xC3):
        return at
    if first <= 0x8F:
        return _skip_items(data, at, 2 * (first & 15))
    if first <= 0x9F:
        return _skip_items(data, at, first & 15)
    if first <= 0xBF:
        return _skip_text(data, at, first & 31)
    fixed = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
    if first in fixed:
        return _within(data, at + fixed[first])
    sized = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
    sized |= {0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}
    if first in sized:
        (count,) = struct.unpack_from(sized[first], data, at)
        at += struct.calcsize(sized[first])
        if first <= 0xC6:
            return _within(data, at + count)
        if first <= 0xDB:
            return _skip_text(data, at, count)
        return _skip_items(data, at, count * (2 if first >= 0xDE else 1))
    if first == 0xD6 and data[at] == 0xFF:  # timestamp 32
        return _within(data, at + 5)
    raise ValueError("an extension, or the byte that is never used")


def _within(data: bytes, at: int) -> int:
    if at > len(data):
        raise ValueError("beyond the payload")
    return at


def _skip_text(data: bytes, at: int, size: int) -> int:
    end = _within(data, at + size)
    data[at:end].decode()
    return end


def _skip_items(data: bytes, at: int, count: int) -> int:
    for _ in range(count):
        at = _skip_msgpack(data, at)
    return at
