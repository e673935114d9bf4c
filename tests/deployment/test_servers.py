"""A short share of the matrix (`make deployment`): each family of servers once, behind middleware; and nginx."""

from __future__ import annotations

from collections.abc import Iterator

import checks
import pytest
import servers
from needed_programs import needs
from servers import Kind, Server

ENDS = {
    "failure": "unavailable",
    "deadline": "deadline_exceeded",
    "cancelled": "unavailable",
    "dependency": "unavailable",
}


@pytest.fixture(
    scope="module", params=[servers.UVICORN, servers.HYPERCORN, servers.GRANIAN], ids=lambda kind: kind.name
)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(scope="module")
def server(kind: Kind) -> Iterator[Server]:
    with servers.serving(kind, "base gzip") as server:
        yield server


@pytest.fixture(scope="module", params=["uvicorn", "nginx"])
def over_nginx_too(request: pytest.FixtureRequest) -> Iterator[Server]:
    with servers.serving(servers.UVICORN, "base gzip") as server:
        if request.param == "uvicorn":
            yield server
            return
        needs("nginx")
        with servers.proxied(servers.NGINX, server) as proxied:
            yield proxied


@pytest.mark.parametrize("cut", checks.CUTS)
async def test_what_is_cut_does_not_look_whole(server: Server, cut: str) -> None:
    assert (await checks.end_of(server, f"/{cut}", plain=False))[0] == ENDS[cut]
    assert (await checks.end_of(server, f"/{cut}", plain=True))[0] == "cut"


@pytest.mark.parametrize("cut", checks.CUTS)
async def test_nor_behind_nginx(over_nginx_too: Server, cut: str) -> None:
    assert (await checks.end_of(over_nginx_too, f"/{cut}", plain=False))[0] == ENDS[cut]
    assert (await checks.end_of(over_nginx_too, f"/{cut}", plain=True))[0] == "cut"


@pytest.mark.parametrize("source", checks.SOURCES)
@pytest.mark.parametrize("plain", [False, True])
async def test_who_leaves_is_noticed(server: Server, source: str, plain: bool) -> None:
    assert await checks.leaving(server, source, plain=plain) < checks.GIVEN_UP


@pytest.mark.parametrize(("size", "sent"), [(1_000, 0), (200_000, 200_000), (20_000_000, 10_000_000)])
async def test_who_leaves_with_an_unread_body_is_noticed(server: Server, size: int, sent: int) -> None:
    assert await checks.leaving_unread(server, size, sent) < checks.GIVEN_UP


async def test_a_server_that_stops_tells_every_client(kind: Kind) -> None:
    with servers.serving(kind, "base gzip") as server:
        seen = await checks.stop(server, websockets=kind.websockets)
    assert (seen.framed, seen.plain, seen.session, seen.upload) == ("unavailable", "cut", "unavailable", "503")
    assert server.process.poll() is not None
