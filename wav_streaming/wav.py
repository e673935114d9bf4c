"""WAV files: sound in the RIFF container. Written with correct sizes, and read as real programs write them.

    "RIFF" size "WAVE"   then chunks:   id (4) | size, uint32 | body | one pad byte if size is odd

Only `fmt ` and, after it, `data` are needed. `WavDecoder` reads a file in pieces and does no input or output itself.
`read_wav` and `strip_wav` use it, so that a file gives the same sound however it is cut into pieces.

**Sizes may be wrong.** Programs that stream do not know them, and write 0, all ones, or any large number. The rules:

* A size of `data` beyond the reader's limit is a size that the writer did not know. The sound lasts to the end of the
  input.
* A size within the limit is taken as true. If less arrives, the file was cut, which is an error.
* Bytes after the sound that do not begin a chunk are more sound: the size was too small. This includes a size of 0.
* If RIFF's own size is within the limit and more than what has arrived, the file was cut.
* A complete RIFF header (`RIFF....WAVEfmt `) within the sound begins another file. Its sound follows if it has the same
  format. Otherwise that is an error.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991); WAVE_FORMAT_EXTENSIBLE in
Microsoft's mmreg.h. Sizes that streaming programs write: espeak-ng 0x7ffff000, ffmpeg and OpenAI 0xffffffff, others 0
or a round decimal number.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, Literal, NoReturn

from objectstreaming.errors import ObjectStreamError
from objectstreaming.frames import BytesLike, MiB, view_of

from .sound import MAX_CHANNELS, MAX_SAMPLE_RATE, Sound
from .sound_files import CONVERT, LONGEST_GUESS, file_kind
from .wav_samples import PCM, SampleFormat, UnknownSamplesError, sample_format

__all__ = ["MAX_WAV", "WavDecoder", "WavError", "pcm_to_wav", "read_wav", "strip_wav"]

MAX_WAV: Final = 512 * MiB
"""How many bytes of sound a WAV file may have by default: 23 minutes of 48 kHz stereo in 32 bits."""


class WavError(ObjectStreamError, ValueError):
    """The bytes are not a WAV file that can be read here, or they end too early. The message says what to do."""

    code = "invalid_wav"


def pcm_to_wav(pcm: BytesLike, sample_rate: int, channels: int = 1, bit_depth: Literal[16, 32] = 16) -> bytes:
    """A WAV file of PCM, with correct sizes.

    >>> wav = pcm_to_wav(bytes(320), 16000)
    >>> len(wav), wav[:4], read_wav(wav)
    (364, b'RIFF', <Sound: 0.010 s, 16000 Hz, 1 channel(s), 16 bits>)

    Args:
        pcm: signed, little-endian, interleaved.
        sample_rate: in Hz.
        channels: how many.
        bit_depth: of a sample, 16 or 32.

    Raises:
        ValueError: The PCM is not whole sample frames.
    """
    sound = Sound(bytes(view_of(pcm)), sample_rate, channels, bit_depth)
    size = len(sound.pcm)
    if size > 0xFFFF_FFFF - 36:
        raise ValueError(f"a WAV file holds less than 4 GiB, not {size} bytes")
    step = sound.block_align
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
        + struct.pack("<4sIHHIIHH", b"fmt ", 16, PCM, channels, sample_rate, sample_rate * step, step, bit_depth)
        + struct.pack("<4sI", b"data", size)
        + sound.pcm
    )


def read_wav(source: BytesLike | BinaryIO, *, limit: int = MAX_WAV) -> Sound:
    """The sound in a WAV file, as PCM of 16 or 32 bits.

    Args:
        source: bytes, or an open binary file.
        limit: how many bytes of sound are accepted, as for `WavDecoder`.

    Raises:
        WavError: It is not a WAV file, it was cut, or it has a format that is not read. The message says which.
    """
    decoder = WavDecoder(limit=limit)
    pcm = b"".join([*map(decoder.feed, _pieces(source)), decoder.finish()])
    return Sound(pcm, decoder.sample_rate, decoder.channels, decoder.bit_depth)


def _pieces(source: BytesLike | BinaryIO) -> Iterator[BytesLike]:
    if not hasattr(source, "read"):
        yield source
        return
    while piece := source.read(MiB):
        yield piece


def strip_wav(chunks: Iterable[BytesLike], *, limit: int = MAX_WAV) -> Iterator[bytes]:
    """The PCM of a source that puts a WAV header before its sound, before each piece of it, or nowhere.

    For engines that give "audio" in pieces: a header that is played as sound is a click. Raw PCM passes unchanged.
    Sound after a header is read by `WavDecoder`. It does not matter how the source is cut into pieces.

    >>> wav = pcm_to_wav(b"abcd", 16000)
    >>> b"".join(strip_wav([wav, wav[:20], wav[20:]])), b"".join(strip_wav([b"ab", b"cd"]))
    (b'abcdabcd', b'abcd')

    Args:
        chunks: WAV files, pieces of them, or raw PCM.
        limit: how many bytes of sound are accepted, as for `WavDecoder`.

    Raises:
        WavError: It is another kind of file, a file that was cut, or one with another format than the file before it.
    """
    decoder = WavDecoder(limit=limit, raw=True)
    for chunk in chunks:
        if pcm := decoder.feed(chunk):
            yield pcm
    if pcm := decoder.finish():
        yield pcm


_EXTENSIBLE: Final = 0xFFFE
# A subformat is a format tag, followed by one of these: the general one, and that of ambisonic sound.
_SUBFORMATS: Final = (bytes.fromhex("000000001000800000aa00389b71"), bytes.fromhex("00002107d3118644c8c1ca000000"))
_MAX_FORMAT: Final = 4096  # bytes; a format chunk has 40 at most
_HEADER: Final = re.compile(rb"RIFF.{4}WAVEfmt ", re.DOTALL)
_HEADER_SIZE: Final = 16
# Chunks that writers put after the sound. Other names count as chunks only if RIFF's size has room for them.
_CHUNKS: Final = frozenset(
    {
        b"LIST",
        b"list",
        b"data",
        b"fact",
        b"cue ",
        b"smpl",
        b"inst",
        b"bext",
        b"JUNK",
        b"junk",
        b"PAD ",
        b"FLLR",
        b"iXML",
        b"ixml",
        b"_PMX",
        b"axml",
        b"chna",
        b"C2PA",
        b"c2pa",
        b"PEAK",
        b"DISP",
        b"cart",
        b"acid",
        b"strc",
        b"levl",
        b"afsp",
        b"plst",
        b"SAUR",
        b"LGWV",
        b"umid",
        b"minf",
        b"elm1",
        b"regn",
        b"ID3 ",
        b"id3 ",
        b"ID32",
        b"SyLp",
        b"ResU",
        b"ds64",
    }
)
_NAME: Final = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_ .-]{3}")
_RAW: Final = SampleFormat(1, 16, None)


class WavDecoder:
    """Takes a WAV file in pieces and gives its PCM as it arrives.

    `sample_rate`, `channels` and `bit_depth` (16 or 32) are known as soon as `ready` is true; before that they are 0, 0
    and 16. The PCM consists of whole sample frames. Samples that are not int16 or int32 in the file are converted as
    the table in `wav_samples` says. The decoder holds at most a format chunk, part of a sample frame and of a header.

    After a `WavError` the decoder raises it again.

    >>> wav = pcm_to_wav(b"abcdef", 8000)
    >>> decoder = WavDecoder()
    >>> [decoder.feed(piece) for piece in (wav[:30], wav[30:47], wav[47:])], decoder.sample_rate
    ([b'', b'ab', b'cdef'], 8000)
    >>> decoder.finish()
    b''

    Args:
        limit: how many bytes of sound are accepted, counted in the file. A size beyond it counts as unknown, and more
            sound is an error.
        raw: whether input without a header passes unchanged.
    """

    def __init__(self, *, limit: int = MAX_WAV, raw: bool = False) -> None:
        self.ready = False
        self.sample_rate = 0
        self.channels = 0
        self.bit_depth: Literal[16, 32] = 16
        self._limit = limit
        self._raw = raw
        self._buffer = bytearray()
        self._offset = 0  # of the buffer's first byte
        self._step: Callable[[], bool] = self._riff  # what to do next; returns whether it could be done
        self._finished = False
        self._pcm: list[bytes] = []
        self._format = _RAW
        self._format_seen: tuple[object, ...] | None = None  # of this file or the one before it
        self._file_end = 0  # where RIFF says that this file ends
        self._format_size = 0
        self._skip = 0
        self._pad = False  # whether the chunk before had an odd size, so that a byte of padding may follow
        self._sound = False  # whether this file's `data` has begun
        self._left: int | None = 0  # bytes of `data` still to come; None: to the end
        self._taken = 0  # bytes of sound so far
        self._error: WavError | None = None

    def feed(self, chunk: BytesLike) -> bytes:
        """The PCM that is complete now, perhaps none."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        view = view_of(chunk)
        self._buffer += view if view.c_contiguous else view.tobytes()
        while self._step():
            pass
        return self._given()

    def finish(self) -> bytes:
        """The input has ended. Gives the last PCM, if some was held.

        Raises:
            WavError: Sound is missing.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        self._finished = True
        while self._step():
            pass
        if not self._sound:
            self._fail(
                f"the file ended after {self._offset + len(self._buffer)} bytes, before its sound began"
                if self._offset or self._buffer
                else "empty, where a WAV file is expected"
            )
        if self._step == self._data:
            self._check_sound_ended()
        if self._step == self._data or not self._taken:
            self._check_file_ended()
        return self._given()

    def _given(self) -> bytes:
        pcm = b"".join(self._pcm)
        self._pcm.clear()
        return pcm

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._offset += size

    # The steps. Each reads the beginning of the buffer, and returns whether it could.

    def _riff(self) -> bool:
        head = bytes(self._buffer[:12])
        if len(head) < 12 and not self._finished:
            return False
        if head[:4] == b"RIFF" and (head[8:] == b"WAVE" or len(head) < 12):
            if len(head) < 12:
                return False
            self._file_end = self._offset + 8 + int.from_bytes(head[4:8], "little")
            self._sound = self._pad = False
            self._drop(12)
            self._step = self._chunk
            return True
        kind = file_kind(bytes(self._buffer[:LONGEST_GUESS]), whole=self._finished)
        if kind is None:
            return False
        if kind:
            self._fail(f"not a WAV file, but {kind} (it starts with {head[:4]!r})")
        if not self._raw:
            if not head:
                return False
            self._fail(f"not a WAV file: it starts with {head!r}; raw PCM goes as TAL frames, with its rate")
        self.channels = 1
        self._begin_data(None)
        return True

    def _chunk(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 8 + self._pad:
            return False
        if self._pad and buffer[0] == 0:
            self._drop(1)
        self._pad = False
        name, size = bytes(buffer[:4]), int.from_bytes(buffer[4:8], "little")
        if self._sound:
            if name == b"RIFF" and len(buffer) < _HEADER_SIZE and not self._finished:
                return False
            if _HEADER.match(buffer):
                self._step = self._riff
                return True
            room = self._offset + 8 + size <= self._file_end
            if not (name in _CHUNKS or (room and _NAME.fullmatch(name))):
                self._begin_data(None)  # not a chunk: more sound than the size of `data` said
                return True
        if name == b"fmt " and not self._sound:
            if not 16 <= size <= _MAX_FORMAT:
                self._fail(f"the format chunk has {size} bytes; 16, 18 or 40 are usual")
            self._format_size = size
            self._step = self._read_format
        elif name == b"data":
            if not self.ready:
                self._fail("the data chunk comes before the format chunk, so nobody knows what it holds")
            # The writer did not know a size that is beyond the limit.
            self._begin_data(size if size <= self._limit else None)
        else:
            self._skip = size
            self._step = self._skip_chunk
        self._pad = size % 2 == 1
        self._drop(8)
        return True

    def _skip_chunk(self) -> bool:
        passed = min(self._skip, len(self._buffer))
        self._skip -= passed
        self._drop(passed)
        if self._skip:
            return False
        self._step = self._chunk
        return True

    def _read_format(self) -> bool:
        size = self._format_size
        if len(self._buffer) < size:
            return False
        body = bytes(self._buffer[:size])
        tag, channels, rate, _, step, bits = struct.unpack_from("<HHIIHH", body)
        if tag == _EXTENSIBLE and size >= 40 and body[26:40] in _SUBFORMATS:
            tag = int.from_bytes(body[24:26], "little")
        if not 0 < channels <= MAX_CHANNELS or not 0 < rate <= MAX_SAMPLE_RATE:
            # At four billion Hz a few bytes would make a resampler allocate gigabytes for its filter.
            self._fail(f"a format that cannot be: {channels} channels, {rate} Hz, {bits} bits, {step} bytes a frame")
        each = -(-bits // 8)
        if step % channels == 0 and step // channels > each:
            each = step // channels  # the samples do not fill their bytes
        elif step not in (channels * each, each, 0):  # that of one channel, or 0: two mistakes that writers make
            self._fail(f"a format that cannot be: {channels} channels, {rate} Hz, {bits} bits, {step} bytes a frame")
        try:
            found = sample_format(tag, bits, each)
        except UnknownSamplesError as error:
            self._fail(f"the sound in the file is {error}, which is not read: {CONVERT}")
        seen = (tag, channels, rate, bits, each)
        if self._format_seen not in (None, seen):
            self._fail(
                f"another file follows whose sound has another format: {rate} Hz, {channels} channels and {bits} bits "
                f"after {self.sample_rate} Hz, {self.channels} channels"
            )
        self._format, self._format_seen = found, seen
        self.sample_rate, self.channels, self.bit_depth = rate, channels, found.bit_depth
        self.ready = True
        self._drop(size)
        self._step = self._chunk
        return True

    def _begin_data(self, size: int | None) -> None:
        self._sound = True
        self._left = size
        self._step = self._data

    def _data(self) -> bool:
        """Give sound, up to the end of `data`, the next file, or bytes that may be the beginning of one."""
        buffer = self._buffer
        there = len(buffer) if self._left is None else min(len(buffer), self._left)
        header = _HEADER.search(buffer)
        begins = header.start() if header else len(buffer) if self._finished else _before_header(buffer)
        end = min(there, begins)
        frame = self._format.size * self.channels
        whole = end - end % frame
        if whole:
            self._give(bytes(buffer[:whole]))
            self._drop(whole)
            if self._left is not None:
                self._left -= whole
        if header and begins == end:
            if self._left:
                self._fail(f"the file is cut: {self._left} more bytes of sound were promised, and another file begins")
            if end > whole:
                self._fail("the file is cut inside a sample, and another file begins")
            self._step = self._riff
            return True
        if self._left is not None and self._left < frame and end == whole + self._left:
            if self._left:
                self._fail("the data chunk is not whole sample frames")
            self._step = self._chunk
            return True
        return False

    def _give(self, data: bytes) -> None:
        if self._format is not _RAW:
            self._taken += len(data)
        if self._taken > self._limit:
            self._fail(f"the file has more than {self._limit} bytes of sound, the limit here")
        convert = self._format.to_pcm
        self._pcm.append(data if convert is None else convert(data))

    def _check_sound_ended(self) -> None:
        """The input has ended within `data`."""
        if self._left:
            self._fail(f"the file is cut: {self._left - len(self._buffer)} more bytes of sound were promised")
        if any(self._buffer):
            self._fail("the file is cut inside a sample")

    def _check_file_ended(self) -> None:
        """The size of `data` was unknown, but RIFF's size may still show that the file was cut."""
        missing = self._file_end - self._offset - len(self._buffer)
        if 0 < missing <= self._limit and self._format is not _RAW:
            self._fail(f"the file is cut: {missing} more bytes were promised")

    def _fail(self, message: str) -> NoReturn:
        self._error = WavError(message)
        self._buffer.clear()
        self._pcm.clear()
        raise self._error


def _before_header(buffer: bytearray) -> int:
    """Where in the last bytes an incomplete header may begin; the end of the buffer if nowhere."""
    for at in range(max(0, len(buffer) - _HEADER_SIZE + 1), len(buffer)):
        tail = buffer[at:]
        if tail[:4] == b"RIFF"[: len(tail)] and tail[8:] == b"WAVEfmt "[: max(0, len(tail) - 8)]:
            return at
    return len(buffer)
