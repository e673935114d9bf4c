"""Reads the requests of OpenAI's clients. What cannot be done as it is asked is refused, not left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.types import Scope

from wav_streaming.synthesizers import Synthesizer

from ..errors import StreamError
from ..server.chat_completions import openai_error
from ..server.problems import RequestError, write_problem
from .limits import AppLimits
from .memory import Share
from .questions import checked_text, read_json, text_member
from .voice import with_voice

__all__ = ["ChatRequest", "SpeechRequest", "problem_writer", "read_chat", "read_speech"]

_CONVERSATION: Final = 1024 * 1024
"""The most bytes of a conversation: its client sends all of it each time."""

_ROLES: Final = ("system", "developer", "user", "assistant")

_VOICES: Final = frozenset(
    "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()  # noqa: SIM905
)
"""OpenAI's own. Clients have to name one, so each of them is this server's default voice."""


class ChatRequest(NamedTuple):
    question: str
    conversation: list[dict[str, str]]
    """The texts of all messages, the question included."""
    is_streamed: bool
    synthesizer: Synthesizer | None
    """`None` if no sound is wanted."""


class SpeechRequest(NamedTuple):
    text: str
    is_wav: bool
    synthesizer: Synthesizer


def problem_writer(scope: Scope) -> Callable[[StreamError], bytes]:
    """Of the body of a failed request, by its path."""
    return openai_error if scope.get("path", "").startswith("/v1/") else write_problem


async def read_chat(request: Request, limits: AppLimits, share: Share, engine: Synthesizer | None) -> ChatRequest:
    """The body of `POST /v1/chat/completions`. Raises `StreamError` if it cannot be answered."""
    value = _object(await read_json(request, limits, share, most=_CONVERSATION))
    is_streamed = value.get("stream") or False
    if not isinstance(is_streamed, bool):
        raise StreamError("invalid_argument", "`stream` is true or false")
    for name, only in (("n", 1), ("response_format", {"type": "text"})):
        if value.get(name) not in (None, only):
            raise StreamError("unimplemented", f"`{name}` can only be {only} here")
    if value.get("tool_choice") not in (None, "auto", "none"):
        raise StreamError("unimplemented", "no tool is called here: `tool_choice` can be auto or none")
    conversation = _conversation(value.get("messages"))
    question = checked_text(conversation[-1]["content"], limits)
    if sum(len(message["content"]) for message in conversation) > limits.conversation:
        too_long = f"a conversation has at most {limits.conversation} characters here"
        raise RequestError(413, "resource_exhausted", too_long)
    return ChatRequest(question, conversation, is_streamed, _speaker(value, is_streamed, engine))


def _conversation(messages: Any) -> list[dict[str, str]]:
    """The messages that have a text. The last one is the user's."""
    said = []
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise StreamError(
                "invalid_argument", f"a message is an object, and its `role` is one of {', '.join(_ROLES)}"
            )
        text = _text(message.get("content"))
        if text is not None:
            said.append({"role": message["role"], "content": text})
    if not said or said[-1]["role"] != "user":
        raise StreamError("invalid_argument", '`messages` is a list that ends with {"role": "user", "content": "..."}')
    return said


def _text(content: Any) -> str | None:
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in content
    ):
        return "\n".join(part["text"] for part in content)
    raise StreamError("unimplemented", "the `content` of a message is text here, not images, sound or files")


def _speaker(value: dict[str, Any], is_streamed: bool, engine: Synthesizer | None) -> Synthesizer | None:
    wanted = value.get("modalities")
    if wanted is None:
        return None
    if not isinstance(wanted, list) or not all(kind in ("text", "audio") for kind in wanted):
        raise StreamError("invalid_argument", '`modalities` is a list of "text" and "audio"')
    if "audio" not in wanted:
        return None
    audio = _object(value.get("audio") or {}, "`audio`")
    form = "pcm16" if is_streamed else "wav"
    if audio.get("format", form) != form:
        raise StreamError("unimplemented", f"the sound of this answer can only be {form}")
    return _chosen(audio.get("voice"), None, engine)


async def read_speech(request: Request, limits: AppLimits, share: Share, engine: Synthesizer | None) -> SpeechRequest:
    """The body of `POST /v1/audio/speech`. Raises `StreamError` if it cannot be spoken."""
    value = _object(await read_json(request, limits, share))
    form = value.get("response_format")
    if form not in (None, "wav", "pcm") or value.get("stream_format") not in (None, "audio"):
        raise StreamError("unimplemented", "sound is sent as `wav` (without response_format too) or `pcm` here")
    text = checked_text(text_member(value, "input"), limits)
    return SpeechRequest(text, form != "pcm", _chosen(value.get("voice"), value.get("speed"), engine))


def _chosen(voice: Any, speed: Any, engine: Synthesizer | None) -> Synthesizer:
    chosen = with_voice(engine, None if isinstance(voice, str) and voice in _VOICES else voice, speed)
    if chosen is None:
        raise StreamError("unimplemented", "this server cannot speak: it has neither espeak-ng nor flite")
    return chosen


def _object(value: Any, name: str = "the body") -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StreamError("invalid_argument", f"{name} must be a JSON object")
    return value
