"""`Store`: what all stores can do, made of the five verbs that each has its own way for."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from starlette.requests import HTTPConnection
from starlette.routing import NoMatchFound

from ..coders import Coder
from ..errors import StreamError
from ..frames import Limits
from ..server.response import FrameResponse
from ..server.sources import Source, close_unused
from ..server.views import View
from .end import CANCELED, SHUTTING_DOWN, End
from .reader import Reader, answered, page_for
from .recording import Recording, Trailers
from .serving import RecordedResponse
from .tail import Tail
from .verbs import About, Gone, Keep, Lease, Page, is_id, new_id

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["Store"]

logger: Final = logging.getLogger("objectstreaming.store")

_numbers: Final = itertools.count()

H = TypeVar("H")
P = TypeVar("P")

CLOSE_SECONDS: Final = 2.0
"""How long `aclose` waits for the ends of recordings to be stored, and their sources to be closed."""


class Store(ABC):
    """Streams that outlive a connection: `MemoryStore`, `FileStore`, `RedisStore`.

    A store of another kind is a subclass with the five verbs (`verbs.Verbs` says what each has to do).

    Args:
        keep: how much is kept of a stream, and for how long.
        lease: the number of seconds within which the death of a writer is noticed. A process whose event loop stands
            still for longer is taken for dead.

    Raises:
        ValueError: `lease` is no positive number.

    >>> import asyncio
    >>> from objectstreaming import JsonCoder, iter_messages
    >>> from objectstreaming.store import MemoryStore
    >>> async def main():
    ...     store = MemoryStore()
    ...     recording = await store.record([({}, "one"), ({}, "two")], coder=JsonCoder())
    ...     await recording.ended()
    ...     return [batch async for batch in store.replay(recording.id, position=1)]
    >>> list(iter_messages(asyncio.run(main()), JsonCoder()))
    [({}, 'two')]
    """

    patience: float = 15.0
    """Seconds for which a store that does not answer is waited for, by those who have begun."""

    largest: int | None = None
    """Bytes of the largest frame; `None`: any that `keep.bytes` has room for."""

    def __init__(self, *, keep: Keep | None = None, lease: float = 6.0) -> None:
        if not 0 < lease < math.inf:
            raise ValueError(f"lease is a positive number of seconds, not {lease!r}")
        self.keep = keep if keep is not None else Keep()
        self.lease = lease
        self.renew = lease / 3
        self._number = next(_numbers)  # an application may have several stores
        self._recordings: dict[asyncio.Task[None], Recording] = {}
        self._warned_of_owner = False

    # ----------------------------------------------------------------------------------------- the five verbs

    @abstractmethod
    async def create(self, id: str, about: About, first: int = 0) -> Tail | None: ...

    @abstractmethod
    async def append(self, lease: Lease, after: int, upto: int, data: bytes) -> None: ...

    @abstractmethod
    async def seal(
        self,
        id: str,
        end: End,
        *,
        lease: Lease | None = None,
        position: int | None = None,
        only_if_dead: bool = False,
    ) -> End | None: ...

    @abstractmethod
    async def fetch(self, id: str, after: int | None) -> Page: ...

    @abstractmethod
    async def watch(self, id: str) -> Tail: ...

    @property
    def writing(self) -> int:
        """How many streams this process writes now."""
        return len(self._recordings)

    # -------------------------------------------------------------------------------------------- what they give

    async def record(
        self,
        source: Source[H, P],
        *,
        coder: Coder[H, P],
        id: str | None = None,
        owner: str = "",
        trailers: Trailers | None = None,
        metadata: Mapping[str, Any] | None = None,
        views: tuple[str, ...] = (),
        limits: Limits | None = None,
        max_duration: float | None = None,
        background: Callable[[], Awaitable[Any]] | None = None,
    ) -> Recording:
        """Run a source in this process, and store what it gives. Returns once the stream is there to be read.

        Args:
            source: gives the messages, as that of a `FrameResponse`.
            coder: encodes them.
            id: a chosen one that no stream has had; by default a new one.
            owner: the stream is given to, and stopped by, those who name the same.
            trailers: go out with the `end`.
            metadata: goes out with the `open` of each response.
            views: the names of those that readers may be offered.
            limits: those of the receivers.
            max_duration: seconds after which the stream ends with `deadline_exceeded`.
            background: is called once the stream has ended.

        Returns:
            What runs; `await recording.ended()` waits for its end.

        Raises:
            StreamError: `already_exists`, `unavailable`. The source is closed then, as with the other errors.
            ValueError: The id is none.
            EncodeError: The metadata are not JSON.
        """
        try:
            about = About(
                token=secrets.token_urlsafe(16),
                coder=coder.name,
                neutral=coder.neutral,
                owner=owner,
                views=views,
                metadata=dict(metadata) if metadata is not None else None,
            )
            about.check()
            if id is not None and not is_id(id):
                raise ValueError(f"an id has 22 to 64 letters, digits, - and _; not {id!r:.80}")
            recording = Recording(
                self,
                id or new_id(),
                about,
                source,
                coder,
                trailers=trailers,
                limits=limits,
                max_duration=max_duration,
                background=background,
            )
            task = await recording.start()
        except BaseException:
            await close_unused(source)
            raise
        self._recordings[task] = recording
        task.add_done_callback(self._recordings.pop)
        return recording

    def reader(self, id: str, position: int = 0, *, owner: str = "") -> Reader:
        """Read a stream with `async with`, in batches, and know of its silence and its end.

        Args:
            id: of the stream.
            position: how many data frames to leave out.
            owner: as the stream was given.

        Returns:
            A reader, to be entered.
        """
        return Reader(self, id, position, owner)

    async def replay(self, id: str, position: int = 0, *, owner: str = "") -> AsyncIterator[bytes]:
        """The frames of a stream after `position`, in batches of whole data frames, until it ends.

        Args:
            id: of the stream.
            position: how many data frames to leave out.
            owner: as the stream was given.

        Yields:
            Bytes, of one or more whole data frames.

        Raises:
            StreamError: What the stream ended with, if not with success; before the first batch, `not_found`,
                `out_of_range`, `unavailable`; `data_loss` or `unavailable` if it cannot be followed any more.
        """
        async with self.reader(id, position, owner=owner) as reader:
            while batch := await reader.read():
                yield batch
        if reader.end is not None and reader.end.error is not None:
            raise reader.end.error

    async def status(self, id: str, *, owner: str = "") -> Page:
        """How a stream stands.

        Args:
            id: of the stream.
            owner: as the stream was given.

        Returns:
            A page without data: `position`, and `end` once the stream has one.

        Raises:
            StreamError: `not_found`, `unavailable`.
        """
        return await page_for(self, id, owner, None)

    async def stop(self, id: str, *, owner: str = "") -> End:
        """End a stream with `canceled`, wherever it is written; its source is closed there.

        Args:
            id: of the stream.
            owner: as the stream was given.

        Returns:
            The end that the stream has. One that has ended stays as it is.

        Raises:
            StreamError: `not_found`, `unavailable`.
        """
        await page_for(self, id, owner, None)
        try:
            end = await answered(lambda: self.seal(id, CANCELED))
        except Gone:
            raise StreamError("not_found", "no such stream") from None
        assert end is not None, "only a verdict can be refused"
        return end

    # ----------------------------------------------------------------------------------------------- over HTTP

    async def begin(self, response: FrameResponse, request: HTTPConnection) -> FrameResponse:
        """For `FrameResponse(store=...)`: record its source. A response that reads what is stored."""
        background, response.background = response.background, None
        try:
            recording = await self.record(
                response.source,
                coder=response.coder,
                id=response.id,
                owner=response.owner,
                trailers=response.trailers,
                metadata=response.metadata,
                limits=response.limits,
                max_duration=response.max_duration,
                background=background,
            )
            stream = recording.id
        except StreamError as error:
            if error.code != "already_exists" or response.id is None:
                response.background = background
                raise
            stream = response.id
        recorded = RecordedResponse(
            self,
            stream,
            owner=response.owner,
            coder=response.coder,
            resume=self._announced(request, stream, owned=bool(response.owner)),
            heartbeat=response.heartbeat,
            views=response.views,
            default_type=response.default_type,
            plain=response.plain,
        )
        recorded.status_code = response.status_code
        recorded.raw_headers = [*response.raw_headers]
        recorded.limits = response.limits
        return recorded

    def router(
        self,
        prefix: str = "/streams",
        *,
        owner: Callable[..., Any] | None = None,
        coders: Sequence[Coder[Any, Any]] = (),
        views: Sequence[View] = (),
        heartbeat: float | None = 15,
    ) -> APIRouter:
        """A FastAPI router for the streams of this store: GET, HEAD and DELETE of `{prefix}/{id}`.

        Needs FastAPI (the extra `server`).

        Args:
            prefix: of the paths.
            owner: a dependency that gives the same string as `FrameResponse(owner=...)` was given. Without it, those
                who know an id may read and stop the stream, but only if it has no owner.
            coders: streams are served as frames; as views too, if their coder is one of these.
            views: more views, besides those of `FrameResponse`.
            heartbeat: seconds of silence after which a ping is sent; `None`: no pings.

        Returns:
            What `app.include_router` takes.
        """
        from .router import router_of

        return router_of(self, prefix, owner, coders, views, heartbeat)

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """A lifespan for FastAPI or Starlette: `aclose` when the application is shut down."""
        try:
            yield
        finally:
            await self.aclose()

    def _announced(self, request: HTTPConnection, id: str, *, owned: bool) -> str | None:
        """`uri_of`. Warns once where only the other kind of router is there: most likely one `owner=` was forgotten."""
        uri = self.uri_of(request, id, owned=owned)
        if uri is None and not self._warned_of_owner and self.uri_of(request, id, owned=not owned) is not None:
            self._warned_of_owner = True
            has, lacks = ("FrameResponse", "store.router") if owned else ("store.router", "FrameResponse")
            logger.warning("clients cannot resume a stream: %s(...) has an owner=, and %s(...) has none", has, lacks)
        return uri

    def uri_of(self, request: HTTPConnection, id: str, *, owned: bool) -> str | None:
        """Where a router of this store serves a stream, as a path; `None` if there is no such router."""
        try:
            return request.url_for(self.route_name(owned), id=id).path
        except (NoMatchFound, RuntimeError):  # no such route, or no application with routes
            return None

    def route_name(self, owned: bool) -> str:
        """The name of the route of streams that have an owner, or have none."""
        return f"objectstreaming store {self._number} {'owned' if owned else 'open'}"

    async def aclose(self, *, grace: float = 0.0) -> None:
        """End what this process writes with `unavailable`; close connections and files.

        Readers in this process get `unavailable` too. What other processes write goes on there.

        Args:
            grace: how many seconds to wait first for streams to end by themselves.
        """
        if self._recordings and grace > 0:
            await asyncio.wait(list(self._recordings), timeout=grace)
        for recording in self._recordings.values():
            recording.stop(SHUTTING_DOWN.failure())
        if self._recordings:
            await asyncio.wait(list(self._recordings), timeout=CLOSE_SECONDS)
        late = list(self._recordings)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
