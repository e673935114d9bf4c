"""Leaving a stream of HTTP/2 so that its server knows.

When a response of HTTP/2 is closed early, httpcore sends nothing (its issue 943): the server goes on sending, the bytes
that nobody reads fill the window of the connection, and after a hundred such streams no other can begin. Here the
stream is reset (RFC 9113, section 5.4.2), and the bytes that came for it are given back to the window.

For this httpcore's own state of the connection is needed, whose names are private (tests/client/test_http2.py holds
them). Where it is not found, in another version or under a transport of somebody else's, the whole connection is shut
down, which the documented extension `network_stream` allows. Its server then knows too, but the other streams of that
connection break.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

from .extras import extra
from .watchdog import shut_down

with extra("client"):
    import anyio

__all__ = ["aleave", "aresetting", "is_http2", "leave", "read_errors", "resetting"]

_CANCEL: Final = 8
"""RFC 9113, section 7: the stream is no longer needed."""

_SECONDS: Final = 1.0
"""How long the few bytes may take to be written. A connection that takes none for so long is closed."""


class _Request:
    """What httpcore asks about the request that it writes for."""

    extensions: Final = {"timeout": {"write": _SECONDS}}


def is_http2(response: Any) -> bool:
    """Whether a response came over HTTP/2."""
    return bool(response.http_version == "HTTP/2" and "network_stream" in response.extensions)


def read_errors(response: Any) -> tuple[type[Exception], ...]:
    """What a read of the body may raise besides the errors of httpx.

    httpcore lets out what h2 raises, for example for every frame that a server sends after GOAWAY: h2 takes GOAWAY for
    the end of the connection.
    """
    if not is_http2(response):
        return ()
    from h2.exceptions import H2Error

    return (H2Error,)


@contextmanager
def resetting(client: Any) -> Iterator[None]:
    """Around a request: if it is given up before its response has begun, its stream is reset."""
    try:
        yield
    except BaseException:
        for connection in _connections(client):
            with suppress(Exception):
                if _reset(connection, _forgotten(connection)):
                    connection._write_outgoing_data(_Request)
        raise


@asynccontextmanager
async def aresetting(client: Any) -> AsyncIterator[None]:
    """`resetting` for an asynchronous client."""
    try:
        yield
    except BaseException:
        for connection in _connections(client):
            with suppress(Exception), anyio.move_on_after(_SECONDS, shield=True):
                if _reset(connection, _forgotten(connection)):
                    await connection._write_outgoing_data(_Request)
        raise


def leave(response: Any, *, wake: bool = False) -> None:
    """Reset the stream of a response over HTTP/2, unless it has ended. Before the response is closed.

    With `wake`, a read of the stream in another thread ends at once: it fails as if the server had reset it.
    """
    if not is_http2(response):
        return
    try:
        connection, stream_id = _connection(response), response.extensions["stream_id"]
        if _reset(connection, [stream_id], wake=wake):
            connection._write_outgoing_data(_Request)
    except Exception:  # noqa: BLE001  whatever is not as expected
        with suppress(Exception):
            shut_down(response.extensions["network_stream"].get_extra_info("socket"))
            for _ in response.stream:  # until the read fails, so that httpcore gives the connection up
                pass


async def aleave(response: Any, *, wake: bool = False) -> None:
    """`leave` for an asynchronous client."""
    if not is_http2(response):
        return
    try:
        connection, stream_id = _connection(response), response.extensions["stream_id"]
        if _reset(connection, [stream_id], wake=wake):
            with anyio.fail_after(_SECONDS, shield=True):
                await connection._write_outgoing_data(_Request)
    except Exception:  # noqa: BLE001  whatever is not as expected
        with suppress(Exception), anyio.move_on_after(_SECONDS, shield=True):
            shut_down(response.extensions["network_stream"].get_extra_info("socket"))
            async for _ in response.stream:  # until the read fails, so that httpcore gives the connection up
                pass


def _reset(connection: Any, stream_ids: list[int], *, wake: bool = False) -> bool:
    """Reset those of the streams that are open. Whether there is something to write now."""
    from h2.events import DataReceived, StreamReset

    state = connection._h2_state
    is_any_open = False
    for stream_id in stream_ids:
        stream = state.streams.get(stream_id)
        if stream is None or stream.closed:
            continue
        is_any_open = True
        state.reset_stream(stream_id, _CANCEL)
        events = connection._events.get(stream_id, [])
        for event in events:
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                state.acknowledge_received_data(event.flow_controlled_length, stream_id)
        if wake:
            # The event ends the read of the stream, the answer to the ping that of the connection.
            event = StreamReset.__new__(StreamReset)  # its parameters differ between versions
            event.stream_id, event.error_code, event.remote_reset = stream_id, _CANCEL, False
            events[:] = [event]
            state.ping(b"wake up!")
    return is_any_open


def _forgotten(connection: Any) -> list[int]:
    """The streams that are open, although httpcore has given them up."""
    return [stream_id for stream_id in list(connection._h2_state.streams) if stream_id not in connection._events]


def _connection(response: Any) -> Any:
    """httpcore's connection of a response. Raises `StopIteration` where it is not found."""
    found = response.stream
    while not hasattr(found, "_h2_state"):
        name = next(name for name in ("_httpcore_stream", "_stream", "_connection") if hasattr(found, name))
        found = getattr(found, name)
    return found


def _connections(client: Any) -> Iterator[Any]:
    """httpcore's connections of HTTP/2, in all pools of the client."""
    transports = [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
    for transport in transports:
        for connection in list(getattr(getattr(transport, "_pool", None), "_connections", ())):
            while connection is not None and not hasattr(connection, "_h2_state"):  # a proxy's connection wraps another
                connection = getattr(connection, "_connection", None)
            if connection is not None:
                yield connection
