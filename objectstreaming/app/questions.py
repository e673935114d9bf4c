"""Questions, read out of request bodies: as JSON, as a WAV file, as frames of speech; incrementally, and bounded.

What is wrong with a question is a `RequestError` or `StreamError`, raised before an answer begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Literal, NoReturn

import msgspec
from starlette.requests import Request

from wav_streaming import TALCoder
from wav_streaming.sound import Sound
from wav_streaming.wav import WavDecoder, WavError

from .. import strict_json
from ..errors import StreamError
from ..frames import Limits, MiB
from ..media_type import parse_media_type
from ..protocol import MEDIA_TYPE, PLAIN_MEDIA_TYPE
from ..server.body import RequestBody, read_messages
from ..server.problems import RequestError
from .limits import AppLimits

__all__ = ["WAV_TYPES", "GatheredSound", "Question", "checked_text", "read_json_question", "read_question"]

WAV_TYPES: Final = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
_FRAME_TYPES: Final = (MEDIA_TYPE, PLAIN_MEDIA_TYPE)

_JSON_BODY: Final = 64 * 1024


class Question(msgspec.Struct, frozen=True):
    """A question as text, or, where `sound` is not `None`, as speech that is still to be recognized."""

    text: str
    sound: Sound | None = None


async def read_json_question(request: Request, limits: AppLimits) -> Question:
    """`{"question": "..."}` as JSON."""
    if _content_type(request) != "application/json":
        raise _unsupported("the question is JSON", ["application/json"])
    body = bytearray()
    async with _in_time(limits):
        async for chunk in RequestBody(request, max_body=min(limits.body, _JSON_BODY)):
            body += chunk
    try:
        value: Any = strict_json.loads(bytes(body))
    except strict_json.InvalidJSON as error:
        raise RequestError(400, "invalid_argument", f"the body is not JSON: {error}") from None
    question = value.get("question") if isinstance(value, dict) else None
    if not isinstance(question, str):
        raise StreamError("invalid_argument", 'the body is {"question": "..."}, a string in an object')
    return Question(checked_text(question, limits))


async def read_question(request: Request, limits: AppLimits) -> Question:
    """A WAV file, or frames of speech, of which the first that has a `question` in its header asks by text."""
    async with _in_time(limits):
        kind = _content_type(request)
        if kind in WAV_TYPES:
            return await _read_wav(request, limits)
        if kind in _FRAME_TYPES:
            return await _read_frames(request, limits)
    raise _unsupported("the question is a WAV file, or frames of speech", [*WAV_TYPES[:1], *_FRAME_TYPES])


@asynccontextmanager
async def _in_time(limits: AppLimits) -> AsyncIterator[None]:
    """A bound on how long a body may take to arrive."""
    try:
        async with asyncio.timeout(limits.body_seconds) as clock:
            yield
    except TimeoutError:
        if not clock.expired():
            raise
        raise RequestError(408, "deadline_exceeded", "the body took too long to arrive") from None


async def _read_wav(request: Request, limits: AppLimits) -> Question:
    decoder = WavDecoder(limit=limits.body)
    gathered: GatheredSound | None = None
    try:
        async for chunk in RequestBody(request, max_body=limits.body):
            pcm = decoder.feed(chunk)
            if gathered is None and decoder.ready:
                gathered = GatheredSound(decoder.sample_rate, decoder.channels, decoder.bit_depth, limits)
            if gathered is not None:
                gathered.add(pcm)
        pcm = decoder.finish()
        if gathered is not None:
            gathered.add(pcm)
    except WavError as error:
        raise StreamError("invalid_argument", str(error)) from None
    return Question("", gathered.sound() if gathered is not None else _no_sound())


async def _read_frames(request: Request, limits: AppLimits) -> Question:
    """All frames are read, also after one that asks by text: a body that goes on wrong is wrong."""
    text = ""
    gathered: GatheredSound | None = None
    # A frame is no larger than the body may be, and what is gathered is judged after each.
    messages = read_messages(request, TALCoder(), limits=Limits(frame=4 * MiB), max_body=limits.body)
    async with aclosing(messages):  # type: ignore[type-var]
        async for tal, pcm in messages:
            text = text or tal.question.strip()
            if gathered is None:
                gathered = GatheredSound(tal.sampleRate, tal.channels, tal.bitDepth, limits)
            elif gathered.kind != (tal.sampleRate, tal.channels, tal.bitDepth):
                raise StreamError(
                    "invalid_argument", "the frames of one question have one sample rate, channels, depth"
                )
            gathered.add(pcm)
    if text:
        return Question(checked_text(text, limits))
    return Question("", gathered.sound() if gathered is not None else _no_sound())


class GatheredSound:
    """The PCM of a question as it arrives, no more of it than is listened to."""

    def __init__(self, sample_rate: int, channels: int, bit_depth: Literal[16, 32], limits: AppLimits) -> None:
        self.kind = (sample_rate, channels, bit_depth)
        self._depth = bit_depth
        self._seconds = limits.speech_seconds
        self._most = int(limits.speech_seconds * sample_rate) * channels * bit_depth // 8
        self._pcm = bytearray()

    def add(self, pcm: bytes) -> None:
        if len(self._pcm) + len(pcm) > self._most:
            raise RequestError(413, "resource_exhausted", f"a spoken question is at most {self._seconds:g} s long")
        self._pcm += pcm

    def sound(self) -> Sound:
        if not self._pcm:
            _no_sound()
        return Sound(bytes(self._pcm), self.kind[0], self.kind[1], self._depth)


def _no_sound() -> NoReturn:
    raise StreamError("invalid_argument", "the question has no sound, and no text")


def checked_text(question: str, limits: AppLimits) -> str:
    """The question, stripped. Raises `StreamError` if it is empty, or longer than the limits allow."""
    question = question.strip()
    if not question:
        raise StreamError("invalid_argument", "the question is empty")
    if len(question) > limits.question:
        raise RequestError(413, "resource_exhausted", f"a question has at most {limits.question} characters here")
    return question


def _content_type(request: Request) -> str:
    sent = parse_media_type(request.headers.get("content-type", ""))
    return "" if sent is None else sent.name


def _unsupported(message: str, accepted: list[str]) -> RequestError:
    return RequestError(415, "invalid_argument", message, {"accept": accepted})
