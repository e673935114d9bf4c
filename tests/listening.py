"""A listener, a voice and answers for simulations on a fake clock: what is heard when, and how long is silence?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

from wav_streaming import Sound

__all__ = ["Listener", "TimedVoice", "answers", "model"]


class TimedVoice:
    """A voice that takes `a` seconds a call and `b` for each second of sound, and says 15 characters a second."""

    def __init__(self, a: float, b: float, sample_rate: int = 1_500) -> None:
        self.a, self.b = a, b
        self.sample_rate = sample_rate
        self.calls = 0

    async def synthesize(self, text: str) -> Sound:
        self.calls += 1
        sound = Sound(bytes(2 * (len(text) * self.sample_rate // 15)), self.sample_rate)
        await asyncio.sleep(self.a + self.b * sound.seconds)
        return sound


class Listener:
    """Hears sound when it has come, in order. Times are seconds of the event loop, from the beginning on."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._heard_at = 0.0
        self.first: float | None = None
        self.silence = 0.0
        """After the first sound."""

    def get(self, seconds: float) -> None:
        """So many seconds of sound have come now."""
        now = self._clock()
        if self.first is None:
            self.first = now - self._began
            self._heard_at = now
        self.silence += max(0.0, now - self._heard_at)
        self._heard_at = max(self._heard_at, now) + seconds


def answers(count: int) -> list[str]:
    """Texts of about 390 characters, with sentences of 30 to 190 characters, some commas, and code, as in
    documentation."""
    chance = random.Random(1)

    def sentence() -> str:
        length = chance.choice([30, 60, 80, 100, 120, 150, 190])
        words = ["The", "`word`"]
        while len(" ".join(words)) < length:
            word = "word"[: chance.randint(1, 4)] * chance.randint(1, 2)
            words.append(word + ("," if chance.random() < 0.12 else ""))
        return " ".join(words) + "."

    return [" ".join(sentence() for _ in range(chance.randint(3, 5))) for _ in range(count)]


async def model(text: str) -> AsyncIterator[str]:
    """A model that writes 240 characters a second, as 60 tokens do."""
    for n in range(0, len(text), 10):
        await asyncio.sleep(1 / 24)
        yield text[n : n + 10]
