"""WAV files: PCM in the RIFF container, written with true sizes and read as they really come.

    "RIFF" size "WAVE"   then chunks:   id (4) | size, uint32 | body | one pad byte if size is odd

Wanted are `fmt ` and, after it, `data`; any other chunk is skipped by its size, before and after. Programs that stream
do not know the size of `data` and write 0 or a large number instead (espeak-ng: 0x7ffff000, ffmpeg: 0xffffffff): then
it goes on to the end of the input. `WavDecoder` is the reader, fed in pieces and without input or output of its own;
`read_wav` feeds it whole. Source: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991);
WAVE_FORMAT_EXTENSIBLE in Microsoft's mmreg.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, Literal, NoReturn

from objectstreaming.errors import ObjectStreamError
from objectstreaming.frames import BytesLike

from .sound import Sound
from .tal import MAX_SAMPLE_RATE

__all__ = ["WavDecoder", "WavError", "pcm_to_wav", "read_wav", "strip_wav"]


class WavError(ObjectStreamError, ValueError):
    """The bytes are no WAV file of PCM with 16 or 32 bits, or they end too early; the message says which."""

    code = "invalid_wav"


def pcm_to_wav(pcm: BytesLike, sample_rate: int, channels: int = 1, bit_depth: Literal[16, 32] = 16) -> bytes:
    """A WAV file of PCM, all its sizes true. Raises `ValueError` for PCM that is not whole sample frames.

    >>> wav = pcm_to_wav(bytes(320), 16000)
    >>> len(wav), wav[:4], read_wav(wav)
    (364, b'RIFF', <Sound: 0.010 s, 16000 Hz, 1 channel(s), 16 bits>)
    """
    sound = Sound(bytes(memoryview(pcm)), sample_rate, channels, bit_depth)
    size = len(sound.pcm)
    if size > 0xFFFF_FFFF - 36:
        raise ValueError(f"a WAV file holds less than 4 GiB, not {size} bytes")
    step = sound.block_align
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
        + struct.pack("<4sIHHIIHH", b"fmt ", 16, _PCM, channels, sample_rate, sample_rate * step, step, bit_depth)
        + struct.pack("<4sI", b"data", size)
        + sound.pcm
    )


def read_wav(source: BytesLike | BinaryIO) -> Sound:
    """The sound in a WAV file, given as bytes or as an open binary file. Raises `WavError`."""
    decoder = WavDecoder()
    data = source.read() if hasattr(source, "read") else source
    pcm = decoder.feed(data)
    decoder.finish()
    return Sound(pcm, decoder.sample_rate, decoder.channels, decoder.bit_depth)


def strip_wav(chunks: Iterable[BytesLike]) -> Iterator[bytes]:
    """The PCM in the chunks of a source that may or may not put a WAV header before it, whole or to each chunk.

    For engines that give "audio" in pieces: a header played as sound is a click. Raw PCM passes as it is; a chunk that
    begins with a RIFF header begins a new WAV file.

    >>> wav = pcm_to_wav(b"abcd", 16000)
    >>> list(strip_wav([wav, b"ef", wav])), list(strip_wav([b"ab", b"cd"]))
    ([b'abcd', b'abcd'], [b'ab', b'cd'])
    """
    decoder: WavDecoder | None = None
    for chunk in chunks:
        data = bytes(memoryview(chunk))
        if data.startswith(b"RIFF") and data[8:12] == b"WAVE":
            decoder = WavDecoder()
        pcm = data if decoder is None else decoder.feed(data)
        if pcm:
            yield pcm


_PCM: Final = 1
_EXTENSIBLE: Final = 0xFFFE
# A subformat is a format tag, followed by these bytes.
_SUBFORMAT: Final = bytes.fromhex("000000001000800000aa00389b71")
_TAGS: Final = {
    2: "Microsoft ADPCM",
    3: "floating point",
    6: "A-law",
    7: "mu-law",
    0x11: "IMA ADPCM",
    0x31: "GSM 6.10",
    0x50: "MPEG",
    0x55: "MP3",
    0xFF: "AAC",
}
_MAX_FORMAT: Final = 4096  # bytes; a format chunk has 40 at most
_TO_THE_END: Final = 0x7FFF_0000  # a size from here on is one that the writer did not know
_OTHERS: Final = (
    (b"RIFX", "a big-endian WAV file (RIFX)"),
    (b"RF64", "a WAV file beyond 4 GiB (RF64)"),
    (b"OggS", "Ogg (Opus or Vorbis)"),
    (b"fLaC", "FLAC"),
    (b"ID3", "MP3"),
    (b"\xff\xfb", "MP3"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (b"FORM", "AIFF"),
    (b"caff", "Core Audio"),
    (b"<", "a page of HTML or XML"),
    (b"{", "JSON"),
)


class WavDecoder:
    """A WAV file in pieces in, its PCM out, as it comes.

    `sample_rate`, `channels` and `bit_depth` are known as soon as `ready` is true; before, they are 0, 0 and 16. What
    `feed` gives is always whole sample frames. Held is no more than a format chunk and part of one sample frame.
    Raises `WavError`, after which the decoder is dead.

    >>> wav = pcm_to_wav(b"abcdef", 8000)
    >>> decoder = WavDecoder()
    >>> [decoder.feed(piece) for piece in (wav[:30], wav[30:47], wav[47:])], decoder.sample_rate
    ([b'', b'ab', b'cdef'], 8000)
    >>> decoder.finish()
    """

    def __init__(self) -> None:
        self.ready = False
        self.sample_rate = 0
        self.channels = 0
        self.bit_depth: Literal[16, 32] = 16
        self._step: Callable[[bytes], None] = self._riff
        self._held = bytearray()
        self._wanted = 12  # bytes that _step needs at once
        self._skip = 0  # bytes to pass over first
        self._left: int | None = 0  # bytes of `data` still to come; None: to the end
        self._in_data = False
        self._seen_data = False
        self._offset = 0  # of the next byte that is not held
        self._end = 0  # where RIFF says that the file ends
        self._error: WavError | None = None

    def feed(self, chunk: BytesLike) -> bytes:
        """The PCM that is now there, perhaps none."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        data = memoryview(chunk).cast("B") if memoryview(chunk).nbytes else memoryview(b"")
        pcm = bytearray()
        while True:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            self._offset += skipped
            data = data[skipped:]
            if not len(data):
                return bytes(pcm)
            if self._in_data:
                data = self._take_pcm(data, pcm)
                continue
            taken = data[: self._wanted - len(self._held)]
            self._held += taken
            self._offset += len(taken)
            data = data[len(taken) :]
            if len(self._held) == self._wanted:
                held, self._held = bytes(self._held), bytearray()
                self._step(held)

    def finish(self) -> None:
        """Say that no more will come. Raises `WavError` if sound is missing."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._offset < 12 and not b"RIFF".startswith(self._held[:4]):
            self._refuse(bytes(self._held))
        if not self._seen_data:
            self._fail(
                f"the file ended after {self._offset} bytes, before its sound began"
                if self._offset
                else "empty, where a WAV file is expected"
            )
        if self._in_data and self._left:
            self._fail(f"the file is cut: {self._left} more bytes of sound were promised")
        if self._held and self._in_data:
            self._fail("the file is cut inside a sample")

    def _take_pcm(self, data: memoryview, pcm: bytearray) -> memoryview:
        taken = data if self._left is None else data[: self._left]
        self._offset += len(taken)
        step = self.bit_depth // 8 * self.channels
        self._held += taken
        whole = len(self._held) - len(self._held) % step
        pcm += self._held[:whole]
        del self._held[:whole]
        if self._left is not None:
            self._left -= len(taken)
            if not self._left:
                self._leave_data()
        return data[len(taken) :]

    def _leave_data(self) -> None:
        self._in_data = False
        if self._held:
            self._fail("the data chunk is not whole sample frames")
        self._wanted = 8
        self._step = self._chunk

    def _riff(self, head: bytes) -> None:
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            self._refuse(head)
        self._end = int.from_bytes(head[4:8], "little") + 8
        self._wanted = 8
        self._step = self._chunk

    def _refuse(self, head: bytes) -> NoReturn:
        for beginning, what in _OTHERS:
            if head.startswith(beginning):
                self._fail(f"not a WAV file of PCM, but {what}: it starts with {head[:4]!r}")
        self._fail(f"not a WAV file: it starts with {head!r}; raw PCM goes as TAL frames, with its rate")

    def _chunk(self, head: bytes) -> None:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if self._seen_data:
            self._skip = size + size % 2
        elif name == b"fmt ":
            if not 16 <= size <= _MAX_FORMAT:
                self._fail(f"the format chunk has {size} bytes; 16, 18 or 40 are usual")
            self._wanted = size
            self._step = self._format
        elif name == b"data":
            if not self.ready:
                self._fail("the data chunk comes before the format chunk, so nobody knows what it holds")
            self._begin_data(size)
        else:
            self._skip = size + size % 2

    def _begin_data(self, size: int) -> None:
        self._seen_data = True
        # 0 is true of an empty file, which may have chunks after it, and untrue of one that was streamed.
        unknown = size >= _TO_THE_END or (size == 0 and not self._offset < self._end < _TO_THE_END)
        self._left = None if unknown else size
        self._in_data = unknown or size > 0
        if not unknown and size % 2:
            self._fail("the data chunk is not whole sample frames")

    def _format(self, body: bytes) -> None:
        self._skip = len(body) % 2
        tag, channels, rate, _, step, bits = struct.unpack_from("<HHIIHH", body)
        if tag == _EXTENSIBLE and len(body) >= 40 and body[26:40] == _SUBFORMAT:
            tag = int.from_bytes(body[24:26], "little")
        if tag != _PCM:
            kind = _TAGS.get(tag, f"of format 0x{tag:04x}")
            self._fail(f"the file is {kind}, not PCM: convert it, for example with `ffmpeg -c:a pcm_s16le`")
        if bits not in (16, 32):
            self._fail(f"PCM of {bits} bits; 16 and 32 are read: convert it with `ffmpeg -c:a pcm_s16le`")
        # A few bytes at four billion Hz would make a resampler's filter of gigabytes.
        if not channels or not 0 < rate <= MAX_SAMPLE_RATE or step != channels * bits // 8:
            self._fail(f"a format that cannot be: {channels} channels, {rate} Hz, {bits} bits, {step} bytes a frame")
        self.sample_rate, self.channels, self.bit_depth = rate, channels, bits
        self.ready = True
        self._wanted = 8
        self._step = self._chunk

    def _fail(self, message: str) -> NoReturn:
        self._error = WavError(message)
        self._held.clear()
        raise self._error
