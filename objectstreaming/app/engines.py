"""Finds the speech engines of this machine."""

from __future__ import annotations

import importlib.util
import logging

from wav_streaming.recognizers import PocketsphinxRecognizer, Recognizer
from wav_streaming.synthesizers import SynthesisError, Synthesizer, default_synthesizer

__all__ = ["find_recognizer", "find_synthesizer"]

log = logging.getLogger("objectstreaming.server")


def find_synthesizer() -> Synthesizer | None:
    """espeak-ng or flite; `None` and a warning in the log if there is neither."""
    try:
        return default_synthesizer()
    except SynthesisError as error:
        log.warning("answers will not be spoken: %s", error)
        return None


def find_recognizer() -> Recognizer | None:
    """pocketsphinx; `None` and a warning in the log if it is not installed. It is loaded when it is first needed."""
    if importlib.util.find_spec("pocketsphinx") is None:
        log.warning("spoken questions cannot be recognized: pip install 'objectstreaming[voice]'")
        return None
    return PocketsphinxRecognizer()
