"""`objectstreaming talk`: a conversation over `WS /duplex`. Sends lines or a sound; shows text and saves a sound.

Each line is a question. On a terminal, a line that is typed while an answer arrives stops the answer; an empty line
does only that. From a file or a pipe, each question waits for the answer before it, and the command ends after the last
line.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO

from wav_streaming import TALAudio, WavDecoder

from ..duplex import DuplexSession, Modality, StreamEvent, StreamItem, Symbol, WebSocketClientStream
from ..errors import StreamError
from .asking import SavedSound, endpoint, sentence
from .errors import CommandError
from .terminal import printable

__all__ = ["talk"]

_CHUNK: Final = 32 * 1024
_LONGEST_LINE: Final = 64 * 1024
_LINES: Final = 16


def talk(
    *,
    url: str,
    lines: TextIO,
    interactive: bool,
    wav: Path | None,
    out: Path | None,
    say: Callable[[str], object],
    note: Callable[[str], object],
) -> None:
    """Talk until all lines, or the WAV file, are answered. Raises `CommandError`, `ObjectStreamError`."""
    address = endpoint(url.replace("ws", "http", 1) if url.startswith(("ws://", "wss://")) else url, "duplex")
    with SavedSound(out) as saved:
        talker = _Talker(address, saved, say, note)
        asyncio.run(talker.ask_sound(wav) if wav is not None else talker.ask_lines(lines, interactive))
    if out is not None:
        note(f"{out}: {saved.seconds:.1f} s of sound")


class _Talker:
    def __init__(
        self, url: str, saved: SavedSound, say: Callable[[str], object], note: Callable[[str], object]
    ) -> None:
        self._url = url
        self._saved = saved
        self._say = say
        self._note = note
        self._stream = WebSocketClientStream(url)
        self._session = DuplexSession(self._stream)

    async def ask_sound(self, path: Path) -> None:
        await self._connect()
        async with self._stream:
            await self._session.run_duplex(lambda: _pieces(path), self._hear)
            self._check_whole()

    async def ask_lines(self, lines: TextIO, interactive: bool) -> None:
        await self._connect()
        async with self._stream:
            answering: asyncio.Task[None] | None = None
            try:
                async for line in _read(lines):
                    if interactive and answering is not None and not answering.done():
                        await self._session.interrupt()
                        self._note("(stopped)")
                    if answering is not None:
                        await answering
                        self._session.reset()
                    answering = None
                    if line.strip():
                        answering = asyncio.create_task(self._ask(line.strip(), interactive))
                        if not interactive:
                            await answering
                if answering is not None:
                    await answering
            finally:
                if answering is not None:
                    answering.cancel()
                    await asyncio.wait([answering])

    async def _ask(self, question: str, interactive: bool) -> None:
        try:
            await self._session.run_duplex(lambda: _symbols(Symbol.text(question)), self._hear)
            if not interactive:
                self._check_whole()
        except StreamError as error:
            if not interactive or not self._stream.is_connected:
                raise
            self._note(printable(str(error)))

    def _check_whole(self) -> None:
        """Raise `CommandError` if the server stopped the answer. We did not."""
        if self._session.interrupted:
            raise CommandError("the server stopped its answer")

    async def _connect(self) -> None:
        try:
            await self._stream.connect()
        except OSError as error:
            raise CommandError(f"{self._url} cannot be reached: {error.strerror or error}") from None

    def _hear(self, item: StreamItem) -> None:
        if isinstance(item, StreamEvent):
            if item.type == "metadata" and isinstance(item.data, dict) and "unspoken" in item.data:
                self._note(printable(str(item.data["unspoken"])))
            elif item.type == "metadata" and isinstance(item.data, dict) and "question" in item.data:
                self._note(f"heard: {printable(str(item.data['question']))}")
        elif item.modality is Modality.TEXT:
            self._say(sentence({"answer": item.text_value, "source": item.metadata.get("source")}))
        elif item.modality is Modality.AUDIO:
            self._saved.add(_kind(item), item.data)


def _kind(symbol: Symbol) -> TALAudio:
    """The format of a symbol's sound. Raises `CommandError` if it is not PCM that we can save."""
    member: Any = symbol.metadata.get
    rate, channels, depth = member("sample_rate"), member("channels", 1), member("bit_depth", 16)
    right = all(type(number) is int and number > 0 for number in (rate, channels, depth)) and depth in (16, 32)
    if not right or len(symbol.data) % (depth // 8 * channels):
        raise CommandError("the server sends a sound that is not PCM of 16 or 32 bits")
    return TALAudio(sampleRate=rate, channels=channels, bitDepth=depth, audioType="int16" if depth == 16 else "int32")


async def _symbols(*symbols: Symbol) -> AsyncIterator[Symbol]:
    for symbol in symbols:
        yield symbol


async def _pieces(path: Path) -> AsyncIterator[Symbol]:
    """The sound of a WAV file, in symbols of about a second."""
    for rate, channels, depth, pcm in _decoded(path):
        yield Symbol.audio(pcm, rate, channels, bit_depth=depth)


def _decoded(path: Path) -> Iterator[tuple[int, int, Any, bytes]]:
    decoder = WavDecoder()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if pcm := decoder.feed(chunk):
                yield decoder.sample_rate, decoder.channels, decoder.bit_depth, pcm
    if pcm := decoder.finish():
        yield decoder.sample_rate, decoder.channels, decoder.bit_depth, pcm


async def _read(lines: TextIO) -> AsyncIterator[str]:
    """The lines as they arrive. They are read on a thread that does not keep the program from ending."""
    loop = asyncio.get_running_loop()
    come: asyncio.Queue[str | None] = asyncio.Queue()
    free_places = threading.Semaphore(_LINES)

    def read() -> None:
        with suppress(RuntimeError, ValueError):  # the loop or the file is closed: nobody needs the lines any more
            while line := lines.readline(_LONGEST_LINE):
                free_places.acquire()
                loop.call_soon_threadsafe(come.put_nowait, line)
            loop.call_soon_threadsafe(come.put_nowait, None)

    threading.Thread(target=read, name="lines", daemon=True).start()
    while (line := await come.get()) is not None:
        free_places.release()
        yield line
