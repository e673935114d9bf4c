"""Recognizers: sound to text, with one small interface.

`PocketsphinxRecognizer` works offline, with the model that is in its wheel. `OpenAIRecognizer` asks any server with an
OpenAI-compatible `/v1/audio/transcriptions`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import weakref
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from objectstreaming.errors import ObjectStreamError

from .endpoints import Endpoint, EndpointError
from .sound import Sound
from .synthesizers import TIMEOUT
from .wav import pcm_to_wav

__all__ = ["OpenAIRecognizer", "PocketsphinxRecognizer", "RecognitionError", "Recognizer"]

MAX_SECONDS: Final = 60.0
"""The longest sound that is recognized in one piece, in seconds."""
_MAX_ANSWER: Final = 1024 * 1024


class RecognitionError(ObjectStreamError):
    """The engine did not recognize the sound: it is missing, failed, took too long, or the sound is too long."""

    code = "unavailable"


class Recognizer(Protocol):
    """Turns a `Sound` into text. Any object with this method can be used.

    It must not block the event loop: an engine that computes does this in a process of its own, or on a thread if
    it does not hold the interpreter's lock.
    """

    async def recognize(self, sound: Sound) -> str:
        """The spoken words, "" for silence.

        Raises:
            RecognitionError: The sound cannot be recognized.
        """
        ...


class PocketsphinxRecognizer:
    """pocketsphinx: offline and small, with the quality of 2005. For demonstrations, not for users.

    Its word error rate on ten short English sentences (66 words) spoken by synthesizers: 12 % with flite's `slt`, 14 %
    with `rms`, 68 % with espeak-ng. Clear speech takes about a fifth of its duration, noise a little more than its
    duration. For human voices use an `OpenAIRecognizer`.

    It runs in a process of its own (`recognition_process.py`), which is started when it is first needed and kept: a
    second and 100 MB. It recognizes one sound at a time; a second one waits. The process is killed when the task is
    cancelled.

    Args:
        max_seconds: a longer sound is refused.
        timeout: seconds for one sound; after that the process is killed.
    """

    def __init__(self, *, max_seconds: float = MAX_SECONDS, timeout: float = TIMEOUT) -> None:
        self._max_seconds = max_seconds
        self._timeout = timeout
        self._process: _Process | None = None
        # A lock belongs to one event loop.
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def recognize(self, sound: Sound) -> str:
        """As in `Recognizer`."""
        if sound.seconds > self._max_seconds:
            raise RecognitionError(
                f"a sound of {sound.seconds:.0f} s; up to {self._max_seconds:.0f} s are recognized in one piece"
            )
        async with self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            # It is put back only when it has answered: otherwise it is killed, and may not be used again.
            process, self._process = self._process or _Process(), None
            text = None
            try:
                async with asyncio.timeout(self._timeout):
                    text = await asyncio.to_thread(process.recognize, sound)
            except TimeoutError:
                raise RecognitionError(f"a sound of {sound.seconds:.0f} s took longer than {self._timeout} s") from None
            finally:
                if text is None:
                    process.kill()
            self._process = process
            return text


class _Process:
    """One process of `recognition_process.py`. It is killed with this object."""

    def __init__(self) -> None:
        if importlib.util.find_spec("pocketsphinx") is None:
            raise RecognitionError("pocketsphinx is not installed: pip install 'objectstreaming[voice]'")
        # -P: the folder that the server was started in is not searched for modules, unless this process does that too.
        command = (sys.executable, "-P", "-m", f"{__package__}.recognition_process")
        path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
            )
        except OSError as error:
            raise RecognitionError(f"the recognizer's process cannot be started: {error.strerror}") from None
        self._stopping = weakref.finalize(self, _stop, self._process)

    def recognize(self, sound: Sound) -> str:
        """The words. Blocks, and returns when the process is killed. Raises `RecognitionError`."""
        to_it, from_it = self._process.stdin, self._process.stdout
        assert to_it is not None
        assert from_it is not None
        about = {"sample_rate": sound.sample_rate, "channels": sound.channels, "bit_depth": sound.bit_depth}
        try:
            to_it.write(json.dumps({"bytes": len(sound.pcm), **about}).encode() + b"\n")
            to_it.write(sound.pcm)
            to_it.flush()
            answer = json.loads(from_it.readline())
        except (OSError, ValueError):
            self._stopping()  # at once: the error may keep this object for a while
            raise RecognitionError("the recognizer's process has ended") from None
        if "text" not in answer:
            raise RecognitionError(f"pocketsphinx failed: {answer['error']!r}")
        return str(answer["text"])

    def kill(self) -> None:
        self._process.kill()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):  # what was not written yet cannot be written any more
            pipe.close()
    process.wait()


class OpenAIRecognizer:
    """Sends a WAV file to any server with an OpenAI-compatible `POST /v1/audio/transcriptions`.

    Args:
        url: the base, with or without `/v1`.
        model: a name that the server knows.
        language: an ISO 639-1 code; `None` lets the server find out.
        api_key: is sent as a bearer token.
        client: an `httpx.AsyncClient` to share, which stays yours to close; without one, each sound opens a connection.
        timeout: seconds for one sound, in all.
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
        self._endpoint = Endpoint(url, "audio/transcriptions", api_key=api_key, client=client, timeout=timeout)
        self._form = {"model": model, "response_format": "json"} | ({"language": language} if language else {})

    async def recognize(self, sound: Sound) -> str:
        """As in `Recognizer`."""
        if not sound.pcm:
            return ""
        wav = pcm_to_wav(sound.pcm, sound.sample_rate, sound.channels, sound.bit_depth)
        try:
            file = "question.wav", wav, "audio/wav"
            answer = await self._endpoint.post(_MAX_ANSWER, data=self._form, files={"file": file})
        except EndpointError as error:
            raise RecognitionError(str(error)) from None
        try:
            text = json.loads(answer)["text"]
        except (ValueError, LookupError, TypeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise RecognitionError(f"{self._endpoint.name} gave no transcription, but {answer[:100]!r}")
        return text.strip()
