# ruff: noqa: RUF001, SIM905 - stops and quotes of many scripts are what is tested
"""Sentences: whole ones, early ones, and never a character lost."""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from counted_calls import calls
from hypothesis import given
from hypothesis import strategies as st

from wav_streaming.sentences import ABBREVIATIONS, SentenceSplitter
from wav_streaming.unicode_data import SENTENCE_TERMINALS, is_cluster_boundary

CORPUS = Path(__file__).parents[2] / "benchmarks" / "sentences.txt"


def pieces(text: str, **options: object) -> list[str]:
    splitter = SentenceSplitter(**options)  # type: ignore[arg-type]
    return splitter.feed(text) + splitter.flush()


# ------------------------------------------------------------------------------------------------------ the laws

PARTS = (
    "Dr . ! ? 。 」 ” “ „ « » \" ' ) ( 3 14 e.g a I We it p.m U.S. No. 5 May x.Y done.Now Node.js http://a.b/c?D=e "
    "1. … ... ; α । ؟ ۔ ``` ~~~ ` > - * é e\u0301 \u0301 👍 👨\u200d👩\u200d👧 🇩🇪 🇩 ❤\ufe0f \u200d ᄒ ᅡ 가 क् ष word "
    "iPhone ¿ 네 하고 a.m At 2. b NO"
).split()
TEXTS = st.lists(st.sampled_from([*PARTS, " ", "  ", "\n", "\r\n"]) | st.text(max_size=3), max_size=40).map("".join)
PLACES = st.lists(st.integers(0, 10_000), max_size=30)


def fed(text: str, cuts: list[int], pauses: list[int], **options: int) -> list[str]:
    """The pieces of a text that is fed in tokens, with a pause after so many characters."""
    cuts, pauses = ([place % (len(text) + 1) for place in places] for places in (cuts, pauses))
    splitter = SentenceSplitter(**options)  # type: ignore[arg-type]
    found = splitter.pause() if 0 in pauses else []
    for start, end in pairwise(sorted({0, *cuts, *pauses, len(text)})):
        found += splitter.feed(text[start:end])
        assert splitter.buffered <= options.get("max_length", 1000)
        if end in pauses:
            found += splitter.pause()
    return found + splitter.flush()


@given(text=TEXTS, cuts=PLACES, pauses=st.lists(st.integers(0, 10_000), max_size=3), max_length=st.integers(2, 80))
def test_pieces_make_up_the_text_and_depend_on_it_and_the_pauses_alone(
    text: str, cuts: list[int], pauses: list[int], max_length: int
) -> None:
    found = fed(text, cuts, pauses, max_length=max_length)
    assert "".join(found) == text
    assert all(0 < len(piece) <= max_length for piece in found)
    assert found == fed(text, [], pauses, max_length=max_length)


@given(text=TEXTS, pauses=st.lists(st.integers(0, 10_000), max_size=3))
def test_one_character_at_a_time_gives_the_same_sentences(text: str, pauses: list[int]) -> None:
    assert fed(text, list(range(len(text))), pauses) == fed(text, [], pauses)


@given(text=TEXTS)
def test_a_pause_releases_all_that_it_can_at_once(text: str) -> None:
    splitter = SentenceSplitter()
    found: list[str] = []
    for at, character in enumerate(text, 1):
        found += splitter.feed(character) + splitter.pause()
        assert "".join(found) == text[: at - splitter.buffered]
        assert splitter.pause() == []


@given(text=TEXTS, max_length=st.integers(40, 80))
def test_no_cut_is_within_a_grapheme_cluster(text: str, max_length: int) -> None:
    at = 0
    for piece in pieces(text, max_length=max_length)[:-1]:
        at += len(piece)
        longest = text[at - max_length + 1 : at + 1]
        assert is_cluster_boundary(text, at) or not any(
            map(is_cluster_boundary, [longest] * 99, range(1, len(longest)))
        )


@pytest.mark.parametrize(
    "cluster",
    [
        *(
            "e\u0301",
            "a\u0301\u0302\u0303",
            "👨\u200d👩\u200d👧\u200d👦",
            "👋🏽",
            "❤\ufe0f",
            "🇩🇪",
            "1\ufe0f\u20e3",
            "\r\n",
        ),
        *("각", "\u1112\u1161\u11ab", "क्षि", "நி", "เกำ", "\u0600١", "🏴\U000e0067\U000e0062\U000e007f"),
    ],
)
def test_the_cut_at_max_length_is_beside_a_cluster(cluster: str) -> None:
    for before in range(20 - len(cluster), 21):
        text = "x" * before + cluster + "y" * 30
        found = pieces(text, max_length=20, endings=";")
        assert "".join(found) == text
        assert [piece for piece in found if cluster in piece] or cluster == "เกำ"
    assert pieces("\u0301" * 50, max_length=20, endings=";")[0] == "\u0301" * 20  # longer than what may be held


# ------------------------------------------------------------------------------------------------------ the ends


@pytest.mark.parametrize(
    "marked",
    [
        "One. |Two! |Three? |Four",
        "A line\n|and another\n",
        "It costs 3.14 euros. |Yes.",
        "Dr. No met Mr. Bond. |They spoke.",
        "Use a codec, e.g. ours. |Good.",
        "At 5 a.m. it rains. |At 5 p.m. |We leave. |At 6 p.m. Monday too.",
        "At 5 a.m. Mr. Smith left. |He came at 6 p.m. |Mr. Jones stayed.",
        "J. S. Bach wrote it. |So did I. |Yes.",
        "See example.org for more. |Bye.",
        '"Really?!" she said. |"Yes." |He left.',
        "1. First\n|2. Second\n",
        "Wait... what? |No. |Hmm... |Then yes.",
        "是的。|真的吗？|「好！」|他说。",
        # Contractions, and words that are abbreviations too.
        "You can't. |Try. |You can’t. |It is Bob's. |Take it.",
        "No. |You cannot. |See No. 5. |Then go.",
        "Your flight, No. BA 249, is late. |Say no. |NASA knows.",
        "In Dec. 2020 we left. |It was Dec. |We left.",
        "One more rep. |Rep. Smith agrees. |See Fig. 3. |See Fig. A.",
        # Names.
        "George W. Bush came. |Vitamin C. |It helps. |Plan A and B. |Good.",
        "The U.S. Army left the U.S. |We stayed. |Apple Inc. is old. |He owns Apple Inc. |She does not.",
        # Numbers, addresses, files, programs.
        "Version 2.0.1 came. |Get 3. |Then stop. |Host 192.168.0.1 is up.",
        "Mail jo.doe@a.org. |Or see https://a.org/b.html?x=Y.Z! |Done.",
        "Node.js runs. |See example.Org or ASP.NET. |Call fmt.Println now.",
        # Spaces that were forgotten.
        "It is done.|Now rest.|Then go. |Really?|Yes!|I see.",
        "完成了.|现在休息.|好吗?|好!",
        # Quotes and brackets.
        "Il dit : « Bonjour ! » |Puis il part. |« Oui. »",
        "„Ja.“ |Er ging. |»Komm!«, sagte sie. |»Nein.« |Gut.",
        "(It rained.) |He left [at last!] and sang (why?) well. |Good.",
        "「はい。」と言った。|次へ。",
        '그는 "안녕." 하고 말했다. |"네." |끝.',
        # Lists.
        "a) Wash.\n|b) Cut.\n",
        "- One.\n|- Two.\n",
        "II. Methods\n|III. Results\n",
        "1. Bread |2. Butter |3. Salt",
        "1. bread |2. butter |3. salt",
        # Emoji.
        "It works!🎉 |We are done! ✅ |Bye!👋🏽|Now. 👨\u200d👩\u200d👧",
        # Who has no capitals, and words that have none at their beginning.
        "hello. |how are you? |i am fine, e.g. now. |ok",
        "Take the iPhone. |iOS is new. |macOS too.",
        "He came to Yahoo! in 2020. |Good.",
        # Other scripts.
        "नमस्ते। |डॉ. राम आए। |ठीक है।",
        "كيف حالك؟ |وصل د. أحمد. |شكرا.",
        "میں ٹھیک ہوں۔ |اس نے ایم۔بی۔اے۔ کیا۔ |شکریہ۔",
        "Բարև։ |Ես լավ եմ։",
        "ሰላም። |እንዴት ነህ፧ |ደህና።",
        "မင်္ဂလာပါ။ |ကောင်းပါတယ်။",
        "សួស្តី។ |បាទ។",
        "Τι κάνεις; |Καλά. |Εσύ;",
        "Он родился в 1934 г. |Потом он уехал в г. Москва. |Там А. С. Пушкин и т. д. |Всё.",
        "Am 3. Oktober im 2. Stock. |Das gilt z. B. für Äpfel. |Ludwig XIV. war da.",
        "¡Hola! |¿qué tal? |Vive en EE. UU. desde hoy.",
        "კარგად ვარ. |გმადლობთ.",
        "네. |알겠습니다. |가. 첫째\n|나. 둘째",
        "我用Node.js写。|版本3.14。|“是吗？”|是U.S.公民。",
        "",
    ],
)
def test_sentences_end_where_a_reader_would_say(marked: str) -> None:
    assert pieces(marked.replace("|", "")) == [piece for piece in marked.split("|") if piece]


@pytest.mark.parametrize("stop", [stop for stop in SENTENCE_TERMINALS if unicodedata.category(stop) != "Cn"])
def test_every_sentence_terminal_of_unicode_ends_a_sentence(stop: str) -> None:
    assert pieces(f"Word{stop} Next{stop} Last") == [f"Word{stop} ", f"Next{stop} ", "Last"]


def test_the_texts_of_the_comparison_are_cut_where_they_should_be() -> None:
    wrong, texts = [], 0
    for line in CORPUS.read_text().splitlines():
        if "¦" in line and not line.startswith("#"):
            texts += 1
            marked = line.replace("⏎", "\n").replace(" ", "")
            found = pieces(line.replace("⏎", "\n").replace("¦", ""))
            if marked.split("¦") != [piece.replace(" ", "") for piece in found]:
                wrong.append(marked)
    assert texts > 350
    assert len(wrong) <= texts // 50, wrong


def test_a_sentence_comes_with_the_character_that_shows_it_to_be_whole() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("Hello.") == []  # "Hello.py"?
    assert splitter.feed(" ") == []  # "Hello. world"?
    assert splitter.feed("O") == ["Hello. "]
    assert splitter.feed("ne. Two. Thr") == ["One. ", "Two. "]
    assert splitter.feed("ee\n") == ["Three\n"]


def test_a_block_of_code_is_one_piece() -> None:
    block = "```python\nx = 1. Y\n\nprint('Hi. There')\n```\n"
    assert pieces(f"See:\n{block}Good. Bye.") == ["See:\n", block, "Good. ", "Bye."]
    assert pieces("  1. ~~~\n  a\n  ```\n  ~~~\nb") == ["  1. ~~~\n  a\n  ```\n  ~~~\n", "b"]
    assert pieces("```a. B``` is code. Yes.") == ["```a. ", "B``` is code. ", "Yes."]
    long = "```\n" + "x = 1\n" * 30 + "```\nDone. Yes."
    assert pieces(long, max_length=50)[:2] == ["```\n" + "x = 1\n" * 7, "x = 1\n" * 8]
    assert pieces(long, max_length=50)[-2:] == ["Done. ", "Yes."]


def test_full_width_stops_and_endings_are_options() -> None:
    assert pieces("One. Two; three", endings=";") == ["One. Two; ", "three"]
    assert pieces("Foo. Bar", abbreviations={"foo"}) == ["Foo. Bar"]
    assert pieces("Foo. Bar etc. Bar", abbreviations=ABBREVIATIONS | {"foo"}) == ["Foo. Bar etc. ", "Bar"]


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
    assert splitter.feed("```\nx") + splitter.flush() == ["```\nx"]
    assert splitter.feed("Two. Three") + splitter.flush() == ["Two. ", "Three"]


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one ending"):
        SentenceSplitter("")
    with pytest.raises(ValueError, match="max_length"):
        SentenceSplitter(max_length=1)


# ------------------------------------------------------------------------------------------------------ the pause


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Let me check that.",
            "Really?",
            "Wait...",
            'He said "Yes."',
            "Done! 🎉",
            "The answer is 42.",
            "No.",
            "is it no.",
        ),
        *(
            "So do I.",
            "At 5 p.m.",
            "In the U.S.",
            "Bread, milk, etc.",
            "« Oui ! »",
            "好。",
            "ठीक है।",
            "Yes. ",
            "**Done.**",
        ),
        *("Τι;", "```\nx\n```", "It is done in Dec."),
    ],
)
def test_a_pause_releases_a_sentence_that_looks_whole(text: str) -> None:
    splitter = SentenceSplitter()
    assert splitter.feed(text) == []
    assert splitter.pause() == [text]
    assert splitter.feed(" Then go. On") == [" Then go. "]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Let me check",
            "I met Dr.",
            "See No.",
            "See Fig.",
            "Ask J.",
            "1.",
            "e.g.",
            "Hello,",
            "Yes. Then",
            "",
            " ",
            "x;",
        ),
        *("- ", "```\nx. Y."),
    ],
)
def test_a_pause_keeps_what_leads_on(text: str) -> None:
    splitter = SentenceSplitter()
    splitter.feed(text)
    before = splitter.buffered
    assert splitter.pause() == []
    assert splitter.buffered == before


def test_at_a_pause_the_last_word_counts_as_whole() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("Ask Dr. No. Then") == []
    assert splitter.pause() == ["Ask Dr. No. "]
    assert splitter.feed(" go. ``") == ["Then go. "]
    assert splitter.pause() == []


# ------------------------------------------------------------------------------------------------------ the work


HOSTILE = [
    *(
        ".",
        "!?",
        "a.b ",
        "a.B",
        "A. ",
        "1. A ",
        "I. ",
        "e.g. ",
        "Dr. ",
        "“",
        "« ",
        " »",
        '."',
        "…",
        "... ",
        "。」",
        "\n",
        " ",
    ),
    *(
        "\u0301",
        "a\u0301",
        "🇩",
        "!🇩",
        "👩\u200d",
        "!👩\u200d",
        "```\n",
        "``` ",
        "~~~a",
        "> ",
        "ي۔",
        "α;",
        "z. ",
        "x",
        "\r",
    ),
]


@pytest.mark.parametrize("part", HOSTILE)
def test_the_work_grows_with_the_text_and_no_faster(part: str) -> None:
    def run(length: int, size: int) -> int:
        text = (part * length)[:length]
        splitter = SentenceSplitter(max_length=200)
        return calls(lambda: [splitter.feed(text[at : at + size]) for at in range(0, length, size)])

    for size in (1, 4_000):
        run(100, size)  # what is made once
        once, twice = run(2_000, size), run(4_000, size)
        assert twice < 2.3 * once + 200
        assert twice < 4_000 * 120
