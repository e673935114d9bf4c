"""MemoryStore: the contract, and how it bounds what it keeps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_clock import FakeClock
from store_contract import StoreContract
from stored_streams import RAW, Copy, Source, about, code_of, messages, until, wire

from objectstreaming.store import End, Keep, MemoryStore, Store, new_id


class TestMemoryStore(StoreContract):
    made: MemoryStore | None = None

    @pytest.fixture
    def anyio_backend(self) -> Any:
        return "asyncio", {"loop_factory": FakeClock}

    def make(self, **options: Any) -> Store:
        if self.made is None:
            self.made = MemoryStore(**options)
        return self.made

    async def end_lease(self, writer: Store, stream: str) -> None:
        await asyncio.sleep(writer.lease)

    async def leave_unread(self, stream: str, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def expire(self, store: Store, stream: str) -> None:
        await asyncio.sleep(store.keep.ttl)


class TestMemoryOnly:
    @pytest.fixture
    def anyio_backend(self) -> Any:
        return "asyncio", {"loop_factory": FakeClock}

    async def test_beyond_the_total_those_that_ended_first_are_forgotten(self) -> None:
        store = MemoryStore(total=1000)
        live = await store.record(Source(*messages(2)), coder=RAW)
        size = len(wire(5))
        ended = []
        for _ in range(10):
            ended.append(await store.record(messages(5), coder=RAW))
            assert await ended[-1].ended() == End()
        kept = (1000 - len(wire(2))) // size
        codes = [await code_of(store.status(recording.id)) for recording in ended]
        assert codes == ["not_found"] * (10 - kept) + [""] * kept
        assert (await store.status(live.id)).position == 2
        await store.aclose()

    async def test_when_all_are_live_the_one_that_would_grow_is_ended(self) -> None:
        store = MemoryStore(total=len(wire(9)))
        sources = [Source(*messages(4)), Source(*messages(4))]
        recordings = [await store.record(source, coder=RAW) for source in sources]
        await until(lambda: all(source.taken == 4 for source in sources))
        sources[0].give(*messages(9)[4:])
        assert (await recordings[0].ended()).code == "resource_exhausted"
        sources[1].end()
        assert await recordings[1].ended() == End()
        assert (await Copy(recordings[0].id).read(store)).data == wire(5)

    async def test_a_reader_of_a_stream_that_is_forgotten_reads_on(self) -> None:
        store = MemoryStore(total=len(wire(9)))
        recording = await store.record(messages(5), coder=RAW)
        await recording.ended()
        async with store.reader(recording.id) as reader:
            other = await store.record(messages(9), coder=RAW)
            await other.ended()
            assert await code_of(store.status(recording.id)) == "not_found"
            assert await reader.read() == wire(5)
            assert await reader.read() == b""

    async def test_an_event_loop_that_stood_still_is_no_death(self) -> None:
        store = MemoryStore(lease=6)
        source = Source(*messages(1))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(store))
        await until(lambda: copy.position == 1)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, FakeClock)
        loop.now += 60
        await asyncio.sleep(20)
        assert not task.done()
        source.end()
        await task
        assert copy.end == End()
        assert await recording.ended() == End()

    async def test_streams_that_nobody_ended_expire_too(self) -> None:
        store = MemoryStore(keep=Keep(ttl=100))
        stream = new_id()
        tail = await store.create(stream, about())
        assert tail is not None
        tail.release()
        await asyncio.sleep(101)
        assert await code_of(store.status(stream)) == "not_found"
        assert await store.create(stream, about("another writer")) is not None
