"""Text answers, sentence by sentence, each with its source.

`Answerer` is the interface: a question in, an async iterator of `Sentence(text, source)` out. There are two:
`DocumentAnswerer` here, built in and offline, and `ChatAnswerer` (`chat.py`), for any OpenAI-compatible endpoint.

**How a document answer is found.** The passages of the documents (`documents.py`) are a table of SQLite's full-text
search, in memory. Common words are removed from the question. Passages with enough of the other words are ranked by
bm25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009), in which the heading counts double. The
best ones are quoted, never paraphrased. If no passage has enough of the words, the answer says so and has no source:
that is better than a passage which shares one word with the question.
"""

from __future__ import annotations

import asyncio
import math
import re
import sqlite3
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

from wav_streaming.sentences import SentenceSplitter

from .documents import Passage, ReadingLimits, own_documents, read_documents

__all__ = ["Answerer", "DocumentAnswerer", "Sentence", "whole_characters"]


class Sentence(NamedTuple):
    """One sentence of an answer. `source` says where it comes from; it is empty if there is no source."""

    text: str
    source: str


@runtime_checkable
class Answerer(Protocol):
    """Answers questions. The method may be an async generator.

    Raise `StreamError` for a failure that the client may be told. It gets any other exception as `internal`, without an
    explanation.
    """

    def answer(self, question: str) -> AsyncIterator[Sentence]:
        """The sentences of the answer, in order, as they are made."""
        ...


async def whole_characters(tokens: AsyncIterable[str]) -> AsyncGenerator[str]:
    """The tokens, as text that can be encoded. A model that counts in UTF-16 may cut an emoji into two tokens: its
    first half waits for the second. What is half a character for ever becomes U+FFFD.

    >>> async def tokens():
    ...     for token in ("\\ud83d", "\\ude00!", "\\udc00"):
    ...         yield token
    >>> async def read():
    ...     return [token async for token in whole_characters(tokens())]
    >>> asyncio.run(read()) == ["", "\\U0001f600!", "\\ufffd"]
    True
    """
    held = ""
    async for token in tokens:
        text, held = held + token, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, held = text[:-1], text[-1]
        yield text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if held:
        yield "\ufffd"


_WORD: Final = re.compile(r"\w+")
_MOST_WORDS: Final = 32
_LONGEST_WORD: Final = 64
_CANDIDATES: Final = 24

# Each ideograph or kana is a word here: the tokenizer takes a sequence of them for one word, which no question has.
_CJK: Final = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")

# Words that a question contains without asking for them.
_STOP: Final = frozenset(
    _WORD.findall(
        "a about after all also am an and any are as at be because been being but by can could did do does doing done "
        "for from had has have having he her here him his how i if in into is it its itself just me more most my no "
        "not now of on one or other our please she should so some such tell than that the their them then there these "
        "they this those to too us was we were what when where which while who whom whose why will with would you "
        "your s t"
    )
)


class DocumentAnswerer:
    """Answers by quoting documents.

    `most` is the largest number of sentences in an answer. `coverage` is the share of the question's words, weighted by
    their rarity, that a passage must have to be an answer at all.

    >>> import asyncio
    >>> text = "A frame is a header and a payload. The header comes first."
    >>> answerer = DocumentAnswerer([Passage("guide.md > Frames", "Frames", text)])
    >>> answerer.search("what is a frame?")[0]
    Sentence(text='A frame is a header and a payload.', source='guide.md > Frames')
    >>> answerer.search("who won in 1954?")[0].source
    ''
    """

    def __init__(self, passages: Iterable[Passage], *, most: int = 3, coverage: float = 0.5) -> None:
        self._most = most
        self._coverage = coverage
        # One connection for all threads, one at a time: a database in memory belongs to its connection.
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        self._database.execute(
            "CREATE VIRTUAL TABLE passage USING fts5"
            "(heading, text, source UNINDEXED, quote UNINDEXED, weight UNINDEXED, "
            "tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        rows = (
            (_spaced(entry.heading), _spaced(entry.text), entry.source, entry.text, entry.weight) for entry in passages
        )
        self._database.executemany("INSERT INTO passage VALUES (?, ?, ?, ?, ?)", rows)
        self._database.commit()
        self._database.execute("PRAGMA query_only = ON")
        [(self.passages,)] = self._database.execute("SELECT count(*) FROM passage")
        [(self.documents,)] = self._database.execute(
            "SELECT count(DISTINCT substr(source, 1, instr(source || ' > ', ' > '))) FROM passage"
        )

    @classmethod
    def from_paths(cls, *paths: str | Path, limits: ReadingLimits | None = None) -> DocumentAnswerer:
        """Answers from the folders and files `paths`; without any, from this project's own documents.

        Raises `FileNotFoundError` for a path that does not exist, `ValueError` where there is nothing to read.
        """
        passages = read_documents(*paths, limits=limits) if paths else own_documents()
        if not passages:
            where = ", ".join(map(str, paths)) or "this installation"
            raise ValueError(f"no Markdown or text to answer from in {where}")
        return cls(passages)

    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        # On a thread: a common word in a large folder takes milliseconds, and other streams must not wait for that.
        for sentence in await asyncio.to_thread(self.search, question):
            yield sentence

    def search(self, question: str) -> list[Sentence]:
        """The whole answer at once; never empty."""
        words = _words(question)
        if not words:
            return [Sentence("I need a question with a word that I can look up.", "")]
        with self._lock:
            ranked = self._ranked(words)
        if not ranked:
            number = "document" if self.documents == 1 else f"{self.documents} documents"
            return [Sentence(f"I found nothing about that in the {number} I answer from.", "")]
        quoted: list[Sentence] = []
        least = 0.7 * ranked[0][0]
        for score, source, quote in ranked[:3]:
            if score >= least and len(quoted) < self._most:
                quoted.extend(Sentence(text, source) for text in self._quote(quote, words, self._most - len(quoted)))
        return quoted

    def close(self) -> None:
        """Free the memory."""
        with self._lock:
            self._database.close()

    def _ranked(self, words: list[str]) -> list[tuple[float, str, str]]:
        """(score, source, text) of the passages that have enough of the words, the best first."""
        run = self._database.execute
        weights: dict[str, float] = {}
        for word in words:
            [(found,)] = run("SELECT count(*) FROM passage WHERE passage MATCH ?", (word,))
            # The rarity of a word as bm25 measures it. A word in no document counts as if it were in one.
            weights[word] = math.log(1 + (self.passages - found + 0.5) / (max(found, 1) + 0.5))
        candidates = run(
            "SELECT rowid, -bm25(passage, 2.0, 1.0) * weight AS score, source, quote "
            "FROM passage WHERE passage MATCH ? ORDER BY score DESC LIMIT ?",
            (" OR ".join(words), _CANDIDATES),
        ).fetchall()
        held = dict.fromkeys((row[0] for row in candidates), 0.0)
        marks = ",".join("?" * len(held))
        # `marks` only holds question marks, one for each candidate.
        query = f"SELECT rowid FROM passage WHERE passage MATCH ? AND rowid IN ({marks})"  # noqa: S608
        for word, weight in weights.items():
            for (row,) in run(query, (word, *held)):
                held[row] += weight
        # A passage that has the words in its heading only may be about something else: its sentences do not say them.
        says = {row for (row,) in run(query, (f"text : ({' OR '.join(words)})", *held))}
        needed = sum(weights.values())
        ranked = [
            (score * held[row] / needed / (1 if row in says else 2), source, quote)
            for row, score, source, quote in candidates
            if held[row] >= self._coverage * needed
        ]
        return sorted(ranked, key=lambda entry: -entry[0])

    def _quote(self, quote: str, words: list[str], most: int) -> list[str]:
        """At most `most` consecutive sentences of a passage, beginning with one that has a word of the question."""
        sentences = [sentence for line in quote.split("\n") for sentence in split_sentences(line)]
        # The beginning of a word matches its other forms too. FTS5 does not say where in a passage it found them.
        beginnings = "|".join(re.escape(word.strip('"')[:5]) for word in words)
        hits = [len(re.findall(rf"\b(?:{beginnings})", sentence, re.IGNORECASE)) for sentence in sentences]
        begin = next((at for at, hit in enumerate(hits) if hit), 0)
        starts = range(begin, max(begin, len(sentences) - most) + 1)
        best = max(starts, key=lambda at: sum(hits[at : at + most]) + hits[at])
        return sentences[best : best + most]


def split_sentences(text: str) -> list[str]:
    """The sentences of a complete text."""
    splitter = SentenceSplitter()
    return [sentence.strip() for sentence in (*splitter.feed(text), *splitter.flush()) if sentence.strip()]


def _spaced(text: str) -> str:
    return _CJK.sub(r" \1 ", text)


def _words(question: str) -> list[str]:
    """The words to look up. Each is a quoted string of the FTS5 query language, so that no word is an operator."""
    found: dict[str, None] = {}
    # Cut first: a question may be as long as a request's body.
    for match in _WORD.finditer(_spaced(question[:8_000])):
        word = match[0].strip("_")[:_LONGEST_WORD]
        if word and word.lower() not in _STOP:
            found[f'"{word.lower()}"'] = None
        if len(found) == _MOST_WORDS:
            break
    return list(found)
