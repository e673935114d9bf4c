"""PCM arithmetic: between int16, int32 and float32; cutting a stream into frames of equal length.

Full scale is 1.0 in float32, 2**15 in int16 and 2**31 in int32, so that int16 -> float32 -> int16 and int16 -> int32 ->
int16 change nothing. Floats beyond full scale are clipped, not wrapped. NaN becomes silence. NumPy is imported where it
is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from objectstreaming.frames import BytesLike, view_of

if TYPE_CHECKING:
    import numpy

    Array: TypeAlias = "numpy.ndarray[Any, Any]"

__all__ = ["PcmSplitter", "to_float32", "to_int16", "to_int32"]


def to_float32(samples: Array) -> Array:
    """int16, int32 or float samples as float32 in -1.0 to 1.0.

    >>> import numpy
    >>> to_float32(numpy.array([-32768, 16384], "<i2")).tolist()
    [-1.0, 0.5]

    Raises:
        TypeError: The samples have another dtype.
    """
    import numpy

    kind = _kind(samples)
    if kind == "f":
        return samples.astype(numpy.float32)
    scale = 1 << (8 * samples.dtype.itemsize - 1)
    return (samples / numpy.float64(scale)).astype(numpy.float32)


def to_int16(samples: Array) -> Array:
    """int16, int32 or float samples as '<i2': int32 loses its lower half, floats are rounded and clipped.

    >>> import numpy
    >>> to_int16(numpy.array([0.5, 1.0, -2.0])).tolist()
    [16384, 32767, -32768]
    """
    import numpy

    kind = _kind(samples)
    if kind == "f":
        return _quantized(samples, 16)
    if samples.dtype.itemsize == 4:
        samples = samples.astype("<i4", copy=False) >> 16
    return samples.astype(numpy.dtype("<i2"))


def to_int32(samples: Array) -> Array:
    """int16, int32 or float samples as '<i4'; int16 fills the upper half."""
    kind = _kind(samples)
    if kind == "f":
        return _quantized(samples, 32)
    if samples.dtype.itemsize == 2:
        return samples.astype("<i4") << 16
    return samples.astype("<i4")


def _kind(samples: Array) -> str:
    kind: str = samples.dtype.kind
    if kind == "f" or (kind == "i" and samples.dtype.itemsize in (2, 4)):
        return kind
    raise TypeError(f"samples are int16, int32 or floats, not {samples.dtype}")


def _quantized(samples: Array, bits: int) -> Array:
    import numpy

    full = float(1 << (bits - 1))
    scaled = numpy.rint(numpy.nan_to_num(samples.astype(numpy.float64), nan=0.0, posinf=1.0, neginf=-1.0) * full)
    return numpy.clip(scaled, -full, full - 1).astype(f"<i{bits // 8}")


class PcmSplitter:
    """Cuts PCM that comes in any pieces into frames of equal length. The rest waits for the next piece.

    A piece may end inside a sample. Its bytes are kept for the next piece, never padded and never dropped.

    >>> splitter = PcmSplitter(sample_rate=1000, milliseconds=2)
    >>> list(splitter.feed(b"abc")), list(splitter.feed(b"defghij"))
    ([], [b'abcd', b'efgh'])
    >>> splitter.flush(), splitter.buffered
    (b'ij', 0)

    Args:
        sample_rate: in Hz.
        channels: how many, interleaved.
        bit_depth: of a sample, 16 or 32.
        milliseconds: how long a frame is.

    Raises:
        ValueError: A frame would have no sample.
    """

    def __init__(self, sample_rate: int, channels: int = 1, bit_depth: int = 16, milliseconds: float = 20) -> None:
        self._block_align = bit_depth // 8 * channels
        self._size = round(sample_rate * milliseconds / 1000) * self._block_align
        if self._size < 1:
            raise ValueError(f"{milliseconds} ms of {channels} channel(s) at {sample_rate} Hz are not one sample")
        self._held = bytearray()

    @property
    def buffered(self) -> int:
        """How many bytes wait for the next piece."""
        return len(self._held)

    def feed(self, pcm: BytesLike) -> list[bytes]:
        """The frames that are complete now."""
        view = view_of(pcm)
        self._held += view if view.c_contiguous else view.tobytes()
        whole = len(self._held) - len(self._held) % self._size
        frames = [bytes(self._held[at : at + self._size]) for at in range(0, whole, self._size)]
        del self._held[:whole]
        return frames

    def flush(self) -> bytes:
        """The last frame, shorter than the others. What is still `buffered` then is part of a sample that was cut."""
        whole = len(self._held) - len(self._held) % self._block_align
        last = bytes(self._held[:whole])
        del self._held[:whole]
        return last
