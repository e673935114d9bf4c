"""The messages of `POST /api/chat/stream`: an answer as text, at once, and as sound, sentence by sentence.

A message is a header and bytes, as `RawCoder` encodes them:

    {"kind": "text"}                                                        + text in UTF-8, as the model gives it
    {"kind": "audio", "sentence": 3, "text": "It did. ", "format": "s16le",
     "rate": 22050, "channels": 1, "samples": 19845, "at": 1834512}         + PCM: the first 0.2 s of the sentence
    {"kind": "audio", "sentence": 3, "format": "s16le", ..., "at": 2034512} + the next ones, without text
    {"kind": "audio", "sentence": 4, "text": "Why? ", "error": "unavailable"}   a sentence that could not be spoken

The texts of the text messages together are the answer, and those of the audio messages too. The audio of a sentence
comes after its text. `sentence` counts from 1; `samples` is how many sample frames the sentence has in all, and `at`
where the piece begins in the sound of the answer, in microseconds. To a client that can read them, a sentence may be
sent as a file, whole: `format` is then `flac` or `ogg-opus`, and the decoded sound is to be cut or padded to `samples`
sample frames at `rate`, whatever rate the decoder gives. A sentence that another voice speaks than the one
before it has the name of that voice in `voice`. A reader skips a `kind` or `format` that it does not know. The trailers
are a `Summary`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from fractions import Fraction
from typing import Any, Final, NamedTuple, Protocol, cast, runtime_checkable

import msgspec

from wav_streaming import Sound, Speaker, Spoken, TALAudio, speak_along, to_int16, to_mono
from wav_streaming.synthesizers import Synthesizer
from wav_streaming.voices import voice_of

from ..errors import ObjectStreamError, StreamError
from .answers import Answerer, whole_characters
from .chat_formats import SoundFormats
from .voice import speech_frames

__all__ = ["Summary", "chat_messages", "spoken_messages", "tokens_of"]

log = logging.getLogger("objectstreaming.server")

_PIECE: Final = Fraction(1, 5)
"""Seconds of sound in a message: over a slow link the first piece plays while the next ones arrive."""


@runtime_checkable
class TokenAnswerer(Protocol):
    """An answerer that gives its answers in pieces too, before a sentence is complete."""

    def tokens(self, question: str) -> AsyncIterator[str]:
        """The pieces of the answer, in order; together they are the answer."""


@runtime_checkable
class ConversationAnswerer(Protocol):
    """An answerer that looks at what was said before the question."""

    def converse(self, messages: Sequence[Mapping[str, str]]) -> AsyncIterator[str]:
        """The pieces of the answer to the last message. Each has a `role` and a `content`, as OpenAI's clients send."""


async def tokens_of(
    answerer: Answerer, question: str, conversation: Sequence[Mapping[str, str]] = ()
) -> AsyncGenerator[str]:
    """The text of an answer in pieces. Raises `StreamError` if it is empty.

    `conversation` is what was said before the question, and the question, for an answerer that looks at it.
    """
    is_empty = True
    pieces = _pieces(answerer, question, conversation)
    async with aclosing(pieces), aclosing(whole_characters(pieces)) as whole:
        async for piece in whole:
            is_empty = is_empty and not piece
            yield piece
    if is_empty:
        raise StreamError("unavailable", "there is no answer")


async def _pieces(answerer: Answerer, question: str, conversation: Sequence[Mapping[str, str]]) -> AsyncGenerator[str]:
    given: AsyncIterator[str] | None = None
    if conversation and isinstance(answerer, ConversationAnswerer):
        given = answerer.converse(conversation)
    elif isinstance(answerer, TokenAnswerer):
        given = answerer.tokens(question)
    if given is not None:
        async with aclosing(given) as tokens:  # type: ignore[type-var]
            async for token in tokens:
                yield token
        return
    between = ""
    async with aclosing(answerer.answer(question)) as sentences:  # type: ignore[type-var]
        async for text, _ in sentences:
            yield between + text
            between = " "


class Summary(msgspec.Struct):
    """What an answer was: the trailers of its stream. Times in seconds since it began; 0 if there was none."""

    sentences: int = 0
    audio: int = 0
    """Sentences with sound."""
    failed: int = 0
    """Sentences that could not be spoken."""
    first_text: float = 0.0
    first_audio: float = 0.0
    seconds: float = 0.0
    """Of sound."""
    cached: int = 0
    """Sentences whose sound was kept from an earlier answer."""

    def trailers(self) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", msgspec.to_builtins(self))


class _Prepared(NamedTuple):
    """A sound as it is to be sent."""

    sound: Sound
    encoded: tuple[dict[str, Any], bytes] | None = None
    error: str | None = None


async def chat_messages(
    tokens: AsyncGenerator[str],
    synthesizer: Synthesizer | Speaker | None,
    summary: Summary,
    *,
    sample_rate: int | None = None,
    formats: SoundFormats | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[tuple[Mapping[str, Any], bytes]]:
    """The messages of an answer; without a synthesizer only those with text. `sample_rate` is that of the sound, if it
    is not to be the voice's own. `formats` chooses how it is sent; without, it is PCM. `summary` is filled in. The
    synthesizer of a `Speaker` may be changed meanwhile."""
    began = clock()
    heard = Fraction(0)
    voice = voice_of(synthesizer.synthesizer if isinstance(synthesizer, Speaker) else synthesizer)
    prepared: dict[int, _Prepared] = {}

    async def prepare(spoken: Spoken) -> None:
        if spoken.sound is not None:
            prepared[spoken.index] = await _prepare(spoken.sound, formats, sample_rate)

    items: AsyncGenerator[str | Spoken] = tokens
    if synthesizer is not None:
        items = speak_along(tokens, synthesizer, prepare=prepare)  # the text does not wait for what takes its time
    async with aclosing(items):
        async for item in items:
            if isinstance(item, str):
                if item:
                    summary.first_text = summary.first_text or _seconds(clock() - began)
                    yield {"kind": "text"}, item.encode(errors="replace")
                continue
            summary.sentences += 1
            header: dict[str, Any] = {"kind": "audio", "sentence": item.index, "text": item.text}
            if item.error is not None:
                summary.failed += 1
                header["error"] = item.error
            if item.sound is None:
                yield header, b""
                continue
            if item.voice != voice:
                voice = header["voice"] = item.voice
            sound, encoded, error = prepared.pop(item.index)
            if error is None and encoded is None and formats is not None:
                _, encoded, error = await _prepare(sound, formats)  # the link is slower than it was known to be
            if error is not None:
                summary.failed += 1
                yield {**header, "error": error}, b""
                continue
            summary.audio += 1
            summary.cached += item.cached
            summary.first_audio = summary.first_audio or _seconds(clock() - began)
            if encoded:
                form, data = encoded
                yield {**header, **form, "at": round(1_000_000 * heard)}, data
            else:
                for message in _pieces_of_sound(header, sound, heard):
                    yield message
            heard += Fraction(len(sound.pcm) // sound.block_align, sound.sample_rate)
            summary.seconds = round(float(heard), 3)


def _seconds(time: float) -> float:
    return max(0.001, round(time, 3))  # 0 is that there was none


async def _prepare(sound: Sound, formats: SoundFormats | None, sample_rate: int | None = None) -> _Prepared:
    try:
        sound = await _as_16_bits(sound, sample_rate)
        return _Prepared(sound, None if formats is None else await formats.encoded(sound))
    except Exception as error:
        log.warning("a sound could not be sent: %r", sound, exc_info=True)
        return _Prepared(sound, error=error.code if isinstance(error, ObjectStreamError) else "unavailable")


def _pieces_of_sound(header: dict[str, Any], sound: Sound, heard: Fraction) -> Iterator[tuple[dict[str, Any], bytes]]:
    form = {"format": "s16le", "rate": sound.sample_rate, "channels": sound.channels}
    samples = len(sound.pcm) // sound.block_align
    step = max(1, int(_PIECE * sound.sample_rate))
    header = {**header, **form, "samples": samples}
    for start in range(0, samples, step):
        # Rounded from the exact sum, so that no error adds up.
        at = round(1_000_000 * (heard + Fraction(start, sound.sample_rate)))
        yield {**header, "at": at}, sound.pcm[start * sound.block_align : (start + step) * sound.block_align]
        header = {"kind": "audio", "sentence": header["sentence"], **form}


async def _as_16_bits(sound: Sound, sample_rate: int | None) -> Sound:
    if sample_rate is not None and sample_rate != sound.sample_rate:
        return await asyncio.to_thread(to_mono, sound, sample_rate)
    if sound.bit_depth == 16:
        return sound
    return Sound(to_int16(sound.samples).tobytes(), sound.sample_rate, sound.channels)


async def spoken_messages(
    tokens: AsyncGenerator[str], synthesizer: Synthesizer, question: str
) -> AsyncGenerator[tuple[TALAudio, bytes]]:
    """The same answer as frames of speech, as `/wav` sends them: a sentence and its sound in each."""

    async def sentences() -> AsyncGenerator[tuple[str, str, Spoken]]:
        async with aclosing(speak_along(tokens, synthesizer)) as items:
            async for item in items:
                if isinstance(item, Spoken):
                    yield item.text, "", item

    async with aclosing(sentences()) as spoken, aclosing(speech_frames(question, spoken)) as messages:
        async for message in messages:
            yield message
