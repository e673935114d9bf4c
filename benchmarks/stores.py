"""`python benchmarks/stores.py`: what it costs to store a stream, as ratios to a `FrameResponse` that stores nothing.

Each round runs one server in a process of its own (uvicorn, loopback) and reads its streams to the end; the ratio is to
the direct stream of the same round. `--redis URL` names a server; without it, one is started. The exit status is 1 if a
budget is not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

STORES = ("memory", "file", "redis")
FAST = ((30_000, 50), (4_000, 1024), (400, 64 * 1024))
"""Frames, and bytes of the payload of each."""
BUDGETS = {
    "30000 frames of 50 B": {"memory": 1.5, "file": 1.8, "redis": 2.6},
    "50 streams of 20 frames/s, 3 s": {"memory": 1.3, "file": 2.2, "redis": 2.4},
}
"""How many times the server's CPU of a direct stream a stored one may take, at most."""


def store_named(name: str, redis: str, folder: str) -> Any:
    from objectstreaming.store import FileStore, Keep, MemoryStore, RedisStore

    keep = Keep(ttl=30, bytes=2**30)
    return {
        "memory": lambda: MemoryStore(keep=keep),
        "file": lambda: FileStore(folder, keep=keep),
        "redis": lambda: RedisStore(redis, keep=keep),
    }[name]()


def application(name: str, redis: str, folder: str) -> Any:
    """An ASGI application: `/COUNT/SIZE/PAUSE` is a stream, stored or direct; `/cpu` is what the process has used."""
    from objectstreaming import RawCoder
    from objectstreaming.server import FrameResponse

    coder = RawCoder()
    store = None if name == "direct" else store_named(name, redis, folder)

    async def source(count: int, size: int, pause: float) -> AsyncIterator[Any]:
        header, payload = {"n": 0}, bytes(size)
        for n in range(count):
            header["n"] = n
            yield header, payload
            if pause:
                await asyncio.sleep(pause)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                if message["type"] == "lifespan.shutdown" and store is not None:
                    await store.aclose()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["path"] == "/cpu":
            used = resource.getrusage(resource.RUSAGE_SELF)
            body = json.dumps(used.ru_utime + used.ru_stime).encode()
            headers = [(b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        _, count, size, pause = scope["path"].split("/")
        items = source(int(count), int(size), float(pause))
        await FrameResponse(items, coder=coder, store=store)(scope, receive, send)

    return app


def serve(name: str, port: int, redis: str, folder: str) -> None:
    import uvicorn

    uvicorn.run(application(name, redis, folder), host="127.0.0.1", port=port, log_level="error")


async def get(port: int, path: str) -> int:
    """How many bytes a response has, headers included."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Accept: application/vnd.objectstreaming;v=1\r\n\r\n".encode()
    )
    size = 0
    while data := await reader.read(256 * 1024):
        size += len(data)
    writer.close()
    return size


async def cpu(port: int) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /cpu HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return float(answer.rpartition(b"\r\n\r\n")[2])


class Server:
    def __init__(self, name: str, port: int, redis: str, folder: str) -> None:
        self.port = port
        command = [sys.executable, __file__, "--serve", name, "--port", str(port), "--redis", redis, "--folder", folder]
        self.process = subprocess.Popen(command)

    async def wait(self) -> None:
        while True:
            try:
                await cpu(self.port)
                return
            except OSError:
                await asyncio.sleep(0.02)

    async def measure(self, path: str, streams: int, expected: int) -> tuple[float, float]:
        before, started = await cpu(self.port), time.perf_counter()
        sizes = await asyncio.gather(*(get(self.port, path) for _ in range(streams)))
        wall, used = time.perf_counter() - started, await cpu(self.port) - before
        assert min(sizes) > expected, (sizes, expected)
        return wall, used

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def summary(values: list[float]) -> str:
    return f"{statistics.median(values):5.2f} ({min(values):.2f}-{max(values):.2f})"


async def compare(servers: dict[str, Server], path: str, streams: int, expected: int, rounds: int, title: str) -> bool:
    """Print the ratios. Whether they keep within the budget, if there is one."""
    wall: dict[str, list[float]] = {name: [] for name in servers}
    used: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(rounds + 1):
        found = {name: await server.measure(path, streams, expected) for name, server in servers.items()}
        if _ == 0:
            continue  # the first round warms up
        for name, (seconds, cpu_seconds) in found.items():
            wall[name].append(seconds / found["direct"][0])
            used[name].append(cpu_seconds / found["direct"][1])
    print(f"\n{title}; {rounds} rounds, ratios to direct: median (range)")
    budgets = BUDGETS.get(title, {})
    kept = True
    for name in servers:
        if name == "direct":
            continue
        verdict = ""
        if name in budgets:
            met = statistics.median(used[name]) <= budgets[name]
            verdict = f"   budget {budgets[name]}{'' if met else ': NOT met'}"
            kept = kept and met
        print(f"  {name:8} time {summary(wall[name])}   server CPU {summary(used[name])}{verdict}")
    return kept


async def appends(store: Any, streams: int, count: int, size: int) -> float:
    """Seconds an append takes, with so many streams at once."""
    from objectstreaming.store import new_id
    from objectstreaming.store.verbs import About, Lease

    data = (8 + 2 + size).to_bytes(4, "little") + (2).to_bytes(4, "little") + b"{}" + bytes(size)

    async def write() -> None:
        lease = Lease(new_id(), "t")
        await store.create(lease.id, About(token=lease.token, coder="raw"))
        for n in range(count):
            await store.append(lease, n, n + 1, data)

    started = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(streams)))
    return (time.perf_counter() - started) / count / streams


async def append_costs(redis: str, rounds: int) -> None:
    print("\nAn append: microseconds by itself, and in 50 streams at once")
    for size in (100, 4096, 64 * 1024):
        for name in STORES:
            alone, together = [], []
            for _ in range(rounds):
                with tempfile.TemporaryDirectory() as folder:
                    store = store_named(name, redis, folder)
                    alone.append(1e6 * await appends(store, 1, 200, size))
                    together.append(1e6 * await appends(store, 50, 20, size))
                    await store.aclose()
            print(f"  {size:6} B  {name:8} alone {summary(alone)}   together {summary(together)}")


async def wake_ups(redis: str, readers: int, streams: int, rounds: int) -> None:
    """How long after an append the readers in another process's store have it."""
    for name in STORES:
        with tempfile.TemporaryDirectory() as folder:
            store = store_named(name, redis, folder)
            other = store if name == "memory" else store_named(name, redis, folder)
            delays, used = await wake_ups_of(store, other, readers, streams, rounds)
            await store.aclose()
            if other is not store:
                await other.aclose()
        delays.sort()
        p50, p99 = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
        print(f"  {name:8} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   CPU of both {used:5.2f} s")


async def wake_ups_of(store: Any, other: Any, readers: int, streams: int, rounds: int) -> tuple[list[float], float]:
    """The milliseconds of each reader and append, and the seconds of CPU that all took."""
    from objectstreaming import RawCoder

    queues: list[asyncio.Queue[Any]] = [asyncio.Queue() for _ in range(streams)]
    delays: list[float] = []
    given = 0.0

    async def source(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
        while (item := await queue.get()) is not None:
            yield item

    async def read(stream: str) -> None:
        async with other.reader(stream) as reader:
            while await reader.read():
                delays.append(1e3 * (time.perf_counter() - given))

    recordings = [await store.record(source(queue), coder=RawCoder()) for queue in queues]
    tasks = [asyncio.create_task(read(recordings[n % streams].id)) for n in range(readers)]
    await asyncio.sleep(0.5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for _ in range(rounds):
        for queue in queues:
            given = time.perf_counter()
            queue.put_nowait(({"n": 1}, b"x" * 100))
            if streams > 1:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    for queue in queues:
        queue.put_nowait(None)
    await asyncio.gather(*tasks)
    return delays, used


async def resumptions(redis: str, rounds: int) -> None:
    """How long it takes a process to have the first frames of a stream that another one writes, from the middle on."""
    from objectstreaming import RawCoder

    for name in STORES:
        with tempfile.TemporaryDirectory() as folder:
            store = store_named(name, redis, folder)
            other = store if name == "memory" else store_named(name, redis, folder)
            goes_on = asyncio.Event()

            async def source(goes_on: asyncio.Event = goes_on) -> AsyncIterator[Any]:
                for n in range(100):
                    yield {"n": n}, b"x" * 100
                await goes_on.wait()

            recording = await store.record(source(), coder=RawCoder())
            async with store.reader(recording.id) as reader:  # until all is stored
                while reader.position < 100:
                    await reader.read()
            delays = []
            for _ in range(rounds):
                started = time.perf_counter()
                async with other.reader(recording.id, 50) as reader:
                    await reader.read()
                    delays.append(1e3 * (time.perf_counter() - started))
            goes_on.set()
            await recording.ended()
            await store.aclose()
            if other is not store:
                await other.aclose()
        delays.sort()
        print(f"  {name:8} p50 {delays[rounds // 2]:6.2f} ms   p99 {delays[int(rounds * 0.99)]:6.2f} ms")


async def main(redis: str, rounds: int) -> bool:
    """Print everything. Whether all budgets are kept."""
    kept = []
    with tempfile.TemporaryDirectory() as folder:
        servers = {name: Server(name, 18300 + n, redis, folder) for n, name in enumerate(("direct", *STORES))}
        try:
            for server in servers.values():
                await server.wait()
            for count, size in FAST:
                title = f"{count} frames of {size} B"
                kept.append(await compare(servers, f"/{count}/{size}/0", 1, count * size, rounds, title))
            paced = "50 streams of 20 frames/s, 3 s"
            kept.append(await compare(servers, "/60/50/0.05", 50, 3000, max(2, rounds // 2), paced))
            await compare(servers, "/1/50/0", 1, 50, 20 * rounds, "one frame")
        finally:
            for server in servers.values():
                server.stop()
    await append_costs(redis, rounds)
    print("\nThe first frames after a resumption")
    await resumptions(redis, 200)
    print("\n200 readers of one stream, 40 frames")
    await wake_ups(redis, 200, 1, 40)
    print("\n200 readers of 200 streams, 40 frames each")
    await wake_ups(redis, 200, 200, 40)
    return all(kept)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--redis", default="")
    parser.add_argument("--folder", default="")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.port, arguments.redis, arguments.folder)
    elif arguments.redis:
        sys.exit(not asyncio.run(main(arguments.redis, arguments.rounds)))
    else:
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/store"))
        from redis_server import RedisServer

        with tempfile.TemporaryDirectory() as logs:
            server = RedisServer(Path(logs))
            try:
                kept = asyncio.run(main(server.url, arguments.rounds))
            finally:
                server.kill()
        sys.exit(not kept)
