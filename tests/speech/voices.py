"""Synthesizers for the tests of what speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from wav_streaming import Sound

__all__ = ["Tone", "tokens"]


class Tone:
    """Speaks each character as one millisecond, after `seconds` of work; fails or hangs where the text says so."""

    def __init__(self, seconds: float = 0, sample_rate: int = 8_000) -> None:
        self.seconds = seconds
        self.sample_rate = sample_rate
        self.asked: list[str] = []
        self.at_work = 0

    async def synthesize(self, text: str) -> Sound:
        self.asked.append(text)
        self.at_work += 1
        try:
            if self.seconds:
                await asyncio.sleep(self.seconds)
            if "hangs" in text:
                await asyncio.Event().wait()
            if "fails" in text or ("stumbles" in text and self.asked.count(text) == 1):
                raise OSError("/dev/secret")
            return Sound(bytes(self.sample_rate // 1_000 * 2 * len(text)), self.sample_rate)
        finally:
            self.at_work -= 1


async def tokens(texts: Iterable[str], every: float = 0) -> AsyncIterator[str]:
    for text in texts:
        if every:
            await asyncio.sleep(every)
        yield text
