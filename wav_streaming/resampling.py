"""Sound at another sample rate: `Resampler` for sound that comes in pieces, `resample` for a complete sound.

Both use one polyphase filter. Each output sample is a weighted sum of the input samples around it. The weights are a
sinc under a Kaiser window (Smith, "Digital Audio Resampling Home Page", ccrma.stanford.edu/~jos/resample; Kaiser,
"Nonrecursive digital filter design", 1974). The pass band ends at 0.91 of the lower Nyquist frequency. From the Nyquist
frequency on the attenuation is 100 dB. NumPy is imported where it is used.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from objectstreaming.frames import BytesLike, view_of

from .pcm import to_float32, to_int16, to_int32
from .sound import Sound

if TYPE_CHECKING:
    import numpy

    Array: TypeAlias = "numpy.ndarray[Any, Any]"

__all__ = ["Resampler", "resample", "to_mono"]

_ATTENUATION: Final = 100.0  # dB
_PASS: Final = 0.91  # where the pass band ends, of the lower Nyquist frequency
_PHASES: Final = 1024  # filters kept for one sample of input; between them weights are interpolated, good to -120 dB
_BLOCK: Final = 1 << 20  # weights in use at a time
_MIXED: Final = 1 << 16  # sample frames mixed to one channel at a time
_SHARED: Final = 8  # outputs for which it pays to take the same weights together


def resample(samples: Array, rate: int, new_rate: int) -> Array:
    """A whole sound at another rate.

    It gives `ceil(n * new_rate / rate)` samples, as if there were silence before the first and after the last. So it is
    not for pieces of a sound: between two pieces the silence would be heard as a click. Use `Resampler` for pieces.

    >>> import numpy
    >>> resample(numpy.ones(480, "f4"), 48000, 16000).shape
    (160,)

    Args:
        samples: floats of shape (n,) or (n, channels).
        rate: of `samples`, in Hz.
        new_rate: of the result, in Hz.

    Returns:
        float32 of shape (m,) or (m, channels).
    """
    import numpy

    polyphase = _Polyphase(rate, new_rate)
    shaped = samples.reshape(len(samples), math.prod(samples.shape[1:])).astype(numpy.float64)
    found = numpy.concatenate([polyphase.feed(shaped), polyphase.flush(shaped.shape[1])])
    whole: Array = found.reshape(-1, *samples.shape[1:]).astype(numpy.float32)
    return whole


def to_mono(sound: Sound, sample_rate: int) -> Sound:
    """A sound as recognizers need it: one channel, the mean of all, and 16 bits.

    >>> to_mono(Sound(bytes(8 * 480), 48000, channels=2, bit_depth=32), 16000)
    <Sound: 0.010 s, 16000 Hz, 1 channel(s), 16 bits>

    Args:
        sound: of any rate, channels and bits.
        sample_rate: of the result, in Hz.
    """
    if (sound.sample_rate, sound.channels, sound.bit_depth) == (sample_rate, 1, 16):
        return sound
    # In blocks: floats of a whole sound would take several times its memory.
    polyphase = _Polyphase(sound.sample_rate, sample_rate)
    samples, pcm = sound.samples, bytearray()
    for first in range(0, len(samples), _MIXED):
        mixed = to_float32(samples[first : first + _MIXED]).mean(axis=1, dtype="f8", keepdims=True)
        pcm += to_int16(polyphase.feed(mixed)).tobytes()
    pcm += to_int16(polyphase.flush(1)).tobytes()
    return Sound(bytes(pcm), sample_rate)


class Resampler:
    """Takes PCM at one rate in pieces and gives PCM at another rate. The result does not depend on the pieces.

    The output is about 70 samples of the lower rate behind the input; `flush` gives the rest. A piece may end inside a
    sample frame: its bytes wait for the next piece.

    >>> resampler = Resampler(24000, 8000)
    >>> pieces = [resampler.feed(bytes(960)) for _ in range(50)] + [resampler.flush()]
    >>> sum(map(len, pieces))
    16000

    Args:
        rate: of the PCM that comes in, in Hz.
        new_rate: of the PCM that goes out, in Hz.
        channels: how many, interleaved.
        bit_depth: of a little-endian sample.
    """

    def __init__(self, rate: int, new_rate: int, channels: int = 1, bit_depth: Literal[16, 32] = 16) -> None:
        if bit_depth not in (16, 32) or channels < 1:
            raise ValueError(
                f"PCM has 16 or 32 bits and one channel or more, not {bit_depth} bits, {channels} channels"
            )
        self._filter = _Polyphase(rate, new_rate)
        self._channels = channels
        self._depth = bit_depth
        self._held = bytearray()

    def feed(self, pcm: BytesLike) -> bytes:
        """The PCM that is complete now, perhaps none."""
        import numpy

        view = view_of(pcm)
        self._held += view if view.c_contiguous else view.tobytes()
        step = self._depth // 8 * self._channels
        whole = len(self._held) - len(self._held) % step
        samples = numpy.frombuffer(bytes(self._held[:whole]), f"<i{self._depth // 8}").reshape(-1, self._channels)
        del self._held[:whole]
        return self._pcm(self._filter.feed(samples / float(1 << self._depth - 1)))

    def flush(self) -> bytes:
        """The rest of the sound. An incomplete sample frame is dropped. The resampler can then begin another sound."""
        self._held.clear()
        return self._pcm(self._filter.flush(self._channels))

    def _pcm(self, samples: Array) -> bytes:
        return bytes((to_int16 if self._depth == 16 else to_int32)(samples).tobytes())


class _Polyphase:
    """The filter, on float64 samples of shape (n, channels). Positions are exact: they are counted in whole numbers."""

    def __init__(self, rate: int, new_rate: int) -> None:
        if rate < 1 or new_rate < 1:
            raise ValueError(f"a sample rate is a positive number of Hz, not {min(rate, new_rate)}")
        divisor = math.gcd(rate, new_rate)
        self._up, self._down = new_rate // divisor, rate // divisor
        lower = min(1.0, self._up / self._down)
        width = (1 - _PASS) * math.pi * lower
        self._half = math.ceil((_ATTENUATION - 7.95) / (2.285 * width) / 2)
        self._cutoff = (1 + _PASS) / 2 * lower
        self._weights: Array | None = None
        self._start()

    def _start(self) -> None:
        self._held: Array | None = None  # input that is still needed
        self._next = 0  # where the next output lies, in 1/up samples after the first of _held
        self._missing = 0  # outputs to come for the input so far, in 1/down

    def feed(self, samples: Array) -> Array:
        """The outputs for which all input has arrived."""
        import numpy

        if self._up == self._down:
            return samples
        if self._held is None:
            self._held = numpy.zeros((self._half - 1, samples.shape[1]))
            self._next = (self._half - 1) * self._up
        self._missing += len(samples) * self._up
        return self._take(numpy.concatenate([self._held, samples]))

    def flush(self, channels: int) -> Array:
        """The outputs that are left, as if silence followed the input."""
        import numpy

        if self._held is None:
            return numpy.zeros((0, channels))
        wanted = -(-self._missing // self._down)
        last = (self._next + wanted * self._down) // self._up
        silence = numpy.zeros((max(0, last + self._half + 1 - len(self._held)), channels))
        rest = self._take(numpy.concatenate([self._held, silence]))[:wanted]
        self._start()
        return rest

    def _take(self, samples: Array) -> Array:
        import numpy

        # Output at t needs the samples from t - half + 1 to t + half.
        count = max(0, -(-((len(samples) - self._half) * self._up - self._next) // self._down))
        out = numpy.empty((count, samples.shape[1]))
        if count:
            windows = numpy.lib.stride_tricks.sliding_window_view(samples, 2 * self._half, axis=0)
            windows = windows[self._next // self._up - self._half + 1 :]
            self._weigh(windows, self._next % self._up, out)
        self._missing -= count * self._down
        self._next += count * self._down
        used = max(0, self._next // self._up - self._half + 1)
        self._held = samples[used:].copy()
        self._next -= used * self._up
        return out

    def _weigh(self, windows: Array, start: int, out: Array) -> None:
        """Fill `out`. Its first sample is `start` / up of a sample after the place of the first window."""
        import numpy

        count = len(out)
        if count >= _SHARED * self._up:  # many outputs have the same place between two inputs, and so the same weights
            for first in range(self._up):
                place, phase = divmod(start + first * self._down, self._up)
                alike = windows[place :: self._down][: -(-(count - first) // self._up)]
                out[first :: self._up] = alike @ self._weights_at(numpy.array([phase]))[0]
            return
        block = max(1, _BLOCK // (2 * self._half))
        for first in range(0, count, block):
            places = start + numpy.arange(first, min(count, first + block)) * self._down
            whole, part = numpy.divmod(places, self._up)
            out[first : first + block] = numpy.einsum("kct,kt->kc", windows[whole], self._weights_at(part))

    def _weights_at(self, part: Any) -> Array:
        """The weights of 2 * half samples for outputs that are `part` / up after the sample in the middle."""
        if self._weights is None:
            self._weights = self._table()
        phases = len(self._weights) - 1
        if phases == self._up:
            exact: Array = self._weights[part]
            return exact
        place = part * (phases / self._up)
        row = place.astype(int)
        lower: Array = self._weights[row]
        between: Array = lower + (place - row)[:, None] * (self._weights[row + 1] - lower)
        return between

    def _table(self) -> Array:
        import numpy

        phases = self._up if self._up <= _PHASES else _PHASES
        part = numpy.arange(phases + 1)[:, None] / phases
        distance = numpy.arange(2 * self._half) - self._half + 1 - part
        beta = 0.1102 * (_ATTENUATION - 8.7)
        inside = numpy.sqrt(numpy.maximum(0, 1 - (distance / self._half) ** 2))
        window = numpy.i0(beta * inside) / numpy.i0(beta)
        weights: Array = self._cutoff * numpy.sinc(self._cutoff * distance) * window
        # Each phase passes a constant unchanged, so that the rounding of the table causes no ripple.
        table: Array = weights / weights.sum(axis=1, keepdims=True)
        return table
