"""`UIMessages` and `ChatCompletions`, byte by byte. tests/peers has the readers that they are for."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from objectstreaming import EncodeError, JsonCoder, Limits, RawCoder, StreamError
from objectstreaming.server import ChatCompletions, FrameResponse, UIMessages, View, frame_responses
from objectstreaming.server.chat_completions import openai_error
from objectstreaming.testing import StreamingASGITransport
from wav_streaming import Sound, read_wav

CODER: JsonCoder[dict[str, Any], Any] = JsonCoder()
VIEWS = [UIMessages, ChatCompletions]
EVENTS, JSON, V1 = "text/event-stream", "application/json", "application/vnd.objectstreaming;v=1"
TONE = Sound(bytes(2 * 441), 44_100)


def events(data: bytes) -> list[Any]:
    """The JSON of each event, and the text of any other."""
    found = [event.removeprefix("data: ") for event in data.decode().split("\n\n")[:-1]]
    return [json.loads(event) if event.startswith("{") else event for event in found]


def said(view: View, *messages: tuple[Any, Any], limits: Limits | None = None, **end: Any) -> bytes:
    encoder = view.encoder(CODER, limits or Limits(), None)
    opened = encoder.open(metadata={"id": 7})
    written = b"".join(encoder.data(*message) for message in messages)
    assert encoder.position == len(messages)
    return opened + written + encoder.end(**end)


def test_the_ui_messages_of_an_answer_of_every_kind() -> None:
    def parts(header: Any, payload: Any) -> Iterator[Any]:
        yield ""  # begins no text
        yield TONE
        yield payload
        yield "n", [1]
        yield {"type": "reasoning-start", "id": "1"}

    start, step, sound, text, delta, data, own, ended, last_step, finish, done = events(
        said(UIMessages(parts), ({}, "Yes."), trailers={"finish_reason": "content_filter"})
    )
    assert (start, step) == ({"type": "start", "messageMetadata": {"id": 7}}, {"type": "start-step"})
    assert (sound["type"], sound["transient"], sound["data"]["mediaType"]) == ("data-audio", True, "audio/wav")
    assert read_wav(base64.b64decode(sound["data"]["url"].removeprefix("data:audio/wav;base64,"))) == TONE
    assert (text["type"], delta["delta"], ended["type"]) == ("text-start", "Yes.", "text-end")
    assert text["id"] == delta["id"] == ended["id"]
    assert (data, own) == ({"type": "data-n", "data": [1]}, {"type": "reasoning-start", "id": "1"})
    metadata = {"finish_reason": "content_filter"}
    assert finish == {"type": "finish", "finishReason": "content-filter", "messageMetadata": metadata}
    assert (last_step, done) == ({"type": "finish-step"}, "[DONE]")


def test_a_reason_that_the_ai_sdk_does_not_know_is_another_one() -> None:
    assert events(said(UIMessages(), trailers={"finish_reason": "tired"}))[-2]["finishReason"] == "other"
    assert events(said(UIMessages(), trailers={"tokens": 3}))[-2]["finishReason"] == "stop"


def test_the_chunks_of_an_answer_of_every_kind() -> None:
    def parts(header: Any, payload: Any) -> Iterator[Any]:
        yield from (TONE, "", payload, ("n", [1]), {"tool_calls": [{"index": 0}]})

    trailers = {"usage": {"total_tokens": 3}, "finish_reason": "tool_calls"}
    *chunks, done = events(said(ChatCompletions(parts, model="mine"), ({}, "Yes."), trailers=trailers))
    assert done == "[DONE]"
    assert {(chunk["object"], chunk["model"], chunk["id"]) for chunk in chunks} == {
        ("chat.completion.chunk", "mine", chunks[0]["id"])
    }
    first, sound, text, data, tools, last = chunks
    assert (first["choices"][0]["delta"], first["metadata"]) == ({"role": "assistant", "content": ""}, {"id": 7})
    assert len(base64.b64decode(sound["choices"][0]["delta"]["audio"]["data"])) == 2 * 240, "converted to 24,000 Hz"
    assert text["choices"] == [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": None}]
    assert (data["data"], data["choices"][0]["delta"]) == ({"n": [1]}, {})
    assert tools["choices"][0]["delta"] == {"tool_calls": [{"index": 0}]}
    assert (last["choices"][0]["finish_reason"], last["usage"], last["trailers"]) == (
        "tool_calls",
        trailers["usage"],
        trailers,
    )


def test_a_whole_completion_has_everything_in_it() -> None:
    def parts(header: Any, payload: Any) -> Iterator[Any]:
        yield from (payload, ("n", payload), TONE)
        yield {"reasoning_content": payload, "tool_calls": [payload], "mood": {"is": payload}}

    whole = json.loads(said(ChatCompletions(parts, stream=False), ({}, "Yes, "), ({}, "it is.")))
    [choice] = whole["choices"]
    message = choice["message"]
    assert (message["content"], choice["finish_reason"]) == ("Yes, it is.", "stop")
    assert (message["reasoning_content"], message["tool_calls"]) == ("Yes, it is.", ["Yes, ", "it is."])
    assert message["mood"] == {"is": "it is."}, "what cannot be joined is what it was last"
    assert read_wav(base64.b64decode(message["audio"]["data"])) == Sound(bytes(2 * 480), 24_000)
    assert (whole["data"], whole["metadata"]) == ([{"n": "Yes, "}, {"n": "it is."}], {"id": 7})


@pytest.mark.parametrize(
    "part", ["x" * 600, TONE, ("n", "x" * 600), {"n": "x" * 600}], ids=["text", "sound", "n", "own"]
)
def test_a_whole_completion_is_no_longer_than_a_frame(part: Any) -> None:
    view = ChatCompletions(lambda header, payload: [part], stream=False)
    with pytest.raises(StreamError, match="too long for one JSON"):
        said(view, ({}, 1), ({}, 2), limits=Limits(frame=1000, header=900))


@pytest.mark.parametrize("kind", VIEWS)
def test_what_is_no_part_is_an_error_that_changes_nothing(kind: Any) -> None:
    for wrong in (5, b"bytes", ("a", 1, 2), (1, 2)):
        encoder = kind(lambda header, payload, wrong=wrong: ["text", wrong]).encoder(CODER, Limits(), None)
        encoder.open()
        with pytest.raises(EncodeError, match="a part is a string, a Sound"):
            encoder.data({}, 1)
        assert encoder.position == 0
        assert b"text-end" not in encoder.end()


@pytest.mark.parametrize("kind", VIEWS)
def test_positions_go_on_where_a_stream_is_resumed(kind: Any) -> None:
    encoder = kind().encoder(CODER, Limits(), 40)
    encoder.open()
    encoder.data({}, "Yes.")
    assert (encoder.position, encoder.ping()) == (41, b": ping\n\n")


def test_bytes_are_base64_in_the_object_of_a_message() -> None:
    encoder = UIMessages().encoder(RawCoder(), Limits(), None)
    assert events(encoder.data({"n": 1}, b"\0\1"))[0]["data"] == {"header": {"n": 1}, "base64": "AAE="}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StreamError("resource_exhausted", "busy", {"seconds": 3}), "rate_limit_error"),
        (StreamError("not_found"), "invalid_request_error"),
        (StreamError("unavailable"), "server_error"),
    ],
)
def test_an_error_as_openai_has_it(error: StreamError, kind: str) -> None:
    written = json.loads(openai_error(error))["error"]
    assert (written["type"], written["code"], written["param"]) == (kind, error.code, None)
    assert written["message"] == (error.message or error.code)
    assert written.get("details") == error.details


# ------------------------------------------------------------------------------------------------------- over HTTP


def served(view: View, source: Any, **options: Any) -> httpx.AsyncClient:
    app = FastAPI()

    @app.post("/", response_class=FrameResponse, responses=frame_responses(CODER, views=[view]))
    async def answer() -> FrameResponse:
        return FrameResponse(source(), coder=CODER, views=[view], default_type=view.media_type, **options)

    assert view.media_type in app.openapi()["paths"]["/"]["post"]["responses"]["200"]["content"]
    return httpx.AsyncClient(transport=StreamingASGITransport(app), base_url="http://test")


def words() -> Iterator[Any]:
    yield {}, "Yes."


def refused() -> Iterator[Any]:
    raise StreamError("not_found", "no such model")
    yield


@pytest.mark.parametrize(
    ("view", "accept", "type_of_answer"),
    [
        (UIMessages(), "*/*", EVENTS),
        (UIMessages(), EVENTS, EVENTS),
        (UIMessages(), V1, V1),
        (ChatCompletions(), JSON, EVENTS),
        (ChatCompletions(), "*/*", EVENTS),
        (ChatCompletions(), "application/x-ndjson", "application/x-ndjson"),
        (ChatCompletions(stream=False), JSON, JSON),
        (ChatCompletions(stream=False), EVENTS, EVENTS),
    ],
)
async def test_who_accepts_what_gets_it(view: View, accept: str, type_of_answer: str) -> None:
    async with served(view, words) as client:
        response = await client.post("/", headers={"Accept": accept})
        assert response.headers["content-type"].startswith(type_of_answer)
        assert ("x-vercel-ai-ui-message-stream" in response.headers) == (
            isinstance(view, UIMessages) and type_of_answer == EVENTS
        )


async def test_a_failure_before_the_first_message_has_the_form_of_the_view() -> None:
    problem = {"code": "not_found", "message": "no such model"}
    error = {"error": {**problem, "type": "invalid_request_error", "param": None}}
    for view, accept, expected in (
        (UIMessages(), EVENTS, problem),
        (ChatCompletions(), JSON, error),
        (ChatCompletions(stream=False), JSON, error),
        (ChatCompletions(), V1, problem),
    ):
        async with served(view, refused) as client:
            response = await client.post("/", headers={"Accept": accept})
            assert (response.status_code, response.json()) == (404, expected)


async def test_a_server_that_stops_says_so_in_the_form_of_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectstreaming.shutdown.stopping.begun", True)
    async with served(ChatCompletions(), words) as client:
        response = await client.post("/", headers={"Accept": JSON})
        assert (response.status_code, response.json()["error"]["code"]) == (503, "unavailable")
