"""`objectstreaming doctor` finds the one fault of each hop, and no other; a short share of `make deployment`."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import hops
import pytest
import servers
from command_line import only_line, run
from doctored import FAULTY, IDLE, NGINX, PAGE, SERVER, Hop, advised, found_in
from hops import Fault
from httpx import AsyncClient, Headers
from needed_programs import needs
from reference_app import make_app
from servers import Server
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.routing import Route
from starlette.testclient import TestClient

from objectstreaming import JsonCoder, StreamEncoder, decode_frame
from objectstreaming.cli.diagnosing import Diagnosis, Examination, Reading, diagnose
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.cli.remedies import REMEDIES
from objectstreaming.cli.streams import Request, Seen
from objectstreaming.server import FrameResponse, doctor_route
from objectstreaming.testing import StreamingASGITransport

AT_ONCE = 6  # the probe allows for eight
HOPS = (*FAULTY, *NGINX[:2], advised("nginx"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with servers.serving(SERVER) as server:
        yield server


@pytest.fixture(scope="module")
def diagnoses(server: Server) -> Iterator[dict[str, Diagnosis]]:
    """At several hops at once: each diagnosis waits most of its time."""
    there = [hop for hop in HOPS if isinstance(hop.made, Fault) or shutil.which("nginx")]
    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
        running = {
            hop.name: pool.submit(diagnose, stack.enter_context(hop.before(server)), idle=IDLE if hop.idle else None)
            for hop in there
        }
        yield {name: each.result() for name, each in running.items()}


@pytest.mark.parametrize("hop", HOPS, ids=lambda hop: hop.name)
def test_it_finds_what_a_hop_does(diagnoses: dict[str, Diagnosis], hop: Hop) -> None:
    if not isinstance(hop.made, Fault):
        needs("nginx")
    diagnosis = diagnoses[hop.name]
    assert found_in(diagnosis) == hop.found, diagnosis
    if hop.idle:
        [idle] = [each for each in diagnosis.findings if each.check == "idle"]
        assert "gives up after 1." in idle.text


def test_a_heartbeat_must_be_shorter_than_the_patience_of_a_hop() -> None:
    app = Starlette(routes=[doctor_route("/slow", heartbeat=2)])
    with LoopbackServer(app) as server, hops.hop(Fault("", idle=1), server.url) as url:
        assert found_in(diagnose(f"{url}/slow", idle=IDLE)) == {"idle": "bad"}


async def asked(request: HttpRequest) -> FrameResponse:
    async def answer() -> AsyncIterator[tuple[dict[str, int], Any]]:
        for n in range(2):
            yield {"n": n}, request.url.query
            await asyncio.sleep(0.5)  # the hop that collects must be seen to

    return FrameResponse(answer(), coder=JsonCoder(), heartbeat=0.2)


@pytest.mark.parametrize(
    ("fault", "found"), [(Fault("none"), {}), (Fault("collects", collects=True), {"buffering": "bad"})]
)
def test_any_endpoint_can_be_examined(capsys: pytest.CaptureFixture[str], fault: Fault, found: dict[str, str]) -> None:
    app = Starlette(routes=[Route("/ask", asked)])
    with LoopbackServer(app) as server, hops.hop(fault, server.url) as url:
        assert run("doctor", f"{url}/ask?q=why", "-X", "GET", "--json") == (1 if found else 0)
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [each["check"] for each in findings] == ["version", "compression", "buffering", "end", "http"]
    assert {each["check"]: each["verdict"] for each in findings if each["verdict"] != "ok"} == found


def test_heartbeats_that_are_held_back_are_found() -> None:
    frames = [
        Seen(decode_frame(StreamEncoder(JsonCoder()).open(heartbeat=1)), 0.0, None),
        Seen(decode_frame(StreamEncoder(JsonCoder()).end()), 4.0, 4.0),
    ]
    reading = Reading("HTTP/1.1", Headers(), 0.0, frames)
    assert (reading.heartbeat, reading.longest_gap) == (1, 4.0)
    finding = Examination("http://x", Request(), {}, reading, "nginx").flow(reading)
    assert (finding.verdict, list(finding.remedies)) == ("bad", ["nginx"])


def test_the_lines_of_the_page_are_those_that_it_says() -> None:
    page = PAGE.read_text()
    for program, check in (("nginx", "http"), ("nginx", "buffering"), ("HAProxy", "buffering"), ("HAProxy", "leaving")):
        for line in REMEDIES[check][program].splitlines():
            assert line.startswith("#") or line in page


def test_the_command_says_what_to_change(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with hops.hop(Fault("", holds=0.2), server.url) as url:
        assert run("doctor", url) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{url}/doctor: HTTP/1.1")
    assert any(line.split()[:2] == ["bad", "buffering"] for line in lines)
    assert any(line.split() == ["HAProxy:", "option", "http-no-delay"] for line in lines)


def test_its_json_has_each_finding(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", f"{server.url}/doctor", "--json") == 0
    diagnosis = json.loads(capsys.readouterr().out)
    assert diagnosis["verdict"] == "ok"
    assert {finding["check"] for finding in diagnosis["findings"]} | {"idle"} == set(REMEDIES)
    assert all(set(finding) == {"check", "verdict", "text", "remedies"} for finding in diagnosis["findings"])


def test_a_server_without_the_route_is_told_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    with LoopbackServer(Starlette()) as other:
        assert run("doctor", other.url) == 5
    assert "doctor_route()" in only_line(capsys.readouterr().err)


def test_the_reference_app_has_the_route() -> None:
    assert TestClient(make_app(heartbeat=4)).get("/doctor?probe=headers").json()["heartbeat"] == 4


class TestTheRoute:
    client = TestClient(Starlette(routes=[doctor_route("/probe")]))

    def test_it_tells_only_the_headers_that_streams_need(self) -> None:
        secret = {"authorization": "Bearer a", "cookie": "a=b", "last-event-id": "7"}
        received = self.client.get("/probe?probe=headers", headers=secret).json()["received"]
        assert received["last-event-id"] == "7"
        assert not {"authorization", "cookie"} & set(received)

    @pytest.mark.parametrize("query", ["probe=all", "probe=quiet&seconds=1e9", "probe=quiet&seconds=nan"])
    def test_a_wrong_question_is_a_problem(self, query: str) -> None:
        response = self.client.get(f"/probe?{query}")
        assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")

    def test_an_id_that_it_does_not_know_is_not_known(self) -> None:
        assert self.client.get("/probe?probe=left&id=x").json() == {"known": False}

    async def test_it_runs_eight_probes_at_most(self) -> None:
        transport = StreamingASGITransport(Starlette(routes=[doctor_route("/probe")]))
        async with AsyncClient(transport=transport, base_url="http://test") as client, AsyncExitStack() as stack:
            quiet = "/probe?probe=quiet&seconds=500"
            for _ in range(8):
                response = await stack.enter_async_context(client.stream("GET", quiet))
                assert response.status_code == 200
            refused = await client.get(quiet)
            assert (refused.status_code, refused.json()["code"]) == (429, "resource_exhausted")

    def test_it_breaks_off_so_many_answers_a_minute(self) -> None:
        """Each is a traceback in the log of most servers."""
        client = TestClient(Starlette(routes=[doctor_route("/probe")]), raise_server_exceptions=False)
        v1 = {"accept": "application/vnd.objectstreaming;v=1"}
        with ThreadPoolExecutor(8) as pool:  # a request takes 0.2 s
            answers = list(pool.map(lambda _: client.get("/probe?probe=cut", headers=v1).status_code, range(32)))
        assert sorted(answers) == [200] * 30 + [429] * 2

    def test_a_heartbeat_is_a_positive_number(self) -> None:
        with pytest.raises(ValueError, match="heartbeat"):
            doctor_route(heartbeat=0)
