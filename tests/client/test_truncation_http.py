"""Every prefix of a valid stream of version 1, at any byte, over real HTTP, the connection cut there: the client
raises, after the messages that were whole; it never returns short.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest

from objectstreaming import JsonCoder, StreamEncoder, StreamIncomplete, TruncatedFrame
from objectstreaming.client import aopen_stream, open_stream
from objectstreaming.testing import Connection, RawServer, response_head

ENCODER: Final = StreamEncoder(JsonCoder())
FRAMES: Final = (
    ENCODER.open(heartbeat=15),
    ENCODER.data({"status": "success"}, {"answer": "one"}),
    ENCODER.ping(),
    ENCODER.data({}, "två"),
    ENCODER.end(trailers={"tokens": 2}),
)
WIRE: Final = b"".join(FRAMES)
BOUNDARIES: Final = [sum(map(len, FRAMES[:count])) for count in range(len(FRAMES) + 1)]
SENT: Final = [{"answer": "one"}, "två"]
WHOLE_AT: Final = [BOUNDARIES[2], BOUNDARIES[4]]  # the byte at which each message is whole


def by_closing(connection: Connection, prefix: bytes) -> None:
    """No length is known to HTTP: the end of the connection is the end of the body, and the cut looks like one."""
    connection.send(response_head(connection="close") + prefix)


def short_of_its_length(connection: Connection, prefix: bytes) -> None:
    connection.send(response_head(content_length=str(len(WIRE) + 1)) + prefix)


def without_the_last_chunk(connection: Connection, prefix: bytes) -> None:
    connection.send(response_head(transfer_encoding="chunked"))
    connection.send_chunks([prefix[:40], prefix[40:]])


def inside_a_chunk(connection: Connection, prefix: bytes) -> None:
    connection.send(response_head(transfer_encoding="chunked") + b"%x\r\n" % (len(WIRE) + 1) + prefix)


def with_the_last_chunk(connection: Connection, prefix: bytes) -> None:
    """As a proxy, or a middleware that swallows exceptions, ends a body that its own server has cut."""
    connection.send(response_head(transfer_encoding="chunked", connection="close"))
    connection.send_chunks([prefix])
    connection.send(b"0\r\n\r\n")


CUTS: Final = [by_closing, short_of_its_length, without_the_last_chunk, inside_a_chunk, with_the_last_chunk]


class Cutter:
    """Sends one byte more to each connection than to the one before it."""

    def __init__(self, cut: Callable[[Connection, bytes], None]) -> None:
        self._cut = cut
        self._next = 0
        self._lock = threading.Lock()

    def __call__(self, connection: Connection) -> None:
        with self._lock:
            at, self._next = self._next, self._next + 1
        self._cut(connection, WIRE[:at])


def judge(at: int, payloads: list[Any], error: Exception | None) -> None:
    assert payloads == [payload for payload, whole_at in zip(SENT, WHOLE_AT, strict=True) if whole_at <= at], at
    if at == len(WIRE):
        assert error is None, at
    elif at in BOUNDARIES:
        assert type(error) is StreamIncomplete, at
        assert error.position == len(payloads)
    else:
        assert type(error) is TruncatedFrame, at
        assert error.offset == max(start for start in BOUNDARIES if start <= at)


@pytest.mark.parametrize("cut", CUTS)
def test_a_stream_cut_at_any_byte_is_never_taken_for_a_whole_one(cut: Callable[[Connection, bytes], None]) -> None:
    with RawServer(Cutter(cut)) as server, httpx.Client(trust_env=False) as client:
        for at in range(len(WIRE) + 1):
            payloads, error = [], None
            try:
                with open_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                    for _, payload in stream:
                        payloads.append(payload)
            except (StreamIncomplete, TruncatedFrame) as raised:
                error = raised
            judge(at, payloads, error)


@pytest.mark.parametrize("cut", CUTS)
async def test_nor_by_the_asynchronous_client(cut: Callable[[Connection, bytes], None]) -> None:
    with RawServer(Cutter(cut)) as server:
        async with httpx.AsyncClient(trust_env=False) as client:
            for at in range(len(WIRE) + 1):
                payloads, error = [], None
                try:
                    async with aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                        async for _, payload in stream:
                            payloads.append(payload)
                except (StreamIncomplete, TruncatedFrame) as raised:
                    error = raised
                judge(at, payloads, error)
