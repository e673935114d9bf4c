"""What to answer with: Accept, Last-Event-ID (SPEC section 6.1, "Negotiation"; RFC 9110, section 12.5.1).

A server sends version 1 and views only to clients that ask for their types. `*/*`, and no `Accept` at all, get the
endpoint's default, which is the plain stream unless the endpoint names another: a client that sends them may not know
control frames. Of several acceptable types the one with the highest `q` is chosen. Where those are equal, version 1
comes first, then what is named in full, then the default, then the views in their order.

    application/vnd.objectstreaming;v=1                            version 1
    application/vnd.objectstreaming;v=1, application/octet-stream;q=0.5   version 1
    application/octet-stream, */*, application/*, nothing at all   plain
    application/vnd.objectstreaming;v=2, */*;q=0.1                 plain
    text/event-stream, text/*                                      server-sent events
    text/event-stream, */*                                         server-sent events
    application/x-ndjson;q=0.5, */*;q=0.1                          JSON lines
    application/vnd.objectstreaming;v=1;coder=tal                  406, where the stream's coder is json
    text/html                                                      406
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from starlette.requests import HTTPConnection

from ..media_type import MediaType, parse_accept
from ..protocol import MEDIA_TYPE, PLAIN_MEDIA_TYPE, VERSION
from .problems import RequestError
from .timing import prefers_times
from .views import View, type_of

__all__ = ["Negotiated", "check_default_type", "has_received_the_end", "negotiate"]


class Negotiated(NamedTuple):
    """What to answer with: `version` 1; a `view`; or, with neither, a plain stream. And the coder's name, and whether
    control frames say when they were sent."""

    version: int | None
    coder: str | None = None
    view: View | None = None
    timed: bool = False

    @property
    def media_type(self) -> str:
        """The Content-Type of the response."""
        if self.view is not None:
            return self.view.media_type
        if self.version is None:
            return PLAIN_MEDIA_TYPE
        coder = "" if self.coder is None else f";coder={self.coder}"
        return f"{MEDIA_TYPE};v={self.version}{coder}"


def negotiate(
    request: HTTPConnection | str | None,
    coder: str | Sequence[str] | None = None,
    *,
    views: Sequence[View] = (),
    default_type: str | None = None,
    plain: bool = True,
) -> Negotiated:
    """What to answer a request with, given the request or the value of its Accept header.

    `coder` is the name of the stream's coder, or the names of those that there are, the one to prefer first. With
    `None` the `coder=` parameter is ignored. `views` can be answered
    with beside version 1 and, unless `plain` is false, the plain stream. `default_type` is the media type that `*/*`
    and no `Accept` get; without it that is the plain stream, or the first view where there is none. Raises
    `RequestError` with status 406 if the client accepts nothing of all this.

    >>> from objectstreaming.server.views import BUILT_IN
    >>> negotiate("application/vnd.objectstreaming;v=1, application/octet-stream;q=0.5", "json").media_type
    'application/vnd.objectstreaming;v=1;coder=json'
    >>> negotiate("*/*", "json").media_type
    'application/octet-stream'
    >>> negotiate("text/event-stream, */*;q=0.1", "json", views=BUILT_IN).media_type
    'text/event-stream'
    >>> negotiate("text/html", "json")
    Traceback (most recent call last):
    objectstreaming.server.problems.RequestError: invalid_argument: this endpoint answers with \
application/vnd.objectstreaming;v=1;coder=json or application/octet-stream; Accept names none of them
    """
    accept = ", ".join(request.headers.getlist("accept")) if isinstance(request, HTTPConnection) else request
    # Not sent, or nothing valid in it: RFC 9110 lets the server choose.
    ranges = list(parse_accept(accept or "")) or _ANYTHING
    coders = [coder] if coder is None or isinstance(coder, str) else coder
    choices: dict[str, View | None] = {PLAIN_MEDIA_TYPE: None} if plain else {}
    choices.update((type_of(view), view) for view in views)
    types = [*(Negotiated(VERSION, name).media_type for name in coders), *choices]
    for view in views:
        for name in view.also_for:
            choices.setdefault(name, view)
    if default_type is None:
        default_type = next(iter(choices), "")
    quality, chosen = 0.0, ""
    if choices:
        weights = {name: _weight(name, ranges, name == default_type) for name in choices}
        chosen = max(choices, key=lambda name: (*weights[name], name == default_type))
        quality = weights[chosen][0]
    framed = {name: _quality_of_version_1(ranges, name) for name in coders}
    best = max(framed, key=framed.__getitem__)
    if framed[best] > 0 and framed[best] >= quality:
        timed = isinstance(request, HTTPConnection) and prefers_times(request.headers.getlist("prefer"))
        return Negotiated(VERSION, best, timed=timed)
    if quality > 0:
        return Negotiated(None, coders[0], choices[chosen])
    offered = " or ".join([", ".join(types[:-1]), types[-1]] if len(types) > 1 else types)
    raise RequestError(406, "invalid_argument", f"this endpoint answers with {offered}; Accept names none of them")


def check_default_type(default_type: str, views: Sequence[View], plain: bool) -> None:
    """Raise `ValueError` if an endpoint does not answer with its `default_type` at all."""
    types = [*([PLAIN_MEDIA_TYPE] if plain else []), *map(type_of, views)]
    if default_type not in types:
        raise ValueError(f"default_type is one of {', '.join(types)}, not {default_type!r}")


def has_received_the_end(request: HTTPConnection) -> bool:
    """Whether `Last-Event-ID` says that the client has the whole stream, so that there is nothing to send it.

    An `EventSource` asks again after every stream, with the id of the last event, and stops when it is answered with
    204. Raises `RequestError` for any other id: it asks for the rest of a stream that cannot be resumed, and must not
    get another stream from its beginning instead.
    """
    last = request.headers.get("last-event-id", "")
    if not last:
        return False
    if last == "end" and request.scope["method"] in ("GET", "HEAD"):
        return True
    raise RequestError(400, "out_of_range", "this stream cannot be resumed: there is nothing after Last-Event-ID here")


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


def _weight(name: str, ranges: Iterable[tuple[MediaType, float]], default: bool) -> tuple[float, int]:
    """The q of the range that names a media type most closely, 0 if none does, and how closely: 2 is in full.

    `*/*` means the endpoint's default, and nothing else.
    """
    closeness = {name: 2, name.partition("/")[0] + "/*": 1, "*/*": 0 if default else -1}
    best, closest = 0.0, -1
    for wanted, quality in ranges:
        close = closeness.get(wanted.name, -1)
        if close > closest:
            best, closest = quality, close
    return best, closest


_ANYTHING: Final = [(MediaType("*/*", {}), 1.0)]
