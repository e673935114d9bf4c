"""Splits a stream of tokens into sentences, each as soon as it is complete.

A model gives its answer in tokens that do not respect words. A synthesizer needs sentences, and the first one early.
`SentenceSplitter` makes sentences of tokens. Two laws hold for any tokens: the sentences together are the text, and if
the text is cut into other tokens, the sentences are the same. Because of the second law a full stop at the end of the
text so far is not yet the end of a sentence ("3." may become "3.14"): what follows decides, in most cases the first
letter of the next sentence (`sentence_ends`). A pause of the source is an input too: the sentences depend on the text
and on the places of the pauses in it, and on nothing else.

The text stays unchanged: `speakable` and `SpeechFilter` make of it what is spoken.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Final

from .chunking import clause_end
from .markdown import closes_fence, may_open_fence, opened_fence
from .sentence_ends import ENDINGS, NO, UNKNOWN, EndFinder
from .sentence_words import ABBREVIATIONS
from .unicode_data import is_cluster_boundary

__all__ = ["ABBREVIATIONS", "SentenceSplitter"]

_FENCE_LINE: Final = 200
"""Characters that the line which opens a code block may have."""


@lru_cache(maxsize=16)
def _end_finder(endings: str, abbreviations: frozenset[str]) -> EndFinder:
    """Cached, because compiling its patterns takes as long as splitting about ten sentences."""
    return EndFinder(endings, abbreviations)


class SentenceSplitter:
    """Takes tokens and gives sentences, in the order of the text, with all their white space.

    A full stop does not end a sentence within a number or a word ("3.14", "example.org"), or where the next word shows
    that the sentence goes on: after an abbreviation ("Dr.", "e.g."), an initial ("J. S. Bach") or the number of a list,
    and before a small letter.

    Closing quotes and brackets, emoji, and the white space that follows belong to the sentence. A fenced code block is
    one piece.

    >>> splitter = SentenceSplitter()
    >>> [splitter.feed(token) for token in ("Pi is 3", ".", "14. Dr", ". No said", " so! And")]
    [[], [], ['Pi is 3.14. '], [], ['Dr. No said so! ']]
    >>> splitter.flush()
    ['And']

    Args:
        endings: the characters that end a sentence; by default a new line and every character that Unicode calls a
            sentence terminal, in any script.
        abbreviations: in lower case, without the last full stop; by default those of some twenty languages.
        max_length: a sentence that does not end is cut after so many characters, or at a space before that if there is
            one, and never within a grapheme cluster (UAX #29) that is shorter.

    Raises:
        ValueError: There is no ending, or `max_length` is below 2.
    """

    def __init__(
        self,
        endings: str = ENDINGS,
        *,
        abbreviations: Collection[str] = ABBREVIATIONS,
        max_length: int = 1000,
    ) -> None:
        if not endings or max_length < 2:
            raise ValueError("a splitter needs at least one ending, and a max_length of at least 2")
        self._ends = _end_finder(endings, frozenset(abbreviations))
        self._max_length = max_length
        self._reset()

    def _reset(self) -> None:
        self._text = ""
        self._at = 0  # up to where _text has no end of a sentence
        self._begins_line = True  # whether _text is at the beginning of a line
        self._is_prose = False  # whether it is known that _text does not begin with a code block
        self._fence = ""  # the fence of the code block that _text is in

    @property
    def buffered(self) -> int:
        """Characters that wait for the end of their sentence; at most `max_length`."""
        return len(self._text)

    def feed(self, token: str) -> list[str]:
        """Take a token. Returns every sentence that is complete now."""
        # In slices, so that a huge token takes linear time.
        pieces: list[str] = []
        for start in range(0, len(token), self._max_length):
            self._text += token[start : start + self._max_length]
            pieces += self._take()
        return pieces

    def pause(self) -> list[str]:
        """Call this when the source is silent. Returns every sentence that looks complete.

        "3." looks complete too, and is cut from a "14" that comes later: so wait for about 0.3 seconds before you call
        this. What needs a next word ("Dr."), text without a stop and an open code block are kept.

        >>> splitter = SentenceSplitter()
        >>> splitter.feed("Let me check that.")
        []
        >>> splitter.pause()
        ['Let me check that.']
        """
        return self._take(paused=True)

    def clause(self) -> str:
        """Take the first clause out of a long sentence that is not complete yet, for a voice that must not wait; "" if
        there is no place for a cut.

        >>> splitter = SentenceSplitter()
        >>> splitter.feed("When the wind has turned and the rain is over, the two of us go")
        []
        >>> splitter.clause(), splitter.flush()
        ('When the wind has turned and the rain is over, ', ['the two of us go'])
        """
        end = 0 if self._fence or not self._is_prose else clause_end(self._text)
        clause, self._text = self._text[:end], self._text[end:]
        if clause:
            self._at = max(0, self._at - end)
            self._begins_line = False
        return clause

    def flush(self) -> list[str]:
        """The rest, when the text has ended: no, one, or a few sentences. The splitter can then begin a new text."""
        pieces = self._take(ended=True)
        self._reset()
        return pieces

    def _take(self, *, ended: bool = False, paused: bool = False) -> list[str]:
        pieces: list[str] = []
        text, start = self._text, 0
        known = self._at, self._is_prose  # to go back to: at a pause _find_end decides as if the text had ended
        while start < len(text):
            end = self._find_end(text, start, ended=ended or paused)
            if end == UNKNOWN and len(text) - start > self._max_length:
                end = self._cut(text, start)
            elif paused and end in (UNKNOWN, len(text)) and not self._is_whole(text[start:]):
                if not self._fence:
                    self._at, self._is_prose = known if not pieces else (start, False)
                break
            elif end == UNKNOWN and (ended or paused):
                end, self._fence = len(text), ""
            elif end == UNKNOWN:
                break
            pieces.append(text[start:end])
            start = self._at = end
            self._begins_line, self._is_prose = text[end - 1] == "\n", False
        self._text = text[start:]
        self._at -= start
        return pieces

    def _is_whole(self, text: str) -> bool:
        """Whether the rest of the text ends as a sentence does, or as a code block does."""
        return closes_fence(self._text[self._at :], self._fence) if self._fence else self._ends.is_whole(text)

    def _find_end(self, text: str, start: int, *, ended: bool) -> int:
        """Where the piece at `start` ends; `UNKNOWN` if there is no end yet, or none within `max_length`."""
        limit = min(len(text), start + self._max_length)
        if not (self._fence or self._is_prose):
            if self._begins_line and not self._open_fence(text, start, limit, ended=ended):
                return UNKNOWN
            self._is_prose = not self._fence
        if self._fence:
            return self._find_fence(text, start, limit)
        while found := self._ends.candidate.search(text, self._at, limit):
            end = self._ends.find(text, start, found.start(), limit, ended=ended)
            if end == UNKNOWN:
                self._at = found.start()
                return UNKNOWN
            if end != NO:
                return end
            self._at = self._ends.after(text, found.start(), limit)
        self._at = limit
        return UNKNOWN

    def _open_fence(self, text: str, start: int, limit: int, *, ended: bool) -> bool:
        """Set `_fence` if the line at `start` opens a code block; `False` if that is not known yet."""
        stop = min(limit, start + _FENCE_LINE)
        line_end = text.find("\n", start, stop)
        if line_end < 0:
            return ended or stop < len(text) or not may_open_fence(text[start:stop])
        self._fence = opened_fence(text[start:line_end])
        if self._fence:
            self._at = line_end + 1
        return True

    def _find_fence(self, text: str, start: int, limit: int) -> int:
        """Where the code block ends, after the line that closes it."""
        while (line_end := text.find("\n", self._at, limit)) >= 0:
            line, is_line = text[self._at : line_end], self._at > start or self._begins_line
            self._at = line_end + 1
            if is_line and closes_fence(line, self._fence):
                self._fence = ""
                return line_end + 1
        return UNKNOWN

    def _cut(self, text: str, start: int) -> int:
        """Where to cut the piece at `start`, which has more than `max_length` characters and no end."""
        if self._fence and self._at > start:
            return self._at  # between two lines of code
        longest = start + self._max_length
        space = text.rfind(" ", start, longest) + 1
        if space and is_cluster_boundary(text, space):
            return space
        end = longest
        while end > start and not is_cluster_boundary(text, end):
            end -= 1
        return end if end > start else longest
