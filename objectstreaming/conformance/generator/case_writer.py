"""How a case is written down: its wire made of frames, its verdict by the model, and the JSON of both.

Nothing here is random: the same bytes are written on every run. A case is its wire and the sentence of SPEC.md that it
tries. The verdict is the model's; the code that the author expects stands beside it, so that a mistake of either is
found when the vectors are written.
"""

from __future__ import annotations

import re
from typing import Any

from . import model

MAX_FRAME = 16 * 1024 * 1024
MAX_HEADER = 64 * 1024

SUITES: dict[str, dict[str, Any]] = {}
FILES: dict[str, bytes] = {}


def suite(name: str, op: str, *flags: str, coder: str | None = None) -> None:
    SUITES[name] = {"op": op, "flags": list(flags), "coder": coder, "cases": []}


# ------------------------------------------------------------------------------------------------ building wires


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def frame(header: bytes | str = b"{}", payload: bytes | str = b"", t: int | None = None, h: int | None = None) -> bytes:
    """A frame; `t` and `h` are length words to write instead of the right ones."""
    header = header.encode() if isinstance(header, str) else header
    payload = payload.encode() if isinstance(payload, str) else payload
    total = 8 + len(header) + len(payload)
    return u32(total if t is None else t) + u32(len(header) if h is None else h) + header + payload


def control(members: str, payload: bytes | str = b"{}") -> bytes:
    return frame('{"$stream":{' + members + "}}", payload)


def end(frames: int, more: str = "") -> bytes:
    return control(f'"type":"end","frames":{frames}{more}')


OPEN = control('"type":"open","v":1')
PING = control('"type":"ping"')
OTHER = control('"type":"weather","sunny":true')
DATA = frame("{}", "1")


def pack(data: bytes) -> list[Any]:
    """Parts of hex; a byte that comes 64 times or more in a row is a repeat."""
    parts: list[Any] = []
    at = 0
    for run in re.finditer(rb"(?s)(.)\1{63,}", data):
        if run.start() > at:
            parts.append(data[at : run.start()].hex())
        parts.append({"repeat": run[1].hex(), "times": len(run[0])})
        at = run.end()
    if at < len(data):
        parts.append(data[at:].hex())
    return parts


def packed_wire(data: bytes, layout: tuple[int, str]) -> list[Any]:
    """Parts cut after each length word, header and payload, so that a person can read them."""
    width, order = layout
    parts: list[Any] = []
    at = 0
    while at < len(data):
        words = data[at : at + 2 * width]
        parts += [part for part in (words[:width].hex(), words[width:].hex()) if part]
        at += len(words)
        if len(words) < 2 * width:
            break
        total, header = (int.from_bytes(words[i : i + width], order) for i in (0, width))  # type: ignore[arg-type]
        sizes = (header, total - header - 2 * width)
        if min(sizes) < 0:
            sizes = (len(data) - at, 0)
        for size in sizes:
            parts += pack(data[at : at + size])
            at = min(at + size, len(data))
    return parts


# ------------------------------------------------------------------------------------------------ writing cases


def packed_frame(item: dict[str, Any], raw_header: bytes) -> dict[str, Any]:
    out = dict(item)
    if "header" in out and len(raw_header) > 1024:
        out["header"] = pack(raw_header)
    if "payload" in out:
        parts = pack(out["payload"])
        out["payload"] = "".join(parts) if all(isinstance(part, str) for part in parts) else parts
    return out


def case(
    suite_name: str,
    name: str,
    spec: str,
    requirement: str,
    wire: bytes,
    wants: str = "",
    *,
    level: str = "must",
    flags: tuple[str, ...] = (),
    max_frame: int | None = None,
    max_header: int | None = None,
    layout: tuple[int, str] | None = None,
    coder: str | None = None,
    require_end: bool | None = None,
    file: str | None = None,
) -> None:
    """One case. `wants` is the code of the error, or "end" of the stream, that the author expects of the model."""
    about = SUITES[suite_name]
    coder = coder or about["coder"]
    entry: dict[str, Any] = {
        "id": f"{suite_name}/{name}",
        "spec": spec,
        "requirement": requirement,
        "level": level,
        "flags": sorted({*about["flags"], *flags}),
    }
    limits = {key: value for key, value in (("frame", max_frame), ("header", max_header)) if value is not None}
    if limits:
        entry["limits"] = limits
        entry["flags"] = sorted({*entry["flags"], "limits"})
    if layout:
        entry["layout"] = {"byte_length": layout[0], "byte_order": layout[1]}
    if file:
        FILES[file] = wire
        entry["wire"] = [{"file": file}]
    else:
        entry["wire"] = packed_wire(wire, layout or (4, "little"))
    bounds = (limits.get("frame", MAX_FRAME), limits.get("header", MAX_HEADER))
    headers = [raw.header for raw in model.read_frames(wire, *bounds, *(layout or (4, "little")))[0]]
    if about["op"] == "decode":
        verdict = model.decode(wire, *bounds, *(layout or (4, "little")))
        expect: dict[str, Any] = {
            "frames": [packed_frame(*pair) for pair in zip(verdict.frames, headers, strict=False)]
        }
    else:
        entry["coder"] = coder
        if require_end is not None:
            entry["require_end"] = require_end
        verdict = model.stream(wire, str(coder), *bounds, require_end)
        data = [header for header in headers if not header.startswith(model.CONTROL)]
        expect = {
            "frames": [packed_frame(*pair) for pair in zip(verdict.frames, data, strict=False)],
            "end": verdict.end,
        }
        if verdict.end != "missing":
            expect["trailers"] = verdict.trailers
            expect["message"] = verdict.message
        # Whether a data frame that ended the reading counts in the position is left open.
        if verdict.error is None or verdict.error.code not in ("invalid_header", "order_gap"):
            expect["position"] = verdict.position
    if verdict.error is not None:
        members = {"index": verdict.error.index, "offset": verdict.error.offset}
        expect["error"] = {
            "code": verdict.error.code,
            **{key: value for key, value in members.items() if value is not None},
            "by": verdict.error.by,
        }
    got = verdict.error.code if verdict.error else verdict.end if about["op"] == "stream" else ""
    if any("refused" in item for item in verdict.frames) and not verdict.error:
        got = "refused"
    if got != wants:
        raise AssertionError(f"{entry['id']}: the author wants {wants!r}, the model says {got!r}")
    entry["expect"] = expect
    add(suite_name, entry)


def encode_case(
    name: str,
    spec: str,
    requirement: str,
    header: bytes | str,
    payload: bytes = b"",
    refused: bool = False,
    *,
    level: str = "must",
    flags: tuple[str, ...] = (),
    coder: str | None = None,
    layout: tuple[int, str] = (4, "little"),
) -> None:
    header = header.encode() if isinstance(header, str) else header
    width, order = layout
    total = 2 * width + len(header) + len(payload)
    entry: dict[str, Any] = {
        "id": f"encode/{name}",
        "spec": spec,
        "requirement": requirement,
        "level": level,
        "flags": sorted(flags),
    }
    if layout != (4, "little"):
        entry["layout"] = {"byte_length": width, "byte_order": order}
    if coder:
        entry["coder"] = coder
    entry["header"] = pack(header)
    entry["payload"] = pack(payload)
    if refused:
        entry["expect"] = {"error": {"code": "encode_error"}}
    else:
        words = total.to_bytes(width, order) + len(header).to_bytes(width, order)  # type: ignore[arg-type]
        entry["expect"] = {"wire": pack(words + header + payload)}
    add("encode", entry)


def add(suite_name: str, entry: dict[str, Any]) -> None:
    cases = SUITES[suite_name]["cases"]
    if any(entry["id"] == other["id"] for other in cases):
        raise AssertionError(f"two cases are called {entry['id']}")
    cases.append(entry)
