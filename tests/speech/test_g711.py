"""mu-law and A-law: the standard library's own of Python 3.12 and before, where it is, and ffmpeg's."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Callable

import numpy
import pytest
from needed_programs import needs

from wav_streaming import alaw_to_pcm, mulaw_to_pcm, pcm_to_alaw, pcm_to_mulaw

CODES = bytes(range(256))
EVERY = numpy.arange(-32768, 32768).astype("<i2").tobytes()


@pytest.mark.parametrize(("expand", "codec"), [(mulaw_to_pcm, "mulaw"), (alaw_to_pcm, "alaw")])
def test_every_code_is_what_ffmpeg_makes_of_it(expand: Callable[[bytes], bytes], codec: str) -> None:
    needs("ffmpeg")
    command = f"ffmpeg -v error -f {codec} -ar 8000 -ac 1 -i - -f s16le -c:a pcm_s16le -"
    assert expand(CODES) == subprocess.run(command.split(), input=CODES, capture_output=True, check=True).stdout


def test_every_sample_is_what_the_standard_library_made_of_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop", reason="audioop left the standard library with Python 3.13")
    assert pcm_to_mulaw(EVERY) == audioop.lin2ulaw(EVERY, 2)
    assert pcm_to_alaw(EVERY) == audioop.lin2alaw(EVERY, 2)
    assert (mulaw_to_pcm(CODES), alaw_to_pcm(CODES)) == (audioop.ulaw2lin(CODES, 2), audioop.alaw2lin(CODES, 2))


def test_a_code_goes_and_comes_back() -> None:
    assert pcm_to_alaw(alaw_to_pcm(CODES)) == CODES
    # mu-law has two zeros; the negative one comes back as the positive one.
    assert pcm_to_mulaw(mulaw_to_pcm(CODES)) == CODES.replace(b"\x7f", b"\xff")


@pytest.mark.parametrize(("there", "back"), [(pcm_to_mulaw, mulaw_to_pcm), (pcm_to_alaw, alaw_to_pcm)])
def test_the_error_is_within_the_step(there: Callable[[bytes], bytes], back: Callable[[bytes], bytes]) -> None:
    samples = numpy.frombuffer(EVERY, "<i2").astype(int)
    found = numpy.frombuffer(back(there(EVERY)), "<i2").astype(int)
    assert (numpy.abs(found - samples) <= numpy.abs(samples) // 16 + 17).all()


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="carry the odd byte over"):
        pcm_to_mulaw(b"abc")
