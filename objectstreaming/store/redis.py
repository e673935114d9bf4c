"""`RedisStore`: streams in Redis, for several machines (the extra `redis`).

**How it works.** A stream is two keys, written by three scripts (`redis_scripts.py`). Each script decides and writes in
one step, which no other process can divide. What was written is published, for the processes that read the stream; to
the process that writes it only the end is published, for it knows the rest (`redis_channels.py`). Messages are hints:
the positions in them tell whether one was missed, and then what is missing is fetched. Every `renew` seconds a process
asks of each stream that it reads whether its writer is alive; if it is not, the same script ends the stream. A process
that has found Redis away, or restarted, ends none for the time of a lease: no writer could renew its lease meanwhile.

Redis may lose what it has acknowledged, when it is restarted without AOF, or by a failover. Then the writer gives again
what its tail still has, up to 256 KiB. The end of a stream is not given again: a reader that had not got it yet gets
`data_loss`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ..frames import KiB, MiB
from .end import DEAD, LOST, End, StoreClosed
from .redis_channels import Channels
from .redis_scripts import AWAY, ScriptRunner, Scripts, unavailable
from .store import Store
from .tail import TAIL_BYTES, Tail
from .verbs import About, Conflict, Fenced, Full, Gone, Keep, Lease, Page, Refused, Sealed, Unavailable, Unread
from .walk import skip_frames

__all__ = ["RedisStore"]

T = TypeVar("T")

logger: Final = logging.getLogger("objectstreaming.store")

PAGE_BYTES: Final = 64 * KiB
PAGE_ENTRIES: Final = 512
"""What is fetched at once; but one entry at least."""


class _Watched:
    """A stream that this process writes or reads."""

    def __init__(self, tail: Tail, channel: str, own: bool) -> None:
        self.tail = tail
        self.channel = channel
        self.own = own
        self.refreshing: asyncio.Task[None] | None = None
        self.stale = False  # it changed again while it was refreshed


class RedisStore(Store):
    """Keeps streams in Redis, for all processes that reach it.

    A frame has 1 MiB at most; larger ones would hold up all other clients of the server. Needs Redis 5. Its
    `maxmemory-policy` should be `noeviction` or `volatile-ttl`.

    Args:
        redis: a URL, or a client of `redis.asyncio`: `Redis`, `Sentinel(...).master_for(...)` or `RedisCluster`, which
            must not have `decode_responses`, and is not closed by `aclose`.
        prefix: all keys begin with it; by it several applications share a server.
        keep: how much is kept of a stream, and for how long.
        lease: seconds within which the death of a writer is noticed.

    Raises:
        ValueError: The client decodes responses, or a number is out of range.

    >>> store = RedisStore("redis://127.0.0.1", keep=Keep(ttl=3600), lease=6)
    """

    largest = MiB

    def __init__(
        self,
        redis: str | redis.asyncio.Redis | redis.asyncio.RedisCluster,
        *,
        prefix: str = "os",
        keep: Keep | None = None,
        lease: float = 6.0,
    ) -> None:
        super().__init__(keep=keep, lease=lease)
        self._closes_client = isinstance(redis, str)
        self._client: Any = _client_of(redis) if isinstance(redis, str) else redis
        if _decodes(self._client):
            raise ValueError("the Redis client has decode_responses=True; frames are bytes: give a client without it")
        self._prefix = prefix
        self._scripts = Scripts(
            lease=round(1000 * lease),
            live_ttl=round(1000 * max(self.keep.ttl, 2 * lease)),
            ended_ttl=max(1, round(1000 * self.keep.ttl)),
            most=self.keep.bytes,
            unread=0 if self.keep.unread is None else max(1, round(1000 * self.keep.unread)),
        )
        self._runner = ScriptRunner(self._client)
        self._channels = Channels(self._client, self.renew, self._on_message, self._on_rejoined)
        self._watched: dict[str, _Watched] = {}
        self._checking: asyncio.Task[None] | None = None
        self._troubled_at = -math.inf  # when a check has last found that Redis is away, or was restarted

    # ----------------------------------------------------------------------------------------- the five verbs

    async def create(self, id: str, about: About, first: int = 0) -> Tail | None:
        created = await self._runner.run(self._scripts.create, self._keys(id), about.token, about.to_json(), first)
        if not created:
            return None
        watched = self._watched.get(id)
        if watched is not None and not watched.own:  # it was read here, lost, and begun anew
            self._drop(watched)
            watched.tail.fail(LOST.failure())
            watched = None
        if watched is None:
            tail = Tail(id, TAIL_BYTES, self._on_released)
            tail.begin(about, first)
            tail.watchers = 1
            watched = self._watched[id] = _Watched(tail, self._keys(id)[0], own=True)
            self._channels.want(watched.channel)  # what is said there is the end, which the next renewal hears too
        return watched.tail

    async def append(self, lease: Lease, after: int, upto: int, data: bytes) -> None:
        watched = self._watched.get(lease.id)
        tail = watched.tail if watched is not None and watched.own else None
        read_here = tail is not None and tail.readers > 0
        answer = await self._runner.run(
            self._scripts.append,
            self._keys(lease.id),
            lease.token,
            after,
            upto,
            data,
            int(read_here),
            size=len(data),
        )
        if answer[0] != b"ok":
            raise _refusal(answer)
        if tail is not None and data:
            tail.add(after, upto, data)

    async def seal(
        self,
        id: str,
        end: End,
        *,
        lease: Lease | None = None,
        position: int | None = None,
        only_if_dead: bool = False,
    ) -> End | None:
        token = "" if lease is None else lease.token
        where = "" if position is None else str(position)
        answer = await self._runner.run(
            self._scripts.seal, self._keys(id), end.to_json(), token, where, int(only_if_dead), 0
        )
        if answer[0] == b"alive":
            return None
        refusal = _refusal(answer)
        if isinstance(refusal, Sealed):
            return refusal.end
        raise refusal

    async def fetch(self, id: str, after: int | None) -> Page:
        meta_key, frames_key = self._keys(id)
        state = await _answer(self._client.hmget(meta_key, "a", "i", "n", "s", "g"))
        if state[0] is None:
            raise Gone
        about = About.from_json(state[0])
        first, position = int(state[1]), int(state[2])
        end = None if state[3] is None else End.from_json(state[3])
        if after is None or not first <= after <= position:
            upto = position if after is None else after
            return Page(about, first, position, upto, b"", end if upto >= position else None)
        count = max(1, min(PAGE_ENTRIES, PAGE_BYTES // max(1, int(state[4]))))
        entries = await _answer(self._client.xrange(frames_key, min=f"(1-{after}", max="+", count=count))
        parts: list[bytes] = []
        upto = after
        for entry_id, fields in entries:
            if b"e" in fields:
                end = End.from_json(fields[b"e"])
                break
            before, last = int(fields[b"a"]), int(entry_id.partition(b"-")[2])
            if before > upto:  # an entry is missing
                break
            parts.append(skip_frames(fields[b"d"], upto - before))
            upto = last
        position = max(position, upto)  # it may have grown since
        return Page(about, first, position, upto, b"".join(parts), end if upto == position else None)

    async def watch(self, id: str) -> Tail:
        watched = self._watched.get(id)
        if watched is None:
            tail = Tail(id, TAIL_BYTES, self._on_released)
            watched = self._watched[id] = _Watched(tail, self._keys(id)[1], own=False)
        tail = watched.tail
        tail.watchers += 1
        try:
            if not watched.own:
                await self._channels.join(watched.channel)
                if tail.about is None:
                    page = await self.fetch(id, None)
                    tail.begin(page.about, page.position, page.end)
                    if watched.stale:
                        self._refresh(watched)
        except BaseException:
            tail.release()
            raise
        if self._checking is None:
            self._checking = asyncio.create_task(self._check_all(), name="objectstreaming redis checks")
        return tail

    async def aclose(self, *, grace: float = 0.0) -> None:
        await super().aclose(grace=grace)
        tasks = [watched.refreshing for watched in self._watched.values() if watched.refreshing is not None]
        if self._checking is not None:
            tasks.append(self._checking)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._checking = None
        for watched in self._watched.values():
            watched.tail.fail(StoreClosed())
        await self._channels.aclose()
        await self._runner.aclose()
        if self._closes_client:
            await self._client.aclose()

    # ---------------------------------------------------------------------------------------- what is watched

    def _on_message(self, channel: str, data: bytes) -> None:
        watched = self._watched_on(channel)
        if watched is None or watched.tail.over:
            return
        tail = watched.tail
        if tail.about is None:  # `watch` is about to ask how the stream stands, or has asked
            watched.stale = True
            return
        words = data.split(b" ", 3)  # token, after, upto, and perhaps the frames; or "end"
        if len(words) >= 3 and words[0] == tail.about.token.encode():
            after, upto = int(words[1]), int(words[2])
            if upto <= tail.position or (len(words) == 4 and tail.add(after, upto, words[3])):
                return
        self._refresh(watched)

    def _on_rejoined(self, channel: str) -> None:
        watched = self._watched_on(channel)
        if watched is not None and watched.tail.about is not None:
            self._refresh(watched)  # messages may have been missed

    def _watched_on(self, channel: str) -> _Watched | None:
        watched = self._watched.get(channel.rpartition("}")[0].rpartition("{")[2])
        return watched if watched is not None and watched.channel == channel else None

    def _refresh(self, watched: _Watched) -> None:
        """Have a tail get what it has missed, soon."""
        if watched.refreshing is not None:
            watched.stale = True
        elif not watched.tail.over:
            watched.refreshing = asyncio.create_task(self._refreshed(watched))

    async def _refreshed(self, watched: _Watched) -> None:
        tail = watched.tail
        try:
            while not tail.over:
                watched.stale = False
                after = tail.position
                page = await self.fetch(tail.id, after)
                if page.about != tail.about or page.first > after:
                    tail.fail(LOST.failure())
                elif page.data:
                    tail.add(after, page.upto, page.data)
                elif page.end is not None:
                    tail.close(page.end)
                elif not watched.stale:
                    break
        except (Gone, Unavailable):
            pass  # the next check will tell
        except Exception:
            logger.exception("a stream cannot be read from Redis")
        finally:
            watched.refreshing = None

    async def _check_all(self) -> None:
        """Every `renew` seconds, ask of each stream that others write whether its writer is alive."""
        try:
            while self._watched:
                await asyncio.sleep(self.renew)
                others = [watched for watched in self._watched.values() if not watched.own]
                await asyncio.gather(*map(self._check, others))
        finally:
            self._checking = None

    async def _check(self, watched: _Watched) -> None:
        tail = watched.tail
        if tail.about is None or tail.over:
            return
        now = asyncio.get_running_loop().time()
        # While Redis was away no writer could renew its lease. It gets the time of one to do so.
        judges = now - self._troubled_at > self.lease
        dead, read_here = DEAD.to_json(), int(tail.readers > 0)
        look = (dead, "", "", 2, read_here)
        judge = (dead, "", "", 1, read_here)
        try:
            answer = await self._runner.run(
                self._scripts.seal, self._keys(tail.id), *(judge if judges else look), again=look
            )
        except Unavailable:
            self._troubled_at = now
            tail.unreachable(now, self.patience)
        except Exception:
            logger.exception("a stream cannot be asked for in Redis")
        else:
            if answer[0] == b"gone":  # it may be given again
                tail.lost(now, self.lease)
                return
            tail.untroubled()
            if judges and answer[0] == b"unjudged":
                self._troubled_at = now
            if answer[0] == b"sealed" or answer[1] != tail.position:
                self._refresh(watched)

    def _on_released(self, tail: Tail) -> None:
        watched = self._watched.get(tail.id)
        if watched is not None and watched.tail is tail:
            self._drop(watched)

    def _drop(self, watched: _Watched) -> None:
        del self._watched[watched.tail.id]
        self._channels.leave(watched.channel)
        if watched.refreshing is not None:
            watched.refreshing.cancel()

    def _keys(self, id: str) -> tuple[str, str]:
        stem = f"{self._prefix}:{{{id}}}:"
        return stem + "m", stem + "f"


async def _answer(command: Awaitable[T]) -> T:
    try:
        return await command
    except AWAY as error:
        raise unavailable(error) from error


def _refusal(answer: list[Any]) -> Refused:
    kind = answer[0]
    if kind == b"sealed":
        return Sealed(End.from_json(answer[1]))
    if kind == b"conflict":
        return Conflict(answer[1])
    if kind == b"full":
        return Full(answer[1])
    return {b"gone": Gone, b"fenced": Fenced, b"unread": Unread}[kind]()


def _client_of(url: str) -> Any:
    # One retry, for a connection that was closed while it was idle; the rest is the recording's patience. No timeout of
    # the socket's, which would be set for each answer of a pipeline: `answered` sets one for all.
    return redis.asyncio.from_url(url, retry=Retry(NoBackoff(), 1), socket_connect_timeout=2.0)


def _decodes(client: Any) -> bool:
    pool = getattr(client, "connection_pool", None)
    settings = pool.connection_kwargs if pool is not None else client.get_connection_kwargs()
    return bool(settings.get("decode_responses"))
