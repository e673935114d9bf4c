"""Failures before the first frame: a real HTTP status with a small JSON body, `{"code", "message", "details"}`.

The code is one of the sixteen of `StreamError`, and the status is the one that belongs to it (`errors.HTTP_STATUS`,
from the Connect protocol). So a client learns the same from an early failure as from the `end` frame of a late one.
Only the content of a `StreamError` is sent to the client. Any other exception is a fault of the server: the client gets
`internal` and nothing more. What an upstream has said to this server is not told on either: the client gets
`unavailable`.

What did not end well is one line in the log, with its code and how far it came (`report`). Faults of the server have
their traceback there.

An exception for which the application has a handler of its own, and an `HTTPException`, is answered by that handler, if
no byte of the stream has been sent yet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Final, Literal, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

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
from ..log_lines import one_line
from ..protocol import write_error

__all__ = ["RequestError", "error_handlers", "problem_response"]

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

READ_ERRORS: Final = (FrameError, PayloadError, ProtocolError, StreamIncomplete)
"""Errors in the bytes of a stream that was read.

`read_messages` makes a `RequestError` of them: they may be sent to the client whose body it is. Where they are raised
as they are, the bytes came from somewhere else, most often from a service behind this one.
"""


class RequestError(StreamError):
    """A `StreamError` whose HTTP status is not the one of its code: 406, 413, 415.

    Args:
        status: of the response.
        code: one of the sixteen of `StreamError`.
        message: for the client.
        details: any JSON value.

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


def _behind() -> StreamError:
    return StreamError("unavailable", "a service behind this one failed")


def public_error(error: BaseException) -> StreamError:
    """The error to send for an exception. What must not be sent is for the log: `report`."""
    if isinstance(error, StreamError) and error.from_peer:
        return _behind()
    if isinstance(error, StreamError):
        return error
    if isinstance(error, HTTPException):  # its detail is meant for the client
        detail = error.detail
        message, details = (detail, None) if isinstance(detail, str) else ("", detail)
        return RequestError(error.status_code, code_for_status(error.status_code), message, details)
    return StreamError("internal", "internal error")


_WORDS: Final = {"failed": "failed", "aborted": "was broken off", "left": "was left by its client"}


def report(
    what: str,
    outcome: Literal["failed", "aborted", "left"],
    code: str,
    *,
    cause: BaseException | None = None,
    position: int | None = None,
    status: int | None = None,
    known: bool = False,
    log: logging.Logger = logger,
) -> None:
    """Write the one line of the log about a stream, or an answer, that did not end well.

    `position` is the number of its messages. A fault of this server is an error, with its traceback. What the client
    has done, by leaving or by a request that was answered with a `status` of 4xx, is information, and so is what is
    `known` from another line. All else is a warning. The words come from outside: what is in them stays on this line.
    """
    fault = cause is not None and not isinstance(cause, StreamError | HTTPException)
    if known or outcome == "left" or (status is not None and status < 500):
        fault, level = False, logging.INFO
    else:
        level = logging.ERROR if fault else logging.WARNING
    place = "" if position is None else f" after {position} messages"
    reason = "" if cause is None else f": {_reason(cause)}"
    log.log(
        level,
        "%s %s%s: %s%s",
        one_line(what),
        _WORDS[outcome],
        place,
        code,
        one_line(reason),
        exc_info=cause if fault else None,
        extra={"outcome": outcome, "code": code, "position": position},
    )


def _reason(cause: BaseException) -> str:
    if isinstance(cause, StreamError):
        return f"a service behind this one said {cause}" if cause.from_peer else cause.message or cause.code
    if isinstance(cause, HTTPException):
        return f"HTTP {cause.status_code}, {cause.detail}"
    return f"{type(cause).__name__}: {cause}"


def request_error(error: FrameError | PayloadError | ProtocolError | StreamIncomplete) -> RequestError:
    """The answer to a request whose body has this error."""
    if isinstance(error, FrameTooLarge | HeaderTooLarge):
        return RequestError(413, "resource_exhausted", str(error))
    return RequestError(400, "invalid_argument", str(error))


def write_problem(error: StreamError) -> bytes:
    """The body of a problem."""
    return write_error(error, strict_json.dumps)


def problem_response(error: StreamError, write: Callable[[StreamError], bytes] = write_problem) -> Response:
    """The response for `error`. `write` makes its body, which is JSON.

    >>> response = problem_response(StreamError("not_found", "no such document"))
    >>> response.status_code, response.body
    (404, b'{"code":"not_found","message":"no such document"}')
    """
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    return Response(write(error), status_code=error.http_status, headers=headers, media_type="application/json")


async def early_response(
    error: BaseException, scope: Scope, write: Callable[[StreamError], bytes] = write_problem
) -> Response:
    """The response for a stream that failed before its first frame.

    The application's own handler for this exception answers, if there is one; or else it is a problem.
    """
    handler = _handler_of(error, scope)
    if handler is None:
        response = problem_response(public_error(error), write)
        if isinstance(error, HTTPException):
            response.headers.update(error.headers or {})
        return response
    if handler is _answer:  # whose line in the log the stream writes itself
        return problem_response(_failure_of_endpoint(error), write)
    request = Request(scope)
    if iscoroutinefunction(handler):
        answer = await handler(request, error)
    else:
        answer = await run_in_threadpool(handler, request, error)
    assert isinstance(answer, Response)
    return answer


def _handler_of(error: BaseException, scope: Scope) -> Callable[..., Any] | None:
    """The handler that Starlette would call for an exception that leaves an endpoint."""
    by_type, by_status = scope.get("starlette.exception_handlers", ({}, {}))
    if isinstance(error, HTTPException) and error.status_code in by_status:
        return cast("Callable[..., Any]", by_status[error.status_code])
    for kind in type(error).__mro__:
        if kind in by_type:
            return cast("Callable[..., Any]", by_type[kind])
    if isinstance(error, StreamError) or not isinstance(error, Exception):
        return None
    # Starlette keeps the handler of all that is left at another place, and has not said where for a request.
    of_all = getattr(scope.get("app"), "exception_handlers", {})
    return cast("Callable[..., Any] | None", of_all.get(500) or of_all.get(Exception))


async def _answer(request: Request, error: Exception) -> Response:
    failure = _failure_of_endpoint(error)
    what = f"{request.method} {request.scope['path']}"
    report(what, "failed", failure.code, cause=error, status=failure.http_status)
    return problem_response(failure)


def _failure_of_endpoint(error: BaseException) -> StreamError:
    return _behind() if isinstance(error, READ_ERRORS) else public_error(error)


error_handlers: Final[dict[int | type[Exception], Any]] = dict.fromkeys((StreamError, *READ_ERRORS), _answer)
"""For `FastAPI(exception_handlers=error_handlers)`: an endpoint that raises a `StreamError` is answered with the
error's own status and a problem, and so is one that reads a body with `read_messages` which is no stream of frames.
What a service behind this one has said or sent is answered with 503. Without the handlers all of that is a bare 500.

>>> from fastapi import FastAPI
>>> app = FastAPI(exception_handlers=error_handlers)
"""
