"""What interrupts a read never turns into an ordinary end: the stream is known not to be whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from objectstreaming import (
    JsonCoder,
    PayloadError,
    StreamEncoder,
    StreamError,
    StreamIncomplete,
    TruncatedFrame,
    aiter_messages,
    iter_messages,
)
from objectstreaming.client import aopen_stream, open_stream

PLAIN = "application/octet-stream"
VERSION_1 = "application/vnd.objectstreaming;v=1"
ENCODER = StreamEncoder(JsonCoder())
OPEN = ENCODER.open()
FRAMES = [ENCODER.data({}, n) for n in range(4)]
END = ENCODER.end()


class Alarm(Exception):
    """What a signal handler raises."""


def chunks_with_an_alarm(*after: bytes) -> Iterator[bytes]:
    """The second read is interrupted, as by a signal. This iterator, unlike a generator, could go on."""
    reads = iter([FRAMES[0], Alarm(), *after])

    def read() -> bytes:
        chunk = next(reads)
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    class Chunks:
        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            return read()

    return Chunks()  # type: ignore[return-value]


async def chunks_that_stall(*before: bytes) -> AsyncIterator[bytes]:
    for chunk in before:
        yield chunk
    await anyio.sleep_forever()


def in_wait_for(ask: Callable[[], Any]) -> Any:
    return asyncio.wait_for(ask(), 0.01)


async def in_a_timeout(ask: Callable[[], Any]) -> Any:
    async with asyncio.timeout(0.01):
        return await ask()


async def in_a_cancel_scope(ask: Callable[[], Any]) -> Any:
    with anyio.fail_after(0.01):
        return await ask()


WAYS = pytest.mark.parametrize("wait", [in_wait_for, in_a_timeout, in_a_cancel_scope])
KINDS = pytest.mark.parametrize("kind", [PLAIN, VERSION_1])
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)


def streaming(library: Any, kind: str, body: Any) -> Any:
    """A transport whose response is read from `body`, chunk by chunk."""

    class Body(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[bytes]:
            return iter(body)

        def __aiter__(self) -> AsyncIterator[bytes]:
            return aiter(body)

    return library.MockTransport(lambda _: library.Response(200, headers={"Content-Type": kind}, stream=Body()))


class TestATimeoutOfTheReaders:
    @WAYS
    @KINDS
    @LIBRARIES
    async def test_is_not_the_end_of_a_response(self, wait: Any, kind: str, library: Any) -> None:
        transport = streaming(library, kind, chunks_that_stall(FRAMES[0]))
        async with (
            library.AsyncClient(transport=transport) as client,
            aopen_stream(client, "GET", "http://server/", coder=JsonCoder()) as stream,
        ):
            assert await anext(stream) == ({}, 0)
            with pytest.raises(TimeoutError):
                await wait(lambda: anext(stream))
            for _ in range(2):
                with pytest.raises(
                    StreamIncomplete, match="interrupted by CancelledError after 1 data frames"
                ) as caught:
                    await anext(stream)
                assert caught.value.position == 1
            with pytest.raises(StreamIncomplete):
                _ = [message async for message in stream]

    @WAYS
    async def test_is_not_the_end_for_an_iterator_that_was_taken_before(self, wait: Any) -> None:
        transport = streaming(httpx, PLAIN, chunks_that_stall(FRAMES[0]))
        async with (
            httpx.AsyncClient(transport=transport) as client,
            aopen_stream(client, "GET", "http://server/", coder=JsonCoder()) as stream,
        ):
            messages = aiter(stream)
            assert await anext(messages) == ({}, 0)
            with pytest.raises(TimeoutError):
                await wait(lambda: anext(messages))
            with pytest.raises(StreamIncomplete):
                await anext(messages)

    @WAYS
    @pytest.mark.parametrize("require_end", [None, True, False])
    async def test_is_not_the_end_of_aiter_messages(self, wait: Any, require_end: bool | None) -> None:
        messages = aiter_messages(chunks_that_stall(OPEN, FRAMES[0]), JsonCoder(), require_end=require_end)
        assert await anext(messages) == ({}, 0)
        with pytest.raises(TimeoutError):
            await wait(lambda: anext(messages))
        for _ in range(2):
            with pytest.raises(StreamIncomplete, match="interrupted"):
                await anext(messages)

    @pytest.mark.parametrize("anyio_backend", ["trio"])
    async def test_is_not_the_end_on_trio(self) -> None:
        messages = aiter_messages(chunks_that_stall(FRAMES[0]), JsonCoder())
        with anyio.move_on_after(0.01) as scope:
            _ = [message async for message in messages]
        assert scope.cancelled_caught
        with pytest.raises(StreamIncomplete, match="interrupted by Cancelled"):
            await anext(messages)


class TestAnExceptionOfASignalHandler:
    @KINDS
    @LIBRARIES
    def test_is_not_the_end_of_a_response(self, kind: str, library: Any) -> None:
        transport = streaming(library, kind, chunks_with_an_alarm(FRAMES[1], END))
        with (
            library.Client(transport=transport) as client,
            open_stream(client, "GET", "http://server/", coder=JsonCoder()) as stream,
        ):
            messages = iter(stream)
            assert next(messages) == ({}, 0)
            with pytest.raises(Alarm):
                next(messages)
            for again in (messages, stream, iter(stream)):
                with pytest.raises(StreamIncomplete, match="interrupted by Alarm after 1 data frames"):
                    next(again)

    @pytest.mark.parametrize("require_end", [None, True, False])
    def test_is_not_the_end_of_iter_messages(self, require_end: bool | None) -> None:
        messages = iter_messages(chunks_with_an_alarm(FRAMES[1]), JsonCoder(), require_end=require_end)
        assert next(messages) == ({}, 0)
        with pytest.raises(Alarm):
            next(messages)
        for _ in range(2):
            with pytest.raises(StreamIncomplete, match="interrupted by Alarm"):
                next(messages)

    def test_in_a_coder_is_not_the_end_and_no_message_is_skipped(self) -> None:
        class Interrupted(JsonCoder[Any, Any]):
            def decode(self, frame: Any) -> Any:
                if frame.index == 1:
                    raise KeyboardInterrupt
                return super().decode(frame)

        messages = iter_messages([b"".join(FRAMES)], Interrupted())
        assert next(messages) == ({}, 0)
        with pytest.raises(KeyboardInterrupt):
            next(messages)
        with pytest.raises(StreamIncomplete, match="interrupted by KeyboardInterrupt"):
            next(messages)


class TestAnErrorOfTheStream:
    """Whoever goes on after it gets it again."""

    def test_is_raised_again_by_iter_messages(self) -> None:
        wire = b"".join(FRAMES[:2]) + StreamEncoder(JsonCoder()).end(error=StreamError("unavailable"))[:-1]
        messages = iter_messages([wire], JsonCoder())
        assert [next(messages)[1], next(messages)[1]] == [0, 1]
        for _ in range(2):
            with pytest.raises(TruncatedFrame):
                next(messages)

    async def test_is_raised_again_by_aiter_messages(self) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield OPEN + FRAMES[0]

        messages = aiter_messages(chunks(), JsonCoder())
        assert (await anext(messages))[1] == 0
        for _ in range(2):
            with pytest.raises(StreamIncomplete, match="without its end"):
                await anext(messages)

    def test_in_one_payload_lets_iter_messages_go_on(self) -> None:
        wire = FRAMES[0] + FRAMES[1].replace(b"1", b"x", 1) + FRAMES[2]
        messages = iter_messages([wire, FRAMES[3]], JsonCoder())
        assert next(messages)[1] == 0
        with pytest.raises(PayloadError):
            next(messages)
        assert [payload for _, payload in messages] == [2, 3]
        assert list(messages) == []

    async def test_in_one_payload_lets_aiter_messages_go_on(self) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield FRAMES[0] + FRAMES[1].replace(b"1", b"x", 1) + FRAMES[2]
            yield FRAMES[3]

        messages = aiter_messages(chunks(), JsonCoder())
        assert (await anext(messages))[1] == 0
        with pytest.raises(PayloadError):
            await anext(messages)
        assert [payload async for _, payload in messages] == [2, 3]


class TestMisuse:
    async def test_two_tasks_that_read_are_told_and_the_stream_goes_on(self) -> None:
        going_on = anyio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            await going_on.wait()
            yield FRAMES[0]

        messages = aiter_messages(chunks(), JsonCoder())
        got: list[Any] = []

        async def read() -> None:
            got.append(await anext(messages))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="two tasks or threads"):
                await anext(messages)
            going_on.set()
        assert got == [({}, 0)]

    def test_chunks_of_the_wrong_kind_are_refused_with_the_right_call(self) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b""

        with pytest.raises(TypeError, match="async_generator: use aiter_messages"):
            iter_messages(chunks(), JsonCoder())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="list: use iter_messages"):
            aiter_messages([b""], JsonCoder())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"bytes: pass an iterable of bytes, as \[data\]"):
            iter_messages(b"".join(FRAMES), JsonCoder())  # type: ignore[arg-type]

    def test_a_chunk_that_is_none_is_not_the_end(self) -> None:
        with pytest.raises(TypeError, match="not None"):
            list(iter_messages([FRAMES[0], None], JsonCoder()))  # type: ignore[list-item]

    async def test_nor_for_aiter_messages(self) -> None:
        async def chunks() -> AsyncIterator[Any]:
            yield None

        with pytest.raises(TypeError, match="not None"):
            await anext(aiter_messages(chunks(), JsonCoder()))

    def test_messages_that_were_closed_are_no_short_stream(self) -> None:
        messages = iter_messages(FRAMES, JsonCoder())
        next(messages)
        messages.close()  # type: ignore[attr-defined]
        with pytest.raises(RuntimeError, match="closed before its end"):
            next(messages)
