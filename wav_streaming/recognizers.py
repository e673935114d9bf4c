"""Speech in: sound to text, behind one small protocol.

`PocketsphinxRecognizer` works offline, its model is in its wheel; `OpenAIRecognizer` asks any server with an
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
"""How long a sound may be that is recognized in one piece."""
_SILENCE: Final = 100  # of 32,768, or -50 dB; given less, pocketsphinx hears words all the same
_MAX_ANSWER: Final = 1024 * 1024


class RecognitionError(ObjectStreamError):
    """The engine did not listen: it is missing, failed, took too long, or the sound is too long for it."""

    code = "unavailable"


class Recognizer(Protocol):
    """What turns a `Sound` into text. Any object with this method will do.

    It must not block the event loop: an engine that computes does so on a thread or in a process of its own.
    """

    async def recognize(self, sound: Sound) -> str:
        """The words that were said, "" for silence. Raises `RecognitionError`."""
        ...


class PocketsphinxRecognizer:
    """pocketsphinx: offline and small, and as good as the art of 2005 was. For demonstrations, not for users.

    Its word error rate, on ten short English sentences (66 words) spoken by engines: 12 % with flite's `slt`, 14 %
    with `rms`, 68 % with espeak-ng, whose voice it does not understand. It takes about a fifth of the sound's
    duration, and 0.3 s and 90 MB once to load its model. For people's voices plug in an `OpenAIRecognizer`.

    It hears one sound at a time, on a thread; a second one waits. A sound longer than `max_seconds` is refused.
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
    """Any server with an OpenAI-compatible `POST /v1/audio/transcriptions`; it is sent a WAV file.

    `url` is the base, with or without `/v1`; `language` an ISO 639-1 code, if it is known. `client` is an
    `httpx.AsyncClient` to share; without one, each sound opens a connection.
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
