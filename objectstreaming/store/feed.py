"""`StoredFeed`: what a response sends of a stored stream, taken from its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ..coders import Coder
from ..frames import FrameDecoder, Limits
from ..protocol import StreamEncoder
from ..server.response import StreamCut
from ..server.sources import Feed
from ..server.views import ViewEncoder
from .end import StoreClosed
from .reader import Reader

__all__ = ["StoredFeed"]


class StoredFeed(Feed):
    """The frames that an open reader has, as they were stored, or in the words of a view.

    Nearly always they are in the tail, where the sender takes them itself. Only what the tail has no more is fetched in
    a task: one batch ahead, while the sender sends the one before.
    """

    def __init__(
        self,
        reader: Reader,
        encoder: ViewEncoder,
        coder: Coder[Any, Any],
        limits: Limits | None,
        notify: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._encoder = encoder
        self._coder = coder
        self._limits = limits
        self._notify = notify
        self._fetching: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def held(self) -> int:
        """How many frames are there to be taken. After `stop` none is: who was cut off goes on where it was."""
        return 0 if self._stopped or self._fetching is not None else self._reader.ready

    @property
    def trailers(self) -> Mapping[str, Any] | None:
        """Those of the end that was stored."""
        return None if self._reader.end is None else self._reader.end.trailers

    def start(self) -> None:
        self._reader.listen(self._notify)

    def take(self) -> bytes:
        if self.finished or self._stopped or self._fetching is not None:
            return b""
        reader = self._reader
        before = reader.position
        data = wire = reader.take()
        if wire:
            if isinstance(self._encoder, StreamEncoder):
                data = self._encoder.stored(wire, reader.position - before)
            else:
                data = self._viewed(wire)
        try:
            if self.finished:
                pass
            elif reader.behind:
                self._fetching = asyncio.create_task(reader.fetch())
                self._fetching.add_done_callback(self._on_fetched)
            elif reader.ended():
                self._end(None if reader.end is None else reader.end.error)
            elif wire and not data:  # a view has nothing to say of it, and there may be more
                asyncio.get_running_loop().call_soon(self._notify)
        except Exception as error:  # noqa: BLE001  the sender's to tell
            self._end(error)
        return data

    def stop(self) -> None:
        self._stopped = True
        if self._fetching is not None:
            self._fetching.cancel()

    async def closed(self) -> None:
        if self._fetching is not None:
            await asyncio.wait([self._fetching])

    def _viewed(self, wire: bytes) -> bytes:
        parts = []
        try:
            for frame in FrameDecoder(self._limits).feed(wire):
                message = self._coder.decode(frame)
                parts.append(self._encoder.data(*message))
        except Exception as error:  # noqa: BLE001  the coder is the caller's; what comes before its error is sent
            self._end(error)
        return b"".join(parts)

    def _on_fetched(self, fetching: asyncio.Task[None]) -> None:
        self._fetching = None
        if not fetching.cancelled() and (error := fetching.exception()) is not None:
            self._end(error)
        self._notify()

    def _end(self, error: BaseException | None) -> None:
        self.finished = True
        self.error = StreamCut() if isinstance(error, StoreClosed) else error
