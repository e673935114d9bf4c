"""`SoundCache`: bounded in bytes, one synthesis of a sentence at a time."""

from __future__ import annotations

import asyncio

import pytest
from deadlines import until
from hypothesis import given
from hypothesis import strategies as st
from voices import Tone

from wav_streaming import EspeakSynthesizer, SoundCache, with_cache
from wav_streaming.voices import VoicedSynthesizer


class Gated(Tone):
    """Speaks when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def synthesize(self, text: str):  # type: ignore[no-untyped-def]
        self.at_work += 1
        try:
            await self.gate.wait()
            return await super().synthesize(text)
        finally:
            self.at_work -= 1


@given(st.lists(st.integers(1, 40), max_size=60))
def test_never_has_more_bytes_than_its_limit(lengths: list[int]) -> None:
    async def ask() -> None:
        cache = SoundCache(5_000)
        engine = with_cache(Tone(), cache)
        for length in lengths:
            sound = await engine.synthesize("x" * length)
            assert len(sound.pcm) == 16 * length
            assert cache.size <= 5_000
        assert cache.hits + cache.misses == len(lengths)

    asyncio.run(ask())


async def test_what_was_used_last_stays_and_what_is_too_large_is_not_kept() -> None:
    voice = Tone()
    engine = with_cache(voice, SoundCache(2_600))  # eight of the smallest
    for text in [*"abcdefgh", "a", "i", "a", "b", "large" * 10, "large" * 10]:
        await engine.synthesize(text)
    assert voice.asked == [*"abcdefghi", "b", "large" * 10, "large" * 10]


async def test_askers_at_once_have_one_synthesis() -> None:
    voice = Gated()
    engine = with_cache(voice, SoundCache())
    asking = [asyncio.ensure_future(engine.synthesize("One.")) for _ in range(50)]
    await until(lambda: voice.at_work)
    for task in asking[:49]:
        task.cancel()
    await asyncio.wait(asking[:49])
    voice.gate.set()
    assert (await asking[49]).seconds == 0.004
    assert voice.asked == ["One."]


async def test_the_synthesis_is_cancelled_when_the_last_asker_leaves() -> None:
    voice = Gated()
    engine = with_cache(voice, SoundCache())
    asking = [asyncio.ensure_future(engine.synthesize("One.")) for _ in range(3)]
    await until(lambda: voice.at_work)
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    assert voice.at_work == 0
    voice.gate.set()
    assert (await engine.synthesize("One.")).seconds == 0.004


async def test_a_failure_is_told_to_all_and_asked_again() -> None:
    voice = Tone(seconds=0.01)
    engine = with_cache(voice, SoundCache())
    found = await asyncio.gather(*(engine.synthesize("It stumbles.") for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [OSError] * 3
    assert (await engine.synthesize("It stumbles.")).seconds > 0
    assert len(voice.asked) == 2


async def test_engines_without_an_identity_share_no_sound() -> None:
    cache = SoundCache()
    for _ in range(10):  # a new one often has the address of the one before
        voice = Tone()
        await with_cache(voice, cache).synthesize("One.")
        assert voice.asked == ["One."]
        del voice


def test_each_voice_and_speed_has_its_own_sounds() -> None:
    cached = with_cache(EspeakSynthesizer(), SoundCache())
    assert isinstance(cached, VoicedSynthesizer)
    assert not isinstance(with_cache(Tone(), SoundCache()), VoicedSynthesizer)
    engines = [EspeakSynthesizer().with_voice(voice, speed) for voice in ("af_sarah", "am_adam") for speed in (1, 2)]
    assert len({engine.identity for engine in engines}) == 4
    assert EspeakSynthesizer().identity == EspeakSynthesizer().identity


def test_two_event_loops_share_the_sounds() -> None:
    voice = Tone()
    engine = with_cache(voice, SoundCache())
    for _ in range(2):
        asyncio.run(engine.synthesize("One."))
    assert voice.asked == ["One."]


def test_a_limit_is_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        SoundCache(0)
