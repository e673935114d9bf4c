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
from wav_streaming.sound import Sound


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

    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        async for sentence in super().answer(question):
            yield sentence
        raise OSError("/etc/secret")


class Tone:
    """Speaks each character as 10 ms of a tone."""

    def __init__(self, unspeakable: str = "") -> None:
        self.unspeakable = unspeakable

    async def synthesize(self, text: str) -> Sound:
        if self.unspeakable and self.unspeakable in text:
            raise RuntimeError("out of breath: /usr/lib/voices/secret")
        samples = [int(8_000 * math.sin(n / 5)) for n in range(80 * len(text))]
        return Sound(struct.pack(f"<{len(samples)}h", *samples), 8_000)


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
