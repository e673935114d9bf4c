"""`ChatCompletions`: a stream as clients of OpenAI's chat completions read it."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from itertools import chain
from typing import Any, Final

from wav_streaming import Sound, pcm_to_wav, to_mono

from ..coders import Coder
from ..errors import StreamError
from ..frames import Limits
from .parts import Part, PartsEncoder, PartsOf
from .views import View, ViewEncoder, json_text

__all__ = ["ChatCompletions", "openai_error"]

_PCM16_RATE: Final = 24_000
"""What OpenAI's `pcm16` is: one channel of 16 bits at this rate."""


def openai_error(error: StreamError) -> bytes:
    """An error as OpenAI's clients read it.

    >>> openai_error(StreamError("not_found", "no such model"))
    b'{"error":{"message":"no such model","type":"invalid_request_error","param":null,"code":"not_found"}}'
    """
    kind = "server_error" if error.http_status >= 500 else "invalid_request_error"
    if error.http_status == 429:
        kind = "rate_limit_error"
    said: dict[str, Any] = {"message": error.message or error.code, "type": kind, "param": None, "code": error.code}
    if error.details is not None:
        said["details"] = error.details
    return json_text({"error": said})


class _Completion(PartsEncoder):
    """What the streamed and the whole completion share: its members, and how a completion ends."""

    def __init__(
        self, coder: Coder[Any, Any], limits: Limits, position: int | None, parts: PartsOf | None, model: str
    ) -> None:
        super().__init__(coder, limits, position, parts)
        self._id = secrets.token_hex(12)
        self._model = model
        self._created = int(time.time())

    def members(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self._id}", "object": kind, "created": self._created, "model": self._model}


def _ending(trailers: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """The `finish_reason`, and the members of a completion that come from its trailers."""
    if trailers is None:
        return "stop", {}
    reason, usage = trailers.get("finish_reason"), trailers.get("usage")
    more: dict[str, Any] = {"usage": usage} if isinstance(usage, Mapping) else {}
    return reason if isinstance(reason, str) else "stop", {**more, "trailers": dict(trailers)}


class _Chunks(_Completion):
    """`"stream": true`."""

    def __init__(self, coder: Coder[Any, Any], limits: Limits, position: int | None, *options: Any) -> None:
        super().__init__(coder, limits, position, *options)
        self._head = json_text(self.members("chat.completion.chunk"))[:-1]

    def open(self, *, heartbeat: float | None = None, metadata: Mapping[str, Any] | None = None) -> bytes:
        more = {} if metadata is None else {"metadata": dict(metadata)}
        return self._chunk({"role": "assistant", "content": ""}, **more)

    def write(self, parts: list[Part]) -> bytes:
        return b"".join(map(self._part, parts))

    def _part(self, part: Part) -> bytes:
        if isinstance(part, str):
            return self._chunk({"content": part}) if part else b""
        if isinstance(part, Sound):
            data = base64.b64encode(to_mono(part, _PCM16_RATE).pcm).decode()
            return self._chunk({"audio": {"id": f"audio_{self._id}", "data": data}})
        if isinstance(part, tuple):
            return self._chunk({}, data={part[0]: part[1]})
        return self._chunk(part)

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        if error is not None:
            return b"data: %b\n\n" % openai_error(error)
        reason, more = _ending(trailers)
        return self._chunk({}, reason, **more) + b"data: [DONE]\n\n"

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None, /, **more: Any) -> bytes:
        # What is the same in every chunk is encoded once, and a null is left to no encoder: it would check the numbers.
        last = b"null" if reason is None else json_text(reason)
        rest = b"," + json_text(more)[1:-1] if more else b""
        choice = b'{"index":0,"delta":%b,"finish_reason":%b}' % (json_text(delta), last)
        return b'data: %b,"choices":[%b]%b}\n\n' % (self._head, choice, rest)


class _Whole(_Completion):
    """`"stream": false`: one JSON object, when the answer is whole."""

    def __init__(self, coder: Coder[Any, Any], limits: Limits, position: int | None, *options: Any) -> None:
        super().__init__(coder, limits, position, *options)
        self._left = limits.frame
        self._metadata: Mapping[str, Any] | None = None
        self._text: list[str] = []
        self._pcm = bytearray()
        self._objects: list[Any] = []
        self._own: dict[str, list[Any]] = {}

    def open(self, *, heartbeat: float | None = None, metadata: Mapping[str, Any] | None = None) -> bytes:
        self._metadata = metadata
        return b""

    def write(self, parts: list[Part]) -> bytes:
        for part in parts:
            if isinstance(part, str):
                self._take(len(part.encode(errors="replace")))
                self._text.append(part)
            elif isinstance(part, Sound):
                pcm = to_mono(part, _PCM16_RATE).pcm
                self._take(len(pcm) * 4 // 3)
                self._pcm += pcm
            elif isinstance(part, tuple):
                self._take(len(json_text({part[0]: part[1]})))
                self._objects.append({part[0]: part[1]})
            else:
                self._take(len(json_text(part)))
                for name, value in part.items():
                    self._own.setdefault(name, []).append(value)
        return b""

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise StreamError("resource_exhausted", "the answer is too long for one JSON; ask for a stream of it")

    def ping(self) -> bytes:
        return b""

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        if error is not None:
            return b""
        text = "".join(self._text)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        message.update((name, _joined(values)) for name, values in self._own.items())
        if self._pcm:
            wav = base64.b64encode(pcm_to_wav(self._pcm, _PCM16_RATE)).decode()
            audio = {"id": f"audio_{self._id}", "data": wav, "expires_at": self._created, "transcript": text}
            message["audio"] = audio
        reason, more = _ending(trailers)
        if self._metadata is not None:
            more["metadata"] = dict(self._metadata)
        if self._objects:
            more["data"] = self._objects
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return json_text({**self.members("chat.completion"), "choices": [choice], **more})


def _joined(values: list[Any]) -> Any:
    """The pieces of one member together: texts and lists one after the other, of anything else the last one."""
    if all(isinstance(value, str) for value in values):
        return "".join(values)
    if all(isinstance(value, list) for value in values):
        return list(chain.from_iterable(values))
    return values[-1]


class ChatCompletions(View):
    """OpenAI's chat completions, as the `openai` packages, LangChain and `@ai-sdk/openai` read them.

    Sound is `pcm16`: one channel at 24,000 Hz, to which it is converted; in the one JSON it is a WAV file. The
    trailers are `trailers` of the last chunk; of them, `finish_reason` and `usage` are those of the format.

    OpenAI's clients take a stream that stops for a whole one. So an error is `{"error": ...}`, and then the connection
    is broken, which is an error to them too. A failure before the first message has its real status and that same form.
    Their requests accept JSON or anything, whatever they read, so the endpoint needs `default_type`:

        view = ChatCompletions(model="mine", stream=question.stream)
        FrameResponse(source, coder=coder, views=[view], default_type=view.media_type)

    Args:
        parts: says what a message is: a function of the header and the payload that gives strings, which are the
            `content`; `wav_streaming.Sound`s, which are `delta.audio`; tuples `(name, value)`, which are `data` of
            their chunk; and mappings, which are a `delta` as it is, such as one with `tool_calls`. Without it a payload
            that is a string is text, a frame of speech its text and its sound, and any other message `data` with the
            name `message`.
        model: what the completion says about its model.
        stream: whether it is a stream. If not, it is one JSON object, sent when the answer is whole, and no longer than
            a frame may be; give the response `heartbeat=None` then, so that a failure keeps its status.

    >>> from objectstreaming import JsonCoder
    >>> encoder = ChatCompletions(model="mine").encoder(JsonCoder(), Limits(), None)
    >>> encoder.data({}, "Yes.").partition(b'"choices":')[2]
    b'[{"index":0,"delta":{"content":"Yes."},"finish_reason":null}]}\\n\\n'
    >>> encoder.end(error=StreamError("unavailable", "the model went away"))
    b'data: {"error":{"message":"the model went away","type":"server_error","param":null,"code":"unavailable"}}\\n\\n'
    """

    def __init__(self, parts: PartsOf | None = None, *, model: str = "", stream: bool = True) -> None:
        self._parts = parts
        self._model = model
        self._stream = stream
        self.media_type = "text/event-stream" if stream else "application/json"
        self.also_for = ("application/json",) if stream else ()

    def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
        kind = _Chunks if self._stream else _Whole
        return kind(coder, limits, position, self._parts, self._model)

    def problem(self, error: StreamError) -> bytes:
        return openai_error(error)

    def openapi(self, message: dict[str, Any]) -> dict[str, Any]:
        names = {"id": {"type": "string"}, "object": {"type": "string"}, "created": {"type": "integer"}}
        properties = {**names, "model": {"type": "string"}, "choices": {"type": "array", "items": {"type": "object"}}}
        completion = {"type": "object", "required": list(properties), "properties": properties}
        if not self._stream:
            return {"schema": completion}
        text = {"type": "string", "contentMediaType": "application/json", "contentSchema": completion}
        return {"itemSchema": {"type": "object", "required": ["data"], "properties": {"data": text}}}
