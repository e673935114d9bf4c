"""WAV files as they really come, and PCM arithmetic."""

from __future__ import annotations

import contextlib
import io
import struct
import wave
from typing import Any

import numpy
import pytest
from conftest import needs
from hypothesis import given
from hypothesis import strategies as st

from wav_streaming import (
    PcmSplitter,
    Sound,
    WavDecoder,
    WavError,
    float32_to_int16,
    pcm_to_wav,
    read_wav,
    resample,
    strip_wav,
    to_float32,
    to_int16,
    to_int32,
    to_mono,
)

PCM = bytes(range(24))
BASE_GUID = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def fmt(tag: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16, tail: bytes = b"") -> bytes:
    step = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * step % 2**32, step, bits) + tail)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


# ------------------------------------------------------------------------------------------------ writing


@pytest.mark.parametrize(("rate", "channels", "bits"), [(16000, 1, 16), (48000, 2, 32), (8000, 3, 16)])
def test_what_is_written_the_standard_library_reads(rate: int, channels: int, bits: Any) -> None:
    with wave.open(io.BytesIO(pcm_to_wav(PCM, rate, channels, bits))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth() * 8) == (rate, channels, bits)
        assert file.readframes(1000) == PCM


def test_the_sizes_are_true() -> None:
    wav = pcm_to_wav(PCM, 16000)
    assert int.from_bytes(wav[4:8], "little") == len(wav) - 8
    assert int.from_bytes(wav[40:44], "little") == len(PCM)


def test_pcm_that_is_not_whole_samples_is_not_written() -> None:
    with pytest.raises(ValueError, match="not whole sample frames of 4 bytes"):
        pcm_to_wav(bytes(6), 16000, 2)
    with pytest.raises(ValueError, match="24 bits"):
        pcm_to_wav(bytes(6), 16000, 1, 24)  # type: ignore[arg-type]


@given(
    pcm=st.binary(max_size=64),
    rate=st.integers(1, 768_000),
    channels=st.integers(1, 8),
    bits=st.sampled_from([16, 32]),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_written_and_read_in_any_pieces_it_is_the_same(
    pcm: bytes, rate: int, channels: int, bits: Any, cuts: list[int]
) -> None:
    pcm = pcm[: len(pcm) // (channels * bits // 8) * (channels * bits // 8)]
    wav = pcm_to_wav(pcm, rate, channels, bits)
    assert read_wav(wav) == Sound(pcm, rate, channels, bits)
    decoder = WavDecoder()
    places = [0, *sorted(cuts), len(wav)]
    found = b"".join(decoder.feed(wav[start:end]) for start, end in zip(places, places[1:], strict=False))  # noqa: RUF007
    decoder.finish()
    assert found == pcm
    assert (decoder.sample_rate, decoder.channels, decoder.bit_depth) == (rate, channels, bits)


# ------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    "wav",
    [
        riff(fmt(), chunk(b"data", PCM)),
        riff(chunk(b"LIST", b"INFOx" * 7), fmt(), chunk(b"fact", b"1234"), chunk(b"data", PCM)),
        riff(fmt(), chunk(b"data", PCM), chunk(b"LIST", b"loud click" * 184)),
        riff(fmt(), chunk(b"data", PCM), chunk(b"LIST", b"short", size=5000)),  # cut in what nobody hears
        riff(fmt(tail=b"\0\0"), chunk(b"data", PCM)),
        riff(fmt(tail=b"\1\0x"), chunk(b"data", PCM)),  # 19 bytes and a pad byte
        riff(fmt(0xFFFE, tail=struct.pack("<HHIH", 22, 16, 4, 1) + BASE_GUID), chunk(b"data", PCM)),
        riff(fmt(), chunk(b"data", PCM), size=0),
        riff(fmt(), chunk(b"data", PCM, size=0), size=0),
        riff(fmt(), chunk(b"data", PCM, size=0), size=36),
        riff(fmt(), chunk(b"data", PCM, size=0x7FFFF000), size=0x7FFFF024),
        riff(fmt(), chunk(b"data", PCM, size=0x7FFFFFFF), size=0x7FFFFFFF),
        riff(fmt(), chunk(b"data", PCM, size=0xFFFFFFFF), size=0xFFFFFFFF),
    ],
)
def test_chunks_pads_and_lengths_that_really_occur(wav: bytes) -> None:
    assert read_wav(wav) == Sound(PCM, 16000)
    assert read_wav(io.BytesIO(wav)) == Sound(PCM, 16000)
    decoder = WavDecoder()
    assert b"".join(decoder.feed(wav[at : at + 1]) for at in range(len(wav))) == PCM
    decoder.finish()


def test_an_empty_file_of_sound_is_one() -> None:
    assert read_wav(riff(fmt(), chunk(b"data", b""))).pcm == b""
    assert read_wav(riff(fmt(), chunk(b"data", b""), chunk(b"LIST", b"INFO"))).pcm == b""


@pytest.mark.parametrize(
    ("wav", "message"),
    [
        (b"", "empty"),
        (b"RIFF", "ended after 4 bytes, before its sound began"),
        (riff(fmt()), "before its sound began"),
        (riff(fmt(), chunk(b"data", PCM))[:-3], "cut: 3 more bytes"),
        (riff(fmt(), chunk(b"data", PCM, size=0xFFFFFFFF))[:-1], "cut inside a sample"),
        (riff(fmt(7, bits=8), chunk(b"data", PCM)), "mu-law, not PCM"),
        (riff(fmt(6, bits=8), chunk(b"data", PCM)), "A-law"),
        (riff(fmt(3, bits=32), chunk(b"data", PCM)), "floating point"),
        (riff(fmt(0xFFFE, bits=32, tail=struct.pack("<HHIH", 22, 32, 4, 3) + BASE_GUID)), "floating point"),
        (riff(fmt(0xFFFE, tail=struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14))), "0xfffe"),
        (riff(fmt(0x2000)), "of format 0x2000"),
        (riff(fmt(bits=24)), "PCM of 24 bits"),
        (riff(fmt(bits=8)), "PCM of 8 bits"),
        (riff(fmt(channels=0)), "cannot be: 0 channels"),
        (riff(fmt(rate=0)), "cannot be: 1 channels, 0 Hz"),
        (riff(fmt(rate=768_001)), "cannot be: 1 channels, 768001 Hz"),
        (riff(fmt(rate=0xFFFFFFFF)), "cannot be: 1 channels, 4294967295 Hz"),
        (riff(chunk(b"fmt ", b"short")), "the format chunk has 5 bytes"),
        (riff(b"fmt \xff\xff\xff\xff"), "the format chunk has 4294967295 bytes"),
        (riff(chunk(b"data", PCM), fmt()), "before the format chunk"),
        (riff(fmt(channels=2), chunk(b"data", bytes(6))), "not whole sample frames"),
        (riff(fmt(), chunk(b"data", bytes(5))), "not whole sample frames"),
        (b"RIFX" + bytes(20), "RIFX"),
        (b"OggS" + bytes(20), "Ogg"),
        (b"<html><body>no</body>", "HTML"),
        (b"{}", "JSON"),
        (bytes(64), "not a WAV file: it starts with"),
    ],
)
def test_what_cannot_be_read_is_said(wav: bytes, message: str) -> None:
    with pytest.raises(WavError, match=message):
        read_wav(wav)
    decoder = WavDecoder()
    with pytest.raises(WavError, match=message):
        _ = [decoder.feed(wav[at : at + 1]) for at in range(len(wav))], decoder.finish()


def test_a_decoder_that_failed_is_dead() -> None:
    decoder = WavDecoder()
    for _ in range(2):
        with pytest.raises(WavError, match="RIFX"):
            decoder.feed(b"RIFX" + bytes(8))
    with pytest.raises(WavError, match="RIFX"):
        decoder.finish()


def test_the_format_is_known_before_the_sound() -> None:
    decoder = WavDecoder()
    assert not decoder.ready
    decoder.feed(pcm_to_wav(b"", 22050))
    assert decoder.ready
    assert decoder.feed(b"") == b""


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for wav in (data, riff(data), riff(fmt(), data)):
        with contextlib.suppress(WavError):
            read_wav(wav)


def test_headers_are_taken_off_chunks_of_audio() -> None:
    wav = pcm_to_wav(PCM, 16000)
    assert b"".join(strip_wav([wav[:50], wav[50:], wav])) == PCM * 2
    assert list(strip_wav([PCM, b"", bytearray(b"RIFFraff")])) == [PCM, b"RIFFraff"]


def test_what_espeak_really_writes_is_read() -> None:
    needs("espeak-ng")
    import subprocess

    wav = subprocess.run(["espeak-ng", "--stdin", "--stdout"], input=b"Yes.", capture_output=True, check=True).stdout
    assert wav[40:44] == b"\x00\xf0\xff\x7f"  # 0x7ffff000: the length that it did not know
    sound = read_wav(wav)
    assert sound.sample_rate == 22050
    assert len(sound.pcm) == len(wav) - 44


# ------------------------------------------------------------------------------------------------ arithmetic


def test_int16_survives_float_and_int32() -> None:
    every = numpy.arange(-32768, 32768).astype("<i2")
    assert numpy.array_equal(to_int16(to_float32(every)), every)
    assert numpy.array_equal(to_int16(to_int32(every)), every)
    assert to_int16(every).dtype == numpy.dtype("<i2")
    assert to_int32(every)[0] == -(2**31)


def test_floats_are_rounded_clipped_and_never_wrap() -> None:
    floats = numpy.array([0.0, 1.0, -1.0, 7.0, -7.0, numpy.nan, numpy.inf, -numpy.inf, 0.6 / 32768], "f4")
    assert float32_to_int16(floats).tolist() == [0, 32767, -32768, 32767, -32768, 0, 32767, -32768, 1]
    assert to_int32(floats)[:5].tolist() == [0, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31)]
    assert to_float32(numpy.array([2**30], "<i4")).tolist() == [0.5]
    assert to_float32(numpy.array([0.5])).dtype == numpy.float32
    assert to_int32(numpy.array([5], "<i4")).tolist() == [5]


@pytest.mark.parametrize("dtype", ["u1", "i8", "c8", "?"])
def test_other_samples_are_refused(dtype: str) -> None:
    for convert in (to_float32, to_int16, to_int32):
        with pytest.raises(TypeError, match="samples are int16, int32 or floats"):
            convert(numpy.zeros(2, dtype))


@pytest.mark.parametrize(("rate", "new_rate"), [(22050, 16000), (48000, 16000), (8000, 16000), (44100, 48000)])
def test_a_tone_stays_itself_at_another_rate(rate: int, new_rate: int) -> None:
    def tone(at: int) -> Any:
        return numpy.sin(2 * numpy.pi * 1000 * numpy.arange(at // 2) / at)

    found = resample(tone(rate), rate, new_rate)
    assert len(found) == new_rate // 2
    inner = slice(200, -200)
    assert numpy.abs(found[inner] - tone(new_rate)[inner]).max() < 0.01


def test_what_the_new_rate_cannot_hold_is_filtered_out() -> None:
    high = numpy.sin(2 * numpy.pi * 11000 * numpy.arange(48000) / 48000)
    assert numpy.abs(resample(high, 48000, 16000)[200:-200]).max() < 0.01


def test_nothing_resampled_is_nothing_and_the_same_rate_is_the_same() -> None:
    assert len(resample(numpy.zeros(0), 8000, 16000)) == 0
    assert resample(numpy.ones(3), 8000, 8000).tolist() == [1, 1, 1]


def test_any_sound_becomes_mono_at_the_wanted_rate() -> None:
    left_only = numpy.column_stack([numpy.full(4800, 2**30), numpy.zeros(4800)]).astype("<i4")
    mono = to_mono(Sound(left_only.tobytes(), 48000, 2, 32), 16000)
    assert (mono.sample_rate, mono.channels, mono.bit_depth, len(mono.pcm)) == (16000, 1, 16, 3200)
    assert mono.samples[800, 0] == pytest.approx(8192, abs=20)
    assert to_mono(mono, 16000) is mono


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
