"""Splits a stream of tokens into sentences, each as soon as it is complete, and removes what is not to be spoken.

A model gives its answer in tokens that do not respect words. A synthesizer needs sentences, and the first one early.
`SentenceSplitter` makes sentences of tokens. Two laws hold for any tokens: the sentences together are the text, and if
the text is cut into other tokens, the sentences are the same. Because of the second law a full stop at the end of the
text so far is not yet the end of a sentence ("3." may become "3.14"): the character after it decides.

`speakable` gives the text to speak: without Markdown, addresses and emoji. The text to display stays unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

__all__ = ["ABBREVIATIONS", "SentenceSplitter", "is_speakable", "speakable"]

ABBREVIATIONS: Final = frozenset(
    "mr mrs ms dr prof rev gen sen rep gov capt lt col sgt st jr sr vs etc approx dept est fig no vol pp inc ltd co "  # noqa: SIM905
    "corp e.g i.e a.m p.m u.s u.k u.n ph.d cf al jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
"""English words, in lower case and without their last stop. A stop after one of them does not end a sentence."""

# But a stop after one of these does end the sentence if a capital letter follows ("at 5 p.m. We left").
_MAY_END: Final = frozenset(("etc", "a.m", "p.m", "u.s", "u.k", "u.n", "inc", "ltd", "co", "corp", "jr", "sr", "al"))
_CJK: Final = "。！？｡"  # noqa: RUF001 - these are what is meant
_CLOSING: Final = "\"')]}”’»」』）】"  # noqa: RUF001
_WORD: Final = re.compile(r"[^\s\"'(\[{“‘«]*\Z")  # noqa: RUF001


class SentenceSplitter:
    """Takes tokens and gives sentences, in the order of the text, with all their white space.

    `endings` are the characters that end a sentence, by default also a new line. A full stop does not end one within a
    number or a word ("3.14", "example.org"), after `abbreviations` ("Dr.", "e.g."), an initial ("J. S. Bach") or the
    number of a list. `cjk` adds the full-width stops of Chinese and Japanese, which need no space after them. Closing
    quotes and brackets, and one space after them, belong to the sentence. A sentence that does not end is cut at
    `max_length` characters, or at a space before that if there is one.

    >>> splitter = SentenceSplitter()
    >>> [splitter.feed(token) for token in ("Pi is 3", ".", "14. Dr", ". No said", " so! And")]
    [[], [], ['Pi is 3.14. '], [], ['Dr. No said so! ']]
    >>> splitter.flush()
    ['And']
    """

    def __init__(
        self,
        endings: str = ".!?\n",
        *,
        abbreviations: Collection[str] = ABBREVIATIONS,
        cjk: bool = True,
        max_length: int = 1000,
    ) -> None:
        if not endings or max_length < 2:
            raise ValueError("a splitter needs at least one ending, and a max_length of at least 2")
        self._endings = frozenset(endings + (_CJK if cjk else ""))
        self._abbreviations = frozenset(abbreviations)
        self._max_length = max_length
        self._text = ""
        self._at = 0  # up to where _text has no end of a sentence

    @property
    def buffered(self) -> int:
        """How many characters wait for the end of their sentence: at most `max_length`."""
        return len(self._text)

    def feed(self, token: str) -> list[str]:
        """Take a token. Returns every sentence that is complete now."""
        # In slices, so that a huge token takes linear time.
        sentences: list[str] = []
        for start in range(0, len(token), self._max_length):
            self._text += token[start : start + self._max_length]
            sentences += self._whole(ended=False)
        return sentences

    def flush(self) -> list[str]:
        """The rest, when the text has ended: no, one, or a few sentences. The splitter can then begin a new text."""
        sentences = list(self._whole(ended=True))
        if self._text:
            sentences.append(self._text)
        self._text = ""
        self._at = 0
        return sentences

    def _whole(self, *, ended: bool) -> Iterator[str]:
        while True:
            end = self._find_end(ended=ended)
            if not end:
                if len(self._text) <= self._max_length:
                    return
                end = self._text.rfind(" ", 0, self._max_length) + 1 or self._max_length
            yield self._text[:end]
            self._text = self._text[end:]
            self._at = 0

    def _find_end(self, *, ended: bool) -> int:
        """Where the first sentence of `_text` ends, within `max_length`; 0 if this is not known yet."""
        text, endings = self._text, self._endings
        limit = min(len(text), self._max_length)
        at = self._at
        while at < limit:
            if text[at] not in endings:
                at += 1
                continue
            self._at = at
            if text[at].isspace():
                return at + 1
            end = at + 1
            while end < limit and (text[end] in endings or text[end] in _CLOSING) and not text[end].isspace():
                end += 1  # '?!', '."'
            if end < limit and text[end].isspace():
                if not self._is_abbreviated(text, at, end):
                    return end + 1
                if end + 1 == limit:
                    return self._at_limit(limit, ended=ended)
                if self._word_before(text, at) in _MAY_END and text[end + 1].isupper():
                    return end + 1
            elif end == limit:
                return self._at_limit(limit, ended=ended)
            elif any(mark in _CJK for mark in text[at:end]):
                return end
            at = end
        self._at = at
        return 0

    def _at_limit(self, limit: int, *, ended: bool) -> int:
        """The character that decides is missing. It may still come, unless the text has ended or must be cut here."""
        return limit if ended or limit == self._max_length else 0

    def _is_abbreviated(self, text: str, at: int, end: int) -> bool:
        if text[at:end] != ".":
            return False
        word = self._word_before(text, at)
        return (
            word in self._abbreviations
            or (len(word) == 1 and word.isalpha() and word != "i")  # an initial, but not as in "So do I."
            or (len(word) <= 3 and word.isdigit() and text[:at].strip() == word)  # the number of a list
        )

    @staticmethod
    def _word_before(text: str, at: int) -> str:
        found = _WORD.search(text, max(0, at - 20), at)
        return found.group().lower() if found else ""


# ------------------------------------------------------------------------------------------------ what is said

_FENCE: Final = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_IMAGE: Final = re.compile(r"!\[([^\[\]\n]*)\]\([^)\s]*\)")
_LINK: Final = re.compile(r"\[([^\[\]\n]*)\]\([^)\s]*\)")
_URL: Final = re.compile(r"<?\b(?:https?://|ftp://|www\.)[^\s<>]*[^\s<>.,;:!?)\]'\"]>?", re.IGNORECASE)
_TAG: Final = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>")
_LINE_START: Final = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+][ \t]+(?:\[[ xX]\][ \t]+)?)+", re.MULTILINE)
_RULE: Final = re.compile(r"^[ \t]*(?:[-*_][ \t]*){3,}$|^(?=[^\n]*---)[ \t|:-]++$", re.MULTILINE)
_EMPHASIS: Final = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|~~)(?=\S)([^*_~\n]*\S)\1(?!\w)|(\*\*)(?=\S)([^*\n]*\S)\*\*")
_MARKS: Final = re.compile(r"[`|]|\*\*")
_EMOJI: Final = re.compile(
    "[\U0001f000-\U0001faff\U00002600-\U000027bf\U00002b00-\U00002bff\U0000fe00-\U0000fe0f"
    "\U000e0020-\U000e007f\u200d\u20e3\u2190-\u21ff]+"
)
_SPACES: Final = re.compile(r"[ \t\r\f\v]*\n\s*|[ \t\r\f\v]{2,}")


def speakable(text: str) -> str:
    """`text` as it is to be spoken: without Markdown's marks, addresses, tags and emoji; "" if nothing is left.

    >>> speakable("**Yes**, see [the guide](https://example.org/a) 🙂 and `frames.py`: https://example.org/b.")
    'Yes, see the guide and frames.py:.'
    """
    text = _FENCE.sub(" ", text)
    text = _RULE.sub(" ", text)
    text = _LINK.sub(r"\1", _IMAGE.sub(r"\1", text))
    text = _URL.sub(" ", text)
    text = _TAG.sub(" ", text)
    text = _LINE_START.sub("", text)
    text = _EMPHASIS.sub(lambda match: match[2] or match[4] or "", text)
    text = _MARKS.sub(" ", text)
    text = _EMOJI.sub(" ", text)
    text = _SPACES.sub(lambda match: "\n" if "\n" in match[0] else " ", text)
    text = re.sub(r" +([.,;:!?])", r"\1", text).strip()
    return text if any(character.isalnum() for character in text) else ""


def is_speakable(text: str) -> bool:
    """Whether anything of `text` can be spoken: a letter or a digit, without marks and emoji.

    >>> is_speakable("Yes."), is_speakable("**...** 🎉"), is_speakable("https://example.org")
    (True, False, False)
    """
    return bool(speakable(text))
