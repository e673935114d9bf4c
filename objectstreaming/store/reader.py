"""`Reader`: one reader of a stored stream. It is a position and nothing else.

At the end of the stream it takes bytes from the process's `Tail`. Further behind, it fetches from the store. While the
store does not answer, or is being given again what it has lost, it waits, for the store's `patience` at most.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ..errors import StreamError
from .end import LOST, UNREACHABLE, End, StoreClosed
from .tail import BATCH, Tail
from .verbs import About, Gone, Page, Unavailable, Verbs, is_id

__all__ = ["Reader", "answered", "page_for"]

T = TypeVar("T")

ANSWER_SECONDS: Final = 2.0
"""How long somebody who has got nothing yet is kept waiting for a store that does not answer."""

RETRY_SECONDS: Final = 0.05
"""Between two attempts to get what the store should have, and has not."""


async def answered(call: Callable[[], Awaitable[T]]) -> T:
    """`call`, repeated for a while if the store is away; then `StreamError("unavailable")`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + ANSWER_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(until):
                return await call()
        except (Unavailable, TimeoutError) as error:
            if loop.time() + RETRY_SECONDS >= until:
                raise UNREACHABLE.failure() from error
        await asyncio.sleep(RETRY_SECONDS)


async def page_for(store: Verbs, id: str, owner: str, after: int | None) -> Page:
    """The log after a position, for who may read it.

    Raises `StreamError`: `not_found` for a stream that is not there, has expired or is another's, after the same calls
    of the store; `out_of_range`; `unavailable`.
    """
    try:
        page = await answered(lambda: store.fetch(id, after)) if is_id(id) else None
    except Gone:
        page = None
    if page is None or not hmac.compare_digest(page.about.owner.encode(), owner.encode()):
        raise StreamError("not_found", "no such stream")
    if after is not None and not page.first <= after <= page.position:
        raise StreamError(
            "out_of_range",
            f"the stream is kept from position {page.first} to {page.position}",
            {"first": page.first, "last": page.position},
        )
    return page


class Reader:
    """Reads a stored stream from a position on, in batches: the bytes of one or more whole data frames.

    To be used with `async with`, which opens it: that raises `StreamError`, with the code `not_found`, `out_of_range`
    or `unavailable`. Leaving the block leaves the stream, which goes on. `position` is the number of frames of the
    stream up to the last one read. Once `read` has given everything, `end` is how the stream ended.

    Args:
        store: that has the stream.
        id: of the stream.
        position: how many data frames to leave out.
        owner: as the stream was given.
    """

    def __init__(self, store: Verbs, id: str, position: int = 0, owner: str = "") -> None:
        self.id = id
        self.position = position
        self.end: End | None = None
        self._store = store
        self._owner = owner
        self._about: About | None = None
        self._tail: Tail
        self._fetched = b""  # and not yet read
        self._fetched_upto = position
        self._changed = asyncio.Event()
        self._listener: Callable[[], None] = self._changed.set
        self._trouble_since: float | None = None

    @property
    def about(self) -> About:
        """What was said of the stream when it was created."""
        assert self._about is not None, "the reader is not open"
        return self._about

    async def __aenter__(self) -> Reader:
        page = await page_for(self._store, self.id, self._owner, self.position)
        try:
            tail = await answered(lambda: self._store.watch(self.id))
        except Gone:
            raise StreamError("not_found", "no such stream") from None
        if tail.about != page.about:  # meanwhile the store lost the stream, and another began with its id
            tail.release()
            raise LOST.failure()
        self._about = page.about
        self._fetched, self._fetched_upto = page.data, page.upto
        self._tail = tail
        tail.readers += 1
        tail.listeners.add(self._listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._tail.listeners.discard(self._listener)
        self._tail.readers -= 1
        self._tail.release()

    async def read(self) -> bytes:
        """The next batch. May be cancelled: no frame is lost.

        Returns:
            Bytes, of one or more whole data frames; `b""`: the stream has ended, see `end`.

        Raises:
            StreamError: The stream cannot be followed any more.
        """
        while True:
            self._changed.clear()
            if batch := self.take():
                return batch
            if self.behind:
                await self.fetch()
            elif self.ended():
                return b""
            else:
                await self._changed.wait()

    # ---------------------------------------------------------------------- what `read` does, for who waits otherwise

    def listen(self, listener: Callable[[], None]) -> None:
        """Have this function called whenever `take` may give more, instead of waking `read`."""
        self._tail.listeners.discard(self._listener)
        self._listener = listener
        self._tail.listeners.add(listener)

    @property
    def ready(self) -> int:
        """How many frames `take` gives, in one batch or in several."""
        if self._fetched:
            return self._fetched_upto - self.position
        tail = self._tail
        return tail.position - self.position if tail.first <= self.position < tail.position else 0

    @property
    def behind(self) -> bool:
        """Whether the next frame has to be fetched."""
        return not self._fetched and self.position < self._tail.first

    def take(self) -> bytes:
        """The next batch; `b""` if it is not here."""
        if self._fetched:
            batch, self._fetched = self._fetched, b""
            self.position = self._fetched_upto
            return batch
        tail = self._tail
        if not tail.first <= self.position < tail.position:
            return b""
        batch, self.position = tail.take(self.position, BATCH)
        return batch

    def ended(self) -> bool:
        """Whether everything was taken; then `end` says how the stream ended. Raises `StreamError`, as `read` does."""
        tail = self._tail
        if not tail.over or self._fetched or self.position < tail.position:
            return False
        self._raise_failure()
        self.end = tail.end
        return True

    async def fetch(self) -> None:
        """Fetch what is behind the tail, for the next `take`. Raises `StreamError`, as `read` does."""
        while self.behind and not await self._fetch():
            self._raise_failure()
            await asyncio.sleep(RETRY_SECONDS)

    def _raise_failure(self) -> None:
        failure = self._tail.failure
        if isinstance(failure, StoreClosed):
            raise StoreClosed
        if failure is not None:
            raise StreamError(failure.code, failure.message, failure.details)

    async def _fetch(self) -> bool:
        """Fetch what the tail has no more. `False`: the store has not got it now. Raises `StreamError`."""
        try:
            page = await self._store.fetch(self.id, self.position)
        except Gone:
            self._troubled(LOST.failure())
            return False
        except Unavailable:
            self._troubled(UNREACHABLE.failure())
            return False
        if page.about != self._about:
            raise LOST.failure()
        if self.position < page.first:
            raise _lost(page)
        if not page.data:  # it is being given again
            self._troubled(_lost(page))
            return False
        self._trouble_since = None
        self._fetched, self._fetched_upto = page.data, page.upto
        return True

    def _troubled(self, error: StreamError) -> None:
        now = asyncio.get_running_loop().time()
        if self._trouble_since is None:
            self._trouble_since = now
        elif now - self._trouble_since > self._store.patience:
            raise error


def _lost(page: Page) -> StreamError:
    return StreamError(LOST.code, LOST.message, {"first": page.first, "last": page.position})
