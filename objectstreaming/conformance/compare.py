"""Compares the answer of an implementation with what its case expects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from .cases import case_bytes

__all__ = ["Mismatch", "compare", "compare_fetch", "compare_frame"]


class Mismatch(Exception):
    """An answer that the case does not allow; the message says what is wrong with it."""


def compare(case: Mapping[str, Any], sizes: Sequence[int], reply: Mapping[str, Any]) -> None:
    """Compare the reply with what a case of level 1 expects; `sizes` are those of its chunks. Raises `Mismatch`."""
    expect = case["expect"]
    if case["op"] == "encode":
        _compare_encoded(case, expect, reply)
        return
    got = _text(reply, "frames").split()
    wanted = expect["frames"]
    for index, (item, word) in enumerate(zip(wanted, got, strict=False)):
        compare_frame(case.get("coder"), item, word, index)
    if len(got) != len(wanted):
        raise Mismatch(f"{len(got)} frames, wanted {len(wanted)}")
    _compare_error(expect.get("error"), _text(reply, "error"), sizes)
    if case["op"] == "stream":
        _compare_stream(expect, reply)


def compare_fetch(coder: str, verdicts: Sequence[Mapping[str, Any]], reply: Mapping[str, Any]) -> None:
    """Compare the reply of `fetch` with the verdicts, one of which must fit; raises `Mismatch` if none does.

    A verdict is as the `expect` of a `stream` case. With the member `beginning` it also fits the first few of its
    frames.
    """
    complaints = []
    for verdict in verdicts:
        try:
            _compare_verdict(coder, verdict, reply)
        except Mismatch as error:
            complaints.append(str(error))
        else:
            return
    raise Mismatch(" / or ".join(dict.fromkeys(complaints)))


def _compare_verdict(coder: str, verdict: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
    got, wanted = _text(reply, "frames").split(), verdict["frames"]
    error = _text(reply, "error").split()
    expected = verdict.get("error")
    if not error and expected:
        raise Mismatch(f"wanted {expected['code']}, got no error, and the end {reply.get('end')!s:.40}")
    if error and error[0] != (expected or {}).get("code"):
        raise Mismatch(f"wanted {expected['code'] if expected else 'no error'}, got {error[0]:.60}")
    for name, word in zip(("index", "offset"), error[1:], strict=False):
        if expected and name in expected and word != str(expected[name]):
            raise Mismatch(f"{error[0]}: wanted {name} {expected[name]}, got {word:.30}")
    if len(got) != len(wanted) and not (verdict.get("beginning") and len(got) < len(wanted)):
        raise Mismatch(f"{len(got)} frames, wanted {len(wanted)}")
    for index, (item, word) in enumerate(zip(wanted, got, strict=False)):
        compare_frame(coder, item, word, index)
    position = len(got) if verdict.get("beginning") else verdict.get("position", len(got))
    _compare_stream({**verdict, "position": position}, reply)


def _text(reply: Mapping[str, Any], name: str) -> str:
    value = reply.get(name)
    if not isinstance(value, str):
        raise Mismatch(f"the answer has no string {name!r}: {dict(reply)!s:.200}")
    return value


def compare_frame(coder: str | None, wanted: Mapping[str, Any], got: str, index: int) -> None:
    """Compare a word of the member `frames` with a frame as schema.json has it. Raises `Mismatch`."""
    if "refused" in wanted:
        mark = f"!{wanted['index']}:{wanted['offset']}"
        if got != mark:
            raise Mismatch(f"item {index}: wanted {mark}, the payload refused, got {got:.60}")
        return
    header, colon, payload = got.partition(":")
    if not colon:
        raise Mismatch(f"item {index}: wanted a frame, header:payload, got {got:.60}")
    found = _json(_unhex(header, f"header {index}"), f"header {index}")
    value = wanted["header"]
    if isinstance(value, list):
        value = json.loads(case_bytes(value))
    if not _same(value, found):
        raise Mismatch(f"header {index} is {found!s:.100}, wanted {value!s:.100}")
    data = _unhex(payload, f"payload {index}")
    if "json" in wanted:
        if not _same(wanted["json"], _json(data, f"payload {index}")):
            raise Mismatch(f"payload {index} is {data[:60]!r}, wanted the JSON {json.dumps(wanted['json']):.100}")
        return
    expected = case_bytes(wanted["payload"])
    if data != expected and not (coder == "msgpack" and _same_msgpack(expected, data)):
        raise Mismatch(
            f"payload {index} is {len(data)} bytes, {data[:30].hex()}, wanted {len(expected)}, {expected[:30].hex()}"
        )


def _compare_error(wanted: Mapping[str, Any] | None, got: str, sizes: Sequence[int]) -> None:
    if wanted is None:
        if got:
            raise Mismatch(f"wanted no error, got {got:.60}")
        return
    if not got:
        raise Mismatch(f"wanted {wanted['code']}, got no error")
    words = got.split()
    if len(words) != 4:
        raise Mismatch(f"an error is 'code index offset fed', got {got:.60}")
    code, index, offset, fed = words
    if code != wanted["code"]:
        raise Mismatch(f"wanted {wanted['code']}, got {code:.60}")
    for name, word in (("index", index), ("offset", offset)):
        if name in wanted and word != str(wanted[name]):
            raise Mismatch(f"{code}: wanted {name} {wanted[name]}, got {word:.30}")
    if not fed.isdecimal() or len(fed) > 20:
        raise Mismatch(f"{code}: the bytes fed are a number, got {fed:.30}")
    # The error must be reported when the chunk with that byte was fed.
    by = next((total for total in accumulate(sizes) if total >= wanted["by"]), sum(sizes))
    if int(fed) > by:
        raise Mismatch(f"{code}: reported after {fed} bytes, and byte {wanted['by']} shows it")


def _compare_stream(expect: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
    if _text(reply, "end") != expect["end"]:
        raise Mismatch(f"wanted the end {expect['end']}, got {reply['end']:.60}")
    if "position" in expect and reply.get("position") != expect["position"]:
        raise Mismatch(f"wanted the position {expect['position']}, got {reply.get('position')!s:.30}")
    if "trailers" in expect:
        trailers = _json(_unhex(_text(reply, "trailers"), "trailers"), "trailers")
        if not _same(expect["trailers"], trailers):
            raise Mismatch(f"wanted the trailers {expect['trailers']}, got {trailers!s:.100}")
        message = _unhex(_text(reply, "message"), "message").decode(errors="replace")
        if message != expect["message"]:
            raise Mismatch(f"wanted the message {expect['message']!r}, got {message!r:.100}")


def _compare_encoded(case: Mapping[str, Any], expect: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
    if "error" in expect:
        if _text(reply, "error") != expect["error"]["code"]:
            raise Mismatch(f"wanted {expect['error']['code']}, got {reply['error'] or reply.get('wire', '')!r:.100}")
        return
    if reply.get("error"):
        raise Mismatch(f"wanted a frame, got {reply['error']!s:.100}")
    wire = _unhex(_text(reply, "wire"), "wire")
    layout = case.get("layout", {"byte_length": 4, "byte_order": "little"})
    width, order = layout["byte_length"], layout["byte_order"]
    total, size = (int.from_bytes(wire[at : at + width], order) for at in (0, width))
    if total != len(wire):
        raise Mismatch(f"T is {total}, and the frame has {len(wire)} bytes")
    cut = 2 * width + size
    if cut > len(wire):
        raise Mismatch(f"H is {size}, and T {total}")
    header, payload = wire[2 * width : cut], wire[cut:]
    # Any JSON text of the same header is right; T and H are those of the text that was written.
    if not _same(json.loads(case_bytes(case["header"])), _json(header, "header")):
        raise Mismatch(f"the header is {header[:100]!r}, wanted {case_bytes(case['header'])[:100]!r}")
    wanted = case_bytes(case["payload"])
    if payload != wanted and not (case.get("coder") == "json" and _same(json.loads(wanted), _json(payload, "payload"))):
        raise Mismatch(
            f"the payload is {len(payload)} bytes, {payload[:30].hex()}, wanted {len(wanted)}, {wanted[:30].hex()}"
        )


def _unhex(text: str, name: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Mismatch(f"{name} is not hex: {text:.60}") from None


def _json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError):
        raise Mismatch(f"{name} is not JSON: {data[:60]!r}") from None


def _same(a: Any, b: Any) -> bool:
    """Whether they are the same JSON value: 1 is 1.0, as in JavaScript, and neither is `true`."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(value, b[name]) for name, value in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _same_msgpack(a: bytes, b: bytes) -> bool:
    import msgpack

    try:
        return _same(msgpack.unpackb(a, strict_map_key=False), msgpack.unpackb(b, strict_map_key=False))
    except Exception:  # noqa: BLE001 - msgpack raises many kinds; none of them is the same value
        return False
