"""The streams of level 2, what may come of them, and what a server does with them.

The wires are spelled here byte by byte, so that no encoder of ours stands between the specification and the case.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from .door import V1, Exchange, Play

__all__ = [
    "END_FRAME",
    "ONE",
    "ONE_FRAME",
    "PARTS",
    "PING_FRAME",
    "PLAIN_WHOLE",
    "TWO",
    "TWO_FRAME",
    "WHOLE",
    "WIRE",
    "Verdict",
    "answering",
    "broken_at",
    "chunked",
    "control_frame",
    "cut_at",
    "cut_places",
    "echo",
    "endless_problem",
    "failed",
    "no_answer",
    "open_frame",
    "resetting",
    "short_of_its_length",
    "slowly",
    "until_closed",
    "wire_frame",
]

Verdict: TypeAlias = dict[str, Any]
"""As the `expect` of a `stream` case; `beginning`: fewer frames will do, from the first on."""

# -------------------------------------------------------------------------------------------------------- the wires


def wire_frame(header: bytes, payload: bytes = b"{}") -> bytes:
    return (8 + len(header) + len(payload)).to_bytes(4, "little") + len(header).to_bytes(4, "little") + header + payload


def control_frame(**members: Any) -> bytes:
    return wire_frame(json.dumps({"$stream": members}, separators=(",", ":")).encode())


def open_frame(heartbeat: float = 15) -> bytes:
    return control_frame(type="open", v=1, coder="json", heartbeat=heartbeat)


ONE: Final = {"header": {"n": 1}, "json": "one"}
TWO: Final = {"header": {"n": 2}, "json": {"tw\u00f6": "\U0001f600"}}
ONE_FRAME: Final = wire_frame(b'{"n":1}', b'"one"')
TWO_FRAME: Final = wire_frame(b'{"n":2}', '{"tw\u00f6":"\U0001f600"}'.encode())
PING_FRAME: Final = control_frame(type="ping")
END_FRAME: Final = control_frame(type="end", frames=2, trailers={"tokens": 3})
PARTS: Final = (open_frame(), ONE_FRAME, PING_FRAME, TWO_FRAME, END_FRAME)
WIRE: Final = b"".join(PARTS)

WHOLE: Final[Verdict] = {
    "frames": [ONE, TWO],
    "end": "ok",
    "position": 2,
    "trailers": {"tokens": 3},
    "message": "",
}
PLAIN_WHOLE: Final[Verdict] = {"frames": [ONE, TWO], "end": "missing", "position": 2}


def failed(code: str, *frames: Any, **more: Any) -> Verdict:
    return {
        "frames": list(frames),
        "end": "missing",
        "position": len(frames),
        "error": {"code": code},
        **more,
    }


def cut_at(at: int, parts: Sequence[bytes] = PARTS) -> Verdict:
    """What has come of a stream whose bytes ended after `at`, and nothing else went wrong."""
    frames: list[Any] = []
    offset = 0
    for index, part in enumerate(parts):
        if offset == at:
            break
        if offset + len(part) > at:
            verdict = failed("truncated_frame", *frames)
            verdict["error"] |= {"index": index, "offset": offset}
            return verdict
        offset += len(part)
        frames += [ONE] * (part is ONE_FRAME) + [TWO] * (part is TWO_FRAME)
    return failed("stream_incomplete", *frames)


def broken_at(at: int, parts: Sequence[bytes] = PARTS) -> tuple[Verdict, ...]:
    """What may have come of it where the connection broke: an HTTP library may lose what it had not handed on."""
    frames = cut_at(at, parts)["frames"]
    codes = ("stream_incomplete", "truncated_frame", "no_response")
    return tuple(failed(code, *frames[: None if code != "no_response" else 0], beginning=True) for code in codes)


def cut_places(parts: Sequence[bytes] = PARTS) -> list[int]:
    """Before, after and inside each frame: where a cut is worth a connection of its own kind."""
    places, offset = {0}, 0
    for part in parts:
        places |= {offset + 1, offset + 6, offset + len(part) // 2, offset + len(part) - 1, offset + len(part)}
        offset += len(part)
    return sorted(places - {offset})


# -------------------------------------------------------------------------------------------------------- the plays


def answering(body: bytes, status: str = "200 OK", content_type: str = V1, **headers: str) -> Play:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(body, status, content_type, **headers)

    return play


def chunked(*chunks: bytes, content_type: str = V1, complete: bool = True) -> Play:
    """Each chunk as it is, then the end of the body, or of the connection alone."""

    async def play(exchange: Exchange) -> None:
        # Where the response said that it is the last, Node's fetch takes a body that broke off for whole.
        await exchange.head(content_type=content_type, last=complete, Transfer_Encoding="chunked")
        for chunk in chunks:
            if chunk:
                await exchange.chunk(chunk)
        if complete:
            await exchange.chunk(b"")

    return play


def short_of_its_length(body: bytes, missing: int) -> Play:
    async def play(exchange: Exchange) -> None:
        await exchange.head(Content_Length=str(len(body) + missing))
        await exchange.send(body)

    return play


def resetting(body: bytes, missing: int) -> Play:
    async def play(exchange: Exchange) -> None:
        await exchange.head(Content_Length=str(len(body) + missing))
        await exchange.send(body)
        await asyncio.sleep(0.05)  # a reset overtakes what the client has not read yet
        exchange.reset()

    return play


def until_closed(body: bytes) -> Play:
    """As HTTP/1.0 has it: the body is what comes until the connection ends."""

    async def play(exchange: Exchange) -> None:
        await exchange.head(version="1.0")
        await exchange.send(body)

    return play


def no_answer(beginning: bytes, *, in_good_order: bool = True) -> Play:
    async def play(exchange: Exchange) -> None:
        await exchange.send(beginning)
        if not in_good_order:
            exchange.reset()

    return play


def slowly(*steps: bytes | float, stall: bool = False) -> Play:
    """Chunks, and the seconds to wait between them; then the end, or nothing at all."""

    async def play(exchange: Exchange) -> None:
        await exchange.head(Transfer_Encoding="chunked")
        for step in steps:
            await (exchange.chunk(step) if isinstance(step, bytes) else asyncio.sleep(step))
        await (exchange.stall() if stall else exchange.chunk(b""))

    return play


async def endless_problem(exchange: Exchange) -> None:
    """A problem of up to 256 MiB, if anybody reads on."""
    await exchange.head("500 Internal Server Error", "text/plain", Transfer_Encoding="chunked")
    for _ in range(4096):
        await exchange.chunk(b"x" * 65536)


async def echo(exchange: Exchange) -> None:
    said = {"method": exchange.method, "body": exchange.body.decode(), "type": exchange.headers.get("content-type", "")}
    wire = [open_frame(), wire_frame(b'{"n":1}', json.dumps(said).encode()), control_frame(type="end", frames=1)]
    await exchange.answer(b"".join(wire))
