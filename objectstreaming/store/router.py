"""The routes of a store's streams (SPEC section 6.3, "Resuming")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from ..coders import Coder
from ..errors import StreamError
from ..server.views import View
from .serving import StoredResponse, stored_problem

if TYPE_CHECKING:
    from .store import Store

__all__ = ["router_of"]

_HEADERS = {"Cache-Control": "no-store"}


def router_of(
    store: Store,
    prefix: str,
    owner: Callable[..., Any] | None,
    coders: Sequence[Coder[Any, Any]],
    views: Sequence[View],
    heartbeat: float | None,
) -> APIRouter:
    """What `Store.router` gives."""
    known = {coder.name: coder for coder in coders}
    if len(known) != len(coders):
        raise ValueError("two coders have the same name, by which a stream says what it was written with")
    router = APIRouter(prefix=prefix)
    asked_by = Depends(owner if owner is not None else _nobody)

    async def read(request: Request, id: str, who: Any = asked_by) -> Response:
        return StoredResponse(
            store,
            id,
            owner=_checked(who),
            coder=known,
            resume=store.uri_of(request, id, owned=owner is not None),
            heartbeat=heartbeat,
            views=views,
        )

    async def stop(id: str, who: Any = asked_by) -> Response:
        try:
            await store.stop(id, owner=_checked(who))
        except StreamError as error:
            return stored_problem(error)
        return Response(status_code=204, headers=_HEADERS)

    name = store.route_name(owner is not None)
    router.add_api_route("/{id}", read, methods=["GET", "HEAD"], name=name, summary="Read a stream from a position")
    router.add_api_route("/{id}", stop, methods=["DELETE"], status_code=204, summary="Stop a stream")
    return router


def _nobody() -> str:
    return ""


def _checked(owner: Any) -> str:
    if not isinstance(owner, str):
        raise TypeError(f"the dependency owner= gives a string, not {type(owner).__name__}")
    return owner
