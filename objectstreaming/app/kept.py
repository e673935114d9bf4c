"""How much is kept in memory of each client's answers."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Final

from ..store import MemoryStore

__all__ = ["Kept"]

_MOST_CLIENTS: Final = 10_000
"""Of how many clients the answers are known. Those of others are bounded by the store's total only."""


class Kept:
    """Gives ids to the answers that a `MemoryStore` keeps, and bounds the bytes of each client's.

    A client that has more makes the store forget its own oldest answers, those that have ended, and not the ones of
    others.
    """

    def __init__(self, store: MemoryStore, bytes_per_client: int) -> None:
        self._store = store
        self._most = bytes_per_client
        self._ids: OrderedDict[str, list[str]] = OrderedDict()

    def new_id(self, client: str) -> str:
        """The id of one more answer."""
        new = secrets.token_urlsafe(16)
        self._ids[client] = [*self._store.trim(self._ids.pop(client, []), self._most), new]
        if len(self._ids) > _MOST_CLIENTS:
            self._ids.popitem(last=False)
        return new
