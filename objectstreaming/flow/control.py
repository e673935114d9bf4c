"""When a stream continues and when it ends: timeout, on_silence, recover, until, rate_limit.

Waits are bounded with `asyncio.timeout` around one step of the source, never across a `yield` (PEP 789). So a cancel of
the reader stays a cancel of the reader, and the source's own timeouts are not mixed up with ours.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterator
from typing import Any, TypeVar

from .closing import aclose, call, stop
from .pump import Branch, Pump

__all__ = ["on_silence", "rate_limit", "recover", "timeout", "until"]

T = TypeVar("T")
U = TypeVar("U")
E = TypeVar("E", bound=Exception)


def timeout(source: AsyncIterable[T], seconds: float) -> AsyncGenerator[T, None]:
    """Fail when the source gives no item within `seconds` of being asked for one.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, timeout
    >>> asyncio.run(collect(timeout(from_iterable("ab"), seconds=5)))
    ['a', 'b']

    The time is counted for each item separately, and only while the stream waits for it: the reader's own time does not
    count.

    Args:
        source: is cancelled and closed when it is too slow.
        seconds: for each item; more than 0.

    Raises:
        TimeoutError: The source was too slow.
        ValueError: `seconds` is not more than 0.
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be more than 0, not {seconds}")
    return _timeout(source, seconds)


async def _timeout(source: AsyncIterable[T], seconds: float) -> AsyncGenerator[T, None]:
    iterator = aiter(source)
    try:
        while True:
            clock = asyncio.timeout(seconds)
            try:
                async with clock:
                    item = await anext(iterator)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                if clock.expired():
                    raise TimeoutError(f"no item within {seconds} s") from error
                raise
            yield item
    finally:
        await aclose(iterator)


def on_silence(source: AsyncIterable[T], seconds: float, make: Callable[[], U | Awaitable[U]]) -> Branch[T | U]:
    """Give `make()` when the source gives no item within `seconds` of being asked for one, and go on with the source.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, on_silence
    >>> words = from_iterable(["hello", "I am here"], delay=0.05, delay_end=False)
    >>> asyncio.run(collect(on_silence(words, 0.03, lambda: "still there?")))
    ['hello', 'still there?', 'I am here']

    It is given again each time that the reader has waited so long. Nothing of the source is lost: a task reads it, one
    item ahead. For the same reason a reader that waits with a limit of its own (`asyncio.timeout` around `anext`) can
    ask again afterwards. With most other verbs such a limit ends the stream.

    Args:
        seconds: of waiting for one item; more than 0.
        make: a function, sync or async, that makes the item for the silence.

    Raises:
        ValueError: `seconds` is not more than 0.
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be more than 0, not {seconds}")
    return _Attended(Pump(source, 1, maxsize=1), seconds, make)


class _Attended(Branch[Any]):
    __slots__ = ("_make", "_seconds")

    def __init__(self, pump: Pump[Any], seconds: float, make: Callable[[], Any]) -> None:
        super().__init__(pump, pump.outlets[0])
        self._seconds = seconds
        self._make = make

    async def __anext__(self) -> Any:
        clock = asyncio.timeout(self._seconds)
        try:
            async with clock:
                return await super().__anext__()
        except TimeoutError:
            if not clock.expired():
                raise  # the source's own
        return await call(self._make)


async def recover(
    source: AsyncIterable[T], kind: type[E] | tuple[type[E], ...], handler: Callable[[E], Any]
) -> AsyncGenerator[Any, None]:
    """When the source fails with an exception of `kind`, continue with what `handler(error)` returns.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, recover
    >>> async def broken():
    ...     yield "first"
    ...     raise ConnectionError("the line went dead")
    >>> asyncio.run(collect(recover(broken(), ConnectionError, lambda error: f"({error})")))
    ['first', '(the line went dead)']

    Other exceptions, and cancellation, are raised.

    Args:
        source: is closed before the handler is called.
        kind: an exception class, or a tuple of them.
        handler: a function, sync or async. If it returns `None`, the stream ends. An iterator or async iterable is read
            to its end, and its own errors are raised. Anything else is one last item.
    """
    iterator = aiter(source)
    try:
        while True:
            try:
                item = await anext(iterator)
            except StopAsyncIteration:
                return
            except kind as error:
                failure = error
                break
            yield item
    finally:
        await aclose(iterator)
    answer = await call(handler, failure)
    if isinstance(answer, AsyncIterable):
        rest = aiter(answer)
        try:
            async for item in rest:
                yield item
        finally:
            await aclose(rest)
    elif isinstance(answer, Iterator):
        for item in answer:
            yield item
    elif answer is not None:
        yield answer


async def until(source: AsyncIterable[T], event: asyncio.Event) -> AsyncGenerator[T, None]:
    """The items of the source until `event` is set. Then the stream ends at once, even if the source is silent.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, endless, until
    >>> async def main():
    ...     hung_up = asyncio.Event()
    ...     asyncio.get_running_loop().call_later(0.01, hung_up.set)
    ...     return await collect(until(endless(), hung_up))
    >>> asyncio.run(main())
    []

    If the stream waits for an item when the event is set, that item is lost.

    Args:
        source: is cancelled and closed when the event is set.
        event: may be set before the first item is asked for: then there are none.
    """
    iterator = aiter(source)
    loop = asyncio.get_running_loop()
    waiting: asyncio.Timeout | None = None  # of the item that is being waited for

    def stop_waiting(_: object) -> None:
        if waiting is not None:
            waiting.reschedule(loop.time())

    watcher = loop.create_task(event.wait())
    watcher.add_done_callback(stop_waiting)
    try:
        while not event.is_set():
            step = asyncio.timeout(None)
            try:
                async with step:
                    waiting = step
                    try:
                        item = await anext(iterator)
                    finally:
                        waiting = None
            except StopAsyncIteration:
                return
            except TimeoutError:
                if step.expired():
                    return
                raise
            yield item
    finally:
        watcher.remove_done_callback(stop_waiting)
        await stop([watcher])
        await aclose(iterator)


def rate_limit(
    source: AsyncIterable[T], rate: float, cost: Callable[[T], float] | None = None, ahead: float = 0.0
) -> AsyncGenerator[T, None]:
    """Give items at the speed at which they are played.

    >>> import asyncio
    >>> from objectstreaming.flow import drain, from_iterable, rate_limit
    >>> pcm = from_iterable([bytes(640)] * 3)                       # 3 x 20 ms of 16 kHz, 16 bit, mono
    >>> asyncio.run(drain(rate_limit(pcm, rate=32_000, cost=len, ahead=0.5)))
    3

    The first item is given at once. Time that a slow source has lost is not caught up.

    Args:
        rate: units a second: items, or whatever `cost` counts.
        cost: how many units an item has; by default one.
        ahead: how many seconds an item is given before all items before it have been played: the listener's buffer.

    Raises:
        ValueError: `rate` is not a positive number, or `ahead` is negative.
    """
    if not (rate > 0 and math.isfinite(rate)) or not ahead >= 0:
        raise ValueError(f"rate must be a positive number and ahead at least 0, not {rate} and {ahead}")
    return _rate_limit(source, rate, cost, ahead)


async def _rate_limit(
    source: AsyncIterable[T], rate: float, cost: Callable[[T], float] | None, ahead: float
) -> AsyncGenerator[T, None]:
    loop = asyncio.get_running_loop()
    iterator = aiter(source)
    played = loop.time()  # when all items so far will have been played
    try:
        async for item in iterator:
            wait = played - ahead - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            played = max(played, loop.time()) + (1 if cost is None else cost(item)) / rate
            yield item
    finally:
        await aclose(iterator)
