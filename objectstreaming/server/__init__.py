"""Frames over HTTP with FastAPI or Starlette (the extra `server`).

`FrameResponse` streams a source of messages. `read_messages` reads the messages in a request's body. `negotiate` says
which kind of stream a client can read. `View` is a format of messages other than frames; `ServerSentEvents` and
`JsonLines` are two. `error_handlers` make errors of an endpoint real HTTP errors. `frame_responses`
describes the bodies for OpenAPI. `end_streams` ends every stream, for a server that stops.
"""

from ..extras import extra

with extra("server"):
    from .body import RequestBody, read_messages
    from .negotiation import Negotiated, negotiate
    from .openapi import frame_request_body, frame_responses
    from .problems import RequestError, error_handlers, problem_response
    from .response import FrameResponse, ResponseAborted, end_streams
    from .views import JsonLines, ServerSentEvents, View, ViewEncoder

__all__ = [
    "FrameResponse",
    "JsonLines",
    "Negotiated",
    "RequestBody",
    "RequestError",
    "ResponseAborted",
    "ServerSentEvents",
    "View",
    "ViewEncoder",
    "end_streams",
    "error_handlers",
    "frame_request_body",
    "frame_responses",
    "negotiate",
    "problem_response",
    "read_messages",
]
