"""`WS /duplex` of the reference app: a conversation in text and sound that can be interrupted (SPEC section 7, "The
duplex session").

    text symbols, stream_end    -> the answer, as text and as sound
    audio symbols, stream_end   -> `metadata` {"question": what was recognized}, then the answer
    interrupt                   -> the answer stops, `interrupt`

If the speech engine fails, `metadata` {"unspoken": why} says so once in an answer, and the text goes on.

A sentence is a text symbol and audio symbols. The text symbol has `source` and `start_ms`: when the sentence begins in
the answer's sound. An audio symbol lasts at most half a second, so that an interrupt stops the answer between two of
them. If a question cannot be answered, an `error` event comes instead of the answer, and the connection stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final, Literal, cast

from starlette.websockets import WebSocket

from wav_streaming.outcomes import guarded_items

from ..duplex import DuplexSession, Modality, StreamEvent, StreamItem, Symbol, WebSocketServerStream
from ..errors import PayloadError, StreamError
from ..server.problems import public_error, report
from .answers import Answerer
from .limits import AppLimits
from .memory import QuestionMemory, Share
from .questions import GatheredSound, Question, checked_text
from .sockets import LARGEST_FRAME, Sockets
from .voice import UNSPOKEN, Voice

__all__ = ["Conversations"]

_PIECE_SECONDS: Final = 0.5
_RATES: Final = range(1_000, 384_001)
_CHANNELS: Final = range(1, 9)


class Conversations:
    """Serves every WebSocket that it is called with. Without a synthesizer, text questions are answered in text."""

    def __init__(
        self,
        answerer: Answerer,
        voice: Voice,
        limits: AppLimits,
        *,
        sockets: Sockets,
        memory: QuestionMemory,
        speaks: bool,
    ) -> None:
        self._answerer = answerer
        self._voice = voice
        self._limits = limits
        self._sockets = sockets
        self._memory = memory
        self._speaks = speaks

    async def __call__(self, websocket: WebSocket) -> None:
        await self._sockets.serve(websocket, self._converse)

    async def _converse(self, stream: WebSocketServerStream, client: str) -> None:
        session = DuplexSession(stream)
        first = True
        while session.stream.is_connected:
            turn = _Turn(self, client, counted=first)
            first = False
            try:
                await session.run_duplex(turn.answer, turn.receive)
            except StreamError:  # an error event of the client, for its question or, when it leaves, for the stream
                if not session.stream.is_connected:
                    raise
            finally:
                turn.end()
            session.reset()

    async def answer(self, question: Question) -> AsyncIterator[StreamItem]:
        """The answer's symbols, each sentence's text before its sound."""
        if not self._speaks and question.speech is None:
            async with aclosing(guarded_items(self._answerer.answer(question.text))) as sentences:
                async for text, source in sentences:
                    yield Symbol.text(text, source=source)
            return
        self._voice.check(question)
        recognized = question.speech is None
        played = 0.0
        async with aclosing(self._voice.answer(question)) as messages:  # type: ignore[type-var]
            async for tal, pcm in messages:
                if not recognized:
                    recognized = True
                    yield StreamEvent("metadata", {"question": tal.question})
                if UNSPOKEN in tal.extra:
                    yield StreamEvent("metadata", {UNSPOKEN: tal.extra[UNSPOKEN]})
                if tal.answer:
                    yield Symbol.text(tal.answer, source=tal.url, start_ms=round(played))
                step = tal.bitDepth // 8 * tal.channels
                size = max(1, min(int(_PIECE_SECONDS * tal.sampleRate), LARGEST_FRAME // 2 // step)) * step
                for start in range(0, len(pcm), size):
                    piece = pcm[start : start + size]
                    yield Symbol.audio(piece, tal.sampleRate, tal.channels, bit_depth=tal.bitDepth)
                played += 1000 * len(pcm) / step / tal.sampleRate

    def new_share(self, client: str) -> Share:
        """For the memory of one question."""
        return self._memory.share(client)

    def new_sound(self, share: Share) -> GatheredSound:
        """For the sound of one question."""
        return GatheredSound(self._limits, share)

    def count(self, client: str) -> None:
        """Count a question. Raises `StreamError` if the client asks too often."""
        self._sockets.count(client)

    @staticmethod
    def add_sound(symbol: Symbol, gathered: GatheredSound, share: Share) -> None:
        """Add the symbol's sound. Raises `StreamError` for a sound that cannot be recognized."""
        member: Any = symbol.metadata.get
        rate, channels, depth = member("sample_rate"), member("channels", 1), member("bit_depth", 16)
        kind = symbol.mime_type.partition(";")[0].strip().lower()
        if kind != "audio/pcm" or not (_is_in(rate, _RATES) and _is_in(channels, _CHANNELS) and depth in (16, 32)):
            message = "sound must be audio/pcm, signed, little-endian, with sample_rate, channels, bit_depth 16 or 32"
            raise StreamError("invalid_argument", message)
        if len(symbol.data) % (depth // 8 * channels):
            raise StreamError("invalid_argument", "the data of an audio symbol are whole sample frames")
        share.take(len(symbol.data))
        gathered.add(symbol.data, rate, channels, cast("Literal[16, 32]", depth))

    def check(self, text: str, *, whole: bool) -> str:
        """The text, if it is not too long for a question. Otherwise raises `StreamError`."""
        if not whole and len(text) <= self._limits.question:
            return text
        return checked_text(text, self._limits)


class _Turn:
    """One question, while it is received, and its answer. `counted`: the request was counted for it already."""

    def __init__(self, conversations: Conversations, client: str, *, counted: bool) -> None:
        self._conversations = conversations
        self._client = client
        self._counted = counted
        self._text = ""
        self._share = conversations.new_share(client)
        self._sound = conversations.new_sound(self._share)
        self._question: asyncio.Future[Question] = asyncio.get_running_loop().create_future()

    def receive(self, item: StreamItem) -> None:
        if self._question.done():  # it was wrong already: the answer will say so
            return
        try:
            if isinstance(item, StreamEvent):
                if item.type == "stream_end":
                    if not self._counted:
                        self._conversations.count(self._client)
                    self._question.set_result(self._whole())
            elif item.modality is Modality.TEXT:
                self._text = self._conversations.check(self._text + (item.text_value or ""), whole=False)
            elif item.modality is Modality.AUDIO:
                self._conversations.add_sound(item, self._sound, self._share)
            else:
                raise StreamError("unimplemented", f"this server does not read {item.modality.value} symbols")
        except (StreamError, PayloadError) as error:
            wrong = error if isinstance(error, StreamError) else StreamError("invalid_argument", str(error))
            self._question.set_exception(wrong)
            self._sound.release()
            self._question.exception()  # retrieved: after an interrupt nobody asks for it, and asyncio would log it

    def _whole(self) -> Question:
        if self._text.strip() or not self._sound.has_begun:
            return Question(self._conversations.check(self._text, whole=True))
        return Question("", self._sound.checked())

    def end(self) -> None:
        """Nothing of it is needed any more."""
        self._sound.release()

    async def answer(self) -> AsyncIterator[StreamItem]:
        try:
            async with aclosing(self._conversations.answer(await self._question)) as items:  # type: ignore[type-var]
                async for item in items:
                    yield item
        except Exception as error:  # noqa: BLE001 - what is not sent to the client is logged
            failure = public_error(error)
            report("an answer of a conversation", "failed", failure.code, cause=error)
            yield StreamEvent("error", {"code": failure.code, "message": failure.message})


def _is_in(value: Any, allowed: range) -> bool:
    return type(value) is int and value in allowed
