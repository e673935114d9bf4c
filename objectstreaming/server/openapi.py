"""OpenAPI descriptions of frames and views: the media types of a body, its messages, the problem of an early failure.

FastAPI cannot derive them from a `FrameResponse`, which is a response and not a model. So they are given to the route:

    @app.post("/objects", response_class=FrameResponse, responses=frame_responses(coder))
    @app.post("/echo", ..., openapi_extra=frame_request_body(coder))

A view has the JSON Schema of its messages, made from the coder's types, as the `itemSchema` of OpenAPI 3.2
("Sequential Media Types"), which FastAPI writes for its own streams too. Set `app.openapi_version = "3.2.0"` for
tools that look at the version. OpenAPI has nothing for the messages of a binary body, so the description of the
response says what frames are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from ..coders import Coder
from ..protocol import PLAIN_MEDIA_TYPE, VERSION
from .negotiation import Negotiated
from .problems import PROBLEM
from .views import View, views_of

__all__ = ["frame_request_body", "frame_responses", "message_schema"]

_BINARY: Final = {"type": "string", "format": "binary"}


def frame_responses(
    coder: Coder[Any, Any],
    description: str = "A stream of frames.",
    *,
    views: Sequence[View] = (),
    plain: bool = True,
) -> dict[int | str, Any]:
    """The `responses=` of a route that answers with frames.

    Args:
        coder: of the messages, whose types are described.
        description: of the response with status 200.
        views: those of the `FrameResponse`.
        plain: as of the `FrameResponse`: whether there is a plain stream.

    Returns:
        By status, what OpenAPI calls a Response Object.

    >>> from objectstreaming import JsonCoder
    >>> content = frame_responses(JsonCoder(payload=list[int]))[200]["content"]
    >>> list(content)  # doctest: +NORMALIZE_WHITESPACE
    ['application/vnd.objectstreaming;v=1;coder=json', 'application/octet-stream', 'text/event-stream',
     'application/x-ndjson', 'application/jsonl']
    >>> content["application/jsonl"]["itemSchema"]["oneOf"][0]["properties"]["payload"]
    {'type': 'array', 'items': {'type': 'integer'}}
    """
    content = _frames(coder, plain)
    message = message_schema(coder)
    content.update((view.media_type, view.openapi(message)) for view in views_of(tuple(views)))
    return {
        200: {"description": description, "content": content},
        "default": {
            "description": "A failure before the first frame.",
            "content": {"application/json": {"schema": PROBLEM}},
        },
    }


def frame_request_body(coder: Coder[Any, Any], description: str = "A stream of frames.") -> dict[str, Any]:
    """The `openapi_extra=` of a route that reads its body with `read_messages`.

    Args:
        coder: of the messages.
        description: of the body.

    Returns:
        A member `requestBody`.
    """
    return {"requestBody": {"required": True, "description": description, "content": _frames(coder, plain=True)}}


def message_schema(coder: Coder[Any, Any]) -> dict[str, Any]:
    """The JSON Schema of a message as views write it: `header`, and `payload` or `base64`.

    A type that has no JSON Schema may be anything.

    >>> from objectstreaming import RawCoder
    >>> message_schema(RawCoder())["properties"]["base64"]
    {'type': 'string', 'contentEncoding': 'base64'}
    """
    payload: dict[str, Any]
    if coder.name == "json":
        name, payload = "payload", _schema(coder.payload_type)
    else:
        name, payload = "base64", {"type": "string", "contentEncoding": "base64"}
    properties = {"header": _schema(coder.header_type), name: payload}
    return {"type": "object", "required": list(properties), "properties": properties}


def _frames(coder: Coder[Any, Any], plain: bool) -> dict[str, Any]:
    framed = Negotiated(VERSION, coder.name).media_type
    return {media_type: {"schema": dict(_BINARY)} for media_type in ([framed, PLAIN_MEDIA_TYPE] if plain else [framed])}


def _schema(wanted: Any) -> dict[str, Any]:
    """The JSON Schema of a type, without references: a description of a route cannot add to OpenAPI's components."""
    # msgspec is first, because pydantic does not know its Structs, nor typing's TypedDict before Python 3.12.
    makers = (msgspec.json.schema, _schema_of_pydantic)
    schema: dict[str, Any] = {}
    for make in makers[1:] if hasattr(wanted, "__get_pydantic_core_schema__") else makers:
        with contextlib.suppress(TypeError, PydanticUserError):
            schema = make(wanted)
            break
    definitions = schema.pop("$defs", {})
    inlined: dict[str, Any] = _inlined(schema, definitions, ())
    return inlined


def _schema_of_pydantic(wanted: Any) -> dict[str, Any]:
    return TypeAdapter(wanted).json_schema(mode="serialization")


def _inlined(schema: Any, definitions: dict[str, Any], within: tuple[str, ...]) -> Any:
    if isinstance(schema, list):
        return [_inlined(member, definitions, within) for member in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name in within or name not in definitions:  # a type that contains itself has no end
            return {}
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined({**definitions[name], **rest}, definitions, (*within, name))
    return {key: _inlined(value, definitions, within) for key, value in schema.items()}
