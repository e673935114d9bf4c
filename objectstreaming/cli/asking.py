"""Asking a server: sends a text or a sound, and gives the sentences of the answer and their sound as they arrive."""

from __future__ import annotations

import math
import sys
import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, TypeAlias, TypeVar

import httpx
import numpy

from wav_streaming import TALAudio, TALCoder, pcm_to_wav

from ..client import MessageStream, open_stream
from ..coders import JsonCoder
from ..protocol import PLAIN_MEDIA_TYPE
from ..resuming import Place, ResumingStream
from .errors import CommandError
from .terminal import FrameLines, Watched, printable
from .urls import http_url

__all__ = [
    "PipedSound",
    "SavedSound",
    "endpoint",
    "keep_place",
    "send_sound",
    "send_text",
    "send_text_for_sound",
    "sentence",
]

H = TypeVar("H")
P = TypeVar("P")

Stream: TypeAlias = MessageStream[H, P] | ResumingStream[H, P]

_CHUNK: Final = 64 * 1024


def endpoint(url: str, path: str) -> str:
    """The address of an endpoint of the server at `url`. `url` may be the base or the endpoint itself.

    >>> endpoint("127.0.0.1:8000", "wav"), endpoint("http://host/api/wav", "wav")
    ('http://127.0.0.1:8000/wav', 'http://host/api/wav')
    """
    parsed = http_url(url)
    base = parsed.path.rstrip("/")
    return str(parsed.copy_with(path=base if base.endswith(f"/{path}") else f"{base}/{path}"))


@contextmanager
def _asking(url: str) -> Iterator[None]:
    """Turns the errors that httpx raises before there is a response into `CommandError`."""
    try:
        yield
    except httpx.TimeoutException:
        raise CommandError(f"{url} did not answer in time") from None
    except httpx.TransportError as error:
        raise CommandError(f"{url} cannot be reached: {error}") from None


@contextmanager
def send_text(
    client: httpx.Client, url: str, question: str, lines: FrameLines, resume: bool = False, place: Path | None = None
) -> Iterator[Stream[dict[str, Any], Any]]:
    """Ask `POST /objects`, or go on at the place that is kept in a file. The messages are (header, {"answer",
    "source"})."""
    url = endpoint(url, "objects")
    coder = Watched(JsonCoder(), lines.see)
    kept = None if place is None else _kept_place(place)
    with _asking(url):
        if kept is not None:
            with open_stream(client, place=kept, coder=coder, resume=resume) as stream:
                yield stream
        else:
            with open_stream(client, "POST", url, coder=coder, json={"question": question}, resume=resume) as stream:
                yield stream


def _kept_place(path: Path) -> Place | None:
    try:
        return Place.from_json(path.read_bytes())
    except FileNotFoundError:
        if not path.parent.is_dir():  # before the question is asked
            raise CommandError(f"{path} cannot be written: its folder does not exist") from None
        return None
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} is no place of ask: {error}") from None


def keep_place(stream: Stream[Any, Any], path: Path) -> None:
    """Write to a file how far a stream has come. At every moment the file is whole."""
    if stream.place is None:
        raise CommandError("the server does not keep its answers: ask without --place")
    part = path.with_name(path.name + ".part")
    part.write_text(stream.place.to_json())
    part.replace(path)


@contextmanager
def send_text_for_sound(
    client: httpx.Client, url: str, question: str, lines: FrameLines, resume: bool = False
) -> Iterator[Stream[TALAudio, bytes]]:
    """Ask `POST /wav` with a frame whose header has the question. The messages are (TALAudio, PCM)."""
    frame = TALCoder().encode(TALAudio(question=question), b"")
    with _sent_sound(client, url, frame, PLAIN_MEDIA_TYPE, lines, resume) as stream:
        yield stream


@contextmanager
def send_sound(
    client: httpx.Client, url: str, path: Path, lines: FrameLines, resume: bool = False
) -> Iterator[Stream[TALAudio, bytes]]:
    """Ask `POST /wav` with the WAV file at `path`, sent in pieces. `-` is the standard input."""
    with nullcontext(sys.stdin.buffer) if path == Path("-") else path.open("rb") as file:
        chunks = iter(lambda: file.read(_CHUNK), b"")
        with _sent_sound(client, url, chunks, "audio/wav", lines, resume) as stream:
            yield stream


@contextmanager
def _sent_sound(
    client: httpx.Client, url: str, content: bytes | Iterable[bytes], kind: str, lines: FrameLines, resume: bool = False
) -> Iterator[Stream[TALAudio, bytes]]:
    url = endpoint(url, "wav")
    coder, headers = Watched(TALCoder(), lines.see), {"Content-Type": kind}
    sent = open_stream(client, "POST", url, coder=coder, headers=headers, content=content, resume=resume)
    with _asking(url), sent as stream:
        yield stream


def sentence(answer: Any) -> str:
    """The payload of an `/objects` message as one line: the answer and its source.

    >>> sentence({"answer": "A frame has a header.", "source": "guide.md"})
    'A frame has a header.  [guide.md]'
    """
    members = answer if isinstance(answer, dict) else {"answer": answer}
    text, source = (printable(str(members.get(name) or "")) for name in ("answer", "source"))
    return f"{text}  [{source}]" if source else text


class SavedSound:
    """A WAV file that is written while its sound arrives. It exists, complete, only if the `with` block ends well.

    `seconds` and `rms` (of full scale, 0 to 1) describe the sound. Without a path it is measured and dropped.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._part = None if path is None else path.parent / f"{path.name}.part"
        self._bytes: BinaryIO | None = None
        self._file: wave.Wave_write | None = None
        self._format: tuple[int, int, int] | None = None
        self._samples = 0
        self._squares = 0.0

    def __enter__(self) -> SavedSound:
        # Checked before the question is sent, because the answer would be lost.
        if self._path is None or self._path.is_file():
            return self
        if self._path.exists() or not self._path.parent.is_dir():
            raise CommandError(f"{self._path} cannot be written: it is no file, or its folder does not exist")
        return self

    def add(self, tal: TALAudio, pcm: bytes) -> None:
        """Append PCM. Raises `CommandError` if it has another format than the PCM before it."""
        if not pcm:
            return
        kind = (tal.channels, tal.bitDepth // 8, tal.sampleRate)
        if self._format is None:
            self._format = kind
            self._begin(*kind)
        elif kind != self._format:
            raise CommandError(f"the sound changes from {self._format} to {kind} (channels, bytes, Hz)")
        self._write(pcm)
        samples = numpy.frombuffer(pcm, "<i2" if kind[1] == 2 else "<i4") / 2.0 ** (tal.bitDepth - 1)
        self._samples += samples.size
        self._squares += float(numpy.dot(samples, samples))

    def _begin(self, channels: int, width: int, rate: int) -> None:
        if self._part is None:
            return
        self._bytes = self._part.open("wb")  # not by wave, which raises a second error if it cannot open it
        self._file = wave.open(self._bytes, "wb")  # noqa: SIM115 - open as long as this object is
        self._file.setnchannels(channels)
        self._file.setsampwidth(width)
        self._file.setframerate(rate)

    def _write(self, pcm: bytes) -> None:
        if self._file is not None:
            self._file.writeframesraw(pcm)

    @property
    def seconds(self) -> float:
        return self._samples / (self._format[0] * self._format[2]) if self._format else 0.0

    @property
    def rms(self) -> float:
        return math.sqrt(self._squares / self._samples) if self._samples else 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._path is None or self._part is None:
            return
        if self._file is None:
            if kind is None:
                raise CommandError("the answer has no sound")
            return
        assert self._bytes is not None
        with self._bytes:
            self._file.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)


class PipedSound(SavedSound):
    """A WAV file that is written to a pipe while its sound arrives: its header says that its length is not known."""

    def __init__(self, pipe: BinaryIO) -> None:
        super().__init__(None)
        self._pipe = pipe

    def _begin(self, channels: int, width: int, rate: int) -> None:
        head = bytearray(pcm_to_wav(b"", rate, channels, 16 if width == 2 else 32))
        head[4:8] = head[-4:] = b"\xff" * 4
        self._pipe.write(head)

    def _write(self, pcm: bytes) -> None:
        self._pipe.write(pcm)
        self._pipe.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self._format is None:
            raise CommandError("the answer has no sound")
