"""Frames over HTTP with FastAPI or Starlette (the extra `server`).

`FrameResponse` streams a source of messages. `read_messages` reads the messages in a request's body. `View` is a format
of messages other than frames: `ServerSentEvents`, `JsonLines`, `UIMessages` for the AI SDK, `ChatCompletions` for
OpenAI's clients. `error_handlers` make errors of an endpoint real HTTP errors. `frame_responses` describes the bodies
for OpenAPI. `stopping` is a lifespan that ends every stream when the server is told to stop, and `end_streams` does so
at any time. `doctor_route` is what `objectstreaming doctor` reads to find out what proxies do to the streams.
"""

from ..extras import extra
from ..shutdown import end_streams

with extra("server"):
    from .body import RequestBody, read_messages
    from .chat_completions import ChatCompletions
    from .doctor import doctor_route
    from .openapi import frame_request_body, frame_responses
    from .problems import error_handlers
    from .response import FrameResponse, ResponseAborted
    from .stopping import stopping
    from .ui_messages import UIMessages
    from .views import JsonLines, ServerSentEvents, View, ViewEncoder

__all__ = [
    "ChatCompletions",
    "FrameResponse",
    "JsonLines",
    "RequestBody",
    "ResponseAborted",
    "ServerSentEvents",
    "UIMessages",
    "View",
    "ViewEncoder",
    "doctor_route",
    "end_streams",
    "error_handlers",
    "frame_request_body",
    "frame_responses",
    "read_messages",
    "stopping",
]
