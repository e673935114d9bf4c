"""RedisStore: the contract, and what is special about Redis."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import redis.asyncio
from cutting_proxy import CuttingProxy, RedisProxy
from needed_programs import needs
from redis_server import RedisServer
from served import make_app, serving
from store_contract import SEEDS, LosingStoreContract
from stored_streams import RAW, Copy, Source, about, code_of, messages, until, wire

from objectstreaming import JsonCoder, StreamError
from objectstreaming.client import aopen_stream
from objectstreaming.store import End, Keep, RedisStore, Store, new_id, reader
from objectstreaming.store.verbs import Lease


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for the session, with a prefix a test."""
    needs("redis-server")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


class RedisTest:
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> Iterator[None]:
        self.server = redis_server
        self.prefix = f"test-{new_id()}"
        self.redis = redis.Redis.from_url(redis_server.url)
        yield
        for key in self.redis.keys(f"{self.prefix}:*"):
            # At no point of any test is there a key that would stay for ever.
            assert self.redis.pttl(key) > 0, key
        self.redis.close()

    def make(self, **options: Any) -> Store:
        store = RedisStore(self.server.url, prefix=self.prefix, **options)
        store.renew = 0.02  # a lease is ended by the test, and then noticed soon
        return store

    def keys(self, stream: str) -> tuple[str, str]:
        return f"{self.prefix}:{{{stream}}}:m", f"{self.prefix}:{{{stream}}}:f"


class TestRedisStore(RedisTest, LosingStoreContract):
    async def end_lease(self, writer: Store, stream: str) -> None:
        self.redis.hset(self.keys(stream)[0], "u", 0)

    async def expire(self, store: Store, stream: str) -> None:
        for key in self.keys(stream):
            self.redis.pexpire(key, 1)
        await until(lambda: not self.redis.exists(*self.keys(stream)))

    async def leave_unread(self, stream: str, seconds: float) -> None:
        self.redis.hincrby(self.keys(stream)[0], "r", -round(1000 * seconds))

    def lose(self, stream: str) -> None:
        self.redis.delete(*self.keys(stream))


class TestRedisOnly(RedisTest):
    @pytest.fixture
    async def stores(self) -> Any:
        made: list[Store] = []

        def make(**options: Any) -> Store:
            made.append(self.make(**options))
            return made[-1]

        yield make
        for store in made:
            await store.aclose()

    async def test_after_the_end_redis_itself_refuses_an_entry(self, stores: Callable[..., Store]) -> None:
        stream = new_id()
        store = stores()
        await store.create(stream, about())
        await store.append(Lease(stream, about().token), 0, 3, wire(3))
        await store.seal(stream, End())
        with pytest.raises(redis.ResponseError, match="equal or smaller"):
            self.redis.xadd(self.keys(stream)[1], {"d": wire(1)}, id="1-4")

    async def test_every_key_expires_from_its_first_moment_on(self, stores: Callable[..., Store]) -> None:
        store = stores(keep=Keep(ttl=100), lease=1)
        stream = new_id()
        lease = Lease(stream, about().token)
        meta, frames = self.keys(stream)
        await store.create(stream, about())
        assert 0 < self.redis.pttl(meta) <= 100_000
        for n in range(3):
            self.redis.pexpire(meta, 5000)
            await store.append(lease, n, n + 1, wire(1))
            assert 5000 < self.redis.pttl(meta) <= 100_000
            assert 5000 < self.redis.pttl(frames) <= 100_000
        self.redis.pexpire(frames, 5000)
        await store.append(lease, 3, 3, b"")
        assert self.redis.pttl(frames) > 5000
        await store.seal(stream, End())
        assert 5000 < self.redis.pttl(meta) <= 100_000
        assert 5000 < self.redis.pttl(frames) <= 100_000

    async def test_a_stream_without_frames_expires_too(self, stores: Callable[..., Store]) -> None:
        stream = new_id()
        await stores().create(stream, about())
        await stores().seal(stream, End())
        assert all(self.redis.pttl(key) > 0 for key in self.keys(stream))

    async def test_a_frame_above_one_mebibyte_is_refused(self, stores: Callable[..., Store]) -> None:
        store = stores()
        source = Source(*messages(2), ({}, bytes(2**20)))
        recording = await store.record(source, coder=RAW)
        end = await recording.ended()
        assert (end.code, source.closed) == ("resource_exhausted", 1)
        assert "1048576" in end.message
        assert (await Copy(recording.id).read(store)).data == wire(2)
        whole = await store.record([({}, bytes(2**20 - 10))], coder=RAW)
        assert await whole.ended() == End()

    @pytest.mark.parametrize("evicted", ["m", "f"])
    async def test_when_one_of_the_two_keys_is_evicted_the_stream_is_given_again(
        self, stores: Callable[..., Store], evicted: str
    ) -> None:
        store, other = stores(), stores()
        source = Source(*messages(5))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(other))
        await until(lambda: copy.position == 5)
        self.redis.delete(self.keys(recording.id)["mf".index(evicted)])
        source.give(*messages(9)[5:])
        source.end()
        await task
        assert (copy.data, copy.end) == (wire(9), End())
        late = await Copy(recording.id).read(other)
        assert (late.data, late.end) == (wire(9), End())

    async def test_when_the_frames_are_evicted_before_the_end_it_is_no_success_without_them(
        self, stores: Callable[..., Store]
    ) -> None:
        store = stores()
        source = Source(*messages(5))
        recording = await store.record(source, coder=RAW)
        await until(lambda: self.redis.hget(self.keys(recording.id)[0], "n") == b"5")
        self.redis.delete(self.keys(recording.id)[1])
        source.end()
        assert await recording.ended() == End()
        assert (await Copy(recording.id).read(store)).data == wire(5)

    async def test_what_a_failover_has_lost_is_given_again(self, stores: Callable[..., Store]) -> None:
        """The replica that takes over is behind: both keys are as they were some entries ago."""
        store, other = stores(), stores()
        source = Source(*messages(5))
        recording = await store.record(source, coder=RAW)
        here, there = Copy(recording.id), Copy(recording.id)
        tasks = [asyncio.create_task(copy.read(reader)) for copy, reader in ((here, store), (there, other))]
        await until(lambda: here.position == there.position == 5)
        behind = {key: self.redis.dump(key) for key in self.keys(recording.id)}
        for n in range(5, 9):
            source.give(messages(9)[n])
            await until(lambda n=n: here.position == there.position == n + 1)
        for key, value in behind.items():
            self.redis.restore(key, 60_000, value, replace=True)
        source.give(*messages(12)[9:])
        source.end()
        await asyncio.gather(*tasks)
        for copy in (here, there, await Copy(recording.id).read(other)):
            assert (copy.data, copy.end) == (wire(12), End())

    async def test_a_failover_that_has_lost_more_than_the_tail_is_data_loss(self, stores: Callable[..., Store]) -> None:
        store, other = stores(), stores()
        size = 64 * 1024
        source = Source(*messages(1, size))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(other))
        await until(lambda: copy.position == 1)
        behind = {key: self.redis.dump(key) for key in self.keys(recording.id)}
        source.give(*messages(20, size)[1:])
        await until(lambda: copy.position == 20)
        for key, value in behind.items():
            self.redis.restore(key, 60_000, value, replace=True)
        source.give(*messages(21, size)[20:])
        await task
        assert (await recording.ended()).code == "data_loss"
        assert copy.end is not None
        assert copy.end.code == "data_loss"
        assert source.closed == 1
        late = await Copy(recording.id).read(other)
        assert (late.data, late.end) == (wire(1, size), copy.end)

    @pytest.mark.parametrize("seed", range(3))
    async def test_messages_are_hints(self, stores: Callable[..., Store], seed: int) -> None:
        """Doubled, late, out of order, foreign, and lost with their connection: only the time that it takes changes."""
        rng = random.Random(seed)
        store, other = stores(), stores()
        source = Source()
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(other))
        channel = self.keys(recording.id)[1]
        listener = self.redis.pubsub()
        listener.subscribe(channel)
        heard: list[bytes] = []
        for message in messages(60):
            source.give(message)
            if rng.randrange(3) == 0:
                await asyncio.sleep(0.002)
            while (told := listener.get_message(ignore_subscribe_messages=True)) is not None:
                heard.append(told["data"])
            for _ in range(rng.randrange(3)):
                again = rng.choice(heard) if heard and rng.randrange(3) else b"another-token 0 99 " + wire(99)
                # Nothing false with the writer's own token: who has that can write to the stream itself.
                self.redis.publish(channel, rng.choice([again, again, again[: rng.randrange(10)] + b"x", b"end"]))
            if rng.randrange(20) == 0:
                self.redis.client_kill_filter(_type="pubsub")
                listener.close()
                listener = self.redis.pubsub()
                listener.subscribe(channel)
        source.end()
        await task
        listener.close()
        assert (copy.data, copy.end) == (wire(60), End())

    @pytest.mark.parametrize("seed", range(SEEDS))
    async def test_laws_hold_with_connections_cut_at_any_byte(self, seed: int) -> None:
        """The writer, its readers, and those elsewhere reach Redis only through a proxy that cuts their connections."""
        rng = random.Random(seed)
        # A connection has to live for longer than what may have gathered meanwhile: twenty messages.
        size, longest = rng.choice([(20, 8000), (1000, 150_000)])
        async with RedisProxy(self.server.port, rng, longest) as proxy:
            store, other = (RedisStore(proxy.url, prefix=self.prefix, lease=600) for _ in range(2))
            store.renew = other.renew = 0.02
            store.patience = other.patience = 600
            source = Source()
            recording = None
            while recording is None:
                try:
                    recording = await store.record(source, coder=RAW)
                except StreamError:
                    source = Source()
            stream = messages(10_000, size)
            whole = wire(10_000, size)

            async def read(copy: Copy, reader: Store) -> Copy:
                while copy.end is None:
                    assert await code_of(copy.read(reader, rng.randrange(1, 9))) in ("", "unavailable")
                    assert whole.startswith(copy.data)
                return copy

            copies = [Copy(recording.id) for _ in range(2)]
            tasks = [asyncio.create_task(read(*each)) for each in zip(copies, (store, other), strict=True)]
            count = 0
            while proxy.cuts < 12:
                await asyncio.sleep(0.001 * rng.randrange(3))
                if count < min(copy.position for copy in copies) + 20:
                    source.give(stream[count])
                    count += 1
            source.end()
            assert await recording.ended() == End()
            await asyncio.gather(*tasks)
            assert [(copy.data, copy.end) for copy in copies] == [(wire(count, size), End())] * 2
            proxy.faulty = False
            await asyncio.gather(store.aclose(), other.aclose())

    async def test_a_new_reader_is_not_kept_waiting_for_a_server_that_is_away(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "ANSWER_SECONDS", 0.2)
        store = RedisStore("redis://127.0.0.1:1", prefix=self.prefix)
        assert await code_of(store.status(new_id())) == "unavailable"
        assert await code_of(store.record(messages(1), coder=RAW)) == "unavailable"
        await store.aclose()

    @pytest.mark.parametrize("where", ["here", "there"])
    async def test_readers_anywhere_say_that_they_read(self, stores: Callable[..., Store], where: str) -> None:
        store, other = stores(), stores()
        source = Source(*messages(1))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(store if where == "here" else other))
        await until(lambda: copy.position == 1)
        key = self.keys(recording.id)[0]
        self.redis.hset(key, "r", 1)
        await until(lambda: int(self.redis.hget(key, "r")) > 1)
        task.cancel()

    async def test_a_restarted_server_is_given_the_scripts_again(self, stores: Callable[..., Store]) -> None:
        store = stores()
        first = await store.record(messages(3), coder=RAW)
        await first.ended()
        self.redis.script_flush()
        recordings = [await store.record(messages(3), coder=RAW) for _ in range(5)]
        assert [await recording.ended() for recording in recordings] == [End()] * 5
        assert (await Copy(recordings[4].id).read(store)).data == wire(3)

    async def test_after_a_restart_a_writer_has_the_time_of_a_lease_to_renew_its_own(
        self, stores: Callable[..., Store]
    ) -> None:
        """While Redis was away nobody could: the first reader to come back would take every writer for dead."""
        store, other = stores(), stores()
        store.renew = 600
        source = Source(*messages(1))
        recording = await store.record(source, coder=RAW)
        copy = Copy(recording.id)
        task = asyncio.create_task(copy.read(other))
        await until(lambda: copy.position == 1)
        key = self.keys(recording.id)[0]

        async def looked() -> None:
            """Whoever looks says that the stream is read."""
            self.redis.hset(key, "r", 0)
            await until(lambda: self.redis.hget(key, "r") != b"0")

        await looked()
        self.redis.pipeline().script_flush().hset(key, "u", 0).execute()
        for _ in range(3):
            await looked()
        source.give(*messages(2)[1:])
        source.end()
        await task
        assert (copy.data, copy.end) == (wire(2), End())

    async def test_a_client_of_ones_own_is_taken_and_not_closed(self) -> None:
        client = redis.asyncio.Redis.from_url(self.server.url)
        store = RedisStore(client, prefix=self.prefix)
        recording = await store.record(messages(3), coder=RAW)
        assert await recording.ended() == End()
        await store.aclose()
        assert await client.ping()
        await client.aclose()

    async def test_a_client_that_decodes_is_refused(self) -> None:
        client = redis.asyncio.Redis.from_url(self.server.url, decode_responses=True)
        with pytest.raises(ValueError, match="decode_responses"):
            RedisStore(client)
        await client.aclose()

    async def test_what_many_streams_append_goes_out_together(self, stores: Callable[..., Store]) -> None:
        store = stores()
        store.renew = 60
        ids = [new_id() for _ in range(50)]
        await asyncio.gather(*(store.create(stream, about()) for stream in ids))
        before = self.redis.info("commandstats")["cmdstat_evalsha"]["calls"]
        read = self.redis.info("stats")["total_reads_processed"]
        await asyncio.gather(*(store.append(Lease(stream, about().token), 0, 1, wire(1)) for stream in ids))
        assert self.redis.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 50
        assert self.redis.info("stats")["total_reads_processed"] - read < 15

    async def test_streams_of_another_prefix_are_not_there(self, stores: Callable[..., Store]) -> None:
        recording = await stores().record(messages(3), coder=RAW)
        await recording.ended()
        another = RedisStore(self.server.url, prefix=self.prefix + "2")
        assert await code_of(another.status(recording.id)) == "not_found"
        await another.aclose()


async def test_two_servers_with_one_redis_serve_the_same_streams(redis_server: RedisServer) -> None:
    """Readers are cut anywhere, and go on at whichever server they come to."""
    rng = random.Random(1)
    prefix = f"test-{new_id()}"
    stores = [RedisStore(redis_server.url, prefix=prefix) for _ in range(2)]
    async with (
        serving(make_app(stores[0])) as one,
        serving(make_app(stores[1])) as two,
        CuttingProxy(lambda: rng.choice([one, two]), rng, 30_000) as proxy,
        httpx.AsyncClient() as http,
    ):

        async def ask() -> list[Any]:
            url = f"{proxy.url}/ask?count=400"
            async with aopen_stream(http, "POST", url, coder=JsonCoder(), resume=True) as stream:
                return await stream.read_all()

        async with asyncio.timeout(60):
            answers = await asyncio.gather(*(ask() for _ in range(4)))
        assert answers == [[({"n": n}, "x" * (n * 37 % 300)) for n in range(400)]] * 4
        assert proxy.cuts > 4


async def test_a_stream_is_stopped_at_another_server(redis_server: RedisServer) -> None:
    prefix = f"test-{new_id()}"
    stores = [RedisStore(redis_server.url, prefix=prefix) for _ in range(2)]
    source = Source(({"n": 0}, "x"))
    async with (
        serving(make_app(stores[0], [source])) as one,
        serving(make_app(stores[1])) as two,
        httpx.AsyncClient() as http,
        asyncio.timeout(20),
    ):
        async with aopen_stream(http, "POST", f"http://127.0.0.1:{one}/ask", coder=JsonCoder()) as stream:
            await anext(stream)
            assert stream.place is not None
            place = stream.place.url.replace(f":{one}/", f":{two}/")
            assert (await http.delete(place)).status_code == 204
            with pytest.raises(StreamError, match="stopped"):
                await anext(stream)
        assert source.closed == 1


@pytest.mark.parametrize("aof", [True, False], ids=["with AOF", "comes back empty"])
async def test_a_server_that_is_killed_and_comes_back_costs_a_pause(tmp_path: Path, aof: bool) -> None:
    needs("redis-server")
    server = RedisServer(tmp_path, "--appendonly", "yes" if aof else "no", "--appendfsync", "always")
    try:
        store, other = (RedisStore(server.url, lease=600) for _ in range(2))
        store.renew = other.renew = 0.05
        source = Source(*messages(5))
        recording = await store.record(source, coder=RAW)
        here, there = Copy(recording.id), Copy(recording.id)
        tasks = [asyncio.create_task(copy.read(reader)) for copy, reader in ((here, store), (there, other))]
        await until(lambda: here.position == there.position == 5)
        for last in (9, 12):
            server.kill()
            source.give(*messages(last)[here.position : last])
            await asyncio.to_thread(server.start)
            await until(lambda last=last: here.position == there.position == last)
        source.end()
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks)
        for copy in (here, there, await Copy(recording.id).read(other)):
            assert (copy.data, copy.end) == (wire(12), End())
        await asyncio.gather(store.aclose(), other.aclose())
    finally:
        server.kill()
