"""`objectstreaming demo`: everything once, on this machine alone.

It starts a server on a free loopback port and asks it two questions with a real client, one as text and one as sound.
Every frame is shown as it arrives, and the spoken answer is saved. The demo ends by itself. It fails if anything is not
as it should be; for example, a silent answer is an error. On a terminal it then keeps the page open until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from wav_streaming.recognizers import Recognizer
from wav_streaming.synthesizers import EspeakSynthesizer, SynthesisError, Synthesizer, default_synthesizer
from wav_streaming.wav import pcm_to_wav

from ..app import Settings, create_app
from ..app.engines import find_recognizer
from ..app.faults import WorkerKilled
from . import asking
from .errors import CommandError
from .loopback import LoopbackServer
from .terminal import FrameLines, printable

__all__ = ["run"]

QUIET: Final = 0.005
"""RMS, of full scale, below which an answer counts as silence: -46 dB. Speech is around -20 dB."""


def run(
    *,
    question: str,
    spoken: str,
    wav: Path | None,
    out: Path,
    say: Callable[[str], object],
    interactive: bool,
) -> None:
    """Run the demo. `say` shows a line. Raises `CommandError` and what a client raises."""
    synthesizer = _synthesizer()
    app = create_app(
        Settings(hosts=("127.0.0.1",), faults=interactive), synthesizer=synthesizer, recognizer=_recognizer()
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        LoopbackServer(app) as server,
        httpx.Client(base_url=server.url, timeout=httpx.Timeout(10, read=60)) as client,
    ):
        say(f"server: {server.url} (this machine only)")
        _ask_by_text(client, server.url, question, say)
        if wav is None:
            wav = Path(folder, "question.wav")
            wav.write_bytes(_spoken(spoken))
            say(f"\nspoken question: {printable(spoken)}")
        else:
            say(f"\nspoken question: {wav}")
        _ask_by_speech(client, server.url, wav, out, say)
        if interactive:
            say(f"\nAsk more at {server.url} (Ctrl-C ends)")
            # The page breaks answers on purpose: no news on the terminal.
            logging.getLogger("uvicorn.error").addFilter(_is_no_demonstration)
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                say("")


def _is_no_demonstration(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], WorkerKilled))


def _synthesizer() -> Synthesizer:
    try:
        return default_synthesizer()
    except SynthesisError as error:
        raise CommandError(f"the demo needs to speak, and cannot: {error}") from None


def _recognizer() -> Recognizer:
    recognizer = find_recognizer()
    if recognizer is None:
        raise CommandError("the demo needs to recognize speech, and cannot: pip install 'objectstreaming[voice]'")
    return recognizer


def _spoken(question: str) -> bytes:
    """The question as a WAV file, in the voice and at the speed that pocketsphinx understands best."""
    speaker: Synthesizer = default_synthesizer()
    if isinstance(speaker, EspeakSynthesizer):
        speaker = EspeakSynthesizer("en-us+f2", 130)
    try:
        sound = asyncio.run(speaker.synthesize(question))
    except SynthesisError as error:
        raise CommandError(f"the question cannot be spoken: {error}") from None
    return pcm_to_wav(sound.pcm, sound.sample_rate, sound.channels, sound.bit_depth)


def _ask_by_text(client: httpx.Client, url: str, question: str, say: Callable[[str], object]) -> None:
    say(f"\ntext question: {printable(question)}")
    lines = FrameLines(say)
    with asking.send_text(client, url, question, lines) as stream:
        for _, answer in stream:
            say(f"       {asking.sentence(answer)}")
    say(f"       {lines.summary}")
    if not lines.frames:
        raise CommandError("the answer has no sentence")


def _ask_by_speech(client: httpx.Client, url: str, wav: Path, out: Path, say: Callable[[str], object]) -> None:
    lines = FrameLines(say)
    heard = ""
    with asking.SavedSound(out) as saved:
        with asking.send_sound(client, url, wav, lines) as stream:
            for tal, pcm in stream:
                if tal.question and not heard:
                    heard = tal.question
                    say(f"       heard: {printable(heard)}")
                if tal.answer:
                    say(f"       {printable(tal.answer)}")
                saved.add(tal, pcm)
        if saved.seconds <= 1 or saved.rms < QUIET:
            raise CommandError(f"the spoken answer is {saved.seconds:.2f} s at RMS {saved.rms:.4f}: that is not speech")
    say(f"       {lines.summary}")
    say(f"       saved {out}: {saved.seconds:.1f} s, RMS {saved.rms:.3f} of full scale")
