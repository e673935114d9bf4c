"""What a process ends when it is told to stop: the streams, WebSocket sessions and request bodies that are running.

Servers tell an application too late that they stop: uvicorn runs a lifespan's shutdown when the last response has
ended, and a stream may have no end of its own. So everything that runs for a client is registered here while it runs,
and `end_streams` ends it. `objectstreaming.server.stopping` calls that when the signal to stop arrives.
"""

from __future__ import annotations

import contextlib
from typing import Final, Protocol

from .errors import StreamError

__all__ = ["SHUTTING_DOWN", "Stoppable", "Stopping", "end_streams", "running", "stopping"]

SHUTTING_DOWN: Final = StreamError("unavailable", "the server is shutting down")


class Stoppable(Protocol):
    """Something that runs for a client."""

    def stop_from_anywhere(self, why: StreamError) -> None:
        """End it with this error. Called from any thread, and from signal handlers. Raises `RuntimeError` if its event
        loop is closed."""


running: Final[set[Stoppable]] = set()
"""What runs now. Who adds itself removes itself."""


class Stopping:
    """Whether this process is about to stop. What begins then is refused."""

    def __init__(self) -> None:
        self.begun = False

    def refuse(self) -> None:
        """Raise `StreamError` (`unavailable`) if the process is about to stop."""
        if self.begun:
            raise StreamError(SHUTTING_DOWN.code, SHUTTING_DOWN.message)


stopping: Final = Stopping()


def end_streams(why: StreamError = SHUTTING_DOWN) -> int:
    """End what runs in this process with an error: every `FrameResponse`, every duplex session over a WebSocket of this
    server, and every request body that `RequestBody` or `read_messages` waits for.

    A client of version 1 gets `end` with the error, after the frames that were ready; a plain stream's connection is
    aborted; a response that has sent nothing yet becomes a problem with the error's status. May be called from any
    thread and from a signal handler. It returns at once; each ends within a second. What begins afterwards is not
    affected: to stop a server, use `stopping`.

    Args:
        why: what the clients are told.

    Returns:
        How many there were.

    >>> end_streams()
    0
    """
    told = list(running)
    for each in told:
        with contextlib.suppress(RuntimeError):  # its event loop is closed, so it has ended
            each.stop_from_anywhere(why)
    return len(told)
