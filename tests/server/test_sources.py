"""Source runners and their writer: what a source gives is bounded, counted and in order, and the source is closed."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from deadlines import DEADLINE, until
from hypothesis import given
from hypothesis import strategies as st

from objectstreaming import EncodeError, FrameDecoder, JsonCoder, RawCoder, StreamEncoder
from objectstreaming.errors import InvalidLength
from objectstreaming.server import sources
from objectstreaming.server.sources import SourceRunner, TaskRunner, ThreadRunner, Writer, runner_for

RAW = RawCoder()


@pytest.fixture(autouse=True)
def one_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """No source is interrupted because the machine is busy: what one take gives does not depend on the clock."""
    monkeypatch.setattr(sources, "SLICE_SECONDS", 3600)


class Running:
    """A runner that has started, and the event that it notifies."""

    def __init__(self, source: Any, *, batch: int = sources.BATCH) -> None:
        self.event = asyncio.Event()
        self.notifications = 0
        self.encoder = StreamEncoder(RAW, None)
        self.runner = runner_for(source, Writer(self.encoder, RAW), self._notify, batch)
        self.runner.start()

    def _notify(self) -> None:
        self.notifications += 1
        self.event.set()

    async def notified(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.event.wait()
        self.event.clear()

    async def drain(self, pause: Callable[[], int] = lambda: 0) -> tuple[bytes, list[int]]:
        """Everything that comes, and the size of each take. The event loop runs `pause()` times after each take."""
        taken = []
        while not (self.runner.finished and not self.runner.held):
            data = self.runner.take()
            taken.append(data)
            for _ in range(pause()):
                await asyncio.sleep(0)
            if not data and not self.runner.finished:
                await self.notified()
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
    running = Running(asynchronous(300, seed), batch=batch)
    waits = random.Random(seed + 100)
    data, sizes = await running.drain(lambda: waits.randrange(4))
    assert data == wire(300)
    assert max(sizes) <= batch + 100
    assert (running.runner.error, running.encoder.position) == (None, 300)


@pytest.mark.parametrize("batch", [1, 100, 64 * 1024])
async def test_a_sync_source_comes_through_whole_and_in_order(batch: int) -> None:
    running = Running(iter(items(300)), batch=batch)
    data, sizes = await running.drain()
    assert data == wire(300)
    assert max(sizes) <= batch + 100
    assert (running.runner.error, running.encoder.position) == (None, 300)


def test_an_async_source_gets_a_task_and_a_sync_one_a_thread() -> None:
    writer = Writer(StreamEncoder(RAW), RAW)

    def kind(source: Any) -> type[SourceRunner]:
        return type(runner_for(source, writer, lambda: None))

    assert [kind(source) for source in (asynchronous(1), [], (), b"", bytearray())] == [TaskRunner] * 5
    assert [kind(source) for source in (iter([]), map(str, []), {1}, range(3))] == [ThreadRunner] * 4
    with pytest.raises(TypeError, match="a source is an iterable"):
        runner_for(5, writer, lambda: None)


@pytest.mark.parametrize("endless", ["async", "sync"])
async def test_a_source_that_nobody_takes_from_stops_at_a_batch(endless: str) -> None:
    pulled = itertools.count()

    def sync() -> Iterator[Any]:
        while True:
            yield {"n": next(pulled)}, bytes(100)

    async def async_() -> AsyncIterator[Any]:
        for item in sync():
            yield item

    running = Running(async_() if endless == "async" else sync(), batch=10_000)
    await running.notified()
    await until(lambda: running.runner.held > 9_800)
    for _ in range(3):  # a source that goes on would give more within these pauses
        assert running.runner.held <= 10_000
        await asyncio.sleep(0.01)
    assert running.notifications == 1  # once for everything that is there
    running.runner.stop()
    await running.runner.closed()


async def test_a_full_outbox_is_one_write_and_no_more_than_a_batch() -> None:
    async def source() -> AsyncIterator[Any]:
        for _ in range(30):
            yield {}, bytes(90)  # a frame of 100 bytes

    _, sizes = await Running(source(), batch=1_050).drain()
    assert [size for size in sizes if size] == [1_000, 1_000, 1_000]
    _, sizes = await Running(source(), batch=50).drain()
    assert [size for size in sizes if size] == [100] * 30


async def test_a_sender_that_has_taken_everything_is_notified_once() -> None:
    more = asyncio.Event()

    async def source() -> AsyncIterator[Any]:
        for _ in range(4):
            yield {}, bytes(90)
        await more.wait()
        yield {}, b""

    running = Running(source(), batch=200)
    for notifications in (1, 2):
        await running.notified()
        assert len(running.runner.take()) == 200
        assert running.notifications == notifications
    await asyncio.sleep(0)
    assert running.runner.take() == b""
    assert running.notifications == 2
    more.set()
    await running.notified()
    assert running.runner.take() == RAW.encode({}, b"")


async def test_after_stop_every_frame_that_is_counted_can_be_taken() -> None:
    for _ in range(30):
        running = Running(zip(itertools.repeat({}), itertools.repeat(b"x" * 100)), batch=5_000)
        await running.notified()
        running.runner.stop()
        while not running.runner.idle:  # the item that is being encoded
            await running.notified()
        data = b"".join(iter(running.runner.take, b""))
        assert len(list(FrameDecoder().feed(data))) == running.encoder.position
        await running.runner.closed()
        assert running.runner.take() == b""


async def test_each_item_of_a_sync_source_that_waits_is_there_while_it_waits() -> None:
    go = threading.Semaphore(0)

    def source() -> Iterator[Any]:
        for item in items(50):
            yield item
            assert go.acquire(timeout=DEADLINE)

    running = Running(source())
    for item in items(50):
        await running.notified()
        assert running.runner.take() == RAW.encode(*item)
        assert running.runner.take() == b""
        go.release()
    await running.notified()
    assert running.runner.finished


async def test_good_frames_of_a_chunk_come_before_the_error_of_a_bad_one() -> None:
    running = Running([wire(3) + b"\0\0\0\0"])
    data, _ = await running.drain()
    assert data == wire(3)
    assert isinstance(running.runner.error, InvalidLength)


async def test_good_frames_before_a_bad_one_do_not_wait_for_their_source_to_be_closed() -> None:
    closing = threading.Event()

    def source() -> Iterator[Any]:
        try:
            yield wire(3) + b"\0\0\0\0"
        finally:
            closing.wait(DEADLINE)

    running = Running(source())
    await running.notified()
    assert running.runner.take() == wire(3)
    assert not running.runner.finished
    closing.set()
    await running.notified()
    assert isinstance(running.runner.error, InvalidLength)


async def test_an_item_that_is_not_a_message_is_an_encode_error() -> None:
    running = Running(iter(["text"]))
    await running.drain()
    assert isinstance(running.runner.error, EncodeError)
    assert "not str" in str(running.runner.error)


class Closing:
    """An iterator that is not a generator, with a `close` that fails or not."""

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


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), BaseException()])
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_source_that_raises_any_base_exception_has_failed_and_nothing_else_has(
    asynchronous: bool, error: BaseException
) -> None:
    def sync() -> Iterator[Any]:
        yield {}, b"1"
        raise error

    async def async_() -> AsyncIterator[Any]:
        for item in sync():
            yield item

    running = Running(async_() if asynchronous else sync())
    data, _ = await running.drain()
    assert data == RAW.encode({}, b"1")
    assert running.runner.error is error
    await running.runner.closed()


class SlowCoder(RawCoder):
    """Encodes when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoding, self.go = threading.Event(), threading.Event()

    def encode(self, header: Any, payload: Any) -> bytes:
        self.encoding.set()
        assert self.go.wait(DEADLINE)
        return super().encode(header, payload)


async def test_the_event_loop_waits_for_no_coder() -> None:
    coder = SlowCoder()
    encoder = StreamEncoder(coder, None)
    changed = asyncio.Event()
    runner = runner_for(iter(items(3)), Writer(encoder, coder), changed.set)
    runner.start()
    await asyncio.to_thread(coder.encoding.wait, DEADLINE)
    assert runner.take() == b""  # neither of these waits for the coder
    runner.stop()
    assert not runner.idle
    changed.clear()
    coder.go.set()
    async with asyncio.timeout(DEADLINE):
        while not runner.idle:
            await changed.wait()
            changed.clear()
    assert (runner.take(), encoder.position) == (wire(1), 1)  # what was counted can be sent
    await runner.closed()


class Opened:
    """An iterator, async or sync, that has something open from the beginning."""

    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1

    def close(self) -> None:
        self.closed += 1


class OpenedAsync(Opened):
    def __aiter__(self) -> OpenedAsync:
        return self

    async def __anext__(self) -> Any:
        raise AssertionError("it was run")


class OpenedSync(Opened):
    def __iter__(self) -> OpenedSync:
        return self

    def __next__(self) -> Any:
        raise AssertionError("it was run")


@pytest.mark.parametrize("kind", [OpenedAsync, OpenedSync])
async def test_a_source_that_is_never_run_is_closed(kind: type[Opened]) -> None:
    source = kind()
    await sources.close_unused(source)
    assert source.closed == 1


async def test_a_source_stopped_before_its_first_step_is_closed() -> None:
    source = OpenedAsync()
    running = Running(source)
    running.runner.stop()
    await running.runner.closed()
    assert source.closed == 1


@pytest.mark.parametrize("failing", [False, True])
async def test_an_iterator_that_can_be_closed_is_closed_and_a_failure_of_that_is_logged(
    failing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    source = Closing(failing)
    running = Running(source)
    await running.notified()
    running.runner.stop()
    await running.runner.closed()
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

    running = Running(source())
    await running.notified()
    running.runner.stop()
    await running.runner.closed()
    assert closed.is_set()
    assert running.encoder.position == 1


async def test_a_source_stopped_before_its_first_step_does_not_run() -> None:
    ran = []

    async def source() -> AsyncIterator[Any]:
        ran.append(True)
        yield {}, b""

    running = Running(source())
    running.runner.stop()
    await running.runner.closed()
    assert not ran


async def test_a_busy_thread_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sources, "CLOSE_SECONDS", 0.02)
    go, closed = threading.Event(), threading.Event()

    def source() -> Iterator[Any]:
        try:
            yield {}, b""
            go.wait(DEADLINE)
            yield {}, b""
        finally:
            closed.set()

    with caplog.at_level(logging.WARNING):
        running = Running(source())
        await running.notified()
        running.runner.stop()
        await running.runner.closed()
    assert not closed.is_set()
    assert "still busy" in caplog.text
    go.set()
    assert await asyncio.to_thread(closed.wait, DEADLINE)


def test_a_thread_whose_loop_is_closed_ends_without_an_error() -> None:
    go, closed = threading.Event(), threading.Event()

    def source() -> Iterator[Any]:
        try:
            go.wait(DEADLINE)
            yield {}, b""
        finally:
            closed.set()

    async def start() -> None:
        Running(source())

    asyncio.run(start())
    go.set()
    assert closed.wait(DEADLINE)


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
