"""Synthesizers: text to sound, with one small interface.

`EspeakSynthesizer` and `FliteSynthesizer` run the programs of these names. `OpenAISynthesizer` asks any server with an
OpenAI-compatible `/v1/audio/speech`. A text is data: a program gets it by its standard input or a file, never by a
shell or a command line. The answer is limited in bytes and in time. A task that is cancelled kills the program that it
has started.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final, Protocol

from objectstreaming.errors import ObjectStreamError

from .endpoints import Endpoint, EndpointError
from .programs import running
from .sound import Sound
from .voices import ESPEAK_VOICES, FLITE_VOICES, Voice, checked_speed, chosen_voice, own_first
from .wav import WavError, read_wav

__all__ = [
    "EspeakSynthesizer",
    "FliteSynthesizer",
    "OpenAISynthesizer",
    "SynthesisError",
    "Synthesizer",
    "default_synthesizer",
]

MAX_SOUND: Final = 64 * 1024 * 1024
"""The largest answer of an engine, in bytes: 25 minutes at 22,050 Hz."""
TIMEOUT: Final = 30.0
"""How many seconds an engine may take for one text."""


class SynthesisError(ObjectStreamError):
    """The engine did not speak: it is missing, failed, took too long, or gave something that is not sound."""

    code = "unavailable"


class Synthesizer(Protocol):
    """Speaks a text. Any object with this method can be used.

    It must not block the event loop. When its task is cancelled it must release its resources, and end: nothing waits
    longer than a second for that.
    """

    async def synthesize(self, text: str) -> Sound:
        """`text` as sound: PCM of 16 bits; empty if there is nothing to say.

        Raises:
            SynthesisError: The text cannot be spoken.
        """
        ...


def default_synthesizer() -> Synthesizer:
    """espeak-ng if it is installed, otherwise flite. Raises a `SynthesisError` that names the packages."""
    if shutil.which("espeak-ng"):
        return EspeakSynthesizer()
    if shutil.which("flite"):
        return FliteSynthesizer()
    raise SynthesisError("no speech engine: install espeak-ng or flite (apt, dnf and brew know both), or give a URL")


class EspeakSynthesizer:
    """espeak-ng: a robotic voice in a hundred languages, a few milliseconds for a sentence. 22,050 Hz, one channel.

    Args:
        voice: as in `espeak-ng --voices`.
        speed: in words a minute, 80 to 450.
        program: its name, or a path.
        timeout: seconds for one text.
    """

    def __init__(
        self, voice: str = "en-us", speed: int = 165, *, program: str = "espeak-ng", timeout: float = TIMEOUT
    ) -> None:
        if voice.startswith("-") or speed not in range(80, 451):
            raise ValueError(f"not a voice and a speed of 80 to 450 words a minute: {voice!r}, {speed}")
        self._command = (program, "-b", "1", "-v", voice, "-s", str(speed), "--stdin", "--stdout")
        self._voice, self._speed = voice, speed
        self._timeout = timeout

    @property
    def identity(self) -> tuple[str, ...]:
        """What a sound depends on beside the text."""
        return self._command

    def voices(self) -> tuple[Voice, ...]:
        """Its own, and two voices and the plain one of each language that Kokoro has too."""
        return own_first(self._voice, ESPEAK_VOICES)

    def with_voice(self, name: str, speed: float = 1.0) -> EspeakSynthesizer:
        """As in `VoicedSynthesizer`."""
        voice = name if name == self._voice else chosen_voice(name, ESPEAK_VOICES)
        words = min(max(round(self._speed * checked_speed(speed)), 80), 450)
        return EspeakSynthesizer(voice, words, program=self._command[0], timeout=self._timeout)

    async def synthesize(self, text: str) -> Sound:
        """As in `Synthesizer`."""
        if not text.strip():
            return Sound(b"", 22050)
        # A NUL would end the text. What cannot be encoded as UTF-8 cannot be spoken.
        output = await _run(self._command, text.replace("\0", " ").encode(errors="replace"), self._timeout)
        return _to_sound(output, self._command[0]) if output else Sound(b"", 22050)


class FliteSynthesizer:
    """flite: English only, more natural than espeak-ng. 16,000 Hz (voice `kal`: 8,000), one channel.

    Args:
        voice: as in `flite -lv`.
        speed: 0.5 to 2; 1 is the voice's own.
        program: its name, or a path.
        timeout: seconds for one text.
    """

    def __init__(
        self, voice: str = "slt", speed: float = 1.0, *, program: str = "flite", timeout: float = TIMEOUT
    ) -> None:
        # For flite a voice may also be a path or a URL. Here only names are allowed.
        if not voice.replace("_", "").isalnum():
            raise ValueError(f"a voice is one of those that `flite -lv` names, not {voice!r}")
        stretch = 1 / checked_speed(speed)
        self._command = (program, "-voice", voice, "--setf", f"duration_stretch={stretch:.4f}")
        self._voice, self._speed = voice, speed
        self._timeout = timeout

    @property
    def identity(self) -> tuple[str, ...]:
        """What a sound depends on beside the text."""
        return self._command

    def voices(self) -> tuple[Voice, ...]:
        """The voices that flite has built in, except the one that only tells the time."""
        return own_first(self._voice, FLITE_VOICES)

    def with_voice(self, name: str, speed: float = 1.0) -> FliteSynthesizer:
        """As in `VoicedSynthesizer`."""
        voice = name if name == self._voice else chosen_voice(name, FLITE_VOICES)
        return FliteSynthesizer(voice, checked_speed(speed), program=self._command[0], timeout=self._timeout)

    async def synthesize(self, text: str) -> Sound:
        """As in `Synthesizer`."""
        if not text.strip():
            return Sound(b"", 16000)
        # flite seeks in its input and output, so both must be files.
        with tempfile.TemporaryDirectory(prefix="flite-") as folder:
            spoken, sound = Path(folder, "text"), Path(folder, "sound.wav")
            await asyncio.to_thread(spoken.write_bytes, text.replace("\0", " ").encode(errors="replace"))
            await _run((*self._command, "-f", str(spoken), "-o", str(sound)), b"", self._timeout)
            return _to_sound(await asyncio.to_thread(_read_file, sound), self._command[0])


def _read_file(path: Path) -> bytes:
    if path.stat().st_size > MAX_SOUND:
        raise SynthesisError(f"the engine wrote more than {MAX_SOUND} bytes")
    return path.read_bytes()


async def _run(command: tuple[str, ...], text: bytes, timeout: float) -> bytes:  # noqa: ASYNC109 - bounds the process
    """The standard output of a command, which is killed if it takes too long, writes too much, or on cancel."""
    pipe = asyncio.subprocess.PIPE
    try:
        async with (
            running(*command, stdin=pipe, stdout=pipe, stderr=pipe, limit=1024 * 1024) as process,
            asyncio.timeout(timeout),
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(_write(process, text))
            output = tasks.create_task(_read(process.stdout, MAX_SOUND))
            errors = tasks.create_task(_read(process.stderr, 64 * 1024))
            tasks.create_task(process.wait())
    except TimeoutError:
        raise SynthesisError(f"{command[0]} took longer than {timeout} s over {len(text)} bytes of text") from None
    except OSError as error:
        raise SynthesisError(f"{command[0]} cannot be run: {error.strerror}; is it installed?") from None
    except ExceptionGroup as failures:  # one task failed, so the others were cancelled
        raise failures.exceptions[0] from None
    if process.returncode or (errors.result() and not output.result()):  # espeak-ng may fail with status 0
        reason = errors.result().decode(errors="replace").strip()[:200]
        raise SynthesisError(f"{command[0]} failed with status {process.returncode}: {reason}")
    return output.result()


async def _write(process: asyncio.subprocess.Process, text: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(
        BrokenPipeError, ConnectionResetError
    ):  # the program has ended, and its status will say why
        process.stdin.write(text)
        await process.stdin.drain()
    process.stdin.close()


async def _read(stream: asyncio.StreamReader | None, most: int) -> bytes:
    assert stream is not None
    output = bytearray()
    while chunk := await stream.read(64 * 1024):
        output += chunk
        if len(output) > most:
            raise SynthesisError(f"the engine wrote more than {most} bytes")
    return bytes(output)


def _to_sound(wav: bytes, engine: str) -> Sound:
    try:
        sound = read_wav(wav, limit=MAX_SOUND)
    except WavError as error:
        raise SynthesisError(f"{engine} gave no sound: {error}") from None
    return sound if sound.bit_depth == 16 else _to_16_bits(sound)


def _to_16_bits(sound: Sound) -> Sound:
    from .pcm import to_int16

    return Sound(to_int16(sound.samples).tobytes(), sound.sample_rate, sound.channels)


class OpenAISynthesizer:
    """Asks any server with an OpenAI-compatible `POST /v1/audio/speech` for WAV.

    Args:
        url: the base, with or without `/v1`.
        model: a name that the server knows.
        voice: a name that the server knows.
        speed: 0.5 to 2; 1 is the voice's own.
        api_key: is sent as a bearer token.
        client: an `httpx.AsyncClient` to share, which stays yours to close; without one, each sentence opens a
            connection.
        timeout: seconds for one text, in all.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "tts-1",
        voice: str = "alloy",
        speed: float = 1.0,
        api_key: str | None = None,
        client: Any = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._endpoint = Endpoint(url, "audio/speech", api_key=api_key, client=client, timeout=timeout)
        self._body: dict[str, Any] = {"model": model, "voice": voice, "response_format": "wav"}
        if checked_speed(speed) != 1:
            self._body["speed"] = speed

    @property
    def identity(self) -> tuple[str, ...]:
        """What a sound depends on beside the text."""
        return (self._endpoint.url, *map(str, self._body.values()))

    def voices(self) -> tuple[Voice, ...]:
        """Only the voice in use: these servers do not say which they have."""
        return (Voice(self._body["voice"]),)

    def with_voice(self, name: str, speed: float = 1.0) -> OpenAISynthesizer:
        """As in `VoicedSynthesizer`. Only the server knows which names there are, so only a speed is refused here."""
        other = copy.copy(self)
        other._body = {**self._body, "voice": name, "speed": checked_speed(speed)}
        if speed == 1:
            del other._body["speed"]
        return other

    async def synthesize(self, text: str) -> Sound:
        """As in `Synthesizer`."""
        if not text.strip():
            return Sound(b"", 24000)
        try:
            answer = await self._endpoint.post(MAX_SOUND, json={**self._body, "input": text})
        except EndpointError as error:
            raise SynthesisError(str(error)) from None
        return _to_sound(answer, self._endpoint.name)
