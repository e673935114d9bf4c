"""Mutants of level 3: the Python implementation, resuming in one wrong way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .. import client, resuming
from ..resuming import Place, ResumingStream, Resumption
from . import python_implementation
from .python_implementation import Answer, Request

__all__ = ["RESUMES", "resume"]

# Each with the case in which it must be found.
RESUMES: Final = {
    "never-resumes": "resume-cut/in-the-data-frames",  # takes every cut for final
    "posts-again": "resume-cut/after-each-frame",  # sends the first request again
    "asks-from-the-beginning": "resume-cut/after-each-frame",  # and drops what it has had
    "does-not-drop": "resume-position/smaller",  # delivers what comes
    "gaps-pass": "resume-position/larger",  # does not miss what was lost
    "503-is-final": "resume-refused/then-served",
    "404-is-final": "resume-refused/not-found-right-after-data",
    "any-origin": "resume-where/another-origin",  # sends its credentials elsewhere
    "stop-only-leaves": "resume-leaving/stop",  # closes the connection instead of DELETE
}


def _posts_again() -> None:
    resume = resuming.request_at
    first: list[Any] = []

    def begin(self: Any, method: Any, url: Any) -> None:
        first[:] = method, url
        self._open(method, url, dict(self._options))

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


def _gaps_pass() -> None:
    _set(Resumption, _lost=lambda self, position: None)


def _final(status: int) -> Callable[[], None]:
    may_pass = Resumption._may_pass

    def never(self: Any, error: Any, trouble: float) -> bool:
        return getattr(error, "status", 0) != status and may_pass(self, error, trouble)

    return lambda: _set(Resumption, _may_pass=never)


def _any_origin() -> None:
    def place_of(response: Any, resume: str | None, position: int) -> Place | None:
        return Place(str(response.url.join(resume)), position) if resume is not None else None

    vars(client)["place_of"] = place_of


def _never_resumes() -> None:
    _set(Resumption, _may_pass=lambda self, error, trouble: False)


def _stop_only_leaves() -> None:
    _set(ResumingStream, stop=lambda self: self.close())


def _set(class_: type, **members: Any) -> None:
    for name, value in members.items():
        setattr(class_, name, value)


_MISTAKES: Final[dict[str, Callable[[], None]]] = {
    "never-resumes": _never_resumes,
    "posts-again": _posts_again,
    "asks-from-the-beginning": _asks_from_the_beginning,
    "does-not-drop": _does_not_drop,
    "gaps-pass": _gaps_pass,
    "503-is-final": _final(503),
    "404-is-final": _final(404),
    "any-origin": _any_origin,
    "stop-only-leaves": _stop_only_leaves,
}


def resume(mistake: str) -> Callable[[Request], Answer]:
    """The operation `resume` with this mistake, in this process from now on."""
    _MISTAKES[mistake]()
    return python_implementation.resume
