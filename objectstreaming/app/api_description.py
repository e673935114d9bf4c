"""The OpenAPI descriptions of the reference app's endpoints: arguments of their routes, and what they send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypedDict

from wav_streaming import TALCoder

from ..coders import Coder, JsonCoder
from ..server.openapi import frame_request_body, frame_responses
from ..server.problems import PROBLEM
from ..server.views import View

__all__ = ["OBJECTS", "OBJECTS_CODER", "WAV", "Answer", "Status", "chat_description"]


class Status(TypedDict):
    """The header of an answer's sentence."""

    status: Literal["success", "warning"]
    reason: str


class Answer(TypedDict):
    """A sentence of an answer, and the file and heading that it comes from."""

    answer: str
    source: str


OBJECTS_CODER: Final = JsonCoder(Status, Answer)


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": PROBLEM}}}


_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: _problem("The question cannot be read."),
    406: _problem("`Accept` names nothing that is served here."),
    408: _problem("The body took too long to arrive."),
    413: _problem("The body, the question or its sound is larger than it may be."),
    415: _problem("The body has a type, version or coding that is not supported."),
    429: _problem("Too many requests from this client, or too many streams in all.")
    | {"headers": {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}},
    500: _problem("A fault of the server."),
    503: _problem("The service that answers, speaks or listens cannot be reached."),
}

OBJECTS: Final[dict[str, Any]] = {
    "description": "Ask by text. Each frame of the answer has a sentence and its source.",
    "responses": _PROBLEMS
    | frame_responses(
        OBJECTS_CODER,
        'Frames with the header `{"status", "reason"}` and the payload `{"answer", "source"}`: a sentence, and the '
        "file and heading that it comes from. The status is `success`, or `warning` for a sentence without a source.",
    ),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["question"],
                        "properties": {"question": {"type": "string", "minLength": 1}},
                    },
                    "example": {"question": "What is a frame?"},
                }
            },
        }
    },
}


def chat_description(coder: Coder[Any, Any], views: Sequence[View]) -> dict[str, Any]:
    """Of the chat's endpoints, which differ in what they answer with by default."""
    properties = {
        "message": {"type": "string", "minLength": 1},
        "voice": {"type": "string", "description": "One of `GET /api/chat/voices`, or one of Kokoro's names."},
        "speed": {"type": "number", "minimum": 0.5, "maximum": 2, "default": 1},
        "audio": {
            "description": "The formats of sound that can be read, or false for an answer without sound.",
            "oneOf": [
                {"type": "boolean"},
                {"type": "array", "items": {"type": "string"}, "contains": {"const": "pcm"}},
            ],
        },
    }
    return {
        "description": "The text of the answer as it is made, and the sound of each sentence.",
        "responses": _PROBLEMS
        | frame_responses(
            coder,
            'Frames with the header `{"kind": "text"}` and text in UTF-8, or `{"kind": "audio", "sentence", "text", '
            '"format", "rate", "channels", "samples", "at"}` and PCM. A sentence that could not be spoken has `error`.',
            views=views,
        ),
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"type": "object", "required": ["message"], "properties": properties},
                        "example": {"message": "What is a frame?"},
                    }
                },
            }
        },
    }


_FRAMES: Final[dict[str, Any]] = frame_request_body(TALCoder())["requestBody"]

WAV: Final[dict[str, Any]] = {
    "description": "Ask by speech, or by text in a frame's header. Each frame of the answer has a spoken sentence.",
    "responses": _PROBLEMS
    | {501: _problem("This server has no engine to speak or to listen with.")}
    | frame_responses(
        TALCoder(),
        "Frames of speech, each with a TALAudio as the header and PCM as the payload. `answer` is the sentence, `url` "
        "its source, and `question` the question as it was recognized. `order` counts from 1. `sign` is 1 for the "
        "first frame, 2 for the next ones, and 3 for the last one, which has no sound.",
    ),
    "openapi_extra": {
        "requestBody": {
            **_FRAMES,
            "description": "A WAV file with PCM, or frames of speech. The first frame with a `question` in its header "
            "asks by text. The body may be sent while it is recorded.",
            "content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}, **_FRAMES["content"]},
        }
    },
}
