"""What a response that is not 2xx says, as an error: for clients over HTTP and for the handshake of a WebSocket."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from . import strict_json
from .errors import HTTP_STATUS, ResponseError, code_for_status

__all__ = ["excerpt", "read_problem", "retry_after"]

_SECONDS: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_LONGEST: Final = 2.0**31
"""Seconds. A number of many digits says not to come back, and is no number that can be waited for."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNDERSTOOD: Final = {"code", "message", "details", "detail", "type", "title", "status", "instance"}


def read_problem(status: int, reason: str, body: bytes, headers: Mapping[str, str] | None = None) -> ResponseError:
    """The error in a body: our own members, FastAPI's `detail`, RFC 9457's `title`, or the text, whichever is there.

    `reason` is the message where the body has none. Members that none of these has become the error's `details`.

    >>> read_problem(404, "Not Found", b'{"code":"not_found","message":"no such voice"}').message
    'no such voice'
    >>> read_problem(429, "Too Many Requests", b'{"detail":{"quota":5}}', {"Retry-After": "7"}).details
    {'quota': 5}
    >>> read_problem(502, "Bad Gateway", b"").code
    'unavailable'
    """
    headers = _lower(headers)
    try:
        said = strict_json.loads(body)
    except strict_json.InvalidJSON:
        said = {"message": excerpt(body)}
    if not isinstance(said, dict):
        said = {}
    if isinstance(said.get("detail"), dict):
        said = said["detail"]
    named, details = said.get("code"), said.get("details")
    code = named if isinstance(named, str) and named in HTTP_STATUS else code_for_status(status)
    message = next((said[name] for name in ("message", "detail", "title") if isinstance(said.get(name), str)), "")
    if details is None and isinstance(said.get("detail"), list):
        details = said["detail"]  # what FastAPI found wrong with the request, a dict for each
        if not message and details and isinstance(details[0], dict):
            where = details[0].get("loc")
            place = ".".join(map(str, where)) if isinstance(where, list) else "request"
            message = f"{place}: {details[0].get('msg')}"
    elif details is None and (said.keys() - _UNDERSTOOD or (isinstance(named, str) and named != code)):
        details = said
    return ResponseError(code, message or reason, details, status, body, headers, retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a `Retry-After` header, from a number or a date; `None` if there is none that can be read.

    A date is compared with the response's own `Date`, whose clock it was made by, or else with this machine's.

    >>> retry_after({"retry-after": "120"}), retry_after({"retry-after": "soon"})
    (120.0, None)
    >>> retry_after({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT", "date": "Fri, 31 Dec 1999 23:59:29 GMT"})
    30.0
    """
    headers = _lower(headers)
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _LONGEST)
    until = _date(text)
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    pairs: Iterable[tuple[str, Any]] = headers.items() if headers is not None else ()
    return {name.lower(): str(value) for name, value in pairs}


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def excerpt(body: bytes) -> str:
    r"""The beginning of a body on one line, for a message. It controls no terminal.

    >>> ascii(excerpt(b"<html>\n \x1b[31mred"))
    "'<html> \\ufffd[31mred'"
    """
    line = " ".join(body[:256].decode(errors="replace").split())[:80]
    return _CONTROL.sub("\ufffd", line)
