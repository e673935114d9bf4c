"""Where a sentence ends, from what is before a stop and what follows it.

A stop that needs no space after it (the full-width stops, the danda, the Ethiopic full stop and others) ends the
sentence. A Latin stop ends it if white space or an emoji follows, or if the space was clearly forgotten
("It is done.Now rest."). It does not end it if the next word begins with a small letter, unless the sentence also
begins with one: some people write no capitals. For a full stop the word before it counts too: its `Kind` says what must
follow for the sentence to end.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from .full_stops import (
    BEFORE_WORD,
    IDEOGRAPHS,
    MAY_END_BEFORE_SMALL,
    NOTHING,
    SHORT_NUMBER,
    Kind,
    Next,
    goes_on,
    next_item,
    word_before,
)
from .sentence_words import CODE_BEFORE, DOMAINS, SHORT_WORDS
from .unicode_data import EMOJI_CLUSTER, SENTENCE_TERMINALS, is_cluster_boundary

__all__ = ["ENDINGS", "NO", "UNKNOWN", "EndFinder"]

NO: Final = 0
UNKNOWN: Final = -1

_AHEAD: Final = 64
"""The number of characters after a stop that may decide whether it ends the sentence."""

ENDINGS: Final = "\n…\u037e" + SENTENCE_TERMINALS

_PERIODS: Final = ".\u2024\ufe52"
_SPACED: Final = frozenset(_PERIODS + "!?…")
"""Stops that need white space after them."""
_OPENERS: Final = "\"'([{“‘«‹„‚「『（【〔《〈¿¡*_~"
_CLOSERS: Final = "\"')]}”’»›“‘«‹」』）】〉》〕〗〙〛］｝｣*_~`\ufe0f"
_GOES_ON: Final = frozenset(".,;:!?…)]}/&%=+،؛、，；：）」』”’")
"""Characters that do not begin a sentence."""

_ADDRESS: Final = frozenset("/=@&#")
_CODE: Final = frozenset("(_/@[=<#\\{&")
"""Characters that follow a name in a program or an address, but not a word of a sentence."""
_SAID: Final = ("하고", "하며", "라고", "라는", "라며", "이라")
"""Beginnings of the Korean words that continue a sentence after a quotation."""

_EMOJIS: Final = re.compile(rf"(?:{EMOJI_CLUSTER})+")
_OPENING: Final = re.compile(rf"[{re.escape(_OPENERS)}]*+(?:[-–—]++\s*+[{re.escape(_OPENERS)}]*+)?+")
_LETTERS: Final = re.compile(r"[^\W\d_]++(?:['’][^\W\d_]++)*+")
_PLAIN: Final = re.compile(r"[^\W\d_]++(?:['’\-][^\W\d_]++)*+")
_SHORT_NUMBER_LENGTH: Final = 3
_VOWEL: Final = re.compile(r"[aeiouyAEIOUY]|[^\x00-\x7f]")
_FEW_LETTERS: Final = re.compile(r"\w{0,5}+")
_CJK: Final = re.compile(f"[{IDEOGRAPHS}]")
_HANGUL: Final = re.compile("[\uac00-\ud7a3]")
_GREEK: Final = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")


class EndFinder:
    """Finds the ends of sentences. `endings` end them; a full stop after one of `abbreviations` may not."""

    def __init__(self, endings: Collection[str], abbreviations: Collection[str]) -> None:
        self._abbreviations = frozenset(abbreviations)
        self._blanks = frozenset(filter(str.isspace, endings))
        self._stops = frozenset(endings) - self._blanks
        self._greek = "?" in self._stops and ";" not in self._stops
        blanks, stops = re.escape("".join(self._blanks)), re.escape("".join(self._stops) + ";" * self._greek)
        closers = re.escape(_CLOSERS)
        self.candidate: Final = re.compile(f"[{stops}{blanks}]")
        """A character that may end a sentence."""
        self._run = re.compile(f"[{stops}{closers}]*+")
        self._spaces = re.compile(rf"[^\S{blanks}]*+")
        self._last = re.compile(rf"[{stops or closers}][{stops}{closers}]*+(?:\s[»›])?+\s*+(?:{EMOJI_CLUSTER})*+\s*+\Z")

    def find(self, text: str, start: int, at: int, limit: int, *, ended: bool) -> int:
        """Where the sentence that begins at `start` ends, if the candidate at `at` ends it; else `NO` or `UNKNOWN`.

        Only `text[start:limit]` and the one character after it count. The answer is never `UNKNOWN` if there is such a
        character, or if the text has `ended`.
        """
        if text[at] in self._blanks:
            return at + 1
        if text[at] == ";" and self._greek and not (at > start and _GREEK.match(text, at - 1)):
            return NO
        stop = min(limit, at + _AHEAD)
        beyond = stop if ended or stop < len(text) else UNKNOWN  # the answer if what decides would be beyond `stop`
        run = _end(self._run, text, at, stop)
        while run < stop and run > at + 1 and _opens(text, start, at, text[run - 1]):
            run -= 1
        while True:
            gap = _end(self._spaces, text, run, stop)
            if gap == stop:
                return _whole_cluster(text, at, beyond)
            # French has a space before a closing quote. Before an opening one too, but then its word follows at once.
            if gap == run or text[gap] not in "»›":
                break
            if gap + 1 == stop:
                return _whole_cluster(text, at, beyond)
            if not (text[gap + 1].isspace() or text[gap + 1] in _GOES_ON):
                break
            run = _end(self._run, text, gap, stop)
        if text[gap] in self._blanks:
            return gap + 1
        end = _end(_EMOJIS, text, gap, stop)
        if end + 1 == stop and ord(text[end]) >= 0xA9 and not text[end].isalnum():
            return _whole_cluster(text, at, beyond)  # it may be a part of an emoji
        if end > gap:
            end = _end(self._spaces, text, end, stop)
            if end == stop:
                return _whole_cluster(text, at, beyond)
            return end + 1 if text[end] in self._blanks else _whole_cluster(text, at, end)
        if gap == run:
            return _whole_cluster(text, at, self._glued(text, start, at, run, stop, beyond))
        return _whole_cluster(text, at, self._spaced(text, start, at, run, gap, stop, beyond))

    def after(self, text: str, at: int, limit: int) -> int:
        """Where to look for the next candidate, if the one at `at` is no end: stops in a row are one."""
        end = at
        while end < limit and text[end] in self._stops:
            end += 1
        return max(end, at + 1)

    def is_whole(self, text: str) -> bool:
        """Whether `text` ends where a sentence ends, if nothing follows."""
        last = self._last.search(text, max(0, len(text) - _AHEAD))
        if last is None:
            return False
        at = last.start()
        if text[at] == ";" and self._greek:
            return at > 0 and _GREEK.match(text, at - 1) is not None
        if not self._is_period(text, at, last.end()):
            return True
        kind, word, key, earlier = word_before(text, 0, at, self._abbreviations)
        if kind is Kind.LABEL:  # "The answer is no." and "No." are whole, "See No." is not
            return not earlier or (key == "no" and word.islower())
        return kind not in (Kind.LEADING, Kind.INITIAL, Kind.MARKER) and key != "st"

    def _is_period(self, text: str, at: int, end: int) -> bool:
        """Whether the stops in `text[at:end]` are one full stop."""
        return text[at] in _PERIODS and self._stops.isdisjoint(text[at + 1 : end])

    # ------------------------------------------------------------------------------------- where white space follows

    def _spaced(self, text: str, start: int, at: int, run: int, gap: int, stop: int, beyond: int) -> int:
        if text[at] not in _SPACED:  # Urdu has its full stop within abbreviations too
            return NO if text[at] == "۔" and "۔" in text[max(start, at - 5) : at].rpartition(" ")[2] else gap
        first = _end(_OPENING, text, gap, stop)
        if first == stop:
            return beyond
        character = text[first]
        if character == "." and first + 1 == stop and beyond == UNKNOWN:
            return UNKNOWN
        if character in _GOES_ON and not (character == "." and text[first + 1 : first + 2].isalnum()):
            return NO
        period = self._is_period(text, at, run)
        is_ellipsis = (
            text[at] == "…" or text.startswith("..", at) or (period and text[max(start, at - 1) : at].isspace())
        )
        if not period and text[first - 1] in "¿¡":
            return gap
        if text[run - 1] in _CLOSERS and character in "하라이":
            if first + 2 > stop and beyond == UNKNOWN:
                return UNKNOWN
            if text.startswith(_SAID, first, stop):
                return NO
        before = word_before(text, start, at, self._abbreviations) if period and not is_ellipsis else NOTHING
        if not (is_ellipsis or character.islower() or before.kind is not Kind.PLAIN):
            return gap
        end = _end(_LETTERS, text, first, stop)
        if beyond == UNKNOWN and (end == stop or (character.isdigit() and first + _SHORT_NUMBER_LENGTH > stop)):
            return UNKNOWN
        is_short_number = SHORT_NUMBER.match(text, first, stop) is not None
        follows = Next(character, text[first:end], text[end : end + 1], is_short_number)
        if item := next_item(text, start, at, before):
            return item
        if _is_small(follows.word):
            is_end = not is_ellipsis and before.kind in MAY_END_BEFORE_SMALL and _begins_small(text, start, at)
        elif is_ellipsis:
            is_end = follows.head != "I" and not (at > start and text[at - 1] in "[(")
        else:
            is_end = not goes_on(before, follows)
        return gap if is_end else NO

    # ------------------------------------------------------------------------------------- where no white space follows

    def _glued(self, text: str, start: int, at: int, run: int, stop: int, beyond: int) -> int:
        """The end where no space follows: it was forgotten, or the script has none."""
        stopped, character = text[at], text[run]
        if run + 1 == stop and beyond == UNKNOWN:
            return UNKNOWN
        if stopped not in _SPACED:
            return self._unspaced(text, start, at, run, stop, beyond)
        if character in "¿¡" or (not character.isalnum() and _CJK.match(text, at - 1 if at > start else at)):
            return NO if character in _GOES_ON else run
        if not character.isalpha() or at == start:
            return NO
        is_ellipsis = stopped == "…" or text.startswith("..", at)
        if _CJK.match(text, run):
            is_word = stopped not in _PERIODS or word_before(text, start, at, self._abbreviations).kind is Kind.PLAIN
            return run if is_word and not is_ellipsis and not (text[at - 1].isdecimal() and stopped in _PERIODS) else NO
        if _CJK.match(text, at - 1):
            return run if stopped in "!?" else NO
        end = _end(_LETTERS, text, run, stop)
        if end + 1 >= stop and beyond == UNKNOWN:
            return UNKNOWN
        words = text[max(start, at - _AHEAD) : at].split()
        if len(words) == 1 and at - start > _AHEAD:
            return NO  # longer than any word: an address
        follows = Next(character, text[run:end], text[end : min(end + 2, stop)], is_short_number=False)
        if text[at - 1].isspace() or not self._is_space_forgotten(words, text[at:run], follows):
            return NO
        # The quote may open the next sentence: no quote before it is open.
        return run - 1 if text[run - 1] == '"' and text.count('"', start, at) % 2 == 0 else run

    def _unspaced(self, text: str, start: int, at: int, run: int, stop: int, beyond: int) -> int:
        """The same for a stop that needs no space after it. A stop that only the caller knows does need one."""
        stopped, character = text[at], text[run]
        if stopped not in SENTENCE_TERMINALS or character in _GOES_ON:
            return NO
        if stopped == "．" and character.isalnum() and (character.isascii() or character.isdecimal()):
            return NO
        if stopped == "۔":  # Urdu has it within abbreviations too
            end = _end(_FEW_LETTERS, text, run, stop)
            if end - run <= 4 and end + 1 >= stop and beyond == UNKNOWN:
                return UNKNOWN
            is_short = end - run <= 4 and end + 1 < stop and text[end] == "۔" and text[end + 1].isalpha()
            return NO if is_short or "۔" in text[max(start, at - 5) : at].rpartition(" ")[2] else run
        return NO if text[run - 1] in "」』”" and character in "とっ" else run  # "…。」と言った"

    def _is_space_forgotten(self, words: list[str], stops: str, follows: Next) -> bool:
        """Whether a space is missing after `words` and the `stops` and closers: in "done.Now", not in "Node.js"."""
        word, head, after = follows.word, follows.head, follows.after
        last = words[-1].rstrip(_CLOSERS)
        if "://" not in last:
            last = BEFORE_WORD.sub("", last)
        if after[:1].isalnum() or after[:1] in _CODE or (after[:1] == "." and after[1:2].islower()):
            return False
        if _is_cased(head):
            if head not in ("I", "A") and not (len(head) > 1 and head[0].isupper() and head[1:].islower()):
                return False
        elif _is_cased(last[-1:]) or len(word) < 2 or (stops[-1] in _CLOSERS and _HANGUL.match(head)):
            return False  # Korean goes on behind a quotation without a space
        if stops[0] not in _PERIODS and stops[0] != "…":
            return last[-1:].isalnum() and _ADDRESS.isdisjoint(last)
        if word.lower() in DOMAINS or last.lower() in self._abbreviations:
            return False
        if words[-2:-1] and words[-2].lower() in CODE_BEFORE:
            return False
        if last.isdecimal():
            return len(last) > 1 and len(head) > 1
        if len(last) < 2 or (len(last) == 2 and last.isascii() and last.lower() not in SHORT_WORDS):
            return False
        return _PLAIN.fullmatch(last) is not None and _VOWEL.search(last) is not None


def _end(pattern: re.Pattern[str], text: str, at: int, stop: int) -> int:
    """Where a match of `pattern` at `at` ends; `at` if there is none."""
    found = pattern.match(text, at, stop)
    return found.end() if found else at


def _whole_cluster(text: str, at: int, end: int) -> int:
    """`end`, or a place before it if that would cut a grapheme cluster; `NO` if there is none after `at`."""
    while 0 < end < len(text) and not is_cluster_boundary(text, end):
        end -= 1
        if end <= at:
            return NO
    return end


def _opens(text: str, start: int, at: int, quote: str) -> bool:
    """Whether a quote right after the stop at `at` opens a quotation: in some languages it closes one."""
    if quote in "“‘":
        return "„" not in text[start:at] and "‚" not in text[start:at]
    return quote in "«‹" and "»" not in text[start:at] and "›" not in text[start:at]


def _is_cased(word: str) -> bool:
    return word[:1].upper() != word[:1].lower() and word[:1].title() in (word[:1].upper(), word[:1])


def _is_small(word: str) -> bool:
    """Whether a word has no capital, in a script that begins its sentences with one (Georgian does not)."""
    return word.islower() and word[0].title() != word[0]


def _begins_small(text: str, start: int, at: int) -> bool:
    """Whether the sentence at `start` begins without a capital."""
    first = next((character for character in text[start : min(at, start + _AHEAD)] if character.isalpha()), "")
    return first.islower()
