"""`/v1/chat/completions`, `/v1/audio/speech` and `/v1/models`, asked by OpenAI's own package over real HTTP."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import httpx
import jsonschema
import openai
import pytest
from deadlines import DEADLINE
from fastapi import FastAPI
from openai import OpenAI
from reference_app import Fox, Slow, Tone, make_app

from objectstreaming import StreamError
from objectstreaming.app import Settings, create_app
from objectstreaming.app.chat import ChatAnswerer
from objectstreaming.app.limits import AppLimits
from objectstreaming.cli.loopback import LoopbackServer
from wav_streaming import UnknownVoice, Voice, read_wav

TEXT = "You asked: Why? The fox is red."
WHY: Any = [{"role": "user", "content": "Why?"}]


class Failing(Fox):
    """Fails after its first words, or before."""

    def __init__(self, words: str, error: Exception) -> None:
        self.words = words
        self.error = error

    async def tokens(self, question: str) -> AsyncIterator[str]:
        if self.words:
            yield self.words
        raise self.error


class Remembering(ChatAnswerer):
    """Asks a model, and keeps the texts that it has sent."""

    sent: ClassVar[list[str]] = []

    def __init__(self, url: str) -> None:
        async def keep(request: httpx.Request) -> None:
            type(self).sent = [message["content"] for message in json.loads(request.content)["messages"]]

        client = httpx.AsyncClient(event_hooks={"request": [keep]}, trust_env=False)
        super().__init__(url, "m", system="Answer briefly.", client=client)


@contextmanager
def served(app: FastAPI | None = None, **options: Any) -> Iterator[OpenAI]:
    app = app or make_app(**{"limits": AppLimits(burst=10_000), **options})
    with (
        LoopbackServer(app) as server,
        OpenAI(api_key="-", base_url=f"{server.url}/v1", max_retries=0, timeout=DEADLINE) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with served() as client:
        yield client


def create(client: OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(**{"model": "any", "messages": WHY, **options})


def streamed(client: OpenAI, **options: Any) -> tuple[str, bytes]:
    """The text and the sound of an answer."""
    text, pcm = "", b""
    for chunk in create(client, stream=True, **options):
        delta = chunk.choices[0].delta
        text += delta.content or ""
        if getattr(delta, "audio", None):
            pcm += base64.b64decode(delta.audio.data)
    return text, pcm


# ---------------------------------------------------------------------------------------------------- completions


def test_an_answer_is_streamed_or_whole(client: OpenAI) -> None:
    assert streamed(client) == (TEXT, b"")
    completion = create(client)
    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "objectstreaming"


def test_the_last_message_is_the_question_and_a_model_is_given_the_others_too(client: OpenAI) -> None:
    parts = [{"type": "text", "text": "Why"}, {"type": "text", "text": "not?"}]
    said: Any = [{"role": "system", "content": "Be brief."}, *WHY, {"role": "assistant", "content": "Well,"}]
    said += [{"role": "assistant", "content": None}, {"role": "user", "content": parts}]
    assert create(client, messages=said).choices[0].message.content.startswith("You asked: Why\nnot?")
    # The server as a client of itself: what it sends to a model is what it was sent.
    with served() as model, served(answerer=Remembering(f"{model.base_url}")) as asked:
        assert (
            "why not?" in create(asked, messages=[*said[:3], {"role": "user", "content": "why not?"}]).model_dump_json()
        )
        assert Remembering.sent == ["Answer briefly.", "Be brief.", "Why?", "Well,", "why not?"]


def test_an_answer_is_heard_too(client: OpenAI) -> None:
    text, pcm = streamed(client, modalities=["text", "audio"], audio={"voice": "alloy", "format": "pcm16"})
    assert text == TEXT
    assert len(pcm) / 2 / 24_000 == pytest.approx(0.01 * len("You asked: Why?The fox is red."), abs=0.02)
    whole = create(client, modalities=["text", "audio"], audio={"voice": "nova", "format": "wav"})
    assert read_wav(base64.b64decode(whole.choices[0].message.audio.data)).pcm == pcm


def test_failures_are_openais_errors() -> None:
    with served(answerer=Failing("Well, ", StreamError("unavailable", "the model went away"))) as client:
        with pytest.raises(openai.APIError, match="the model went away"):
            streamed(client)
        with pytest.raises(openai.InternalServerError, match="the model went away"):
            create(client)
    with served(answerer=Failing("", StreamError("resource_exhausted", "busy"))) as client:
        for stream in (True, False):
            with pytest.raises(openai.RateLimitError, match="busy"):
                create(client, stream=stream)
    with served(answerer=Failing("", OSError("/etc/secret"))) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            streamed(client)
        assert (caught.value.code, "secret" in str(caught.value)) == ("internal", False)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"messages": []}, 400, "`messages` is a list"),
        ({"messages": ["Why?"]}, 400, "a message is an object"),
        ({"messages": [{"role": "tool", "content": "Why?"}]}, 400, "`role` is one of system, developer"),
        ({"messages": [{"role": "system", "content": "Why?"}]}, 400, "`messages` is a list"),
        ({"messages": [{"role": "user", "content": None}]}, 400, "`messages` is a list"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, "the question is empty"),
        ({"messages": [{"role": "user", "content": "x" * 4_001}]}, 413, "at most 4000 characters"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 501, "is text here"),
        ({"messages": [{"role": "assistant", "content": "x" * 64_000}, *WHY]}, 413, "at most 64000 characters"),
        ({"n": 2}, 501, "`n` can only be 1"),
        ({"response_format": {"type": "json_object"}}, 501, "`response_format` can only be"),
        ({"tool_choice": "required"}, 501, "no tool is called here"),
        ({"modalities": ["smell"]}, 400, "`modalities` is a list"),
        ({"modalities": ["audio"], "audio": {"format": "mp3"}}, 501, "can only be wav"),
        ({"modalities": ["audio"], "audio": 1}, 400, "`audio` must be a JSON object"),
        ({"modalities": ["audio"], "audio": {"voice": "duo"}}, 400, "one voice"),
        ({"extra_body": {"stream": 1}}, 400, "`stream` is true or false"),
        ({"extra_headers": {"Content-Type": "text/plain"}}, 415, "must be JSON"),
    ],
)
def test_what_cannot_be_done_is_refused(client: OpenAI, options: Any, status: int, message: str) -> None:
    with pytest.raises(openai.APIStatusError, match=message) as caught:
        create(client, **options)
    assert caught.value.status_code == status


def test_a_long_conversation_is_read_and_not_one_without_end(client: OpenAI) -> None:
    long: Any = [{"role": "assistant", "content": "\N{SNOWMAN}" * 60_000}, *WHY]  # more bytes than a question has
    assert create(client, messages=long).choices[0].message.content == TEXT
    with pytest.raises(openai.APIStatusError, match="body") as caught:
        create(client, messages=10 * long)
    assert caught.value.status_code == 413


# ---------------------------------------------------------------------------------------------------------- speech


def speak(client: OpenAI, text: str = "One. Two.", **options: Any) -> bytes:
    body: dict[str, Any] = {"model": "any", "input": text, "voice": "alloy", "response_format": "wav", **options}
    with client.audio.speech.with_streaming_response.create(**body) as response:
        return b"".join(response.iter_bytes())


def test_a_text_is_spoken_as_a_wav_file_or_as_pcm(client: OpenAI) -> None:
    wav = speak(client)
    sound = read_wav(wav)
    assert (sound.sample_rate, sound.channels) == (24_000, 1)
    assert sound.seconds == pytest.approx(0.01 * len("One.Two."), abs=0.01)
    assert speak(client, response_format="pcm") == sound.pcm
    with wave.open(io.BytesIO(wav)) as opened:
        assert opened.readframes(10_000) == sound.pcm, "a header without a size is one that other readers accept"
    response = client.audio.speech.create(model="any", voice="alloy", input="One. Two.", response_format="wav")
    assert response.content == wav
    assert response.response.headers["content-type"] == "audio/wav"
    assert httpx.post(f"{client.base_url}audio/speech", json={"input": "One. Two."}, trust_env=False).content == wav


def test_speech_that_fails_is_never_a_shorter_sound() -> None:
    with served(voice=Tone(unspeakable="Two")) as client:
        with pytest.raises(openai.APIStatusError, match="could not be spoken") as caught:
            speak(client, "Two.")
        assert caught.value.status_code == 503
        with pytest.raises(Exception, match="without sending complete message body"):  # its HTTP client's
            speak(client, "One. Two.")
    with served() as client, pytest.raises(openai.BadRequestError, match="nothing to say"):
        speak(client, "...")


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"response_format": "mp3"}, 501, "`wav`"),
        ({"stream_format": "sse"}, 501, "`wav`"),
        ({"text": ""}, 400, "the question is empty"),
        ({"voice": "duo"}, 400, "one voice"),
        ({"voice": {"id": "x"}}, 400, "`voice` is the name"),
        ({"speed": 4}, 400, "from 0.5 to 2"),
    ],
)
def test_what_cannot_be_spoken_is_refused(client: OpenAI, options: Any, status: int, message: str) -> None:
    with pytest.raises(openai.APIStatusError, match=message) as caught:
        speak(client, **options)
    assert caught.value.status_code == status


def test_a_voice_of_the_engine_is_chosen_and_openais_are_its_own() -> None:
    class Choir(Tone):
        def voices(self) -> list[Voice]:
            return [Voice("solo"), Voice("duo")]

        def with_voice(self, name: str, speed: float = 1) -> Choir:
            if name != "duo":
                raise UnknownVoice("there are solo, duo")
            return Slowly()

    class Slowly(Choir):
        async def synthesize(self, text: str) -> Any:
            return await super().synthesize(2 * text)

    with served(voice=Choir()) as client:
        one = len(speak(client, response_format="pcm"))
        assert len(speak(client, response_format="pcm", voice="duo")) == pytest.approx(2 * one, rel=0.01)
        with pytest.raises(openai.BadRequestError, match="there are solo, duo"):
            speak(client, voice="trio")


def test_a_server_without_a_voice_says_so() -> None:
    app = create_app(Settings(engines=False), answerer=Fox())
    with served(app) as client:
        assert streamed(client) == (TEXT, b"")
        for ask in (lambda: speak(client), lambda: streamed(client, modalities=["audio"])):
            with pytest.raises(openai.APIStatusError, match="cannot speak"):
                ask()
        assert [model.id for model in client.models.list()] == ["objectstreaming"]


# -------------------------------------------------------------------------------------------- the app's limits


def test_its_models_are_listed(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["objectstreaming", "speech"]


def test_a_client_has_so_many_streams_and_they_take_so_long() -> None:
    slow = Slow()
    with served(answerer=slow, limits=AppLimits(streams_per_client=1, burst=1_000)) as client:
        waiting = create(client, stream=True)
        assert next(chunk for chunk in waiting if chunk.choices[0].delta.content)
        with pytest.raises(openai.RateLimitError, match="as many streams as it may") as caught:
            create(client)
        assert caught.value.response.headers["retry-after"] == "2"
        waiting.close()
        assert slow.closed.wait(DEADLINE)
    with (
        served(answerer=Slow(), limits=AppLimits(stream_seconds=0.2)) as client,
        pytest.raises(openai.APIError, match="took longer") as over,
    ):
        streamed(client)
    assert over.value.code == "deadline_exceeded"


def test_answers_and_errors_are_as_they_are_described(client: OpenAI) -> None:
    root = str(client.base_url).removesuffix("/v1/")
    with httpx.Client(base_url=root, trust_env=False, timeout=DEADLINE) as http:
        paths = http.get("/openapi.json").json()["paths"]
        described = paths["/v1/chat/completions"]["post"]["responses"]
        whole = http.post("/v1/chat/completions", json={"messages": WHY})
        jsonschema.validate(whole.json(), described["200"]["content"]["application/json"]["schema"])
        chunks = http.post("/v1/chat/completions", json={"messages": WHY, "stream": True}).text.split("\n\n")
        event = described["200"]["content"]["text/event-stream"]["itemSchema"]["properties"]["data"]
        for chunk in chunks[:-2]:
            jsonschema.validate(json.loads(chunk.removeprefix("data: ")), event["contentSchema"])
        assert chunks[-2:] == ["data: [DONE]", ""]
        for path in ("/v1/chat/completions", "/v1/audio/speech"):
            refused = http.post(path, json={})
            error = paths[path]["post"]["responses"][str(refused.status_code)]["content"]["application/json"]["schema"]
            jsonschema.validate(refused.json(), error)
        assert http.post("/v1/nowhere", json={}).json()["error"]["code"] == "not_found"
