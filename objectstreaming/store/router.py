"""The routes of a store's streams (SPEC section 6.3, "Resuming")."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from ..coders import Coder
from ..errors import StreamError
from ..protocol import MEDIA_TYPE
from ..server.views import View
from .serving import StoredResponse, stored_problem

if TYPE_CHECKING:
    from .store import Store

__all__ = ["router_of"]

_HEADERS = {"Cache-Control": "no-store"}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "No position, or one that is not kept"},
    404: {"description": "No such stream"},
}
_POSITION = {
    "name": "position",
    "in": "query",
    "description": "How many messages the reader has had. `Last-Event-ID` counts before it.",
    "schema": {"type": "integer", "minimum": 0, "default": 0},
}


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
    slug = re.sub(r"\W+", "_", prefix).strip("_")
    router.add_api_route(
        "/{id}",
        read,
        methods=["GET"],
        name=name,  # by which the URI of a stream is found
        operation_id=f"read_{slug}",
        summary="Read a stream from a position",
        response_class=Response,
        responses={200: {"description": "The rest of the stream", "content": {MEDIA_TYPE: {}}}, **_PROBLEMS},
        openapi_extra={"parameters": [_POSITION]},
    )
    router.add_api_route("/{id}", read, methods=["HEAD"], include_in_schema=False)
    router.add_api_route(
        "/{id}",
        stop,
        methods=["DELETE"],
        status_code=204,
        operation_id=f"stop_{slug}",
        summary="Stop a stream",
        responses={404: _PROBLEMS[404]},
    )
    return router


def _nobody() -> str:
    return ""


def _checked(owner: Any) -> str:
    if not isinstance(owner, str):
        raise TypeError(f"the dependency owner= gives a string, not {type(owner).__name__}")
    return owner
