"""A stored stream as server-sent events: the EventSource of Chromium goes on by itself where it was cut."""

from __future__ import annotations

from typing import Any

import httpx
from browser import Browser
from served import make_app
from starlette.responses import HTMLResponse

from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.store import MemoryStore

READ = """new Promise(settle => {
    const source = new EventSource("PATH"), seen = [];
    source.onmessage = event => seen.push(JSON.parse(event.data).header.n);
    source.addEventListener("end", event => seen.push(event.lastEventId, JSON.parse(event.data).frames));
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) settle(seen); };
})"""


class CuttingApp:
    """Breaks the answers to the first GETs of streams off after so many bytes each. Keeps each `Last-Event-ID`."""

    def __init__(self, app: Any, sizes: list[int]) -> None:
        self._app = app
        self._sizes = sizes
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/api/streams/"):
            await self._app(scope, receive, send)
            return
        self.asked.append(dict(scope["headers"]).get(b"last-event-id", b"").decode())
        left = self._sizes.pop(0) if self._sizes else 10**9

        async def cutting(message: Any) -> None:
            nonlocal left
            if message["type"] == "http.response.body" and len(message["body"]) > left:
                await send({**message, "body": message["body"][:left], "more_body": True})
                raise OSError("a cut of the test's")
            left -= len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, cutting)


def test_an_event_source_gets_each_message_once_over_cuts_and_stops_at_the_end(browser: Browser) -> None:
    app = make_app(MemoryStore())
    app.add_api_route("/", lambda: HTMLResponse("<!doctype html>"))
    cutting = CuttingApp(app, [1000, 700])
    with LoopbackServer(cutting) as server:  # type: ignore[arg-type]
        url = httpx.post(f"{server.url}/ask?count=20").headers["content-location"]
        browser.open(server.url)
        seen = browser.run(READ.replace("PATH", url))
    assert seen[:20] == list(range(20))
    assert seen[20] == "end"
    assert len(seen) == 22
    first, second, third, last = cutting.asked
    assert (first, last) == ("", "end")
    assert 0 < int(second) < int(third) < 20
