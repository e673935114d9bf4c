"""The endpoints by which OpenAI's clients talk to this server and listen to it:

    POST /v1/chat/completions   {"messages": [...], "stream"?: true, "modalities"?: ["text", "audio"]}
    POST /v1/audio/speech       {"input": "...", "voice"?: "...", "response_format"?: "wav" or "pcm", "speed"?: 1}
    GET  /v1/models             what answers, and what speaks

The last message is the question. A model is given the earlier ones too; documents are not. Any `model` is accepted,
because there is one. Sound is what OpenAI calls `pcm16`: one channel of 16 bits at 24,000 Hz; there is no MP3.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute

from wav_streaming import Sound, pcm_to_wav, to_mono
from wav_streaming.synthesizers import Synthesizer

from ..coders import Coder, RawCoder
from ..errors import StreamError
from ..frames import Limits
from ..server.chat_completions import ChatCompletions, openai_error
from ..server.problems import problem_response, report
from ..server.response import FrameResponse
from ..server.views import View, ViewEncoder
from .answers import Answerer
from .api_description import OPENAI_CHAT, OPENAI_MODELS, OPENAI_SPEECH
from .chat_messages import Summary, chat_messages, tokens_of
from .chat_views import ChatEncoder
from .limits import AppLimits
from .memory import Share
from .openai_requests import read_chat, read_speech

__all__ = ["OpenAIEndpoints"]

_RATE: Final = 24_000
_CODER: Final = RawCoder()


class OpenAIEndpoints:
    """Adds the endpoints to an app. `share` gives each request its share of the memory for questions."""

    def __init__(
        self,
        answerer: Answerer,
        synthesizer: Synthesizer | None,
        limits: AppLimits,
        *,
        heartbeat: float,
        share: Callable[[Request], Share],
    ) -> None:
        self._answerer = answerer
        self._synthesizer = synthesizer
        self._limits = limits
        self._heartbeat = heartbeat
        self._share = share
        model = getattr(answerer, "model", None)
        self._model: str = model if isinstance(model, str) else "objectstreaming"

    def add_to(self, app: FastAPI) -> None:
        router = APIRouter(prefix="/v1", route_class=_Route)

        @router.post("/chat/completions", response_class=FrameResponse, **OPENAI_CHAT)
        async def completions(request: Request) -> FrameResponse:
            asked = await read_chat(request, self._limits, self._share(request), self._synthesizer)
            tokens = tokens_of(self._answerer, asked.question, asked.conversation)
            messages = chat_messages(tokens, asked.synthesizer, Summary(), sample_rate=_RATE)
            view = ChatCompletions(_parts, model=self._model, stream=asked.is_streamed)
            # Without a heartbeat the status waits for the end: a failure has a real one.
            return self._respond(messages, view, self._heartbeat if asked.is_streamed else None)

        @router.post("/audio/speech", response_class=FrameResponse, **OPENAI_SPEECH)
        async def speech(request: Request) -> FrameResponse:
            asked = await read_speech(request, self._limits, self._share(request), self._synthesizer)
            view = _SoundFile("audio/wav", _WAV_HEADER) if asked.is_wav else _SoundFile("audio/pcm")
            return self._respond(_spoken(asked.text, asked.synthesizer), view, None)

        @router.get("/models", **OPENAI_MODELS)
        async def models() -> dict[str, Any]:
            names = [self._model, *(["speech"] if self._synthesizer is not None else [])]
            data = [{"id": name, "object": "model", "created": 0, "owned_by": "objectstreaming"} for name in names]
            return {"object": "list", "data": data}

        app.include_router(router)

    def _respond(self, messages: AsyncIterator[Any], view: View, heartbeat: float | None) -> FrameResponse:
        return FrameResponse(
            messages,
            coder=_CODER,
            views=[view],
            default_type=view.media_type,
            plain=False,
            heartbeat=heartbeat,
            max_duration=self._limits.stream_seconds,
        )


class _Route(APIRoute):
    """Answers the errors of an endpoint in the form that OpenAI's clients read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except StreamError as error:
                what = f"{request.method} {request.scope['path']}"
                report(what, "failed", error.code, cause=error, status=error.http_status)
                return problem_response(error, openai_error)

        return handler


def _parts(header: Mapping[str, Any], payload: bytes) -> Iterator[str | Sound]:
    if header["kind"] == "text":
        yield payload.decode()
    elif payload:
        yield Sound(payload, header["rate"], header["channels"])


async def _spoken(text: str, synthesizer: Synthesizer) -> AsyncGenerator[tuple[dict[str, Any], bytes]]:
    """The sound of a text. Raises `StreamError` if any of it cannot be spoken."""

    async def tokens() -> AsyncGenerator[str]:
        yield text

    is_silent = True
    async with aclosing(chat_messages(tokens(), synthesizer, Summary(), sample_rate=_RATE)) as messages:
        async for header, pcm in messages:
            if "error" in header:
                raise StreamError(header["error"], "a sentence could not be spoken")
            if header["kind"] == "audio" and pcm:
                is_silent = False
                yield {}, to_mono(Sound(pcm, header["rate"], header["channels"]), _RATE).pcm
    if is_silent:
        raise StreamError("invalid_argument", "there is nothing to say in `input`")


# The header of a WAV file whose size nobody knows yet, as streaming programs write it.
_WAV_HEADER: Final = pcm_to_wav(b"", _RATE).replace((36).to_bytes(4, "little"), b"\xff" * 4)[:-4] + b"\xff" * 4


class _SoundFile(View):
    """The payloads as they are, after a `header`. OpenAI's clients ask for it as application/octet-stream."""

    also_for = ("application/octet-stream", "application/json")

    def __init__(self, media_type: str, header: bytes = b"") -> None:
        self.media_type = media_type
        self._header = header

    def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
        return _SoundFileEncoder(self._header)

    def problem(self, error: StreamError) -> bytes:
        return openai_error(error)


class _SoundFileEncoder(ChatEncoder):
    def __init__(self, header: bytes) -> None:
        super().__init__()
        self._header = header

    def open(self, *, heartbeat: float | None = None, metadata: Mapping[str, Any] | None = None) -> bytes:
        return self._header

    def message(self, header: Mapping[str, Any], payload: bytes) -> bytes:
        return payload

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        return b""
