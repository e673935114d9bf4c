"""The memory that questions may take: in all, and for one client.

A question is held until it is whole and, if it is spoken, until it is recognized. Each body has a limit of its own, but
the product of that limit and the number of streams is more than a machine may have.
"""

from __future__ import annotations

from types import TracebackType

from ..errors import StreamError

__all__ = ["QuestionMemory", "Share"]


class QuestionMemory:
    """At most `most` bytes at a time, and `most_per_client` for one client.

    >>> memory = QuestionMemory(most=100, most_per_client=60)
    >>> share = memory.share("192.0.2.7")
    >>> share.take(50)
    >>> memory.held
    50
    >>> share.take(11)
    Traceback (most recent call last):
    objectstreaming.errors.StreamError: resource_exhausted: the questions of this address hold all they may
    >>> share.give_back()
    >>> memory.held
    0
    """

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._held: dict[str, int] = {}
        self.held = 0

    def share(self, client: str) -> Share:
        """For one question of that client."""
        return Share(self, client)

    def _take(self, client: str, size: int) -> None:
        if self._held.get(client, 0) + size > self._most_per_client:
            raise StreamError("resource_exhausted", "the questions of this address hold all they may")
        if self.held + size > self._most:
            raise StreamError("resource_exhausted", "the questions to this server hold all they may")
        self.held += size
        self._held[client] = self._held.get(client, 0) + size

    def _give_back(self, client: str, size: int) -> None:
        self.held -= size
        self._held[client] -= size
        if not self._held[client]:
            del self._held[client]


class Share:
    """What one question takes of a `QuestionMemory`. It is given back with this object, if not before.

    As a context manager it gives all of it back if the block fails: an exception may keep this object for a while.
    """

    def __init__(self, memory: QuestionMemory, client: str) -> None:
        self._memory = memory
        self._client = client
        self._size = 0

    def take(self, size: int) -> None:
        """Count `size` bytes more. Raises `StreamError` and counts nothing if there is no room for them."""
        if size:
            self._memory._take(self._client, size)
            self._size += size

    def give_back(self) -> None:
        """The question is held no longer."""
        size, self._size = self._size, 0
        if size:
            self._memory._give_back(self._client, size)

    def __enter__(self) -> Share:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.give_back()

    __del__ = give_back
