"""The views, read by what their users have: EventSource and fetch in Chromium, httpx-sse, eventsource-parser, curl, jq.

Each reader gets a whole answer, one that fails halfway, and one that is cut, and has to know the three apart.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import Browser
from deadlines import DEADLINE
from httpx_sse import ServerSentEvent, aconnect_sse, connect_sse
from needed_programs import needs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from objectstreaming import JsonCoder, StreamError
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.server import FrameResponse
from objectstreaming.testing import Cut, FaultyApp

EVENTS = "text/event-stream"
LINES = "application/x-ndjson"
TEXTS = ["Yes.", "line\u2028separator, \x85, \r\n", "é漢😀"]
"""Two of them have what some readers take for the end of a line."""
MESSAGES = [{"header": {"status": "success"}, "payload": {"answer": text}} for text in TEXTS]
END = {"frames": 3, "trailers": {"tokens": 7}}
GONE = {"code": "unavailable", "message": "the model went away"}


async def answer() -> AsyncIterator[tuple[dict[str, Any], Any]]:
    for message in MESSAGES:
        yield message["header"], message["payload"]


async def failing_answer() -> AsyncIterator[tuple[dict[str, Any], Any]]:
    async for message in answer():
        yield message
    raise StreamError("unavailable", "the model went away")


class Server(LoopbackServer):
    """Serves the three answers, at /whole, /failing and /cut, and counts what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        """The path and the `Last-Event-ID` of each request."""
        coder: JsonCoder[dict[str, Any], Any] = JsonCoder()

        async def whole(request: Request) -> FrameResponse:
            return FrameResponse(answer(), coder=coder, trailers={"tokens": 7})

        async def failing(request: Request) -> FrameResponse:
            return FrameResponse(failing_answer(), coder=coder)

        async def page(request: Request) -> HTMLResponse:
            return HTMLResponse('<!doctype html><link rel="icon" href="data:,">')

        methods = ["GET", "POST"]
        app = Starlette(
            routes=[
                Route("/", page),
                Route("/whole", whole, methods=methods),
                Route("/failing", failing, methods=methods),
                Mount("/cut", FaultyApp(Starlette(routes=[Route("/", whole, methods=methods)]), Cut(150))),
            ]
        )

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                self.asked.append((scope["path"], Request(scope).headers.get("last-event-id")))
            await app(scope, receive, send)

        super().__init__(counted)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


# ----------------------------------------------------------------------------------------------------- httpx-sse


def shown(event: ServerSentEvent) -> tuple[str, Any]:
    return event.event, event.json()


MESSAGE_EVENTS = [("message", message) for message in MESSAGES]


def test_httpx_sse_reads_the_three_answers_apart(server: Server) -> None:
    events: list[tuple[str, Any]] = []
    with httpx.Client(base_url=server.url) as client:
        with connect_sse(client, "POST", "/whole") as source:
            assert [shown(event) for event in source.iter_sse()] == [*MESSAGE_EVENTS, ("end", END)]
        with connect_sse(client, "POST", "/failing") as source, pytest.raises(httpx.RemoteProtocolError):
            events.extend(shown(event) for event in source.iter_sse())
        assert events == [*MESSAGE_EVENTS, ("error", GONE)]
        events.clear()
        with connect_sse(client, "POST", "/cut/") as source, pytest.raises(httpx.RemoteProtocolError):
            events.extend(shown(event) for event in source.iter_sse())
        assert events == MESSAGE_EVENTS[:1]


async def test_httpx_sse_reads_them_asynchronously(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client, aconnect_sse(client, "GET", "/whole") as source:
        assert [shown(event) async for event in source.aiter_sse()] == [*MESSAGE_EVENTS, ("end", END)]


def test_httpx_reads_json_lines_with_iter_lines(server: Server) -> None:
    with httpx.Client(base_url=server.url, headers={"Accept": LINES}) as client:
        with client.stream("POST", "/whole") as response:
            assert [json.loads(line) for line in response.iter_lines()] == [*MESSAGES, {"end": END}]
        lines: list[Any] = []
        with client.stream("POST", "/failing") as response, pytest.raises(httpx.RemoteProtocolError):
            lines.extend(json.loads(line) for line in response.iter_lines())
        assert lines == [*MESSAGES, {"error": GONE}]


# ------------------------------------------------------------------------------------------- eventsource-parser

CLIENT = Path(__file__).parents[2] / "clients" / "typescript"
PARSED = """
import { EventSourceParserStream } from "eventsource-parser/stream";
const response = await fetch(process.argv[1], { headers: { Accept: "text/event-stream" } });
const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
try {
  for await (const { event = "message", id = null, data } of events)
    console.log(JSON.stringify([event, id, JSON.parse(data)]));
} catch (error) {
  console.log(JSON.stringify([error.name]));
}
"""


def test_eventsource_parser_reads_the_three_answers_apart(server: Server) -> None:
    needs("node")
    if not (CLIENT / "node_modules" / "eventsource-parser").exists():
        needs("eventsource-parser, from `make -C clients/typescript`")

    def parsed(path: str) -> list[Any]:
        command = ["node", "--input-type=module", "--eval", PARSED, f"{server.url}{path}"]
        ran = subprocess.run(command, cwd=CLIENT, capture_output=True, text=True, check=True, timeout=DEADLINE)
        return [json.loads(line) for line in ran.stdout.split("\n") if line]

    messages = [["message", None, message] for message in MESSAGES]
    assert parsed("/whole") == [*messages, ["end", "end", END]]
    assert parsed("/failing") == [*messages, ["error", "end", GONE], ["TypeError"]]
    assert parsed("/cut/") == [*messages[:1], ["TypeError"]]


# ------------------------------------------------------------------------------------------------ curl and jq


def curl(url: str, accept: str) -> tuple[int, str]:
    """Its exit status, and what it printed."""
    needs("curl")
    command = ["curl", "--silent", "--no-buffer", "--header", f"Accept: {accept}", url]
    ran = subprocess.run(command, capture_output=True, check=False, timeout=DEADLINE)
    return ran.returncode, ran.stdout.decode()


TRANSFER_CLOSED = 18  # "curl: (18) transfer closed with outstanding read data remaining"


@pytest.mark.parametrize("accept", [EVENTS, LINES])
def test_curl_fails_where_an_answer_fails(server: Server, accept: str) -> None:
    assert curl(f"{server.url}/whole", accept)[0] == 0
    status, printed = curl(f"{server.url}/failing", accept)
    assert status == TRANSFER_CLOSED
    assert json.dumps(GONE, separators=(",", ":")) in printed
    assert curl(f"{server.url}/cut/", accept)[0] == TRANSFER_CLOSED


def test_jq_takes_the_answers_and_proves_the_end(server: Server) -> None:
    needs("jq")

    def jq(*arguments: str, of: str) -> tuple[int, str]:
        printed = curl(f"{server.url}{of}", LINES)[1]
        ran = subprocess.run(
            ["jq", *arguments], input=printed, capture_output=True, check=False, timeout=DEADLINE, encoding="utf-8"
        )
        return ran.returncode, ran.stdout

    assert jq("--compact-output", "select(.payload).payload.answer", of="/whole") == (
        0,
        "".join(f"{json.dumps(text, ensure_ascii=False)}\n" for text in TEXTS),
    )
    whole = ("--exit-status", "--null-input", "--raw-output", 'last(inputs) | has("end")')
    assert jq(*whole, of="/whole") == (0, "true\n")
    assert jq(*whole, of="/failing") == (1, "false\n")


# --------------------------------------------------------------------------------------------------- Chromium

EVENT_SOURCE = """new Promise(settle => {
    const source = new EventSource("PATH"), seen = [];
    source.onmessage = event => seen.push(["message", event.lastEventId, JSON.parse(event.data)]);
    source.addEventListener("end", event => seen.push(["end", event.lastEventId, JSON.parse(event.data)]));
    source.onerror = event => {
        if (event.data !== undefined) seen.push(["error", event.lastEventId, JSON.parse(event.data)]);
        else if (source.readyState === EventSource.CLOSED) settle([...seen, ["closed"]]);
        else seen.push(["broken"]);
    };
})"""


def test_an_event_source_has_one_answer_and_stops(browser: Browser, server: Server) -> None:
    browser.open(server.url)
    messages = [["message", "", message] for message in MESSAGES]
    # It cannot know that the end is the end: it asks again, is answered with 204, and closes itself.
    seen = browser.run(EVENT_SOURCE.replace("PATH", "/whole"))
    assert seen == [*messages, ["end", "end", END], ["broken"], ["closed"]]
    assert server.asked[1:] == [("/whole", None), ("/whole", "end")]


def test_an_event_source_hears_of_a_failure_and_stops(browser: Browser, server: Server) -> None:
    browser.open(server.url)
    messages = [["message", "", message] for message in MESSAGES]
    seen = browser.run(EVENT_SOURCE.replace("PATH", "/failing"))
    assert seen == [*messages, ["error", "end", GONE], ["broken"], ["closed"]]
    assert server.asked[1:] == [("/failing", None), ("/failing", "end")]


FETCH = """(async () => {
    const response = await fetch("PATH", { method: "POST", headers: { Accept: "application/x-ndjson" } });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(), lines = [];
    let rest = "";
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done) return [...lines, response.headers.get("content-type")];
            const parts = (rest + value).split("\\n");
            rest = parts.pop();
            lines.push(...parts.filter(line => line !== "").map(line => JSON.parse(line)));
        }
    } catch (error) {
        return [...lines, error.name];
    }
})()"""


def test_fetch_reads_json_lines(browser: Browser, server: Server) -> None:
    browser.open(server.url)
    assert browser.run(FETCH.replace("PATH", "/whole")) == [*MESSAGES, {"end": END}, LINES]
    for path, sent in (("/failing", [*MESSAGES, {"error": GONE}]), ("/cut/", MESSAGES[:2])):
        *lines, failure = browser.run(FETCH.replace("PATH", path))
        assert failure == "TypeError"
        # Chromium drops what the page has not read when the connection breaks: on a busy machine that may be anything.
        assert lines == sent[: len(lines)]
