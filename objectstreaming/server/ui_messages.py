"""`UIMessages`: a stream as the AI SDK's `useChat` reads it, which calls it the UI message stream."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from wav_streaming import Sound, pcm_to_wav

from ..coders import Coder
from ..errors import StreamError
from ..frames import Limits
from .parts import Part, PartsEncoder, PartsOf
from .views import View, ViewEncoder, json_text

__all__ = ["UIMessages"]

_TEXT: Final = "text"
"""The id of the one text of an answer."""

_FINISH_REASONS: Final = {"stop", "length", "content-filter", "tool-calls", "error", "other"}


class _UIEncoder(PartsEncoder):
    _has_text = False

    def open(self, *, heartbeat: float | None = None, metadata: Mapping[str, Any] | None = None) -> bytes:
        start: dict[str, Any] = {"type": "start"}
        if metadata is not None:
            start["messageMetadata"] = dict(metadata)
        return _event(start) + _event({"type": "start-step"})

    def write(self, parts: list[Part]) -> bytes:
        has_text = self._has_text
        events = []
        for part in parts:
            if isinstance(part, str):
                if part and not has_text:
                    has_text = True
                    events.append(_event({"type": "text-start", "id": _TEXT}))
                if part:
                    events.append(_event({"type": "text-delta", "id": _TEXT, "delta": part}))
            else:
                events.append(_event(_chunk(part)))
        self._has_text = has_text
        return b"".join(events)

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        if error is not None:
            return _event({"type": "error", "errorText": str(error)})
        finish: dict[str, Any] = {"type": "finish", "finishReason": "stop"}
        if trailers is not None:
            reason = str(trailers.get("finish_reason") or "stop").replace("_", "-")
            finish["finishReason"] = reason if reason in _FINISH_REASONS else "other"
            finish["messageMetadata"] = dict(trailers)
        ended = _event({"type": "text-end", "id": _TEXT}) if self._has_text else b""
        return ended + _event({"type": "finish-step"}) + _event(finish) + b"data: [DONE]\n\n"


def _chunk(part: Sound | tuple[str, Any] | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(part, Sound):
        wav = base64.b64encode(pcm_to_wav(part.pcm, part.sample_rate, part.channels, part.bit_depth)).decode()
        data = {"mediaType": "audio/wav", "url": f"data:audio/wav;base64,{wav}"}
        return {"type": "data-audio", "data": data, "transient": True}
    if isinstance(part, tuple):
        return {"type": f"data-{part[0]}", "data": part[1]}
    return part


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: %b\n\n" % json_text(value)


class UIMessages(View):
    """The UI message stream of the AI SDK (`ai` 5 to 7), which `useChat` and `DefaultChatTransport` read.

    Sound is `data-audio`, with `{"mediaType": "audio/wav", "url": "data:..."}`. It is transient: `useChat` gives it to
    `onData`, and does not send it back to the server with the next question. The `metadata` of the response are the
    metadata of the message, and so are its trailers; a trailer `finish_reason` is the `finishReason`.

    The AI SDK takes a stream that stops for a whole one. So an error is an `error` part, and then the connection is
    broken, which the AI SDK reports too. Its requests accept anything (`*/*`), so the endpoint needs `default_type`:

        FrameResponse(source, coder=coder, views=[UIMessages()], default_type="text/event-stream")

    Args:
        parts: says what a message is: a function of the header and the payload that gives strings, which are text;
            `wav_streaming.Sound`s; tuples `(name, value)`, which are parts of the type `data-<name>`; and mappings,
            which are parts of the AI SDK as they are, such as `{"type": "reasoning-delta", "id": "1", "delta": "..."}`.
            Without it a payload that is a string is text, a frame of speech its text and its sound, and any other
            message a part `data-message` with the `header`, and the `payload` or its `base64`.

    >>> from objectstreaming import JsonCoder
    >>> def parts(header, answer):
    ...     yield answer["text"]
    ...     yield "source", answer["source"]
    >>> encoder = UIMessages(parts).encoder(JsonCoder(), Limits(), None)
    >>> print((encoder.data({}, {"text": "Yes.", "source": "a.md"}) + encoder.end()).decode().replace("\\n\\n", "\\n"))
    data: {"type":"text-start","id":"text"}
    data: {"type":"text-delta","id":"text","delta":"Yes."}
    data: {"type":"data-source","data":"a.md"}
    data: {"type":"text-end","id":"text"}
    data: {"type":"finish-step"}
    data: {"type":"finish","finishReason":"stop"}
    data: [DONE]
    <BLANKLINE>
    """

    media_type = "text/event-stream"
    headers: Mapping[str, str] = {"x-vercel-ai-ui-message-stream": "v1"}

    def __init__(self, parts: PartsOf | None = None) -> None:
        self._parts = parts

    def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
        return _UIEncoder(coder, limits, position, self._parts)

    def openapi(self, message: dict[str, Any]) -> dict[str, Any]:
        part = {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}
        text = {"type": "string", "contentMediaType": "application/json", "contentSchema": part}
        return {"itemSchema": {"type": "object", "required": ["data"], "properties": {"data": text}}}
