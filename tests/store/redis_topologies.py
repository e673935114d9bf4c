"""RedisStore on a cluster of three nodes, and behind Sentinel with a failover. `make soak` runs this file."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import test_store_redis
from needed_programs import needs
from redis.cluster import RedisCluster
from redis_server import RedisServer, free_port
from store_contract import LosingStoreContract
from stored_streams import RAW, Copy, Source, messages, until, wire

from objectstreaming.store import End, RedisStore, Store, new_id


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of one of three nodes, without replicas."""
    needs("redis-server")
    folder = tmp_path_factory.mktemp("cluster")
    nodes = []
    for _ in range(3):
        port = free_port()
        settings = ("--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf")
        nodes.append(RedisServer(folder, *settings, "--cluster-port", str(free_port()), port=port))
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    subprocess.run(["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], check=True, capture_output=True)
    client = redis.Redis(port=nodes[0].port)
    while client.cluster("info")["cluster_state"] != "ok":
        time.sleep(0.05)
    client.close()
    yield nodes[0].port
    for node in nodes:
        node.kill()


class TestCluster(LosingStoreContract):
    """The whole contract. Streams are on all nodes; what one node publishes is heard on any."""

    @pytest.fixture(autouse=True)
    async def _cluster(self, cluster: int) -> AsyncIterator[None]:
        self.port = cluster
        self.clients: list[redis.asyncio.RedisCluster] = []
        self.prefix = f"test-{new_id()}"
        self.redis: Any = RedisCluster(host="127.0.0.1", port=cluster)
        yield
        self.redis.close()
        for client in self.clients:
            await client.aclose()

    def make(self, **options: Any) -> Store:
        client = redis.asyncio.RedisCluster(host="127.0.0.1", port=self.port)
        self.clients.append(client)
        store = RedisStore(client, prefix=self.prefix, **options)
        store.renew = 0.02
        return store

    def keys(self, stream: str) -> tuple[str, str]:
        return f"{self.prefix}:{{{stream}}}:m", f"{self.prefix}:{{{stream}}}:f"

    end_lease = test_store_redis.TestRedisStore.end_lease
    expire = test_store_redis.TestRedisStore.expire
    leave_unread = test_store_redis.TestRedisStore.leave_unread
    lose = test_store_redis.TestRedisStore.lose


class Sentinels:
    """A master, its replica, and a sentinel that makes the replica the master when the first is gone."""

    def __init__(self, folder: Path) -> None:
        self.master = RedisServer(folder)
        self.replica = RedisServer(folder, "--replicaof", "127.0.0.1", str(self.master.port))
        self.port = free_port()
        settings = folder / "sentinel.conf"
        settings.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor ours 127.0.0.1 {self.master.port} 1\n"
            "sentinel down-after-milliseconds ours 500\nsentinel failover-timeout ours 3000\n"
        )
        self._sentinel = subprocess.Popen(
            ["redis-server", str(settings), "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        asked = redis.Redis(port=self.port)
        while True:  # until it knows the replica, which has all that the master has
            with suppress(redis.RedisError):
                if asked.execute_command("SENTINEL", "REPLICAS", "ours"):
                    break
            time.sleep(0.05)
        asked.close()

    def close(self) -> None:
        self._sentinel.kill()
        self._sentinel.wait()
        for server in (self.master, self.replica):
            server.kill()


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    needs("redis-server")
    made = Sentinels(tmp_path)
    yield made
    made.close()


async def test_a_failover_loses_nothing_that_a_writer_still_has(sentinels: Sentinels) -> None:
    asked = redis.asyncio.Sentinel([("127.0.0.1", sentinels.port)])
    masters = [asked.master_for("ours") for _ in range(2)]
    store, other = (RedisStore(master, lease=3) for master in masters)
    source = Source(*messages(5))
    recording = await store.record(source, coder=RAW)
    copies = [Copy(recording.id), Copy(recording.id)]
    tasks = [asyncio.create_task(copy.read(view)) for copy, view in zip(copies, (store, other), strict=True)]
    await until(lambda: all(copy.position == 5 for copy in copies))
    await asyncio.to_thread(sentinels.master.kill)
    source.give(*messages(10)[5:])
    source.end()
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    for copy in (*copies, await Copy(recording.id).read(other)):
        assert (copy.data, copy.end) == (wire(10), End())
    await store.aclose()
    await other.aclose()
    for client in (*masters, *asked.sentinels):
        await client.aclose()
