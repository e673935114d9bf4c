"""Who reads whom: what each implementation has encoded, decoded by each of them.

Two programs that pass all vectors can still fail together at what no vector has. So every implementation encodes the
same messages, with its own JSON library, and every implementation reads the result: the values must be those that were
to be sent.

Of wires that are the same, byte for byte, a reader reads one: the 16 MiB of `payload-16-mib` take long enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .compare import Mismatch, compare_frame
from .generator.model import TAL_DEFAULTS
from .program import CannotRun, Program, ProgramFailed
from .registry import Implementation

__all__ = ["Matrix", "Message", "cross", "messages"]

_SILENCE: Final = 60.0
"""Seconds: a line of this can be 34 MB."""
_LIMIT: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Message:
    """What is to be written and read: a stream, as headers and payloads."""

    name: str
    frames: tuple[tuple[Mapping[str, Any], bytes], ...]
    coder: str = ""
    """`json` or `tal`; empty: bare frames, read by `decode`."""

    def writes(self, features: frozenset[str]) -> bool:
        return {"encode", *self._coder} <= features

    def reads(self, features: frozenset[str]) -> bool:
        return {"stream" if self.coder else "decode", *self._coder} <= features

    @property
    def _coder(self) -> set[str]:
        return {self.coder or "json"}


def messages() -> Iterator[Message]:
    """The messages of the matrix."""
    planes = {chr(plane << 16 | low): chr(plane << 16 | high) for plane in range(17) for low, high in _CHARACTERS}
    edges = '\x00\x1f"\\/\x7f\x80\u07ff\u0800\u2028\u2029\ud7ff\ue000\ufeff\ufffd\U00010000\U0010ffff'
    integers = [sign * (2**53 - less) for sign in (1, -1) for less in (0, 1, 2)] + [0, -1, 2**31, 2**32, -(2**31) - 1]
    tal = {"sampleRate": 24000, "channels": 2, "question": edges, "answer": "".join(planes)}
    yield Message("every-plane", (({"planes": planes, edges: edges}, b"\x00\xff"),))
    yield Message("integers", (({"integers": integers, **{str(value): value for value in integers}}, b"1"),))
    yield Message("empty-payload", (({}, b""), ({"a": 1}, b""), ({}, b"")))
    yield Message("payload-16-mib", (({}, bytes(range(256)) * (_LIMIT // 256 - 1) + bytes(246)),))
    yield Message(
        "json", (({"n": 1, **planes}, _dumps([edges, planes, integers])), ({}, b"null"), ({"a": []}, b'""')), "json"
    )
    yield Message(
        "tal",
        (
            ({**tal, "sign": 1, "order": 1}, bytes(range(200))),
            ({**tal, "sign": 2, "order": 2, "bitDepth": 32, "audioType": "int32"}, bytes(range(160))),
            ({**tal, "sign": 3, "order": 3, "url": "https://example.org/\u00e4"}, b""),
        ),
        "tal",
    )


# In each plane: a character near its beginning, and one near its end, neither a surrogate nor of the last two.
_CHARACTERS: Final = ((0x0100, 0xFFFD), (0x1234, 0xF000))


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@dataclass
class Matrix:
    """For each writer and reader, and each message: what went wrong; empty if nothing did."""

    names: list[str]
    cells: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not any(why for cell in self.cells.values() for why in cell.values())

    def score(self, writer: str | None = None, reader: str | None = None) -> tuple[int, int]:
        """Messages understood, and messages tried, of all pairs with that writer and reader; `None`: any."""
        found = [
            why
            for (one, other), cell in self.cells.items()
            if writer in (None, one) and reader in (None, other)
            for why in cell.values()
        ]
        return found.count(""), len(found)

    def render(self) -> str:
        """A row a writer, a column a reader; then what went wrong."""
        width = max(map(len, [*self.names, "writes / reads"]))
        lines = ["writes / reads".ljust(width) + "".join("  " + name.rjust(len(name)) for name in self.names)]
        lines.append("-" * len(lines[0]))
        for writer in self.names:
            cells = []
            for reader in self.names:
                passed, tried = self.score(writer, reader)
                cells.append(f"{passed}/{tried}" if tried else "-")
            row = "".join("  " + cell.rjust(len(name)) for cell, name in zip(cells, self.names, strict=True))
            lines.append(writer.ljust(width) + row)
        for (writer, reader), cell in self.cells.items():
            lines += [f"FAILED {reader} reads {name} of {writer}: {why}" for name, why in cell.items() if why]
        return "\n".join(lines)


def cross(implementations: Sequence[Implementation], corpus: Sequence[Message] | None = None) -> Matrix:
    """Have every implementation read what every other writes: the `messages`, or those of `corpus`."""
    return asyncio.run(_cross(implementations, list(messages()) if corpus is None else corpus))


async def _cross(implementations: Sequence[Implementation], corpus: Sequence[Message]) -> Matrix:
    matrix = Matrix([implementation.name for implementation in implementations])
    async with contextlib.AsyncExitStack() as stack:
        programs = {
            one.name: await stack.enter_async_context(Program(one.command, one.root, _SILENCE))
            for one in implementations
        }
        for message in corpus:
            written = {name: await _write(program, message) for name, program in programs.items()}
            for reader, program in programs.items():
                verdicts: dict[bytes, str | None] = {}
                for writer, wire in written.items():
                    if wire is None:
                        continue  # it does not write such messages
                    if isinstance(wire, str):
                        why: str | None = wire if reader == writer else None
                    else:
                        if wire not in verdicts:
                            verdicts[wire] = await _read(program, message, wire)
                        why = verdicts[wire]
                    if why is not None:
                        matrix.cells.setdefault((writer, reader), {})[message.name] = why
    return matrix


async def _write(program: Program, message: Message) -> bytes | str | None:
    """The message's wire; or what went wrong; `None` if the program does not write such messages."""
    try:
        if not program.features:
            await program.start()
        if not message.writes(program.features):
            return None
        replies: list[dict[str, Any]] = []
        coder = {"coder": message.coder} if message.coder else {}
        await program.ask(
            [
                {"op": "encode", **coder, "header": _dumps(header).hex(), "payload": payload.hex()}
                for header, payload in message.frames
            ],
            replies,
        )
    except (ProgramFailed, CannotRun) as error:
        return f"it could not be written: {error}"
    try:
        for reply in replies:
            if "skipped" in reply:
                return None
            if reply.get("error"):
                return f"it could not be written: {reply['error']!s:.100}"
        return b"".join(bytes.fromhex(reply["wire"]) for reply in replies)
    except (KeyError, TypeError, ValueError):
        return f"it could not be written: {replies!s:.100}"


async def _read(program: Program, message: Message, wire: bytes) -> str | None:
    """What went wrong; `None` if the program does not read such messages."""
    if not message.reads(program.features):
        return None
    try:
        replies: list[dict[str, Any]] = []
        op = {"op": "stream", "coder": message.coder} if message.coder else {"op": "decode"}
        await program.ask([{**op, "chunks": wire.hex()}], replies)
    except (ProgramFailed, CannotRun) as error:
        return str(error)
    [reply] = replies
    if "skipped" in reply:
        return None
    if reply.get("error"):
        return f"{reply['error']!s:.100}"
    words = str(reply.get("frames", "")).split()
    if len(words) != len(message.frames):
        return f"{len(words)} frames, wanted {len(message.frames)}"
    try:
        for index, ((header, payload), word) in enumerate(zip(message.frames, words, strict=True)):
            if message.coder == "json":
                wanted: dict[str, Any] = {"json": json.loads(payload)}
            else:
                wanted = {"payload": payload.hex()}
            # A TAL header is received with all ten members.
            defaults = TAL_DEFAULTS if message.coder == "tal" else {}
            compare_frame(message.coder, {"header": {**defaults, **header}, **wanted}, word, index)
    except Mismatch as error:
        return str(error)
    return ""
