"""How much a voice says at a time (`wav_streaming.chunking`), and what a listener gains by it, on a fake clock."""

from __future__ import annotations

import asyncio
import statistics
from typing import NamedTuple

import pytest
from fake_clock import FakeClock, on_a_fake_clock
from hypothesis import given
from hypothesis import strategies as st
from listening import Listener, TimedVoice, answers, model
from voices import Tone, tokens

from wav_streaming import (
    Pacing,
    SentenceSplitter,
    SoundCache,
    Speaker,
    Spoken,
    Synthesizer,
    speak_along,
    with_cache,
)
from wav_streaming.chunking import clauses

FIRST = "When the wind has turned and the rain is over, "
SECOND = "the two of us go out again to the sea and the sand, "
THIRD = "to look for what the waves may have left there. "
LONG = FIRST + SECOND + THIRD


class TestClauses:
    @given(st.text(st.sampled_from('ab ,;:.\n`[<"、、'), max_size=200))
    def test_are_the_sentence(self, sentence: str) -> None:
        pieces = clauses(sentence)
        assert "".join(pieces) == sentence
        assert len(pieces) == 1 or min(map(len, pieces)) >= 30

    @pytest.mark.parametrize(
        "sentence",
        [
            "Well, this sentence is short, as many are.",
            "It was 1,000,000 times as much as it had been at the beginning of the month.",
            "Call `f(the first argument, the second argument, the third argument, the fourth)`.",
            "See [the guide, its second part, and all the rest](https://example.org) for what is new here.",
            "Each of the lines of a list is\none, two, three, four, five, six, seven, eight, nine, ten, or another.",
            "The cells of the table are | one, two, three, four, five, six, seven, eight | nine, ten, or eleven.",
            "Call ``f(`the first`, the second, the third, the fourth, the fifth, the sixth)``.",
            "Call `f(the first argument, the second argument, the third argument, which is not whole",
        ],
    )
    def test_some_sentences_are_not_cut(self, sentence: str) -> None:
        assert clauses(sentence) == [sentence]

    @pytest.mark.parametrize("mark", ["`f(a, b)`", "``f(`a, b)``", "[a, b](https://example.org/a, b)", "<a, b>", "[1]"])
    def test_a_sentence_with_code_or_a_link_is_cut_beside_it(self, mark: str) -> None:
        before = f"When the wind has turned {mark} and the rain is over, "
        assert clauses(before + SECOND + "or stay.") == [before, SECOND + "or stay."]

    def test_chinese(self) -> None:
        sentence = "这是一个很长的句子\uff0c" * 8 + "完了。"
        assert len(clauses(sentence)) == 2


class TestPacing:
    def paced(self, *sounds: tuple[int, float, float]) -> Pacing:
        self.now = 0.0
        pacing = Pacing(lambda: self.now)
        for characters, seconds, took in sounds:
            pacing.said(characters, seconds, took)
        return pacing

    def test_learns_the_time_of_a_call_and_of_a_second(self) -> None:
        pacing = self.paced(*((15 * n, n, 0.3 + 0.1 * n) for n in (1, 3, 2, 5)))
        assert pacing.predict(60) == pytest.approx(0.7)
        pacing.forget()
        assert pacing.predict(60) == float("inf")

    @pytest.mark.parametrize("sounds", [[(15, 1, 0.3)], [(15, 1, 0.2), (15, 1, 0.4)], [(15, 1, 0.1), (30, 2, 0.5)]])
    def test_with_little_to_learn_from_a_call_costs_nothing_by_itself(
        self, sounds: list[tuple[int, float, float]]
    ) -> None:
        pacing = self.paced(*sounds)
        assert pacing.predict(30) == pytest.approx(2 * pacing.predict(15))

    def test_a_cache_says_nothing_of_the_voice(self) -> None:
        pacing = self.paced()
        pacing.said(30, 2.0, None)
        assert (pacing.lead, pacing.predict(30)) == (2.0, float("inf"))

    def test_after_a_silence_the_listener_goes_on_from_there(self) -> None:
        pacing = self.paced((30, 2, 1))
        self.now = 10.0
        assert pacing.lead == 0
        pacing.said(30, 2.0, 1.0)
        self.now = 11.0
        assert pacing.lead == 1

    def test_joins_whole_sentences_up_to_200_characters_if_there_is_time(self) -> None:
        pacing = self.paced((150, 10, 1))
        sentences = [(80, True), (80, True), (30, False), (30, True), (10, True)]
        assert pacing.count(sentences) == 2
        assert pacing.count([(80, True), (50, True), (30, False)]) == 2
        self.now = 8.5
        assert pacing.count(sentences) == 1

    def test_cuts_a_sentence_that_would_be_late(self) -> None:
        pacing = self.paced((30, 2, 1))
        self.now = 0.5
        assert pacing.count([(30, False), (30, True)]) == 1
        assert pacing.count([(20, False), (25, True)]) == 2
        assert pacing.count([(90, True)]) == 1


async def spoken(texts: list[str], voice: Synthesizer, *, every: float = 0.0) -> list[Spoken]:
    speaker = Speaker(voice, pacing=Pacing(asyncio.get_running_loop().time))
    return [item async for item in speak_along(tokens(texts, every), speaker) if isinstance(item, Spoken)]


@on_a_fake_clock
class TestSpeaker:
    async def test_the_first_clause_does_not_wait_for_its_sentence(self) -> None:
        voice = Tone()
        speaker = Speaker(voice, pacing=Pacing(asyncio.get_running_loop().time))
        items = [item async for item in speak_along(tokens(LONG, every=0.1), speaker)]
        [first, *_] = [at for at, item in enumerate(items) if isinstance(item, Spoken)]
        assert first < len(LONG) - 20
        assert voice.asked[0] == FIRST.strip()

    async def test_sentences_are_joined_while_others_are_heard(self) -> None:
        voice = Tone(seconds=0.01)
        found = await spoken([LONG, "One is. ", "Two are. ", "Three."], voice)
        assert [item.text for item in found] == [FIRST, SECOND + THIRD + "One is. Two are. Three."]
        assert voice.asked == [item.text.strip() for item in found]
        assert [item.index for item in found] == [1, 2]

    async def test_a_sentence_that_fails_costs_no_other_its_sound(self) -> None:
        found = await spoken([LONG, "One is. ", "Two fails. ", "Three. "], Tone(seconds=0.01))
        assert [item.text for item in found if item.error is not None] == ["Two fails. "]
        assert "".join(item.text for item in found) == LONG + "One is. Two fails. Three. "

    async def test_what_was_said_before_is_cut_and_joined_as_it_was(self) -> None:
        engine = with_cache(Tone(seconds=0.01), SoundCache())
        text = [LONG, "One is. ", "Two are. ", "Three."]
        found = [await spoken(text, engine) for _ in range(2)]
        assert [item.text for item in found[1]] == [item.text for item in found[0]]
        assert [item.cached for items in found for item in items] == [False, False, True, True]

    async def test_lines_without_a_stop_are_not_run_together(self) -> None:
        voice = Tone(seconds=0.01)
        await spoken([LONG + "\n", "- apples\n", "- pears\n", "They are ripe."], voice)
        assert voice.asked[1:] == [SECOND + THIRD + "apples", "pears", "They are ripe."]

    async def test_code_is_not_spoken(self) -> None:
        voice = Tone()
        text = (
            LONG
            + "So:\n```python\nprint('Hi, there, you who read this, and read it again, and again, too.')\n```\nDone."
        )
        found = await spoken([text], voice)
        assert "".join(item.text for item in found) == text
        assert "print" not in "".join(voice.asked)

    async def test_another_voice_is_learned_anew(self) -> None:
        speaker = Speaker(Tone(seconds=0.001), pacing=Pacing(asyncio.get_running_loop().time))
        speaker.say(LONG)
        await anext(speaker)
        speaker.synthesizer = second = Tone(seconds=10)
        await anext(speaker)
        await anext(speaker)
        assert second.asked == [SECOND.strip(), THIRD.strip()]


WORDS = st.sampled_from(
    ["It ", "did, ", "fails! ", "Why", "?", "\n", "```\n", "and so on and on; ", "**", "`", "…", "。"]
)


@given(st.lists(WORDS, max_size=40), st.integers(1, 9))
def test_any_cut_of_any_text_gives_the_whole_text(words: list[str], step: int) -> None:
    text = "".join(words)
    with asyncio.Runner(loop_factory=FakeClock) as runner:
        found = runner.run(spoken([text[n : n + step] for n in range(0, len(text), step)], Tone(0.01), every=0.01))
    assert "".join(item.text for item in found) == text
    assert [item.index for item in found] == list(range(1, len(found) + 1))
    assert all("fails" in item.text for item in found if item.error is not None)


@given(st.lists(WORDS, max_size=40))
def test_a_splitter_gives_the_whole_text_wherever_clauses_are_taken(words: list[str]) -> None:
    splitter = SentenceSplitter()
    pieces: list[str] = []
    for word in words:
        pieces += [*splitter.feed(word), splitter.clause()]
    assert "".join([*pieces, *splitter.flush()]) == "".join(words)


# ------------------------------------------------------------------------------------------------- what is gained by it


class Heard(NamedTuple):
    first: float
    silence: float
    calls: float


def heard(a: float, b: float, *, paced: bool) -> Heard:
    """The median of the first sounds of some answers, and the means of silence and calls."""

    async def listen(text: str) -> tuple[float, float, int]:
        listener, voice = Listener(), TimedVoice(a, b)
        pacing = Pacing(asyncio.get_running_loop().time) if paced else None
        async for item in speak_along(model(text), Speaker(voice, pacing=pacing)):
            if isinstance(item, Spoken) and item.sound is not None:
                listener.get(item.sound.seconds)
        assert listener.first is not None
        return listener.first, listener.silence, voice.calls

    with asyncio.Runner(loop_factory=FakeClock) as runner:
        firsts, silences, calls = zip(*(runner.run(listen(text)) for text in answers(16)), strict=True)
    return Heard(statistics.median(firsts), statistics.mean(silences), statistics.mean(calls))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(0.03, 0.01, id="a local voice"),
        pytest.param(0.3, 0.1, id="a cloud voice"),
        pytest.param(0.2, 0.6, id="a slow model"),
    ],
)
def test_the_first_sound_comes_sooner_and_silence_is_less_than_with_a_sound_a_sentence(a: float, b: float) -> None:
    # First sound 0.65 -> 0.36 s, 1.65 -> 0.99 s, 5.62 -> 2.85 s; silence in an answer of the slow model 0.61 -> 0.31 s.
    documented, ours = heard(a, b, paced=False), heard(a, b, paced=True)
    assert ours.first < 0.8 * documented.first
    assert ours.silence <= 0.6 * documented.silence
    assert ours.calls <= 1.3 * documented.calls
