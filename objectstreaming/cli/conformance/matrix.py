"""Who reads whom: what each testee has encoded, decoded by each of them.

Two programs that were each tried against the vectors can still fail together at what no vector has. So every testee
encodes the same messages, at its own way of spelling JSON, and every testee reads what came of it: the value must be
the one that was asked for, or the two do not speak the same language.

Wires that are the same, byte for byte, are read once: the 16 MiB of `payload-16-mib` cost no more than they must.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .comparing import Mismatch, compare_frame
from .registry import Registered
from .testee import Broken, CannotRun, Testee

__all__ = ["Matrix", "Message", "cross", "messages"]

_SILENCE: Final = 60.0
"""Seconds: a line of this can be 34 MB."""
_LIMIT: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Message:
    """What is to be written and read: frames of headers and payloads, one stream."""

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
    """For each writer and reader: message -> what went wrong; empty if nothing did."""

    names: list[str]
    cells: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not any(why for cell in self.cells.values() for why in cell.values())

    def score(self, writer: str | None = None, reader: str | None = None) -> tuple[int, int]:
        """Messages that were understood, and messages tried, of all pairs with that writer and reader."""
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


def cross(testees: Sequence[Registered], corpus: Sequence[Message] | None = None) -> Matrix:
    """Have every testee read what every testee writes: the `messages`, or those of `corpus`."""
    return asyncio.run(_cross(testees, list(messages()) if corpus is None else corpus))


async def _cross(testees: Sequence[Registered], corpus: Sequence[Message]) -> Matrix:
    matrix = Matrix([testee.name for testee in testees])
    with contextlib.ExitStack() as stack:
        running = {
            testee.name: Testee(
                testee.command, testee.root, _SILENCE, stack.enter_context(tempfile.TemporaryFile("a+b"))
            )
            for testee in testees
        }
        try:
            for message in corpus:
                written = {name: await _write(testee, message) for name, testee in running.items()}
                for reader, testee in running.items():
                    verdicts: dict[bytes, str | None] = {}
                    for writer, wire in written.items():
                        if wire is None:
                            continue  # it does not write such messages
                        if isinstance(wire, str):
                            why: str | None = wire if reader == writer else None
                        else:
                            if wire not in verdicts:
                                verdicts[wire] = await _read(testee, message, wire)
                            why = verdicts[wire]
                        if why is not None:
                            matrix.cells.setdefault((writer, reader), {})[message.name] = why
        finally:
            for testee in running.values():
                await testee.stop()
    return matrix


async def _features(testee: Testee) -> frozenset[str]:
    if not testee.hello:
        await testee.start()
    return frozenset(str(testee.hello.get("features", "")).split())


async def _write(testee: Testee, message: Message) -> bytes | str | None:
    """The message's wire; or what went wrong; `None` if the testee does not write such messages."""
    try:
        if not message.writes(await _features(testee)):
            return None
        replies: list[dict[str, Any]] = []
        coder = {"coder": message.coder} if message.coder else {}
        await testee.ask(
            [
                {"op": "encode", **coder, "header": _dumps(header).hex(), "payload": payload.hex()}
                for header, payload in message.frames
            ],
            replies,
        )
    except (Broken, CannotRun) as error:
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


async def _read(testee: Testee, message: Message, wire: bytes) -> str | None:
    """What went wrong; `None` if the testee does not read such messages."""
    try:
        if not message.reads(await _features(testee)):
            return None
        replies: list[dict[str, Any]] = []
        op = {"op": "stream", "coder": message.coder} if message.coder else {"op": "decode"}
        await testee.ask([{**op, "chunks": wire.hex()}], replies)
    except (Broken, CannotRun) as error:
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
            compare_frame(message.coder, {"header": _completed(message, header), **wanted}, word, index)
    except Mismatch as error:
        return str(error)
    return ""


def _completed(message: Message, header: Mapping[str, Any]) -> dict[str, Any]:
    """A TAL header as it is received: all ten members."""
    if message.coder != "tal":
        return dict(header)
    defaults = {
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
    return {**defaults, **header}
