"""Whether a full stop ends a sentence or an abbreviation, from the word before it and from what follows.

`word_before` gives the `Kind` of the word. `goes_on` tells whether the sentence continues with what follows. Often only
the next word decides: "See No. 5", but "No. You cannot."
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum, auto
from typing import Final, NamedTuple

from .sentence_words import (
    ABBREVIATIONS,
    BEFORE_NAME,
    BEFORE_NUMBER,
    CALENDAR,
    LABELS,
    LETTERED,
    MAY_END,
    MONTHS,
    NAMES_OF_HOURS,
    ORDINAL_BEFORE,
    STARTERS,
    STATES,
    TITLES,
)

__all__ = [
    "BEFORE_WORD",
    "IDEOGRAPHS",
    "MAY_END_BEFORE_SMALL",
    "NOTHING",
    "SHORT_NUMBER",
    "Before",
    "Kind",
    "Next",
    "goes_on",
    "next_item",
    "word_before",
]

IDEOGRAPHS: Final = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""A class of a regular expression: characters of Chinese and Japanese, which set no words apart."""
BEFORE_WORD: Final = re.compile(rf".*[\s/(\[{{\"“«„「—–{IDEOGRAPHS}]", re.DOTALL)
"""What is before the last word of a text."""

SHORT_NUMBER: Final = re.compile(r"\d{1,2}\.")

_BEHIND: Final = 40
"""The number of characters before a stop in which its word is looked for."""
_MARKED: Final = 24
"""The most characters of the mark of a list item."""
_CHAIN: Final = re.compile(r"(?<![^\W_])(?:[^\W\d_]{1,2}\.[ \u00a0\u202f]?){1,4}[^\W\d_]{1,4}\Z")
_DOTTED: Final = re.compile(r"[^\W\d_](?:[.\-]{1,2}[^\W\d_])+")
_SYLLABLE: Final = re.compile(f"[{IDEOGRAPHS}\uac00-\ud7a3]")
"""A character that may be a whole word, as the Korean for "Yes.": no initial."""
_MARKER: Final = re.compile(
    r"[\s#>*_+\-•–(\[]*+(?:\d{1,3}|[一二三四五六七八九十가나다라마바사]"
    rf"|(?!{_SYLLABLE.pattern})[^\W\d_]|[ivx]{{1,5}}|[IVX]{{1,5}})[*_]{{0,3}}"
)
_ROMAN: Final = re.compile(r"[IVXLCDM]{2,7}")
_BEFORE_TIME: Final = frozenset("at by until around before after from since".split())
_AND: Final = frozenset("and or und oder et ou y o e och og".split())


class Kind(Enum):
    """What the word before a full stop is. This decides what must follow for the sentence to end."""

    PLAIN = auto()
    MARKER = auto()  # the number or letter of a list
    LEADING = auto()  # needs a next word: "Dr.", "e.g."
    LABEL = auto()  # "Fig.": before a number or a letter
    COUNTED = auto()  # "Dec.": before a number
    LAST = auto()  # "etc.", "p.m."
    NAME = auto()  # "U.S.", "Inc.": may be part of a longer name
    INITIAL = auto()  # "J."
    LETTER = auto()  # a letter that is no initial: "vitamin C."
    NUMBER = auto()  # of one or two digits


class Before(NamedTuple):
    """The word before a stop."""

    kind: Kind
    word: str  # as it is in the text
    key: str  # as it is in the tables
    earlier: list[str]  # the words before it, in order, in small letters


class Next(NamedTuple):
    """What follows a stop, without white space and opening quotes."""

    character: str
    word: str  # the letters, "" if it begins with something else
    after: str  # the character after the word
    is_short_number: bool  # "3.": one or two digits and a stop

    @property
    def head(self) -> str:
        """The word up to its apostrophe."""
        return self.word.partition("'")[0].partition("’")[0]


NOTHING: Final = Before(Kind.PLAIN, "", "", [])
MAY_END_BEFORE_SMALL: Final = (Kind.PLAIN, Kind.LETTER, Kind.NUMBER)
"""After these the sentence may end before a small letter, if it begins with one."""


def word_before(text: str, start: int, at: int, abbreviations: Collection[str]) -> Before:
    """The word that ends before `text[at]`, in the sentence that begins at `start`."""
    behind = text[max(start, at - _BEHIND) : at]
    if not behind or behind[-1].isspace():
        return NOTHING
    *earlier, last = behind.split()
    word = BEFORE_WORD.sub("", last)
    if len(word) == len(behind) < at - start:
        return NOTHING  # longer than any word
    word = word.lstrip("'‘’*_~`-–")
    elided = word.replace("’", "'").rpartition("'")[2]
    if 1 < len(elided) < len(word) and elided.lower() in abbreviations:
        word = elided  # "dell'ing."
    key = word.lower()
    if earlier and earlier[-1].endswith(".") and (chain := _CHAIN.search(behind)):
        joined = "".join(chain.group().lower().split())  # "z. B."
        key = joined if joined in abbreviations else key
    if at - start < _MARKED and _MARKER.fullmatch(text, start, at):
        kind = Kind.MARKER
    else:
        kind = _kind(word, key, earlier, abbreviations)
    return Before(kind, word, key, [each.lower() for each in earlier])


def _kind(word: str, key: str, earlier: list[str], abbreviations: Collection[str]) -> Kind:
    former = earlier[-1] if earlier else ""
    if word == "1" and former.endswith(":"):
        return Kind.MARKER
    if len(word) == 1 and word.isalpha() and (key == word.lower() != word or key not in abbreviations):
        if _SYLLABLE.match(word):
            return Kind.PLAIN
        if word == "I" and not (former.endswith(".") or former[:1].isupper()):
            return Kind.PLAIN  # the pronoun
        is_second = (
            former in _AND and len(earlier) > 1 and earlier[-2][0].isupper() and len(earlier[-2]) < 3
        )  # "A and B"
        return Kind.LETTER if word.islower() or is_second or former.lower() in LETTERED else Kind.INITIAL
    if key in abbreviations:
        return _kind_of_abbreviation(word, key, is_first=not earlier)
    if key.endswith("str") and len(key) > 3:
        return Kind.LABEL  # "Hauptstr. 12"
    if _DOTTED.fullmatch(word):
        return Kind.NAME
    return Kind.NUMBER if word.isdecimal() and len(word) <= 2 else Kind.PLAIN


def _kind_of_abbreviation(word: str, key: str, *, is_first: bool) -> Kind:
    if key in TITLES:
        unit = Kind.LAST if key in MAY_END else Kind.PLAIN
        return unit if word.islower() else Kind.LEADING
    if key in STATES:
        return Kind.NAME if word[0].isupper() and not is_first else Kind.PLAIN
    if key in LABELS:
        return Kind.LABEL
    if key in BEFORE_NUMBER:
        return Kind.PLAIN if key in CALENDAR and word.islower() else Kind.COUNTED
    if key in BEFORE_NAME:
        return Kind.NAME
    if key in MAY_END:
        return Kind.LAST
    is_shouted = len(word) > 1 and word.isupper() and "." not in word  # "CA", not "ca."
    return Kind.NAME if is_shouted else Kind.LEADING


def goes_on(before: Before, follows: Next) -> bool:
    """Whether the sentence continues after the full stop of `before` with what `follows`."""
    kind, key, head, word = before.kind, before.key, follows.head, follows.word
    if follows.character.isdigit():
        return _goes_on_with_number(before, follows)
    is_initial = len(word) == 1 and follows.after == "."
    if follows.after == "." and f"{key}.{word.lower()}" in ABBREVIATIONS:
        return True  # "v. Chr."
    starts = head.lower() in STARTERS and not is_initial
    if kind is Kind.LABEL:
        if not word:
            return follows.character in "#§$€£"
        if key == "no":  # "See No. BA 249", but "No. I cannot."
            return before.word == "No" and bool(before.earlier) and len(head) > 1 and head.isupper()
        return head != "I" and (len(head) == 1 or _ROMAN.fullmatch(head) is not None)
    if kind is Kind.COUNTED:
        return head.lower() in MONTHS
    if kind is Kind.LAST:
        if key in ("г", "гг"):  # of a year; else of a city
            return not (before.earlier and before.earlier[-1].strip("()–-").isdecimal())
        is_opening = len(before.earlier) == 2 and before.earlier[0] in _BEFORE_TIME  # "At 5 a.m. Mr. Smith left."
        return key in ("a.m", "p.m") and (head.lower() in NAMES_OF_HOURS or (is_opening and bool(word) and not starts))
    if kind in (Kind.NAME, Kind.INITIAL):
        return bool(word) and not starts
    if kind is Kind.LETTER:
        return is_initial
    if kind is Kind.NUMBER:
        if head.lower() in MONTHS:
            return True
        is_ordinal = before.earlier[-1:] and before.earlier[-1] in ORDINAL_BEFORE and before.earlier[-2:] != ["i", "am"]
        return bool(is_ordinal) and not starts
    return kind in (Kind.MARKER, Kind.LEADING)


def _goes_on_with_number(before: Before, follows: Next) -> bool:
    if before.kind is Kind.NUMBER:  # "24. 12. 2024"
        return follows.is_short_number or bool(before.earlier and SHORT_NUMBER.fullmatch(before.earlier[-1]))
    return before.kind is not Kind.PLAIN and (before.kind is not Kind.LETTER or before.word.islower())


def next_item(text: str, start: int, at: int, before: Before) -> int:
    """Where the next item of a list begins if the items have no stop ("2. Butter" after "1. Bread"), or 0."""
    word = before.word
    if before.kind is Kind.MARKER:
        return 0
    if word.isdecimal() and len(word) <= 2:
        former = str(int(word) - 1)
    elif len(word) == 1 and word.isalpha():
        former = chr(ord(word) - 1)
    else:
        return 0
    begin = text.rfind(former + ".", start, at - 1)
    if begin < 0 or text[start:begin].strip(" \t•⁃*–-")[-1:] not in ("", ":"):
        return 0
    begin = at - len(word)
    while begin > start and text[begin - 1] in "•⁃*-– ":
        begin -= 1
    return begin + 1 if text[begin] == " " else 0
