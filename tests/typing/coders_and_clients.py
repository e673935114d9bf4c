"""What type checkers infer; `test_typing.py` runs mypy and pyright on this file. It is not run itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, assert_type

import httpx
import httpx2
import msgspec
import pydantic

from objectstreaming import (
    JsonCoder,
    MsgpackCoder,
    StreamDecoder,
    StreamEncoder,
    aiter_messages,
    iter_messages,
)
from objectstreaming.client import aopen_stream, open_stream


class Header(msgspec.Struct):
    n: int


@dataclass
class Answer:
    text: str


class Delta(pydantic.BaseModel):
    text: str


class Stop(pydantic.BaseModel):
    reason: str


def types_of_coders() -> None:
    assert_type(JsonCoder(), JsonCoder[dict[str, Any], Any])
    assert_type(JsonCoder(Header), JsonCoder[Header, Any])
    assert_type(JsonCoder(payload=Answer), JsonCoder[dict[str, Any], Answer])
    assert_type(JsonCoder(payload=Delta | Stop), JsonCoder[dict[str, Any], Delta | Stop])
    assert_type(JsonCoder(Delta | Stop, Answer | None), JsonCoder[Delta | Stop, Answer | None])
    assert_type(JsonCoder(payload=list[Delta | Stop]), JsonCoder[dict[str, Any], list[Delta | Stop]])
    assert_type(JsonCoder(payload=Answer | str, default=str), JsonCoder[dict[str, Any], Answer | str])
    assert_type(MsgpackCoder(), MsgpackCoder[Mapping[str, Any], Any])
    assert_type(MsgpackCoder(payload=Delta | Stop), MsgpackCoder[Mapping[str, Any], Delta | Stop])
    assert_type(MsgpackCoder(Header, bytes), MsgpackCoder[Header, bytes])


def types_of_messages(wire: bytes, chunks: Iterator[bytes]) -> None:
    coder = JsonCoder(Header, Delta | Stop)
    StreamEncoder(coder).data(Header(1), Stop(reason="end"))
    StreamEncoder(coder).data(Header(1), Answer("no"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for header, payload in StreamDecoder(coder).feed(wire):
        assert_type(header, Header)
        assert_type(payload, Delta | Stop)
    for _, payload in iter_messages(chunks, coder):
        assert_type(payload, Delta | Stop)


async def types_of_asynchronous_messages(chunks: AsyncIterator[bytes]) -> None:
    async for _, payload in aiter_messages(chunks, MsgpackCoder(payload=Answer)):
        assert_type(payload, Answer)


def types_of_streams(client: httpx.Client, other: httpx2.Client) -> None:
    with open_stream(client, "GET", "/", coder=JsonCoder(Header, Delta | Stop), timeout=3) as stream:
        for header, payload in stream:
            assert_type(header, Header)
            assert_type(payload, Delta | Stop)
        assert_type(next(stream), tuple[Header, Delta | Stop])
        assert_type(stream.read_all(), list[tuple[Header, Delta | Stop]])
        assert_type(stream.trailers, dict[str, Any] | None)
    with open_stream(other, "GET", "/", coder=JsonCoder()):
        pass


async def types_of_asynchronous_streams(client: httpx.AsyncClient, other: httpx2.AsyncClient) -> None:
    async with aopen_stream(client, "GET", "/", coder=JsonCoder(payload=Answer)) as stream:
        async for _, payload in stream:
            assert_type(payload, Answer)
        assert_type(await anext(stream), tuple[dict[str, Any], Answer])
        assert_type(await stream.read_all(), list[tuple[dict[str, Any], Answer]])
    async with aopen_stream(other, "GET", "/", coder=JsonCoder()):
        pass


def wrong_clients(client: httpx.Client, aclient: httpx.AsyncClient) -> None:
    aopen_stream(client, "GET", "/", coder=JsonCoder())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    open_stream(aclient, "GET", "/", coder=JsonCoder())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
