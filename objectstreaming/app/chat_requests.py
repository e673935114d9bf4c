"""A question of a chat: `{"message", "voice"?, "speed"?: 1, "audio"?: ["opus", "flac", "pcm"]}`."""

from __future__ import annotations

from typing import Any, NamedTuple

from wav_streaming.synthesizers import Synthesizer

from ..errors import StreamError
from .chat_formats import FORMATS, accepted_formats
from .limits import AppLimits
from .questions import checked_text, text_member
from .voice import with_voice

__all__ = ["ChatRequest", "chat_request"]


class ChatRequest(NamedTuple):
    """What is asked, and what speaks the answer; `None`: text only."""

    message: str
    synthesizer: Synthesizer | None
    formats: tuple[str, ...] = ("pcm",)
    """The names of the formats that the sound may have."""


def chat_request(value: Any, engine: Synthesizer | None, limits: AppLimits) -> ChatRequest:
    """The question in a JSON value. Raises `StreamError` for what is not one, or what `engine` cannot do."""
    message = checked_text(text_member(value, "message"), limits)
    wanted = value.get("audio")
    wanted = True if wanted is None else wanted  # many clients send null for what they do not set
    formats: tuple[str, ...] = ("pcm",)
    if isinstance(wanted, list) and all(isinstance(name, str) for name in wanted):
        formats = accepted_formats(wanted)
    elif not isinstance(wanted, bool):
        raise StreamError("invalid_argument", f"`audio` is a list of formats ({', '.join(FORMATS)}), or false")
    if not wanted:
        return ChatRequest(message, None)
    return ChatRequest(message, with_voice(engine, value.get("voice"), value.get("speed")), formats)
