"""Level 2: the cases that are tried on the reference application, at its endpoints `/objects` and `/wav`.

The suite does not import the application: who runs these cases serves it, with an answerer that gives `SENTENCES` to
every question and fails before the second one with `FAILURE` if asked `FAILING_QUESTION`, and with a synthesizer that
speaks a text as `hum` does. The command `objectstreaming conformance` does so.
"""

from __future__ import annotations

import json
from typing import Any, Final

from wav_streaming.sound import Sound
from wav_streaming.speakable import speakable

from .generator.case_writer import frame
from .generator.model import TAL_DEFAULTS
from .http_cases import PLAIN_REQUIREMENT, HttpCase, Way

__all__ = ["APP_CASES", "FAILING_QUESTION", "FAILURE", "SENTENCES", "hum"]

SENTENCES: Final = (("Frames, end to end.", "SPEC.md"), ("Das ist's \u2013 \U0001f600.", ""))
"""The answer to every question: texts, and the source of each."""
FAILING_QUESTION: Final = "Fail halfway."
FAILURE: Final = ("unavailable", "the model went away")
"""Code and message of the `StreamError` that ends the answer to it."""

_QUESTION: Final = "What is a stream?"


def hum(text: str) -> Sound:
    """Sound of as many samples as the text has characters."""
    return Sound(b"".join((100 * number % 30000).to_bytes(2, "little") for number in range(len(text))), 16000)


def _body(question: str) -> bytes:
    return json.dumps({"question": question}).encode()


def _objects() -> HttpCase:
    frames = [
        {
            "header": {"status": "success", "reason": "none"}
            if source
            else {"status": "warning", "reason": "no source"},
            "json": {"answer": text, "source": source},
        }
        for text, source in SENTENCES
    ]
    whole = {"frames": frames, "end": "ok", "trailers": {}, "message": ""}
    failed = {**whole, "frames": frames[:1], "end": f"error:{FAILURE[0]}", "message": FAILURE[1]}

    def refused(code: str) -> dict[str, Any]:
        return {"frames": [], "end": "missing", "error": {"code": code}}

    return HttpCase(
        "http-app/objects",
        "6.1",
        PLAIN_REQUIREMENT,
        (
            Way("asked", (whole,), app="/objects", body=_body(_QUESTION)),
            Way("fails late", (failed,), app="/objects", body=_body(FAILING_QUESTION)),
            Way("asked wrongly", (refused("http_status:400:invalid_argument"),), app="/objects", body=b"{}"),
            Way("elsewhere", (refused("http_status:404:not_found"),), app="/nowhere", body=_body(_QUESTION)),
        ),
    )


def _wav() -> HttpCase:
    """A frame a sentence, and one for the end."""
    headers = [
        {"answer": text, "url": source, "sign": min(order, 2), "order": order}
        for order, (text, source) in enumerate(SENTENCES, 1)
    ]
    headers.append({"sign": 3, "order": len(headers) + 1})
    sounds = [hum(speakable(text)).pcm for text, _ in SENTENCES] + [b""]
    frames = [
        {"header": {**TAL_DEFAULTS, "question": _QUESTION, **header}, "payload": pcm.hex()}
        for header, pcm in zip(headers, sounds, strict=True)
    ]
    way = Way(
        "asked",
        ({"frames": frames, "end": "ok"},),
        app="/wav",
        body=frame(json.dumps({"question": _QUESTION, "sign": 1, "order": 1})),
        content_type="application/octet-stream",
        coder="tal",
    )
    return HttpCase("http-app/wav", "6.1", PLAIN_REQUIREMENT, (way,), flags=("tal",))


APP_CASES: Final = (_objects(), _wav())
