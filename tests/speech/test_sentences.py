# ruff: noqa: RUF001 - full-width stops are what is tested
"""Sentences: whole ones, early ones, and never a character lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wav_streaming.sentences import SentenceSplitter, is_speakable, speakable


def pieces(text: str, **options: object) -> list[str]:
    splitter = SentenceSplitter(**options)  # type: ignore[arg-type]
    return splitter.feed(text) + splitter.flush()


def tokens(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


TEXTS = st.lists(
    st.sampled_from(
        ["Dr", ".", "!", "?", "\n", " ", "  ", "。", "」", '"', ")", "3", "14", "e.g", "a", "I", "We", "p.m"]
    )
    | st.text(max_size=5),
    max_size=40,
).map("".join)


@given(text=TEXTS, cuts=st.lists(st.integers(0, 10_000), max_size=30), max_length=st.integers(2, 30))
def test_pieces_make_up_the_text_and_do_not_depend_on_the_tokens(text: str, cuts: list[int], max_length: int) -> None:
    splitter = SentenceSplitter(max_length=max_length)
    found: list[str] = []
    for token in tokens(text, cuts):
        found += splitter.feed(token)
        assert splitter.buffered <= max_length
    found += splitter.flush()
    assert "".join(found) == text
    assert found == pieces(text, max_length=max_length)
    assert all(0 < len(piece) <= max_length for piece in found)


@given(text=st.text())
def test_one_character_at_a_time_gives_the_same_sentences(text: str) -> None:
    splitter = SentenceSplitter()
    found = [sentence for character in text for sentence in splitter.feed(character)]
    assert found + splitter.flush() == pieces(text)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One. ", "Two! ", "Three? ", "Four"]),
        ("A line\nand another\n", ["A line\n", "and another\n"]),
        ("It costs 3.14 euros. Yes.", ["It costs 3.14 euros. ", "Yes."]),
        ("Dr. No met Mr. Bond. They spoke.", ["Dr. No met Mr. Bond. ", "They spoke."]),
        ("Use a codec, e.g. ours. Good.", ["Use a codec, e.g. ours. ", "Good."]),
        ("At 5 a.m. it rains. At 5 p.m. We leave.", ["At 5 a.m. it rains. ", "At 5 p.m. ", "We leave."]),
        ("J. S. Bach wrote it. So did I. Yes.", ["J. S. Bach wrote it. ", "So did I. ", "Yes."]),
        ("See example.org for more. Bye.", ["See example.org for more. ", "Bye."]),
        ('"Really?!" she said. "Yes." He left.', ['"Really?!" ', "she said. ", '"Yes." ', "He left."]),
        ("1. First\n2. Second\n", ["1. First\n", "2. Second\n"]),
        ("Wait... what? No.", ["Wait... ", "what? ", "No."]),
        ("是的。真的吗？「好！」他说。", ["是的。", "真的吗？", "「好！」", "他说。"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_would_say(text: str, sentences: list[str]) -> None:
    assert pieces(text) == sentences


def test_a_sentence_comes_with_the_token_that_completes_it() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("Hello.") == []  # "Hello.py"?
    assert splitter.feed(" ") == ["Hello. "]
    assert splitter.feed("One. Two. Thr") == ["One. ", "Two. "]
    assert splitter.feed("ee\n") == ["Three\n"]


def test_full_width_stops_and_endings_are_options() -> None:
    assert pieces("是的。真的。", cjk=False) == ["是的。真的。"]
    assert pieces("One. Two; three", endings=";") == ["One. Two; ", "three"]
    assert pieces("Foo. bar", abbreviations={"foo"}) == ["Foo. bar"]


def test_a_sentence_that_never_ends_is_cut_at_a_space() -> None:
    splitter = SentenceSplitter(max_length=20)
    found = splitter.feed("word " * 1000)
    assert all(piece == "word word word word " for piece in found)
    assert splitter.buffered <= 20
    assert pieces("x" * 45, max_length=20) == ["x" * 20, "x" * 20, "x" * 5]


def test_a_splitter_is_as_new_after_its_flush() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("One") + splitter.flush() == ["One"]
    assert splitter.flush() == []
    assert splitter.feed("Two. Three") + splitter.flush() == ["Two. ", "Three"]


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one ending"):
        SentenceSplitter("")
    with pytest.raises(ValueError, match="max_length"):
        SentenceSplitter(max_length=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Plain words, 3 * 4 and snake_case.", "Plain words, 3 * 4 and snake_case."),
        ("# Title\n\n- **bold** and *slanted*\n- [ ] a `task`", "Title\nbold and slanted\na task"),
        ("See [the guide](https://example.org/x).", "See the guide."),
        ("![a diagram](a.png) It shows", "a diagram It shows"),
        ("Go to https://example.org/a?b=c. Then wait.", "Go to. Then wait."),
        ("Done 🎉👍🏽 — really ✅", "Done — really"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a b\n1 2"),
        ("<b>Yes</b> and 2 < 3", "Yes and 2 < 3"),
        ("> quoted", "quoted"),
        ("---", ""),
        ("…", ""),
        ("你好。", "你好。"),
    ],
)
def test_marks_addresses_and_emoji_are_not_spoken(text: str, said: str) -> None:
    assert speakable(text) == said
    assert is_speakable(text) == bool(said)


@given(text=TEXTS)
def test_speaking_never_fails_and_never_adds_letters(text: str) -> None:
    letters = [character for character in speakable(text) if character.isalnum()]
    remaining = iter(text)
    assert all(letter in remaining for letter in letters)


def test_hostile_markdown_takes_no_longer_than_its_length() -> None:
    import time

    for text in ("[" * 20_000, "-" * 20_000 + "x", "*" * 20_000, "http://" * 3000, "<a" * 10_000, "> " * 10_000):
        started = time.process_time()
        speakable(text)
        assert time.process_time() - started < 2
