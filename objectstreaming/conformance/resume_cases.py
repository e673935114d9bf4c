"""Level 3: the cases of a client that resumes a stream (SPEC sections 3.2, 3.6 and 6.3).

A case is tried in one or several ways. A way is a script: what the fault server does with the first request, with the
second one and so on, which requests these must be, and what the client has read at last. Where a response ends in good
order before its `end` frame, it is known how far the client has come; a connection that breaks may take frames with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from email.utils import formatdate
from typing import Any, Final

from ..testing import Connection, response_head
from .generator.case_writer import frame
from .http_behaviours import (
    PING_FRAME,
    PLAIN,
    Behaviour,
    Verdict,
    chunked,
    failed,
    no_answer,
    resetting,
    slowly,
    whole,
)
from .http_cases import HEARTBEAT, HttpCase
from .resume_script import (
    DATA,
    ITEMS,
    LENGTH,
    TRAILERS,
    Answer,
    Script,
    ends,
    items,
    opens,
    rest,
    stops_with,
    whole_stream,
)

__all__ = ["RESUME_CASES"]

_ONLY: Final = (
    "It resumes only a stream whose `open` had `resume`: after a cut, after silence, and after the answers 429, "
    "502, 503 and 504."
)
_GETS: Final = "`Last-Event-ID: n` or `?position=n` asks for the frames after data frame n. Resuming is a GET."
_NO_POST: Final = "A client MUST NOT repeat the POST that started the stream, because that would start another stream."
_WAITS: Final = "It waits as long as `Retry-After` says;"
_DATE: Final = (
    "A date in `Retry-After` SHOULD be compared with the `Date` of the same response, because the client's clock may "
    "differ."
)
_ROW: Final = "A data frame ends the row."
_DROPS: Final = (
    "Of the data frames that it has had already it drops as many as `open.position` is smaller than its own position; "
    "where `open.position` is larger, it fails with `data_loss`."
)
_LENGTH: Final = (
    "`open.position` and `end.frames` together are the length of the stream that is resumed, if the end is a success."
)
_LOST: Final = (
    "`not_found` and `out_of_range` right after data are tried again for 10 s, because the store may be given again "
    "what it had lost."
)
_FINAL: Final = "An end is final, whatever it says."
_V1: Final = "A client MUST refuse a plain stream as the answer to a resumption (`unexpected_content_type`),"
_REFUSE: Final = (
    "A client MUST refuse a response whose status is not 2xx, and one whose content type is not that of a stream "
    "(`unexpected_content_type`), before it decodes a byte."
)
_RESOLVED: Final = "`resume` is resolved against the URL of the response."
_ORIGIN: Final = "A client MUST ignore it if that gives another origin than the response's,"
_NEWEST: Final = "The `resume` of the last response that had one counts."
_STOPS: Final = "`DELETE` of it does: its readers get an end with `canceled`."
_LEAVES: Final = "A reader that leaves does not end the stream."
_REFUSED: Final = "A payload that its coder cannot read is invalid_payload; the frame counts for the position,"

_OPEN: Final = opens()
_END: Final = ends(trailers=TRAILERS)
_WHOLE: Final = b"".join((_OPEN, *DATA, _END))
_WIRE: Final = b"".join((_OPEN, *DATA, ends()))
"""What is cut at every byte. It has no trailers, so that it is short."""
_DATA_AT: Final = len(_OPEN)
_END_AT: Final = _DATA_AT + sum(map(len, DATA))
_UNAVAILABLE: Final = "503 Service Unavailable"


def _case(id: str, spec: str, requirement: str, scripts: Iterable[Script], **more: Any) -> HttpCase:
    return HttpCase(id, spec, requirement, tuple(scripts), **more)


def _begins(count: int = 1, **members: Any) -> Answer:
    """The first answer: so many data frames, and then a body that ends without an end frame."""
    return Answer(whole(opens(**members) + b"".join(DATA[:count])))


def _refuses(status: str, code: str = "", **headers: str) -> Behaviour:
    body = b'{"code":"%b","message":"no"}' % code.encode() if code else b""
    return whole(body, status, "application/json" if body else "", **headers)


def _served(name: str, *answers: Answer) -> Script:
    """A script at the end of which the whole stream has been read."""
    return Script(name, (whole_stream(),), answers)


# ------------------------------------------------------------------------------------------------------------- cuts


def _had(at: int) -> int:
    """How many data frames are whole in the first `at` bytes."""
    return min(max(at - _DATA_AT, 0) // len(DATA[0]), LENGTH)


def _cut(at: int) -> Script:
    """The body ends in good order after `at` bytes."""
    first = Answer(whole(_WIRE[:at]))
    if at < _DATA_AT:
        return Script(f"ends at {at}", (stops_with("truncated_frame" if at else "stream_incomplete", 0),), (first,))
    return _served(f"ends at {at}", first, Answer(position=_had(at)))


def _cuts() -> Iterator[HttpCase]:
    # Each resumption waits 0.125 s on average, so that these are several cases: several processes take them.
    bytewise = {
        "in-the-open-frame": range(_DATA_AT),
        "in-the-data-frames": range(_DATA_AT, _END_AT),
        "in-the-end-frame": range(_END_AT, len(_WIRE), 2),
        "in-the-end-frame-too": range(_END_AT + 1, len(_WIRE), 2),
    }
    for name, places in bytewise.items():
        yield _case(f"resume-cut/{name}", "6.3", _ONLY, map(_cut, places), slow=True)
    broken = (_DATA_AT + 5, _DATA_AT + len(DATA[0]), _DATA_AT + 2 * len(DATA[0]) + 1, len(_WIRE) - 1)
    yield _case(
        "resume-cut/broken",
        "6.3",
        _ONLY,
        (
            _served(f"{name} at {at}", Answer(behaviour), Answer(position=(0, _had(at))))
            for at in broken
            for name, behaviour in (
                ("cut", chunked(_WIRE[:at], complete=False)),
                ("reset", resetting(_WIRE[:at], len(_WIRE) - at)),
            )
        ),
    )
    again = (Answer(chunked(opens(1), DATA[1]), 1), Answer(chunked(opens(2), DATA[2]), 2), Answer(rest))
    yield _case("resume-cut/after-each-frame", "6.3", _GETS, [_served("", _begins(1), *again)])
    nothing = Answer(whole(opens(1) + PING_FRAME), 1)
    yield _case("resume-cut/before-the-next-frame", "6.3", _GETS, [_served("", _begins(1), nothing, Answer(rest, 1))])
    yield _case(
        "resume-cut/unanswered",
        "6.3",
        _ONLY,
        (
            _served("closed", _begins(), Answer(no_answer(b""), 1), Answer(position=1)),
            _served("half a head", _begins(), Answer(no_answer(b"HTTP/1.1 200 OK\r\ncont"), 1), Answer(position=1)),
        ),
    )
    late = slowly(0.7, opens(1), DATA[1], 0.3, DATA[2], ends(2, trailers=TRAILERS))
    yield _case("resume-cut/answered-late", "6.3", _ONLY, [_served("", _begins(), Answer(late, 1))])
    silent = slowly(opens(heartbeat=HEARTBEAT) + DATA[0], stall=True)
    yield _case("resume-cut/silence", "6.3", _ONLY, [_served("", Answer(silent), Answer(position=1))], slow=True)


def _not_resumed() -> Iterator[HttpCase]:
    def script(name: str, error: str | tuple[str, ...], count: int, behaviour: Behaviour) -> Script:
        errors = (error,) if isinstance(error, str) else error
        return Script(name, tuple(stops_with(code, count) for code in errors), (Answer(behaviour),), place="")

    lost = ("no_response", "stream_incomplete")
    plain = chunked(*DATA, content_type=PLAIN, complete=False)
    wanted = _begins(resume=None).behaviour
    yield _case("resume-first/without-resume", "6.3", _ONLY, [script("", "stream_incomplete", 1, wanted)])
    begun = tuple(failed(code, *ITEMS, beginning=True) for code in (*lost, "truncated_frame"))
    yield _case("resume-first/plain", "6.3", _ONLY, [Script("", begun, (Answer(plain),), place="")])
    yield _case("resume-first/unanswered", "6.3", _NO_POST, [script("", lost, 0, no_answer(b""))])
    busy = _refuses(_UNAVAILABLE, Retry_After="0")
    yield _case("resume-first/refused", "6.3", _NO_POST, [script("", "http_status:503:unavailable", 0, busy)])


# -------------------------------------------------------------------------------------------- positions and ends


def _positions() -> Iterator[HttpCase]:
    def script(name: str, verdict: Verdict, *parts: bytes) -> Script:
        return Script(name, (verdict,), (_begins(2), Answer(chunked(*parts), 2)))

    yield _case(
        "resume-position/smaller",
        "6.3",
        _DROPS,
        (
            script("by one", whole_stream(), opens(1), *DATA[1:], ends(2, trailers=TRAILERS)),
            script("0", whole_stream(), opens(0), *DATA, _END),
            script("absent", whole_stream(), opens(), *DATA, _END),
            _served("and cut", _begins(2), Answer(chunked(opens(0), DATA[0]), 2), Answer(rest, 2)),
        ),
    )
    lost: Verdict = {"frames": items(2), "end": "error:data_loss", "position": 2}
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
    yield _case(
        "resume-position/end-too-early", "3.6", _LENGTH, [script("", lost, opens(0), DATA[0], ends(1, trailers={}))]
    )
    # The payload is not JSON. It is reported once, also if it comes a second time.
    wrong = frame("{}", "{")
    refused: Verdict = whole_stream(frames=[{"refused": True, "index": 1, "offset": _DATA_AT}, *ITEMS[1:]])
    begins = Answer(whole(_OPEN + wrong))
    repeated = chunked(opens(0), wrong, *DATA[1:], _END)
    yield _case(
        "resume-position/refused-payload",
        "3.7",
        _REFUSED,
        (
            Script("then the rest", (refused,), (begins, Answer(position=1))),
            Script("then all", (refused,), (begins, Answer(repeated, 1))),
        ),
    )


def _ends() -> Iterator[HttpCase]:
    error = {"code": "unavailable", "message": "gone"}
    verdict: Verdict = {
        "frames": items(2),
        "end": "error:unavailable",
        "position": 2,
        "trailers": {"n": 1},
        "message": "gone",
    }
    at_once = whole(_OPEN + DATA[0] + DATA[1] + ends(2, error=error, trailers={"n": 1}))
    later = whole(opens(1) + DATA[1] + ends(1, error=error, trailers={"n": 1}))
    yield _case(
        "resume-end/error",
        "6.3",
        _FINAL,
        (
            Script("at once", (verdict,), (Answer(at_once),)),
            Script("of the rest", (verdict,), (_begins(), Answer(later, 1))),
        ),
    )
    broken = chunked(_WHOLE, complete=False)
    yield _case("resume-end/then-broken", "6.3", _FINAL, [_served("", Answer(broken))])
    only_end = whole(opens(3) + ends(0, trailers=TRAILERS))
    yield _case("resume-end/alone", "3.6", _LENGTH, [_served("", _begins(3), Answer(only_end, 3))])
    # What the rest says wrongly is no cut: it is not asked for again.
    miscounted = whole(opens(1) + DATA[1] + ends(2))
    wrong_length = whole(opens(1) + DATA[1] + b"\x07\0\0\0")
    yield _case(
        "resume-end/wrong",
        "6.3",
        _ONLY,
        (
            Script("miscounted", (stops_with("count_mismatch", 2),), (_begins(), Answer(miscounted, 1))),
            Script("no frame", (stops_with("invalid_length", 2),), (_begins(), Answer(wrong_length, 1))),
        ),
    )


# ----------------------------------------------------------------------------------------------- other answers


def _in_a_second(connection: Connection) -> None:
    now = int(time.time()) - 86400  # the server's clock is a day late: a client's own says that the time is over
    dates = {"Date": formatdate(now, usegmt=True), "Retry_After": formatdate(now + 1, usegmt=True)}
    _refuses(_UNAVAILABLE, **dates)(connection)


def _refusals() -> Iterator[HttpCase]:
    statuses = ("429 Too Many Requests", "502 Bad Gateway", _UNAVAILABLE, "504 Gateway Timeout")
    yield _case(
        "resume-refused/then-served",
        "6.3",
        _ONLY,
        (
            _served(status, _begins(), Answer(_refuses(status, Retry_After="0"), 1), Answer(position=1))
            for status in statuses
        ),
    )
    busy = Answer(_refuses(_UNAVAILABLE, Retry_After="1"), 1)
    yield _case(
        "resume-refused/retry-after",
        "6.3",
        _WAITS,
        [_served("", _begins(), busy, Answer(position=1, waits=0.99))],
        slow=True,
    )
    dated = (Answer(_in_a_second, 1), Answer(position=1, waits=0.99))
    yield _case("resume-refused/retry-at", "6.3", _DATE, [_served("", _begins(), *dated)], level="should", slow=True)
    lost = (("404 Not Found", "not_found"), ("400 Bad Request", "out_of_range"))
    yield _case(
        "resume-refused/not-found-right-after-data",
        "6.3",
        _LOST,
        (_served(status, _begins(), Answer(_refuses(status, code), 1), Answer(position=1)) for status, code in lost),
    )
    gone = (
        ("410 Gone", ""),
        ("403 Forbidden", "permission_denied"),
        ("401 Unauthorized", "unauthenticated"),
        ("400 Bad Request", "invalid_argument"),
        ("409 Conflict", "aborted"),
        ("500 Internal Server Error", "internal"),
    )
    yield _case(
        "resume-refused/for-good",
        "6.3",
        _ONLY,
        (
            Script(
                status,
                tuple(stops_with(f"http_status:{status[:3]}:{one}", 1) for one in (code or "not_found", "unknown")),
                (_begins(), Answer(_refuses(status, code), 1)),
            )
            for status, code in gone
        ),
    )


def _gives_up() -> Iterator[HttpCase]:
    """What a client does whose patience is a second. Twenty requests in a second would be no waiting."""

    def script(name: str, error: str, behaviour: Behaviour, times: int) -> Script:
        answers = (_begins(), Answer(behaviour, 1, times=times))
        return Script(name, (stops_with(error, 1),), answers, (("patience", 1),))

    yield _case(
        "resume-refused/until-patience-ends",
        "6.3",
        _ONLY,
        (
            script("503", "http_status:503:unavailable", _refuses(_UNAVAILABLE), 20),
            script("404", "http_status:404:not_found", _refuses("404 Not Found", "not_found"), 20),
        ),
        slow=True,
    )
    later = _refuses(_UNAVAILABLE, Retry_After="60")
    yield _case(
        "resume-refused/longer-than-patience",
        "6.3",
        _WAITS,
        [script("", "http_status:503:unavailable", later, 1)],
    )


def _types() -> Iterator[HttpCase]:
    part = opens(1) + DATA[1] + DATA[2] + ends(2, trailers=TRAILERS)
    vendor = "application/vnd.objectstreaming"
    wrong = {
        "html": whole(b"<!doctype html>", content_type="text/html"),
        "no type": whole(part, content_type=""),
        "another coder": whole(part, content_type=f"{vendor};v=1;coder=tal"),
        "version 2": whole(part, content_type=f"{vendor};v=2;coder=json"),
        "204": whole(b"", "204 No Content", ""),
    }
    refused = (stops_with("unexpected_content_type", 1),)
    yield _case(
        "resume-types/wrong",
        "6.2",
        _REFUSE,
        (Script(name, refused, (_begins(), Answer(behaviour, 1))) for name, behaviour in wrong.items()),
    )
    plain = {"all": DATA, "as much as before": DATA[:1], "nothing": ()}
    yield _case(
        "resume-types/plain",
        "6.3",
        _V1,
        (
            Script(name, refused, (_begins(), Answer(chunked(*frames, content_type=PLAIN), 1)))
            for name, frames in plain.items()
        ),
    )


# ----------------------------------------------------------------------------------------------------- where


def _says(resume: str) -> Behaviour:
    """A beginning whose `resume` has the host, the port and the folder of the request in it."""

    def behave(connection: Connection) -> None:
        host = connection.headers["host"]
        folder = connection.path.rpartition("/")[0]
        said = resume.format(host=host, port=host.rpartition(":")[2], folder=folder)
        whole(opens(resume=said) + DATA[0])(connection)

    return behave


def _places() -> Iterator[HttpCase]:
    resolved = {
        "stream": "stream",
        "./a/../stream": "stream",
        "{folder}/stream": "stream",
        "//{host}{folder}/stream": "stream",
        "http://{host}{folder}/stream": "stream",
        "stream?key=a%20b&x=1": "stream?key=a%20b&x=1",
        "a/b%2Fc": "a/b%2Fc",
    }
    yield _case(
        "resume-where/resolved",
        "3.2",
        _RESOLVED,
        (_served(said, Answer(_says(said)), Answer(position=1, path=path)) for said, path in resolved.items()),
    )
    elsewhere = (
        "http://localhost:{port}{folder}/stream",
        "//localhost:{port}{folder}/stream",
        "https://{host}{folder}/stream",
        "http://127.0.0.1:1{folder}/stream",
        "http://127.0.0.1:{port}@localhost:{port}{folder}/stream",
        "data:application/octet-stream,",
        "file:///etc/passwd",
    )
    verdict = (stops_with("stream_incomplete", 1),)
    yield _case(
        "resume-where/another-origin",
        "3.2",
        _ORIGIN,
        (Script(said, verdict, (Answer(_says(said)),), place="") for said in elsewhere),
    )
    there = opens(1, resume="other")
    moved = (Answer(whole(there + DATA[1]), 1), Answer(position=2, path="other"))
    silent = (Answer(whole(opens(1, resume=None) + DATA[1]), 1), Answer(position=2))
    yield _case(
        "resume-where/changed",
        "6.3",
        _NEWEST,
        (_served("another place", _begins(), *moved), _served("none", _begins(), *silent)),
    )


def _restarts() -> Iterator[HttpCase]:
    """A stream of another time: the implementation is told where it can be picked up."""
    here = (("position", 2),)
    rest_of_it = whole_stream(frames=items(LENGTH)[2:])
    busy = Answer(_refuses(_UNAVAILABLE, Retry_After="0"), 2)
    unknown = failed("http_status:404:not_found", position=2)
    yield _case(
        "resume-restart/rest",
        "6.3",
        _GETS,
        (
            Script("at once", (rest_of_it,), (Answer(position=2),), here),
            Script("busy first", (rest_of_it,), (busy, Answer(position=2)), here),
            Script("all again", (rest_of_it,), (Answer(chunked(_WHOLE), 2),), here),
        ),
    )
    refused = Answer(_refuses("404 Not Found", "not_found"), 2)
    yield _case("resume-restart/not-found", "6.3", _LOST, [Script("", (unknown,), (refused,), here)])


# --------------------------------------------------------------------------------------- waiting and leaving


def _back_off() -> Iterator[HttpCase]:
    """Twelve cuts, with a data frame before each: the waits stay short."""
    count = 12
    frames = [frame("{}", str(number)) for number in range(1, count + 1)]
    verdict: Verdict = {
        "frames": [{"header": {}, "json": number} for number in range(1, count + 1)],
        "end": "ok",
        "position": count,
    }
    answers = [Answer(whole(opens() + frames[0]))]
    answers += [Answer(whole(opens(number) + frames[number]), number) for number in range(1, count)]
    answers.append(Answer(whole(opens(count) + ends(0)), count))
    yield _case("resume-wait/row", "6.3", _ROW, [Script("", (verdict,), tuple(answers))], slow=True)


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
    canceled: Verdict = {"frames": items(1), "end": "error:canceled", "position": 1, "message": "stopped"}
    stream = _UntilStopped()
    answers = (Answer(stream.begin), Answer(stream.stop, method="DELETE"))
    yield _case("resume-leaving/stop", "6.3", _STOPS, [Script("", (canceled,), answers, (("stop_after", 1),))])
    left: Verdict = {"frames": items(1), "end": "missing", "position": 1}
    goes_on = Answer(slowly(_OPEN + DATA[0], stall=True))
    script = Script("", (left,), (goes_on,), (("leave_after", 1),), place="1")
    yield _case("resume-leaving/leave", "6.3", _LEAVES, [script])


RESUME_CASES: Final[Sequence[HttpCase]] = (
    *_cuts(),
    *_not_resumed(),
    *_positions(),
    *_ends(),
    *_refusals(),
    *_gives_up(),
    *_types(),
    *_places(),
    *_restarts(),
    *_back_off(),
    *_leaving(),
)
