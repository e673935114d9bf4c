"""What every store has to do: the laws of stored streams. Each store runs this class.

`store` and `other` are two processes' views of the same streams. For the store in memory they are one object.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from faulty_store import FaultyStore
from stored_streams import RAW, Copy, Source, about, code_of, messages, until, wire

from objectstreaming import StreamError
from objectstreaming.store import End, Keep, Store, new_id
from objectstreaming.store.end import DEAD
from objectstreaming.store.tail import TAIL_BYTES
from objectstreaming.store.verbs import Conflict, Fenced, Full, Gone, Lease, Sealed, Unread
from objectstreaming.store.walk import take_frames

SEEDS = int(os.environ.get("STORE_SEEDS", "12"))
"""How many interleavings of faults are tried; `make soak` tries more."""

FAILED = End("aborted", "of the test's")


class StoreContract:
    # ------------------------------------------------------------------------------------- what each store says

    def make(self, **options: Any) -> Store:
        """A process's view of the streams of this test."""
        raise NotImplementedError

    async def end_lease(self, writer: Store, stream: str) -> None:
        """The process of a writer that was made by the verbs dies."""
        raise NotImplementedError

    async def expire(self, store: Store, stream: str) -> None:
        """The time for which a stream is kept passes."""
        raise NotImplementedError

    async def leave_unread(self, stream: str, seconds: float) -> None:
        """Nobody reads a stream for so long."""
        raise NotImplementedError

    lose: Callable[[str], None] | None = None
    """The store loses a stream, if it is of those that may."""

    # ------------------------------------------------------------------------------------------------ fixtures

    @pytest.fixture
    async def stores(self) -> AsyncIterator[Callable[..., Store]]:
        """Makes stores, and closes them. Nothing of them goes on after that."""
        made: list[Store] = []

        def make(**options: Any) -> Store:
            made.append(self.make(**options))
            return made[-1]

        yield make
        for store in made:
            await store.aclose()
        await until(lambda: not _tasks_of_ours())

    @pytest.fixture
    async def store(self, stores: Callable[..., Store]) -> Store:
        return stores()

    @pytest.fixture
    async def other(self, stores: Callable[..., Store]) -> Store:
        return stores()

    # ------------------------------------------------------------------------------------------ the five verbs

    async def test_of_concurrent_creations_of_an_id_one_succeeds(self, store: Store, other: Store) -> None:
        stream = new_id()
        creations = [(store, other)[n % 2].create(stream, about(f"writer {n}")) for n in range(6)]
        created = await asyncio.gather(*creations)
        [winner] = [n for n, tail in enumerate(created) if tail is not None]
        assert (await other.fetch(stream, None)).about == about(f"writer {winner}")

    async def test_a_creation_whose_answer_was_lost_can_be_repeated(self, store: Store) -> None:
        stream = new_id()
        tail = await store.create(stream, about())
        await store.append(Lease(stream, about().token), 0, 1, wire(1))
        assert await store.create(stream, about()) is tail is not None
        assert (await store.fetch(stream, None)).position == 1

    async def test_an_append_whose_answer_was_lost_can_be_repeated(self, store: Store, other: Store) -> None:
        stream = new_id()
        lease = await self.written(store, stream, 3)
        await store.append(lease, 0, 3, wire(3))
        await store.append(lease, 3, 3, b"")
        page = await other.fetch(stream, 0)
        assert (page.position, page.data) == (3, wire(3))

    async def test_an_append_at_a_wrong_position_or_by_a_stranger_changes_nothing(self, store: Store) -> None:
        stream = new_id()
        lease = await self.written(store, stream, 3)
        for after, upto in ((2, 4), (4, 5), (0, 4)):
            with pytest.raises(Conflict) as conflict:
                await store.append(lease, after, upto, wire(upto - after))
            assert conflict.value.position == 3
        with pytest.raises(Fenced):
            await store.append(Lease(stream, "a stranger's"), 3, 4, wire(1))
        assert (await store.fetch(stream, 0)).data == wire(3)

    @pytest.mark.parametrize("seed", range(5))
    async def test_how_frames_were_batched_cannot_be_seen(self, store: Store, other: Store, seed: int) -> None:
        rng = random.Random(seed)
        stream, count = new_id(), 40
        whole = wire(count)
        frames = [whole[n : n + len(whole) // count] for n in range(0, len(whole), len(whole) // count)]
        frames = _cut(whole)
        await store.create(stream, about())
        at = 0
        while at < count:
            upto = min(count, at + rng.choice([1, 1, 2, 7, 30]))
            await store.append(Lease(stream, about().token), at, upto, b"".join(frames[at:upto]))
            at = upto
        for after in range(count + 1):
            data, position = b"", after
            while position < count:
                page = await rng.choice([store, other]).fetch(stream, position)
                assert page.upto > position
                data, position = data + page.data, page.upto
            assert data == b"".join(frames[after:])

    async def test_a_page_says_how_the_log_stands(self, store: Store, other: Store) -> None:
        stream = new_id()
        lease = await self.written(store, stream, 3)
        page = await other.fetch(stream, None)
        assert (page.first, page.position, page.upto, page.data, page.end) == (0, 3, 3, b"", None)
        page = await other.fetch(stream, 9)
        assert (page.position, page.upto, page.data, page.end) == (3, 9, b"", None)
        await store.seal(stream, FAILED, lease=lease)
        assert [(await other.fetch(stream, after)).end for after in (None, 0, 3, 9)] == [FAILED] * 4

    async def test_after_the_end_nothing_is_appended_by_anybody(self, store: Store, other: Store) -> None:
        stream = new_id()
        lease = await self.written(store, stream, 3)
        assert await store.seal(stream, FAILED, lease=lease) == FAILED
        for writer in (store, other):
            for token in (lease.token, "a stranger's"):
                with pytest.raises(Sealed) as sealed:
                    await writer.append(Lease(stream, token), 3, 4, wire(1))
                assert sealed.value.end == FAILED
        assert (await other.fetch(stream, 0)).data == wire(3)

    @pytest.mark.parametrize("seed", range(5))
    async def test_of_many_ends_one_stands_and_all_learn_which(self, store: Store, other: Store, seed: int) -> None:
        stream = new_id()
        lease = await self.written(store, stream, 2)
        seals = [
            store.seal(stream, End.succeeded({"n": 1}), lease=lease, position=2),
            store.seal(stream, End("canceled", "here")),
            other.seal(stream, End("canceled", "there"), only_if_dead=False),
            other.seal(stream, End("unavailable", "dead"), only_if_dead=True),
        ]
        random.Random(seed).shuffle(seals)
        ends = [end for end in await asyncio.gather(*seals) if end is not None]
        assert len(ends) >= 3
        assert len({repr(end) for end in ends}) == 1
        assert (await other.fetch(stream, None)).end == (await store.fetch(stream, None)).end == ends[0]
        assert await other.seal(stream, FAILED) == ends[0]

    async def test_a_success_is_not_stored_where_the_log_is_not_whole(self, store: Store) -> None:
        stream = new_id()
        lease = await self.written(store, stream, 3)
        with pytest.raises(Conflict):
            await store.seal(stream, End(), lease=lease, position=4)
        with pytest.raises(Fenced):
            await store.seal(stream, End(), lease=Lease(stream, "a stranger's"), position=3)
        assert (await store.fetch(stream, None)).end is None

    async def test_a_log_is_ended_as_dead_only_when_its_writer_is(self, store: Store, other: Store) -> None:
        stream = new_id()
        lease = await self.written(store, stream, 3)
        assert await other.seal(stream, DEAD, only_if_dead=True) is None
        await self.end_lease(store, stream)
        assert await other.seal(stream, DEAD, only_if_dead=True) == DEAD
        with pytest.raises(Sealed):
            await store.append(lease, 3, 4, wire(1))

    async def test_what_is_not_there_is_gone(self, store: Store) -> None:
        for stream in (new_id(), "..", "short", "x" * 100):
            for call in (
                store.fetch(stream, None),
                store.watch(stream),
                store.seal(stream, FAILED),
                store.append(Lease(stream, "t"), 0, 1, wire(1)),
            ):
                with pytest.raises(Gone):
                    await call

    async def test_a_full_log_says_how_much_room_is_left(self, stores: Callable[..., Store]) -> None:
        store = stores(keep=Keep(bytes=200))
        stream = new_id()
        lease = await self.written(store, stream, 3)
        with pytest.raises(Full) as full:
            await store.append(lease, 3, 6, wire(3, 100))
        assert full.value.room == 200 - len(wire(3))
        await store.append(lease, 3, 4, wire(1))

    # ---------------------------------------------------------------------------------- recording and reading

    async def test_what_a_source_gives_is_read_in_every_process_from_every_position(
        self, store: Store, other: Store
    ) -> None:
        recording = await store.record(messages(30), coder=RAW, trailers={"tokens": 30})
        end = await recording.ended()
        assert end == End.succeeded({"tokens": 30})
        frames = _cut(wire(30))
        for position in range(31):
            for reader in (store, other):
                copy = await Copy(recording.id, position).read(reader)
                assert (copy.data, copy.position, copy.end) == (b"".join(frames[position:]), 30, end)

    @pytest.mark.parametrize("kind", ["list", "sync", "bytes", "pieces"])
    async def test_any_source_can_be_recorded(self, store: Store, kind: str) -> None:
        source: Any = {
            "list": messages(5),
            "sync": iter(messages(5)),
            "bytes": wire(5),
            "pieces": [wire(5)[:33], wire(5)[33:]],
        }[kind]
        recording = await store.record(source, coder=RAW)
        assert await recording.ended() == End()
        assert (await Copy(recording.id).read(store)).data == wire(5)

    async def test_frames_are_read_while_the_source_goes_on(self, store: Store, other: Store) -> None:
        source = Source()
        recording = await store.record(source, coder=RAW)
        copies = [Copy(recording.id), Copy(recording.id)]
        tasks = [asyncio.create_task(copy.read(reader)) for copy, reader in zip(copies, (store, other), strict=True)]
        for n, message in enumerate(messages(20)):
            source.give(message)
            await until(lambda n=n: all(copy.position == n + 1 for copy in copies))
            # Store first: what a reader has is there to be asked for.
            assert (await other.fetch(recording.id, None)).position == n + 1
        source.end()
        await asyncio.gather(*tasks)
        assert [copy.data for copy in copies] == [wire(20)] * 2
        assert [copy.end for copy in copies] == [End()] * 2

    async def test_replay_gives_batches_and_then_ends_as_the_stream_did(self, store: Store, other: Store) -> None:
        good = await store.record(messages(5), coder=RAW)
        bad = await store.record(_then_fail(5, StreamError("not_found", "no such thing", {"n": 1})), coder=RAW)
        await asyncio.gather(good.ended(), bad.ended())
        assert b"".join([batch async for batch in other.replay(good.id, 2)]) == b"".join(_cut(wire(5))[2:])
        got = b""

        async def replay() -> None:
            nonlocal got
            async for batch in other.replay(bad.id):
                got += batch

        with pytest.raises(StreamError) as failure:
            await replay()
        assert got == wire(5)
        assert (failure.value.code, failure.value.message, failure.value.details) == (
            "not_found",
            "no such thing",
            {"n": 1},
        )

    @pytest.mark.parametrize("how", ["success", "error", "bug", "stop", "deadline", "cap", "shutdown", "dead"])
    async def test_every_reader_early_or_late_gets_the_same_end(
        self, stores: Callable[..., Store], how: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        keep = Keep(bytes=400) if how == "cap" else Keep()
        store, other = stores(keep=keep), stores(keep=keep)
        source = Source(*messages(3))
        if how == "dead":
            stream = new_id()
            await self.written(store, stream, 3)
        else:
            recording = await store.record(
                source, coder=RAW, max_duration=0.3 if how == "deadline" else None, trailers={"n": [1]}
            )
            stream = recording.id
        early = [Copy(stream), Copy(stream)]
        readers = (other, other) if how in ("shutdown", "dead") else (store, other)
        tasks = [asyncio.create_task(copy.read(reader)) for copy, reader in zip(early, readers, strict=True)]
        await until(lambda: all(copy.position == 3 for copy in early))
        match how:
            case "success":
                source.end()
            case "error":
                source.fail(StreamError("not_found", "é", {"a": [1.5, None]}))
            case "bug":
                source.fail(ZeroDivisionError("a secret"))
            case "stop":
                await other.stop(stream)
            case "cap":
                source.give(*messages(100)[3:])
            case "shutdown":
                await store.aclose()
            case "dead":
                await self.end_lease(store, stream)
        await asyncio.gather(*tasks)
        late = [await Copy(stream).read(other), await Copy(stream, 3).read(other)]
        ends = {repr(copy.end) for copy in (*early, *late)}
        assert len(ends) == 1
        end = late[0].end
        assert end is not None
        assert (
            end.code
            == {
                "success": "",
                "error": "not_found",
                "bug": "internal",
                "stop": "canceled",
                "deadline": "deadline_exceeded",
                "cap": "resource_exhausted",
                "shutdown": "unavailable",
                "dead": "unavailable",
            }[how]
        )
        assert end.trailers == ({"n": [1]} if how == "success" else None)
        assert "a secret" not in repr(end)
        if how == "error":
            assert (end.message, end.details) == ("é", {"a": [1.5, None]})
        if how != "dead":
            await recording.ended()
            assert source.closed == 1
        if how == "cap":
            # The frames that fit, and not one less.
            frames = _cut(b"".join(RAW.encode(*message) for message in messages(100)))
            fitting = _fitting(frames, 400)
            assert late[0].data == b"".join(frames[:fitting])
            assert late[0].position == fitting

    async def test_leaving_is_not_stopping(self, store: Store, other: Store) -> None:
        source = Source(*messages(3))
        recording = await store.record(source, coder=RAW)
        for reader in (store, other) * 5:
            copy = Copy(recording.id)
            task = asyncio.create_task(copy.read(reader))
            await until(lambda copy=copy: copy.position == 3)
            task.cancel()
            await asyncio.wait([task])
        assert source.closed == 0
        source.give(*messages(4)[3:])
        source.end()
        assert await recording.ended() == End()
        assert source.closed == 1
        assert (await Copy(recording.id).read(other)).data == wire(4)

    async def test_stop_is_idempotent_and_changes_no_end(self, store: Store, other: Store) -> None:
        source = Source()
        running = await store.record(source, coder=RAW)
        done = await store.record(messages(1), coder=RAW)
        await done.ended()
        stopped = await asyncio.gather(*(reader.stop(running.id) for reader in (store, other, other)))
        assert [end.code for end in stopped] == ["canceled"] * 3
        assert await other.stop(done.id) == End()
        await running.ended()
        assert source.closed == 1
        assert (await other.status(running.id)).end == stopped[0]

    async def test_a_second_start_of_an_id_is_told_and_its_source_closed(self, store: Store, other: Store) -> None:
        stream = new_id()
        first, second = Source(*messages(2)), Source(*messages(9))
        recording = await store.record(first, coder=RAW, id=stream)
        generator = aiter(second)
        assert await code_of(other.record(generator, coder=RAW, id=stream)) == "already_exists"
        with pytest.raises(StopAsyncIteration):
            await anext(generator)
        first.end()
        await recording.ended()
        assert (await Copy(stream).read(other)).data == wire(2)
        assert await code_of(other.record(messages(1), coder=RAW, id=stream)) == "already_exists"

    async def test_a_silent_source_is_alive(self, store: Store, other: Store) -> None:
        source = Source(*messages(1))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(other))
        await asyncio.sleep(10 * store.renew)
        assert (await other.status(recording.id)).end is None
        source.give(*messages(2)[1:])
        source.end()
        await task
        assert (copy.data, copy.end) == (wire(2), End())

    async def test_readers_are_told_that_the_writer_has_died(self, store: Store, other: Store) -> None:
        stream = new_id()
        await self.written(store, stream, 2)
        copy = Copy(stream)
        task = asyncio.create_task(copy.read(other))
        await until(lambda: copy.position == 2)
        before = asyncio.get_running_loop().time()
        await self.end_lease(store, stream)
        await task
        assert copy.end is not None
        assert copy.end.code == "unavailable"
        assert asyncio.get_running_loop().time() - before <= store.lease + store.renew + 0.1
        assert (await Copy(stream).read(other)).end == copy.end

    async def test_absent_expired_and_anothers_cannot_be_told_apart(
        self, store: Store, stores: Callable[..., Store]
    ) -> None:
        other = FaultyStore(stores())
        expired = await store.record(messages(3), coder=RAW, owner="bob")
        await expired.ended()
        await self.expire(store, expired.id)
        anothers = await store.record(messages(3), coder=RAW, owner="ann")
        await anothers.ended()
        seen = []
        for stream in (anothers.id, expired.id, new_id()):
            for position in (0, 2, 99):
                for call in (
                    lambda stream=stream, position=position: Copy(stream, position).read(other, owner="bob"),
                    lambda stream=stream: other.stop(stream, owner="bob"),
                    lambda stream=stream: other.status(stream, owner="bob"),
                ):
                    other.calls.clear()
                    with pytest.raises(StreamError) as refused:
                        await call()
                    error = refused.value
                    seen.append((error.code, error.message, error.details, tuple(other.calls)))
        assert set(seen) == {("not_found", "no such stream", None, ("fetch",))}
        assert (await Copy(anothers.id).read(other, owner="ann")).data == wire(3)
        assert await code_of(Copy(anothers.id).read(other)) == "not_found"

    async def test_a_position_that_is_not_there_is_refused(self, store: Store) -> None:
        recording = await store.record(messages(3), coder=RAW)
        await recording.ended()
        for position in (4, -1, 10**15):
            with pytest.raises(StreamError) as refused:
                await Copy(recording.id, position).read(store)
            assert (refused.value.code, refused.value.details) == ("out_of_range", {"first": 0, "last": 3})

    async def test_a_stream_that_nobody_reads_is_stopped_if_the_store_is_told_to(
        self, stores: Callable[..., Store]
    ) -> None:
        store = stores(keep=Keep(unread=300))
        source = Source(*messages(1))
        recording = await store.record(source, coder=RAW)
        await until(lambda: source.taken)
        assert (await store.status(recording.id)).end is None
        await self.leave_unread(recording.id, 301)
        assert (await recording.ended()).code == "canceled"
        assert source.closed == 1

    async def test_an_append_to_a_log_that_nobody_reads_is_refused(self, stores: Callable[..., Store]) -> None:
        store = stores(keep=Keep(unread=1))
        stream = new_id()
        lease = await self.written(store, stream, 1)
        await self.leave_unread(stream, 2)
        with pytest.raises(Unread):
            await store.append(lease, 1, 2, wire(1))

    async def test_a_slow_reader_holds_up_nobody_and_is_not_held(self, store: Store, other: Store) -> None:
        """It costs the process one batch: the rest is in the store."""
        source = Source()
        recording = await store.record(source, coder=RAW)
        frame = 16 * 1024
        async with other.reader(recording.id) as slow:
            source.give(*messages(100, frame))
            source.end()
            assert await recording.ended() == End()
            tail = await other.watch(recording.id)
            await until(lambda: tail.end is not None)
            if self.lose is not None:
                assert len(tail.since(tail.first)) <= TAIL_BYTES + 64 * 1024
            tail.release()
            data = b""
            while batch := await slow.read():
                assert len(batch) <= 64 * 1024
                data += batch
        assert data == wire(100, frame)
        assert slow.end == End()

    async def test_a_stream_expires(self, store: Store, other: Store) -> None:
        recording = await store.record(messages(3), coder=RAW)
        await recording.ended()
        assert (await other.status(recording.id)).position == 3
        await self.expire(store, recording.id)
        assert await code_of(other.status(recording.id)) == "not_found"
        await other.create(new_id(), about())
        assert await other.create(recording.id, about())

    async def test_closing_a_store_ends_what_it_writes(
        self, store: Store, stores: Callable[..., Store], caplog: pytest.LogCaptureFixture
    ) -> None:
        writer = stores()
        sources = [Source(*messages(2)) for _ in range(3)]
        recordings = [await writer.record(source, coder=RAW) for source in sources]
        await until(lambda: all(source.taken == 2 for source in sources))
        sources[0].end()
        await writer.aclose(grace=0.01)
        ends = [await recording.ended() for recording in recordings]
        assert [end.code for end in ends] == ["", "unavailable", "unavailable"]
        assert [source.closed for source in sources] == [1, 1, 1]
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    async def test_a_source_that_is_cancelled_with_its_loop_is_ended_in_the_store(
        self, store: Store, other: Store
    ) -> None:
        source = Source(*messages(2))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(other))
        await until(lambda: copy.position == 2)
        [running] = [task for task in asyncio.all_tasks() if recording.id in task.get_name()]
        running.cancel()
        await task
        assert copy.end is not None
        assert copy.end.code == "unavailable"
        assert source.closed == 1

    # ---------------------------------------------------------------------------------------- a store that is away

    async def test_while_the_store_is_away_the_source_waits(self, stores: Callable[..., Store]) -> None:
        store = FaultyStore(stores())
        source = Source(*messages(2))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(store))
        await until(lambda: copy.position == 2)
        store.away = True
        source.give(*messages(4)[2:])
        source.end()
        await until(lambda: store.calls.count("append") > 4)
        assert copy.position == 2
        store.away = False
        await task
        assert (copy.data, copy.end) == (wire(4), End())

    async def test_when_the_store_stays_away_the_readers_here_are_told_here(self, stores: Callable[..., Store]) -> None:
        store = FaultyStore(stores())
        store.patience = 0.2
        source = Source(*messages(2))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(store))
        await until(lambda: copy.position == 2)
        store.away = True
        source.give(*messages(4)[2:])
        assert await code_of(task) == "unavailable"
        assert (await recording.ended()).code == "unavailable"
        assert source.closed == 1
        assert copy.data == wire(2)

    # ------------------------------------------------------------------------------------------------ the laws

    @pytest.mark.parametrize("seed", range(SEEDS))
    async def test_laws_hold_with_faults_at_any_call(self, stores: Callable[..., Store], seed: int) -> None:
        """One writer, four readers that come and go in two processes, calls that fail before or after they are done.

        Whatever happens, each reader has a prefix of the stream at any time, all get the same end, and a success only
        with the whole stream; what a reader has, the store has; the source is closed once.
        """
        rng = random.Random(seed)
        faults = rng.choice([0, 10, 30])
        store, other = (FaultyStore(stores(), rng, faults) for _ in range(2))
        for one in (store, other):
            one.patience = 60
        count, size = rng.randrange(1, 80), rng.choice([8, 100, 3000])
        ending = rng.choice(["success", "success", "error", "stop"])
        # What was lost after the end is lost; and a stop may come at any time.
        losses = rng.randrange(3) if self.lose is not None and ending != "stop" else 0
        whole, frames = wire(count, size), _cut(wire(count, size))
        closed = 0

        async def source() -> AsyncIterator[Any]:
            nonlocal closed
            try:
                for n, message in enumerate(messages(count, size)):
                    for _ in range(rng.choice([0, 0, 1, 5])):
                        await asyncio.sleep(0)
                    if rng.randrange(10) == 0:
                        await asyncio.sleep(0.002)
                    if losses and n in lost_at:
                        self.lose(recording.id)
                    yield message
                if ending == "error":
                    raise StreamError("aborted", "of the test's")
            finally:
                closed += 1

        lost_at = {rng.randrange(count) for _ in range(losses)}
        recording = None
        while recording is None:
            with contextlib.suppress(StreamError):
                recording = await store.record(source(), coder=RAW)

        async def read() -> Copy:
            copy = Copy(recording.id)
            while copy.end is None:
                reader = rng.choice([store, other])
                async with asyncio.timeout(20):
                    code = await code_of(copy.read(reader, rng.randrange(1, 6)))
                if code:
                    # What a client repeats: the store is away, or is being given again what it has lost.
                    assert code in (("unavailable", "not_found", "out_of_range") if losses else ("unavailable",))
                    await asyncio.sleep(0.005)
                assert copy.data == b"".join(frames[: copy.position])
                if not losses:
                    assert (await reader.store.fetch(recording.id, None)).position >= copy.position
            return copy

        readers = [asyncio.create_task(read()) for _ in range(4)]
        if ending == "stop":
            await asyncio.sleep(rng.random() * 0.01)
            while await code_of(rng.choice([store, other]).stop(recording.id)):  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.005)
        end = await recording.ended()
        copies = [*await asyncio.gather(*readers), await Copy(recording.id).read(other.store)]
        assert {repr(copy.end) for copy in copies} == {repr(end)}
        assert end.code == {"success": "", "error": "aborted", "stop": end.code}[ending]
        assert end.code in ("", "canceled", "aborted")
        assert {copy.data for copy in copies} == {whole if end.code != "canceled" else copies[0].data}
        assert closed <= 1
        with pytest.raises((Sealed, Fenced)):
            await store.store.append(Lease(recording.id, "anybody's"), copies[0].position, 10**6, wire(1))

    # --------------------------------------------------------------------------------------------------------

    async def written(self, store: Store, stream: str, count: int) -> Lease:
        """A log that was written by the verbs, with so many frames."""
        assert await store.create(stream, about())
        lease = Lease(stream, about().token)
        await store.append(lease, 0, count, wire(count))
        return lease


def _cut(data: bytes) -> list[bytes]:
    frames = []
    while data:
        _, _, end = take_frames(data, 1)
        frames.append(data[:end])
        data = data[end:]
    return frames


def _fitting(frames: list[bytes], room: int) -> int:
    size = 0
    for n, frame in enumerate(frames):
        size += len(frame)
        if size > room:
            return n
    return len(frames)


class LosingStoreContract(StoreContract):
    """What a store has to do, that may lose what it has acknowledged."""

    lose: Callable[[str], None]

    async def test_what_the_store_has_lost_is_given_again(self, store: Store, other: Store) -> None:
        source = Source(*messages(5))
        recording = await store.record(source, coder=RAW)
        copies = [Copy(recording.id), Copy(recording.id)]
        tasks = [asyncio.create_task(copy.read(reader)) for copy, reader in zip(copies, (store, other), strict=True)]
        for n in range(5, 20, 5):
            await until(lambda n=n: all(copy.position == n for copy in copies))
            self.lose(recording.id)
            source.give(*messages(n + 5)[n:])
        source.end()
        await asyncio.gather(*tasks)
        for copy in (*copies, await Copy(recording.id).read(other)):
            assert (copy.data, copy.end) == (wire(20), End())

    async def test_a_silent_stream_is_given_again_too(self, store: Store, other: Store) -> None:
        recording = await store.record(Source(*messages(5)), coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(other))
        await until(lambda: copy.position == 5)
        self.lose(recording.id)
        async with asyncio.timeout(20):
            while await code_of(Copy(recording.id, 5).read(other, 0)):  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.001)
        assert not task.done()
        await store.stop(recording.id)
        await task
        assert (copy.data, copy.end and copy.end.code) == (wire(5), "canceled")

    async def test_what_the_tail_has_no_more_is_said_to_be_lost(self, store: Store, other: Store) -> None:
        size = 64 * 1024
        source = Source(*messages(20, size))
        recording = await store.record(source, coder=RAW)
        here, there = Copy(recording.id), Copy(recording.id)
        tasks = [asyncio.create_task(copy.read(reader)) for copy, reader in ((here, store), (there, other))]
        await until(lambda: here.position == there.position == 20)
        self.lose(recording.id)
        source.give(*messages(21, size)[20:])
        source.end()
        await asyncio.gather(*tasks)
        assert [copy.data for copy in (here, there)] == [wire(21, size)] * 2
        with pytest.raises(StreamError) as refused:
            await Copy(recording.id).read(other)
        assert refused.value.code == "out_of_range"
        first = refused.value.details["first"]
        assert 0 < first < 21
        rest = await Copy(recording.id, first).read(other)
        assert (rest.data, rest.end) == (b"".join(_cut(wire(21, size))[first:]), End())

    async def test_a_reader_behind_what_was_lost_is_told(self, store: Store, other: Store) -> None:
        size = 64 * 1024
        source = Source(*messages(20, size))
        recording = await store.record(source, coder=RAW)
        async with other.reader(recording.id) as slow:
            got = await slow.read()
            await until(lambda: source.taken == 20)
            source.give(*messages(21, size)[20:])
            await until(lambda: source.taken == 21)
            self.lose(recording.id)

            async def read_on() -> None:
                nonlocal got
                while batch := await slow.read():
                    got += batch

            with pytest.raises(StreamError) as lost:
                await read_on()
        assert lost.value.code == "data_loss"
        assert wire(21, size).startswith(got)
        source.end()
        await recording.ended()

    async def test_a_stream_that_stays_lost_is_said_to_be(self, store: Store, other: Store) -> None:
        stream = new_id()
        await self.written(store, stream, 2)
        copy = Copy(stream)
        task = asyncio.create_task(copy.read(other))
        await until(lambda: copy.position == 2)
        other.lease = 0.1
        await self.end_lease(store, stream)
        self.lose(stream)
        assert await code_of(task) in ("data_loss", "")
        assert copy.end is None or copy.end.code == "unavailable"


def _tasks_of_ours() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if "objectstreaming/" in task.get_coro().cr_code.co_filename]  # type: ignore[union-attr]


async def _then_fail(count: int, error: BaseException) -> AsyncIterator[Any]:
    for message in messages(count):
        yield message
    raise error
