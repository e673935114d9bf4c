"""The reference app with engines that need no program, for the tests of the app, the page and the commands."""

from __future__ import annotations

import asyncio
import math
import struct
import threading
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

from objectstreaming.app import Settings, create_app
from objectstreaming.app.answers import Answerer, Sentence
from wav_streaming import UnknownVoice, Voice
from wav_streaming.sound import Sound

TEXT = "The fox is red.\n\n  It runs. **Why?** Because.\n"


class Fox:
    """Answers every question with two sentences about it."""

    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        yield Sentence(f"You asked: {question}", "fox.md > Questions")
        yield Sentence("The fox is red.", "")


class Slow(Fox):
    """Gives one sentence, and then nothing until it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()  # it may be in the loop of another thread

    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        try:
            yield Sentence("Wait.", "slow.md")
            await asyncio.Event().wait()
        finally:
            self.closed.set()


class Breaking(Fox):
    """Fails after its two sentences, with a reason that no client may see."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure or OSError("/etc/secret")

    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        async for sentence in super().answer(question):
            yield sentence
        raise self.failure


class Model(Fox):
    """Gives an answer in pieces of a few characters, as a language model does."""

    def __init__(self, text: str = TEXT, step: int = 3) -> None:
        self.text = text
        self.step = step

    async def tokens(self, question: str) -> AsyncIterator[str]:
        for at in range(0, len(self.text), self.step):
            yield self.text[at : at + self.step]


class Waiting(Model):
    """Gives its first sentence, and the rest when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.closed = threading.Event()

    async def tokens(self, question: str) -> AsyncIterator[str]:
        try:
            yield "One. Two"
            while not self.go_on.is_set():  # noqa: ASYNC110  set on another thread
                await asyncio.sleep(0.005)
            yield ". Three."
        finally:
            self.closed.set()


class Tone:
    """Speaks each character as 10 ms of a tone."""

    def __init__(self, unspeakable: str = "") -> None:
        self.unspeakable = unspeakable

    async def synthesize(self, text: str) -> Sound:
        if self.unspeakable and self.unspeakable in text:
            raise RuntimeError("out of breath: /usr/lib/voices/secret")
        samples = [int(8_000 * math.sin(n / 5)) for n in range(80 * len(text))]
        return Sound(struct.pack(f"<{len(samples)}h", *samples), 8_000)


class Choir(Tone):
    """Has two voices and speeds; a voice is a channel count, to be told apart."""

    def __init__(self, voice: str = "solo", speed: float = 1) -> None:
        super().__init__()
        self.voice = voice
        self.speed = speed

    def voices(self) -> list[Voice]:
        voices = [Voice("solo", "en-us", "female"), Voice("duo", "en-gb", "male")]
        return sorted(voices, key=lambda voice: voice.name != self.voice)

    def with_voice(self, name: str, speed: float = 1) -> Choir:
        if name not in ("solo", "duo"):
            raise UnknownVoice("there are solo, duo")
        if not 0.5 <= speed <= 2:
            raise UnknownVoice("there is no such speed")
        return Choir(name, speed)

    async def synthesize(self, text: str) -> Sound:
        sound = await super().synthesize(text)
        pcm = sound.pcm[: 2 * int(len(sound.pcm) / 2 / self.speed)]
        return Sound(pcm * (2 if self.voice == "duo" else 1), sound.sample_rate, 2 if self.voice == "duo" else 1)


class Hanging(Tone):
    """Never speaks."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work = 0

    async def synthesize(self, text: str) -> Sound:
        self.at_work += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.at_work -= 1
        raise AssertionError


class Ear:
    """Always recognizes the same text, and records the sounds."""

    def __init__(self, text: str = "what is a fox") -> None:
        self.text = text
        self.heard: list[Sound] = []

    async def recognize(self, sound: Sound) -> str:
        self.heard.append(sound)
        return self.text


def make_app(*, answerer: Answerer | None = None, voice: Any = None, ear: Any = None, **settings: Any) -> FastAPI:
    return create_app(
        Settings(**settings),
        answerer=answerer if answerer is not None else Fox(),
        synthesizer=voice if voice is not None else Tone(),
        recognizer=ear if ear is not None else Ear(),
    )


def sound(seconds: float = 0.5) -> bytes:
    return b"".join(struct.pack("<h", int(9_000 * math.sin(n / 8))) for n in range(int(16_000 * seconds)))
