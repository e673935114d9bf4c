"""The reference application as the conformance suite needs it: one answer to all questions, and a simple voice."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from wav_streaming.sound import Sound

from ..app import Settings, create_app
from ..app.answers import Sentence
from ..conformance.app_cases import FAILING_QUESTION, FAILURE, SENTENCES, hum
from ..errors import StreamError
from .loopback import LoopbackServer

__all__ = ["reference_app"]


class _Answerer:
    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        for number, (text, source) in enumerate(SENTENCES):
            if number and question == FAILING_QUESTION:
                raise StreamError(*FAILURE)
            yield Sentence(text, source)


class _Synthesizer:
    async def synthesize(self, text: str) -> Sound:
        return hum(text)


@contextmanager
def reference_app() -> Iterator[LoopbackServer]:
    """A server of it on a free loopback port; `url` is where."""
    settings = Settings(engines=False, page=False)
    # The suite asks for a stream that fails. Without a handler Python would write its line of the log to stderr.
    log, silent = logging.getLogger("objectstreaming"), logging.NullHandler()
    log.addHandler(silent)
    try:
        with LoopbackServer(create_app(settings, answerer=_Answerer(), synthesizer=_Synthesizer())) as server:
            yield server
    finally:
        log.removeHandler(silent)
