"""Level 3: the stream that a server keeps, written here byte by byte, and the script of what becomes of it.

The stream has `LENGTH` data frames. The first request is sent to `ask`; resumptions and DELETE to `stream` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urljoin, urlsplit

from ..testing import Connection
from .compare import Mismatch, compare_fetch
from .generator.case_writer import frame
from .http_behaviours import Behaviour, Verdict, chunked, control_frame, failed, whole
from .http_cases import check_request

__all__ = [
    "DATA",
    "ITEMS",
    "LENGTH",
    "TRAILERS",
    "Answer",
    "Script",
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
    """Where it must be sent, relative to the first request, with the query that it must have beside the position."""
    method: str = "GET"
    waits: float = 0.0
    """How many seconds must have passed since the request before."""
    times: int = 1
    """How many such requests may come, one of them at least. More than one only in the last answer."""


@dataclass(frozen=True)
class Script:
    """One stream of a case: the answers of the fault server, one for each request, and what may come of them."""

    name: str
    verdicts: tuple[Verdict, ...]
    answers: tuple[Answer, ...]
    more: tuple[tuple[str, int], ...] = ()
    """Further members of the request to the implementation."""
    place: str | None = None
    """What the implementation must say of the place: the position, or "" for none; not compared if it is `None`."""
    method: str = "POST"
    body: bytes = b'{"question":"why?"}'
    app: str = ""
    coder: str = "json"

    def request(self, url: str) -> dict[str, Any]:
        """The request to the implementation; `url` is that of this script at the fault server."""
        more = dict(self.more)
        request: dict[str, Any] = {"op": "resume", "coder": self.coder, **more}
        if "position" in more:
            return {**request, "url": f"{url}/stream"}
        return {
            **request,
            "url": f"{url}/ask",
            "method": self.method,
            "body": self.body.hex(),
            "content_type": "application/json",
        }

    def respond(self, connection: Connection, number: int) -> None:
        """Answer the request `number`, which counts from 0."""
        last = len(self.answers) - 1
        if number > last + self.answers[-1].times - 1:
            _TOO_MANY(connection)
        else:
            self.answers[min(number, last)].behaviour(connection)

    def check(self, reply: Mapping[str, Any], connections: Sequence[Connection]) -> None:
        """Raises `Mismatch` unless the reply and the requests are right."""
        compare_fetch(self.coder, self.verdicts, reply)
        resumed = "position" in dict(self.more)
        if not resumed:
            check_request(self.method, self.body, connections[:1])
        check_answered(self.answers, connections, resumed=resumed)
        place = reply.get("place")
        if self.place is not None and place != self._place(connections[0]):
            raise Mismatch(f"the place is {place!s:.100}, wanted {self._place(connections[0]) or 'none'}")

    def _place(self, first: Connection) -> str:
        folder = first.path.rpartition("/")[0]
        return f"http://{first.headers['host']}{folder}/stream {self.place}" if self.place else ""


_TOO_MANY: Final = whole(b"", "410 Gone", "")


def check_answered(answers: Sequence[Answer], connections: Sequence[Connection], *, resumed: bool = False) -> None:
    """Check the requests that resume or stop the stream. Raises `Mismatch` unless they are those of `answers`.

    The first request is not looked at, unless it resumes too.
    """
    most = len(answers) + answers[-1].times - 1
    if not len(answers) <= len(connections) <= most:
        wanted = str(most) if most == len(answers) else f"{len(answers)} to {most}"
        raise Mismatch(f"{len(connections)} requests came, wanted {wanted}")
    folder = connections[0].path.rpartition("/")[0]
    before = None
    for number, request in enumerate(connections):
        if number > 0 or resumed:
            answer = answers[min(number, len(answers) - 1)]
            try:
                _check_one(answer, folder, request)
                if before is not None and (waited := request.received_at - before.received_at) < answer.waits:
                    raise Mismatch(f"it came {waited:.2f} s after the one before, wanted {answer.waits} s or more")
            except Mismatch as error:
                raise Mismatch(f"request {number + 1}: {error}") from None
        before = request


def _check_one(answer: Answer, folder: str, request: Connection) -> None:
    if request.method != answer.method:
        raise Mismatch(f"wanted a {answer.method}, got a {request.method:.20}")
    wanted, got = urlsplit(urljoin(f"{folder}/ask", answer.path)), urlsplit(request.path)
    if got.path != wanted.path:
        raise Mismatch(f"it was sent to {got.path:.100}, wanted {wanted.path}")
    if missing := set(parse_qsl(wanted.query)) - set(parse_qsl(got.query)):
        raise Mismatch(f"the query {got.query:.100} lacks {missing}")
    if request.body:
        raise Mismatch(f"it has a body: {request.body[:60]!r}")
    if answer.method != "GET":
        return
    accept = request.headers.get("accept", "").replace(" ", "").lower()
    if "application/vnd.objectstreaming;v=1" not in accept:
        raise Mismatch(f"the Accept header does not ask for version 1: {accept:.100}")
    position = answer.position
    least, most = (position, position) if isinstance(position, int) else position
    asked = position_asked(request)
    if asked not in [str(number) for number in range(least, most + 1)]:
        raise Mismatch(f"it asks for the position {asked!s:.30}, wanted {least} to {most}")
