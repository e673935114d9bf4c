"""Speech in: sound to text, behind one small protocol."""

from __future__ import annotations

from typing import Protocol

from .sound import Sound

__all__ = ["Recognizer"]


class Recognizer(Protocol):
    """What turns a `Sound` into text. Any object with this method will do.

    It must not block the event loop: an engine that computes does so on a thread or in a process of its own.
    """

    async def recognize(self, sound: Sound) -> str:
        """The words that were said, "" for silence. Raises `RecognitionError`."""
        ...
