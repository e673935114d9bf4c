"""PCM arithmetic: conversions, cutting into frames."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wav_streaming import PcmSplitter, Sound, to_float32, to_int16
from wav_streaming.pcm import to_int32


def test_int16_survives_float_and_int32() -> None:
    every = numpy.arange(-32768, 32768).astype("<i2")
    assert numpy.array_equal(to_int16(to_float32(every)), every)
    assert numpy.array_equal(to_int16(to_int32(every)), every)
    assert to_int16(every).dtype == numpy.dtype("<i2")
    assert to_int32(every)[0] == -(2**31)


def test_floats_are_rounded_clipped_and_never_wrap() -> None:
    floats = numpy.array([0.0, 1.0, -1.0, 7.0, -7.0, numpy.nan, numpy.inf, -numpy.inf, 0.6 / 32768], "f4")
    assert to_int16(floats).tolist() == [0, 32767, -32768, 32767, -32768, 0, 32767, -32768, 1]
    assert to_int32(floats)[:5].tolist() == [0, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31)]
    assert to_float32(numpy.array([2**30], "<i4")).tolist() == [0.5]
    assert to_float32(numpy.array([0.5])).dtype == numpy.float32
    assert to_int32(numpy.array([5], "<i4")).tolist() == [5]


@pytest.mark.parametrize("dtype", ["u1", "i8", "c8", "?"])
def test_other_samples_are_refused(dtype: str) -> None:
    for convert in (to_float32, to_int16, to_int32):
        with pytest.raises(TypeError, match="samples are int16, int32 or floats"):
            convert(numpy.zeros(2, dtype))


@given(
    pieces=st.lists(st.binary(max_size=50), max_size=20),
    channels=st.integers(1, 3),
    milliseconds=st.integers(1, 5),
)
def test_frames_of_equal_length_and_not_a_byte_lost_or_padded(
    pieces: list[bytes], channels: int, milliseconds: int
) -> None:
    splitter = PcmSplitter(2000, channels, 16, milliseconds)
    frames = [frame for piece in pieces for frame in splitter.feed(piece)]
    assert {len(frame) for frame in frames} <= {2 * milliseconds * 2 * channels}
    last = splitter.flush()
    assert len(last) % (2 * channels) == 0
    assert splitter.buffered < 2 * channels
    whole = b"".join(pieces)
    assert b"".join(frames) + last == whole[: len(whole) - splitter.buffered]


def test_a_splitter_takes_arrays_and_refuses_frames_of_no_length() -> None:
    assert PcmSplitter(1000, milliseconds=1).feed(numpy.array([1, 2], "<i2")) == [b"\1\0", b"\2\0"]
    assert PcmSplitter(1000, milliseconds=1).feed(numpy.array([1, 0, 2, 0], "<i2")[::2]) == [b"\1\0", b"\2\0"]
    with pytest.raises(ValueError, match="not one sample"):
        PcmSplitter(1000, milliseconds=0.1)


def test_a_sound_knows_its_length_and_shows_itself() -> None:
    sound = Sound(bytes(44100 * 4), 44100, 2)
    assert sound.seconds == 1
    assert repr(sound) == "<Sound: 1.000 s, 44100 Hz, 2 channel(s), 16 bits>"
    with pytest.raises(ValueError, match="0 Hz"):
        Sound(b"", 0)


def test_a_sound_is_bytes_and_whole_numbers_whatever_it_was_made_of() -> None:
    samples = numpy.array([1, -2, 3], "<i2")
    for pcm in (samples, memoryview(samples), bytearray(samples.tobytes()), samples.tobytes()):
        sound = Sound(pcm, numpy.int64(8_000))  # type: ignore[arg-type]
        assert (sound.pcm, type(sound.pcm), type(sound.sample_rate)) == (samples.tobytes(), bytes, int)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (("abcd", 8_000), "bytes-like"),
        ((None, 8_000), "bytes-like"),
        ((numpy.zeros(4, "f4"), 8_000), "to_int16 makes PCM"),
        ((b"", 8_000.0), "integer"),
        ((b"", "8000"), "integer"),
        ((b"", 768_001), "not a sound"),
        ((b"", 8_000, 256), "not a sound"),
        ((b"", 8_000, 1, 24), "not a sound"),
    ],
)
def test_what_is_no_sound_is_refused(wrong: tuple[Any, ...], why: str) -> None:
    with pytest.raises((TypeError, ValueError), match=why):
        Sound(*wrong)
