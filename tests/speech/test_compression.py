"""FLAC and Ogg Opus of whole sounds, as other decoders read them."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from wav_streaming import Sound, to_mono
from wav_streaming.compression import compress, flac, ogg_opus

RATES = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000]


def chirp(samples: int, rate: int, channels: int = 1) -> Sound:
    """A tone that rises, so that it fits at one place only."""
    at = np.arange(samples) / rate
    pcm = (8_000 * np.sin(2 * np.pi * (200 * at + 300 * at**2))).astype("<i2")
    return Sound(np.repeat(pcm, channels).tobytes(), rate, channels)


@given(st.integers(1, 3_000), st.sampled_from(RATES), st.sampled_from([1, 2]))
@settings(max_examples=20)
def test_flac_is_decoded_to_the_same_samples(samples: int, rate: int, channels: int) -> None:
    sound = chirp(samples, rate, channels)
    decoded, decoded_rate = soundfile.read(io.BytesIO(flac(sound)), dtype="int16", always_2d=True)
    assert decoded_rate == rate
    assert (decoded == sound.samples).all()


@given(st.integers(1, 5_000), st.sampled_from(RATES))
@settings(max_examples=20)
def test_opus_is_decoded_to_as_many_samples_as_pcm(samples: int, rate: int) -> None:
    decoded, decoded_rate = soundfile.read(io.BytesIO(ogg_opus(chirp(samples, rate))))
    assert (decoded_rate, len(decoded)) == (48_000, -(-samples * 48_000 // rate))


def by_libsndfile(data: bytes) -> np.ndarray:
    return np.asarray(soundfile.read(io.BytesIO(data))[0])


def by_ffmpeg(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


@pytest.mark.parametrize("decode", [by_libsndfile, by_ffmpeg])
def test_opus_begins_where_the_sound_begins(decode: object) -> None:
    sound = chirp(22_050, 22_050)
    wanted = to_mono(sound, 48_000).samples[:, 0] / 32_768
    decoded = decode(ogg_opus(sound))  # type: ignore[operator]
    assert len(decoded) == len(wanted)
    shifts = range(-400, 401, 8)
    inside = slice(4_000, -4_000)
    best = max(shifts, key=lambda shift: float(np.dot(np.roll(decoded, -shift)[inside], wanted[inside])))
    assert abs(best) <= 16  # a third of a millisecond; the packets' pre-skip is 312


def test_the_pre_skip_is_in_the_head_of_the_file() -> None:
    data = ogg_opus(chirp(4_800, 48_000))
    head = data.index(b"OpusHead")
    version, channels, skip, rate = struct.unpack_from("<BBHI", data, head + 8)
    assert (version, channels, rate) == (1, 1, 48_000)
    assert skip > 0


async def test_compress_leaves_the_event_loop_free_and_knows_its_formats() -> None:
    sound = chirp(2_205, 22_050)
    assert await compress(sound, "flac") == flac(sound)
    assert (await compress(sound, "ogg-opus")).startswith(b"OggS")
    with pytest.raises(ValueError, match="flac or ogg-opus"):
        await compress(sound, "mp3")


def test_a_sound_of_32_bits_is_compressed_as_one_of_16() -> None:
    sound = Sound(struct.pack("<3i", 1 << 16, -5 << 16, 7 << 16), 8_000, bit_depth=32)
    decoded, _ = soundfile.read(io.BytesIO(flac(sound)), dtype="int16")
    assert decoded.tolist() == [1, -5, 7]


def test_nothing_is_no_opus_file() -> None:
    with pytest.raises(ValueError, match="without samples"):
        ogg_opus(Sound(b"", 48_000))
