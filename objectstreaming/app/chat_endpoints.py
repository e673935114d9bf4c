"""The endpoints of a chat in text and sound:

    POST /api/chat/stream   {"message": "...", "voice"?: "...", "speed"?: 1, "audio"?: ["opus", "flac", "pcm"]}
    POST /api/chat          the same, answered with one JSON
    GET  /api/chat/voices   the voices that the other two know

Without an `Accept` that names something else, the first answers with server-sent events (`ChatView`), the second with
one JSON (`WholeChat`). Both also give frames with the coder `raw`, JSON lines, and frames of speech (coder `tal`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from fastapi import FastAPI, Request

from wav_streaming import Pacing, Speaker, TALCoder
from wav_streaming.synthesizers import Synthesizer
from wav_streaming.voices import SPEEDS, VoicedSynthesizer

from ..coders import RawCoder
from ..errors import StreamError
from ..server.negotiation import negotiate
from ..server.response import FrameResponse
from ..server.views import View
from .answers import Answerer
from .api_description import chat_description
from .chat_formats import Link, SoundFormats
from .chat_messages import Summary, chat_messages, spoken_messages, tokens_of
from .chat_requests import chat_request
from .chat_views import ChatLines, ChatView, WholeChat
from .limits import AppLimits
from .memory import Share
from .questions import read_json

__all__ = ["ChatEndpoints"]

_CODER: Final = RawCoder()
_SPEECH: Final = TALCoder()
_STREAMED: Final = (ChatView(), ChatLines(), ChatLines("application/jsonl"))
_WHOLE: Final = (WholeChat(), *_STREAMED)


class ChatEndpoints:
    """Adds the endpoints to an app. `share` gives each request its share of the memory for questions, `link` what is
    known of its client's link. `stream` makes the response of a request from a source, a coder and the options of
    `FrameResponse`."""

    def __init__(
        self,
        answerer: Answerer,
        synthesizer: Synthesizer | None,
        limits: AppLimits,
        *,
        sample_rate: int | None,
        share: Callable[[Request], Share],
        link: Callable[[Request], Link],
        stream: Callable[..., FrameResponse],
    ) -> None:
        self._answerer = answerer
        self._synthesizer = synthesizer
        self._limits = limits
        self._sample_rate = sample_rate
        self._share = share
        self._link = link
        self._stream = stream

    def add_to(self, app: FastAPI) -> None:
        @app.post(
            "/api/chat/stream",
            response_class=FrameResponse,
            summary="Ask; the answer is streamed in text and sound",
            **chat_description(_CODER, _STREAMED),
        )
        async def stream(request: Request) -> FrameResponse:
            return await self._answer(request, _STREAMED)

        @app.post(
            "/api/chat",
            response_class=FrameResponse,
            summary="Ask; the answer is one JSON with text and sound",
            **chat_description(_CODER, _WHOLE),
        )
        async def whole(request: Request) -> FrameResponse:
            return await self._answer(request, _WHOLE)

        @app.get("/api/chat/voices", summary="The voices that can be asked for")
        async def voices() -> dict[str, Any]:
            return self._voices()

    async def _answer(self, request: Request, views: Sequence[View]) -> FrameResponse:
        value = await read_json(request, self._limits, self._share(request))
        asked = chat_request(value, self._synthesizer, self._limits)
        default_type = views[0].media_type
        form = negotiate(request, [_CODER.name, _SPEECH.name], views=views, default_type=default_type)
        if views is _WHOLE:  # without a heartbeat the status waits for the end: a failure has a real one
            respond = partial(self._stream, request, is_kept=False, heartbeat=None)
        else:  # the events and lines have no positions, so nobody can resume them: they end with their connection
            respond = partial(self._stream, request, is_kept=form.version is not None)
        tokens = tokens_of(self._answerer, asked.message)
        if form.coder == _SPEECH.name:
            if asked.synthesizer is None:
                raise StreamError("unimplemented", "frames of speech need a voice, and there is none for this answer")
            return respond(spoken_messages(tokens, asked.synthesizer, asked.message), _SPEECH)
        summary = Summary()
        options: dict[str, Any] = {"views": views, "trailers": summary.trailers, "default_type": default_type}
        speaker, formats = None, None
        if asked.synthesizer is not None:
            # Who reads events or one JSON gets WAV, and a sound for each sentence, as documented: a player that plays
            # one file after the other has a gap between two.
            is_paced = not isinstance(form.view, ChatView | WholeChat)
            speaker = Speaker(asked.synthesizer, pacing=Pacing() if is_paced else None)
            if is_paced and asked.formats != ("pcm",):
                formats = SoundFormats(asked.formats, self._link(request))
                options["observer"] = formats.link
        messages = chat_messages(tokens, speaker, summary, sample_rate=self._sample_rate, formats=formats)
        return respond(messages, _CODER, **options)

    def _voices(self) -> dict[str, Any]:
        engine = self._synthesizer
        voices = engine.voices() if isinstance(engine, VoicedSynthesizer) else ()
        return {
            "voices": [{"name": voice.name, "language": voice.language, "gender": voice.gender} for voice in voices],
            "default": voices[0].name if voices else None,
            "speed": list(SPEEDS) if voices else [1, 1],
        }
