"""How much of a text a voice says at a time: what it can say before the listener has heard what it said before.

A short piece is heard sooner. A long one sounds better, and costs a voice that is far away fewer calls. `Pacing` learns
from each sound how long the voice takes, and compares that with how far the sound is ahead of the listener:

* a sentence of more than 60 characters is cut at a `,` `;` or `:` if it would be late as a whole;
* sentences are joined, to 200 characters at most, if one and a half times the predicted time is left for that.

So the first piece is short, because the listener waits, and nothing is joined before something is known of the voice.
Nothing in here waits or reads a clock that was not given.
"""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["JOINED", "Pacing", "clause_end", "clauses"]

CUT: Final = 60
"""A sentence of more characters may be cut."""
JOINED: Final = 200
"""The most characters of sentences that are said together."""
_CLAUSE: Final = 30
"""The fewest characters of a piece. While a short one is heard, a slow voice cannot say the next one: in the simulation
of tests/speech/test_chunking.py, pieces of 20 characters nearly double the silence."""
_MARGIN: Final = 1.5
"""How many times the predicted time must be left before sentences are joined."""
_REMEMBERED: Final = 16
"""The sounds that the times of a voice are learned from."""

_END: Final = re.compile(
    r"(?P<end>[,;:][\"'”’)\]]*\s+|[，；：、]\s*)"
    r"|(`+)(?!`)(?:.*?(?<!`)\2(?!`)|.*)|\[[^\]]*(?:\](?:\([^)]*\)?)?)?|<[^>]*|https?:\S*|[|\n].*",
    re.DOTALL,
)
"""The end of a clause. What else it finds is passed over, because a comma is no pause in it: code, links, tags,
addresses, and all that follows the first mark of a table or the first line."""


def clause_end(text: str, start: int = 0) -> int:
    """Where the clause at `start` ends, after its white space; 0 if `text` is too short to be cut, or has no place.

    >>> text = "When the wind has turned and the rain is over, the two of us go out again to look for it."
    >>> text[:clause_end(text)]
    'When the wind has turned and the rain is over, '
    """
    if len(text) <= CUT:
        return 0
    for found in _END.finditer(text, start):
        if found["end"] and found.end() - start >= _CLAUSE:
            return found.end()
    return 0


def clauses(sentence: str) -> list[str]:
    """`sentence` in the pieces that may be said apart; together they are the sentence.

    >>> clauses("When the wind has turned, and the rain is over at last, the two of us go out again to look for it.")
    ['When the wind has turned, and the rain is over at last, ', 'the two of us go out again to look for it.']
    """
    pieces: list[str] = []
    start = 0
    while (end := clause_end(sentence, start)) and len(sentence) - end >= _CLAUSE:
        pieces.append(sentence[start:end])
        start = end
    return [*pieces, sentence[start:]]


class Pacing:
    """Learns the speed of a voice, and says how much it should say now. For one answer, and one voice at a time.

    `clock` gives seconds.

    >>> now = 0.0
    >>> pacing = Pacing(lambda: now)
    >>> sentences = [(45, True), (50, True), (60, True)]  # characters, and whether the sentence ends there
    >>> pacing.count(sentences)  # nothing is known of the voice
    1
    >>> pacing.said(45, seconds=3.0, took=0.5)
    >>> pacing.lead, round(pacing.predict(110), 2)
    (3.0, 1.22)
    >>> pacing.count(sentences[1:])
    2
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard_at = -math.inf
        self._times: deque[tuple[float, float, int]] = deque(maxlen=_REMEMBERED)

    @property
    def lead(self) -> float:
        """How many seconds of sound the listener has before silence, if each sound was sent when it was made."""
        return max(0.0, self._heard_at - self._clock())

    def said(self, characters: int, seconds: float, took: float | None) -> None:
        """A sound was made now.

        Args:
            characters: how many it says.
            seconds: how long it is.
            took: how many seconds the voice worked on it; `None`: it did not.
        """
        # After a silence the listener goes on from now, and not from where it would be without the silence.
        self._heard_at = max(self._heard_at, self._clock()) + seconds
        if took is not None and characters and seconds:
            self._times.append((seconds, took, characters))

    def forget(self) -> None:
        """Another voice speaks from now on."""
        self._times.clear()

    def predict(self, characters: int) -> float:
        """How many seconds the voice will take for so many characters; infinite if nothing is known of it."""
        if not self._times:
            return math.inf
        a, b = _fit([(seconds, took) for seconds, took, _ in self._times])
        spoken = sum(seconds for seconds, _, _ in self._times) / sum(size for _, _, size in self._times)
        return a + b * spoken * characters

    def is_late(self, characters: int) -> bool:
        """Whether the listener would wait for the sound of so many characters."""
        return self.predict(characters) > self.lead

    def count(self, pieces: Iterable[tuple[int, bool]]) -> int:
        """How many of the pieces that wait are to be said together now; at least 1. A piece is its number of
        characters, and whether a sentence ends with it."""
        lead = self.lead
        counted = characters = 0
        is_first_sentence = True
        for number, (size, ends) in enumerate(pieces, 1):
            characters += size
            if is_first_sentence:
                if number > 1 and self.predict(characters) > lead:
                    break
                counted = number
                is_first_sentence = not ends
            else:
                if characters > JOINED or not _MARGIN * self.predict(characters) < lead:
                    break
                if ends:
                    counted = number
        return max(1, counted)


def _fit(times: list[tuple[float, float]]) -> tuple[float, float]:
    """a and b, neither negative, of the line `took = a + b * seconds` that is closest to `times`."""
    n = len(times)
    mean_x, mean_y = sum(x for x, _ in times) / n, sum(y for _, y in times) / n
    spread = sum((x - mean_x) ** 2 for x, _ in times)
    b = sum((x - mean_x) * (y - mean_y) for x, y in times) / spread if spread > 1e-3 * n * mean_x**2 else math.inf
    a = mean_y - b * mean_x
    if b < 0:
        return mean_y, 0.0
    if a < 0:  # also where all sounds have the same length, which says nothing of a
        return 0.0, mean_y / mean_x
    return a, b
