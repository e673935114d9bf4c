# ruff: noqa: SIM905 - lists of marks
"""What is said of a text: no marks, no code, no addresses, whichever way the text is cut into pieces."""

from __future__ import annotations

import pytest
from counted_calls import calls
from hypothesis import given
from hypothesis import strategies as st

from wav_streaming import SentenceSplitter, SpeechFilter, speakable


def spoken(pieces: list[str]) -> list[str]:
    speech = SpeechFilter()
    return [*filter(None, map(speech.feed, pieces)), *filter(None, [speech.finish()])]


def split(text: str) -> list[str]:
    splitter = SentenceSplitter()
    return splitter.feed(text) + splitter.flush()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Plain words, 3 * 4 and snake_case.", "Plain words, 3 * 4 and snake_case."),
        ("# Title\n\n- **bold** and *slanted*\n- [ ] a `task`", "Title.\nbold and slanted\na task"),
        ("See [the guide](https://example.org/x).", "See the guide."),
        ("![a diagram](a.png) It shows", "a diagram It shows"),
        ("Go to https://example.org/a?b=c. Then wait.", "Go to. Then wait."),
        ("Done 🎉👍🏽 — really ✅", "Done — really"),
        ("```python\nprint(1)\n```", "a code example"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b\n1, 2"),
        ("<b>Yes</b> and 2 < 3", "Yes and 2 < 3"),
        ("> quoted", "quoted"),
        ("---", ""),
        ("…", ""),
        ("你好。", "你好。"),
        # Emphasis.
        ("***all*** __of__ ~~it~~ ==here==, (*yes*)", "all of it here, (yes)"),
        ("*one.* two* three_ _four", "one. two three four"),
        (
            "**Note:**This is **重点**内容 and un*frigging*believable.",
            "Note:This is 重点内容 and unfriggingbelievable.",
        ),
        ("2*3, 2**8, a * b, a*b, x == 1, ~5, ~/a, a_b, C# #1", "2*3, 2**8, a * b, a*b, x == 1, ~5, ~/a, a_b, C# #1"),
        (r"\*not\* slanted", "*not* slanted"),
        # Code.
        ("Use `a*b_c` and ``x` y``, It`s fine.", "Use a*b_c and x y, It's fine."),
        ("A:\n\n  ~~~sh\n  rm *\n\n  # no\n  ~~~\n\nB.", "A:\na code example\nB."),
        ("A:\n\n    x = 1\n\n    y = 2\n\nB.", "A:\na code example\nB."),
        ("- A:\n\n    still A", "A:\nstill A"),
        ("<pre>x = 1\n</pre>\nB.", "a code example\nB."),
        ("```\nnever closed", "a code example"),
        # Links, images, addresses.
        ('[a **b**](<x y> "T. U") ![](c.png)![d](e_(f).png) [g][1] [h]', "a b d g [h]"),
        ("[![alt](s.png)](http://x) m[0][1] [^1]\n\n[1]: http://x 'T'\n[^1]: A note.", "alt m[0][1]\nA note."),
        ("See (https://x.org/a_(b)), <https://x.org>, www.x.org/* or <me@x.org>.", "See,, or me@x.org."),
        ("请访问https://example.com。然后", "请访问。然后"),
        # Blocks.
        ("## What? ##\nTitle\n=====\n* * *\n1. [x] Done\n+ More\n• Most", "What?\nTitle\n1. Done\nMore\nMost"),
        ("> - # Deep **title**", "Deep title."),
        ("a | b\n--|--\n1 | 2", "a, b\n1, 2"),
        # HTML.
        ("H<sub>2</sub>O<br/>a<!-- b\nc -->d &amp; g&nbsp;h", "H2O ad & g h"),
        ("<!-- a\n\nb -->\n<script>\n\nc\n</script>\nd <!-- e\n\nUse the <script> tag.", "d\nUse the tag."),
        ("<think>\nHmm. Well.\n\nSo.\n</think>\n\nYes.", "Yes."),
        ('<img src="x" alt="A cat."> <a href="y" hidden>z</a> <b and c> 1<2', "A cat. z <b and c> 1<2"),
    ],
)
def test_marks_addresses_and_emoji_are_not_spoken(text: str, said: str) -> None:
    assert speakable(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Mind: *it is slow. It is old.* Then __read. Me__ now.\n",
            ["Mind: it is slow.", "It is old.", "Then read.", "Me now."],
        ),
        ("Use `a * b. C * d` now. *Good.*", ["Use a * b.", "C * d now.", "Good."]),
        ("A [link. Two](http://x.org/y) here. Yes.", ["A link.", "Two here.", "Yes."]),
        ('A [link](http://x "Title. Two") here.', ["A link", "here."]),
        ('A <a title="One. Two">tag</a> here.', ["A", "tag here."]),
        ("A <!-- hidden. Yes. --> word. Bye.", ["A", "word.", "Bye."]),
        ("| One. Two | three |\n|---|---|\n", ["One.", "Two, three"]),
        ("# What? Why\nGood.", ["What?", "Why.", "Good."]),
        ("See:\n```py\nx. Y\n```\nBye. Now.", ["See:", "a code example", "Bye.", "Now."]),
        ("A <b. Then more.", ["A <b.", "Then more."]),
        ("1 <a", ["1", "<a"]),
    ],
)
def test_what_is_open_is_known_in_the_next_sentence(text: str, said: list[str]) -> None:
    assert spoken(split(text)) == said


def test_a_long_block_of_code_is_named_once() -> None:
    text = "So:\n```\n" + "value = 1\n" * 500 + "```\nDone.\n"
    assert len(split(text)) > 5
    assert spoken(split(text)) == ["So:", "a code example", "Done."]
    assert SpeechFilter(code="ein Beispiel").feed(text) == "So:\nein Beispiel\nDone."


def test_an_address_that_is_cut_in_two_is_left_out() -> None:
    assert spoken(["Go to https://example.org/" + "a" * 50, "bcd/efg now", " and [here](/" + "x" * 400, "yz) too"]) == [
        "Go to",
        "now",
        "and here",
        "too",
    ]


def test_a_span_that_is_never_closed_is_forgotten() -> None:
    assert speakable("An ` alone, *fine*") == "An alone, fine"
    assert speakable("Open `a *b*\n\nand *c*") == "Open a *b*\nand c"
    assert speakable("Open `" + "a " * 200 + "*c*").endswith("a c")


def test_a_filter_is_as_new_after_its_finish() -> None:
    speech = SpeechFilter()
    assert speech.feed("```\nx\n") == "a code example"
    assert speech.finish() == ""
    assert speech.feed("x *y* <a") == "x y"
    assert speech.finish() == "<a"


MARKDOWN = (
    '* ** _ __ ~ ~~ = == ` `` ``` ~~~ [ ] ]( ( ) ![ < <b> </b> <a_href="x_y._Z"> <!-- --> <pre> </pre> <script> '
    "</script> & &amp; | # > - 1. \\ https://x.org/a www.a.b word Word x 5 . , ! ? \" ' 🎉 [^1] ]:_ 重 点 é --- |---|"
).split()
TEXTS = st.lists(
    st.sampled_from([part.replace("_", " ") if len(part) > 2 else part for part in MARKDOWN])
    | st.sampled_from([" ", "\n", "\n\n", "\n    ", "\t", " | ", "## ", "- ", "> "])
    | st.text(max_size=3),
    max_size=40,
).map("".join)


def letters(text: str) -> list[str]:
    return [character for character in text if character.isalnum()]


@given(text=TEXTS)
def test_the_sentences_say_the_letters_that_the_whole_text_says(text: str) -> None:
    assert letters("".join(spoken(split(text)))) == letters(speakable(text))


@given(text=TEXTS, size=st.integers(1, 10))
def test_any_cut_is_read_without_fail(text: str, size: int) -> None:
    for said in spoken([text[at : at + size] for at in range(0, len(text), size)]):
        assert said == said.strip()
        assert letters(said)


@given(text=TEXTS)
def test_speaking_adds_nothing_but_the_name_of_code(text: str) -> None:
    remaining = iter(text)
    assert all(letter in remaining for letter in letters(speakable(text).replace("a code example", "")))


# ------------------------------------------------------------------------------------------------------ the work


HOSTILE = [
    *(
        "![](",
        "[",
        "](",
        ']( "',
        "*",
        "*a",
        "a*",
        "**a ",
        "_a",
        "`",
        "` ",
        "``a`",
        "<",
        '<a b="',
        "<a b=c ",
        "<a b ",
        "<!--",
    ),
    *(
        "&",
        "|",
        "a|",
        "-",
        "- ",
        "> ",
        "#",
        "\\",
        "http://",
        "http://(",
        "(",
        "~~a",
        "==a",
        "\n",
        "    a\n",
        "```\n",
        "[^",
        "[a]:",
    ),
    *("[a][", '![a](b "', "👩\u200d", "\u0301", " ", "<script>", "</", "<a@", "]( 'a' "),
]


@pytest.mark.parametrize("part", HOSTILE)
def test_the_work_grows_with_the_text_and_no_faster(part: str) -> None:
    def whole(length: int) -> int:
        return calls(lambda: speakable((part * length)[:length]))

    def cut(length: int) -> int:
        text, speech = (part * length)[:length], SpeechFilter()
        return calls(lambda: [speech.feed(text[at : at + 10]) for at in range(0, length, 10)])

    for work in (whole, cut):
        work(100)
        once, twice = work(3_000), work(6_000)
        assert twice < 2.3 * once + 200
        assert twice < 6_000 * 40


def test_hostile_markdown_is_held_back_within_bounds() -> None:
    for part in ("<a b='", "[x](y '", "`", "*", "[", "<!--x", "http://a"):
        speech = SpeechFilter()
        for _ in range(2_000):
            speech.feed(part)
        assert len(speech.finish()) < 1_000
