"""`WS /api/chat/stream`: question after question over one connection, each answered with the messages of
`POST /api/chat/stream` (`chat_messages.py`). Both directions are streams with the coder `raw` (SPEC section 6.4).

    the client sends, in the header of a frame without payload      the server
    {"message": "...", "voice"?, "speed"?, "audio"?}                answers; an answer that is running is interrupted
    {"interrupt": true}                                             stops the answer: text, voice and model
    {"voice"?: "...", "speed"?: 1}                                  speaks so from the next sentence that it begins

The last frame of an answer has one of these headers. Each question gets exactly one of them, in the order of the
questions; what is sent of an answer that is interrupted ends with the second, at once:

    {"kind": "end", "sentences": 9, ...}                            it is whole; the members of `Summary`
    {"kind": "error", "code": "canceled", "message": "..."}         it was interrupted
    {"kind": "error", "code": "...", "message": "..."}              it failed, or the question was wrong

A message that is none of the three is answered with {"kind": "refused", "code": "...", "message": "..."}, which ends
nothing. `voice` and `speed` hold until they are changed, also for the next questions. A client that leaves, or sends
its `end`, stops everything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from starlette.websockets import WebSocket

from wav_streaming.chunking import Pacing
from wav_streaming.outcomes import Failed, outcome
from wav_streaming.speaker import Speaker
from wav_streaming.synthesizers import Synthesizer

from ..coders import Coder, RawCoder
from ..duplex import Modality, StreamEvent, StreamItem, Symbol, WebSocketServerStream
from ..errors import PayloadError, StreamError
from ..frames import Frame
from ..server.problems import public_error, report
from .answers import Answerer
from .chat_formats import Links, SoundFormats
from .chat_messages import Summary, chat_messages, tokens_of
from .chat_requests import chat_request
from .limits import AppLimits
from .sockets import Sockets
from .voice import with_voice

__all__ = ["ChatCoder", "ChatSocket"]

_RAW: Final = RawCoder()
_MESSAGES: Final = '{"message": "..."}, {"interrupt": true}, or {"voice": "...", "speed": 1}'


class ChatCoder(Coder[StreamItem, None]):
    """The items of a duplex stream as the frames of a chat. A symbol has the whole header as its `metadata`.

    >>> from objectstreaming import decode_frame, encode_frame
    >>> frame = decode_frame(ChatCoder().encode(StreamEvent("stream_end", {"sentences": 1})))
    >>> frame.header
    {'kind': 'end', 'sentences': 1}
    >>> ChatCoder().decode(decode_frame(encode_frame({"interrupt": True}, b"")))[0].type
    'interrupt'
    """

    name = _RAW.name

    def encode(self, header: StreamItem, payload: None = None) -> bytes:
        if isinstance(header, Symbol):
            return _RAW.encode(header.metadata, header.data)
        members = header.data or {}
        if header.type == "stream_end":
            return _RAW.encode({"kind": "end", **members}, b"")
        if header.type == "interrupt":
            return _RAW.encode({"kind": "error", "code": "canceled", "message": "the answer was interrupted"}, b"")
        return _RAW.encode({"kind": "error" if header.type == "error" else "refused", **members}, b"")

    def decode(self, frame: Frame) -> tuple[StreamItem, None]:
        if len(frame.payload):
            raise PayloadError(
                "what is sent to this chat is in the header, and has no payload", frame.index, frame.offset
            )
        header = frame.header
        is_interrupt = header.get("interrupt") is True and "message" not in header  # a question interrupts anyway
        return StreamEvent("interrupt" if is_interrupt else "metadata", header), None


class ChatSocket:
    """Serves every WebSocket that it is called with. Without a synthesizer the answers are text."""

    def __init__(
        self,
        answerer: Answerer,
        synthesizer: Synthesizer | None,
        limits: AppLimits,
        *,
        sample_rate: int | None,
        links: Links,
        sockets: Sockets,
    ) -> None:
        self.answerer = answerer
        self.synthesizer = synthesizer
        self.limits = limits
        self.sample_rate = sample_rate
        self.links = links
        self.sockets = sockets

    async def __call__(self, websocket: WebSocket) -> None:
        await self.sockets.serve(websocket, self._converse, ChatCoder())

    async def _converse(self, stream: WebSocketServerStream, client: str) -> None:
        chat = _Chat(self, stream, client)
        try:
            await chat.run()
        finally:
            await chat.stop()


class _Chat:
    """One connection. It has at most one answer at a time."""

    def __init__(self, endpoint: ChatSocket, stream: WebSocketServerStream, client: str) -> None:
        self._endpoint = endpoint
        self._stream = stream
        self._client = client
        self._is_counted = True  # the request was counted, for the first question
        self._voice: Any = None
        self._speed: Any = 1
        self._answer: _Answer | None = None

    async def run(self) -> None:
        """Take what the client sends, until it leaves."""
        while True:
            try:
                async for item in self._stream.receive():
                    if isinstance(item, StreamEvent):
                        await self._take(item)
                return
            except PayloadError as error:
                await self._refuse(StreamError("invalid_argument", str(error)))

    async def stop(self) -> None:
        """Stop the answer, if there is one, and wait until its model and voice have stopped."""
        answer, self._answer = self._answer, None
        if answer is not None:
            await answer.stop()

    async def _take(self, event: StreamEvent) -> None:
        if event.type == "interrupt":
            await self._interrupt()
        elif event.type == "metadata":
            header = event.data or {}
            if "message" in header:
                await self._ask(header)
                return
            try:
                if "voice" not in header and "speed" not in header:
                    raise StreamError("invalid_argument", f"a message to this chat is {_MESSAGES}")
                self._set_voice(header)
            except StreamError as error:
                await self._refuse(error)

    async def _interrupt(self) -> None:
        if self._answer is not None and self._answer.is_unfinished(self._stream):
            # The client is told first: to stop a model may take a while.
            self._answer.cancel()
            await self._stream.send(StreamEvent("interrupt"))
        await self.stop()

    async def _ask(self, header: Mapping[str, Any]) -> None:
        await self._interrupt()
        endpoint = self._endpoint
        try:
            if not self._is_counted:
                endpoint.sockets.count(self._client)
            self._is_counted = False
            self._set_voice(header)
            held = {"voice": self._voice, "speed": self._speed}
            asked = chat_request({**header, **held}, endpoint.synthesizer, endpoint.limits)
        except StreamError as error:
            await self._stream.send(_event("error", error))
            return
        speaker = None if asked.synthesizer is None else Speaker(asked.synthesizer, pacing=Pacing())
        tokens = tokens_of(endpoint.answerer, asked.message)
        formats = SoundFormats(asked.formats, endpoint.links.of(self._client))
        self._answer = _Answer(self._stream, tokens, speaker, formats, endpoint.sample_rate)

    def _set_voice(self, header: Mapping[str, Any]) -> None:
        voice, speed = header.get("voice", self._voice), header.get("speed", self._speed)
        engine = with_voice(self._endpoint.synthesizer, voice, speed)
        self._voice, self._speed = voice, speed
        if self._answer is not None and self._answer.speaker is not None and engine is not None:
            self._answer.speaker.synthesizer = engine

    async def _refuse(self, error: StreamError) -> None:
        await self._stream.send(_event("metadata", error))


class _Answer:
    """An answer while it is made and sent, in a task of its own."""

    def __init__(
        self,
        stream: WebSocketServerStream,
        tokens: AsyncGenerator[str],
        speaker: Speaker | None,
        formats: SoundFormats,
        sample_rate: int | None,
    ) -> None:
        self.speaker = speaker
        self._is_canceled = False
        self._is_whole = False
        summary = Summary()
        self._link = formats.link
        messages = chat_messages(tokens, speaker, summary, sample_rate=sample_rate, formats=formats)
        self._task = asyncio.create_task(self._send(stream, messages, summary), name="objectstreaming chat answer")

    def is_unfinished(self, stream: WebSocketServerStream) -> bool:
        """Whether its last frame has not been written yet, and may still be replaced."""
        return not self._task.done() or (self._is_whole and stream.is_unsent)

    def cancel(self) -> None:
        """Send nothing more."""
        self._is_canceled = True
        self._task.cancel()

    async def stop(self) -> None:
        """Send nothing more, and wait until everything is closed."""
        self.cancel()
        await asyncio.wait([self._task])

    async def _send(
        self,
        stream: WebSocketServerStream,
        messages: AsyncGenerator[tuple[Mapping[str, Any], bytes]],
        summary: Summary,
    ) -> None:
        sent = await outcome(self._send_all(stream, messages, summary))
        if isinstance(sent, Failed) and not self._is_canceled and stream.is_connected:
            failure = public_error(sent.error)
            report("an answer of a chat", "failed", failure.code, cause=sent.error)
            await stream.send(_event("error", failure))

    async def _send_all(
        self,
        stream: WebSocketServerStream,
        messages: AsyncGenerator[tuple[Mapping[str, Any], bytes]],
        summary: Summary,
    ) -> None:
        async with aclosing(messages):
            async for header, payload in messages:
                if self._is_canceled:  # and the model has swallowed it
                    return
                began = time.monotonic()
                await stream.send(_symbol(header, payload))
                self._link.sent(len(payload), time.monotonic() - began)
        await stream.send(StreamEvent("stream_end", summary.trailers()))
        self._is_whole = True


def _symbol(header: Mapping[str, Any], payload: bytes) -> Symbol:
    if header["kind"] == "audio":
        return Symbol(Modality.AUDIO, bytes(payload), "audio/pcm", metadata=dict(header))
    return Symbol(Modality.TEXT, payload, "text/plain;charset=utf-8", metadata=dict(header))


def _event(kind: Any, error: StreamError) -> StreamEvent:
    return StreamEvent(kind, {"code": error.code, "message": error.message})
