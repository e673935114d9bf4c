"""What a response that is not 2xx says, as an error: for clients over HTTP and for the handshake of a WebSocket."""

from __future__ import annotations

from . import strict_json
from .errors import HTTP_STATUS, ResponseError, code_for_status

__all__ = ["excerpt", "read_problem"]


def read_problem(status: int, reason: str, body: bytes) -> ResponseError:
    """The error in a body: our own members, FastAPI's `detail`, RFC 9457's `title`, or the text, whichever is there.

    `reason` is the message where the body has none.

    >>> read_problem(404, "Not Found", b'{"code":"not_found","message":"no such voice"}').message
    'no such voice'
    >>> read_problem(502, "Bad Gateway", b"").code
    'unavailable'
    """
    try:
        said = strict_json.loads(body)
    except strict_json.InvalidJSON:
        said = {"message": excerpt(body)}
    if not isinstance(said, dict):
        said = {}
    if isinstance(said.get("detail"), dict):
        said = said["detail"]
    code, details = said.get("code"), said.get("details")
    if not isinstance(code, str) or code not in HTTP_STATUS:
        code = code_for_status(status)
    message = next((said[name] for name in ("message", "detail", "title") if isinstance(said.get(name), str)), "")
    if details is None and isinstance(said.get("detail"), list):
        details = said["detail"]  # what FastAPI found wrong with the request, a dict for each
        if not message and details and isinstance(details[0], dict):
            where = details[0].get("loc")
            place = ".".join(map(str, where)) if isinstance(where, list) else "request"
            message = f"{place}: {details[0].get('msg')}"
    return ResponseError(code, message or reason, details, status, body)


def excerpt(body: bytes) -> str:
    """The beginning of a body on one line, for a message."""
    return " ".join(body[:256].decode(errors="replace").split())[:80]
