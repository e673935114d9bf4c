"""Recognizers: sound to text, with one small interface.

`PocketsphinxRecognizer` works offline, with the model that is in its wheel. `OpenAIRecognizer` asks any server with an
OpenAI-compatible `/v1/audio/transcriptions`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, Final, Protocol

from objectstreaming.errors import ObjectStreamError

from .resampling import to_mono
from .sound import Sound
from .synthesizers import TIMEOUT, EndpointError, post, speech_url
from .wav import pcm_to_wav

__all__ = ["OpenAIRecognizer", "PocketsphinxRecognizer", "RecognitionError", "Recognizer"]

MAX_SECONDS: Final = 60.0
"""The longest sound that is recognized in one piece, in seconds."""
_SILENCE: Final = 100  # of 32,768, or -50 dB; in a quieter sound pocketsphinx still finds words
_MAX_ANSWER: Final = 1024 * 1024


class RecognitionError(ObjectStreamError):
    """The engine did not recognize the sound: it is missing, failed, took too long, or the sound is too long."""

    code = "unavailable"


class Recognizer(Protocol):
    """Turns a `Sound` into text. Any object with this method can be used.

    It must not block the event loop: an engine that computes does this on a thread or in a process of its own.
    """

    async def recognize(self, sound: Sound) -> str:
        """The spoken words, "" for silence. Raises `RecognitionError`."""
        ...


class PocketsphinxRecognizer:
    """pocketsphinx: offline and small, with the quality of 2005. For demonstrations, not for users.

    Its word error rate on ten short English sentences (66 words) spoken by synthesizers: 12 % with flite's `slt`, 14 %
    with `rms`, 68 % with espeak-ng. It takes about a fifth of the sound's duration, and once 0.3 s and 90 MB to load
    its model. For human voices use an `OpenAIRecognizer`.

    It recognizes one sound at a time, on a thread; a second one waits. A sound longer than `max_seconds` is refused.
    """

    def __init__(self, *, max_seconds: float = MAX_SECONDS) -> None:
        self._max_seconds = max_seconds
        self._decoder: Any = None
        self._lock = threading.Lock()

    async def recognize(self, sound: Sound) -> str:
        if sound.seconds > self._max_seconds:
            raise RecognitionError(
                f"a sound of {sound.seconds:.0f} s; up to {self._max_seconds:.0f} s are recognized in one piece"
            )
        return await asyncio.to_thread(self._recognize, sound)

    def _recognize(self, sound: Sound) -> str:
        mono = to_mono(sound, 16000)
        if not mono.pcm or abs(mono.samples.astype("i4")).max() < _SILENCE:
            return ""
        with self._lock:
            if self._decoder is None:
                self._decoder = _load()
            self._decoder.start_utt()
            self._decoder.process_raw(mono.pcm, full_utt=True)
            self._decoder.end_utt()
            hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis is not None else ""


def _load() -> Any:
    try:
        import pocketsphinx
    except ImportError:
        raise RecognitionError("pocketsphinx is not installed: pip install 'objectstreaming[voice]'") from None
    return pocketsphinx.Decoder(samprate=16000, loglevel="FATAL")


class OpenAIRecognizer:
    """Sends a WAV file to any server with an OpenAI-compatible `POST /v1/audio/transcriptions`.

    `url` is the base, with or without `/v1`. `language` is an ISO 639-1 code, if the language is known. `client` is an
    `httpx.AsyncClient` to share. Without one, each sound opens a connection.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "whisper-1",
        language: str | None = None,
        api_key: str | None = None,
        client: Any = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._url = speech_url(url, "audio/transcriptions")
        self._form = {"model": model, "response_format": "json"} | ({"language": language} if language else {})
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = client
        self._timeout = timeout

    async def recognize(self, sound: Sound) -> str:
        if not sound.pcm:
            return ""
        wav = pcm_to_wav(sound.pcm, sound.sample_rate, sound.channels, sound.bit_depth)
        try:
            answer = await post(
                self._client,
                self._url,
                _MAX_ANSWER,
                headers=self._headers,
                timeout=self._timeout,
                data=self._form,
                files={"file": ("question.wav", wav, "audio/wav")},
            )
        except EndpointError as error:
            raise RecognitionError(str(error)) from None
        try:
            text = json.loads(answer)["text"]
        except (ValueError, LookupError, TypeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise RecognitionError(f"{self._url} gave no transcription, but {answer[:100]!r}")
        return text.strip()
