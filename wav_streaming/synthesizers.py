"""Speech out: text to sound, behind one small protocol."""

from __future__ import annotations

from typing import Protocol

from .sound import Sound

__all__ = ["Synthesizer"]


class Synthesizer(Protocol):
    """What speaks a text. Any object with this method will do.

    It must not block the event loop, and when its task is cancelled it must let go of what it holds.
    """

    async def synthesize(self, text: str) -> Sound:
        """`text` spoken: PCM of 16 bits; empty for a text with nothing to say. Raises `SynthesisError`."""
        ...
