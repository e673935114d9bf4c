"""G.711 speech, as telephone networks carry it: mu-law and A-law to 16-bit PCM and back.

One byte for each sample, at 8,000 Hz. The tables follow ITU-T Recommendation G.711: a byte has the sign, three bits for
one of eight segments, and four bits within the segment. In transmission every second bit (A-law) or every bit (mu-law)
is inverted. Encoding rounds towards zero, as the recommendation says. NumPy is imported where it is used.

>>> mulaw_to_pcm(b"\\xff\\x80\\x00").hex(" ", 2)
'0000 7c7d 8482'
>>> pcm_to_mulaw(mulaw_to_pcm(b"\\x12\\xe5")).hex(), pcm_to_alaw(alaw_to_pcm(b"\\x12\\xe5")).hex()
('12e5', '12e5')
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from objectstreaming.frames import BytesLike, view_of

if TYPE_CHECKING:
    import numpy

    Array: TypeAlias = "numpy.ndarray[Any, Any]"

__all__ = ["alaw_to_pcm", "mulaw_to_pcm", "pcm_to_alaw", "pcm_to_mulaw"]


def mulaw_to_pcm(data: BytesLike) -> bytes:
    """mu-law bytes as 16-bit little-endian PCM, twice as many bytes."""
    return _expand(data, _mulaw_values())


def alaw_to_pcm(data: BytesLike) -> bytes:
    """A-law bytes as 16-bit little-endian PCM, twice as many bytes."""
    return _expand(data, _alaw_values())


def pcm_to_mulaw(pcm: BytesLike) -> bytes:
    """16-bit little-endian PCM as mu-law, half as many bytes.

    Raises:
        ValueError: The bytes end inside a sample.
    """
    return _compress(pcm, _mulaw_codes())


def pcm_to_alaw(pcm: BytesLike) -> bytes:
    """16-bit little-endian PCM as A-law, half as many bytes.

    Raises:
        ValueError: The bytes end inside a sample.
    """
    return _compress(pcm, _alaw_codes())


def _expand(data: BytesLike, values: Array) -> bytes:
    import numpy

    return bytes(values[numpy.frombuffer(view_of(data), numpy.uint8)].tobytes())


def _compress(pcm: BytesLike, codes: Array) -> bytes:
    import numpy

    view = view_of(pcm)
    size = view.nbytes
    if size % 2:
        raise ValueError(f"{size} bytes are not whole samples of 16 bits: carry the odd byte over to the next piece")
    return bytes(codes[numpy.frombuffer(view, "<u2")].tobytes())


_BIAS = 0x84  # added to the magnitude, so that every mu-law segment begins at a power of two
_MULAW_CLIP = 0x7FFF - _BIAS


@cache
def _mulaw_values() -> Array:
    import numpy

    code = ~numpy.arange(256, dtype=numpy.uint8)
    segment, step = (code >> 4 & 7).astype(int), (code & 15).astype(int)
    magnitude = ((step << 3) + _BIAS << segment) - _BIAS
    values: Array = numpy.where(code & 0x80, -magnitude, magnitude).astype("<i2")
    return values


@cache
def _alaw_values() -> Array:
    import numpy

    code = numpy.arange(256, dtype=numpy.uint8) ^ 0x55
    segment, step = (code >> 4 & 7).astype(int), (code & 15).astype(int)
    magnitude = numpy.where(segment, (step << 4) + 0x108 << numpy.maximum(segment - 1, 0), (step << 4) + 8)
    values: Array = numpy.where(code & 0x80, magnitude, -magnitude).astype("<i2")
    return values


@cache
def _mulaw_codes() -> Array:
    """The code of each sample, by its two bytes as an unsigned number."""
    import numpy

    sample = numpy.arange(65536).astype(numpy.uint16).view(numpy.int16).astype(int)
    # The recommendation uses 14 bits: the two lowest are dropped first, negative numbers towards minus infinity.
    magnitude = numpy.minimum(numpy.abs(sample >> 2) << 2, _MULAW_CLIP) + _BIAS
    segment = numpy.frexp(magnitude)[1] - 8
    code = segment << 4 | magnitude >> segment + 3 & 15
    codes: Array = (~numpy.where(sample < 0, code | 0x80, code)).astype(numpy.uint8)
    return codes


@cache
def _alaw_codes() -> Array:
    import numpy

    sample = numpy.arange(65536).astype(numpy.uint16).view(numpy.int16).astype(int)
    # 13 bits; minus one and zero are the two sides of one step.
    thirteen = sample >> 3
    magnitude = numpy.where(thirteen < 0, -thirteen - 1, thirteen)
    segment = numpy.maximum(numpy.frexp(magnitude)[1] - 5, 0)
    code = segment << 4 | magnitude >> numpy.maximum(segment, 1) & 15
    codes: Array = (numpy.where(sample < 0, code, code | 0x80) ^ 0x55).astype(numpy.uint8)
    return codes
