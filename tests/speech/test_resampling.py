"""Resampling: as good as soxr, and in pieces the same as the whole."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from wav_streaming import Resampler, Sound, resample, to_mono

RATES = [(24_000, 8_000), (8_000, 24_000), (22_050, 16_000), (44_100, 48_000), (48_000, 44_100), (44_101, 48_000)]
EDGE = 400  # samples at either end, where silence meets the sound


def tones(rate: int, highest: float) -> Any:
    """A third of a second of ten tones, of which the highest has `highest` Hz; full scale is not reached."""
    time = numpy.arange(rate // 3) / rate
    return sum(numpy.sin(2 * numpy.pi * highest * (k + 1) / 10 * time + k) for k in range(10)) / 10.5


def decibels(error: Any) -> float:
    return float(20 * numpy.log10(max(numpy.abs(error).max(), 1e-20)))


@pytest.mark.parametrize(("rate", "new_rate"), RATES)
def test_tones_stay_themselves_at_another_rate(rate: int, new_rate: int) -> None:
    highest = 0.43 * min(rate, new_rate)
    found = resample(tones(rate, highest), rate, new_rate)
    assert len(found) == -(-(rate // 3) * new_rate // rate)
    time = numpy.arange(len(found)) / new_rate
    wanted = sum(numpy.sin(2 * numpy.pi * highest * (k + 1) / 10 * time + k) for k in range(10)) / 10.5
    assert decibels((found - wanted)[EDGE:-EDGE]) < -100


@pytest.mark.parametrize(("rate", "new_rate"), RATES)
def test_it_is_what_soxr_makes_of_it(rate: int, new_rate: int) -> None:
    sound = tones(rate, 0.43 * min(rate, new_rate))
    ours, theirs = resample(sound, rate, new_rate), soxr.resample(sound, rate, new_rate, "VHQ")
    size = min(len(ours), len(theirs))
    assert decibels((ours[:size] - theirs[:size])[EDGE:-EDGE]) < -75  # which is how far soxr itself is from the tones


@pytest.mark.parametrize(("rate", "new_rate"), [(48_000, 16_000), (24_000, 8_000), (48_000, 44_100)])
def test_what_the_new_rate_cannot_hold_is_filtered_out(rate: int, new_rate: int) -> None:
    high = numpy.sin(2 * numpy.pi * 0.51 * new_rate * numpy.arange(rate // 3) / rate)
    assert decibels(resample(high, rate, new_rate)[EDGE:-EDGE]) < -95


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize(("rate", "new_rate"), RATES)
def test_in_pieces_it_is_the_whole(rate: int, new_rate: int, bits: Any) -> None:
    stereo = numpy.column_stack([tones(rate, 3_000), tones(rate, 2_000)]) * (2 ** (bits - 1) - 1)
    pcm = stereo.astype(f"<i{bits // 8}").tobytes()
    whole = Resampler(rate, new_rate, 2, bits)
    wanted = whole.feed(pcm) + whole.flush()
    for size in (rate // 50 * 2 * bits // 8, 1_001):
        pieces = Resampler(rate, new_rate, 2, bits)
        found = b"".join(pieces.feed(pcm[at : at + size]) for at in range(0, len(pcm), size)) + pieces.flush()
        assert len(found) == len(wanted)
        error = (samples(found, bits) - samples(wanted, bits)) / 2 ** (bits - 1)
        assert decibels(error) < -80
    assert (
        decibels(samples(wanted, bits) / 2 ** (bits - 1) - resample(stereo / 2 ** (bits - 1), rate, new_rate).ravel())
        < -80
    )


def samples(pcm: bytes, bits: int) -> Any:
    return numpy.frombuffer(pcm, f"<i{bits // 8}").astype(float)


@given(
    sizes=st.lists(st.integers(0, 300), max_size=12),
    rates=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_no_cutting_changes_the_length_or_the_sound(sizes: list[int], rates: tuple[int, int]) -> None:
    pcm = numpy.random.default_rng(len(sizes)).integers(-9_000, 9_000, sum(sizes) // 2).astype("<i2").tobytes()
    whole, pieces = Resampler(*rates), Resampler(*rates)
    wanted = whole.feed(pcm) + whole.flush()
    at, found = 0, b""
    for size in sizes:
        found += pieces.feed(pcm[at : at + size])
        at += size
    found += pieces.feed(pcm[at:]) + pieces.flush()
    assert len(found) == len(wanted) == 2 * -(-len(pcm) // 2 * rates[1] // rates[0])
    if found:
        assert numpy.abs(samples(found, 16) - samples(wanted, 16)).max() <= 1


def test_after_a_flush_it_begins_anew() -> None:
    resampler = Resampler(24_000, 8_000)
    pcm = numpy.arange(2_400, dtype="<i2").tobytes()
    first = resampler.feed(pcm + b"x") + resampler.flush()
    assert resampler.feed(pcm) + resampler.flush() == first
    assert resampler.flush() == b""


def test_a_constant_stays_constant() -> None:
    assert numpy.abs(resample(numpy.full(9_000, 0.5), 22_050, 16_000)[200:-200] - 0.5).max() < 1e-6


def test_nothing_resampled_is_nothing_and_the_same_rate_is_the_same() -> None:
    assert len(resample(numpy.zeros(0), 8000, 16000)) == 0
    assert resample(numpy.ones(3), 8000, 8000).tolist() == [1, 1, 1]
    assert Resampler(8000, 8000).feed(b"\1\2\3") == b"\1\2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 8), "not 0"), ((8, -1), "not -1"), ((8, 8, 0), "0 channels"), ((8, 8, 1, 24), "24 bits")],
)
def test_what_cannot_be_resampled_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Resampler(*arguments)


def test_any_sound_becomes_mono_at_the_wanted_rate() -> None:
    left_only = numpy.column_stack([numpy.full(4800, 2**30), numpy.zeros(4800)]).astype("<i4")
    mono = to_mono(Sound(left_only.tobytes(), 48000, 2, 32), 16000)
    assert (mono.sample_rate, mono.channels, mono.bit_depth, len(mono.pcm)) == (16000, 1, 16, 3200)
    assert mono.samples[800, 0] == pytest.approx(8192, abs=2)
    assert to_mono(mono, 16000) is mono
