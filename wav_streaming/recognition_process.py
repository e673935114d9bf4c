"""The process in which pocketsphinx runs: `python -m wav_streaming.recognition_process`.

pocketsphinx holds the interpreter's lock for as long as a whole sound takes, and cannot be interrupted. In a process of
its own it holds up nobody, and can be killed. `PocketsphinxRecognizer` starts this one and is its only user:

    standard input     a line of JSON, {"bytes", "sample_rate", "channels", "bit_depth"}, then so many bytes of PCM
    standard output    a line of JSON, {"text"} or {"error"}

until the input ends. The input ends with the process that started this one, however that one ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, BinaryIO, Final

from .resampling import to_mono
from .sound import Sound

_RATE: Final = 16000
_SILENCE: Final = 100  # of 32,768, or -50 dB; in a quieter sound pocketsphinx still finds words


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what ends
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    decoder: Any = None
    questions = sys.stdin.buffer
    while line := questions.readline():
        sound = _read(json.loads(line), questions)
        try:
            if decoder is None:
                decoder = _load()
            answer = {"text": _recognize(decoder, sound)}
        except Exception as error:  # noqa: BLE001 - told to the parent, which raises it
            answer = {"error": f"{type(error).__name__}: {error}"}
        del sound
        answers.write(json.dumps(answer).encode() + b"\n")


def _read(question: dict[str, int], source: BinaryIO) -> Sound:
    pcm = source.read(question["bytes"])
    if len(pcm) < question["bytes"]:
        raise SystemExit  # the parent has gone
    return Sound(pcm, question["sample_rate"], question["channels"], 16 if question["bit_depth"] == 16 else 32)


def _load() -> Any:
    import pocketsphinx

    return pocketsphinx.Decoder(samprate=_RATE, loglevel="FATAL")


def _recognize(decoder: Any, sound: Sound) -> str:
    mono = to_mono(sound, _RATE)
    if not mono.pcm or abs(mono.samples.astype("i4")).max() < _SILENCE:
        return ""
    decoder.start_utt()
    decoder.process_raw(mono.pcm, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return "" if hypothesis is None else str(hypothesis.hypstr)


if __name__ == "__main__":
    main()
