"""The examples run: each server with a client, and the test suite. They are short enough to copy."""

from __future__ import annotations

import base64
import importlib
import json
import math
import os
import re
import struct
import subprocess
import sys
import threading
import types
import wave
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import Browser
from deadlines import DEADLINE, wait_until
from fastapi import FastAPI, WebSocket
from fastapi.responses import PlainTextResponse
from reference_app import Ear, make_app
from starlette.testclient import TestClient, WebSocketTestSession

from objectstreaming import JsonCoder, ResponseError, StreamError
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.client import open_stream
from objectstreaming.duplex import StreamEvent, Symbol, WebSocketClientStream
from wav_streaming import Sound, TALCoder, pcm_to_mulaw, pcm_to_wav

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(example: str, url: str, folder: Path, *arguments: str) -> list[str]:
    """What an example prints, its address being `url`."""
    script = folder / example
    script.write_text((EXAMPLES / example).read_text().replace("http://127.0.0.1:8000", url))
    ran = subprocess.run(
        [sys.executable, "-W", "error", script, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout.splitlines()


def load(example: str) -> dict[str, Any]:
    """The names of a module in examples/."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        return vars(importlib.import_module(example))
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_it_is_run(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert re.search(r"python examples/|uvicorn |pytest examples/", text)


def test_the_client_reads_the_server(tmp_path: Path) -> None:
    with LoopbackServer(load("server")["app"]) as server:
        assert run("client.py", server.url, tmp_path, "how", "are", "you") == ["how", "are", "you"]


def test_the_speaking_client_saves_the_sound(tmp_path: Path) -> None:
    with LoopbackServer(make_app()) as server:
        assert run("speaking_client.py", server.url, tmp_path, "why?") == ["You asked: why?", "The fox is red.", ""]
    with wave.open(str(tmp_path / "answer.wav")) as saved:
        assert (saved.getframerate(), saved.getnframes()) == (8_000, 80 * 30)


def test_the_client_interrupts_the_server_and_asks_again(tmp_path: Path) -> None:
    with LoopbackServer(load("duplex_server")["app"]) as server:
        printed = run("duplex_client.py", server.url, tmp_path)
    assert printed == ["1", "2", "3", "4", "5", "interrupted: True", "1", "2", "3"]


def answers_of_a_model(lines: list[str], status: int = 200) -> FastAPI:
    """An OpenAI-compatible endpoint that answers every question with these lines, some without the space."""
    model = FastAPI()

    @model.post("/v1/chat/completions")
    async def complete() -> PlainTextResponse:
        text = "".join(f"{data}{line}\n\n" for data, line in zip(cycle(["data: ", "data:"]), lines))
        return PlainTextResponse(text, status_code=status, media_type="text/event-stream")

    return model


TOKENS = [f'{{"choices": [{{"delta": {{"content": "{text}"}}}}]}}' for text in ("Good ", "morning.")]


@pytest.mark.parametrize(
    ("lines", "status", "read", "error"),
    [
        ([*TOKENS, '{"choices": [], "usage": {}}', "[DONE]"], 200, ["Good ", "morning."], None),
        (TOKENS, 200, ["Good ", "morning."], "the model's answer was cut"),
        ([], 401, [], "the model answered with status 401"),
    ],
    ids=["whole", "cut", "refused"],
)
def test_the_chat_proxy_tells_a_whole_answer_from_a_failed_one(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], status: int, read: list[str], error: str | None
) -> None:
    proxy = load("chat_proxy")
    words: list[str] = []
    said = code = None
    with LoopbackServer(answers_of_a_model(lines, status)) as model:
        monkeypatch.setenv("OPENAI_BASE_URL", model.url + "/v1")
        with LoopbackServer(proxy["app"]) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
            question = {"messages": [{"role": "user", "content": "Hello"}]}
            try:
                with open_stream(http, "POST", "/chat", json=question, coder=JsonCoder()) as stream:
                    for _, payload in stream:
                        words.append(payload["text"])
            except (StreamError, ResponseError) as caught:
                code, said = caught.code, caught.message
    assert (words, said, code) == (read, error, error and "unavailable")


def test_embeddings_arrive_as_arrays(tmp_path: Path) -> None:
    with LoopbackServer(load("embeddings")["app"]) as server:
        printed = run("embeddings.py", server.url, tmp_path, "abc", "bca", "xyz")
    assert printed == ["(3, 26) float32", "[[1. 1. 0.]", " [1. 1. 0.]", " [0. 0. 1.]]"]


class Engines:
    """Hears how long a sound is, and speaks a sample for each character."""

    async def recognize(self, sound: Sound) -> str:
        return f"{sound.seconds} seconds"

    async def synthesize(self, text: str) -> Sound:
        return Sound(bytes(2 * len(text)), 8000)


def test_the_voice_bot_answers_in_speech() -> None:
    bot = load("voice_bot")
    app: FastAPI = bot["app"]
    app.dependency_overrides = {bot["ears"]: Engines, bot["voice"]: Engines}
    with LoopbackServer(app) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        headers, wav = {"Content-Type": "audio/wav"}, pcm_to_wav(bytes(16_000), 8000)
        with open_stream(http, "POST", "/talk", content=wav, headers=headers, coder=TALCoder()) as stream:
            heard = [(tal.answer, tal.sign, len(pcm)) for tal, pcm in stream]
        with (
            pytest.raises(ResponseError, match="invalid_argument"),
            open_stream(http, "POST", "/talk", content=b"no sound", headers=headers, coder=TALCoder()),
        ):
            pass
    assert [(text, sign) for text, sign, _ in heard] == [
        ("You asked: 1.0 seconds. ", 1),
        ("That is all. ", 2),
        ("", 3),
    ]
    assert heard[0][2] > heard[1][2] > heard[2][2] == 0


def test_one_service_passes_on_what_another_answers(tmp_path: Path) -> None:
    source = (EXAMPLES / "two_services.py").read_text()
    with LoopbackServer(load("server")["app"]) as other:
        names: dict[str, Any] = {"__name__": "two_services"}
        exec(compile(source.replace("http://127.0.0.1:8000", other.url), "two_services.py", "exec"), names)
        with LoopbackServer(names["app"]) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
            with open_stream(http, "POST", "/shout?question=how+are+you", coder=JsonCoder()) as stream:
                assert [payload["answer"] for header, payload in stream] == ["HOW", "ARE", "YOU"]
            other.__exit__(None, None, None)
            with (
                pytest.raises(ResponseError, match="the other service failed"),
                open_stream(http, "POST", "/shout?question=how", coder=JsonCoder()),
            ):
                pass


def test_the_page_of_the_chat_goes_on_after_a_reload(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = load("resumable_chat")
    may_go_on = threading.Event()

    def words(question: str) -> Iterator[tuple[dict[str, str], str]]:
        """In place of the example's own: it waits in the middle until the test lets it go on."""
        yield {}, "You asked: "
        assert may_go_on.wait(DEADLINE)
        yield {}, question

    def until(condition: str) -> None:
        """Wait for something on the page, which may be the one after a reload."""
        wait_until(lambda: browser.run(f"Boolean({condition})"))

    def ask(question: str) -> None:
        browser.run(f"document.forms[0].question.value = '{question}'; document.querySelector('button').click()")
        until("document.querySelector('p').textContent == 'You asked: '")

    monkeypatch.setitem(chat, "words", words)
    with LoopbackServer(chat["app"]) as server:
        browser.open(server.url)
        ask("Why?")
        browser.run("window.before = true; location.reload()")
        until("window.before === undefined && document.querySelector('p')?.textContent == 'You asked: '")
        may_go_on.set()
        until("document.querySelector('p').className == 'complete'")
        assert browser.run("document.querySelector('p').textContent") == "You asked: Why?"
        may_go_on.clear()
        ask("And now?")
        browser.run("document.querySelectorAll('button')[1].click()")
        until("document.querySelector('p').className == 'canceled'")
        may_go_on.set()
    assert browser.complaints == []


def test_a_job_writes_a_stream_that_an_application_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STREAMS", str(tmp_path / "streams"))
    command = [sys.executable, EXAMPLES / "background_job.py", "report-of-november-2026"]
    monkeypatch.delitem(sys.modules, "background_job", raising=False)  # which reads the variable
    app = load("background_job")["app"]
    with LoopbackServer(app) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        url = "/streams/report-of-november-2026"
        assert http.get(url).status_code == 404
        with subprocess.Popen(command) as job:
            wait_until(lambda: http.head(url).status_code == 200)
            with open_stream(http, "GET", url, coder=JsonCoder()) as stream:
                percents = [header["percent"] for header, section in stream]
            assert (percents, stream.trailers) == ([20, 40, 60, 80, 100], {"sections": 5})
            assert job.wait(DEADLINE) == 0
        again = http.get(url, headers={"Accept": "application/jsonl"}).text.splitlines()
        assert json.loads(again[-1]) == {"end": {"frames": 5, "trailers": {"sections": 5}}}


def test_the_test_suite_of_ones_own_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "test_server.py"]
    ran = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, check=False)
    assert "3 passed" in ran.stdout, ran.stdout + ran.stderr


class TestTelephone:
    """The bridge to Twilio's Media Streams, with a scripted peer: what Twilio sends, in its order."""

    @staticmethod
    def twenty_ms(loud: bool) -> str:
        pcm = struct.pack("<160h", *(int(9_000 * loud * math.sin(n / 3)) for n in range(160)))
        return base64.b64encode(pcm_to_mulaw(pcm)).decode()

    def say(self, phone: WebSocketTestSession, loud: int, quiet: int) -> None:
        for piece in [True] * loud + [False] * quiet:
            phone.send_json({"event": "media", "streamSid": "MZ1", "media": {"payload": self.twenty_ms(piece)}})

    @staticmethod
    def hear(phone: WebSocketTestSession, until: int) -> tuple[int, list[str]]:
        """The milliseconds of sound that were sent, at least `until`, and the names of the marks."""
        heard, marks = 0, []
        while heard < until:
            media, mark = phone.receive_json(), phone.receive_json()
            assert (media["event"], mark["event"], media["streamSid"]) == ("media", "mark", "MZ1")
            heard += len(base64.b64decode(media["media"]["payload"])) // 8
            marks.append(mark["mark"]["name"])
        return heard, marks

    def test_a_caller_asks_and_interrupts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bridge = load("twilio_bridge")
        interrupts: list[Any] = []
        ear = Ear("why?")
        server_app = make_app(ear=ear)
        send = WebSocketClientStream.send

        async def watched(stream: WebSocketClientStream, item: Any) -> None:
            if isinstance(item, StreamEvent):
                interrupts.append(item.data)
            await send(stream, item)

        monkeypatch.setattr(WebSocketClientStream, "send", watched)
        with LoopbackServer(server_app) as server, TestClient(bridge["app"]) as client:
            monkeypatch.setitem(bridge, "SERVER", f"{server.url}/duplex")
            with client.websocket_connect("/call") as phone:
                phone.send_json({"event": "connected", "protocol": "Call"})
                phone.send_json({"event": "start", "start": {"streamSid": "MZ1", "callSid": "CA1"}})
                self.say(phone, loud=25, quiet=50)
                assert phone.receive_json()["event"] == "clear"  # of an answer that there was not yet
                heard, marks = self.hear(phone, until=300)  # "You asked: why?" and "The fox is red.", 10 ms a letter
                assert (heard, marks[-1]) == (300, "1 300")
                phone.send_json({"event": "mark", "mark": {"name": marks[0]}})
                self.say(phone, loud=5, quiet=0)
                assert phone.receive_json()["event"] == "clear"
                phone.send_json({"event": "stop"})
        assert interrupts == [{"played_ms": 0}, None, {"played_ms": int(marks[0].split()[1])}]
        assert [sound.sample_rate for sound in ear.heard] == [8_000]
        assert 0.5 <= ear.heard[0].seconds <= 0.5 + 0.02 * 35


class Frames(types.ModuleType):
    """pipecat's frames, as far as the example knows them. `make deployment` runs it with pipecat itself."""

    Frame = type("Frame", (), {"__init__": lambda self, **members: vars(self).update(members)})
    OutputAudioRawFrame = type("OutputAudioRawFrame", (Frame,), {})
    OutputTransportMessageFrame = type("OutputTransportMessageFrame", (Frame,), {})
    OutputTransportMessageUrgentFrame = type("OutputTransportMessageUrgentFrame", (Frame,), {})
    InterruptionFrame = type("InterruptionFrame", (Frame,), {})
    EndFrame = type("EndFrame", (Frame,), {})
    CancelFrame = type("CancelFrame", (Frame,), {})
    InputAudioRawFrame = type("InputAudioRawFrame", (Frame,), {})
    InputTextRawFrame = type("InputTextRawFrame", (Frame,), {})
    InputTransportMessageFrame = type("InputTransportMessageFrame", (Frame,), {})


@pytest.fixture
def pipecat(monkeypatch: pytest.MonkeyPatch) -> Frames:
    frames, serializer = Frames("pipecat.frames.frames"), types.ModuleType("pipecat.serializers.base_serializer")
    serializer.FrameSerializer = type(  # type: ignore[attr-defined]
        "FrameSerializer", (), {"should_ignore_frame": lambda self, frame: "rtvi" in frame.message}
    )
    package = types.ModuleType("pipecat.frames")
    package.frames = frames  # type: ignore[attr-defined]
    for name in ("pipecat", "pipecat.serializers"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for module in (package, frames, serializer):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delitem(sys.modules, "pipecat_serializer", raising=False)
    return frames


async def test_a_pipecat_pipeline_talks_with_our_client(pipecat: Frames) -> None:
    bot = FastAPI()
    serializer_of = load("pipecat_serializer")["DuplexSerializer"]
    heard: list[Any] = []

    @bot.websocket("/bot")
    async def endpoint(websocket: WebSocket) -> None:  # as pipecat's transport does it
        await websocket.accept(subprotocol="objectstreaming.v1")
        serializer = serializer_of()

        async def write(frame: Any) -> None:
            if payload := await serializer.serialize(frame):
                await websocket.send_bytes(payload)

        while len(heard) < 4:
            if frame := await serializer.deserialize(await websocket.receive_bytes()):
                heard.append(frame)
        await write(pipecat.Frame())
        await write(pipecat.OutputTransportMessageFrame(message={"rtvi": 1}))
        await write(pipecat.OutputAudioRawFrame(audio=bytes(640), sample_rate=24_000, num_channels=1))
        await write(pipecat.InterruptionFrame())
        await write(pipecat.OutputTransportMessageUrgentFrame(message={"mood": "good"}))
        await write(pipecat.EndFrame())
        await write(pipecat.CancelFrame())
        await websocket.close()

    with LoopbackServer(bot) as server:
        async with WebSocketClientStream(f"{server.url}/bot") as stream:
            await stream.send(StreamEvent("interrupt"))
            await stream.send(Symbol.text("hello"))
            await stream.send(Symbol.audio(bytes(320), 16_000))
            await stream.send_end()
            await stream.send(StreamEvent("metadata", {"page": 3}))
            items = [item async for item in stream.receive()]
    assert [type(frame) for frame in heard] == [
        pipecat.InterruptionFrame,
        pipecat.InputTextRawFrame,
        pipecat.InputAudioRawFrame,
        pipecat.InputTransportMessageFrame,
    ]
    _, text, sound, message = heard
    assert (text.text, len(sound.audio), sound.sample_rate, message.message) == ("hello", 320, 16_000, {"page": 3})
    assert [item.metadata["sample_rate"] for item in items if isinstance(item, Symbol)] == [24_000]
    events = [(item.type, item.data) for item in items if isinstance(item, StreamEvent)]
    assert [kind for kind, _ in events] == ["connected", "interrupt", "metadata", "disconnected"]
    assert events[2][1] == {"mood": "good"}
