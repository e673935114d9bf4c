"""Where sentences end, and how fast that is found, beside stream2sentence and pysbd: writes sentences.md.

    python -m benchmarks.sentences

The texts, and where their sentences end, are in `sentences.txt`. A contender that can be told the language is told it;
ours cannot. A boundary is right if the same letters and digits stand before it; the end of a text is no
boundary. Time is CPU time, the least of several rounds over all texts; in a round every contender has its turn.
"""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from wav_streaming.sentences import SentenceSplitter

HERE = Path(__file__).resolve().parent
TOKEN = 4
"""Characters of a token of a model, about."""
ROUNDS = 7

WHY = """\
Where the others are better, and why. pysbd leaves out what is in quotes before it looks for ends, so it is right in
"« Quoi ? Encore ? » s'écria-t-il". But it must have seen the closing quote for that. A stream may bring it much later,
and a voice should not wait for it. stream2sentence goes on after "No." before a word of capitals ("No. BA 249"); ours
learned that from it. Both have fewer rules to read than ours."""


class Text(NamedTuple):
    language: str
    kind: str
    text: str
    ends: frozenset[int]


class Score(NamedTuple):
    """How many boundaries were given rightly, given, and wanted; how many texts had no error."""

    right: int = 0
    found: int = 0
    wanted: int = 0
    texts: int = 0

    @property
    def precision(self) -> float:
        return self.right / (self.found or 1)

    @property
    def recall(self) -> float:
        return self.right / (self.wanted or 1)

    @property
    def f1(self) -> float:
        return 2 * self.right / ((self.found + self.wanted) or 1)


Split = Callable[[str, str], list[str]]
"""Text and language in, sentences out."""


def read() -> list[Text]:
    texts: list[Text] = []
    language = kind = ""
    for line in (HERE / "sentences.txt").read_text().splitlines():
        if heading := re.fullmatch(r"\[(\w+) (.+)\]", line):
            language, kind = heading.groups()
        elif line and not line.startswith("# "):
            pieces = line.replace("⏎", "\n").split("¦")
            texts.append(Text(language, kind, "".join(pieces), ends(pieces)))
    return texts


def ends(pieces: Iterable[str]) -> frozenset[int]:
    """Where the pieces end, but for the last: how many letters and digits stand before."""
    found, seen = [0], 0
    for piece in pieces:
        seen += sum(map(str.isalnum, piece))
        found.append(seen)
    return frozenset(found) - {0, seen}


def tokens(text: str) -> list[str]:
    return [text[start : start + TOKEN] for start in range(0, len(text), TOKEN)]


def ours(text: str, language: str) -> list[str]:
    splitter = SentenceSplitter()
    return [piece for token in tokens(text) for piece in splitter.feed(token)] + splitter.flush()


def ours_whole(text: str, language: str) -> list[str]:
    splitter = SentenceSplitter()
    return splitter.feed(text) + splitter.flush()


def peers() -> dict[str, Split]:
    import pysbd
    import pysbd.languages
    import stream2sentence
    from stream2sentence.stream2sentence import _rule_based_tokenize_sentences

    segmenters = {code: pysbd.Segmenter(language=code, clean=False) for code in pysbd.languages.LANGUAGE_CODES}

    def by_pysbd(text: str, language: str) -> list[str]:
        return list(segmenters.get(language, segmenters["en"]).segment(text))

    def by_stream(text: str, language: str, **options: int) -> list[str]:
        return list(stream2sentence.generate_sentences(iter(tokens(text)), language=language, **options))

    def by_stream_of_short(text: str, language: str) -> list[str]:
        return by_stream(text, language, minimum_sentence_length=1, minimum_first_fragment_length=1)

    def by_rules(text: str, language: str) -> list[str]:
        return list(_rule_based_tokenize_sentences(text, language))

    return {
        "stream2sentence, its defaults": by_stream,
        "stream2sentence, short sentences allowed": by_stream_of_short,
        "stream2sentence, its rules, a whole text": by_rules,
        "pysbd, a whole text": by_pysbd,
    }


def score(split: Split, texts: list[Text]) -> Score:
    total = Score()
    for text in texts:
        found = ends(split(text.text, text.language))
        row = (len(found & text.ends), len(found), len(text.ends), found == text.ends)
        total = Score(*map(sum, zip(total, row, strict=True)))
    return total


def timed(contenders: dict[str, Split], texts: list[Text]) -> dict[str, float]:
    """Microseconds of CPU time for 1,000 characters."""
    least = dict.fromkeys(contenders, float("inf"))
    for _ in range(ROUNDS):
        for name, split in contenders.items():
            start = time.process_time()
            for text in texts:
                split(text.text, text.language)
            least[name] = min(least[name], time.process_time() - start)
    characters = sum(len(text.text) for text in texts)
    return {name: seconds * 1e9 / characters for name, seconds in least.items()}


def report(contenders: dict[str, Split], texts: list[Text]) -> str:
    times = timed(contenders, texts)
    unseen = [text for text in texts if "unseen" in text.kind]
    lines = [
        "# Sentences beside stream2sentence and pysbd",
        "",
        f"{count(texts)} sentences in {len(texts)} texts and {len({text.language for text in texts})} languages"
        f" ([sentences.txt](sentences.txt)); Python {platform.python_version()}, stream2sentence"
        f" {metadata.version('stream2sentence')}, pysbd {metadata.version('pysbd')}; made by"
        " `python -m benchmarks.sentences`.",
        "",
        "The texts were written for this comparison, and our errors in them were corrected. The last column"
        f" counts more: {count(unseen)} sentences that were written afterwards. For these one rule was changed"
        " and no other (see below). pysbd and stream2sentence are told the language of a text, if they know it; ours is"
        " not.",
        f"A stream gets tokens of {TOKEN} characters. stream2sentence's other tokenizers download models:"
        " they are not compared.",
        "",
        "| | precision | recall | F1 | texts without error | µs for 1,000 characters | F1, unseen texts |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, split in contenders.items():
        found, new = score(split, texts), score(split, unseen)
        cells = [
            f"{found.precision:.3f}",
            f"{found.recall:.3f}",
            f"**{found.f1:.3f}**",
            f"{found.texts / len(texts):.0%}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {times[name]:,.0f} | **{new.f1:.3f}** |")
    shown = [name for name in contenders if "its" not in name and ("whole" not in name or "pysbd" in name)]
    lines += ["", "F1 by language, and in English by kind:", ""]
    lines += [f"| | sentences | {' | '.join(shown)} |", "|---" * (len(shown) + 2) + "|"]
    groups: dict[str, list[Text]] = {}
    for text in texts:
        groups.setdefault(f"en {text.kind}" if text.language == "en" else text.language, []).append(text)
    for group, own in groups.items():
        cells = [f"{score(contenders[name], own).f1:.2f}" for name in shown]
        lines.append(f"| {group} | {count(own)} | {' | '.join(cells)} |")
    lines += ["", WHY, "", *mistakes(texts, {name: contenders[name] for name in shown[1:]})]
    return "\n".join(lines) + "\n"


def count(texts: list[Text]) -> int:
    return sum(len(text.ends) + 1 for text in texts)


def mistakes(texts: list[Text], others: dict[str, Split]) -> list[str]:
    """The texts that ours cuts wrongly, and who cuts them rightly."""
    lines = ["Where ours is wrong (`|` is where it cuts), and who is right:", ""]
    for text in texts:
        pieces = ours(text.text, text.language)
        if ends(pieces) != text.ends:
            right = [name for name, split in others.items() if ends(split(text.text, text.language)) == text.ends]
            lines.append(f"* {text.language}: {'|'.join(pieces)} ({', '.join(right) or 'nobody'})".replace("\n", " "))
    return lines


def main() -> None:
    contenders: dict[str, Split] = {"objectstreaming": ours, "objectstreaming, a whole text": ours_whole, **peers()}
    page = report(contenders, read())
    (HERE / "sentences.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
