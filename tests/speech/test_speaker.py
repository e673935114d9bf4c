"""`Speaker` and `speak_along`: text at once, sound sentence by sentence. Seconds are those of a fake clock."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

import pytest
from deadlines import is_stuck
from fake_clock import on_a_fake_clock
from hypothesis import given
from hypothesis import strategies as st
from voices import Tone, tokens

from wav_streaming import Sound, SoundCache, Speaker, Spoken, SynthesisError, Voice, speak_along, with_cache

Item = str | Spoken


class Panic(BaseException):
    """As a library written in Rust raises."""


class Stuck:
    """Hangs, and swallows every cancellation, until it is released."""

    def __init__(self) -> None:
        self.asked = self.at_work = 0
        self.released = asyncio.Event()

    async def synthesize(self, text: str) -> Sound:
        self.asked += 1
        self.at_work += 1
        while not self.released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.released.wait()
        self.at_work -= 1
        raise OSError("too late")

    async def __aenter__(self) -> Stuck:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.released.set()
        while self.at_work:  # noqa: ASYNC110 - its last turns
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the call itself has ended; its task ends now


class Saying:
    """Gives the same sound for every text."""

    def __init__(self, said: Sound) -> None:
        self.said = said

    async def synthesize(self, text: str) -> Sound:
        return self.said


def text_of(items: list[Item]) -> str:
    return "".join(item for item in items if isinstance(item, str))


def spoken_in(items: list[Item]) -> list[Spoken]:
    return [item for item in items if isinstance(item, Spoken)]


def sounds_in(items: list[Item]) -> list[str]:
    return [spoken.text for spoken in spoken_in(items) if spoken.sound is not None]


async def now() -> float:
    return asyncio.get_running_loop().time()


@on_a_fake_clock
class TestTextAndSound:
    async def test_no_text_waits_for_a_voice(self) -> None:
        times = {}
        async for item in speak_along(tokens(["One. ", "Two. ", "Three."], every=0.1), Tone(seconds=1)):
            times[item if isinstance(item, str) else item.index] = round(await now(), 3)
        assert times == {"One. ": 0.1, "Two. ": 0.2, "Three.": 0.3, 1: 1.2, 2: 2.2, 3: 3.2}

    async def test_a_sound_comes_after_the_last_token_of_its_sentence(self) -> None:
        seen = ""
        async for item in speak_along(tokens(["On", "e. Tw", "o. ", "Three", "."]), Tone()):
            if isinstance(item, str):
                seen += item
            else:
                assert seen.startswith("".join(["One. ", "Two. ", "Three."][: item.index]))

    async def test_silence_of_the_model_is_enough_to_speak_what_looks_complete(self) -> None:
        async def model() -> AsyncIterator[str]:
            yield "Let me look."
            await asyncio.sleep(60)
            yield " Here."

        times = {item.index: await now() async for item in speak_along(model(), Tone()) if isinstance(item, Spoken)}
        assert times == {1: pytest.approx(0.3), 2: pytest.approx(60)}

    async def test_empty_tokens_are_silence_too(self) -> None:
        async def model() -> AsyncIterator[str]:
            yield "Let me look."
            for _ in range(600):
                await asyncio.sleep(0.1)
                yield ""

        times = [await now() async for item in speak_along(model(), Tone()) if isinstance(item, Spoken)]
        assert times == [pytest.approx(0.3)]

    async def test_a_code_block_is_named_and_not_read(self) -> None:
        voice = Tone()
        text = "So:\n```python\nprint('Hi. There.')\n```\nDone."
        assert text_of([item async for item in speak_along(tokens(text), voice)]) == text
        assert voice.asked == ["So:", "a code example", "Done."]

    async def test_what_cannot_be_spoken_comes_without_a_sound_or_an_error(self) -> None:
        [spoken] = spoken_in([item async for item in speak_along(tokens(["---\n"]), Tone())])
        assert (spoken.text, spoken.sound, spoken.error) == ("---\n", None, None)

    async def test_nothing_is_nothing(self) -> None:
        assert [item async for item in speak_along(tokens(["", ""]), Tone())] == []

    async def test_says_how_long_the_voice_took(self) -> None:
        items = [item async for item in speak_along(tokens(["One."]), Tone(seconds=0.5))]
        assert [spoken.took for spoken in spoken_in(items)] == [0.5]


WORDS = st.sampled_from(["It ", "did. ", "fails! ", "Why", "?", "\n", "\n\n", "3.", "14 ", "**", "`", "ok", "…", "。"])


@given(st.lists(WORDS, max_size=30), st.integers(1, 4))
def test_any_cut_of_any_text_gives_the_whole_text_twice(words: list[str], step: int) -> None:
    async def speak() -> list[Item]:
        text = "".join(words)
        return [
            item async for item in speak_along(tokens([text[n : n + step] for n in range(0, len(text), step)]), Tone())
        ]

    items = asyncio.run(speak())
    assert text_of(items) == "".join(words)
    assert "".join(spoken.text for spoken in spoken_in(items)) == "".join(words)
    assert [spoken.index for spoken in spoken_in(items)] == list(range(1, len(spoken_in(items)) + 1))
    assert all("fails" in spoken.text for spoken in spoken_in(items) if spoken.error is not None)


@on_a_fake_clock
class TestFailures:
    async def test_a_sentence_that_fails_costs_its_sound_only(self) -> None:
        items = [item async for item in speak_along(tokens(["One. ", "This fails. ", "Three."]), Tone())]
        assert text_of(items) == "One. This fails. Three."
        assert [(spoken.text, spoken.error) for spoken in spoken_in(items)] == [
            ("One. ", None),
            ("This fails. ", "unavailable"),
            ("Three.", None),
        ]

    async def test_a_voice_that_fails_is_asked_once_more(self) -> None:
        voice = Tone()
        items = [item async for item in speak_along(tokens(["It stumbles. ", "It fails."]), voice)]
        assert sounds_in(items) == ["It stumbles. "]
        assert voice.asked == ["It stumbles."] * 2 + ["It fails."] * 2

    @pytest.mark.parametrize("is_cached", [False, True])
    @pytest.mark.parametrize("wrong", [SystemExit(1), Panic(), asyncio.CancelledError(), None, b"ab", "One."], ids=repr)
    async def test_whatever_a_voice_raises_or_gives_costs_one_sound(self, wrong: Any, is_cached: bool) -> None:
        class Odd(Tone):
            async def synthesize(self, text: str) -> Sound:
                if "odd" not in text:
                    return await super().synthesize(text)
                if isinstance(wrong, BaseException):
                    raise wrong
                return wrong  # type: ignore[no-any-return]

        voice = with_cache(Odd(), SoundCache()) if is_cached else Odd()
        items = [item async for item in speak_along(tokens(["One. ", "It is odd. ", "Three."]), voice)]
        assert [spoken.error for spoken in spoken_in(items)] == [None, "unavailable", None]

    @pytest.mark.parametrize("failure", [SystemExit(1), Panic(), asyncio.CancelledError()], ids=repr)
    async def test_whatever_a_model_raises_is_raised_to_the_reader_alone(self, failure: BaseException) -> None:
        async def model() -> AsyncIterator[str]:
            yield "One. "
            raise failure

        kind = RuntimeError if isinstance(failure, asyncio.CancelledError) else type(failure)
        with pytest.raises(kind):
            _ = [item async for item in speak_along(model(), Tone())]

    async def test_a_voice_that_hangs_costs_one_limit(self) -> None:
        voice = Tone()
        items = [item async for item in speak_along(tokens(["One. ", "It hangs. ", "It hangs. ", "Four."]), voice)]
        assert [spoken.error for spoken in spoken_in(items)] == [None, *["deadline_exceeded"] * 3]
        assert await now() == pytest.approx(30)
        assert voice.at_work == 0

    async def test_the_limit_covers_all_attempts(self) -> None:
        class Slow:
            async def synthesize(self, text: str) -> None:
                await asyncio.sleep(0.7)
                raise SynthesisError("no")

        items = [item async for item in speak_along(tokens(["One."]), Slow(), limit=1)]  # type: ignore[arg-type]
        assert [spoken.error for spoken in spoken_in(items)] == ["deadline_exceeded"]
        assert await now() == pytest.approx(1)

    @pytest.mark.parametrize("is_cached", [False, True])
    async def test_a_voice_that_swallows_the_end_of_its_limit_is_left_behind(self, is_cached: bool) -> None:
        async with Stuck() as stuck:
            voice = with_cache(stuck, SoundCache()) if is_cached else stuck
            items = [item async for item in speak_along(tokens(["One. ", "Two."]), voice)]
            assert await now() == pytest.approx(31)
        assert text_of(items) == "One. Two."
        assert [spoken.error for spoken in spoken_in(items)] == ["deadline_exceeded"] * 2
        assert stuck.asked == 1  # what comes too late is not tried again

    async def test_few_calls_are_left_behind(self) -> None:
        async with Stuck() as stuck:
            for _ in range(20):
                errors = [item.error async for item in speak_along(tokens(["One."]), stuck) if isinstance(item, Spoken)]
            assert (stuck.asked, errors) == (8, ["unavailable"])
        assert sounds_in([item async for item in speak_along(tokens(["One."]), Tone())]) == ["One."]

    async def test_a_thread_that_does_not_return_costs_one_limit_and_one_thread_of_its_pool(self) -> None:
        returns = threading.Event()
        with ThreadPoolExecutor(max_workers=2) as pool:

            class Blocking:
                async def synthesize(self, text: str) -> Sound:
                    await asyncio.get_running_loop().run_in_executor(pool, returns.wait)
                    return Sound(b"", 8_000)

            for _ in range(5):
                items = [item async for item in speak_along(tokens(["One. ", "Two."]), Blocking())]
                assert [spoken.error for spoken in spoken_in(items)] == ["deadline_exceeded"] * 2
            assert await now() == pytest.approx(5 * 30)
            returns.set()

    async def test_a_slow_reader_and_a_slow_model_take_no_time_of_the_voice(self) -> None:
        voice = Tone(seconds=0.9)
        received = []
        async for item in speak_along(tokens([f"Number {n}. " for n in range(5)], every=20), voice, limit=1):
            await asyncio.sleep(10)
            received.append(item)
        assert len(sounds_in(received)) == 5

    async def test_the_failure_of_the_model_is_raised_after_the_sounds_that_were_ready(self) -> None:
        before = asyncio.all_tasks()

        async def model() -> AsyncIterator[str]:
            yield "One. Two. "
            await asyncio.sleep(1)
            raise ConnectionError("gone")

        received: list[Item] = []

        async def read() -> None:
            async for item in speak_along(model(), Tone(seconds=0.1)):
                received.append(item)
                await asyncio.sleep(5)

        with pytest.raises(ConnectionError, match="gone"):
            await read()
        assert sounds_in(received) == ["One. ", "Two. "]
        assert asyncio.all_tasks() == before

    @pytest.mark.parametrize("wrong", [{"ahead": 0}, {"limit": 0}, {"retries": -1}])
    async def test_wrong_arguments_are_refused(self, wrong: dict[str, int]) -> None:
        with pytest.raises(ValueError, match=r"at least|more than"):
            await anext(speak_along(tokens(["One."]), Tone(), **wrong))  # type: ignore[arg-type]


@on_a_fake_clock
class TestBounds:
    async def test_a_reader_that_does_not_read_stops_the_voice_and_the_model(self) -> None:
        given_out = 0

        async def model() -> AsyncIterator[str]:
            nonlocal given_out
            while True:
                given_out += 1
                yield "One more. "

        voice = Tone()
        async with aclosing(speak_along(model(), voice, ahead=2)) as items:
            await anext(items)
            await asyncio.sleep(60)
            assert len(voice.asked) <= 3
            assert given_out <= 260

    async def test_large_tokens_are_bounded_in_characters(self) -> None:
        given_out = 0

        async def model() -> AsyncIterator[str]:
            nonlocal given_out
            while True:
                given_out += 1
                yield "x" * 30_000

        async with aclosing(speak_along(model(), Tone())) as items:
            await anext(items)
            await asyncio.sleep(60)
            assert given_out <= 5

    async def test_what_is_too_much_to_say_is_refused_and_the_text_goes_on(self) -> None:
        sentence = "This is a sentence of fifty characters, as I say. "
        text = [sentence] * 1_000
        items = [item async for item in speak_along(tokens(text), Tone(seconds=0.01))]
        assert text_of(items) == sentence * 1_000
        refused = [spoken for spoken in spoken_in(items) if spoken.error is not None]
        assert {(spoken.error, spoken.text) for spoken in refused} == {("resource_exhausted", "")}
        assert 390 <= len(sounds_in(items)) <= 450
        assert len(refused) == 1_000 - len(sounds_in(items))
        assert [spoken.index for spoken in spoken_in(items)] == list(range(1, 1_001))

    @pytest.mark.parametrize("sound", [Sound(bytes(2**25), 48_000), Sound(bytes(3_000), 1)])
    async def test_a_sound_of_too_many_bytes_or_seconds_is_refused(self, sound: Sound) -> None:
        items = [item async for item in speak_along(tokens(["One."]), Saying(sound))]
        assert [spoken.error for spoken in spoken_in(items)] == ["resource_exhausted"]

    async def test_a_large_token_does_not_keep_other_tasks_from_running_until_it_is_split(self) -> None:
        speaker = Speaker(Tone(), waiting=2**20)
        async with aclosing(speak_along(tokens(["x" * 2**18]), speaker)) as items:
            assert len(await anext(items)) == 2**18
            await anext(items)
        assert speaker.waiting < 2**16


@on_a_fake_clock
class TestLeaving:
    @pytest.mark.parametrize("taken", range(8))
    async def test_after_any_item_nothing_is_left(self, taken: int) -> None:
        before = asyncio.all_tasks()
        closed = asyncio.Event()

        async def model() -> AsyncIterator[str]:
            try:
                async for token in tokens(["One. ", "It hangs. "] * 10, every=0.1):
                    yield token
            finally:
                closed.set()

        voice = Tone(seconds=0.05)
        async with aclosing(speak_along(model(), voice)) as items:
            for _ in range(taken):
                await anext(items)
        assert closed.is_set() or not taken
        assert voice.at_work == 0
        assert asyncio.all_tasks() == before

    async def test_a_model_and_a_voice_that_swallow_a_cancellation_end_too(self) -> None:
        before = asyncio.all_tasks()

        async def model() -> AsyncIterator[str]:
            while True:
                yield "One more. " * 100
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1)

        class Deaf(Tone):
            async def synthesize(self, text: str) -> Sound:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(3)
                return await super().synthesize(text)

        for taken in range(1, 9):
            async with aclosing(speak_along(model(), Deaf())) as items:
                for _ in range(taken):
                    await anext(items)
            assert asyncio.all_tasks() == before

    async def test_a_voice_that_swallows_every_cancellation_is_left_behind(self) -> None:
        before = asyncio.all_tasks()
        async with Stuck() as stuck:
            async with aclosing(speak_along(tokens(["One. ", "Two."]), stuck)) as items:
                await anext(items)
                await asyncio.sleep(0.1)
                assert stuck.at_work == 1
            assert await now() == pytest.approx(1.1)
        assert asyncio.all_tasks() == before

    async def test_many_readers_that_leave_at_once_take_no_sound_from_another(self) -> None:
        class Tidy(Tone):
            """Takes a while to release what it has."""

            async def synthesize(self, text: str) -> Sound:
                try:
                    return await super().synthesize(text)
                except asyncio.CancelledError:
                    await asyncio.sleep(0.5)
                    raise

        async def leave_early() -> None:
            async with aclosing(speak_along(tokens(["One."]), Tidy(seconds=60))) as items:
                await anext(items)
                await asyncio.sleep(0.1)

        async def listen() -> list[str]:
            await asyncio.sleep(0.3)
            return sounds_in([item async for item in speak_along(tokens(["One."]), Tidy())])

        assert (await asyncio.gather(listen(), *(leave_early() for _ in range(20))))[0] == ["One."]

    async def test_a_reader_that_is_cancelled_leaves_nothing(self) -> None:
        before = asyncio.all_tasks()
        voice = Tone()

        async def read() -> None:
            async with aclosing(speak_along(tokens(["It hangs. ", "Two"]), voice)) as items:
                async for _ in items:
                    pass

        reading = asyncio.ensure_future(read())
        assert await is_stuck(reading)
        reading.cancel()
        await asyncio.wait([reading])
        assert voice.at_work == 0
        assert asyncio.all_tasks() == before


@on_a_fake_clock
class TestSpeaker:
    async def test_another_synthesizer_speaks_from_the_next_sentence_on(self) -> None:
        first, second = Tone(seconds=1), Tone()
        speaker = Speaker(first)
        for sentence in ("One. ", "Two. ", "Three. "):
            speaker.say(sentence)
        speaker.finish()
        speaking = asyncio.ensure_future(anext(speaker))
        await asyncio.sleep(0.5)
        speaker.synthesizer = second
        assert [(await speaking).text] + [spoken.text async for spoken in speaker] == ["One. ", "Two. ", "Three. "]
        assert (first.asked, second.asked) == (["One."], ["Two.", "Three."])

    async def test_another_synthesizer_is_tried_where_the_one_before_was_given_up(self) -> None:
        speaker = Speaker(Tone(), limit=1)
        for sentence in ("It hangs. ", "Two. ", "Three."):
            speaker.say(sentence)
        speaker.finish()
        errors = [(await anext(speaker)).error, (await anext(speaker)).error]
        speaker.synthesizer = Tone()
        assert [*errors, (await anext(speaker)).error] == ["deadline_exceeded", "deadline_exceeded", None]

    async def test_who_stops_waiting_for_a_sentence_may_ask_for_it_again(self) -> None:
        speaker = Speaker(Tone(seconds=1))
        for sentence in ("One. ", "Two. "):
            speaker.say(sentence)
        speaker.finish()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(speaker), 0.5)
        assert [(spoken.index, spoken.text) async for spoken in speaker] == [(1, "One. "), (2, "Two. ")]

    async def test_says_which_sounds_were_kept_and_who_spoke(self) -> None:
        class Choir(Tone):
            def voices(self) -> list[Voice]:
                return [Voice("alto"), Voice("bass")]

            def with_voice(self, name: str, speed: float = 1) -> Choir:
                return self

        engine = with_cache(Choir(), SoundCache())
        items = [item async for item in speak_along(tokens(["One. ", "Two. ", "One. "]), engine)]
        assert [(spoken.cached, spoken.voice) for spoken in spoken_in(items)] == [
            (False, "alto"),
            (False, "alto"),
            (True, "alto"),
        ]

    async def test_another_text_closes_what_was_open_and_tries_the_voice_again(self) -> None:
        voice = Tone()
        speaker = Speaker(voice, limit=1)
        for sentence in ("It hangs. ", "\n```\nx = 1\n"):
            speaker.say(sentence)
        speaker.begin_text()
        speaker.say("Next. ")
        speaker.finish()
        assert [spoken.error async for spoken in speaker] == ["deadline_exceeded", "deadline_exceeded", None]
        assert voice.asked == ["It hangs.", "Next."]

    async def test_nothing_can_be_said_after_the_end(self) -> None:
        speaker = Speaker(Tone())
        speaker.finish()
        speaker.finish()
        with pytest.raises(RuntimeError, match="after finish"):
            speaker.say("One.")
        assert [spoken async for spoken in speaker] == []
