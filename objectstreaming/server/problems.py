"""Failures before the first frame: a real HTTP status with a small JSON body, `{"code", "message", "details"}`.

The code is one of the sixteen of `StreamError`, and the status is the one that belongs to it (`errors.HTTP_STATUS`,
from the Connect protocol). So a client learns the same from an early failure as from the `end` frame of a late one.
Only the content of a `StreamError` is sent to the client. Any other exception is a fault of the server: it is logged,
and the client gets `internal` and nothing more.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .. import strict_json
from ..errors import (
    HTTP_STATUS,
    FrameError,
    FrameTooLarge,
    HeaderTooLarge,
    PayloadError,
    ProtocolError,
    StreamError,
    StreamIncomplete,
    code_for_status,
)
from ..protocol import write_error

__all__ = ["RequestError", "install_error_handlers", "problem_response"]

logger: Final = logging.getLogger("objectstreaming.server")

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string", "enum": list(HTTP_STATUS)},
        "message": {"type": "string"},
        "details": {},
    },
}
"""The JSON Schema of an error, as a problem and in a view."""

BODY_ERRORS: Final = (FrameError, PayloadError, ProtocolError, StreamIncomplete)
"""Errors in the bytes that a client sent. They may be sent to it: they say nothing about the server."""


class RequestError(StreamError):
    """A `StreamError` whose HTTP status is not the one of its code: 406, 413, 415.

    >>> RequestError(415, "invalid_argument", "version 2 is not known here").http_status
    415
    """

    def __init__(self, status: int, code: str, message: str = "", details: Any = None) -> None:
        super().__init__(code, message, details)
        self.args = (status, code, message, details)
        self.status = status

    @property
    def http_status(self) -> int:
        return self.status


def public_error(error: BaseException) -> StreamError:
    """The error to send for an exception. What must not be sent is logged here, once, with its traceback."""
    if isinstance(error, StreamError):
        return error
    if isinstance(error, HTTPException):  # its detail is meant for the client
        message = error.detail if isinstance(error.detail, str) else ""
        return RequestError(error.status_code, code_for_status(error.status_code), message)
    logger.error("a stream's source failed", exc_info=error)
    return StreamError("internal", "internal error")


def request_error(error: FrameError | PayloadError | ProtocolError | StreamIncomplete) -> RequestError:
    """The answer to a request whose body has this error."""
    if isinstance(error, FrameTooLarge | HeaderTooLarge):
        return RequestError(413, "resource_exhausted", str(error))
    return RequestError(400, "invalid_argument", str(error))


def problem_response(error: StreamError) -> Response:
    """The response for `error`.

    >>> response = problem_response(StreamError("not_found", "no such document"))
    >>> response.status_code, response.body
    (404, b'{"code":"not_found","message":"no such document"}')
    """
    body = write_error(error, strict_json.dumps)
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    return Response(body, status_code=error.http_status, headers=headers, media_type="application/json")


def install_error_handlers(app: Starlette) -> None:
    """Let a FastAPI or Starlette application answer a `StreamError`, or an error in a body's frames, with a problem.

    Without it, such an error becomes a bare 500 where an endpoint raises it before it returns its response.

    >>> from fastapi import FastAPI
    >>> app = FastAPI()
    >>> install_error_handlers(app)
    """

    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, BODY_ERRORS):
            error = request_error(error)
        assert isinstance(error, StreamError)
        return problem_response(error)

    for kind in (StreamError, *BODY_ERRORS):
        app.add_exception_handler(kind, answer)
