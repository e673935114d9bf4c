"""Reads questions from request bodies: JSON, WAV files and frames of speech; incrementally, and with limits.

An error in a question is a `RequestError` or `StreamError`, raised before an answer begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.types import Message

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
from .memory import Share

__all__ = [
    "WAV_TYPES",
    "GatheredSound",
    "Question",
    "checked_text",
    "read_json",
    "read_json_question",
    "read_question",
    "text_member",
]

WAV_TYPES: Final = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
_FRAME_TYPES: Final = (MEDIA_TYPE, PLAIN_MEDIA_TYPE)

_JSON_BODY: Final = 64 * 1024
_BLOCK: Final = 64 * 1024


class Question(msgspec.Struct, frozen=True):
    """A question as text or, if `speech` is not `None`, as speech that is still to be recognized."""

    text: str
    speech: GatheredSound | None = None


async def read_json_question(request: Request, limits: AppLimits, share: Share) -> Question:
    """`{"question": "..."}` as JSON."""
    return Question(checked_text(text_member(await read_json(request, limits, share), "question"), limits))


async def read_json(request: Request, limits: AppLimits, share: Share, *, most: int = _JSON_BODY) -> Any:
    """The value of a body that is JSON, of `most` bytes at most."""
    request = _counted(request, share)
    if _content_type(request) != "application/json":
        raise _unsupported("the question must be JSON", ["application/json"])
    body = bytearray()
    async with _in_bounds(limits, share):
        async for chunk in RequestBody(request, max_body=min(limits.body, most)):
            body += chunk
    share.give_back()  # from here on it is small
    try:
        return strict_json.loads(bytes(body))
    except strict_json.InvalidJSON as error:
        raise RequestError(400, "invalid_argument", f"the body is not JSON: {error}") from None


def text_member(value: Any, name: str) -> str:
    """The member `name` of an object, a string. Raises `StreamError` if it is not there."""
    text = value.get(name) if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise StreamError("invalid_argument", f'the question must be {{"{name}": "..."}}, a string in an object')
    return text


async def read_question(request: Request, limits: AppLimits, share: Share) -> Question:
    """A WAV file, or frames of speech. The first frame with a `question` in its header asks by text."""
    request = _counted(request, share)
    async with _in_bounds(limits, share):
        kind = _content_type(request)
        if kind in WAV_TYPES:
            return await _read_wav(request, limits, share)
        if kind in _FRAME_TYPES:
            return await _read_frames(request, limits, share)
    raise _unsupported("the question must be a WAV file or frames of speech", [*WAV_TYPES[:1], *_FRAME_TYPES])


@asynccontextmanager
async def _in_bounds(limits: AppLimits, share: Share) -> AsyncIterator[None]:
    """Limits how long a body may take to arrive. If it is not read to its end, its memory is given back."""
    try:
        with share:
            async with asyncio.timeout(limits.body_seconds) as clock:
                yield
    except TimeoutError:
        if not clock.expired():
            raise
        raise RequestError(408, "deadline_exceeded", "the body took too long to arrive") from None


def _counted(request: Request, share: Share) -> Request:
    """The request, whose bytes take their share as they arrive, whatever becomes of them."""

    async def receive() -> Message:
        message = await request.receive()
        share.take(len(message.get("body", b"")))
        return message

    return Request(request.scope, receive)


async def _read_wav(request: Request, limits: AppLimits, share: Share) -> Question:
    decoder = WavDecoder(limit=limits.body)
    gathered = GatheredSound(limits, share)

    def add(pcm: bytes) -> None:
        if decoder.ready:
            gathered.add(pcm, decoder.sample_rate, decoder.channels, decoder.bit_depth)

    try:
        async for chunk in RequestBody(request, max_body=limits.body):
            add(decoder.feed(chunk))
        add(decoder.finish())
    except WavError as error:
        raise StreamError("invalid_argument", str(error)) from None
    return Question("", gathered.checked())


async def _read_frames(request: Request, limits: AppLimits, share: Share) -> Question:
    """Reads all frames, also after one that asks by text: an error anywhere in the body is an error."""
    text = ""
    gathered = GatheredSound(limits, share)
    messages = read_messages(request, TALCoder(), limits=Limits(frame=4 * MiB), max_body=limits.body)
    async with aclosing(messages):  # type: ignore[type-var]
        async for tal, pcm in messages:
            text = text or tal.question.strip()
            gathered.add(pcm, tal.sampleRate, tal.channels, tal.bitDepth)
    if not text:
        return Question("", gathered.checked())
    gathered.release()
    return Question(checked_text(text, limits))


class GatheredSound:
    """The PCM of a question as it arrives, until it is recognized. Takes no more of it than that, or than a body has.

    `share` is the memory that the question has taken.
    """

    def __init__(self, limits: AppLimits, share: Share) -> None:
        self._limits = limits
        self._share = share
        self._format: tuple[int, int, Literal[16, 32]] | None = None
        self._largest = 0
        # In blocks: one buffer that grows would be moved again and again, and leave its memory in pieces.
        self._blocks: list[bytearray] = []
        self._size = 0

    @property
    def has_begun(self) -> bool:
        """Whether there was a piece of sound, perhaps an empty one."""
        return self._format is not None

    def add(self, pcm: bytes, sample_rate: int, channels: int, bit_depth: Literal[16, 32]) -> None:
        """Append PCM. Raises `StreamError` if its format is not that of the pieces before it, or if it is too much."""
        if self._format is None:
            self._format = (sample_rate, channels, bit_depth)
            self._largest = int(self._limits.speech_seconds * sample_rate) * channels * bit_depth // 8
        elif self._format != (sample_rate, channels, bit_depth):
            raise StreamError(
                "invalid_argument", "the sound of one question must not change its sample rate, channels or bit depth"
            )
        size = self._size + len(pcm)
        if size > self._largest or size > self._limits.body:
            most = f"{self._limits.speech_seconds:g} s" if size > self._largest else f"{self._limits.body} bytes"
            raise RequestError(413, "resource_exhausted", f"a spoken question is at most {most} long")
        self._size = size
        if not self._blocks or len(self._blocks[-1]) >= _BLOCK:
            self._blocks.append(bytearray())
        self._blocks[-1] += pcm

    def checked(self) -> GatheredSound:
        """This, if there is any sound. Raises `StreamError` if there is none."""
        if not self._size:
            raise StreamError("invalid_argument", "the question has neither sound nor text")
        return self

    def sound(self) -> Sound:
        """All of it, to be recognized."""
        assert self._format is not None
        return Sound(b"".join(self._blocks), *self._format)

    def release(self) -> None:
        """It is needed no longer."""
        self._blocks.clear()
        self._share.give_back()


def checked_text(question: str, limits: AppLimits) -> str:
    """The question without white space around it. Raises `StreamError` if it is empty, or too long for the limits."""
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
