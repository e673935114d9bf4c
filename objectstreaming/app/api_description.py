"""The OpenAPI descriptions of the reference app's endpoints: arguments of their routes, and what they send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypedDict

from wav_streaming import TALCoder

from ..coders import Coder, JsonCoder
from ..server.chat_completions import ChatCompletions
from ..server.openapi import frame_request_body, frame_responses
from ..server.problems import PROBLEM
from ..server.views import View

__all__ = [
    "OBJECTS",
    "OBJECTS_CODER",
    "OPENAI_CHAT",
    "OPENAI_MODELS",
    "OPENAI_SPEECH",
    "WAV",
    "Answer",
    "Status",
    "chat_description",
]


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
            "description": "The formats of sound that can be read, or false for an answer without sound. Others than "
            "`pcm`, `flac` and `opus` are passed over. Events and one JSON have WAV.",
            "oneOf": [
                {"type": "boolean"},
                {"type": "array", "items": {"type": "string"}, "contains": {"enum": ["pcm", "flac", "opus"]}},
            ],
        },
    }
    return {
        "description": "The text of the answer as it is made, and the sound of each sentence.",
        "responses": _PROBLEMS
        | frame_responses(
            coder,
            'Frames with the header `{"kind": "text"}` and text in UTF-8, or `{"kind": "audio", "sentence", "text", '
            '"format", "rate", "channels", "samples", "at"}` and its sound: pieces of PCM, or a whole file. '
            "A sentence that could not be spoken has `error`.",
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


# ------------------------------------------------------------------------------------------ for OpenAI's clients

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_OPENAI_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {"message": _TEXT, "type": _TEXT, "param": {"type": "null"}, "code": _TEXT, "details": {}},
        }
    },
}


def _openai(summary: str, content: dict[str, Any], body: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    failed = {"application/json": {"schema": _OPENAI_ERROR}}
    problems: dict[int | str, Any] = {status: {**problem, "content": failed} for status, problem in _PROBLEMS.items()}
    problems[501] = {"description": "Something was asked for that this server does not do.", "content": failed}
    schema = {"type": "object", "required": list(example), "properties": {"model": _TEXT, **body}}
    sent = {"application/json": {"schema": schema, "example": example}}
    return {
        "summary": summary,
        "responses": {200: {"description": "The answer.", "content": content}, **problems},
        "openapi_extra": {"requestBody": {"required": True, "content": sent}},
    }


OPENAI_CHAT: Final = _openai(
    "Ask as OpenAI's clients do",
    {view.media_type: view.openapi({}) for view in (ChatCompletions(stream=False), ChatCompletions())},
    {
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["role"],
                "properties": {
                    "role": {"enum": ["system", "developer", "user", "assistant"]},
                    "content": {"type": ["string", "array", "null"]},
                },
            },
            "description": "The last message is the user's, and the question.",
        },
        "stream": {"type": ["boolean", "null"], "default": False},
        "modalities": {"type": ["array", "null"], "items": {"enum": ["text", "audio"]}},
        "audio": {"type": "object", "properties": {"voice": _TEXT, "format": {"enum": ["pcm16", "wav"]}}},
    },
    {"messages": [{"role": "user", "content": "What is a frame?"}]},
)

OPENAI_SPEECH: Final = _openai(
    "Have a text spoken, as OpenAI's clients do",
    {name: {"schema": {"type": "string", "format": "binary"}} for name in ("audio/wav", "audio/pcm")},
    {
        "input": {"type": "string", "minLength": 1},
        "voice": {"type": "string", "description": "One of this server's, of Kokoro's or of OpenAI's names."},
        "response_format": {"enum": ["wav", "pcm", None], "default": "wav"},
        "speed": {"type": "number", "minimum": 0.5, "maximum": 2, "default": 1},
    },
    {"input": "A frame is eight bytes, a header and a payload."},
)

OPENAI_MODELS: Final[dict[str, Any]] = {"summary": "What answers and what speaks here, as OpenAI's clients ask for it"}
