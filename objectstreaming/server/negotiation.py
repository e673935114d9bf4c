"""The Accept header, and the media type to answer with (SPEC section 6.1, "Negotiation"; RFC 9110, section 12.5.1).

A server sends version 1 only to clients that ask for its type by name. `*/*` and `application/*` get the plain stream,
because a client that sends them may not know control frames. Of two acceptable types the one with the higher `q` is
chosen, and version 1 where they are equal.

    application/vnd.objectstreaming;v=1                            version 1
    application/vnd.objectstreaming;v=1, application/octet-stream;q=0.5   version 1
    application/octet-stream, */*, nothing at all                  plain
    application/vnd.objectstreaming;v=2, */*;q=0.1                 plain
    application/vnd.objectstreaming;v=1;coder=tal                  406, where the stream's coder is json
    text/html                                                      406
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from starlette.requests import HTTPConnection

from ..media_type import MediaType, parse_accept
from ..protocol import MEDIA_TYPE, PLAIN_MEDIA_TYPE, VERSION
from .problems import RequestError

__all__ = ["Negotiated", "negotiate"]


class Negotiated(NamedTuple):
    """What to answer with: `version` 1 or, for a plain stream, `None`; and the coder's name."""

    version: int | None
    coder: str | None = None

    @property
    def media_type(self) -> str:
        """The Content-Type of the response."""
        if self.version is None:
            return PLAIN_MEDIA_TYPE
        coder = "" if self.coder is None else f";coder={self.coder}"
        return f"{MEDIA_TYPE};v={self.version}{coder}"


def negotiate(request: HTTPConnection | str | None, coder: str | None = None) -> Negotiated:
    """What to answer a request with, given the request or the value of its Accept header.

    `coder` is the name of the stream's coder. With `None` the `coder=` parameter is ignored. Raises `RequestError` with
    status 406 if the client accepts neither version 1 nor a plain stream.

    >>> negotiate("application/vnd.objectstreaming;v=1, application/octet-stream;q=0.5", "json").media_type
    'application/vnd.objectstreaming;v=1;coder=json'
    >>> negotiate("*/*", "json").media_type
    'application/octet-stream'
    >>> negotiate("text/html", "json")
    Traceback (most recent call last):
    objectstreaming.server.problems.RequestError: invalid_argument: this endpoint answers with \
application/vnd.objectstreaming;v=1;coder=json or application/octet-stream; Accept names neither
    """
    accept = ", ".join(request.headers.getlist("accept")) if isinstance(request, HTTPConnection) else request
    ranges = list(parse_accept(accept or ""))
    if not ranges:  # not sent, or nothing valid in it: RFC 9110 lets the server choose
        return Negotiated(None, coder)
    framed = _quality_of_version_1(ranges, coder)
    plain = _quality_of_plain(ranges)
    if framed > 0 and framed >= plain:
        return Negotiated(VERSION, coder)
    if plain > 0:
        return Negotiated(None, coder)
    raise RequestError(
        406,
        "invalid_argument",
        f"this endpoint answers with {Negotiated(VERSION, coder).media_type} or {PLAIN_MEDIA_TYPE}; "
        "Accept names neither",
    )


def _quality_of_version_1(ranges: Iterable[tuple[MediaType, float]], coder: str | None) -> float:
    """The q of the range that names version 1 with the most parameters; 0 if none does."""
    best, closest = 0.0, -1
    for wanted, quality in ranges:
        parameters = wanted.parameters
        if wanted.name != MEDIA_TYPE or parameters.get("v", str(VERSION)) != str(VERSION):
            continue
        if coder is not None and parameters.get("coder", coder) != coder:
            continue
        close = ("v" in parameters) + ("coder" in parameters)
        if close > closest:
            best, closest = quality, close
    return best


def _quality_of_plain(ranges: Iterable[tuple[MediaType, float]]) -> float:
    best, closest = 0.0, -1
    for wanted, quality in ranges:
        close = _PLAIN_RANGES.get(wanted.name, -1)
        if close > closest:
            best, closest = quality, close
    return best


_PLAIN_RANGES: Final = {"*/*": 0, "application/*": 1, PLAIN_MEDIA_TYPE: 2}
