"""Endpoints that yield their messages, in FastAPI's own style: what `FrameResponse.of` gives."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator, Mapping
from inspect import isasyncgen, isasyncgenfunction, isgeneratorfunction, unwrap
from typing import Any

from starlette.types import Receive, Scope, Send

from ..coders import Coder
from ..protocol import MEDIA_TYPE
from .response import FrameResponse
from .sources import close_unused

__all__ = ["Yielding"]


class Yielding(FrameResponse):
    """Called by FastAPI with a generator and what the route says."""

    media_type = MEDIA_TYPE  # for the OpenAPI document
    coder_of_class: Coder[Any, Any]
    options: Mapping[str, Any]

    def __init__(self, content: Any, status_code: int = 200, **given: Any) -> None:
        if not isinstance(content, AsyncIterable | Iterator):
            raise TypeError(
                f"an endpoint with response_class=FrameResponse.of(...) yields its messages, or returns a "
                f"FrameResponse; this one has returned {type(content).__name__}"
            )
        super().__init__(
            _without_wrapper(content), coder=self.coder_of_class, status_code=status_code, **{**self.options, **given}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.store is not None and (found := _with_yield(getattr(scope.get("route"), "dependant", None))):
            await close_unused(self.source)
            raise RuntimeError(
                f"FastAPI closes {', '.join(found)} when the first reader leaves, and a stored stream goes on: let the "
                "source open itself what it needs, without a dependency that yields (docs/resuming.md)"
            )
        await super().__call__(scope, receive, send)


def _with_yield(dependant: Any) -> list[str]:
    """The names of the dependencies that are closed with the response."""
    found = []
    for dependency in getattr(dependant, "dependencies", ()):
        call = unwrap(dependency.call)
        called = getattr(call, "__call__", None)  # noqa: B004  an object may be a dependency
        if any(isgeneratorfunction(one) or isasyncgenfunction(one) for one in (call, called)):
            found.append(getattr(call, "__name__", type(call).__name__))
        found += _with_yield(dependency)
    return found


def _without_wrapper(content: Any) -> Any:
    """The endpoint's own generator.

    FastAPI puts an async generator of its own around it. If a client leaves, the one inside would be closed by the
    garbage collector at some later time, and each message would cost another turn of the event loop.
    """
    if isasyncgen(content) and content.__name__ == "_async_stream_raw" and content.ag_frame is not None:
        inner = content.ag_frame.f_locals.get("async_gen")
        if isasyncgen(inner):
            return inner
    return content
