"""Spoken questions and answers: an `Answerer`, a `Recognizer` and a `Synthesizer` give messages of speech.

Sentences are synthesized one after the other, each as soon as it is there, so that the first can be played while the
answer is still being made. The synthesizer works on one sentence at a time. The response reads ahead of the sending, so
that the next sentence is synthesized while one is sent. An answer has one `SpeechFilter`: it remembers the code block
or the link that a sentence before has opened.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from wav_streaming import TALAudio
from wav_streaming.recognizers import Recognizer
from wav_streaming.sound import Sound
from wav_streaming.speakable import SpeechFilter
from wav_streaming.synthesizers import Synthesizer

from ..errors import StreamError
from .answers import Answerer, Sentence
from .questions import GatheredSound, Question

__all__ = ["Voice"]

log = logging.getLogger("objectstreaming.server")

_LARGEST_SOUND: Final = 4 * 1024 * 1024
"""The most bytes of PCM in a frame. A longer sentence continues in the next frame."""


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
        answer: AsyncIterator[Sentence] = self._answerer.answer(asked)
        order = 0
        sound = Sound(b"", 16000)
        async with aclosing(answer) as sentences, aclosing(_with_speech(sentences)) as pieces:  # type: ignore[type-var]
            async for text, source, spoken in pieces:
                sound = await self._say(spoken) or Sound(b"", sound.sample_rate, sound.channels, sound.bit_depth)
                # At least one frame, for the text. More only if the sound is larger than a frame may be.
                step = _LARGEST_SOUND - _LARGEST_SOUND % sound.block_align
                for start in range(0, len(sound.pcm) or 1, step):
                    order += 1
                    tal = _header(sound, asked, order, sign=1 if order == 1 else 2)
                    if start == 0:
                        tal.answer, tal.url = text, source
                    yield tal, sound.pcm[start : start + step]
        if not order:
            raise StreamError("unavailable", "there is no answer")
        yield _header(sound, asked, order + 1, sign=3), b""

    async def _hear(self, speech: GatheredSound | None) -> str:
        assert speech is not None
        assert self._recognizer is not None
        try:
            text = (await self._recognizer.recognize(speech.sound())).strip()
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

    async def _say(self, text: str) -> Sound | None:
        """`text` as sound. `None` if there is nothing to say, or the engine failed: the text is sent all the same."""
        assert self._synthesizer is not None
        if not text:
            return None
        try:
            return await self._synthesizer.synthesize(text)
        except Exception:
            log.warning("a sentence of %d characters could not be spoken", len(text), exc_info=True)
            return None


async def _with_speech(sentences: AsyncIterator[Sentence]) -> AsyncGenerator[tuple[str, str, str]]:
    """Text and source of each sentence, and what is spoken of it; at the end what the filter still held."""
    speech = SpeechFilter()
    async for text, source in sentences:
        yield text, source, speech.feed(text + "\n")  # the answerer removed the end of the line, if there was one
    if rest := speech.finish():
        yield "", "", rest


def _header(sound: Sound, question: str, order: int, *, sign: int) -> TALAudio:
    tal = TALAudio(sampleRate=sound.sample_rate, channels=sound.channels, question=question, order=order)
    tal.bitDepth, tal.audioType = sound.bit_depth, "int16" if sound.bit_depth == 16 else "int32"
    tal.sign = sign  # type: ignore[assignment]
    return tal
