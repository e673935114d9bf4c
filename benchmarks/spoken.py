"""How well an answer with Markdown and code is understood when it is spoken: writes spoken.md.

    python -m benchmarks.spoken

An answer of ten sentences is synthesized, and pocketsphinx recognizes it. This is done three times: with the text as
the model wrote it, with what `SentenceSplitter` and `SpeechFilter` make of it, and with a text cleaned by hand, which
is also what should be recognized. A word error is a word that is missing, added or another one (Levenshtein).
"""

from __future__ import annotations

import asyncio
import re
from importlib import metadata
from pathlib import Path

from wav_streaming import SentenceSplitter, SpeechFilter
from wav_streaming.recognizers import PocketsphinxRecognizer
from wav_streaming.synthesizers import EspeakSynthesizer, FliteSynthesizer, Synthesizer

HERE = Path(__file__).resolve().parent
TOKEN = 4
"""Characters of a token of a model, about."""

WRITTEN = """\
## How to *save* your work

You can keep **a copy of the whole folder. It takes** a few minutes. First, open the `window` and look for the \
[second button](https://example.org/help/button.html "Save. Now"). Then press it 🎉 and wait until it's done.

```python
for name in folder.names():
    copy(name, "/mnt/backup")  # a. B
```

This code goes *through every file. It writes* them to another disk. You don't need to watch it.

| day | time |
|---|---|
| Monday | in the morning |

- [ ] Read the ~~old~~ new list.
- Call me **when you are ready**.
"""

BY_HAND = """\
How to save your work.
You can keep a copy of the whole folder.
It takes a few minutes.
First, open the window and look for the second button.
Then press it and wait until it's done.
a code example
This code goes through every file.
It writes them to another disk.
You don't need to watch it.
day, time
Monday, in the morning
Read the old new list.
Call me when you are ready.
"""


def pieces(text: str) -> list[str]:
    splitter = SentenceSplitter()
    tokens = (text[start : start + TOKEN] for start in range(0, len(text), TOKEN))
    return [piece for token in tokens for piece in splitter.feed(token)] + splitter.flush()


def filtered(text: str) -> list[str]:
    speech = SpeechFilter()
    return [*filter(None, map(speech.feed, pieces(text))), *filter(None, [speech.finish()])]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def word_errors(right: list[str], found: list[str]) -> int:
    """The fewest words to remove, add or replace."""
    row = list(range(len(found) + 1))
    for count, word in enumerate(right, 1):
        diagonal, row[0] = row[0], count
        for at, other in enumerate(found, 1):
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, diagonal + (word != other))
    return row[-1]


async def recognized(sentences: list[str], voice: Synthesizer, ear: PocketsphinxRecognizer) -> str:
    sounds = [await voice.synthesize(sentence) for sentence in sentences]
    return " ".join([await ear.recognize(sound) for sound in sounds if sound.pcm])


async def main() -> None:
    ear = PocketsphinxRecognizer()
    right = words(BY_HAND)
    texts = {
        "as it is written": [piece for piece in pieces(WRITTEN) if piece.strip()],
        "SentenceSplitter and SpeechFilter": filtered(WRITTEN),
        "cleaned by hand": BY_HAND.splitlines(),
    }
    voices: dict[str, Synthesizer] = {"flite": FliteSynthesizer(), "espeak-ng": EspeakSynthesizer()}
    lines = [
        "# An answer with Markdown and code, spoken",
        "",
        f"Word error rate of pocketsphinx {metadata.version('pocketsphinx')} against the text cleaned by hand"
        f" ({len(right)} words); made by `python -m benchmarks.spoken`.",
        "",
        f"| spoken | {' | '.join(voices)} |",
        "|---" * (len(voices) + 1) + "|",
    ]
    for name, sentences in texts.items():
        rates = [
            word_errors(right, words(await recognized(sentences, voice, ear))) / len(right) for voice in voices.values()
        ]
        lines.append(f"| {name} | {' | '.join(f'{rate:.0%}' for rate in rates)} |")
    page = "\n".join(lines) + "\n"
    (HERE / "spoken.md").write_text(page)
    print(page)


if __name__ == "__main__":
    asyncio.run(main())
