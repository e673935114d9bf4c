"""Errors for what is not a stream. They name the slip: without this, the error would come from a task of an engine."""

from __future__ import annotations

from collections.abc import AsyncIterable, Coroutine, Iterable
from typing import Any, TypeVar, cast

__all__ = ["check_stream", "streams_of"]

T = TypeVar("T")


def check_stream(source: object) -> None:
    """Raise `TypeError` unless `source` is an async iterable."""
    if isinstance(source, AsyncIterable):
        return
    name = getattr(source, "__qualname__", type(source).__name__)
    if isinstance(source, Coroutine):
        source.close()  # so that Python does not warn that it was never awaited
        advice = f"{name}() returns no stream but a coroutine: await it, or make it a generator with 'yield'"
    elif callable(source):
        advice = f"call it: {name}()"
    elif isinstance(source, Iterable) and not isinstance(source, str | bytes):
        items = source if isinstance(source, list | tuple | set) else ()
        if any(isinstance(item, AsyncIterable) for item in items):
            advice = "it holds streams: pass it as the only argument of merge or concat, or unpack it: merge(*streams)"
        else:
            advice = "for its items as a stream use from_iterable(items)"
    else:
        advice = "for one item as a stream use from_iterable([item])"
    raise TypeError(f"not an async iterable: a value of type {type(source).__name__}; {advice}")


def streams_of(arguments: tuple[AsyncIterable[T] | Iterable[AsyncIterable[T]], ...]) -> tuple[AsyncIterable[T], ...]:
    """The streams of a call that takes `*streams` or one iterable of them. Raises `TypeError` for anything else."""
    sources: tuple[Any, ...] = arguments
    if (
        len(sources) == 1
        and not isinstance(sources[0], AsyncIterable | str | bytes)
        and isinstance(sources[0], Iterable)
    ):
        sources = tuple(sources[0])
    for source in sources:
        check_stream(source)
    return cast("tuple[AsyncIterable[T], ...]", sources)
