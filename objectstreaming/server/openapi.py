"""OpenAPI descriptions of frames: binary bodies under both media types, and the problem of an early failure.

FastAPI cannot derive them from a `FrameResponse`, which is a response and not a model. So they are given to the route:

    @app.post("/objects", response_class=FrameResponse, responses=frame_responses(coder))
    @app.post("/echo", ..., openapi_extra=frame_request_body(coder))
"""

from __future__ import annotations

from typing import Any, Final

from ..coders import Coder
from ..errors import HTTP_STATUS
from ..protocol import PLAIN_MEDIA_TYPE, VERSION
from .negotiation import Negotiated

__all__ = ["frame_request_body", "frame_responses"]

_BINARY: Final = {"type": "string", "format": "binary"}

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


def frame_responses(coder: Coder[Any, Any], description: str = "A stream of frames.") -> dict[int | str, Any]:
    """The `responses=` of a route that answers with frames.

    >>> from objectstreaming import JsonCoder
    >>> list(frame_responses(JsonCoder())[200]["content"])
    ['application/vnd.objectstreaming;v=1;coder=json', 'application/octet-stream']
    """
    return {
        200: {"description": description, "content": _content(coder)},
        "default": {
            "description": "A failure before the first frame.",
            "content": {"application/json": {"schema": PROBLEM}},
        },
    }


def frame_request_body(coder: Coder[Any, Any], description: str = "A stream of frames.") -> dict[str, Any]:
    """The `openapi_extra=` of a route that reads its body with `read_messages`."""
    return {"requestBody": {"required": True, "description": description, "content": _content(coder)}}


def _content(coder: Coder[Any, Any]) -> dict[str, Any]:
    framed = Negotiated(VERSION, coder.name).media_type
    return {media_type: {"schema": dict(_BINARY)} for media_type in (framed, PLAIN_MEDIA_TYPE)}
