"""`objectstreaming replay`: a server that gives a recorded answer again, at its pace, with the faults asked for.

Places of faults are those of the recorded body, as `inspect` shows them: frames by their index, bytes by their offset.
So several faults do not move one another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Final

from ..errors import FrameError
from ..frames import FrameDecoder
from ..protocol import CONTROL, MEDIA_TYPE, PLAIN_MEDIA_TYPE, VERSION
from ..testing import Connection, RawServer
from .errors import CommandError
from .recordings import MASK, Exchange, Piece, is_recording, read_exchange
from .terminal import printable

__all__ = ["Faults", "replay", "schedule"]

_HOP: Final = frozenset(
    [
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
"""Headers of one connection, not of the answer (RFC 9110, section 7.6.1)."""


@dataclass(frozen=True)
class Faults:
    """What is done to the body."""

    cut_at: int | None = None
    clean: bool = False
    stalls: Sequence[tuple[int, float]] = ()
    dropped: Sequence[int] = ()
    doubled: Sequence[int] = ()
    flipped: Sequence[int] = ()
    speed: float = 1.0


def schedule(pieces: Sequence[Piece], faults: Faults) -> list[tuple[float, bytes]]:
    """The pieces to send, and when: seconds after the request.

    Raises `CommandError` for a fault in a frame or at a byte that the body does not have.

    >>> from objectstreaming import encode_frame
    >>> a, b = encode_frame({}, b"a"), encode_frame({}, b"b")
    >>> [(t, data[-1:]) for t, data in schedule([Piece(1.0, a), Piece(2.0, b)], Faults(stalls=[(1, 5.0)], speed=2))]
    [(0.5, b'a'), (6.0, b'b')]
    >>> schedule([Piece(0.0, a + b)], Faults(dropped=[0])) == [(0.0, b)]
    True
    """
    body = bytearray(b"".join(piece.data for piece in pieces))
    places = _places(bytes(body))
    for place in faults.flipped:
        if place >= len(body):
            raise CommandError(f"there is no byte {place}: the body has {len(body)}", status=2)
        body[place] ^= 1
    for index in (*faults.dropped, *faults.doubled, *(index for index, _ in faults.stalls)):
        if index >= len(places):
            raise CommandError(f"there is no frame {index}: the body has {len(places)}", status=2)
    end = len(body) if faults.cut_at is None else min(faults.cut_at, len(body))

    sent: list[tuple[float, bytes]] = []
    begin = 0
    for piece in pieces:
        behind = begin + len(piece.data)
        marks = {place for index in (*faults.dropped, *faults.doubled) for place in places[index]}
        marks |= {places[index][0] for index, _ in faults.stalls} | {end}
        cuts = [begin, *sorted(mark for mark in marks if begin < mark < behind), behind]
        for at, to in pairwise(cuts):
            if at >= end or any(places[index][0] <= at < places[index][1] for index in faults.dropped):
                continue
            late = sum(seconds for index, seconds in faults.stalls if places[index][0] <= at)
            t = (piece.t or 0.0) / faults.speed + late
            sent.append((t, bytes(body[at:to])))
            if to < end or faults.cut_at is None:
                sent += [(t, bytes(body[slice(*places[index])])) for index in faults.doubled if places[index][1] == to]
        begin = behind
    return sent


def _places(body: bytes) -> list[tuple[int, int]]:
    """Where each frame begins and ends, as far as the bytes are frames."""
    places: list[tuple[int, int]] = []
    decoder = FrameDecoder()
    with suppress(FrameError):
        for frame in decoder.feed(body):
            size = 8 + len(frame.header_bytes) + len(frame.payload)
            places.append((frame.offset, frame.offset + size))
    return places


def replay(file: Path, port: int, exchange: int | None, faults: Faults, note: Callable[[str], object]) -> None:
    """Serve a recording, or a captured stream without times, on 127.0.0.1 until SIGINT. Raises `CommandError`."""
    recorded = read_exchange(file, exchange) if is_recording(file) else _captured(file)
    pieces = schedule(recorded.pieces, faults)
    head = _head(recorded)
    stopped = threading.Event()

    def respond(connection: Connection) -> None:
        note(f"{printable(connection.method)} {printable(connection.path)}")
        connection.send(head)
        now = 0.0
        for t, data in pieces:
            if t > now:
                if stopped.wait(t - now):
                    return
                now = t
            connection.send_chunks([data])
        if (faults.cut_at is not None and not faults.clean) or recorded.fault is not None:
            connection.reset()
        else:
            connection.send(b"0\r\n\r\n")

    try:
        with RawServer(respond, port) as server:
            note(f"{server.url} answers with {file}; stop with Ctrl-C")
            try:
                stopped.wait()
            finally:
                stopped.set()
    except KeyboardInterrupt:
        return
    except OSError as error:
        raise CommandError(f"cannot listen on port {port}: {error.strerror}") from None


def _captured(file: Path) -> Exchange:
    """A stream that was saved without its response."""
    body = file.read_bytes()
    content_type = PLAIN_MEDIA_TYPE
    frame = None
    with suppress(FrameError):
        frame = next(FrameDecoder().feed(body), None)
    if frame is not None and frame.header_bytes.startswith(CONTROL):
        control = frame.header.get("$stream")
        coder = control.get("coder") if isinstance(control, dict) else None
        named = f";coder={coder}" if isinstance(coder, str) and coder.isidentifier() else ""
        content_type = f"{MEDIA_TYPE};v={VERSION}{named}"
    return Exchange("GET", "/", 200, [("content-type", content_type)], [Piece(0.0, body)], None)


def _head(exchange: Exchange) -> bytes:
    """The head of the response. What belonged to its connection, and what was masked, is left out."""
    status = exchange.status or 200
    reason = next((known.phrase for known in HTTPStatus if known == status), "")
    lines = [f"HTTP/1.1 {status} {reason}", "transfer-encoding: chunked", "connection: close"]
    for name, value in exchange.headers:
        if name.lower() not in _HOP and value != MASK and not set(name + value) & {"\r", "\n"}:
            lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", errors="replace")
