"""Spoken questions and answers: an `Answerer`, a `Recognizer` and a `Synthesizer` give messages of speech.

Sentences are spoken one after the other (`Speaker`), each as soon as it is there, so that the first can be played while
the answer is still being made. The response reads ahead of the sending, so that the next sentence is spoken while one
is sent.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from wav_streaming import TALAudio
from wav_streaming.outcomes import guarded, guarded_items
from wav_streaming.recognizers import Recognizer
from wav_streaming.sound import Sound
from wav_streaming.speaker import Speaker, Spoken
from wav_streaming.synthesizers import Synthesizer
from wav_streaming.voices import SPEEDS, UnknownVoice, VoicedSynthesizer, voice_of

from ..errors import StreamError
from .answers import Answerer
from .questions import GatheredSound, Question

__all__ = ["UNSPOKEN", "Voice", "speech_frames", "with_voice"]

log = logging.getLogger("objectstreaming.server")

_LARGEST_SOUND: Final = 4 * 1024 * 1024
"""The most bytes of PCM in a frame. A longer sentence continues in the next frame."""


UNSPOKEN: Final = "unspoken"
"""The member of a header, and of a `metadata` event, that says once that text comes without sound, and why."""


def with_voice(engine: Synthesizer | None, voice: Any, speed: Any) -> Synthesizer | None:
    """`engine` with a voice and a speed; `None` is its own. Raises `StreamError` for those that it does not have.

    Both come from a request: they may be anything.
    """
    if not (voice is None or (isinstance(voice, str) and 0 < len(voice) <= 100)):
        raise StreamError("invalid_argument", "`voice` is the name of a voice; GET /api/chat/voices lists them")
    speed = 1 if speed is None else speed
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise StreamError("invalid_argument", "`speed` is a number from 0.5 to 2")
    if engine is None or (voice is None and speed == 1):
        return engine
    if not isinstance(engine, VoicedSynthesizer):
        raise StreamError("invalid_argument", "this server has one voice, at its own speed")
    voice = voice or voice_of(engine)
    if not voice:
        raise StreamError("invalid_argument", "`speed` needs a `voice` here: this server does not say which is its own")
    try:
        return engine.with_voice(voice, speed)
    except UnknownVoice as error:
        raise StreamError("invalid_argument", str(error)) from None


class Voice:
    """Answers questions in speech. An engine may be `None`: what needs it is then `unimplemented`."""

    def __init__(self, answerer: Answerer, synthesizer: Synthesizer | None, recognizer: Recognizer | None) -> None:
        self._answerer = answerer
        self._synthesizer = synthesizer
        self._recognizer = recognizer

    def check(self, question: Question) -> None:
        """Raise `StreamError` if this question needs an engine that is missing."""
        if self._synthesizer is None:
            raise StreamError("unimplemented", "this server cannot speak: it has neither espeak-ng nor flite")
        if question.speech is not None and self._recognizer is None:
            raise StreamError("unimplemented", "this server cannot listen: it has no pocketsphinx; ask by text")

    async def answer(self, question: Question) -> AsyncIterator[tuple[TALAudio, bytes]]:
        """The messages of the answer, from sign 1 to sign 3."""
        asked = question.text or await self._hear(question.speech)
        async with aclosing(self._spoken(asked)) as sentences, aclosing(speech_frames(asked, sentences)) as messages:
            async for message in messages:
                yield message

    async def _spoken(self, question: str) -> AsyncGenerator[tuple[str, str, Spoken]]:
        assert self._synthesizer is not None
        speaker = Speaker(self._synthesizer)
        async with aclosing(guarded_items(self._answerer.answer(question))) as sentences:
            async for text, source in sentences:
                speaker.say(text + "\n")  # the answerer removed the end of the line, if there was one
                yield text, source, await anext(speaker)
        speaker.finish()
        async for rest in speaker:
            yield "", "", rest

    async def _hear(self, speech: GatheredSound | None) -> str:
        assert speech is not None
        assert self._recognizer is not None
        try:
            text = (await guarded(self._recognizer.recognize(speech.sound()))).strip()
        except StreamError:
            raise
        except Exception as error:
            log.warning("recognition failed", exc_info=True)
            raise StreamError("unavailable", "the question could not be recognized") from error
        finally:
            speech.release()
        if not text:
            raise StreamError("invalid_argument", "no word was recognized in the question")
        return text


async def speech_frames(
    question: str, sentences: AsyncIterable[tuple[str, str, Spoken]]
) -> AsyncGenerator[tuple[TALAudio, bytes]]:
    """The messages of a spoken answer, from sign 1 to sign 3, made of the text, the source and the sound of each
    sentence. Raises `StreamError` if there is none."""
    order = 0
    unspoken = False  # the client was told that something could not be spoken
    sound = Sound(b"", 16000)
    async for text, source, spoken in sentences:
        sound = spoken.sound or Sound(b"", sound.sample_rate, sound.channels, sound.bit_depth)
        # At least one frame, for the text. More only if the sound is larger than a frame may be.
        step = _LARGEST_SOUND - _LARGEST_SOUND % sound.block_align
        for start in range(0, len(sound.pcm) or 1, step):
            order += 1
            tal = _header(sound, question, order, sign=1 if order == 1 else 2)
            if start == 0:
                tal.answer, tal.url = text, source
                if spoken.error is not None and not unspoken:
                    unspoken = True
                    tal.extra = {UNSPOKEN: f"{spoken.error}: this, and perhaps more of the answer, comes without sound"}
            yield tal, sound.pcm[start : start + step]
    if not order:
        raise StreamError("unavailable", "there is no answer")
    yield _header(sound, question, order + 1, sign=3), b""


def _header(sound: Sound, question: str, order: int, *, sign: int) -> TALAudio:
    tal = TALAudio(sampleRate=sound.sample_rate, channels=sound.channels, question=question, order=order)
    tal.bitDepth, tal.audioType = sound.bit_depth, "int16" if sound.bit_depth == 16 else "int32"
    tal.sign = sign  # type: ignore[assignment]
    return tal
