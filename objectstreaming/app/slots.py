"""How many streams each client has: those of its requests, and stored ones that go on after their reader has left.

A stored answer belongs to the process. A client that starts one and leaves has gone, its answer has not: it keeps the
slot that the request took until its source is closed. So nobody runs more at once than the limits say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.types import Scope

__all__ = ["Slot", "Slots", "held_by_source"]

_KEY: Final = "objectstreaming.slot"


class Slots:
    """Counts streams, in all and of each client.

    >>> slots = Slots()
    >>> slot = slots.take("ann")
    >>> slots.of("ann"), slots.total()
    (1, 1)
    >>> slot.release()
    >>> slots.of("ann"), slots.total()
    (0, 0)
    """

    def __init__(self) -> None:
        self._streams: Counter[str] = Counter()  # of each client that has any

    def of(self, client: str) -> int:
        """How many a client has."""
        return self._streams[client]

    def total(self) -> int:
        """How many there are."""
        return self._streams.total()

    def take(self, client: str) -> Slot:
        """One more stream of a client, until the slot is released."""
        self._streams[client] += 1
        return Slot(self, client)

    def _free(self, client: str) -> None:
        self._streams -= Counter((client,))  # forgets a client that has none left


class Slot:
    """The place of one stream. It is free again when everybody who holds it has released it."""

    def __init__(self, slots: Slots, client: str) -> None:
        self._slots = slots
        self._client = client
        self._holders = 1

    def hold(self) -> None:
        """One more has to release it."""
        self._holders += 1

    def release(self) -> None:
        """Whoever took or held it does not need it any more."""
        self._holders -= 1
        if not self._holders:
            self._slots._free(self._client)

    def put_into(self, scope: Scope) -> None:
        """Let the application find it, with `held_by_source`."""
        scope[_KEY] = self


def held_by_source(scope: Scope, source: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The same source, which holds the slot of this request until it has ended or is closed."""
    slot = scope.get(_KEY)
    return source if slot is None else _Held(slot, source)


class _Held(AsyncIterator[Any]):
    def __init__(self, slot: Slot, source: AsyncIterator[Any]) -> None:
        slot.hold()
        self._slot: Slot | None = slot
        self._source = source

    async def __anext__(self) -> Any:
        try:
            return await anext(self._source)
        except BaseException:
            self._release()
            raise

    async def aclose(self) -> None:
        close: Any = getattr(self._source, "aclose", None)
        try:
            if close is not None:
                await close()
        finally:
            self._release()

    def _release(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()
