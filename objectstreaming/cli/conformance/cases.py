"""What is tried: the cases of spec/conformance/vectors, and the ways in which a wire is cut into chunks."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .testee import CannotRun

__all__ = ["case_bytes", "chunkings", "conformance_directory", "load_cases", "requests"]

_EVERY_CUT: Final = 128  # bytes up to which a wire is cut in two at every place
_BYTEWISE: Final = 2048  # bytes up to which it is fed byte by byte
_LARGE: Final = 100_000  # bytes from which on few chunkings must do
_ROOT: Final = Path(__file__).resolve().parents[3]


def load_cases(vectors: Path | None = None) -> list[dict[str, Any]]:
    """The cases of every suite of the manifest, each with its `op`, in order.

    `vectors` is the directory of manifest.json: spec/conformance of the checkout, or of the working directory.
    """
    directory = conformance_directory(vectors)
    manifest = json.loads((directory / "manifest.json").read_bytes())
    cases: list[dict[str, Any]] = []
    for listed in manifest["suites"]:
        suite = json.loads((directory / listed["file"]).read_bytes())
        for case in suite["cases"]:
            parts = case.get("wire", ())
            case["op"] = suite["op"]
            case["bytes"] = b"".join(_part(part, directory / "vectors") for part in parts)
            cases.append(case)
    return cases


def conformance_directory(vectors: Path | None) -> Path:
    """Where manifest.json and testees.json are. Raises `CannotRun` if they are nowhere."""
    candidates = [vectors] if vectors else [_ROOT / "spec" / "conformance", Path("spec/conformance").resolve()]
    for directory in candidates:
        if (directory / "manifest.json").is_file():
            return directory
    raise CannotRun(f"no vectors: {candidates[-1]} has no manifest.json; they are in spec/conformance of a checkout")


def _part(part: Any, directory: Path) -> bytes:
    if isinstance(part, str):
        return bytes.fromhex(part)
    if "file" in part:
        return (directory / str(part["file"])).read_bytes()
    return bytes.fromhex(part["repeat"]) * int(part["times"])


def case_bytes(parts: Any) -> bytes:
    """The bytes of hex, or of a list of parts."""
    return _part(parts, _ROOT) if isinstance(parts, str) else b"".join(_part(part, _ROOT) for part in parts)


def chunkings(wire: bytes, seed: str = "") -> Iterator[tuple[str, list[bytes]]]:
    """Ways to cut a wire, each with a name: whole, bytewise, every cut, with empty chunks, at random places.

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
    limits = case.get("limits", {})
    request |= {f"max_{name}": limit for name, limit in limits.items()}
    request |= case.get("layout", {})
    if "coder" in case:
        request["coder"] = case["coder"]
    if "require_end" in case:
        request["require_end"] = "yes" if case["require_end"] else "no"
    if case["op"] == "encode":
        yield (
            "",
            [],
            {**request, "header": case_bytes(case["header"]).hex(), "payload": case_bytes(case["payload"]).hex()},
        )
        return
    for name, chunks in chunkings(case["bytes"], case["id"]):
        words = " ".join(chunk.hex() or "-" for chunk in chunks)
        yield name, [len(chunk) for chunk in chunks], {**request, "chunks": words}
