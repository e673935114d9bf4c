"""Level 1: the cases of `vectors/`, the ways in which a wire is cut into chunks, and the requests made of both."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["case_bytes", "chunkings", "load_cases", "requests"]

DIRECTORY: Final = Path(__file__).parent
"""Where manifest.json and vectors/ are."""

_EVERY_CUT: Final = 128  # bytes up to which a wire is cut in two at every place
_BYTEWISE: Final = 2048  # bytes up to which it is fed byte by byte
_LARGE: Final = 100_000  # bytes from which on there are two chunkings only


def load_cases() -> list[dict[str, Any]]:
    """The cases of every suite of the manifest, in order, each with the `op` of its suite and the `bytes` of its wire.

    >>> case = load_cases()[0]
    >>> case["id"], case["op"], case["bytes"][:8]
    ('frames/golden', 'decode', b'\\x18\\x00\\x00\\x00\\x08\\x00\\x00\\x00')
    """
    cases: list[dict[str, Any]] = []
    for listed in json.loads((DIRECTORY / "manifest.json").read_bytes())["suites"]:
        suite = json.loads((DIRECTORY / listed["file"]).read_bytes())
        cases += [{**case, "op": suite["op"], "bytes": case_bytes(case.get("wire", ()))} for case in suite["cases"]]
    return cases


def case_bytes(parts: Any) -> bytes:
    """The bytes of a string of hex digits, or of a list of parts (schema.json)."""
    return _part(parts) if isinstance(parts, str) else b"".join(map(_part, parts))


def _part(part: Any) -> bytes:
    if isinstance(part, str):
        return bytes.fromhex(part)
    if "file" in part:
        return (DIRECTORY / "vectors" / str(part["file"])).read_bytes()
    return bytes.fromhex(part["repeat"]) * int(part["times"])


def chunkings(wire: bytes, seed: str = "") -> Iterator[tuple[str, list[bytes]]]:
    """Ways to cut a wire, each with a name: whole, bytewise, every cut, with empty chunks, at random places.

    The random places depend on the seed and the size alone.

    >>> [name for name, chunks in chunkings(b"abc")]
    ['whole', 'bytewise', 'cut at 1', 'cut at 2', 'empty chunks', 'random 1', 'random 2', 'random 3']
    """
    yield "whole", [wire]
    size = len(wire)
    if size < 2:
        yield "no chunks" if not wire else "bytewise", [wire] if wire else []
        yield "empty chunks", [b"", b"", wire, b""]
        return
    chance = random.Random(f"{seed}:{size}")  # noqa: S311 - it must be the same on every run
    if size >= _LARGE:
        for step in (1460, 65_536):
            yield f"chunks of {step}", [wire[at : at + step] for at in range(0, size, step)]
        return
    if size <= _BYTEWISE:
        yield "bytewise", [wire[at : at + 1] for at in range(size)]
    cuts: Iterable[int] = range(1, size)
    if size > _EVERY_CUT:
        cuts = sorted({1, 3, 4, 7, 8, 9, size - 1, *(chance.randrange(1, size) for _ in range(25))})
    for cut in cuts:
        yield f"cut at {cut}", [wire[:cut], wire[cut:]]
    middle = size // 2
    yield "empty chunks", [b"", wire[:1], b"", wire[1:middle], b"", b"", wire[middle:], b""]
    for number in (1, 2, 3):
        places = sorted(chance.randrange(size + 1) for _ in range(min(size, 3 * number)))
        yield f"random {number}", [wire[a:b] for a, b in zip([0, *places], [*places, size], strict=True)]


def requests(case: Mapping[str, Any]) -> Iterator[tuple[str, list[int], dict[str, Any]]]:
    """Each way to try a case: its name, the sizes of its chunks, and the request."""
    request: dict[str, Any] = {"op": case["op"]}
    request |= {f"max_{name}": limit for name, limit in case.get("limits", {}).items()}
    request |= case.get("layout", {})
    if "coder" in case:
        request["coder"] = case["coder"]
    if "require_end" in case:
        request["require_end"] = "yes" if case["require_end"] else "no"
    if case["op"] == "encode":
        yield "", [], {**request, **{name: case_bytes(case[name]).hex() for name in ("header", "payload")}}
        return
    for name, chunks in chunkings(case["bytes"], case["id"]):
        words = " ".join(chunk.hex() or "-" for chunk in chunks)
        yield name, [len(chunk) for chunk in chunks], {**request, "chunks": words}
