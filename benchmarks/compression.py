"""What compressed sound of speech costs: bytes and processor time, of a second. Prints the rows of docs/chat.md.

python -m benchmarks.compression
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

from wav_streaming import EspeakSynthesizer, FliteSynthesizer, Sound, Synthesizer
from wav_streaming.compression import flac, ogg_opus

TEXT = "A frame has two length words, a header and a payload. So a reader knows where the next one begins. "
ROUNDS = 7


def cost(encode: Callable[[Sound], bytes], sound: Sound) -> tuple[float, float]:
    """Bytes, and milliseconds of processor time, of a second."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        data = encode(sound)
        times.append(time.process_time() - began)
    return len(data) / sound.seconds, 1_000 * statistics.median(times) / sound.seconds


def main() -> None:
    engines: list[Synthesizer] = [EspeakSynthesizer(), FliteSynthesizer()]
    sounds = [asyncio.run(engine.synthesize(TEXT)) for engine in engines]
    encoders: dict[str, Callable[[Sound], bytes]] = {
        "PCM": lambda sound: sound.pcm,
        "FLAC": flac,
        "Opus": ogg_opus,
    }
    for name, encode in encoders.items():
        costs = [cost(encode, sound) for sound in sounds]
        sizes = " | ".join(f"{size:,.0f}" for size, _ in costs)
        print(f"| {name} | {sizes} | {max(milliseconds for _, milliseconds in costs):.1f} ms |")


if __name__ == "__main__":
    main()
