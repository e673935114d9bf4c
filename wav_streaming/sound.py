"""Sound in memory: PCM with its format. Readers and synthesizers return it, recognizers take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    import numpy

__all__ = ["Sound"]


class Sound(msgspec.Struct, frozen=True, gc=False):
    r"""A sound in memory.

    >>> sound = Sound(bytes(32000), sample_rate=16000)
    >>> sound.seconds, sound.samples.shape
    (1.0, (16000, 1))

    Args:
        pcm: bytes: signed, little-endian, interleaved, whole sample frames.
        sample_rate: in Hz.
        channels: how many.
        bit_depth: of a sample, 16 or 32.

    Raises:
        ValueError: One of them is something else.
    """

    pcm: bytes
    sample_rate: int
    channels: int = 1
    bit_depth: Literal[16, 32] = 16

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or self.channels < 1 or self.bit_depth not in (16, 32):
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
