"""Sound in memory: PCM with its format. Readers and synthesizers return it, recognizers take it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import msgspec.structs

if TYPE_CHECKING:
    import numpy

__all__ = ["MAX_CHANNELS", "MAX_SAMPLE_RATE", "Sound"]

MAX_SAMPLE_RATE: Final = 768_000
"""Hz; the highest rate audio interfaces are made for (16 times 48 kHz)."""
MAX_CHANNELS: Final = 255


class Sound(msgspec.Struct, frozen=True, gc=False):
    r"""A sound in memory.

    >>> sound = Sound(bytes(32000), sample_rate=16000)
    >>> sound.seconds, sound.samples.shape
    (1.0, (16000, 1))

    Args:
        pcm: signed, little-endian, interleaved, whole sample frames; another buffer than bytes is copied.
        sample_rate: in Hz, at most 768,000.
        channels: how many, at most 255.
        bit_depth: of a sample, 16 or 32.

    Raises:
        ValueError: One of them cannot be.
        TypeError: `pcm` is no buffer, or a number is not an integer.
    """

    pcm: bytes
    sample_rate: int
    channels: int = 1
    bit_depth: Literal[16, 32] = 16

    def __post_init__(self) -> None:
        if type(self.pcm) is not bytes:
            view = memoryview(self.pcm)
            if view.format[-1] in "efdg":
                raise TypeError("the samples are floats: wav_streaming.to_int16 makes PCM of them")
            msgspec.structs.force_setattr(self, "pcm", view.tobytes())
        for name in ("sample_rate", "channels", "bit_depth"):
            msgspec.structs.force_setattr(self, name, operator.index(getattr(self, name)))
        is_possible = 0 < self.sample_rate <= MAX_SAMPLE_RATE and 0 < self.channels <= MAX_CHANNELS
        if not is_possible or self.bit_depth not in (16, 32):
            raise ValueError(
                f"not a sound: {self.sample_rate} Hz, {self.channels} channels, {self.bit_depth} bits (16 or 32)"
            )
        if len(self.pcm) % self.block_align:
            raise ValueError(f"{len(self.pcm)} bytes are not whole sample frames of {self.block_align} bytes")

    @property
    def block_align(self) -> int:
        """Bytes in a sample frame, which is one sample of each channel."""
        return self.bit_depth // 8 * self.channels

    @property
    def seconds(self) -> float:
        """The duration."""
        return len(self.pcm) / (self.block_align * self.sample_rate)

    @property
    def samples(self) -> numpy.ndarray[Any, Any]:
        """A read-only view of shape (samples, channels), dtype '<i2' or '<i4'."""
        import numpy

        return numpy.frombuffer(self.pcm, f"<i{self.bit_depth // 8}").reshape(-1, self.channels)

    def __repr__(self) -> str:
        return (
            f"<Sound: {self.seconds:.3f} s, {self.sample_rate} Hz, {self.channels} channel(s), {self.bit_depth} bits>"
        )
