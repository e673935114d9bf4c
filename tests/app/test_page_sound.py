"""What a listener hears from the page: the sound of the synthesizer, without gaps.

The page's AudioContext is one that renders into memory, so that every sample can be looked at.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import numpy as np
import pytest
import soxr
from browser import Browser
from needed_programs import needs
from reference_app import make_app

from objectstreaming.app.answers import Sentence
from objectstreaming.cli.loopback import LoopbackServer
from wav_streaming.sound import Sound
from wav_streaming.synthesizers import EspeakSynthesizer

RATE = 48_000
CUSHION = RATE // 10
"""How long the player waits before the first sample."""

IN_MEMORY = f"""
    Object.defineProperty(document, 'hidden', {{get: () => true}});  // the player schedules all at once
    window.AudioContext = class extends OfflineAudioContext {{
        constructor() {{ super(1, 30 * {RATE}, {RATE}); window.memory = this; }}
        resume() {{ return Promise.resolve(); }}
    }};
"""
RENDERED = """memory.startRendering().then(sound => {
    const bytes = new Uint8Array(sound.getChannelData(0).buffer);
    let text = '';
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return btoa(text);
})"""


class Reader:
    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        yield Sentence("A frame has two length words, a header and a payload.", "")
        yield Sentence("Why is that?", "")
        yield Sentence("Because a reader must know where the next one begins.", "")


class Remembering:
    """The voice, and all that it said."""

    def __init__(self) -> None:
        self.voice = EspeakSynthesizer()
        self.said: list[Sound] = []

    async def synthesize(self, text: str) -> Sound:
        self.said.append(await self.voice.synthesize(text))
        return self.said[-1]


def loudness(samples: np.ndarray) -> np.ndarray:
    """The RMS of each 20 ms, every 5 ms."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, RATE // 50)[:: RATE // 200]
    return np.sqrt((windows**2).mean(axis=1))


@pytest.mark.parametrize("transport", ["frames", "sse"])
def test_the_voice_is_heard_whole_and_without_a_gap(browser: Browser, transport: str) -> None:
    needs("espeak-ng")
    voice = Remembering()
    script = browser.call("Page.addScriptToEvaluateOnNewDocument", source=IN_MEMORY)["identifier"]
    try:
        with LoopbackServer(make_app(answerer=Reader(), voice=voice)) as server:
            browser.open(f"{server.url}/")
            browser.run(f"document.getElementById('transport').value = '{transport}'")
            browser.run("document.getElementById('question').focus()")
            browser.type("What is a frame?")
            browser.press("Enter")
            browser.run("""new Promise(done => new MutationObserver(() => {
                if (document.body.dataset.state === 'done') done();
            }).observe(document.body, {attributes: true}))""")
            heard = np.frombuffer(base64.b64decode(browser.run(RENDERED)), np.float32)[CUSHION:]
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    assert len(voice.said) == (2 if transport == "frames" else 3)  # frames: the last two sentences are one sound
    said = np.concatenate([sound.samples[:, 0] for sound in voice.said]) / 32_768
    wanted = soxr.resample(said.astype(np.float32), voice.said[0].sample_rate, RATE)
    assert not heard[len(wanted) + RATE // 100 :].any()
    heard = heard[: len(wanted)]
    assert np.corrcoef(heard, wanted[: len(heard)])[0, 1] > 0.999
    # A gap is 20 ms that are silent where the voice speaks.
    spoken = loudness(wanted[: len(heard)])
    assert (loudness(heard)[spoken > 0.01] > 0.5 * spoken[spoken > 0.01]).all()
