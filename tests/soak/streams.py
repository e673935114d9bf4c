"""What becomes of stored streams when something fails: `python tests/soak/streams.py [name of a row ...]`.

Each row is a fault, tried with two servers of one store, in real processes and in real time: with files, and with a
redis-server of its own. It prints what happened and how long it took, and fails if a reader gets anything but a prefix
of the stream, misses the end, or waits longer than the row says. Linux only: it reads /proc.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx

HERE: Final = Path(__file__).parent
sys.path.append(str(HERE.parent / "store"))

from cutting_proxy import CuttingProxy  # noqa: E402
from redis_server import RedisServer, free_port  # noqa: E402

from objectstreaming import JsonCoder, StreamError  # noqa: E402
from objectstreaming.client import Place, aopen_stream  # noqa: E402

LEASE: Final = 2.0
LONG_LEASE: Final = 6.0
"""Where Redis is killed. It is the default, and longer than a busy machine takes to give what was lost again."""
SLACK: Final = 3.0
"""Seconds that a busy machine may take longer than the lease."""
NEVER_CUT: Final = 2**62


class Failed(Exception):
    """A row did not go as it must."""


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Failed(what)


class Server:
    """A uvicorn with the application."""

    def __init__(self, store: str, lease: float) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "uvicorn", "--factory", "streams_app:make", "--port", str(self.port)]
        env = {**os.environ, "STORE": store, "LEASE": str(lease)}
        self.process = subprocess.Popen(
            [*command, "--log-level", "critical"], cwd=HERE, env=env, stderr=subprocess.DEVNULL
        )

    async def up(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            for _ in range(600):
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(f"{self.url}/closed")).is_success:
                        return
                await asyncio.sleep(0.05)
        raise Failed("a server does not start")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def memory(self) -> float:
        """MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.asynccontextmanager
async def two(store: str, lease: float = LEASE) -> AsyncIterator[tuple[Server, Server]]:
    servers = Server(store, lease), Server(store, lease)
    try:
        await asyncio.gather(*(server.up() for server in servers))
        yield servers
    finally:
        for server in servers:
            server.signal(signal.SIGCONT)
            server.kill()


def through(*servers: Server, longest: int = NEVER_CUT, seed: int = 1) -> CuttingProxy:
    """In front of both: a client that reads here reads from the first server that runs, or from any if it is cut."""
    rng = random.Random(seed)

    def choose() -> int:
        alive = [server.port for server in servers if server.process.poll() is None]
        return rng.choice(alive) if longest != NEVER_CUT else alive[0]

    return CuttingProxy(choose, rng, longest)


def expected(count: int, size: int = 300) -> list[Any]:
    return [*(({"n": n}, "x" * (n * 37 % size)) for n in range(count)), ({"n": count}, "")]


class Reader:
    """Reads a stream to its end, and knows when that came."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.got: list[Any] = []
        self.end = ""
        self.message = ""
        self.ended_at = 0.0
        self.place: Place | None = None
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    async def read(self, url: str | Place, method: str = "POST") -> Reader:
        options: dict[str, Any] = {"coder": JsonCoder(), "resume": 120}
        stream = (
            aopen_stream(self._http, method, url, **options)
            if isinstance(url, str)
            else aopen_stream(self._http, place=url, **options)
        )
        try:
            async with stream as messages:
                async for message in messages:
                    self.got.append(message)
                    self.place = messages.place
                    self.begun.set()
            self.end = "ok"
        except StreamError as error:
            self.end, self.message = error.code, error.message
        except Exception as error:  # noqa: BLE001  shown
            self.end = repr(error)
        self.ended_at = time.monotonic()
        self.over.set()
        return self


@contextlib.asynccontextmanager
async def own_and_foreign(
    one: Server, other: Server, query: str
) -> AsyncIterator[tuple[Reader, Reader, asyncio.Future[Any]]]:
    """A stream that the first server writes, read there and at the other one."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http, through(one, other) as proxy:
        own, foreign = Reader(http), Reader(http)
        reading = asyncio.create_task(own.read(f"{proxy.url}/ask?{query}"))
        await asyncio.wait_for(own.begun.wait(), 30)
        assert own.place is not None
        path = own.place.url.partition("/streams")[2]
        there = asyncio.create_task(foreign.read(Place(f"{other.url}/streams{path}", 0)))
        await asyncio.wait_for(foreign.begun.wait(), 30)
        both = asyncio.gather(reading, there)
        try:
            yield own, foreign, both
        finally:
            both.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await both


def prefixes(*readers: Reader) -> None:
    longest = max((reader.got for reader in readers), key=len)
    for reader in readers:
        check(reader.got == longest[: len(reader.got)], "a reader has something else than a prefix of the stream")
        check([header["n"] for header, _ in reader.got] == list(range(len(reader.got))), "a gap, or a message twice")


ENDLESS: Final = "count=1000000&pause=0.01"


async def readers_cut_at_random(store: str, _: RedisServer | None) -> str:
    """200 readers, cut at random and resuming at either server."""
    count = 300
    async with (
        two(store) as servers,
        through(*servers, longest=60_000) as proxy,
        httpx.AsyncClient(trust_env=False, timeout=60, limits=httpx.Limits(max_connections=None)) as http,
    ):
        began = time.monotonic()
        readers = await asyncio.gather(
            *(Reader(http).read(f"{proxy.url}/ask?count={count}&pause=0.002") for _ in range(200))
        )
        exact = sum(reader.got == expected(count) and reader.end == "ok" for reader in readers)
        posts = sum(request.startswith("POST") for request in proxy.requests)
        check(exact == 200, f"{exact} of 200 are exact: { {reader.end for reader in readers} }")
        check(posts == 200, f"{posts} POSTs for 200 streams")
        gets = len(proxy.requests) - posts
        return f"200 of 200 exact, {proxy.cuts} cuts, {gets} GETs, {time.monotonic() - began:.1f} s"


async def writer_killed(store: str, _: RedisServer | None) -> str:
    """kill -9 of the server that writes."""
    async with two(store) as (one, other), own_and_foreign(one, other, ENDLESS) as (own, foreign, both):
        killed = time.monotonic()
        one.kill()
        await asyncio.wait_for(both, LEASE * 4 / 3 + 10)
        for reader in (own, foreign):
            check(reader.end == "unavailable" and "died" in reader.message, f"the end is {reader.end} {reader.message}")
        prefixes(own, foreign)
        slowest = max(own.ended_at, foreign.ended_at) - killed
        limit = LEASE * 4 / 3 + SLACK
        check(slowest < limit, f"told after {slowest:.2f} s, wanted {limit:.2f}")
        return f"own reader told after {own.ended_at - killed:.2f} s, foreign one {foreign.ended_at - killed:.2f} s"


async def writer_frozen(store: str, _: RedisServer | None) -> str:
    """The server that writes stands still for longer than the lease, and comes back."""
    async with two(store) as (one, other), own_and_foreign(one, other, ENDLESS) as (own, foreign, both):
        frozen = time.monotonic()
        one.signal(signal.SIGSTOP)
        await asyncio.wait_for(foreign.over.wait(), LEASE * 4 + 10)
        check(foreign.end == "unavailable", f"the foreign reader's end is {foreign.end or 'missing'}")
        told = foreign.ended_at - frozen
        one.signal(signal.SIGCONT)
        await asyncio.wait_for(both, 20)
        check((own.end, own.message) == (foreign.end, foreign.message), "two readers have got two ends")
        prefixes(own, foreign)
        check(own.got == foreign.got, "the readers have got different lengths of one ended stream")
        assert foreign.place is not None
        async with httpx.AsyncClient(trust_env=False) as http:
            await asyncio.sleep(1)
            head = await http.head(foreign.place.url)
            closed = (await http.get(f"{one.url}/closed")).json()["closed"]
        check(head.headers["stream-position"] == str(len(foreign.got)), "the log has grown after its end")
        check(closed == 1, "the source was not closed")
        return f"foreign reader told after {told:.2f} s; the log stays as it was, the source is closed"


async def writer_terminated(store: str, _: RedisServer | None) -> str:
    """SIGTERM of the server that writes."""
    async with two(store) as (one, other), own_and_foreign(one, other, ENDLESS) as (own, foreign, both):
        told = time.monotonic()
        one.signal(signal.SIGTERM)
        await asyncio.wait_for(both, 20)
        for reader in (own, foreign):
            shut = reader.end == "unavailable" and "shutting down" in reader.message
            check(shut, f"the end is {reader.end} {reader.message}")
        prefixes(own, foreign)
        await asyncio.to_thread(one.process.wait, 20)
        return (
            f"both told after {max(own.ended_at, foreign.ended_at) - told:.2f} s, exit {time.monotonic() - told:.2f} s"
        )


async def stopped_elsewhere(store: str, _: RedisServer | None) -> str:
    """DELETE at the other server, while the source is silent."""
    async with two(store) as (one, other), own_and_foreign(one, other, "count=1&silence=600") as (own, foreign, both):
        assert foreign.place is not None
        async with httpx.AsyncClient(trust_env=False) as http:
            began = time.monotonic()
            check((await http.delete(foreign.place.url)).status_code == 204, "DELETE is not answered with 204")
            await asyncio.wait_for(both, 20)
            while not (await http.get(f"{one.url}/closed")).json()["closed"]:
                check(time.monotonic() < began + 20, "the source is not closed")
            closed = time.monotonic() - began
            check((await http.delete(foreign.place.url)).status_code == 204, "a second DELETE is not answered with 204")
        check((own.end, foreign.end) == ("canceled", "canceled"), f"the ends are {own.end} and {foreign.end}")
        return f"told after {1000 * (own.ended_at - began):.0f} ms, source closed {1000 * closed:.0f} ms"


async def source_silent(store: str, _: RedisServer | None) -> str:
    """A source that gives nothing for three leases."""
    query = f"count=1&silence={3 * LEASE}"
    async with two(store) as (one, other), own_and_foreign(one, other, query) as (own, foreign, both):
        await asyncio.wait_for(both, 3 * LEASE + 20)
        check(own.got == foreign.got == expected(1), "not exact")
        check((own.end, foreign.end) == ("ok", "ok"), f"the ends are {own.end} and {foreign.end}")
        return f"goes on after {3 * LEASE:.0f} s of silence"


async def started_twice(store: str, _: RedisServer | None) -> str:
    """Six PUTs of one id at two servers."""
    async with two(store) as servers, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        name = secrets.token_urlsafe(16)
        readers = await asyncio.gather(
            *(
                Reader(http).read(f"{servers[n % 2].url}/ask/{name}?count=200&pause=0.005", method="PUT")
                for n in range(6)
            )
        )
        closed = [(await http.get(f"{server.url}/closed")).json()["closed"] for server in servers]
        check(all(reader.got == expected(200) for reader in readers), f"not exact: {[r.end for r in readers]}")
        check(sum(closed) == 1, f"{closed} sources ran to their end")
        return "six readers of one stream"


async def slow_readers(store: str, _: RedisServer | None) -> str:
    """20 clients that start a stream of about 20 MB each, and read nothing."""
    async with two(store) as (one, _other), httpx.AsyncClient(trust_env=False, timeout=60) as http:
        before = one.memory()
        request = (
            b"POST /ask?count=400&size=100000 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
            b"Accept: application/vnd.objectstreaming;v=1\r\n\r\n"
        )
        clients = []
        for _ in range(20):
            client = socket.create_connection(("127.0.0.1", one.port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(request)
            clients.append(client)
        peak, began = before, time.monotonic()
        while (await http.get(f"{one.url}/closed")).json()["closed"] < 20:
            peak = max(peak, one.memory())
            check(time.monotonic() < began + 120, "slow readers hinder the writers")
            await asyncio.sleep(0.05)
        for client in clients:
            client.close()
        check(peak - before < 100, f"{peak - before:.0f} MiB more for 20 readers")
        return (
            f"{before:.0f} MiB before, at most {peak:.0f}; the writers are done after {time.monotonic() - began:.1f} s"
        )


async def _redis_killed(store: str, server: RedisServer | None, kills: int) -> str:
    assert server is not None
    count = 600  # all of it fits into a writer's tail, from which the store is given it again
    async with (
        two(store, LONG_LEASE) as servers,
        through(*servers, longest=200_000, seed=2) as proxy,
        httpx.AsyncClient(trust_env=False, timeout=60, limits=httpx.Limits(max_connections=None)) as http,
    ):
        readers = [Reader(http) for _ in range(60)]
        tasks = [
            asyncio.create_task(reader.read(f"{proxy.url}/ask?count={count}&pause=0.06")) for reader in readers[:20]
        ]
        await asyncio.gather(*(asyncio.wait_for(reader.begun.wait(), 30) for reader in readers[:20]))
        for number, reader in enumerate(readers[20:]):
            place = readers[number % 20].place
            assert place is not None
            tasks.append(asyncio.create_task(reader.read(Place(place.url, 0))))
        await asyncio.gather(*(asyncio.wait_for(reader.begun.wait(), 30) for reader in readers))
        for _ in range(kills):
            await asyncio.sleep(2)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(1)
            await asyncio.to_thread(server.start)
        await asyncio.wait_for(asyncio.gather(*tasks), 180)
        exact = sum(reader.got == expected(count) and reader.end == "ok" for reader in readers)
        wrong = {f"{reader.end} {reader.message} after {len(reader.got)}" for reader in readers if reader.end != "ok"}
        check(exact == 60, f"{exact} of 60 are exact: {wrong}")
        return f"{kills} kills, 60 of 60 exact, {len(proxy.requests) - 20} GETs"


async def redis_killed(store: str, server: RedisServer | None) -> str:
    """Redis with AOF is killed, and is back after a second: 20 streams, 60 readers, cut at random meanwhile."""
    return await _redis_killed(store, server, 3)


async def redis_emptied(store: str, server: RedisServer | None) -> str:
    """The same, and it comes back empty."""
    return await _redis_killed(store, server, 3)


async def redis_gone(store: str, server: RedisServer | None) -> str:
    """Redis does not come back."""
    assert server is not None
    async with two(store) as (one, other), own_and_foreign(one, other, ENDLESS) as (own, foreign, both):
        await asyncio.to_thread(server.kill)
        killed = time.monotonic()
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            assert foreign.place is not None
            answer = await http.get(foreign.place.url)
            refused = time.monotonic() - killed
            check(answer.status_code == 503 and "retry-after" in answer.headers, f"a new GET gets {answer.status_code}")
        await asyncio.wait_for(both, 60)
        for reader in (own, foreign):
            check(reader.end == "unavailable", f"the end is {reader.end} {reader.message}")
        prefixes(own, foreign)
        return (
            f"own reader told after {own.ended_at - killed:.1f} s, foreign one {foreign.ended_at - killed:.1f} s; "
            f"a new GET 503 after {refused:.1f} s"
        )


Row = Callable[[str, RedisServer | None], Awaitable[str]]

EVERYWHERE: Final[list[Row]] = [
    readers_cut_at_random,
    writer_killed,
    writer_frozen,
    writer_terminated,
    stopped_elsewhere,
    source_silent,
    started_twice,
    slow_readers,
]
WITH_REDIS: Final[list[Row]] = [redis_killed, redis_emptied, redis_gone]


async def run(row: Row, kind: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        server = None
        if kind == "Redis":
            aof = "no" if row is redis_emptied else "yes"
            server = RedisServer(Path(folder), "--appendonly", aof, "--appendfsync", "always")
        began = time.monotonic()
        try:
            said, passed = await row(folder if server is None else server.url, server), True
        except (Failed, TimeoutError) as error:
            said, passed = f"FAILED: {error!r}", False
        finally:
            if server is not None:
                server.kill()
    print(f"{row.__name__:22} {kind:6} {said}  ({time.monotonic() - began:.0f} s)", flush=True)
    return passed


def main(names: list[str]) -> int:
    rows = [(row, kind) for row in EVERYWHERE for kind in ("files", "Redis")] + [(row, "Redis") for row in WITH_REDIS]
    chosen = [(row, kind) for row, kind in rows if not names or row.__name__ in names]
    print(f"a lease of {LEASE:g} s")
    passed = [asyncio.run(run(row, kind)) for row, kind in chosen]
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
