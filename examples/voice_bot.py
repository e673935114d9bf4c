"""A voice bot: a WAV file in, speech out, sentence by sentence while the answer is being made.

    pip install 'objectstreaming[server,voice]'       # and espeak-ng or flite, which speak
    uvicorn --app-dir examples voice_bot:app

A client posts the file as audio/wav, and reads the answer with TALCoder, as speaking_client.py does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import cache
from typing import Annotated

from fastapi import Body, Depends, FastAPI

import wav_streaming as speech
from objectstreaming import StreamError
from objectstreaming.server import FrameResponse, error_handlers

app = FastAPI(exception_handlers=error_handlers)


@cache
def ears() -> speech.Recognizer:
    return speech.PocketsphinxRecognizer()


@cache
def voice() -> speech.Synthesizer:
    return speech.default_synthesizer()


async def model(question: str) -> AsyncIterator[str]:
    """A stand-in for your model."""
    for word in f"You asked: {question}. That is all.".split():
        yield word + " "


@app.post("/talk", response_class=FrameResponse.of(speech.TALCoder()))
async def talk(
    wav: Annotated[bytes, Body(media_type="audio/wav")],
    recognizer: Annotated[speech.Recognizer, Depends(ears)],
    synthesizer: Annotated[speech.Synthesizer, Depends(voice)],
) -> AsyncIterator[tuple[speech.TALAudio, bytes]]:
    try:
        question = await recognizer.recognize(speech.read_wav(wav))
    except speech.WavError as error:
        raise StreamError("invalid_argument", str(error)) from error
    order = 0
    async with aclosing(speech.speak_along(model(question), synthesizer)) as items:
        async for item in items:
            if isinstance(item, speech.Spoken) and item.sound is not None:
                order += 1
                rate, sign = item.sound.sample_rate, 1 if order == 1 else 2
                tal = speech.TALAudio(question=question, answer=item.text, sampleRate=rate, sign=sign, order=order)
                yield tal, item.sound.pcm
    yield speech.TALAudio(question=question, sign=3, order=order + 1), b""  # that was all
