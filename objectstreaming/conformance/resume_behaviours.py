"""Level 3: the stream that a server keeps, as it is written here byte by byte, and one answer of the fault server.

The stream has `LENGTH` data frames. Every answer is asked for at a place of its own: the first request at `ask`, a
resumption at `stream` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

from ..testing import Connection
from .compare import Mismatch
from .generator.case_writer import frame
from .http_behaviours import Behaviour, Verdict, chunked, control_frame, failed

__all__ = [
    "DATA",
    "ITEMS",
    "LENGTH",
    "TRAILERS",
    "Answer",
    "check_answered",
    "ends",
    "items",
    "opens",
    "position_asked",
    "rest",
    "stops_with",
    "whole_stream",
]

LENGTH: Final = 3
DATA: Final = tuple(frame("{}", str(number)) for number in range(1, LENGTH + 1))
ITEMS: Final = tuple({"header": {}, "json": number} for number in range(1, LENGTH + 1))
TRAILERS: Final = {"tokens": 3}


def opens(position: int | None = None, resume: str | None = "stream", **members: Any) -> bytes:
    """The open frame of a response; a member that is None is left out."""
    members = {"resume": resume, "position": position, **members}
    return control_frame(type="open", v=1, **{name: value for name, value in members.items() if value is not None})


def ends(frames: int = LENGTH, **members: Any) -> bytes:
    return control_frame(type="end", frames=frames, **members)


def items(count: int) -> list[Any]:
    """What a reader has had of the stream, up to this position."""
    return list(ITEMS[:count])


def whole_stream(**members: Any) -> Verdict:
    """All of it came, each message once."""
    return {"frames": items(LENGTH), "end": "ok", "position": LENGTH, "trailers": TRAILERS, "message": "", **members}


def stops_with(code: str, count: int) -> Verdict:
    """The first `count` messages came, and then the error."""
    return failed(code, *items(count))


def position_asked(connection: Connection) -> str | None:
    """The position that a request asks for, as it is spelled: `Last-Event-ID` counts where there are both."""
    [*_, asked] = [None, *parse_qs(urlsplit(connection.path).query, keep_blank_values=True).get("position", [])]
    return connection.headers.get("last-event-id", asked)


def rest(connection: Connection) -> None:
    """What a server does that has no fault: the data frames after the position that is asked for, and the end."""
    asked = position_asked(connection)
    position = min(int(asked), LENGTH) if asked is not None and re.fullmatch("[0-9]{1,15}", asked) else 0
    parts = (opens(position), *DATA[position:], ends(LENGTH - position, trailers=TRAILERS))
    chunked(*parts)(connection)


@dataclass(frozen=True)
class Answer:
    """What the fault server does with one request, and the request that it must be."""

    behaviour: Behaviour = rest
    position: int | tuple[int, int] = LENGTH
    """What a resumption must ask for; a pair, the least and the most, where a broken connection may lose frames."""
    path: str = "stream"
    """Where it must be sent, relative to the first request."""
    method: str = "GET"
    waits: float = 0.0
    """How many seconds must have passed since the request before."""


def check_answered(answers: Sequence[Answer], connections: Sequence[Connection]) -> None:
    """Check the requests after the first one. Raises `Mismatch` unless they are those of `answers`, in this order."""
    if len(connections) != len(answers):
        raise Mismatch(f"{len(connections)} requests came, wanted {len(answers)}")
    folder = connections[0].path.rpartition("/")[0]
    for number, (answer, before, request) in enumerate(zip(answers[1:], connections, connections[1:], strict=False), 2):
        if request.method != answer.method:
            raise Mismatch(f"request {number}: wanted a {answer.method}, got a {request.method:.20}")
        wanted, path = urlsplit(answer.path), urlsplit(request.path)
        if path.path != f"{folder}/{wanted.path}" and path.path != wanted.path:
            raise Mismatch(f"request {number} went to {path.path:.100}, wanted {folder}/{wanted.path}")
        if missing := set(parse_qsl(wanted.query)) - set(parse_qsl(path.query)):
            raise Mismatch(f"request {number}: {path.query:.100} lacks {missing}")
        if request.body:
            raise Mismatch(f"request {number} has a body: {request.body[:60]!r}")
        if answer.method == "GET":
            _check_position(number, answer.position, request)
        if (waited := request.received_at - before.received_at) < answer.waits:
            raise Mismatch(
                f"request {number} came {waited:.2f} s after the one before, wanted {answer.waits} s or more"
            )


def _check_position(number: int, wanted: int | tuple[int, int], request: Connection) -> None:
    accept = request.headers.get("accept", "").replace(" ", "").lower()
    if "application/vnd.objectstreaming;v=1" not in accept:
        raise Mismatch(f"request {number}: the Accept header does not ask for version 1: {accept:.100}")
    least, most = (wanted, wanted) if isinstance(wanted, int) else wanted
    asked = position_asked(request)
    if asked not in [str(position) for position in range(least, most + 1)]:
        raise Mismatch(f"request {number} asks for the position {asked!s:.30}, wanted {least} to {most}")
