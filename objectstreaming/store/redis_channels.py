"""The one connection of a process on which it hears what happens to the streams that it writes or reads.

Messages are lost when the connection breaks. Therefore `rejoined` is called when a channel is subscribed to again, and
the store looks what it has missed. A connection on which nothing is heard, not even the answer to a PING, is given up.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio import ConnectionPool
from redis.asyncio.client import PubSub

from .redis_scripts import AWAY

__all__ = ["Channels"]

logger: Final = logging.getLogger("objectstreaming.store")

FIRST_PAUSE_SECONDS: Final = 0.02
LAST_PAUSE_SECONDS: Final = 1.0
"""Before a connection is made again: at first, doubled each time, at last."""


class _Subscription:
    def __init__(self) -> None:
        self.joined = asyncio.Event()
        self.joined_before = False


class Channels:
    """Subscriptions of a process. `heard(channel, data)` is called for each message, `rejoined(channel)` as said above.

    `period` is the number of seconds of silence after which a PING is sent, and after as many more the connection is
    given up.
    """

    def __init__(
        self,
        client: Any,
        period: float,
        heard: Callable[[str, bytes], None],
        rejoined: Callable[[str], None],
    ) -> None:
        self._client = client
        self._period = period
        self._heard = heard
        self._rejoined = rejoined
        self._wanted: dict[str, _Subscription] = {}
        self._changed: set[str] = set()  # channels that came to be wanted, or not to be
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Timeout | None = None

    def want(self, channel: str) -> None:
        """Have a channel subscribed to, soon."""
        if channel not in self._wanted:
            self._wanted[channel] = _Subscription()
            self._change(channel)

    async def join(self, channel: str) -> None:
        """Have a channel subscribed to, and wait until it is."""
        self.want(channel)
        await self._wanted[channel].joined.wait()

    def leave(self, channel: str) -> None:
        """Hear of a channel no longer."""
        if self._wanted.pop(channel, None) is not None:
            self._change(channel)

    async def aclose(self) -> None:
        """Close the connection."""
        self._wanted.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _change(self, channel: str) -> None:
        self._changed.add(channel)
        if self._task is None and self._wanted:
            self._task = asyncio.create_task(self._run(), name="objectstreaming redis channels")
        elif self._listening is not None:
            self._listening.reschedule(0)  # it is interrupted, in order to send
            self._listening = None

    async def _run(self) -> None:
        """Send and receive. Both in one task: redis-py connects again in any call that finds the connection broken."""
        pause = FIRST_PAUSE_SECONDS
        try:
            while self._wanted:
                pubsub = None
                try:
                    pubsub = self._new_pubsub()
                    self._changed = set(self._wanted)
                    await self._send_changes(pubsub)
                    pause = FIRST_PAUSE_SECONDS
                    await self._listen(pubsub)
                except AWAY as error:
                    logger.info("no word of stored streams from Redis: %s; connecting again", error)
                except Exception:
                    logger.exception("no word of stored streams from Redis; connecting again")
                finally:
                    for subscription in self._wanted.values():
                        subscription.joined.clear()
                    if pubsub is not None:
                        await pubsub.aclose()  # type: ignore[no-untyped-call]
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  no secret
                pause = min(2 * pause, LAST_PAUSE_SECONDS)
        finally:
            self._task = None

    async def _send_changes(self, pubsub: PubSub) -> None:
        """Subscribe to what is wanted, all that has gathered in one command, and unsubscribe from what is not."""
        changed, self._changed = self._changed, set()
        joined = changed & self._wanted.keys()
        if joined:
            await pubsub.subscribe(*joined)
        if changed - joined:
            await pubsub.unsubscribe(*(changed - joined))

    async def _listen(self, pubsub: PubSub) -> None:
        asked = False
        while True:
            if self._changed:
                await self._send_changes(pubsub)
            message = None
            try:
                async with asyncio.timeout(None) as self._listening:
                    message = await pubsub.get_message(timeout=self._period)
            except TimeoutError:
                continue
            finally:
                self._listening = None
            if message is None:
                if asked:
                    raise ConnectionError("it does not answer to PING")
                asked = True
                await pubsub.ping()
                continue
            asked = False
            self._on_message(message)

    def _on_message(self, message: dict[str, Any]) -> None:
        if message["type"] == "message":
            self._heard(message["channel"].decode(), message["data"])
        elif message["type"] == "subscribe":
            channel = message["channel"].decode()
            subscription = self._wanted.get(channel)
            if subscription is not None:
                subscription.joined.set()
                if subscription.joined_before:
                    self._rejoined(channel)
                subscription.joined_before = True

    def _new_pubsub(self) -> PubSub:
        if not hasattr(self._client, "get_nodes"):
            return self._client.pubsub()  # type: ignore[no-any-return]
        # A cluster: what one node publishes, all of them tell, so any will do; after a failure, maybe another one.
        nodes = self._client.get_nodes()
        if not nodes:
            raise ConnectionError("the cluster has not been asked for its nodes yet")
        node = random.choice(nodes)  # noqa: S311  no secret
        return PubSub(ConnectionPool(connection_class=node.connection_class, **node.connection_kwargs))
