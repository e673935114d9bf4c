"""`UIMessages` and `ChatCompletions`, read by what their users have: the AI SDK, and OpenAI's packages.

Each reader gets a whole answer with text, objects and sound, one that fails halfway, one that fails at once, one with
pings, and one that is cut at each event. OBJECTSTREAMING_PEERS=ai7 (`make packages-peers`) is a folder in this one,
with another version of the AI SDK, and with it as a client of OpenAI.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from deadlines import DEADLINE
from fastapi import FastAPI
from needed_programs import needs, needs_package
from openai import OpenAI
from starlette.requests import Request
from starlette.routing import Route

from objectstreaming import JsonCoder, StreamError
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.server import ChatCompletions, FrameResponse, UIMessages
from objectstreaming.store import MemoryStore
from objectstreaming.testing import Cut, FaultyApp
from wav_streaming import Sound, TALAudio, TALCoder, read_wav

HERE = Path(__file__).parent
PACKAGES = HERE / os.environ.get("OBJECTSTREAMING_PEERS", "")

SOUND = Sound(bytes(range(200)) * 2, 24_000)
TEXTS = ["Yes,", " it is\u2028", "é漢😀"]
SOURCE = {"file": "guide.md", "pages": [1, {"to": 3}]}
TRAILERS = {"finish_reason": "stop", "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}}


async def answer() -> AsyncIterator[tuple[dict[str, Any], Any]]:
    for text in TEXTS:
        yield {}, {"text": text}
        yield {}, {"source": SOURCE}
        yield {}, {"sound": True}


def parts(header: Any, payload: Any) -> Iterator[Any]:
    if "text" in payload:
        yield payload["text"]
    elif "source" in payload:
        yield "source", payload["source"]
    else:
        yield SOUND


async def failing() -> AsyncIterator[tuple[dict[str, Any], Any]]:
    async for message in answer():
        yield message
    raise StreamError("unavailable", "the model went away")


async def refused() -> AsyncIterator[tuple[dict[str, Any], Any]]:
    raise StreamError("resource_exhausted", "the model is busy")
    yield


class Server(LoopbackServer):
    """POST /ui/ANSWER and /openai/ANSWER/chat/completions; with /cut/N before it, only N bytes of the body come."""

    def __init__(self) -> None:
        self.pings = asyncio.Event()
        """Set when two pings were sent."""
        self.resumed = asyncio.Event()
        """Set when a stored stream is asked for."""
        coder: JsonCoder[dict[str, Any], Any] = JsonCoder()

        async def silent() -> AsyncIterator[tuple[dict[str, Any], Any]]:
            self.pings.clear()
            yield {}, {"text": TEXTS[0]}
            await asyncio.wait_for(self.pings.wait(), DEADLINE)
            for text in TEXTS[1:]:
                yield {}, {"text": text}

        async def stored() -> AsyncIterator[tuple[dict[str, Any], Any]]:
            yield {}, {"text": TEXTS[0]}
            await asyncio.wait_for(self.resumed.wait(), DEADLINE)
            for text in TEXTS[1:]:
                yield {}, {"text": text}

        async def spoken() -> AsyncIterator[tuple[TALAudio, bytes]]:
            yield TALAudio(sampleRate=24_000, answer="Yes.", sign=1, order=1), SOUND.pcm
            yield TALAudio(sampleRate=24_000, sign=3, order=2), b""

        sources: dict[str, Callable[[], Any]] = {
            "whole": answer,
            "failing": failing,
            "refused": refused,
            "silent": silent,
            "stored": stored,
            "spoken": spoken,
            "words": lambda: (({}, text) for text in TEXTS),
            "objects": lambda: (({"n": n}, [n]) for n in range(2)),
        }

        def respond(request: Request, view: Any) -> FrameResponse:
            name = request.path_params["answer"]
            options: dict[str, Any] = {"heartbeat": 0.05 if name == "silent" else None, "trailers": TRAILERS}
            coder_of_answer: Any = TALCoder() if name == "spoken" else coder
            options |= {"views": [view], "default_type": view.media_type}
            options["store"] = store if name == "stored" else None
            return FrameResponse(sources[name](), coder=coder_of_answer, **options)

        def mapping(request: Request) -> Any:
            return None if request.path_params["answer"] in ("spoken", "words", "objects") else parts

        async def ui(request: Request) -> FrameResponse:
            return respond(request, UIMessages(mapping(request)))

        async def completions(request: Request) -> FrameResponse:
            stream = (await request.json()).get("stream", False)
            return respond(request, ChatCompletions(mapping(request), model="mine", stream=stream))

        routes = [
            Route("/ui/{answer}", ui, methods=["POST"]),
            Route("/openai/{answer}/chat/completions", completions, methods=["POST"]),
        ]
        store = MemoryStore()
        app = FastAPI(routes=routes, lifespan=store.lifespan)
        app.include_router(store.router(coders=[coder], views=[UIMessages(parts)]))

        async def cut(scope: Any, receive: Any, send: Any) -> None:
            _, mark, size, *rest = scope["path"].split("/") if scope["type"] == "http" else ("", "", "")
            if mark == "cut":
                await FaultyApp(app, Cut(int(size)))({**scope, "path": "/" + "/".join(rest)}, receive, send)
                return
            if scope["type"] == "http" and scope["method"] == "GET":
                self.resumed.set()
            pings = 0

            async def counted(message: Any) -> None:
                nonlocal pings
                pings += message.get("body") == b": ping\n\n"
                if pings >= 2:
                    self.pings.set()
                await send(message)

            await app(scope, receive, counted)

        super().__init__(cut)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with OpenAI(api_key="-", base_url="http://127.0.0.1", max_retries=0) as client:
        yield client


Read = Callable[[str, str], dict[str, Any]]
"""The name of a reader, and a path of the server; what it has read."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    needs("node")
    needs_package(PACKAGES, "ai", "make node-packages")
    folder = tmp_path_factory.mktemp("peers")
    (folder / "node_modules").symlink_to(PACKAGES / "node_modules")
    (folder / "read.mjs").write_text((HERE / "read.mjs").read_text())
    with subprocess.Popen(
        ["node", "read.mjs"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(reader: str, url: str) -> dict[str, Any]:
            process.stdin.write(json.dumps({"reader": reader, "url": url}) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            read: dict[str, Any] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            return read

        yield ask
        process.stdin.close()


def python(client: OpenAI) -> dict[str, Any]:
    """OpenAI's package for Python."""
    seen: dict[str, Any] = {"text": "", "objects": [], "sounds": [], "metadata": None, "error": None}
    try:
        for chunk in client.chat.completions.create(model="any", messages=[QUESTION], stream=True):
            delta: Any = chunk.choices[0].delta
            seen["text"] += delta.content or ""
            extra: dict[str, Any] = chunk.model_extra or {}
            seen["sounds"] += [delta.audio.data] if getattr(delta, "audio", None) else []
            seen["objects"] += [[name, value] for name, value in (extra.get("data") or {}).items()]
            seen["metadata"] = extra.get("trailers")
    except openai.APIError as error:
        seen["error"] = failure(error)
    return seen


def failure(error: Any) -> dict[str, Any]:
    status, code = getattr(error, "status_code", None), getattr(error, "code", None)
    return {"kind": type(error).__name__, "status": status, "code": code, "message": str(error)}


QUESTION: Any = {"role": "user", "content": "Why?"}
OPENAI_READERS = ["python", "openai", "openai_helper"]
if "@ai-sdk/openai" in json.loads((PACKAGES / "package.json").read_text())["dependencies"]:
    OPENAI_READERS.append("ai_openai")


@pytest.fixture
def read(server: Server, client: OpenAI, node: Read) -> Read:
    def read(reader: str, path: str) -> dict[str, Any]:
        url = f"{server.url}{path}"
        return python(client.with_options(base_url=url)) if reader == "python" else node(reader, url)

    return read


# ------------------------------------------------------------------------------------------------------ the AI SDK


def test_the_ai_sdk_reads_text_objects_and_sound(read: Read) -> None:
    seen = read("ai", "/ui/whole")
    assert seen["error"] is None
    assert seen["text"] == "".join(TEXTS)
    assert seen["objects"] == [["data-source", SOURCE]] * 3, "sound is transient: it is not kept in the message"
    assert [read_wav(base64.b64decode(sound)) for sound in seen["sounds"]] == [SOUND] * 3
    assert seen["metadata"] == TRAILERS


def test_the_ai_sdk_reads_what_needs_no_function(read: Read) -> None:
    assert read("ai", "/ui/words")["text"] == "".join(TEXTS)
    message = {"header": {"n": 0}, "payload": [0]}
    assert read("ai", "/ui/objects")["objects"][0] == ["data-message", message]
    seen = read("ai", "/ui/spoken")
    assert (seen["text"], len(seen["sounds"])) == ("Yes.", 1)


def test_the_ai_sdk_knows_a_failure_and_pings(read: Read) -> None:
    seen = read("ai", "/ui/failing")
    assert (seen["text"], seen["error"]["message"]) == ("".join(TEXTS), "unavailable: the model went away")
    early = read("ai", "/ui/refused")["error"]["message"]
    assert json.loads(early) == {"code": "resource_exhausted", "message": "the model is busy"}
    silent = read("ai", "/ui/silent")
    assert (silent["text"], silent["error"]) == ("".join(TEXTS), None)


def test_the_ai_sdk_resumes_a_stored_answer(read: Read) -> None:
    seen = read("ai_resumed", "/ui/stored")
    assert (seen["before"], seen["text"], seen["error"]) == (TEXTS[0], "".join(TEXTS), None)


# -------------------------------------------------------------------------------------------------- OpenAI's clients


@pytest.mark.parametrize("reader", ["python", "openai"])
def test_openai_reads_text_objects_and_sound(read: Read, reader: str) -> None:
    assert read(reader, "/openai/whole") == {
        "text": "".join(TEXTS),
        "objects": [["source", SOURCE]] * 3,
        "sounds": [base64.b64encode(SOUND.pcm).decode()] * 3,
        "metadata": TRAILERS,
        "error": None,
    }
    assert read(reader, "/openai/spoken")["text"] == "Yes."
    message = {"header": {"n": 1}, "payload": [1]}
    assert read(reader, "/openai/objects")["objects"][1] == ["message", message]


@pytest.mark.parametrize("reader", OPENAI_READERS)
def test_openai_knows_a_failure_and_pings(read: Read, reader: str) -> None:
    whole = read(reader, "/openai/whole")
    assert (whole["text"], whole["error"]) == ("".join(TEXTS), None)
    silent = read(reader, "/openai/silent")
    assert (silent["text"], silent["error"]) == ("".join(TEXTS), None)
    assert "the model went away" in json.dumps(read(reader, "/openai/failing")["error"])
    refused = read(reader, "/openai/refused")["error"]
    assert "the model is busy" in refused["message"]
    if reader != "ai_openai":
        assert (refused["kind"], refused["status"]) == ("RateLimitError", 429)
        assert refused["code"] == "resource_exhausted"


def test_openai_reads_an_answer_in_one_piece(server: Server, client: OpenAI, read: Read) -> None:
    assert read("openai_whole", "/openai/whole")["text"] == "".join(TEXTS)

    def ask(answer: str) -> Any:
        there = client.with_options(base_url=f"{server.url}/openai/{answer}")
        return there.chat.completions.create(model="any", messages=[QUESTION])

    completion = ask("whole")
    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("".join(TEXTS), "stop")
    assert read_wav(base64.b64decode(choice.message.audio.data)).pcm == 3 * SOUND.pcm
    assert (completion.model, completion.usage.total_tokens) == ("mine", 4)
    assert completion.data == [{"source": SOURCE}] * 3
    with pytest.raises(openai.InternalServerError, match="the model went away"):
        ask("failing")
    with pytest.raises(openai.RateLimitError, match="the model is busy"):
        ask("refused")


def test_openais_helper_for_python_puts_the_chunks_together(server: Server, client: OpenAI) -> None:
    client = client.with_options(base_url=f"{server.url}/openai/words")
    with client.chat.completions.stream(model="any", messages=[QUESTION]) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.content == "".join(TEXTS)
    assert completion.usage is not None
    assert completion.usage.total_tokens == 4


# --------------------------------------------------------------------------------------------------------- cuts


def cuts_of(body: bytes) -> list[int]:
    """The end of each event, and a place within each, before the end of the body."""
    ends = [at + 2 for at in range(len(body)) if body.startswith(b"\n\n", at)][:-1]
    return sorted({*ends, *(end + 12 for end in ends), 5})


@pytest.mark.parametrize("reader", ["ai", *OPENAI_READERS])
def test_every_cut_is_an_error(server: Server, read: Read, reader: str) -> None:
    path = "/ui/words" if reader == "ai" else "/openai/words"
    url = server.url + path if reader == "ai" else f"{server.url}{path}/chat/completions"
    body = httpx.post(url, json={"stream": True}, trust_env=False).content
    assert read(reader, path)["error"] is None
    for size in cuts_of(body):
        seen = read(reader, f"/cut/{size}{path}")
        assert seen["error"] is not None, f"cut after {size} bytes: {body[:size][-80:]!r}"
        assert "".join(TEXTS).startswith(seen["text"] or "")
