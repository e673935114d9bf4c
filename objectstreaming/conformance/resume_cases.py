"""Level 3: the cases of a client that resumes a stream (SPEC sections 3.2, 3.6 and 6.3).

A case is tried in one or several ways. A way is a script: what the fault server does with the first request, with the
second one and so on, which requests these must be, and what the client has read at last.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..testing import Connection, response_head
from .compare import Mismatch, compare_fetch
from .http_behaviours import Behaviour, Verdict, chunked, failed, whole
from .http_cases import HttpCase, check_request
from .resume_behaviours import (
    DATA,
    LENGTH,
    TRAILERS,
    Answer,
    check_answered,
    ends,
    items,
    opens,
    rest,
    stops_with,
    whole_stream,
)

__all__ = ["RESUME_CASES", "Script"]


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
        answer = self.answers[number].behaviour if number < len(self.answers) else _TOO_MANY
        answer(connection)

    def check(self, reply: Mapping[str, Any], connections: Sequence[Connection]) -> None:
        """Raises `Mismatch` unless the reply and the requests are right."""
        compare_fetch(self.coder, self.verdicts, reply)
        if "position" not in dict(self.more):
            check_request(self.method, self.body, connections[:1])
        check_answered(self.answers, connections)
        place = reply.get("place")
        if self.place is not None and place != self._place(connections[0]):
            raise Mismatch(f"the place is {place!s:.100}, wanted {self._place(connections[0]) or 'none'}")

    def _place(self, first: Connection) -> str:
        folder = first.path.rpartition("/")[0]
        return f"http://{first.headers['host']}{folder}/stream {self.place}" if self.place else ""


_TOO_MANY: Final = whole(b"", "410 Gone", "")

# -------------------------------------------------------------------------------------------------------- the cases

_AFTER: Final = (
    "It resumes only a stream whose `open` had `resume`: after a cut, after silence, and after the answers 429, "
    "502, 503 and 504."
)
_GETS: Final = "`Last-Event-ID: n` or `?position=n` asks for the frames after data frame n. Resuming is a GET."
_DROPS: Final = (
    "Of the data frames that it has had already it drops as many as `open.position` is smaller than its own position; "
    "where `open.position` is larger, it fails with `data_loss`."
)
_ORIGIN: Final = "A client MUST ignore it if that gives another origin than the response's,"
_LOST: Final = (
    "`not_found` and `out_of_range` right after data are tried again for 10 s, because the store may be given again "
    "what it had lost."
)
_STOPS: Final = "`DELETE` of it does: its readers get an end with `canceled`."

_OPEN: Final = opens()
_WIRE: Final = b"".join((_OPEN, *DATA, ends(trailers=TRAILERS)))


def _case(id: str, spec: str, requirement: str, scripts: Iterable[Script], **more: Any) -> HttpCase:
    return HttpCase(id, spec, requirement, tuple(scripts), **more)


def _had(at: int) -> int:
    """How many data frames are whole in the first `at` bytes."""
    return min(max(at - len(_OPEN), 0) // len(DATA[0]), LENGTH)


def _cut(at: int) -> Script:
    """The body ends in good order after `at` bytes."""
    first = Answer(whole(_WIRE[:at]))
    if at < len(_OPEN):
        return Script(f"ends at {at}", (stops_with("truncated_frame" if at else "stream_incomplete", 0),), (first,))
    return Script(f"ends at {at}", (whole_stream(),), (first, Answer(position=_had(at))))


def _broken(at: int) -> Script:
    answers = (Answer(chunked(_WIRE[:at], complete=False)), Answer(position=(0, _had(at))))
    return Script(f"cut at {at}", (whole_stream(),), answers)


def _begins(count: int = 1, resume: str = "stream") -> Answer:
    """The first answer: so many data frames, and then a body that ends without an end frame."""
    return Answer(whole(opens(resume=resume) + b"".join(DATA[:count])))


def _cuts() -> Iterator[HttpCase]:
    # Each resumption waits 0.125 s on average, so that these are several cases: several processes take them.
    data, end = len(_OPEN), len(_OPEN) + len(DATA) * len(DATA[0])
    bytewise = {
        "in-the-open-frame": range(data),
        "in-the-data-frames": range(data, end),
        "in-the-end-frame": range(end, len(_WIRE), 2),
        "in-the-end-frame-too": range(end + 1, len(_WIRE), 2),
    }
    for name, places in bytewise.items():
        yield _case(f"resume-cut/{name}", "6.3", _AFTER, map(_cut, places), slow=True)
    broken = (data + 5, data + len(DATA[0]), data + 2 * len(DATA[0]) + 1, len(_WIRE) - 1)
    yield _case("resume-cut/broken", "6.3", _AFTER, map(_broken, broken))
    answers = (_begins(1), Answer(chunked(opens(1), DATA[1]), 1), Answer(chunked(opens(2), DATA[2]), 2), Answer(rest))
    yield _case("resume-cut/after-each-frame", "6.3", _GETS, [Script("", (whole_stream(),), answers)])


def _positions() -> Iterator[HttpCase]:
    def script(name: str, verdict: Verdict, *parts: bytes) -> Script:
        return Script(name, (verdict,), (_begins(2), Answer(chunked(*parts), 2)))

    end = ends(trailers=TRAILERS)
    yield _case(
        "resume-position/smaller",
        "6.3",
        _DROPS,
        (
            script("by one", whole_stream(), opens(1), *DATA[1:], ends(2, trailers=TRAILERS)),
            script("0", whole_stream(), opens(0), *DATA, end),
            script("absent", whole_stream(), opens(), *DATA, end),
        ),
    )
    lost = {"frames": items(2), "end": "error:data_loss", "position": 2}
    yield _case(
        "resume-position/larger",
        "6.3",
        _DROPS,
        (
            script("by one, with data", lost, opens(3), DATA[0], ends(1)),
            script("by one, and its end", lost, opens(3), ends(0)),
            script("by a lot", lost, opens(999_999_999_999_999), DATA[0], ends(1)),
        ),
    )


def _refused(status: str, body: bytes = b"", **headers: str) -> Behaviour:
    return whole(body, status, "application/json" if body else "", **headers)


def _refusals() -> Iterator[HttpCase]:
    statuses = ("429 Too Many Requests", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout")
    yield _case(
        "resume-refused/then-served",
        "6.3",
        _AFTER,
        (
            Script(
                status,
                (whole_stream(),),
                (_begins(), Answer(_refused(status, Retry_After="0"), 1), Answer(position=1)),
            )
            for status in statuses
        ),
    )
    unknown = b'{"code":"not_found","message":"no such stream"}'
    beyond = b'{"code":"out_of_range","message":"not there","details":{"first":0,"last":0}}'
    yield _case(
        "resume-refused/not-found-right-after-data",
        "6.3",
        _LOST,
        (
            Script(name, (whole_stream(),), (_begins(), Answer(_refused(status, body), 1), Answer(position=1)))
            for name, status, body in (("404", "404 Not Found", unknown), ("400", "400 Bad Request", beyond))
        ),
    )


def _origins() -> Iterator[HttpCase]:
    def elsewhere(connection: Connection) -> None:
        port = connection.headers["host"].rpartition(":")[2]
        folder = connection.path.rpartition("/")[0]
        whole(opens(resume=f"http://localhost:{port}{folder}/stream") + DATA[0])(connection)

    verdict = failed("stream_incomplete", *items(1))
    yield _case("resume-where/another-origin", "3.2", _ORIGIN, [Script("", (verdict,), (Answer(elsewhere),), place="")])


class _UntilStopped:
    """A stream of one message that goes on until it is stopped."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def begin(self, connection: Connection) -> None:
        self._stopped.clear()
        connection.send(response_head(connection="close") + opens() + DATA[0])
        self._stopped.wait(_STOP_SECONDS)
        connection.send(ends(1, error={"code": "canceled", "message": "stopped"}))

    def stop(self, connection: Connection) -> None:
        self._stopped.set()
        _NO_CONTENT(connection)


_STOP_SECONDS: Final = 2.0
_NO_CONTENT: Final = whole(b"", "204 No Content", "")


def _leaving() -> Iterator[HttpCase]:
    canceled = {"frames": items(1), "end": "error:canceled", "position": 1, "message": "stopped"}
    stream = _UntilStopped()
    answers = (Answer(stream.begin), Answer(stream.stop, method="DELETE"))
    yield _case("resume-leaving/stop", "6.3", _STOPS, [Script("", (canceled,), answers, (("stop_after", 1),))])


RESUME_CASES: Final[Sequence[HttpCase]] = (*_cuts(), *_positions(), *_refusals(), *_origins(), *_leaving())
