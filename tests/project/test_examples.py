"""The examples run: each server with a client, and the test suite. They are short enough to copy."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from reference_app import make_app

from objectstreaming import JsonCoder, ResponseError, StreamError
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.client import open_stream
from wav_streaming import Sound, TALCoder, pcm_to_wav

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
    """An OpenAI-compatible endpoint that answers every question with these lines."""
    model = FastAPI()

    @model.post("/v1/chat/completions")
    async def complete() -> PlainTextResponse:
        text = "".join(f"data: {line}\n\n" for line in lines)
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


def test_the_test_suite_of_ones_own_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "test_server.py"]
    ran = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, check=False)
    assert "3 passed" in ran.stdout, ran.stdout + ran.stderr
