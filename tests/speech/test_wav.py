"""WAV files as they really come."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import wave
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needed_programs import needs

from wav_streaming import Sound, WavDecoder, WavError, pcm_to_wav, read_wav, strip_wav
from wav_streaming.g711 import alaw_to_pcm, mulaw_to_pcm

PCM = bytes(range(24))
BASE_GUID = bytes.fromhex("000000001000800000aa00389b71")
AMBISONIC_GUID = bytes.fromhex("00002107d3118644c8c1ca000000")


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def fmt(
    tag: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16, tail: bytes = b"", step: int | None = None
) -> bytes:
    step = channels * bits // 8 if step is None else step
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
    pieces = [decoder.feed(wav[start:end]) for start, end in zip(places, places[1:], strict=False)]  # noqa: RUF007
    assert b"".join(pieces) + decoder.finish() == pcm
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
        riff(fmt(), chunk(b"data", PCM, size=1_000_000_000), size=1_000_000_036),
        riff(fmt(), chunk(b"data", PCM, size=0)),  # RIFF's size is true
        riff(fmt(), chunk(b"data", PCM, size=0), size=2_000_000_036),
        riff(fmt(), chunk(b"data", PCM, size=4), size=40),  # written after the first piece, and never again
        riff(fmt(), chunk(b"data", PCM[:8]), chunk(b"data", PCM[8:])),
        riff(chunk(b"LIST", b"odd") + fmt(), chunk(b"data", PCM)),
        riff(b"LIST\3\0\0\0odd", fmt(), chunk(b"data", PCM)),  # the byte of padding is missing
        riff(fmt(), chunk(b"data", PCM)) + b"LIST\4\0\0\0INFO",  # after the end
        riff(fmt(), chunk(b"data", PCM)) + b"\r\n",
        riff(fmt(), chunk(b"data", PCM[:10])) + riff(fmt(tail=b"\0\0"), chunk(b"data", PCM[10:])),
        riff(fmt(), chunk(b"data", PCM[:10], size=0)) + riff(fmt(), chunk(b"data", PCM[10:], size=0xFFFFFFFF)),
    ],
)
def test_chunks_pads_and_lengths_that_really_occur(wav: bytes) -> None:
    assert read_wav(wav) == Sound(PCM, 16000)
    assert read_wav(io.BytesIO(wav)) == Sound(PCM, 16000)
    decoder = WavDecoder()
    assert b"".join(decoder.feed(wav[at : at + 1]) for at in range(len(wav))) + decoder.finish() == PCM


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
        (riff(fmt(0xFFFE, tail=struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14))), "0xfffe"),
        (riff(fmt(0x2000)), "Dolby Digital"),
        (riff(fmt(0x1234)), "of format 0x1234, which is not read: convert it first, for example with: ffmpeg"),
        (riff(fmt(0x11, bits=4)), "IMA ADPCM"),
        (riff(fmt(3, bits=24)), "floats of 24 bits in 3 bytes"),
        (riff(fmt(7, bits=16)), "mu-law of 16 bits"),
        (riff(fmt(bits=0)), "integers of 0 bits"),
        (riff(fmt(bits=72)), "integers of 72 bits"),
        (riff(fmt(channels=256)), "cannot be: 256 channels"),
        (riff(fmt(), chunk(b"data", b"", size=0), size=1000), "cut: 964 more bytes were promised"),
        (riff(fmt(), chunk(b"data", PCM, size=0xFFFFFFFF), size=1000), "cut: 940 more bytes were promised"),
        (riff(fmt(), chunk(b"data", PCM))[:-4] + riff(fmt(), chunk(b"data", PCM)), "another file begins"),
        (riff(fmt(), chunk(b"data", PCM)) + riff(fmt(rate=8000), chunk(b"data", PCM)), "another format: 8000 Hz"),
        (riff(fmt(), b"data\0\0\0\0" + PCM[:-1]) + riff(fmt(), chunk(b"data", PCM)), "cut inside a sample"),
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
        _ = [*(decoder.feed(wav[at : at + 1]) for at in range(len(wav))), decoder.finish()]


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


@pytest.mark.parametrize("size", [1, 5, 11, 12, 50, 1000])
def test_headers_are_taken_off_sound_however_it_is_cut(size: int) -> None:
    wav = pcm_to_wav(PCM, 16000)
    for source, pcm in (
        (wav, PCM),
        (wav * 3, PCM * 3),
        (PCM + wav, PCM * 2),
        (PCM, PCM),
        (b"RIFFraffraff", b"RIFFraffraff"),
    ):
        pieces = [source[at : at + size] for at in range(0, len(source), size)]
        assert b"".join(strip_wav(pieces)) == pcm
    assert b"".join(strip_wav([PCM, b"", bytearray(b"RI")])) == PCM + b"RI"
    assert list(strip_wav([])) == []


def test_a_cut_file_is_not_stripped_silently() -> None:
    pieces = strip_wav([pcm_to_wav(PCM, 16000)[:-4]])
    assert next(pieces) == PCM[:-4]
    with pytest.raises(WavError, match="cut: 4 more bytes"):
        next(pieces)


def test_raw_pcm_is_not_taken_for_text_or_mpeg() -> None:
    for beginning in (b"{\0\1\0", b"<\x80", b"\xff\xfb\x90\x64" + bytes(1000), b"ID3\x99"):
        assert b"".join(strip_wav([beginning, bytes(40)])) == beginning + bytes(40)


# ------------------------------------------------------------------------------------------------ kinds of samples

BYTES = bytes([0, 1, 127, 128, 129, 255])


@pytest.mark.parametrize(
    ("format", "data", "expected"),
    [
        (fmt(bits=8), BYTES, struct.pack("<6h", -32768, -32512, -256, 0, 256, 32512)),
        (fmt(bits=16), BYTES, BYTES),
        (fmt(bits=24), BYTES, b"\0" + BYTES[:3] + b"\0" + BYTES[3:]),
        (fmt(bits=32), BYTES[:4], BYTES[:4]),
        (fmt(bits=12, step=2), BYTES, BYTES),
        (fmt(bits=20, step=3), BYTES, b"\0" + BYTES[:3] + b"\0" + BYTES[3:]),
        (fmt(bits=24, step=4), BYTES[:4], BYTES[:4]),
        (fmt(bits=64), bytes(4) + BYTES[:4], BYTES[:4]),
        (
            fmt(3, bits=32),
            struct.pack("<4f", 0.5, -1, 7, float("nan")),
            struct.pack("<4i", 2**30, -(2**31), 2**31 - 1, 0),
        ),
        (fmt(3, bits=64), struct.pack("<2d", 2**-31, -2), struct.pack("<2i", 1, -(2**31))),
        (fmt(3, bits=16), struct.pack("<2e", 0.25, -0.25), struct.pack("<2i", 2**29, -(2**29))),
        (fmt(6, bits=8), BYTES, alaw_to_pcm(BYTES)),
        (fmt(7, bits=8), BYTES, mulaw_to_pcm(BYTES)),
        (fmt(channels=2, step=0), BYTES[:4], BYTES[:4]),
        (fmt(channels=2, step=2), BYTES[:4], BYTES[:4]),  # one channel's: a mistake that writers make
        (fmt(0xFFFE, bits=32, tail=struct.pack("<HHIH", 22, 24, 4, 1) + BASE_GUID), BYTES[:4], BYTES[:4]),
        (fmt(0xFFFE, bits=32, tail=struct.pack("<HHIH", 22, 32, 4, 3) + BASE_GUID), struct.pack("<f", 0.5), b"\0\0\0@"),
        (fmt(0xFFFE, tail=struct.pack("<HHIH", 22, 16, 4, 1) + AMBISONIC_GUID), BYTES, BYTES),
    ],
)
def test_every_kind_of_samples_becomes_pcm(format: bytes, data: bytes, expected: bytes) -> None:
    wav = riff(format, chunk(b"data", data))
    sound = read_wav(wav)
    assert sound.pcm == expected
    decoder = WavDecoder()
    assert b"".join(decoder.feed(wav[at : at + 1]) for at in range(len(wav))) + decoder.finish() == expected
    assert decoder.bit_depth == sound.bit_depth


def test_sound_beyond_the_limit_is_refused_and_a_promise_beyond_it_not_believed() -> None:
    streamed = riff(fmt(), chunk(b"data", PCM, size=len(PCM) + 2), size=0)
    with pytest.raises(WavError, match="cut: 2 more bytes"):
        read_wav(streamed)
    assert read_wav(streamed, limit=len(PCM)).pcm == PCM
    with pytest.raises(WavError, match="more than 23 bytes of sound"):
        read_wav(streamed, limit=23)


def test_what_espeak_really_writes_is_read() -> None:
    needs("espeak-ng")
    wav = subprocess.run(["espeak-ng", "--stdin", "--stdout"], input=b"Yes.", capture_output=True, check=True).stdout
    assert wav[40:44] == b"\x00\xf0\xff\x7f"  # 0x7ffff000: the length that it did not know
    sound = read_wav(wav)
    assert sound.sample_rate == 22050
    assert len(sound.pcm) == len(wav) - 44


CODECS = ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"]


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("ffmpeg", "sox")
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    run("sox", "-n", "-r", "22050", "-c", "2", "-b", "16", path, "synth", "0.3", "sine", "440", "gain", "-3")
    return path


def run(*command: str | Path) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


def as_ffmpeg_reads(path: Path, depth: int) -> bytes:
    return run("ffmpeg", "-v", "error", "-i", path, "-f", f"s{depth}le", "-c:a", f"pcm_s{depth}le", "-")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("channels", ["1", "2", "6"])
def test_what_ffmpeg_writes_is_read_as_ffmpeg_reads_it(tone: Path, codec: str, channels: str) -> None:
    path = tone.with_name(f"{codec}-{channels}.wav")
    run("ffmpeg", "-v", "error", "-y", "-i", tone, "-ac", channels, "-c:a", codec, path)
    sound = read_wav(path.read_bytes())
    assert sound.pcm == as_ffmpeg_reads(path, sound.bit_depth)
    piped = run("ffmpeg", "-v", "error", "-i", tone, "-ac", channels, "-c:a", codec, "-f", "wav", "-")
    assert read_wav(piped) == sound  # all sizes are ones


@pytest.mark.parametrize(
    "encoding",
    [
        "unsigned-integer 8",
        "signed-integer 24",
        "signed-integer 32",
        "floating-point 32",
        "floating-point 64",
        "a-law 8",
        "mu-law 8",
    ],
)
def test_what_sox_writes_is_read_as_ffmpeg_reads_it(tone: Path, encoding: str) -> None:
    name, bits = encoding.split()
    path = tone.with_name(f"sox-{name}-{bits}.wav")
    run("sox", tone, "-e", name, "-b", bits, path)
    sound = read_wav(path.read_bytes())
    assert sound.pcm == as_ffmpeg_reads(path, sound.bit_depth)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.mp3", "MP3"),
        ("bare.mp3", "MP3"),
        ("x.mp2", "MP2"),
        ("x.m4a", "MP4 or M4A"),
        ("x.aac", "AAC"),
        ("x.ogg", "Ogg"),
        ("x.opus", "Ogg"),
        ("x.webm", "WebM"),
        ("x.flac", "FLAC"),
        ("x.aiff", "AIFF"),
        ("x.au", "AU"),
        ("x.caf", "CAF"),
        ("x.w64", "W64"),
        ("rf64.wav", "RF64"),
        ("x.tta", "TTA"),
        ("x.wv", "WavPack"),
        ("x.avi", "AVI"),
    ],
)
def test_another_kind_of_file_is_named_with_the_command_that_converts_it(tone: Path, name: str, kind: str) -> None:
    path = tone.with_name(name)
    options = {"bare.mp3": ["-id3v2_version", "0", "-write_xing", "0"], "rf64.wav": ["-rf64", "always"]}.get(name, [])
    run("ffmpeg", "-v", "error", "-y", "-i", tone, *options, path)
    data = path.read_bytes()
    for size in (1, 7, len(data)):
        pieces = [data[at : at + size] for at in range(0, min(len(data), 20_000), size)]
        with pytest.raises(WavError, match=rf"{kind}.*: convert it first, for example with: ffmpeg"):
            b"".join(strip_wav(pieces))
        decoder = WavDecoder()
        with pytest.raises(WavError, match=rf"{kind}.*: convert it first, for example with: ffmpeg"):
            [*map(decoder.feed, pieces)]
