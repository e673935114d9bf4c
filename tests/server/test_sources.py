"""Pumps and their writer: what a source gives is kept in order, bounded and counted, and the source always closed."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstreaming import EncodeError, FrameDecoder, InvalidLength, JsonCoder, RawCoder, StreamEncoder
from objectstreaming.server import sources
from objectstreaming.server.sources import AsyncPump, Pump, ThreadPump, Writer, pump_for

RAW = RawCoder()


class Bench:
    """A pump with its bell."""

    def __init__(self, source: Any, *, batch: int = sources.BATCH) -> None:
        self.bell = asyncio.Event()
        self.rings = 0
        self.encoder = StreamEncoder(RAW, None)
        self.pump = pump_for(source, Writer(self.encoder, RAW), self._ring, batch)
        self.pump.start()

    def _ring(self) -> None:
        self.rings += 1
        self.bell.set()

    async def rung(self) -> None:
        async with asyncio.timeout(5):
            await self.bell.wait()
        self.bell.clear()

    async def drain(self, pause: Callable[[], int] = lambda: 0) -> tuple[bytes, list[int]]:
        """All that comes, and the sizes of what was taken; after each taking the loop runs `pause()` times."""
        taken = []
        while not (self.pump.finished and not self.pump.held):
            data = self.pump.take()
            taken.append(data)
            for _ in range(pause()):
                await asyncio.sleep(0)
            if not data and not self.pump.finished:
                await self.rung()
        return b"".join(taken), [len(data) for data in taken]


def items(count: int) -> list[tuple[dict[str, int], bytes]]:
    return [({"n": n}, bytes([n % 256]) * (n % 50)) for n in range(count)]


def wire(count: int) -> bytes:
    return b"".join(RAW.encode(*item) for item in items(count))


async def asynchronous(count: int, seed: int = 0) -> AsyncIterator[Any]:
    waits = random.Random(seed)
    for item in items(count):
        if waits.random() < 0.3:
            await asyncio.sleep(0)
        yield item


@pytest.mark.parametrize("batch", [1, 100, 64 * 1024])
@pytest.mark.parametrize("seed", range(5))
async def test_an_async_source_comes_through_whole_and_in_order(seed: int, batch: int) -> None:
    bench = Bench(asynchronous(300, seed), batch=batch)
    waits = random.Random(seed + 100)
    data, sizes = await bench.drain(lambda: waits.randrange(4))
    assert data == wire(300)
    assert max(sizes) <= batch + 100
    assert (bench.pump.error, bench.encoder.position) == (None, 300)


@pytest.mark.parametrize("batch", [1, 100, 64 * 1024])
async def test_a_sync_source_comes_through_whole_and_in_order(batch: int) -> None:
    bench = Bench(iter(items(300)), batch=batch)
    data, sizes = await bench.drain()
    assert data == wire(300)
    assert max(sizes) <= batch + 100
    assert (bench.pump.error, bench.encoder.position) == (None, 300)


def test_the_kind_of_pump_follows_the_kind_of_source() -> None:
    writer = Writer(StreamEncoder(RAW), RAW)

    def kind(source: Any) -> type[Pump]:
        return type(pump_for(source, writer, lambda: None))

    assert [kind(source) for source in (asynchronous(1), [], (), b"", bytearray())] == [AsyncPump] * 5
    assert [kind(source) for source in (iter([]), map(str, []), {1}, range(3))] == [ThreadPump] * 4
    with pytest.raises(TypeError, match="a source is an iterable"):
        pump_for(5, writer, lambda: None)


@pytest.mark.parametrize("endless", ["async", "sync"])
async def test_a_pump_that_nobody_takes_from_stands_still_at_a_batch(endless: str) -> None:
    pulled = itertools.count()

    def sync() -> Iterator[Any]:
        while True:
            yield {"n": next(pulled)}, bytes(100)

    async def async_() -> AsyncIterator[Any]:
        for item in sync():
            yield item

    bench = Bench(async_() if endless == "async" else sync(), batch=10_000)
    await bench.rung()
    held = -1
    while held != bench.pump.held:
        held = bench.pump.held
        await asyncio.sleep(0.02)
    assert 9_800 < held <= 10_000
    assert bench.rings == 1  # the bell says that there is something, once
    bench.pump.stop()
    await bench.pump.closed()


async def test_a_full_outbox_is_one_write_and_no_more_than_a_batch() -> None:
    async def source() -> AsyncIterator[Any]:
        for _ in range(30):
            yield {}, bytes(90)  # a frame of 100 bytes

    _, sizes = await Bench(source(), batch=1_050).drain()
    assert [size for size in sizes if size] == [1_000, 1_000, 1_000]
    _, sizes = await Bench(source(), batch=50).drain()
    assert [size for size in sizes if size] == [100] * 30


async def test_the_bell_rings_only_for_a_sender_that_has_found_nothing() -> None:
    more = asyncio.Event()

    async def source() -> AsyncIterator[Any]:
        for _ in range(4):
            yield {}, bytes(90)
        await more.wait()
        yield {}, b""

    bench = Bench(source(), batch=200)
    await bench.rung()
    for _ in range(2):  # the second two have come while the first were being sent
        assert len(bench.pump.take()) == 200
        await asyncio.sleep(0)
    assert bench.rings == 1
    assert bench.pump.take() == b""
    more.set()
    await bench.rung()
    assert bench.pump.take() == RAW.encode({}, b"")


async def test_after_stop_no_frame_is_counted_that_cannot_be_taken() -> None:
    for _ in range(30):
        bench = Bench(zip(itertools.repeat({}), itertools.repeat(b"x" * 100)), batch=5_000)
        await bench.rung()
        bench.pump.stop()
        data = b"".join(iter(bench.pump.take, b""))
        assert len(list(FrameDecoder().feed(data))) == bench.encoder.position
        await bench.pump.closed()
        assert bench.pump.take() == b""


async def test_each_item_of_a_sync_source_that_waits_is_there_while_it_waits() -> None:
    go = threading.Semaphore(0)

    def source() -> Iterator[Any]:
        for item in items(50):
            yield item
            assert go.acquire(timeout=10)

    bench = Bench(source())
    for item in items(50):
        await bench.rung()
        assert bench.pump.take() == RAW.encode(*item)
        assert bench.pump.take() == b""
        go.release()
    await bench.rung()
    assert bench.pump.finished


async def test_good_frames_of_a_chunk_come_before_the_error_of_a_bad_one() -> None:
    bench = Bench([wire(3) + b"\0\0\0\0"])
    data, _ = await bench.drain()
    assert data == wire(3)
    assert isinstance(bench.pump.error, InvalidLength)


async def test_good_frames_before_a_bad_one_do_not_wait_for_their_source_to_be_closed() -> None:
    closing = threading.Event()

    def source() -> Iterator[Any]:
        try:
            yield wire(3) + b"\0\0\0\0"
        finally:
            closing.wait(10)

    bench = Bench(source())
    await bench.rung()
    assert bench.pump.take() == wire(3)
    assert not bench.pump.finished
    closing.set()
    await bench.rung()
    assert isinstance(bench.pump.error, InvalidLength)


async def test_what_is_no_message_is_an_encode_error() -> None:
    bench = Bench(iter(["text"]))
    await bench.drain()
    assert isinstance(bench.pump.error, EncodeError)
    assert "not str" in str(bench.pump.error)


class Closing:
    """An iterator of its own making, with a `close` that fails or not."""

    def __init__(self, failing: bool = False) -> None:
        self.failing = failing
        self.closed_on: int | None = None

    def __iter__(self) -> Closing:
        return self

    def __next__(self) -> tuple[dict[str, Any], bytes]:
        return {}, bytes(1000)

    def close(self) -> None:
        self.closed_on = threading.get_ident()
        if self.failing:
            raise OSError("cannot close")


class Leaving(BaseException):
    """As a test runner's Exit is, or a scheduler's own."""


async def test_a_source_that_fails_with_no_mere_exception_has_failed_all_the_same() -> None:
    async def source() -> AsyncIterator[Any]:
        yield {}, b"1"
        raise Leaving

    bench = Bench(source())
    await bench.drain()
    assert isinstance(bench.pump.error, Leaving)
    with pytest.raises(Leaving):
        await bench.pump._task  # type: ignore[attr-defined]


@pytest.mark.parametrize("failing", [False, True])
async def test_whatever_can_be_closed_is_closed_and_its_failure_is_logged(
    failing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    source = Closing(failing)
    bench = Bench(source)
    await bench.rung()
    bench.pump.stop()
    await bench.pump.closed()
    assert source.closed_on not in (None, threading.get_ident())
    assert ("cannot close" in caplog.text) == failing


async def test_a_source_that_catches_its_cancelling_gets_no_further_frame_out() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncIterator[Any]:
        try:
            yield {}, b"first"
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield {}, b"never mind"
        finally:
            closed.set()

    bench = Bench(source())
    await bench.rung()
    bench.pump.stop()
    await bench.pump.closed()
    assert closed.is_set()
    assert bench.encoder.position == 1


async def test_a_pump_stopped_before_its_first_step_runs_nothing() -> None:
    ran = []

    async def source() -> AsyncIterator[Any]:
        ran.append(True)
        yield {}, b""

    bench = Bench(source())
    bench.pump.stop()
    await bench.pump.closed()
    assert not ran


async def test_a_busy_thread_is_left_to_end_by_itself_after_some_patience(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sources, "PATIENCE", 0.02)
    go, closed = threading.Event(), threading.Event()

    def source() -> Iterator[Any]:
        try:
            yield {}, b""
            go.wait(10)
            yield {}, b""
        finally:
            closed.set()

    with caplog.at_level(logging.WARNING):
        bench = Bench(source())
        await bench.rung()
        bench.pump.stop()
        await bench.pump.closed()
    assert not closed.is_set()
    assert "still busy" in caplog.text
    go.set()
    assert await asyncio.to_thread(closed.wait, 5)


def test_a_thread_outlives_its_loop_without_a_word() -> None:
    go, closed = threading.Event(), threading.Event()

    def source() -> Iterator[Any]:
        try:
            go.wait(10)
            yield {}, b""
        finally:
            closed.set()

    async def start() -> None:
        Bench(source())

    asyncio.run(start())
    go.set()
    assert closed.wait(5)


@given(st.lists(st.binary(max_size=30), max_size=8), st.data())
def test_bytes_in_any_pieces_are_the_same_frames(payloads: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(RAW.encode({}, payload) for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    writer = Writer(StreamEncoder(RAW, None), RAW)
    frames: list[bytes] = []
    for begin, end in itertools.pairwise([0, *cuts, len(whole)]):
        frames.extend(writer.frames(whole[begin:end]))
    writer.finish()
    assert frames == [RAW.encode({}, payload) for payload in payloads]


def test_a_relayed_stream_of_another_coder_is_refused() -> None:
    opened = StreamEncoder(JsonCoder()).open()
    writer = Writer(StreamEncoder(RAW), RAW)
    with pytest.raises(Exception, match="the stream's coder is 'json'"):
        list(writer.frames(opened))
