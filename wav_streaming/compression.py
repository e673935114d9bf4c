"""Compressed sound: FLAC and Ogg Opus, each a whole file in memory. Needs the extra `codecs`.

`compress` makes it on a thread, for an event loop. `flac` and `ogg_opus` make it where they are called. soundfile
(libsndfile) and PyAV (libopus) do the work; their wheels have these libraries inside.

Of a second of speech at 22,050 Hz, FLAC takes half of the 44,100 bytes of its PCM, and Opus a fifteenth. FLAC costs
0.4 ms of processor time, Opus 20 ms: docs/chat.md has the table.
"""

from __future__ import annotations

import asyncio
import io
from typing import Final

from objectstreaming.extras import extra

from .resampling import to_mono
from .sound import Sound

__all__ = ["COMPRESSED", "OPUS_RATE", "check_installed", "compress", "flac", "ogg_opus"]

OPUS_RATE: Final = 48_000
"""Opus is always decoded at this rate. Apple's decoder fails at others (moq-dev/moq#2400)."""
_OPUS_BITS: Final = 24_000
"""A second, for one voice: RFC 6716, section 2.1.1, has 16 to 20 kbit/s for wide-band speech."""


async def compress(sound: Sound, form: str) -> bytes:
    """`sound` as a file of the format `flac` or `ogg-opus`, made on a thread. Raises `ValueError` for others."""
    if form not in COMPRESSED:
        raise ValueError(f"a compressed format is {' or '.join(COMPRESSED)}, not {form!r}")
    return await asyncio.to_thread(COMPRESSED[form], sound)


def check_installed() -> None:
    """Raise `ModuleNotFoundError`, with the command that installs it, where the extra is missing."""
    with extra("codecs"):
        import av  # noqa: F401
        import soundfile  # noqa: F401


def flac(sound: Sound) -> bytes:
    """`sound` as a FLAC file of 16 bits. It is decoded to the same samples.

    >>> len(flac(Sound(bytes(2 * 22_050), 22_050))) < 10_000
    True
    """
    with extra("codecs"):
        import soundfile
    file = io.BytesIO()
    samples = sound.samples if sound.bit_depth == 16 else to_mono(sound, sound.sample_rate).samples
    soundfile.write(file, samples, sound.sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def ogg_opus(sound: Sound) -> bytes:
    """`sound`, mixed to one channel, as an Ogg Opus file (RFC 7845).

    It is decoded at 48,000 Hz, to `ceil(n * 48000 / rate)` samples for n: the file says how many samples of the first
    packet are to be passed over, and where the last one ends. Raises `ValueError` for a sound without samples.

    >>> 1_000 < len(ogg_opus(Sound(bytes(2 * 22_050), 22_050))) < 4_000
    True
    """
    if not sound.pcm:
        raise ValueError("a sound without samples cannot be an Opus file")
    with extra("codecs"):
        import av
    file = io.BytesIO()
    samples = to_mono(sound, OPUS_RATE).samples
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=OPUS_RATE, layout="mono")
        stream.bit_rate = _OPUS_BITS
        stream.codec_context.options = {"application": "voip"}
        frame = av.AudioFrame.from_ndarray(samples.T.copy(), format="s16", layout="mono")
        frame.sample_rate = OPUS_RATE
        frame.pts = 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()


COMPRESSED: Final = {"flac": flac, "ogg-opus": ogg_opus}
"""The encoder of each format."""
