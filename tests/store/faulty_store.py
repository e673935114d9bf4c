"""A store that fails before it does what it is asked to, or after, so that only the answer is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from objectstreaming.store import End, Store
from objectstreaming.store.tail import Tail
from objectstreaming.store.verbs import About, Lease, Page, Unavailable


class FaultyStore(Store):
    """Another store, with a fault in about `faults` of 100 calls. `calls` names the verbs that were called."""

    def __init__(self, store: Store, rng: random.Random | None = None, faults: int = 0) -> None:
        super().__init__(keep=store.keep, lease=store.lease)
        self.renew, self.patience, self.largest = store.renew, store.patience, store.largest
        self.store = store
        self.rng = rng or random.Random(0)
        self.faults = faults
        self.away = False
        self.calls: list[str] = []

    async def create(self, id: str, about: About, first: int = 0) -> Tail | None:
        return await self._call("create", self.store.create, id, about, first)

    async def append(self, lease: Lease, after: int, upto: int, data: bytes) -> None:
        await self._call("append", self.store.append, lease, after, upto, data)

    async def seal(self, id: str, end: End, **options: Any) -> End | None:
        return await self._call("seal", self.store.seal, id, end, **options)

    async def fetch(self, id: str, after: int | None) -> Page:
        return await self._call("fetch", self.store.fetch, id, after)

    async def watch(self, id: str) -> Tail:
        return await self._call("watch", self.store.watch, id)

    async def aclose(self, *, grace: float = 0.0) -> None:
        await super().aclose(grace=grace)
        await self.store.aclose()

    async def _call(self, name: str, verb: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
        self.calls.append(name)
        fault = self.rng.randrange(100)
        for _ in range(self.rng.randrange(3) if self.faults else 0):
            await asyncio.sleep(0)
        if self.away or fault < self.faults / 2:
            raise Unavailable("a fault of the test's")
        answer = await verb(*arguments, **options)
        for _ in range(self.rng.randrange(3) if self.faults else 0):
            await asyncio.sleep(0)
        if fault < self.faults:
            if name == "watch":
                answer.release()
            raise Unavailable("a fault of the test's, after it was done")
        return answer
