"""The reference app: questions in, answers out as frames, in text and in speech (SPEC section 6, "HTTP and WebSocket").

    POST /objects   {"question": "..."}           -> json frames: {"status", "reason"} + {"answer", "source"}
    POST /wav       a WAV file, or TAL frames     -> tal frames: a sentence and its sound in each
                    both also as server-sent events and as JSON lines, if `Accept` says so
    GET  /streams/{id}                            -> the rest of a stored answer; DELETE stops it (with a store)
    POST /api/chat/stream, /api/chat              -> text as it is made, and the sound of each sentence
    POST /v1/chat/completions, /v1/audio/speech   -> the same for OpenAI's clients
    WS   /api/chat/stream                         -> the same messages; can be interrupted, and asked again
    WS   /duplex    symbols of text and sound     -> symbols of text and sound, which can be interrupted
    GET  /health    which engines run here, as JSON
    GET  /doctor    the probe of `objectstreaming doctor`
    GET  /          a page that asks and plays

The parts behind the endpoints can be replaced: what answers, speaks and listens (`create_app`). A question is read
completely, with limits, and checked before its answer begins, so that an error in it is a real HTTP error. Recognition
and everything after it belongs to the stream, so that heartbeats cover it.

**Spoken answers.** A frame has one sentence: its text in `answer`, its source in `url`, and its sound. `order` counts
from 1. `sign` is 1 for the first frame and 2 for the others. The last frame has sign 3, and no text or sound. All have
the question, as it was recognized, in `question`. A sentence that cannot be spoken is sent without sound,
and the first of them says why in the member `unspoken` of its header.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.websockets import WebSocket

from wav_streaming import TALCoder
from wav_streaming.recognizers import Recognizer
from wav_streaming.sound_cache import SoundCache, with_cache
from wav_streaming.synthesizers import Synthesizer
from wav_streaming.voices import VoicedSynthesizer

from .. import __version__
from ..coders import Coder, RawCoder
from ..server.doctor import doctor_route
from ..server.problems import error_handlers, problem_response, public_error
from ..server.response import FrameResponse
from ..server.stopping import Lifespan, stopping
from ..store import Keep, MemoryStore
from .answers import Answerer, DocumentAnswerer
from .api_description import OBJECTS, OBJECTS_CODER, WAV, Answer, Status
from .chat_endpoints import ChatEndpoints
from .chat_formats import Link, Links
from .chat_socket import ChatSocket
from .clients import Clients
from .conversations import Conversations
from .engines import find_recognizer, find_synthesizer
from .faults import Faults
from .gate import Gate, RateLimiter
from .kept import Kept
from .memory import QuestionMemory, Share
from .openai_endpoints import OpenAIEndpoints
from .openai_requests import problem_writer
from .questions import read_json_question, read_question
from .settings import Settings
from .slots import held_by_source
from .sockets import Sockets
from .voice import Voice

__all__ = ["Parts", "Settings", "create_app", "find_parts"]


class Parts(NamedTuple):
    """What answers, speaks and listens. `None`: nothing does."""

    answerer: Answerer
    synthesizer: Synthesizer | None
    recognizer: Recognizer | None


def find_parts(
    settings: Settings, answerer: Answerer | None, synthesizer: Synthesizer | None, recognizer: Recognizer | None
) -> Parts:
    """The parts that are given; in place of `None` those of this machine, as `create_app` says."""
    if answerer is None:
        answerer = DocumentAnswerer.from_paths(*settings.documents)
    if settings.engines:
        synthesizer = synthesizer if synthesizer is not None else find_synthesizer()
        recognizer = recognizer if recognizer is not None else find_recognizer()
    if settings.voice and synthesizer is not None:
        if not isinstance(synthesizer, VoicedSynthesizer):
            raise ValueError(
                f"{type(synthesizer).__name__} has no voices, so it cannot have the voice {settings.voice!r}"
            )
        synthesizer = synthesizer.with_voice(settings.voice)
    return Parts(answerer, synthesizer, recognizer)


def create_app(
    settings: Settings | None = None,
    *,
    answerer: Answerer | None = None,
    synthesizer: Synthesizer | None = None,
    recognizer: Recognizer | None = None,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """The reference app. Parts that are not given are found on this machine: own documents, espeak-ng or flite,
    pocketsphinx. `lifespan` is entered with the app's own.

    Without an engine, requests that need it are answered with `unimplemented`; all others work. Run it with any ASGI
    server:

        uvicorn --no-proxy-headers --factory objectstreaming.app:create_app

    >>> create_app(Settings(hosts=("localhost", "127.0.0.1"))).title
    'objectstreaming'
    """
    settings = settings if settings is not None else Settings()
    limits = settings.limits
    store, kept = settings.store, None
    if store == "memory":
        store = memory_store = MemoryStore(keep=Keep(unread=limits.unread_seconds), total=limits.kept)
        kept = Kept(memory_store, limits.kept_per_client)
    answerer, synthesizer, recognizer = find_parts(settings, answerer, synthesizer, recognizer)
    speaking = synthesizer
    if synthesizer is not None and settings.sounds:
        speaking = with_cache(synthesizer, SoundCache(settings.sounds))
    voice = Voice(answerer, speaking, recognizer)
    clients = Clients(settings.proxies)
    rate = RateLimiter.of(limits)
    memory = QuestionMemory(limits.questions, limits.questions_per_client)

    app = FastAPI(
        title="objectstreaming",
        version=__version__,
        summary="Questions in, answers out as frames, in text and in speech.",
        docs_url=None,  # the page that FastAPI serves there loads its scripts from another host
        redoc_url=None,
        lifespan=stopping(store, then=lifespan),
        exception_handlers=error_handlers,
    )
    app.openapi_version = "3.2.0"  # which has `itemSchema`, for views
    app.add_exception_handler(HTTPException, _problem_for)
    app.add_exception_handler(Exception, _problem_for)

    def stream(
        request: Request,
        source: AsyncIterator[Any],
        coder: Coder[Any, Any],
        *,
        is_kept: bool = True,
        heartbeat: float | None = settings.heartbeat,
        **options: Any,
    ) -> FrameResponse:
        if store is not None and is_kept:
            source = held_by_source(request.scope, source)
            options |= {"store": store, "id": None if kept is None else kept.new_id(clients.name(request.scope))}
        return FrameResponse(source, coder=coder, heartbeat=heartbeat, max_duration=limits.stream_seconds, **options)

    @app.post("/objects", response_class=FrameResponse, summary="Ask by text; the answer is objects", **OBJECTS)
    async def objects(request: Request) -> FrameResponse:
        question = await read_json_question(request, limits, memory.share(clients.name(request.scope)))
        return stream(request, _objects(answerer, question.text), OBJECTS_CODER)

    @app.post("/wav", response_class=FrameResponse, summary="Ask by speech or text; the answer is spoken", **WAV)
    async def wav(request: Request) -> FrameResponse:
        question = await read_question(request, limits, memory.share(clients.name(request.scope)))
        voice.check(question)
        return stream(request, voice.answer(question), TALCoder())

    def share(request: Request) -> Share:
        return memory.share(clients.name(request.scope))

    links = Links()

    def link(request: Request) -> Link:
        return links.of(clients.name(request.scope))

    chat_endpoints = ChatEndpoints(
        answerer, speaking, limits, sample_rate=settings.sample_rate, share=share, link=link, stream=stream
    )
    chat_endpoints.add_to(app)
    OpenAIEndpoints(answerer, speaking, limits, heartbeat=settings.heartbeat, share=share).add_to(app)

    sockets = Sockets(limits, clients=clients, rate=rate, heartbeat=settings.heartbeat, origins=settings.origins)
    converse = Conversations(answerer, voice, limits, sockets=sockets, memory=memory, speaks=synthesizer is not None)
    chat = ChatSocket(answerer, speaking, limits, sample_rate=settings.sample_rate, links=links, sockets=sockets)

    @app.websocket("/duplex")
    async def duplex(websocket: WebSocket) -> None:
        await converse(websocket)

    @app.websocket("/api/chat/stream")
    async def chat_stream(websocket: WebSocket) -> None:
        await chat(websocket)

    if store is not None:
        app.include_router(store.router(coders=[OBJECTS_CODER, TALCoder(), RawCoder()], heartbeat=settings.heartbeat))

    @app.get("/health", summary="What runs here")
    async def health() -> Health:
        return Health("ok", __version__, _name(synthesizer), _name(recognizer), settings.faults)

    app.router.routes.append(doctor_route(heartbeat=settings.heartbeat))

    if settings.page:

        @app.get("/", include_in_schema=False)
        async def page() -> Response:
            return Response(*page_and_headers())

    app.add_middleware(Gate, limits=limits, hosts=settings.hosts, clients=clients, rate=rate)
    if settings.faults:
        app.add_middleware(Faults)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["Content-Type", "Last-Event-ID"],
            expose_headers=["Retry-After", "Content-Location", "Stream-Position", "Stream-Ended"],
        )
    return app


@dataclass(frozen=True)
class Health:
    """What `GET /health` says."""

    status: str
    version: str
    synthesizer: str | None
    recognizer: str | None
    faults: bool


def _name(engine: object) -> str | None:
    return None if engine is None else type(engine).__name__


async def _objects(answerer: Answerer, question: str) -> AsyncIterator[tuple[Status, Answer]]:
    """One message for each sentence. A sentence without a source is a warning: a client may show it differently."""
    async for text, source in answerer.answer(question):
        status = Status(status="success", reason="none") if source else Status(status="warning", reason="no source")
        yield status, Answer(answer=text, source=source)


async def _problem_for(request: Request, error: Exception) -> Response:
    """The response to a failure outside of a stream, as the same small JSON. Its cause stays in the log."""
    response = problem_response(public_error(error), problem_writer(request.scope))
    if isinstance(error, HTTPException):
        for name, value in (error.headers or {}).items():
            response.headers.setdefault(name, value)
    return response


# ------------------------------------------------------------------------------------------------------------ the page


@cache
def page_and_headers() -> tuple[bytes, int, dict[str, str], str]:
    """The page, its status, headers and type. The policy lets only its own script and style run."""
    html = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash_of('script', html)}",
            f"style-src {_hash_of('style', html)}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return html.encode(), 200, headers, "text/html; charset=utf-8"


def _hash_of(element: str, html: str) -> str:
    [content] = re.findall(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
