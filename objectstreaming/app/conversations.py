"""`WS /duplex` of the reference app: a conversation in text and sound that can be interrupted (SPEC section 7).

    text symbols, stream_end    -> the answer, as text and as sound
    audio symbols, stream_end   -> `metadata` {"question": what was heard}, then the answer
    interrupt                   -> the answer stops, `interrupt`

A sentence is a text symbol, with `source` and `start_ms`, where in the answer's sound it begins, and audio symbols of
at most half a second each, so that an interrupt stops it between two of them. What cannot be answered is an `error`
event in the answer's place; the connection stays. A connection counts as one stream of the app and lives as long as one
may.

A browser sends a page's cookies with a WebSocket to any server, and asks nobody (CORS does not cover it): so a page's
`Origin` must be this server's own, or one that was allowed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.websockets import WebSocket

from ..duplex import DuplexSession, Modality, StreamEvent, StreamItem, Symbol, WebSocketServerStream
from ..errors import ObjectStreamError, PayloadError, StreamError
from ..frames import Limits, MiB
from ..server.problems import problem_response, public_error
from .answers import Answerer
from .limits import AppLimits
from .questions import GatheredSound, Question, checked_text
from .voice import Voice

__all__ = ["Conversations", "is_allowed_origin"]

log = logging.getLogger("objectstreaming.server")

_FRAME: Final = 1 * MiB
_PIECE_SECONDS: Final = 0.5
_RATES: Final = range(1_000, 384_001)
_CHANNELS: Final = range(1, 9)


def is_allowed_origin(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether a page of `origin` may connect: of no page, of this very server, or one of `allowed`.

    >>> is_allowed_origin(None, "here:8000", ()), is_allowed_origin("http://here:8000", "here:8000", ())
    (True, True)
    >>> is_allowed_origin("http://evil", "here:8000", ()), is_allowed_origin("null", "here:8000", ())
    (False, False)
    """
    if origin is None or origin in allowed or "*" in allowed:
        return True
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


class Conversations:
    """Serves each WebSocket that it is called with. Without a synthesizer, questions in text are answered in text."""

    def __init__(
        self,
        answerer: Answerer,
        voice: Voice,
        limits: AppLimits,
        *,
        speaks: bool,
        heartbeat: float,
        origins: Collection[str],
    ) -> None:
        self._answerer = answerer
        self._voice = voice
        self._limits = limits
        self._speaks = speaks
        self._heartbeat = heartbeat
        self._origins = frozenset(origins)

    async def __call__(self, websocket: WebSocket) -> None:
        headers = websocket.headers
        if not is_allowed_origin(headers.get("origin"), headers.get("host", ""), self._origins):
            await _refuse(websocket, StreamError("permission_denied", "pages of that origin may not connect"))
            return
        stream = WebSocketServerStream(websocket, heartbeat=self._heartbeat, limits=Limits(frame=_FRAME))
        try:
            async with stream:
                try:
                    async with asyncio.timeout(self._limits.stream_seconds) as clock:
                        await self._converse(DuplexSession(stream))
                except TimeoutError:
                    if not clock.expired():
                        raise
                    raise StreamError("deadline_exceeded", "a conversation may not last longer here") from None
        except ObjectStreamError as error:
            # What the client did, or that it is gone: it was told, if it could be.
            log.debug("a conversation ended: %s", error)

    async def _converse(self, session: DuplexSession) -> None:
        while session.stream.is_connected:
            turn = _Turn(self)
            try:
                await session.run_duplex(turn.answer, turn.hear)
            except StreamError:  # an error event: the client has given its question up, or it has left with one
                if not session.stream.is_connected:
                    raise
            session.reset()

    async def answer(self, question: Question) -> AsyncIterator[StreamItem]:
        """The answer's symbols, each sentence's text before its sound."""
        if not self._speaks and question.sound is None:
            async with aclosing(self._answerer.answer(question.text)) as sentences:  # type: ignore[type-var]
                async for text, source in sentences:
                    yield Symbol.text(text, source=source)
            return
        self._voice.check(question)
        told = question.sound is None
        played = 0.0
        async with aclosing(self._voice.answer(question)) as messages:  # type: ignore[type-var]
            async for tal, pcm in messages:
                if not told:
                    told = True
                    yield StreamEvent("metadata", {"question": tal.question})
                if tal.answer:
                    yield Symbol.text(tal.answer, source=tal.url, start_ms=round(played))
                step = tal.bitDepth // 8 * tal.channels
                size = max(1, min(int(_PIECE_SECONDS * tal.sampleRate), _FRAME // 2 // step)) * step
                for start in range(0, len(pcm), size):
                    piece = pcm[start : start + size]
                    yield Symbol.audio(piece, tal.sampleRate, tal.channels, bit_depth=tal.bitDepth)
                played += 1000 * len(pcm) / step / tal.sampleRate

    def gather(self, symbol: Symbol, gathered: GatheredSound | None) -> GatheredSound:
        """The sound so far with the symbol's. Raises `StreamError` for a sound that cannot be listened to."""
        told: Any = symbol.metadata.get
        rate, channels, depth = told("sample_rate"), told("channels", 1), told("bit_depth", 16)
        kind = symbol.mime_type.partition(";")[0].strip().lower()
        if kind != "audio/pcm" or not (_is_in(rate, _RATES) and _is_in(channels, _CHANNELS) and depth in (16, 32)):
            message = "sound is audio/pcm, signed, little-endian, with sample_rate, channels and bit_depth 16 or 32"
            raise StreamError("invalid_argument", message)
        if len(symbol.data) % (depth // 8 * channels):
            raise StreamError("invalid_argument", "a symbol of sound holds whole sample frames")
        if gathered is None:
            gathered = GatheredSound(rate, channels, cast("Literal[16, 32]", depth), self._limits)
        elif gathered.kind != (rate, channels, depth):
            raise StreamError("invalid_argument", "the sound of one question has one sample rate, channels, depth")
        gathered.add(symbol.data)
        return gathered

    def check(self, text: str, *, whole: bool) -> str:
        """The text, if a question may be as long. Raises `StreamError`."""
        if not whole and len(text) <= self._limits.question:
            return text
        return checked_text(text, self._limits)


class _Turn:
    """One question, as it is heard, and its answer."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._text = ""
        self._sound: GatheredSound | None = None
        self._question: asyncio.Future[Question] = asyncio.get_running_loop().create_future()

    def hear(self, item: StreamItem) -> None:
        if self._question.done():  # it was wrong: the answer says so
            return
        try:
            if isinstance(item, StreamEvent):
                if item.type == "stream_end":
                    self._question.set_result(self._whole())
            elif item.modality is Modality.TEXT:
                self._text = self._conversations.check(self._text + (item.text_value or ""), whole=False)
            elif item.modality is Modality.AUDIO:
                self._sound = self._conversations.gather(item, self._sound)
            else:
                raise StreamError("unimplemented", f"this server does not look at {item.modality.value}")
        except (StreamError, PayloadError) as error:
            wrong = error if isinstance(error, StreamError) else StreamError("invalid_argument", str(error))
            self._question.set_exception(wrong)
            self._question.exception()  # an interrupt may come before anybody asks for it

    def _whole(self) -> Question:
        if self._text.strip() or self._sound is None:
            return Question(self._conversations.check(self._text, whole=True))
        return Question("", self._sound.sound())

    async def answer(self) -> AsyncIterator[StreamItem]:
        try:
            async with aclosing(self._conversations.answer(await self._question)) as items:  # type: ignore[type-var]
                async for item in items:
                    yield item
        except Exception as error:  # noqa: BLE001 - public_error logs what the client may not know
            told = public_error(error)
            yield StreamEvent("error", {"code": told.code, "message": told.message})


def _is_in(value: Any, allowed: range) -> bool:
    return type(value) is int and value in allowed


async def _refuse(websocket: WebSocket, error: StreamError) -> None:
    """Refuse the handshake, with the problem as the body where the server can send one."""
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        response: Response = problem_response(error)
        await websocket.send_denial_response(response)
    else:
        await websocket.close(1008, error.code)
