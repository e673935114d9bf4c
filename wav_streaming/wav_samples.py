"""The kinds of samples in WAV files, and their exact conversion to PCM of 16 or 32 bits.

| in the file | becomes | how |
|---|---|---|
| integers of up to 8 bits, unsigned | int16 | less 128, shifted up: exact |
| integers of 9 to 16 bits | int16 | unchanged |
| integers of 17 to 24 bits in three bytes | int32 | shifted up: exact |
| integers in four bytes, also 24 bits in four bytes | int32 | unchanged |
| integers in more bytes | int32 | the upper four bytes |
| floats of 16, 32 or 64 bits | int32 | 1.0 is 2**31; rounded to the nearest, ties to even; clipped; NaN is silence |
| A-law, mu-law | int16 | the tables of G.711: exact |

Integers that do not fill their bytes use the upper bits (Microsoft, "Multiple channel audio data and WAVE files").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from .g711 import alaw_to_pcm, mulaw_to_pcm
from .pcm import to_int32

__all__ = ["ALAW", "FLOAT", "MULAW", "PCM", "SampleFormat", "UnknownSamplesError", "sample_format"]

PCM: Final = 1
FLOAT: Final = 3
ALAW: Final = 6
MULAW: Final = 7
_LARGEST: Final = 8  # bytes a sample

_NAMES: Final = {
    2: "Microsoft ADPCM",
    0x10: "Creative ADPCM",
    0x11: "IMA ADPCM",
    0x14: "G.723",
    0x31: "GSM 6.10",
    0x40: "G.721",
    0x45: "G.726",
    0x50: "MPEG",
    0x55: "MP3",
    0x64: "G.726",
    0x65: "G.722",
    0x92: "Dolby Digital (AC-3)",
    0xFF: "AAC",
    0x160: "Windows Media",
    0x161: "Windows Media",
    0x1610: "AAC",
    0x2000: "Dolby Digital (AC-3)",
    0x674F: "Vorbis",
    0xF1AC: "FLAC",
}


class UnknownSamplesError(Exception):
    """A kind of samples that cannot be read. The message says which."""


class SampleFormat(NamedTuple):
    """How the samples of one channel are stored in the file, and what they become."""

    size: int
    """Bytes a sample in the file."""
    bit_depth: Literal[16, 32]
    """Bits a sample of the PCM."""
    to_pcm: Callable[[bytes], bytes] | None
    """Whole samples to PCM; `None` where they are PCM already."""


def sample_format(tag: int, bits: int, size: int) -> SampleFormat:
    """The format for a tag, the bits a sample and the bytes a sample. Raises `UnknownSamplesError`.

    >>> sample_format(PCM, 24, 3).to_pcm(b"abc")
    b'\\x00abc'
    """
    if tag == PCM and 0 < bits <= 8 * size and size <= _LARGEST:
        if size == 2:
            return SampleFormat(2, 16, None)
        if size == 4:
            return SampleFormat(4, 32, None)
        if size == 1:
            return SampleFormat(1, 16, _from_bytes)
        return SampleFormat(size, 32, lambda data: _from_integers(data, size))
    if tag == FLOAT and size == -(-bits // 8) and size in (2, 4, 8):
        return SampleFormat(size, 32, lambda data: _from_floats(data, size))
    if tag == ALAW and size == 1:
        return SampleFormat(1, 16, alaw_to_pcm)
    if tag == MULAW and size == 1:
        return SampleFormat(1, 16, mulaw_to_pcm)
    if tag in (PCM, FLOAT, ALAW, MULAW):
        kind = {PCM: "integers", FLOAT: "floats", ALAW: "A-law", MULAW: "mu-law"}[tag]
        raise UnknownSamplesError(f"{kind} of {bits} bits in {size} bytes")
    raise UnknownSamplesError(_NAMES.get(tag, f"of format 0x{tag:04x}"))


def _from_bytes(data: bytes) -> bytes:
    import numpy

    samples: Any = numpy.frombuffer(data, numpy.uint8).astype("<i2") - 128 << 8
    return bytes(samples.astype("<i2").tobytes())


def _from_integers(data: bytes, size: int) -> bytes:
    import numpy

    there = numpy.frombuffer(data, numpy.uint8).reshape(-1, size)[:, -4:]
    whole = numpy.zeros((len(there), 4), numpy.uint8)
    whole[:, 4 - there.shape[1] :] = there
    return whole.tobytes()


def _from_floats(data: bytes, size: int) -> bytes:
    import numpy

    return bytes(to_int32(numpy.frombuffer(data, f"<f{size}")).tobytes())
