"""Level 2: the cases of a client over HTTP (SPEC sections 3.3, 3.4 and 6).

A case is tried in one or several ways. A way is a behaviour of the fault server, or a path of the reference
application, and the verdicts that are right there: more than one where HTTP gives a client no means to tell what
happened to a connection. Every way also checks that the request was sent once, and that its Accept header named
version 1.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..testing import Connection
from .compare import Mismatch, compare_fetch
from .generator.case_writer import frame
from .http_behaviours import (
    END_FRAME,
    ONE,
    ONE_FRAME,
    PARTS,
    PING_FRAME,
    PLAIN,
    PLAIN_WHOLE,
    TWO,
    TWO_FRAME,
    V1,
    WHOLE,
    WIRE,
    Behaviour,
    Verdict,
    broken_at,
    chunked,
    control_frame,
    cut_at,
    cut_places,
    echo,
    endless_problem,
    failed,
    no_answer,
    open_frame,
    resetting,
    short_of_its_length,
    slowly,
    until_closed,
    whole,
)

__all__ = ["CASES", "HttpCase", "Tried", "Way", "check_request"]

HEARTBEAT: Final = 0.5
"""Seconds. Three of them are longer than a busy machine is silent by itself, and short enough to wait for."""


class Tried(Protocol):
    """One request to the implementation under test, the fault server's part in it, and what may come of it."""

    @property
    def name(self) -> str: ...

    @property
    def app(self) -> str:
        """A path of the reference application, which then answers instead of the fault server."""
        ...

    def request(self, url: str) -> dict[str, Any]:
        """The request to the implementation; `url` is the fault server's for this try, or the application's."""
        ...

    def respond(self, connection: Connection, number: int) -> None:
        """Answer a request of the implementation to the fault server; `number` counts them from 0."""
        ...

    def check(self, reply: Mapping[str, Any], connections: Sequence[Connection]) -> None:
        """Raises `Mismatch` unless the reply is right, and so are the requests that the fault server got."""
        ...


@dataclass(frozen=True)
class Way:
    """One request of a case, and what may come of it.

    It is sent to the fault server, which answers with `behaviour`; or to the path `app` of the reference application.
    """

    name: str
    verdicts: tuple[Verdict, ...]
    behaviour: Behaviour | None = None
    app: str = ""
    method: str = "POST"
    body: bytes = b'{"question":"why?"}'
    content_type: str = "application/json"
    coder: str = "json"

    def request(self, url: str) -> dict[str, Any]:
        request: dict[str, Any] = {"op": "fetch", "url": url, "method": self.method, "coder": self.coder}
        if self.method == "POST":
            request |= {"body": self.body.hex(), "content_type": self.content_type}
        return request

    def respond(self, connection: Connection, number: int) -> None:
        assert self.behaviour is not None, "the application answers"
        self.behaviour(connection)

    def check(self, reply: Mapping[str, Any], connections: Sequence[Connection]) -> None:
        compare_fetch(self.coder, self.verdicts, reply)
        if self.behaviour is not None:
            check_request(self.method, self.body, connections)


@dataclass(frozen=True)
class HttpCase:
    """A case of level 2 or 3. `requirement` is a sentence of SPEC.md, from section `spec`, as in the vectors."""

    id: str
    spec: str
    requirement: str
    ways: tuple[Tried, ...]
    level: str = "must"
    flags: tuple[str, ...] = ()
    slow: bool = False
    """Whether it takes seconds, most of them of waiting."""


def check_request(method: str, body: bytes, connections: Sequence[Connection]) -> None:
    """Check what came in at the fault server. Raises `Mismatch` unless it is this request, once."""
    if len(connections) != 1:
        raise Mismatch(f"the request was sent {len(connections)} times")
    [request] = connections
    if request.method != method:
        raise Mismatch(f"wanted a {method}, got a {request.method:.20}")
    accept = request.headers.get("accept", "").replace(" ", "").lower()
    if "application/vnd.objectstreaming;v=1" not in accept:
        raise Mismatch(f"the Accept header does not ask for version 1: {accept:.100}")
    if method == "POST" and request.body != body:
        raise Mismatch(f"the body that came is {request.body[:60]!r}, wanted {body[:60]!r}")


# -------------------------------------------------------------------------------------------------------- the cases

_CUT: Final = (
    "A reader of version 1 MUST report a stream that stops on a frame boundary without an end as stream_incomplete."
)
_REFUSE: Final = (
    "A client MUST refuse a response whose status is not 2xx, and one whose content type is not that of a stream "
    "(`unexpected_content_type`), before it decodes a byte."
)
_IDLE: Final = "It SHOULD stop reading after three heartbeats of silence (`idle_timeout`)."
_BROKEN: Final = (
    "A connection that breaks before the stream has ended is truncated_frame or stream_incomplete, "
    "in a plain stream too."
)
_INSIDE: Final = "The end of the input inside a frame MUST be reported as truncated_frame at the frame's first byte."
_OVER: Final = "After the end the stream is whole, whatever happens to the connection."
_PING_RESETS: Final = (
    "A ping may come at any time before the end, also first; a receiver drops it, and it resets idle timers."
)
_V1: Final = "A response of the vendor type is of version 1 from its first byte: it ends with `end`, or it was cut."
_EARLY: Final = (
    "The server waits for the first message before it sends the status, so that an early error has a 4xx or 5xx status "
    "of section 5.4, with the error object of section 3.4 as `application/json`."
)
_ONCE: Final = "A client MUST NOT repeat the POST that started the stream, because that would start another stream."
_ASKS: Final = "A client that knows version 1 sends"
_UNKNOWN: Final = "A `code` that is not one of the sixteen of section 5.4 is read as `unknown`."
_CODER: Final = "The vendor type MAY carry `coder=`, the name of the coder."
PLAIN_REQUIREMENT: Final = (
    "A server answers with `application/vnd.objectstreaming;v=1` only to a client that asks for it, and to any other "
    "client with `application/octet-stream`, a plain stream."
)
_IS_V1: Final = (
    "A stream is of version 1 once it has shown a control frame, or if the media type or the subprotocol says so "
    "(section 6)."
)

_PLAIN_PARTS: Final = (ONE_FRAME, TWO_FRAME)
_PLAIN_WIRE: Final = ONE_FRAME + TWO_FRAME
_GZIPPED: Final = gzip.compress(WIRE, mtime=0)


def _case(id: str, spec: str, requirement: str, ways: Iterable[Way], **more: Any) -> HttpCase:
    return HttpCase(id, spec, requirement, tuple(ways), **more)


def _cuts() -> Iterator[HttpCase]:
    size, places = len(WIRE), cut_places()
    yield _case(
        "http-cut/every-byte-in-good-order",
        "3.4",
        _CUT,
        (Way(f"ends at {at}", (cut_at(at),), whole(WIRE[:at])) for at in range(size)),
    )
    yield _case(
        "http-cut/every-byte-without-the-last-chunk",
        "6.2",
        _BROKEN,
        (Way(f"cut at {at}", broken_at(at), chunked(WIRE[:at], complete=False)) for at in range(size)),
    )
    yield _case(
        "http-cut/short-of-its-length",
        "6.2",
        _BROKEN,
        (Way(f"cut at {at}", broken_at(at), short_of_its_length(WIRE[:at], size - at)) for at in places),
    )
    yield _case(
        "http-cut/reset",
        "6.2",
        _BROKEN,
        (Way(f"reset at {at}", broken_at(at), resetting(WIRE[:at], size - at)) for at in places),
        slow=True,
    )
    yield _case(
        "http-cut/http-1-0",
        "6.1",
        _V1,
        (Way(f"ends at {at}", (cut_at(at),), until_closed(WIRE[:at])) for at in places),
    )
    yield _case(
        "http-cut/plain-broken",
        "6.2",
        _BROKEN,
        (
            Way(
                f"cut at {at}",
                broken_at(at, _PLAIN_PARTS),
                chunked(_PLAIN_WIRE[:at], content_type=PLAIN, complete=False),
            )
            for at in range(len(_PLAIN_WIRE) + 1)
        ),
    )
    yield _case(
        "http-cut/plain-inside-a-frame",
        "2.2",
        _INSIDE,
        (
            Way(f"ends at {at}", (cut_at(at, _PLAIN_PARTS),), whole(_PLAIN_WIRE[:at], content_type=PLAIN))
            for at in range(1, len(_PLAIN_WIRE))
            if at != len(ONE_FRAME)
        ),
    )
    codes = ("stream_incomplete", "truncated_frame", "unexpected_content_type")
    verdicts = tuple(failed(code, ONE, TWO, beginning=True) for code in codes)
    yield _case(
        "http-cut/compressed",
        "6.1",
        _V1,
        (
            Way(f"ends at {at}", verdicts, whole(_GZIPPED[:at], Content_Encoding="gzip"))
            for at in range(1, len(_GZIPPED) - 8, 9)  # after that only the checksum is missing
        ),
    )
    nothing = tuple(failed(code) for code in ("no_response", "stream_incomplete"))
    yield _case(
        "http-cut/no-answer",
        "6.3",
        _ONCE,
        (
            Way("closed", nothing, no_answer(b"")),
            Way("reset", nothing, no_answer(b"", "reset")),
            Way("inside the head", nothing, no_answer(b"HTTP/1.1 200 OK\r\nContent-Type: appl")),
        ),
    )
    yield _case(
        "http-cut/after-the-end",
        "6.2",
        _OVER,
        (
            Way("no last chunk", (WHOLE,), chunked(WIRE, complete=False)),
            Way("short of its length", (WHOLE,), short_of_its_length(WIRE, 10)),
            Way("reset", (WHOLE,), resetting(WIRE, 10)),
            Way("stall", (WHOLE,), slowly(WIRE, stall=True)),
        ),
        level="should",
        slow=True,
    )


def _silences() -> Iterator[HttpCase]:
    beat, within = open_frame(HEARTBEAT), 0.8 * HEARTBEAT
    for name, steps, frames in (
        ("stall-after-open", (beat,), ()),
        ("stall-after-a-frame", (beat + ONE_FRAME,), (ONE,)),
        ("stall-inside-a-frame", (beat + ONE_FRAME + TWO_FRAME[:9],), (ONE,)),
        ("ping-then-stall", (beat, within, PING_FRAME, within, ONE_FRAME + PING_FRAME), (ONE,)),
    ):
        way = Way("", (failed("idle_timeout", *frames),), slowly(*steps, stall=True))
        yield _case(f"http-silence/{name}", "6.2", _IDLE, [way], level="should", slow=True)
    pings = slowly(beat + ONE_FRAME, *(within, PING_FRAME) * 5, TWO_FRAME + END_FRAME)
    yield _case("http-silence/pings-then-success", "3.3", _PING_RESETS, [Way("", (WHOLE,), pings)], slow=True)


# Statuses, each with a code that goes with it; 400 has two.
_PROBLEMS: Final = (
    ("400 Bad Request", "failed_precondition"),
    ("400 Bad Request", "out_of_range"),
    ("401 Unauthorized", "unauthenticated"),
    ("403 Forbidden", "permission_denied"),
    ("404 Not Found", "not_found"),
    ("409 Conflict", "already_exists"),
    ("413 Content Too Large", "resource_exhausted"),
    ("415 Unsupported Media Type", "invalid_argument"),
    ("499 Client Closed Request", "canceled"),
    ("500 Internal Server Error", "data_loss"),
    ("501 Not Implemented", "unimplemented"),
    ("503 Service Unavailable", "unavailable"),
    ("504 Gateway Timeout", "deadline_exceeded"),
)


def _refused(name: str, status: str, body: bytes, *codes: str, kind: str = "application/json", **headers: str) -> Way:
    number = status.partition(" ")[0]
    verdicts = tuple(failed(f"http_status:{number}:{code}") for code in codes)
    return Way(name, verdicts, whole(body, status, kind, **headers))


def _problem(code: Any) -> bytes:
    return json.dumps({"code": code, "message": "no \U0001f600", "details": {"a": [1]}}).encode()


def _errors() -> Iterator[HttpCase]:
    yield _case(
        "http-errors/problem",
        "6.2",
        _EARLY,
        (_refused(f"{status} {code}", status, _problem(code), code) for status, code in _PROBLEMS),
    )
    limited = _refused(
        "", "429 Too Many Requests", _problem("resource_exhausted"), "resource_exhausted", Retry_After="1"
    )
    yield _case("http-errors/429-with-retry-after", "6.3", _ONCE, [limited])
    text = {"kind": "text/plain"}
    yield _case(
        "http-errors/status-alone",
        "6.2",
        _REFUSE,
        (
            _refused("500 text", "500 Internal Server Error", b"Internal Server Error", "internal", "unknown", **text),
            _refused("502 page", "502 Bad Gateway", b"<html>bad gateway", "unavailable", kind="text/html"),
            _refused("503 nothing", "503 Service Unavailable", b"", "unavailable", kind=""),
            _refused("404 not JSON", "404 Not Found", b'{"code":', "not_found"),
            _refused("429 an array", "429 Too Many Requests", b"[]", "resource_exhausted"),
            _refused("418 null", "418 I'm a teapot", b"null", "unknown"),
            _refused("501 not UTF-8", "501 Not Implemented", b"\xff\xfe", "unimplemented", **text),
        ),
        level="should",
    )
    missing = b'{"detail":[{"type":"missing","loc":["body","question"],"msg":"Field required","input":{}}]}'
    lost = b'{"detail":{"code":"data_loss","message":"gone"}}'
    yield _case(
        "http-errors/fastapi-detail",
        "6.2",
        _REFUSE,
        (
            _refused("404", "404 Not Found", b'{"detail":"Not Found"}', "not_found"),
            _refused("422", "422 Unprocessable Entity", missing, "invalid_argument"),
            _refused("an object", "500 Internal Server Error", lost, "data_loss", "internal"),
        ),
        level="should",
    )
    yield _case(
        "http-errors/code-that-is-none",
        "6.2",
        _REFUSE,
        (
            _refused(repr(code), "503 Service Unavailable", _problem(code), "unavailable", "unknown")
            for code in ("teapot", 5, None, ["internal"])
        ),
        level="should",
    )
    yield _case(
        "http-errors/a-stream-with-a-wrong-status",
        "6.2",
        _REFUSE,
        (
            _refused("v1", "500 Internal Server Error", WIRE, "internal", "unknown", kind=V1),
            _refused("plain", "404 Not Found", _PLAIN_WIRE, "not_found", kind=PLAIN),
        ),
    )
    endless = tuple(failed(f"http_status:500:{code}") for code in ("internal", "unknown"))
    yield _case("http-errors/endless", "6.2", _REFUSE, [Way("", endless, endless_problem)], level="should", slow=True)
    yield _case("http-errors/after-the-first-frame", "3.4", _UNKNOWN, _ends_with_an_error())


def _ends_with_an_error() -> Iterator[Way]:
    for code in dict.fromkeys([code for _, code in _PROBLEMS] + ["unknown", "aborted", "internal", "teapot"]):
        error = {"code": code, "message": "no \U0001f600", "details": {"a": [1]}}
        verdict: Verdict = {
            "frames": [ONE],
            "end": f"error:{'unknown' if code == 'teapot' else code}",
            "position": 1,
            "trailers": {"tokens": 3},
            "message": "no \U0001f600",
        }
        end = control_frame(type="end", frames=1, trailers={"tokens": 3}, error=error)
        yield Way(code, (verdict,), whole(open_frame() + ONE_FRAME + end))


def _types() -> Iterator[HttpCase]:
    wrong = {
        "html": "text/html; charset=utf-8",
        "json": "application/json",
        "none": "",
        "events": "text/event-stream",
        "version 2": "application/vnd.objectstreaming;v=2;coder=json",
        "no version": "application/vnd.objectstreaming",
        "another coder": "application/vnd.objectstreaming;v=1;coder=tal",
        "another coder, quoted": 'application/vnd.objectstreaming; v="1"; coder="raw"',
    }
    refused = (failed("unexpected_content_type"),)
    yield _case(
        "http-types/wrong",
        "6.2",
        _REFUSE,
        (Way(name, refused, whole(WIRE, content_type=kind)) for name, kind in wrong.items()),
    )
    page = whole(b"<!doctype html><title>Sign in</title>", content_type="text/html")
    yield _case("http-types/a-page", "6.2", _REFUSE, [Way("", refused, page)])
    right = {
        "no coder": "application/vnd.objectstreaming;v=1",
        "quoted": 'application/vnd.objectstreaming; v="1"; coder="json"',
        "in capitals": "Application/VND.ObjectStreaming;V=1;CODER=json",
        "one more": "application/vnd.objectstreaming;charset=utf-8;v=1;coder=json",
    }
    yield _case(
        "http-types/spelled-otherwise",
        "6.1",
        _CODER,
        (Way(name, (WHOLE,), whole(WIRE, content_type=kind)) for name, kind in right.items()),
    )
    nothing: Verdict = {"frames": [], "end": "missing", "position": 0}
    yield _case(
        "http-types/plain",
        "6.1",
        PLAIN_REQUIREMENT,
        (
            Way("two frames", (PLAIN_WHOLE,), whole(_PLAIN_WIRE, content_type=PLAIN)),
            Way("chunked", (PLAIN_WHOLE,), chunked(ONE_FRAME, TWO_FRAME, content_type=PLAIN)),
            Way("no frame", (nothing,), whole(b"", content_type=PLAIN)),
        ),
    )
    yield _case(
        "http-types/plain-with-control-frames",
        "3.4",
        _IS_V1,
        (
            Way("whole", (WHOLE,), whole(WIRE, content_type=PLAIN)),
            Way("no end", (failed("stream_incomplete", ONE),), whole(open_frame() + ONE_FRAME, content_type=PLAIN)),
        ),
    )
    empty = (failed("stream_incomplete"),)
    yield _case(
        "http-types/empty-body",
        "6.1",
        _V1,
        (Way("of length 0", empty, whole(b"")), Way("chunked", empty, chunked())),
    )


def _bodies() -> Iterator[HttpCase]:
    bytewise = [WIRE[at : at + 1] for at in range(len(WIRE))]
    yield _case(
        "http-bodies/whole",
        "6.1",
        _V1,
        (
            Way("one piece", (WHOLE,), whole(WIRE)),
            Way("a chunk a frame", (WHOLE,), chunked(*PARTS)),
            Way("a chunk a byte", (WHOLE,), chunked(*bytewise)),
            Way("a byte at a time", (WHOLE,), slowly(*(step for byte in bytewise for step in (byte, 0.001)))),
            Way("until closed", (WHOLE,), until_closed(WIRE)),
            Way("by GET", (WHOLE,), whole(WIRE), method="GET"),
        ),
    )
    size = 1024 * 1024
    large = open_frame() + frame("{}", b'"%b"' % (b"x" * size)) + control_frame(type="end", frames=1)
    verdict: Verdict = {"frames": [{"header": {}, "json": "x" * size}], "end": "ok", "position": 1}
    yield _case("http-bodies/a-mebibyte", "6.1", _V1, [Way("", (verdict,), whole(large))])
    gzipped = Way("gzip", (WHOLE, failed("unexpected_content_type")), whole(_GZIPPED, Content_Encoding="gzip"))
    yield _case("http-bodies/compressed", "6.1", _V1, [gzipped], level="should")
    # The request is checked in every case; this one has a body that is not ASCII, and reports what arrived.
    question = '{"question":"warum \U0001f600?"}'
    request = {"method": "POST", "body": question, "type": "application/json"}
    echoed: Verdict = {"frames": [{"header": {"n": 1}, "json": request}], "end": "ok", "position": 1}
    yield _case("http-bodies/echo", "6.1", _ASKS, [Way("", (echoed,), echo, body=question.encode())])


CASES: Final[Sequence[HttpCase]] = (*_cuts(), *_silences(), *_errors(), *_types(), *_bodies())
