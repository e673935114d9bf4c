"""Mutants of level 3: the Python implementation, resuming in one wrong way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .. import client, resuming
from ..errors import ResponseError, StreamError
from ..resuming import Place, ResumingStream, Resumption
from . import python_implementation
from .python_implementation import Answer, Request

__all__ = ["RESUMES", "resume"]

# Each with the case in which it must be found.
RESUMES: Final = {
    "never-resumes": "resume-cut/after-each-frame",  # takes every cut for final
    "silence-is-final": "resume-cut/silence",
    "posts-again": "resume-cut/after-each-frame",  # sends the first request again
    "posts-until-answered": "resume-first/refused",  # has no stream yet, and tries again
    "resumes-what-is-not-kept": "resume-first/without-resume",  # by asking again where it has asked first
    "asks-from-the-beginning": "resume-cut/after-each-frame",  # and drops what it has had
    "does-not-drop": "resume-position/smaller",  # delivers what comes
    "gaps-pass": "resume-position/larger",  # does not miss what was lost
    "early-end-passes": "resume-position/end-too-early",  # takes any end for that of the stream
    "reports-twice": "resume-position/refused-payload",  # does not know a refused payload again
    "errors-are-cuts": "resume-end/error",  # does not take an end for final
    "503-is-final": "resume-refused/then-served",
    "404-is-final": "resume-refused/not-found-right-after-data",
    "404-passes": "resume-restart/not-found",  # also where no data have come
    "410-passes": "resume-refused/for-good",
    "ignores-retry-after": "resume-refused/retry-after",
    "hammers": "resume-refused/until-patience-ends",  # does not wait
    "row-never-ends": "resume-wait/row",  # waits longer and longer
    "plain-passes": "resume-types/plain",  # takes the end of a plain stream for that of the stream
    "joins-strings": "resume-where/resolved",  # does not know what a URI reference is
    "loses-the-query": "resume-where/resolved",
    "any-origin": "resume-where/another-origin",  # sends its credentials elsewhere
    "first-place-only": "resume-where/changed",
    "restarts-from-0": "resume-restart/rest",
    "stop-only-leaves": "resume-leaving/stop",  # closes the connection instead of DELETE
    "leaving-stops": "resume-leaving/leave",
}


def _posts_again() -> None:
    resume = resuming.request_at
    first: list[Any] = []

    def begin(self: Any, method: Any, url: Any) -> None:
        first[:] = method, url
        self._open(method, url, dict(self._options), resumes=False)

    def next_request(self: Any) -> Any:
        place = self.place
        return (*first, {**self._options, "params": resume(place, {}, self._library)[0].params})

    _set(ResumingStream, begin=begin, _next_request=next_request)


def _asks_from_the_beginning() -> None:
    request_at = resuming.request_at
    vars(resuming)["request_at"] = lambda place, options, library: request_at(Place(place.url, 0), options, library)


def _does_not_drop() -> None:
    def is_new(self: Any, position: int) -> bool:
        self.position += 1
        return True

    _set(Resumption, is_new=is_new, ended=lambda self, position: None)


def _passes(judge: Callable[[Any], bool | None]) -> Callable[[], None]:
    """`judge` says of an error whether it may be tried again; if it says nothing, the rules do."""
    may_pass = Resumption._may_pass

    def judged(self: Any, error: Any, now: float) -> bool:
        verdict = judge(error)
        return may_pass(self, error, now) if verdict is None else verdict

    return lambda: _set(Resumption, _may_pass=judged)


def _status(status: int, verdict: bool) -> Callable[[], None]:
    return _passes(lambda error: verdict if getattr(error, "status", 0) == status else None)


def _place(place: Callable[[Any, str | None, int], Place | None]) -> Callable[[], None]:
    """`place` takes the response, what its `open` said, and the position."""
    return lambda: vars(client).update(place_of=place)


def _posts_until_answered() -> None:
    begin = ResumingStream.begin

    def begins(self: Any, method: Any, url: Any) -> None:
        try:
            begin(self, method, url)
        except ResponseError:
            begin(self, method, url)

    _set(ResumingStream, begin=begins)


def _first_place_only() -> None:
    def look(self: Any) -> None:
        if self._resumption.place is None:
            self._resumption.place = self._stream.place

    _set(ResumingStream, _look=look)


def _loses_the_query() -> None:
    def request_at(place: Place, options: Any, library: Any) -> Any:
        url, kept = original(place, options, library)
        return url.copy_with(query=f"position={place.position}".encode()), kept

    original = resuming.request_at
    vars(resuming)["request_at"] = request_at


def _row_never_ends() -> None:
    def count(self: Any, failures: int) -> None:
        self.__dict__["row"] = max(failures, self.__dict__.get("row", 0))

    _set(Resumption, _failures=property(lambda self: self.__dict__.get("row", 0), count))


def _ignores_retry_after() -> None:
    wait_after = Resumption.wait_after

    def waits(self: Any, error: Any) -> float:
        error.retry_after = None
        return wait_after(self, error)

    _set(Resumption, wait_after=waits)


def _leaving_stops() -> None:
    leave = ResumingStream.leave

    def leaves(self: Any) -> None:
        if not self._over and self.place is not None:
            self.stop()
        leave(self)

    _set(ResumingStream, leave=leaves)


def _set(class_: type, **members: Any) -> None:
    for name, value in members.items():
        setattr(class_, name, value)


_MISTAKES: Final[dict[str, Callable[[], None]]] = {
    "never-resumes": _passes(lambda error: False),
    "silence-is-final": _passes(lambda error: False if error.code == "idle_timeout" else None),
    "posts-again": _posts_again,
    "posts-until-answered": _posts_until_answered,
    "resumes-what-is-not-kept": _place(lambda response, resume, position: Place(str(response.url), position)),
    "asks-from-the-beginning": _asks_from_the_beginning,
    "does-not-drop": _does_not_drop,
    "gaps-pass": lambda: _set(Resumption, _lost=lambda self, position: None),
    "early-end-passes": lambda: _set(Resumption, ended=lambda self, position: None),
    "reports-twice": lambda: _set(ResumingStream, _unreadable=lambda self: True),
    "errors-are-cuts": _passes(lambda error: True if isinstance(error, StreamError) else None),
    "503-is-final": _status(503, False),
    "404-is-final": _status(404, False),
    "404-passes": _status(404, True),
    "410-passes": _status(410, True),
    "ignores-retry-after": _ignores_retry_after,
    "hammers": lambda: vars(resuming).update(FIRST_WAIT=0.0),
    "row-never-ends": _row_never_ends,
    "plain-passes": lambda: vars(resuming).update(_check_resumption=lambda response: None),
    "joins-strings": _place(lambda response, resume, position: Place(f"{response.url}/{resume}", position)),
    "loses-the-query": _loses_the_query,
    "any-origin": _place(lambda response, resume, position: Place(str(response.url.join(resume or "")), position)),
    "first-place-only": _first_place_only,
    "restarts-from-0": lambda: vars(client).update(Place=lambda url, position: Place(url, 0)),
    "stop-only-leaves": lambda: _set(ResumingStream, stop=lambda self: self.close()),
    "leaving-stops": _leaving_stops,
}


def resume(mistake: str) -> Callable[[Request], Answer]:
    """The operation `resume` with this mistake, in this process from now on."""
    _MISTAKES[mistake]()
    return python_implementation.resume
