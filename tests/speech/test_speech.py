"""Engines: real ones where they are programs, real HTTP on loopback where they are servers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy
import pytest
from deadlines import DEADLINE
from needed_programs import needs

from wav_streaming import (
    EspeakSynthesizer,
    FliteSynthesizer,
    OpenAIRecognizer,
    OpenAISynthesizer,
    PocketsphinxRecognizer,
    RecognitionError,
    Recognizer,
    Sound,
    SynthesisError,
    Synthesizer,
    default_synthesizer,
    pcm_to_wav,
    read_wav,
    synthesizers,
)

TONE = (numpy.sin(numpy.arange(16000) / 5) * 8000).astype("<i2")

# ------------------------------------------------------------------------------------------------ programs


@pytest.mark.parametrize(("engine", "rate"), [(EspeakSynthesizer, 22050), (FliteSynthesizer, 16000)])
async def test_a_program_speaks(engine: Callable[[], Synthesizer], rate: int) -> None:
    needs("espeak-ng", "flite")
    sound = await engine().synthesize("Good morning. The frame is whole.")
    assert (sound.sample_rate, sound.channels, sound.bit_depth) == (rate, 1, 16)
    assert 1 < sound.seconds < 10
    assert numpy.abs(sound.samples).max() > 1000
    assert (await engine().synthesize(" \n")).pcm == b""


@pytest.mark.parametrize("text", ["-v", "--help; rm x", "$(touch pwned) `touch pwned`", "a\0b", "x\ud800y", "<speak/>"])
async def test_a_text_is_never_a_command(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("espeak-ng", "flite")
    monkeypatch.chdir(tmp_path)
    for engine in (EspeakSynthesizer(), FliteSynthesizer()):
        assert isinstance(await engine.synthesize(text), Sound)
    assert os.listdir(tmp_path) == []


async def test_a_long_text_is_written_and_read_at_once() -> None:
    needs("espeak-ng")
    sound = await EspeakSynthesizer(speed=450).synthesize("All of these words are to be spoken. " * 200)
    assert sound.seconds > 60


def test_voices_that_are_options_or_paths_are_refused() -> None:
    with pytest.raises(ValueError, match="not a voice"):
        EspeakSynthesizer("--path=x")
    with pytest.raises(ValueError, match="80 to 450"):
        EspeakSynthesizer(speed=5000)
    with pytest.raises(ValueError, match="flite -lv"):
        FliteSynthesizer("http://example.org/voice.flitevox")


async def test_a_voice_that_is_not_there_is_an_error_with_the_programs_words() -> None:
    needs("espeak-ng")
    with pytest.raises(SynthesisError, match=r"espeak-ng failed with status 1: .*voice does not exist"):
        await EspeakSynthesizer("zzz").synthesize("Yes.")


async def test_a_program_that_is_not_there_is_an_error() -> None:
    for engine in (EspeakSynthesizer(program="no-such-program"), FliteSynthesizer(program="no-such-program")):
        with pytest.raises(SynthesisError, match="no-such-program cannot be run"):
            await engine.synthesize("Yes.")


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """A program in Python that stands for an engine."""

    def make(code: str) -> str:
        path = tmp_path / "engine"
        path.write_text(f"#!{sys.executable} -S\nimport os, sys\n{code}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


async def test_output_that_is_not_sound_is_an_error(program: Callable[[str], str]) -> None:
    with pytest.raises(SynthesisError, match="gave no sound: not a WAV file"):
        await EspeakSynthesizer(program=program("print('cannot open audio device')")).synthesize("Yes.")
    assert (await EspeakSynthesizer(program=program("pass")).synthesize("Yes.")).pcm == b""


async def test_a_program_that_does_not_read_its_input_is_not_an_error_by_itself(program: Callable[[str], str]) -> None:
    wav = pcm_to_wav(b"ab", 8000)
    path = program(f"os.close(0); os.write(1, {wav!r})")
    assert (await EspeakSynthesizer(program=path).synthesize("Yes. " * 100_000)).pcm == b"ab"


async def test_sound_of_32_bits_comes_as_16(program: Callable[[str], str]) -> None:
    wav = pcm_to_wav(b"\0\0\1\2", 8000, 1, 32)
    assert (await EspeakSynthesizer(program=program(f"os.write(1, {wav!r})")).synthesize("x")) == Sound(b"\1\2", 8000)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_program_that_takes_too_long_is_killed(
    program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def recorded_start(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        started.append(await start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", recorded_start)
    path = program("import time\ntime.sleep(600)")
    with pytest.raises(SynthesisError, match=r"took longer than 0.2 s"):
        await EspeakSynthesizer(program=path, timeout=0.2).synthesize("Yes.")
    [process] = started
    assert process.returncode is not None
    assert not is_running(process.pid)


async def test_a_program_that_writes_for_ever_is_killed(
    program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesizers, "MAX_SOUND", 1_000_000)
    path = program("while True: os.write(1, bytes(65536))")
    with pytest.raises(SynthesisError, match="more than 1000000 bytes"):
        await EspeakSynthesizer(program=path).synthesize("Yes.")
    needs("flite")
    monkeypatch.setattr(synthesizers, "MAX_SOUND", 1000)
    with pytest.raises(SynthesisError, match="more than 1000 bytes"):
        await FliteSynthesizer().synthesize("Yes.")


async def test_cancelling_kills_the_program(program: Callable[[str], str], tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    path = program(f"f = open({str(fifo)!r}, 'w'); f.write(str(os.getpid())); f.close()\nimport time\ntime.sleep(60)")
    task = asyncio.create_task(EspeakSynthesizer(program=path).synthesize("Yes."))
    pid = int(await asyncio.to_thread(fifo.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_running(pid)


async def test_cancelling_kills_what_the_program_has_started_too(program: Callable[[str], str], tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    path = program(
        f"import time\nif not os.fork(): f = open({str(fifo)!r}, 'w'); print(file=f, flush=True)\ntime.sleep(60)"
    )
    task = asyncio.create_task(EspeakSynthesizer(program=path).synthesize("Yes."))
    with await asyncio.to_thread(fifo.open) as child:
        assert await asyncio.to_thread(child.readline)
        task.cancel()
        await asyncio.wait([task])
        assert await asyncio.to_thread(child.read) == "", "the end comes when the child does not run any more"


def test_the_default_is_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: set[str] = {"espeak-ng", "flite"}
    monkeypatch.setattr("shutil.which", lambda program: program if program in installed else None)
    assert isinstance(default_synthesizer(), EspeakSynthesizer)
    installed.remove("espeak-ng")
    assert isinstance(default_synthesizer(), FliteSynthesizer)
    installed.clear()
    with pytest.raises(SynthesisError, match="install espeak-ng or flite"):
        default_synthesizer()


# ------------------------------------------------------------------------------------------------ pocketsphinx


@pytest.fixture(scope="module")
def recognizer() -> PocketsphinxRecognizer:
    """One for all tests: loading its model takes as long as recognizing a sentence."""
    return PocketsphinxRecognizer()


async def test_what_flite_says_pocketsphinx_recognizes(recognizer: PocketsphinxRecognizer) -> None:
    needs("flite")
    spoken = await FliteSynthesizer().synthesize("What is the length of the header?")
    heard = (await recognizer.recognize(spoken)).split()
    assert len({"what", "is", "the", "length", "of", "header"} & set(heard)) >= 5
    assert await recognizer.recognize(Sound(b"", 16000)) == ""
    assert await recognizer.recognize(Sound(bytes(2 * 8000), 8000)) == ""


async def test_two_sounds_at_once_do_not_mix(recognizer: PocketsphinxRecognizer) -> None:
    needs("flite")
    engine = FliteSynthesizer()
    sounds = [await engine.synthesize(text) for text in ("good morning how are you today", "one two three four five")]
    together = await asyncio.gather(*(recognizer.recognize(sound) for sound in sounds))
    assert [len(text.split()) for text in together] == [6, 5]


NOISE = Sound(numpy.random.default_rng(1).normal(0, 3000, 16000 * 50).astype("<i2").tobytes(), 16000)
"""A minute of CPU to recognize, whatever the machine."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that recognizers start."""
    processes: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def recorded(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
        processes.append(start(*command, **options))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", recorded)
    return processes


async def test_the_interpreter_runs_while_it_recognizes(started: list[subprocess.Popen[bytes]]) -> None:
    """It computes in another process: neither the event loop nor any other thread waits for it."""
    recognizer = PocketsphinxRecognizer()
    own = time.process_time()
    await recognizer.recognize(Sound(NOISE.pcm[: 2 * 16000], 16000))
    [process] = started
    assert process.poll() is None
    assert time.process_time() - own < 0.5
    await recognizer.recognize(Sound(TONE.tobytes(), 16000))
    assert started == [process]


async def test_a_task_that_is_cancelled_kills_the_process(started: list[subprocess.Popen[bytes]]) -> None:
    recognizer = PocketsphinxRecognizer()
    task = asyncio.create_task(recognizer.recognize(NOISE))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(started[0].wait, DEADLINE) == -signal.SIGKILL
    assert await recognizer.recognize(Sound(bytes(3200), 16000)) == ""
    assert len(started) == 2


async def test_a_sound_that_takes_too_long_is_given_up(started: list[subprocess.Popen[bytes]]) -> None:
    with pytest.raises(RecognitionError, match=r"50 s took longer than 0\.2 s"):
        await PocketsphinxRecognizer(timeout=0.2).recognize(NOISE)
    assert await asyncio.to_thread(started[0].wait, DEADLINE) == -signal.SIGKILL


async def test_a_process_that_ends_is_an_error_and_replaced(started: list[subprocess.Popen[bytes]]) -> None:
    recognizer = PocketsphinxRecognizer()
    silence = Sound(bytes(3200), 16000)
    assert await recognizer.recognize(silence) == ""
    started[0].kill()
    with pytest.raises(RecognitionError, match="has ended"):
        await recognizer.recognize(silence)
    assert await recognizer.recognize(silence) == ""


def test_the_process_ends_with_the_one_that_started_it() -> None:
    code = (
        "import asyncio, os, wav_streaming as w\n"
        "recognizer = w.PocketsphinxRecognizer()\n"
        "asyncio.run(recognizer.recognize(w.Sound(bytes(3200), 16000)))\n"
        "os.kill(os.getpid(), 9)"
    )
    # This returns at the end of its standard error, which the process has inherited: when both have ended.
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE)
    assert (ran.returncode, ran.stderr) == (-signal.SIGKILL, "")


async def test_a_sound_that_is_too_long_is_refused() -> None:
    with pytest.raises(RecognitionError, match="a sound of 61 s; up to 60 s"):
        await PocketsphinxRecognizer().recognize(Sound(bytes(2 * 16000 * 61), 16000))


async def test_pocketsphinx_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(RecognitionError, match="not installed"):
        await PocketsphinxRecognizer().recognize(Sound(b"ab", 16000))


# ------------------------------------------------------------------------------------ OpenAI-compatible servers


class Request(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Endpoint:
    """A real HTTP server that records the requests and answers as the test says."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: tuple[int, bytes] = (200, b"")
        self.headers: dict[str, str] = {}
        self.hold = threading.Event()
        self.hold.set()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                endpoint.requests.append(Request(self.path, headers, body))
                endpoint.hold.wait(DEADLINE)
                status, answer = endpoint.answer
                self.send_response(status)
                for name, value in {"content-length": str(len(answer)), **endpoint.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


async def test_a_server_speaks(endpoint: Endpoint) -> None:
    endpoint.answer = (200, pcm_to_wav(TONE, 24000))
    engine: Synthesizer = OpenAISynthesizer(endpoint.url, model="kokoro", voice="af_sarah", api_key="k3y\n")
    assert await engine.synthesize("Good morning.") == Sound(TONE.tobytes(), 24000)
    [request] = endpoint.requests
    assert request.path == "/v1/audio/speech"
    assert request.headers["authorization"] == "Bearer k3y"
    assert json.loads(request.body) == {
        "model": "kokoro",
        "voice": "af_sarah",
        "response_format": "wav",
        "input": "Good morning.",
    }
    assert (await engine.synthesize(" ")).pcm == b""
    assert len(endpoint.requests) == 1


async def test_a_server_listens(endpoint: Endpoint) -> None:
    endpoint.answer = (200, b'{"text": " What is a frame? "}')
    engine: Recognizer = OpenAIRecognizer(endpoint.url + "/v1/", language="en")
    assert await engine.recognize(Sound(TONE.tobytes(), 16000)) == "What is a frame?"
    [request] = endpoint.requests
    assert request.path == "/v1/audio/transcriptions"
    assert "authorization" not in request.headers
    assert b'name="language"\r\n\r\nen\r\n' in request.body
    wav = request.body[request.body.index(b"RIFF") :]
    assert read_wav(wav[: 44 + TONE.nbytes]) == Sound(TONE.tobytes(), 16000)
    assert await engine.recognize(Sound(b"", 16000)) == ""
    assert len(endpoint.requests) == 1


async def test_a_message_shows_no_key_and_no_password(endpoint: Endpoint) -> None:
    address = endpoint.url.removeprefix("http://")
    for answer in ((500, b"no"), (200, b"no sound")):
        endpoint.answer = answer
        with pytest.raises(SynthesisError, match=re.escape(f"http://{address}/v1/audio/speech")) as caught:
            await OpenAISynthesizer(f"http://me:secret@{address}").synthesize("Yes.")
        assert "secret" not in str(caught.value)
    for make in (OpenAISynthesizer, OpenAIRecognizer):
        with pytest.raises(ValueError, match="the API key has a character") as refused:
            make(endpoint.url, api_key="s3\ncret")
        assert "s3" not in str(refused.value)


async def test_an_answer_that_unpacks_to_more_than_anybody_knows_is_refused(endpoint: Endpoint) -> None:
    endpoint.answer, endpoint.headers = (200, b"\x28\xb5\x2f\xfd"), {"content-encoding": "zstd"}
    with pytest.raises(SynthesisError, match="compressed its answer"):
        await OpenAISynthesizer(endpoint.url).synthesize("Yes.")
    assert endpoint.requests[0].headers["accept-encoding"] == "identity"


async def test_a_client_may_be_shared(endpoint: Endpoint) -> None:
    endpoint.answer = (200, b'{"text": "yes"}')
    async with httpx.AsyncClient(headers={"x-shared": "1"}) as client:
        engine = OpenAIRecognizer(endpoint.url, client=client)
        assert [await engine.recognize(Sound(b"ab", 8000)) for _ in range(2)] == ["yes", "yes"]
        assert not client.is_closed
    assert [request.headers["x-shared"] for request in endpoint.requests] == ["1", "1"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, b"out of memory"), "HTTP 500: out of memory"),
        ((401, b'{"error": "bad key"}'), "HTTP 401: .*bad key"),
        ((302, b""), "HTTP 302"),
        ((200, b'{"error": "no such voice"}'), "gave no sound: .*JSON"),
        ((200, b"<html>"), "gave no sound: .*HTML"),
        ((200, b""), "gave no sound: empty"),
        ((200, pcm_to_wav(TONE, 8000)[:-1]), "gave no sound: the file is cut"),
    ],
)
async def test_a_server_that_does_not_speak_is_an_error(
    endpoint: Endpoint, answer: tuple[int, bytes], message: str
) -> None:
    endpoint.answer = answer
    with pytest.raises(SynthesisError, match=message):
        await OpenAISynthesizer(endpoint.url).synthesize("Yes.")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((503, b"busy"), "HTTP 503: busy"),
        ((200, b"plain words"), "no transcription, but b'plain words'"),
        ((200, b'{"txt": "yes"}'), "no transcription"),
        ((200, b'{"text": 5}'), "no transcription"),
        ((200, b"[1]"), "no transcription"),
        ((200, b"[" * 100_000), "no transcription"),
        ((200, b"\xff"), "no transcription"),
        ((200, bytes(2 * 1024 * 1024)), "more than 1048576 bytes"),
    ],
)
async def test_an_answer_that_is_not_a_transcription_is_an_error(
    endpoint: Endpoint, answer: tuple[int, bytes], message: str
) -> None:
    endpoint.answer = answer
    with pytest.raises(RecognitionError, match=message):
        await OpenAIRecognizer(endpoint.url).recognize(Sound(b"ab", 8000))


async def test_a_server_that_is_not_there_or_silent_is_an_error(endpoint: Endpoint) -> None:
    endpoint.hold.clear()
    with pytest.raises(SynthesisError, match=r"took longer than 0.3 s"):
        await OpenAISynthesizer(endpoint.url, timeout=0.3).synthesize("Yes.")
    endpoint.close()
    with pytest.raises(SynthesisError, match="cannot be reached"):
        await OpenAISynthesizer(endpoint.url).synthesize("Yes.")
    with pytest.raises(RecognitionError, match="cannot be reached"):
        await OpenAIRecognizer("http://[::bad").recognize(Sound(b"ab", 8000))


def test_importing_the_package_imports_no_engine() -> None:
    import subprocess

    code = "import sys, wav_streaming; print({'numpy', 'httpx', 'pocketsphinx', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
