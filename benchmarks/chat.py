"""An answer in text and sound: frames, server-sent events with base64, and one JSON with a WAV file. Writes chat.md.

    PYTHONPATH=tests python -m benchmarks.chat

A model gives 60 tokens a second, espeak-ng speaks them. The times are those of a reader on loopback, from the question;
medians of interleaved rounds. The main thread is Chromium's, measured by the page of the reference app: it reads a
recorded answer again, from memory; the fastest round. The player schedules a minute of sound. It needs chromium, node
and espeak-ng.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from browser import Browser, started_browser

from objectstreaming import RawCoder
from objectstreaming.app import Settings, create_app
from objectstreaming.app.answers import Sentence
from objectstreaming.app.chat import EventReader
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.client import open_stream
from wav_streaming.synthesizers import EspeakSynthesizer

HERE = Path(__file__).resolve().parent
CLIENT = HERE.parent / "clients" / "typescript"
ROUNDS = 5
TOKENS = 60
"""A second."""
TOKEN = 4
"""Characters."""
TEXT = (
    "A frame has two length words, a header and a payload. The first word is the size of the whole frame, and the "
    "second one is that of its header. A reader needs eight bytes to know how many more will come. Nothing is "
    "searched for, and nothing is escaped. Sound stays as it is, sample by sample, and text is text. The last frame "
    "says how many there were, so that a broken answer is never taken for a whole one. Why does that matter? "
    "Because a connection can break at any byte, and most readers do not notice. "
) * 2


class Model:
    """Answers with the same text, token by token."""

    def __init__(self, tokens_a_second: float | None) -> None:
        self._pause = 1 / tokens_a_second if tokens_a_second else 0.0

    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        yield Sentence(TEXT, "")

    async def tokens(self, question: str) -> AsyncIterator[str]:
        for at in range(0, len(TEXT), TOKEN):
            await asyncio.sleep(self._pause)
            yield TEXT[at : at + TOKEN]


class Times:
    """Of one answer, in seconds from the question."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.texts: list[float] = []
        self.sounds: list[float] = []
        self.bytes = 0

    def note(self, times: list[float]) -> None:
        times.append(time.perf_counter() - self.began)

    @property
    def figures(self) -> tuple[float, float, float, float]:
        return self.texts[0], self.sounds[0], self.sounds[-1], self.bytes


QUESTION = {"message": "What is a frame?"}


def frames(client: httpx.Client) -> Times:
    times = Times()
    with open_stream(client, "POST", "/api/chat/stream", coder=RawCoder(), json=QUESTION) as stream:
        for header, payload in stream:
            times.note(times.texts if header["kind"] == "text" else times.sounds)
            times.bytes += 8 + len(json.dumps(header, separators=(",", ":"))) + len(payload)
    return times


def events(client: httpx.Client) -> Times:
    times = Times()
    reader = EventReader(16 * 1024 * 1024)
    with client.stream("POST", "/api/chat/stream", json=QUESTION, headers={"Accept": "text/event-stream"}) as response:
        for chunk in response.iter_raw():
            times.bytes += len(chunk)
            for data in reader.feed(chunk):
                times.note(times.sounds if data.startswith("UklGR") else times.texts)  # "RIFF" in base64
    return times


def whole(client: httpx.Client) -> Times:
    times = Times()
    response = client.post("/api/chat", json=QUESTION)
    times.bytes = len(response.content)
    assert response.json()["audio"]
    times.note(times.texts)
    times.note(times.sounds)
    return times


READERS: dict[str, Callable[[httpx.Client], Times]] = {
    "frames": frames,
    "server-sent events": events,
    "one JSON with a WAV file": whole,
}


def read_times() -> dict[str, tuple[float, ...]]:
    app = create_app(Settings(sounds=0), answerer=Model(TOKENS), synthesizer=EspeakSynthesizer())
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in READERS}
    with LoopbackServer(app) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        for _ in range(ROUNDS):
            for name, read in READERS.items():
                found[name].append(read(client).figures)
    return {name: tuple(map(statistics.median, zip(*rounds, strict=True))) for name, rounds in found.items()}


def decoded(browser: Browser) -> Iterator[tuple[str, float, float]]:
    """The rows of the page's own comparison: bytes, and milliseconds of the main thread."""
    app = create_app(Settings(), answerer=Model(None), synthesizer=EspeakSynthesizer())
    at = "document.getElementById('{}')".format
    with LoopbackServer(app) as server:
        browser.open(f"{server.url}/")
        browser.run(f"{at('question')}.focus()")
        browser.type("What is a frame?")
        browser.press("Enter")
        found: list[dict[str, Any]] = []
        for _ in range(ROUNDS + 1):
            browser.run(f"""new Promise(done => {{
                const timer = setInterval(() => {{
                    if ({at("figures")}.hidden || {at("compare")}.disabled) return;
                    if (window.asked) {{ clearInterval(timer); window.asked = false; done(); }}
                    else {{ window.asked = true; {at("compare")}.click(); }}
                }}, 20);
            }})""")
            rows = browser.run(
                f"[...{at('figures-body')}.rows]"  # without the ratio behind a number
                ".map(row => [...row.cells].map(cell => cell.firstChild?.textContent ?? ''))"
            )
            found.append({row[0]: [float(re.sub(r"[^\d.]", "", value) or "nan") for value in row[1:3]] for row in rows})
    for name in ("Bytes", "Main thread, decoding"):
        one, other = (min(figures[name][column] for figures in found[1:]) for column in (0, 1))
        yield name, one, other


PLAYER = """
import { AudioPlayer } from "./src/audio/index.js";
globalThis.cost = async (piece) => {
  Object.defineProperty(document, "hidden", { get: () => true, configurable: true }); // all is scheduled at once
  const rate = 22_050, seconds = 60, times = [];
  const sound = Int16Array.from({ length: seconds * rate }, (_, n) => 8000 * Math.sin(n / 9));
  for (let round = 0; round < 5; round++) {
    const context = new OfflineAudioContext(1, 48_000, 48_000);
    const player = new AudioPlayer({ context });
    const began = performance.now();
    const size = piece * rate;
    for (let at = 0; at < sound.length; at += size) player.push(sound.subarray(at, at + size), { rate });
    player.end();
    times.push((performance.now() - began) / seconds);
    await player.close();
  }
  return Math.min(...times);
};
"""


def player_costs(browser: Browser) -> dict[float, float]:
    """Milliseconds of the main thread for a second of sound, by the length of the pieces."""
    build = "import { build } from 'esbuild'; await build({ stdin: { contents: process.argv[1], resolveDir: '.' }, " \
        "bundle: true, format: 'iife', outfile: process.argv[2] })"  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "player.js")
        subprocess.run(["node", "--input-type=module", "-e", build, PLAYER, str(out)], cwd=CLIENT, check=True)
        browser.open("about:blank")
        browser.run(out.read_text() + "; 0")
    return {piece: browser.run(f"cost({piece})") for piece in (0.02, 0.1, 0.2, 3)}


def main() -> None:
    times = read_times()
    with tempfile.TemporaryDirectory() as folder, started_browser(Path(folder)) as browser:
        rows = list(decoded(browser))
        version = browser.call("Browser.getVersion")["product"]
        costs = player_costs(browser)
    lines = [
        "# An answer in text and sound\n",
        f"{len(TEXT)} characters at {TOKENS} tokens a second, spoken by espeak-ng at 22,050 Hz, on loopback;"
        f" Python {platform.python_version()}, {version}; made by `python -m benchmarks.chat`."
        f" Medians of {ROUNDS} rounds; of the main thread, the fastest. Load {os.getloadavg()[0]:.0f} on"
        f" {os.cpu_count()} processors.\n",
        "| a reader of | first text | first sound | last sound | bytes |",
        "|---|---|---|---|---|",
    ]
    for name, (text, first, last, size) in times.items():
        lines.append(f"| {name} | {text:.2f} s | {first:.2f} s | {last:.2f} s | {size:,.0f} |")
    lines += ["", "| in the browser | frames | server-sent events | ratio |", "|---|---|---|---|"]
    for name, one, other in rows:
        unit = "" if name == "Bytes" else " ms"
        lines.append(f"| {name} | {one:,.1f}{unit} | {other:,.1f}{unit} | {other / one:.2f} |".replace(".0 |", " |"))
    lines += ["", "| pieces of | `AudioPlayer`, for a second of sound |", "|---|---|"]
    lines += [f"| {piece} s | {cost:.2f} ms |" for piece, cost in costs.items()]
    (HERE / "chat.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
