"""An httpx transport that runs an ASGI application in this process and streams, in both directions.

httpx's own `ASGITransport` collects the whole response before it gives the first byte, so that it can test neither a
stream that never ends nor a reader that leaves. This one behaves as a server does, with uvicorn as the model. Each
chunk can be read as soon as it was sent. `send` waits while more than `buffer` bytes are unread. If the response is
closed early, the client has left, and `receive` gives `http.disconnect`. If the application raises, or returns before
its response is complete, the connection is cut: `httpx.RemoteProtocolError`, with the application's exception as its
cause. If it has not begun a response, the status is 500.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import anyio
import httpx

__all__ = ["ASGIApp", "StreamingASGITransport"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[Any]]


class StreamingASGITransport(httpx.AsyncBaseTransport):
    """`httpx.AsyncClient(transport=StreamingASGITransport(app), base_url="http://test")`. asyncio only.

    The read timeouts of requests are kept. Lifespan events are not sent.

    >>> async def app(scope, receive, send):
    ...     await send({"type": "http.response.start", "status": 200, "headers": []})
    ...     for number in range(10_000):
    ...         await send({"type": "http.response.body", "body": b"%d " % number, "more_body": True})
    >>> async def first_bytes():
    ...     transport = StreamingASGITransport(app)
    ...     async with httpx.AsyncClient(transport=transport) as client:
    ...         async with client.stream("GET", "http://test/") as response:
    ...             async for chunk in response.aiter_raw():
    ...                 return chunk
    >>> asyncio.run(first_bytes())
    b'0 '

    Args:
        app: the ASGI application.
        buffer: how many bytes the application may be ahead of the reader, 64 KiB as in uvicorn. With 0 each `send`
            waits until its chunk was read.
        spec_version: of ASGI. Below 2.4, what is sent after the client has left is dropped; from 2.4 on it raises
            `OSError`.
        grace: closing the client waits so many seconds for applications that are still running, then cancels them.
        root_path: as in the ASGI scope.
        client: address and port of the client, as in the ASGI scope.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        buffer: int = 65536,
        spec_version: str = "2.3",
        grace: float = 5.0,
        root_path: str = "",
        client: tuple[str, int] = ("127.0.0.1", 50000),
    ) -> None:
        self.app = app
        self.buffer = buffer
        self.spec_version = spec_version
        self.grace = grace
        self.root_path = root_path
        self.client = client
        self.exceptions: list[BaseException] = []
        """What applications raised, in order: what a server would log."""
        self._running: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Run the application for one request; httpx calls this. Returns when the response has begun."""
        exchange = _Exchange(self, request)
        task = asyncio.get_running_loop().create_task(exchange.run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await exchange.until(exchange.started)
        except BaseException:
            exchange.disconnect()
            raise
        return httpx.Response(exchange.status, headers=exchange.headers, stream=_Body(exchange))

    async def aclose(self) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=self.grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


class _Exchange:
    """One request and its response, between the application's task and the reader's."""

    def __init__(self, transport: StreamingASGITransport, request: httpx.Request) -> None:
        self.transport = transport
        self.request = request
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.started = asyncio.Event()
        self.chunks: deque[bytes] = deque()
        self.held = 0
        self.readable = asyncio.Event()
        self.writable = asyncio.Event()
        self.gone = asyncio.Event()  # the client has left, or has the complete response
        self.complete = False
        self.failure: BaseException | None = None
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self._request_body = request.stream.__aiter__()
        self._request_read = False
        unknown = math.inf if "transfer-encoding" in request.headers else 0
        self._request_missing = float(request.headers.get("content-length", unknown))
        self._missing: int | None = None

    async def run(self) -> None:
        transport, url = self.transport, self.request.url
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": transport.spec_version},
            "http_version": "1.1",
            "method": self.request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "root_path": transport.root_path,
            "headers": [(name.lower(), value) for name, value in self.request.headers.raw],
            "client": transport.client,
            "server": (url.host, url.port),
            "state": {},
        }
        try:
            await transport.app(scope, self.receive, self.send)
            if not self.complete:
                self.failure = RuntimeError("the application returned without completing its response")
        except BaseException as error:
            self.failure = error
            transport.exceptions.append(error)
            if not isinstance(error, Exception):  # a cancellation, for example, must not be swallowed
                raise
        finally:
            if not self.started.is_set():
                self._answer_500()
            self.readable.set()

    def _answer_500(self) -> None:
        self.headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21")]
        self.chunks.append(b"Internal Server Error")
        self.complete = True
        self.started.set()

    async def receive(self) -> Message:
        if self._request_read or self.gone.is_set():
            await self.gone.wait()
            return {"type": "http.disconnect"}
        try:
            body = await anext(self._request_body)
        except StopAsyncIteration:
            body, self._request_missing = b"", 0
        self._request_missing -= len(body)
        self._request_read = self._request_missing <= 0
        return {"type": "http.request", "body": body, "more_body": not self._request_read}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            if self.started.is_set():
                raise RuntimeError("http.response.start was sent twice")
            self.status = message["status"]
            self.headers = list(message.get("headers", []))
            lengths = [int(value) for name, value in self.headers if name.lower() == b"content-length"]
            self._missing = lengths[0] if lengths else None
            self.started.set()
        elif kind == "http.response.body":
            if not self.started.is_set() or self.complete:
                raise RuntimeError("http.response.body before http.response.start, or after the body's end")
            body = message.get("body", b"")
            if not isinstance(body, bytes | bytearray | memoryview):  # bytes(5) would be five zeros
                raise TypeError(f"a body is bytes, not {type(body).__name__}")
            await self._send_body(bytes(body), message.get("more_body", False))

    async def _send_body(self, body: bytes, more: bool) -> None:
        if self.gone.is_set():
            if tuple(map(int, self.transport.spec_version.split("."))) >= (2, 4):
                raise OSError("the client has left")
            return
        if self.request.method != "HEAD" and self.status not in (204, 304):
            if self._missing is not None:
                self._missing -= len(body)
                if self._missing < 0 or (self._missing and not more):
                    raise RuntimeError("the body does not have the length that Content-Length says")
            if body:
                self.chunks.append(body)
                self.held += len(body)
        self.complete = not more
        self.readable.set()
        if self.complete:
            self.gone.set()
        while self.held > self.transport.buffer and not self.gone.is_set():
            self.writable.clear()
            await self.writable.wait()

    async def next_chunk(self) -> bytes | None:
        """The next chunk for the reader; `None` at the end. Raises `RemoteProtocolError` at a cut."""
        while not self.chunks:
            if self.complete:
                return None
            if self.failure is not None:
                raise httpx.RemoteProtocolError(
                    "peer closed connection without sending complete message body", request=self.request
                ) from self.failure
            self.readable.clear()
            await self.until(self.readable)
        chunk = self.chunks.popleft()
        self.held -= len(chunk)
        self.writable.set()
        return chunk

    async def until(self, event: asyncio.Event) -> None:
        """Wait for the event, but not longer than the request's read timeout."""
        seconds = self.request.extensions.get("timeout", {}).get("read")
        try:
            with anyio.fail_after(seconds):
                await event.wait()
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"the application sent nothing for {seconds} s", request=self.request) from error

    def disconnect(self) -> None:
        self.gone.set()
        self.writable.set()


class _Body(httpx.AsyncByteStream):
    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._exchange.next_chunk()) is not None:
            yield chunk

    async def aclose(self) -> None:
        self._exchange.disconnect()
