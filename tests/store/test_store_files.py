"""FileStore: the contract, and what is special about files."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_clock import FakeClock
from store_contract import LosingStoreContract
from stored_streams import RAW, Copy, Source, about, code_of, messages, until, wire

from objectstreaming import FrameDecoder, JsonCoder, StreamDecoder
from objectstreaming.store import End, FileStore, Keep, Store, new_id
from objectstreaming.store.end import CANCELED, DEAD
from objectstreaming.store.verbs import Lease, Sealed


class TestFileStore(LosingStoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    @pytest.fixture
    def anyio_backend(self) -> Any:
        return "asyncio", {"loop_factory": FakeClock}

    def make(self, **options: Any) -> Store:
        return FileStore(self.folder, **options)

    async def end_lease(self, writer: Store, stream: str) -> None:
        await writer.aclose()  # a log that was written by the verbs is not ended by that, only unlocked

    async def leave_unread(self, stream: str, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def expire(self, store: Store, stream: str) -> None:
        past = time.time() - store.keep.ttl - 1
        os.utime(self.folder / f"{stream}.frames", (past, past))

    def lose(self, stream: str) -> None:
        (self.folder / f"{stream}.frames").unlink(missing_ok=True)


class TestFilesOnly:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    @pytest.fixture
    def anyio_backend(self) -> Any:
        return "asyncio", {"loop_factory": FakeClock}

    @pytest.fixture
    async def stores(self) -> AsyncIterator[Callable[..., FileStore]]:
        made: list[FileStore] = []

        def make(**options: Any) -> FileStore:
            made.append(FileStore(self.folder, **options))
            return made[-1]

        yield make
        for store in made:
            await store.aclose()

    def path(self, stream: str) -> Path:
        return self.folder / f"{stream}.frames"

    def stand_still(self, store: FileStore) -> None:
        """The process of a writer does not look at its files any more."""
        assert store._poll_timer is not None
        store._poll_timer.cancel()

    async def written(self, store: Store, stream: str, count: int) -> Lease:
        assert await store.create(stream, about())
        lease = Lease(stream, about().token)
        await store.append(lease, 0, count, wire(count))
        return lease

    async def test_the_file_is_the_stream(self, stores: Callable[..., FileStore]) -> None:
        recording = await stores().record(
            [({"n": n}, [n]) for n in range(3)],
            coder=JsonCoder(),
            metadata={"model": "m"},
            trailers={"tokens": 3},
            owner="ann",
        )
        await recording.ended()
        decoder = StreamDecoder(JsonCoder(), require_end=True)
        assert list(decoder.feed(self.path(recording.id).read_bytes())) == [({"n": n}, [n]) for n in range(3)]
        decoder.finish()
        assert (decoder.metadata, decoder.trailers) == ({"model": "m"}, {"tokens": 3})
        assert stat.S_IMODE(self.path(recording.id).stat().st_mode) == 0o600
        assert [path.name for path in self.folder.iterdir()] == [f"{recording.id}.frames"]

    async def test_a_writer_that_died_at_any_byte_leaves_whole_frames(self, stores: Callable[..., FileStore]) -> None:
        """The file is cut at each byte of its data in turn, as a write that was not finished would leave it."""
        writer, reader = stores(), stores()
        stream = new_id()
        await self.written(writer, stream, 3)
        await writer.aclose()
        whole = self.path(stream).read_bytes()
        frame = len(wire(3)) // 3
        for cut in range(3 * frame + 1):
            other = new_id()
            self.path(other).write_bytes(whole[: len(whole) - cut])
            copy = await Copy(other).read(reader)
            kept = (3 * frame - cut) // frame
            assert (copy.data, copy.end) == (wire(3)[: kept * frame], DEAD)
            decoder = FrameDecoder()
            assert len(list(decoder.feed(self.path(other).read_bytes()))) == 1 + kept + 1
            decoder.finish()

    async def test_a_file_without_a_whole_beginning_is_no_stream(self, stores: Callable[..., FileStore]) -> None:
        store = stores()
        recording = await store.record(messages(1), coder=RAW)
        await recording.ended()
        whole = self.path(recording.id).read_bytes()
        for content in (b"", whole[:7], whole[:30], b"\0" * 100, b"not frames at all, but long enough to be some"):
            stream = new_id()
            self.path(stream).write_bytes(content)
            assert await code_of(store.status(stream)) == "not_found"
            assert await code_of(store.stop(stream)) == "not_found"

    async def test_a_damaged_file_ends_in_data_loss_and_not_in_a_gap(self, stores: Callable[..., FileStore]) -> None:
        store, other = stores(), stores()
        source = Source(*messages(3))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(other))
        await until(lambda: copy.position == 3)
        with self.path(recording.id).open("ab") as file:
            file.write(bytes(4))
        source.give(*messages(5)[3:])
        assert await code_of(task) == "data_loss"
        assert copy.data == wire(3)

    async def test_a_writer_that_stands_still_is_ended_and_learns_it(self, stores: Callable[..., FileStore]) -> None:
        store, other = stores(), stores()
        stream = new_id()
        lease = await self.written(store, stream, 3)
        copy = Copy(stream)
        task = asyncio.create_task(copy.read(other))
        await asyncio.sleep(store.lease - 1)
        assert not task.done()
        await asyncio.sleep(2 + store.renew)
        assert task.done()
        assert (copy.data, copy.end) == (wire(3), DEAD)
        with pytest.raises(Sealed) as sealed:
            await store.append(lease, 3, 5, wire(2))
        assert sealed.value.end == DEAD
        late = await Copy(stream).read(other)
        assert (late.data, late.end) == (wire(3), DEAD)
        assert [path.name for path in self.folder.iterdir()] == [f"{stream}.frames"]

    async def test_a_success_that_comes_too_late_is_the_end_that_was_stored(
        self, stores: Callable[..., FileStore]
    ) -> None:
        store, other = stores(), stores()
        stream = new_id()
        lease = await self.written(store, stream, 3)
        copy = Copy(stream)
        task = asyncio.create_task(copy.read(other))
        await asyncio.sleep(2 * store.lease)
        await task
        assert await store.seal(stream, End(), lease=lease, position=3) == copy.end == DEAD

    async def test_a_stop_of_a_writer_that_stands_still_is_the_end_it_gets(
        self, stores: Callable[..., FileStore]
    ) -> None:
        store, other = stores(), stores()
        stream = new_id()
        lease = await self.written(store, stream, 3)
        self.stand_still(store)
        assert await code_of(other.stop(stream)) == "unavailable"  # the writer does not end it within two seconds
        with pytest.raises(Sealed) as sealed:
            await store.append(lease, 3, 3, b"")
        assert sealed.value.end == CANCELED
        assert await other.stop(stream) == CANCELED

    async def test_a_silent_source_is_stopped_from_another_process_within_some_looks(
        self, stores: Callable[..., FileStore]
    ) -> None:
        store, other = stores(), stores()
        source = Source(*messages(1))
        recording = await store.record(source, coder=RAW)
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert await other.stop(recording.id) == CANCELED
        await recording.ended()
        assert source.closed == 1
        assert loop.time() - before < 0.1

    @pytest.mark.parametrize("taken", range(0, len(wire(3)), 9))
    async def test_a_full_disk_ends_the_stream_after_the_frames_it_took(
        self, stores: Callable[..., FileStore], monkeypatch: pytest.MonkeyPatch, taken: int
    ) -> None:
        store, other = stores(), stores()
        source = Source(*messages(2))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(other))
        await until(lambda: copy.position == 2)
        write, left = os.write, taken

        def full(fd: int, data: bytes) -> int:
            nonlocal left
            if not left:
                monkeypatch.setattr(os, "write", write)
                raise OSError(errno.ENOSPC, "no space left on device")
            done = write(fd, data[:left])
            left -= done
            return done

        monkeypatch.setattr(os, "write", full)
        source.give(*messages(5)[2:])
        await task
        frame = len(wire(5)) // 5
        assert copy.end is not None
        assert copy.end.code == "resource_exhausted"
        assert copy.data == wire(5)[: (2 + taken // frame) * frame]
        assert await recording.ended() == copy.end
        assert source.closed == 1

    async def test_an_end_that_the_disk_does_not_take_is_written_by_whoever_can(
        self, stores: Callable[..., FileStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, other = stores(), stores()
        recording = await store.record(source := Source(*messages(2)), coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(other))
        await until(lambda: copy.position == 2)
        write = os.write

        def full(fd: int, data: bytes) -> int:
            if b'"end"' in data:
                write(fd, data[:9])
                raise OSError(errno.ENOSPC, "no space left on device")
            return write(fd, data)

        monkeypatch.setattr(os, "write", full)
        source.end()
        await asyncio.sleep(1)
        monkeypatch.setattr(os, "write", write)
        await task
        assert copy.data == wire(2)
        assert copy.end in (End(), DEAD)
        assert await recording.ended() == copy.end

    async def test_readers_elsewhere_say_that_they_read(self, stores: Callable[..., FileStore]) -> None:
        store, other = stores(keep=Keep(unread=60)), stores()
        source = Source(*messages(1))
        recording = await store.record(source, coder=RAW)
        task = asyncio.create_task(Copy(recording.id).read(other))
        await asyncio.sleep(130)
        assert source.closed == 0
        task.cancel()
        assert (await recording.ended()).code == "canceled"

    async def test_expired_files_are_swept_and_live_ones_are_not(self, stores: Callable[..., FileStore]) -> None:
        store = stores()
        recording = await store.record(Source(*messages(1)), coder=RAW)
        ended = await store.record(messages(1), coder=RAW)
        await ended.ended()
        dead = new_id()
        writer = stores()
        await self.written(writer, dead, 1)
        await writer.aclose()
        leftovers = [f"{new_id()}.stop", f".{new_id()}.frames.0123456789abcdef.tmp"]
        for name in (*leftovers, "notes.txt"):
            (self.folder / name).touch()
        past = time.time() - 3600
        for path in self.folder.iterdir():
            os.utime(path, (past, past))
        other = stores()
        await self.written(other, new_id(), 1)
        assert not self.path(ended.id).exists()
        assert not self.path(dead).exists()
        assert not any((self.folder / name).exists() for name in leftovers)
        assert (self.folder / "notes.txt").exists()
        assert self.path(recording.id).exists()

    @pytest.mark.parametrize("seed", range(4))
    async def test_frames_of_any_size_are_found_from_any_position(
        self, stores: Callable[..., FileStore], seed: int
    ) -> None:
        rng = random.Random(seed)
        store, other = stores(), stores()
        sizes = [rng.choice([0, 10, 1000, 70_000, 200_000]) for _ in range(60)]
        frames = [RAW.encode({"n": n}, bytes([n]) * size) for n, size in enumerate(sizes)]
        recording = await store.record([b"".join(frames)], coder=RAW)
        assert await recording.ended() == End()
        for position in [*range(0, 61, 7), 60]:
            assert (await Copy(recording.id, position).read(other)).data == b"".join(frames[position:])

    async def test_ids_are_no_paths(self, stores: Callable[..., FileStore]) -> None:
        store = stores()
        (self.folder.parent / "outside.frames").write_bytes(b"")
        for name in ("../outside", "../outside\0", "a/b", ""):
            with pytest.raises(ValueError, match="id"):
                await store.create(name, about())
            with pytest.raises(ValueError, match="22 to 64"):
                await store.record(messages(1), coder=RAW, id=name)
            assert await code_of(store.status(name)) == "not_found"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_writer_that_is_killed_is_noticed_at_once(tmp_path: Path) -> None:
    stream = new_id()
    command = [sys.executable, str(Path(__file__).with_name("writer_program.py")), str(tmp_path), stream]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"written\n"
        store = FileStore(tmp_path)
        copy = Copy(stream)
        task = asyncio.create_task(copy.read(store))
        await until(lambda: copy.position == 3)
        process.kill()
        await task
        assert (copy.end, copy.position) == (DEAD, 3)
        await store.aclose()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
