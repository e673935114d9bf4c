"""Keeps the sounds of sentences that are spoken again and again, in a bounded number of bytes.

`with_cache` puts a cache in front of a synthesizer. A sentence that is asked for several times at once is spoken once.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from .outcomes import Failed, outcome
from .sound import Sound
from .synthesizers import Synthesizer
from .voices import Voice, VoicedSynthesizer

__all__ = ["CachedSynthesizer", "SoundCache", "with_cache"]

_ENTRY: Final = 300
"""The bytes of an entry beside its samples."""

_engines: Final = itertools.count()


class SoundCache:
    """The sounds that were used last.

    May be shared by synthesizers, event loops and threads. `size` is how many bytes it has, `hits` and `misses` how
    often a sound was there or not.

    Args:
        limit: how many bytes of sound are kept, at most. A sound that is larger than an eighth of that is not kept.
    """

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        if limit < 1:
            raise ValueError(f"limit is a positive number of bytes, not {limit}")
        self.limit = limit
        self.size = self.hits = self.misses = 0
        self._lock = threading.Lock()
        self._sounds: OrderedDict[bytes, Sound] = OrderedDict()
        self._making: dict[tuple[asyncio.AbstractEventLoop, bytes], _Making] = {}

    async def get(self, key: bytes, make: Callable[[], Coroutine[Any, Any, Sound]]) -> tuple[Sound, bool]:
        """A sound, and whether it was here. If not, it is made once, for all who ask for it meanwhile.

        Args:
            key: the same key is the same sound.
            make: makes it. It is cancelled when the last of those who wait leaves. What it raises is raised to each of
                them, and not kept.

        Returns:
            The sound, and whether it was here.
        """
        with self._lock:
            sound = self._sounds.get(key)
            if sound is not None:
                self._sounds.move_to_end(key)
                self.hits += 1
                return sound, True
            self.misses += 1
        # Each event loop makes its own: a task of one cannot be awaited in another.
        here = asyncio.get_running_loop(), key
        making = self._making.get(here)
        if making is None:
            making = self._making[here] = _Making(asyncio.ensure_future(outcome(make())))
        making.waiting += 1
        try:
            made = await asyncio.shield(making.task)
            if isinstance(made, Failed):
                raise made.error
            self._keep(key, made)
            return made, False
        finally:
            making.waiting -= 1
            if not making.waiting:
                del self._making[here]
                if not making.task.done():
                    making.task.cancel()
                    await asyncio.wait([making.task])

    def __contains__(self, key: bytes) -> bool:
        return key in self._sounds

    def _keep(self, key: bytes, sound: Sound) -> None:
        size = len(sound.pcm) + _ENTRY
        if 8 * size > self.limit:
            return
        with self._lock:
            if key in self._sounds:
                return
            self._sounds[key] = sound
            self.size += size
            while self.size > self.limit:
                _, oldest = self._sounds.popitem(last=False)
                self.size -= len(oldest.pcm) + _ENTRY


class _Making:
    def __init__(self, task: asyncio.Future[Sound | Failed]) -> None:
        self.task = task
        self.waiting = 0


def with_cache(engine: Synthesizer, cache: SoundCache) -> Synthesizer:
    """An engine that is asked only for what the cache does not have. It has voices if the engine has.

    An engine says what its sounds depend on beside the text, by a property `identity`; without it, no two engines share
    a sound.

    >>> class Silence:
    ...     async def synthesize(self, text):
    ...         print("spoken")
    ...         return Sound(bytes(2 * len(text)), 8000)
    >>> async def speak():
    ...     engine = with_cache(Silence(), SoundCache())
    ...     return [(await engine.synthesize("Yes.")).seconds for _ in range(3)]
    >>> asyncio.run(speak())
    spoken
    [0.0005, 0.0005, 0.0005]

    Args:
        engine: is not changed.
        cache: may be shared by several engines.
    """
    return _CachedVoices(engine, cache) if isinstance(engine, VoicedSynthesizer) else CachedSynthesizer(engine, cache)


class CachedSynthesizer:
    """What `with_cache` makes."""

    def __init__(self, engine: Synthesizer, cache: SoundCache) -> None:
        self._engine = engine
        self._cache = cache
        # Not the address of the engine: another one may have it later, while the cache still has these sounds.
        self._identity = getattr(engine, "identity", None) or (type(engine).__qualname__, next(_engines))

    async def synthesize(self, text: str) -> Sound:
        sound, _ = await self.find_or_synthesize(text)
        return sound

    async def find_or_synthesize(self, text: str) -> tuple[Sound, bool]:
        """The sound of the text, and whether the cache had it."""
        return await self._cache.get(self._key(text), lambda: self._engine.synthesize(text))

    def has(self, text: str) -> bool:
        """Whether the cache has the sound of the text now."""
        return self._key(text) in self._cache

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(repr((self._identity, text)).encode(errors="surrogatepass")).digest()


class _CachedVoices(CachedSynthesizer):
    _engine: VoicedSynthesizer

    def voices(self) -> Sequence[Voice]:
        return self._engine.voices()

    def with_voice(self, name: str, speed: float = 1.0) -> VoicedSynthesizer:
        return _CachedVoices(self._engine.with_voice(name, speed), self._cache)
