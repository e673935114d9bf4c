"""The views, read by what their users have: EventSource and fetch in Chromium, httpx-sse, eventsource-parser, curl, jq.

Each reader gets a whole answer, one that fails halfway, and one that is cut, and has to know the three apart.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import Browser
from deadlines import DEADLINE
from httpx_sse import ServerSentEvent, aconnect_sse, connect_sse
from needed_programs import needs, needs_package
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from objectstreaming import JsonCoder, StreamError
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.server import FrameResponse
from objectstreaming.testing import Cut, FaultyApp

ROOT = Path(__file__).parents[2]
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

CLIENT = ROOT / "clients" / "typescript"
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
    needs_package(CLIENT, "eventsource-parser", "make -C clients/typescript")

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

SCRIPT = "\n".join(re.findall(r"^```js\n(.*?)^```", (ROOT / "docs" / "views.md").read_text(), re.MULTILINE | re.DOTALL))
"""The functions that docs/views.md gives to pages: `ask`, with EventSource, and `messages`, with fetch."""

ASK = """new Promise(settle => {
    const seen = [];
    ask("PATH", message => seen.push(message), end => settle([...seen, end]), error => settle([...seen, error]));
})"""
FETCH = """(async () => {
    const seen = [];
    try {
        const answer = messages("PATH", { method: "POST" });
        for (let next = await answer.next(); ; next = await answer.next()) {
            seen.push(next.value);
            if (next.done) return seen;
        }
    } catch (error) {
        return [...seen, error.message];
    }
})()"""
LEFT_OPEN = """new Promise(settle => {
    const source = new EventSource("PATH"), seen = [];
    for (const kind of ["message", "end", "error"])
        source.addEventListener(kind, event => {
            seen.push([kind, event.lastEventId ?? null, event.data === undefined ? null : JSON.parse(event.data)]);
            if (source.readyState === EventSource.CLOSED) settle(seen);
        });
})"""


@pytest.fixture
def page(browser: Browser, server: Server) -> Browser:
    browser.open(server.url)
    browser.run(f"{SCRIPT}; window.ask = ask; window.messages = messages; 0")
    return browser


def test_an_event_source_reads_the_three_answers_apart(page: Browser, server: Server) -> None:
    assert page.run(ASK.replace("PATH", "/whole")) == [*MESSAGES, END]
    assert page.run(ASK.replace("PATH", "/failing")) == [*MESSAGES, GONE]
    *seen, error = page.run(ASK.replace("PATH", "/cut/"))
    assert (seen, error["message"]) == (MESSAGES[: len(seen)], "the answer was cut")
    # Closed at its end or error, it asks once and starts nothing twice.
    assert server.asked[1:] == [("/whole", None), ("/failing", None), ("/cut/", None)]


@pytest.mark.parametrize(("path", "last"), [("/whole", ["end", "end", END]), ("/failing", ["error", "end", GONE])])
def test_an_event_source_that_nobody_closes_is_stopped(page: Browser, server: Server, path: str, last: Any) -> None:
    messages = [["message", "", message] for message in MESSAGES]
    broken = ["error", None, None]
    # It asks again after every response. The answer is 204: it stops, and says so with a second error.
    assert page.run(LEFT_OPEN.replace("PATH", path)) == [*messages, last, broken, broken]
    assert server.asked[1:] == [(path, None), (path, "end")]


def test_fetch_reads_the_three_answers_apart(page: Browser) -> None:
    pairs = [[message["header"], message["payload"]] for message in MESSAGES]
    assert page.run(FETCH.replace("PATH", "/whole")) == [*pairs, END]
    # Chromium drops what the page has not read when the connection breaks: on a busy machine that may be anything.
    for path, own_words in (("/failing", GONE["message"]), ("/cut/", "network error")):
        *seen, error = page.run(FETCH.replace("PATH", path))
        assert seen == pairs[: len(seen)]
        assert error in (own_words, "network error")
