"""The reference app as a voice service of Home Assistant: speaks, listens and answers over the Wyoming protocol.

    describe                                             -> info
    synthesize                                           -> audio-start, audio-chunk ..., audio-stop
    synthesize-start, synthesize-chunk ..., synthesize-stop
                                                         -> the same while the text still comes, and synthesize-stopped
    transcribe, audio-start, audio-chunk ..., audio-stop -> transcript
    transcript (a question)                              -> handled (its answer)
    ping                                                 -> pong

What fails gets `error` with its code, and then the connection is closed: `audio-stop` comes only after a sound that is
whole. A connection may have one request after the other. Requests count as questions, with the limits of the app.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Literal, cast

from wav_streaming.outcomes import guarded, guarded_items
from wav_streaming.recognizers import Recognizer
from wav_streaming.sound import Sound
from wav_streaming.speaker import Spoken, speak_along
from wav_streaming.synthesizers import Synthesizer
from wav_streaming.voices import UnknownVoice, Voice, VoicedSynthesizer

from .. import __version__
from ..errors import StreamError
from ..server.problems import public_error
from .answers import Answerer
from .clients import Clients
from .gate import RateLimiter
from .limits import AppLimits
from .memory import QuestionMemory
from .questions import GatheredSound, checked_text
from .slots import Slots
from .wyoming_events import LARGEST_LINE, Event, encode_event, read_event

__all__ = ["WyomingServer"]

log = logging.getLogger("objectstreaming.server")

_CHUNK: Final = 8 * 1024
"""The most bytes of PCM in an event: a player can begin early, and stop early."""

_LONGEST_TEXT: Final = 100_000

_LINGER_SECONDS: Final = 1.0

_LANGUAGES: Final = ["en"]
"""What the recognizer understands, and a voice speaks that does not say."""


class WyomingServer:
    """Answers Wyoming clients with these engines. One that is `None` is not offered.

    >>> from objectstreaming.app.answers import DocumentAnswerer
    >>> server = WyomingServer(DocumentAnswerer.from_paths(), None, None)
    >>> [program["name"] for program in server.info()["handle"]]
    ['objectstreaming']
    """

    def __init__(
        self,
        answerer: Answerer,
        synthesizer: Synthesizer | None,
        recognizer: Recognizer | None,
        limits: AppLimits | None = None,
    ) -> None:
        self.answerer = answerer
        self.synthesizer = synthesizer
        self.recognizer = recognizer
        self.limits = limits if limits is not None else AppLimits()
        self.rate = RateLimiter.of(self.limits)
        self.memory = QuestionMemory(self.limits.questions, self.limits.questions_per_client)
        self._clients = Clients()
        self._slots = Slots()

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve on a listening socket while the block runs. At its end the connections are closed."""
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A task of our own: asyncio's, for a coroutine, write a traceback when they are cancelled (Python 3.11).
            task = asyncio.ensure_future(self._serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        async with await asyncio.start_server(connected, sock=listener, limit=LARGEST_LINE):
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = self._clients.name({"client": writer.get_extra_info("peername"), "headers": []})
        slot = self._slots.take(client)
        try:
            connection = _Connection(self, client, reader, writer)
            if self._slots.total() > self.limits.streams:
                await connection.refuse("this server has as many connections as it may")
            elif self._slots.of(client) > self.limits.streams_per_client:
                await connection.refuse("this address has as many connections as it may")
            else:
                await connection.run()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            slot.release()
            writer.close()

    def voices(self) -> Sequence[Voice]:
        """The voices to choose from; the engine's own choice where it does not say."""
        known = self.synthesizer.voices() if isinstance(self.synthesizer, VoicedSynthesizer) else ()
        return known or (Voice("default"),)

    def info(self) -> dict[str, Any]:
        """What `describe` is answered with."""
        info: dict[str, Any] = {"asr": [], "tts": [], "handle": [], "intent": [], "wake": [], "mic": [], "snd": []}
        models = [{**_artifact("default"), "languages": _LANGUAGES}]
        info["handle"].append({**_artifact("objectstreaming"), "models": models})
        if self.recognizer is not None:
            info["asr"].append({**_artifact("objectstreaming"), "models": models})
        if self.synthesizer is not None:
            voices = [
                {**_artifact(voice.name), "languages": [voice.language] if voice.language else _LANGUAGES}
                for voice in self.voices()
            ]
            info["tts"].append(
                {**_artifact("objectstreaming"), "voices": voices, "supports_synthesize_streaming": True}
            )
        return info

    def voiced(self, event: Event) -> Synthesizer:
        """The synthesizer with the voice that an event names, by itself or by its language. Raises `StreamError`."""
        if self.synthesizer is None:
            raise StreamError("unimplemented", "this server cannot speak: it has neither espeak-ng nor flite")
        wanted = event.data.get("voice")
        if not isinstance(wanted, dict) or not isinstance(self.synthesizer, VoicedSynthesizer):
            return self.synthesizer
        name, language = str(wanted.get("name") or ""), str(wanted.get("language") or "").lower()
        if not name and language:
            name = next((voice.name for voice in self.voices() if voice.language.lower().startswith(language)), "")
        try:
            return self.synthesizer.with_voice(name) if name else self.synthesizer
        except UnknownVoice as error:
            raise StreamError("invalid_argument", str(error)) from None


class _Connection:
    """One client's requests, one after the other."""

    def __init__(
        self, server: WyomingServer, client: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._client = client
        self._reader = reader
        self._writer = writer
        self._hearing: GatheredSound | None = None
        self._share = server.memory.share(client)

    async def refuse(self, why: str) -> None:
        await self._send_error(StreamError("resource_exhausted", why))

    async def run(self) -> None:
        """Answer requests until the client leaves, or one fails."""
        limits = self._server.limits
        try:
            while (event := await self._next()) is not None:
                async with asyncio.timeout(limits.stream_seconds):
                    await self._answer(event)
        except TimeoutError:
            await self._send_error(StreamError("deadline_exceeded", "the request took too long"))
        except (ConnectionError, asyncio.IncompleteReadError):
            raise
        except Exception as error:
            if not isinstance(error, StreamError):
                log.exception("a request over Wyoming has failed")
            await self._send_error(public_error(error))
        finally:
            self._share.give_back()

    async def _next(self) -> Event | None:
        async with asyncio.timeout(self._server.limits.body_seconds):
            return await read_event(self._reader)

    async def _answer(self, event: Event) -> None:
        match event.type:
            case "describe":
                await self._send("info", self._server.info())
            case "ping":
                await self._send("pong", {"text": event.text("text")})
            case "synthesize":
                self._admit()
                text = checked_text(event.text("text"), self._server.limits)
                await self._speak(_only(text), self._server.voiced(event))
            case "synthesize-start":
                self._admit()
                await self._speak(self._chunks(), self._server.voiced(event))
                await self._send("synthesize-stopped")
            case "transcribe" | "audio-start":
                self._listen()
            case "audio-chunk":
                self._hear(event)
            case "audio-stop":
                await self._transcribe()
            case "transcript":
                self._admit()
                await self._handle(event)
            case _:
                pass  # the protocol: events that are not known are passed over

    def _admit(self) -> None:
        wait = self._server.rate.wait(self._client)
        if wait:
            raise StreamError("resource_exhausted", f"too many requests from this address: wait {wait:.0f} s")

    # ------------------------------------------------------------------------------------------------------ speaking

    async def _chunks(self) -> AsyncGenerator[str, None]:
        """The text of a request that is still being made."""
        size = 0
        while (event := await self._next()) is not None:
            if event.type == "synthesize-stop":
                return
            if event.type == "synthesize-chunk":
                text = event.text("text")
                size += len(text)
                if size > _LONGEST_TEXT:
                    raise StreamError("resource_exhausted", f"a text has at most {_LONGEST_TEXT} characters")
                yield text
            # `synthesize` comes too, with the whole text, for servers that cannot take pieces.
        raise ConnectionResetError("the client left within a text")

    async def _speak(self, tokens: AsyncGenerator[str, None], synthesizer: Synthesizer) -> None:
        """Send the sound of a text. Sentences that cannot be spoken make the whole fail."""
        before: tuple[int, int, int] | None = None
        sent = 0
        async with aclosing(tokens), aclosing(speak_along(tokens, synthesizer)) as items:
            async for item in items:
                if not isinstance(item, Spoken):
                    continue
                if item.error is not None:
                    raise StreamError("unavailable", f"the voice has failed: {item.error}")
                if item.sound is None:
                    continue
                kind = (item.sound.sample_rate, item.sound.bit_depth // 8, item.sound.channels)
                if before is None:
                    await self._send("audio-start", {**_format(kind), "timestamp": 0})
                elif kind != before:
                    raise StreamError("internal", "the voice has changed the format of its sound")
                before = kind
                sent = await self._send_sound(item.sound, kind, sent)
        if before is None:
            raise StreamError("invalid_argument", "there is nothing to say in the text")
        await self._send("audio-stop", {"timestamp": _milliseconds(sent, before)})

    async def _send_sound(self, sound: Sound, kind: tuple[int, int, int], sent: int) -> int:
        step = _CHUNK - _CHUNK % sound.block_align
        for start in range(0, len(sound.pcm), step):
            piece = sound.pcm[start : start + step]
            await self._send("audio-chunk", {**_format(kind), "timestamp": _milliseconds(sent, kind)}, piece)
            sent += len(piece)
        return sent

    # ----------------------------------------------------------------------------------------- listening, answering

    def _listen(self) -> None:
        if self._server.recognizer is None:
            raise StreamError("unimplemented", "this server cannot listen: it has no pocketsphinx")
        if self._hearing is None or self._hearing.has_begun:
            self._share.give_back()
            self._hearing = GatheredSound(self._server.limits, self._share)

    def _hear(self, event: Event) -> None:
        if self._hearing is None:
            raise StreamError("invalid_argument", "transcribe or audio-start comes before audio-chunk")
        bits = 8 * event.number("width")
        if bits not in (16, 32):
            raise StreamError("invalid_argument", f"samples have 16 or 32 bits here, not {bits}")
        self._share.take(len(event.payload))
        depth = cast("Literal[16, 32]", bits)
        self._hearing.add(event.payload, event.number("rate"), event.number("channels"), depth)

    async def _transcribe(self) -> None:
        gathered, self._hearing = self._hearing, None
        recognizer = self._server.recognizer
        if gathered is None or recognizer is None:
            raise StreamError("invalid_argument", "transcribe, audio-start and audio-chunk come before audio-stop")
        self._admit()
        try:
            sound = gathered.checked().sound()
        except ValueError as error:
            raise StreamError("invalid_argument", str(error)) from None
        text = await guarded(recognizer.recognize(sound))
        gathered.release()
        await self._send("transcript", {"text": text.strip()})

    async def _handle(self, event: Event) -> None:
        question = checked_text(event.text("text"), self._server.limits)
        async with aclosing(guarded_items(self._server.answerer.answer(question))) as sentences:
            text = " ".join([sentence.text.strip() async for sentence in sentences])
        data: dict[str, Any] = {"text": text}
        if isinstance(event.data.get("context"), dict):
            data["context"] = event.data["context"]
        await self._send("handled", data)

    # ------------------------------------------------------------------------------------------------------- sending

    async def _send(self, kind: str, data: dict[str, Any] | None = None, payload: bytes = b"") -> None:
        self._writer.write(encode_event(Event(kind, data or {}, payload)))
        await self._writer.drain()

    async def _send_error(self, error: StreamError) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._send("error", {"text": error.message, "code": error.code})
            self._writer.write_eof()
            # A client that still sends would get a reset, and might lose the error with it.
            async with asyncio.timeout(_LINGER_SECONDS):
                while await self._reader.read(LARGEST_LINE):
                    pass


def _artifact(name: str) -> dict[str, Any]:
    attribution = {"name": "objectstreaming", "url": ""}
    return {"name": name, "attribution": attribution, "installed": True, "description": name, "version": __version__}


def _format(kind: tuple[int, int, int]) -> dict[str, Any]:
    return dict(zip(("rate", "width", "channels"), kind, strict=True))


def _milliseconds(size: int, kind: tuple[int, int, int]) -> int:
    rate, width, channels = kind
    return size * 1000 // (rate * width * channels)


async def _only(text: str) -> AsyncGenerator[str, None]:
    yield text
