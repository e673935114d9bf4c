"""Level 2 of the conformance suite: a client over HTTP, tried by a server that cuts, stalls and lies."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from objectstreaming.cli.conformance import Report, check
from objectstreaming.cli.conformance.comparing import Mismatch, compare_fetched
from objectstreaming.cli.conformance.door import Door, Exchange
from objectstreaming.cli.conformance.fetching import CASES, Way, check_request
from objectstreaming.cli.conformance.plays import PARTS, WHOLE, WIRE
from objectstreaming.cli.conformance.reference import reference_cases

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "spec" / "conformance"
TESTEE = [sys.executable, str(SUITE / "testee.py")]
ALL = [*CASES, *reference_cases()]

sys.path.insert(0, str(SUITE))  # what is in there is no package
from mutants import FETCHING  # noqa: E402

# ---------------------------------------------------------------------------------------------------- the cases


def test_every_requirement_is_a_sentence_of_the_document_and_its_section_exists() -> None:
    text = (ROOT / "spec" / "SPEC.md").read_text("utf-8")
    flat = " ".join(text.split())
    assert [case.requirement for case in ALL if case.requirement not in flat] == []
    headings = set(re.findall(r"^#{2,3} ([0-9](?:\.[0-9])?)\.? ", text, re.MULTILINE))
    assert {case.spec for case in ALL} <= headings


def test_every_case_has_an_id_and_a_level_of_its_own() -> None:
    assert len({case.id for case in ALL}) == len(ALL)
    assert all(re.fullmatch(r"http-[a-z]+/[a-z0-9-]+", case.id) for case in ALL)
    assert {case.level for case in ALL} == {"must", "should"}
    assert all(case.ways for case in ALL)


def test_the_stream_is_cut_at_every_byte_by_a_good_end_and_by_a_broken_connection() -> None:
    for name in ("every-byte-in-good-order", "every-byte-without-the-last-chunk"):
        [case] = [case for case in CASES if case.id == f"http-cut/{name}"]
        assert len(case.ways) == len(WIRE)
        assert all(verdict["error"] for way in case.ways for verdict in way.verdicts), "never a success"
    assert f"a stream of {len(WIRE)} bytes" in (SUITE / "README.md").read_text("utf-8")


# -------------------------------------------------------------------------------------------------- the testees


def test_the_python_client_passes_every_case() -> None:
    report = check(TESTEE, stages=[2])
    assert [(result.id, result.why) for result in report.results if result.status != "passed"] == []
    assert report.score(2) == (len(ALL), len(ALL))
    assert report.restarts == 0


@pytest.mark.parametrize("mutant", FETCHING)
def test_a_mutant_is_caught(mutant: str) -> None:
    command = [sys.executable, str(SUITE / "mutants.py"), mutant]
    # One that waits for ever is caught by its silence.
    report = check(command, only=FETCHING[mutant], silence=2.5)
    assert [(result.id, result.status) for result in report.results] == [(FETCHING[mutant], "failed")]


def test_the_mutants_that_the_task_asks_for_are_there() -> None:
    asked = {"cut-is-success", "ignores-content-type", "ignores-end-error", "posts-again-after-a-cut"}
    assert asked <= set(FETCHING)


def odd_testee(tmp_path: Path, body: str, features: str = "fetch json") -> list[str]:
    script = tmp_path / "odd.py"
    script.write_text(
        f"""
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    said = dict(name="odd 1", features={features!r})
    if request["op"] != "hello":
        {body}
    print(json.dumps(dict(id=request["id"], **said)), flush=True)
""",
        encoding="utf-8",
    )
    return [sys.executable, "-S", str(script)]


def only(report: Report) -> tuple[str, str]:
    [result] = report.results
    return result.status, result.why


def test_a_testee_without_fetch_is_not_tried(tmp_path: Path) -> None:
    assert check(odd_testee(tmp_path, "raise SystemExit", "decode"), only="http-").results == []


def test_a_testee_that_says_it_has_fetch_cannot_skip_a_case(tmp_path: Path) -> None:
    report = check(odd_testee(tmp_path, 'said = dict(skipped="tired")'), only="http-cut/no-answer")
    assert only(report) == ("failed", "closed: it says that it has fetch, and skipped this: tired")


def test_a_crash_fails_the_way_it_happened_in(tmp_path: Path) -> None:
    report = check(odd_testee(tmp_path, 'raise SystemExit("oh")'), only="http-cut/no-answer")
    assert only(report) == ("failed", "closed: crashed (exit status 1): oh")


def test_a_testee_that_never_sent_the_request_is_found_out(tmp_path: Path) -> None:
    body = 'said = dict(frames="", end="missing", error="no_response", position=0, trailers="7b7d", message="")'
    report = check(odd_testee(tmp_path, body), only="http-cut/no-answer")
    assert only(report) == ("failed", "closed: the request was sent 0 times")


def test_without_tal_the_spoken_answer_is_skipped(tmp_path: Path) -> None:
    report = check(odd_testee(tmp_path, "raise SystemExit"), only="http-app/wav")
    assert only(report) == ("skipped", "it has no tal")


# ------------------------------------------------------------------------------------------------- the verdicts

RIGHT = {
    "frames": "7b226e223a317d:226f6e6522 7b226e223a327d:7b227477c3b6223a22f09f9880227d",
    "end": "ok",
    "error": "",
    "position": 2,
    "trailers": "7b22746f6b656e73223a337d",
    "message": "",
}


def test_a_right_answer_is_right() -> None:
    compare_fetched("json", [WHOLE], RIGHT)


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"frames": ""}, "0 frames, wanted 2"),
        ({"frames": RIGHT["frames"] + " 7b7d:31"}, "3 frames, wanted 2"),
        ({"end": "missing"}, "wanted the end ok, got missing"),
        ({"error": "truncated_frame 1 2"}, "wanted no error, got truncated_frame"),
        ({"position": 3}, "wanted the position 2, got 3"),
        ({"trailers": "7b7d"}, "wanted the trailers {'tokens': 3}, got {}"),
        ({"message": "61"}, "wanted the message '', got 'a'"),
        ({"frames": None}, "the answer has no string 'frames'"),
    ],
)
def test_a_wrong_answer_is_told_from_a_right_one(members: dict[str, object], complaint: str) -> None:
    with pytest.raises(Mismatch, match=re.escape(complaint)):
        compare_fetched("json", [WHOLE], {**RIGHT, **members})


TRUNCATED = {"frames": [], "end": "missing", "error": {"code": "truncated_frame", "index": 1, "offset": 24}}
NOTHING = {"frames": "", "end": "missing", "position": 0}


def test_an_error_may_leave_out_its_place_but_not_have_another() -> None:
    compare_fetched("json", [TRUNCATED], {**NOTHING, "error": "truncated_frame 1 24"})
    compare_fetched("json", [TRUNCATED], {**NOTHING, "error": "truncated_frame"})
    with pytest.raises(Mismatch, match="wanted offset 24, got 0"):
        compare_fetched("json", [TRUNCATED], {**NOTHING, "error": "truncated_frame 1 0"})
    with pytest.raises(Mismatch, match="wanted truncated_frame, got no error, and the end missing"):
        compare_fetched("json", [TRUNCATED], {**NOTHING, "error": ""})


def test_of_several_verdicts_one_must_fit_and_a_beginning_fits_what_is_longer() -> None:
    incomplete = {**WHOLE, "end": "missing", "error": {"code": "stream_incomplete"}, "beginning": True}
    del incomplete["trailers"]
    answer = {**RIGHT, "end": "missing", "error": "stream_incomplete - -"}
    first = answer["frames"].split()[0]
    compare_fetched("json", [TRUNCATED, incomplete], answer)
    compare_fetched("json", [TRUNCATED, incomplete], {**answer, "frames": first, "position": 1})
    compare_fetched("json", [TRUNCATED, incomplete], {**answer, "frames": "", "position": 0})
    with pytest.raises(Mismatch, match="wanted truncated_frame, got stream_incomplete / or header 0 is"):
        compare_fetched("json", [TRUNCATED, incomplete], {**answer, "frames": first.replace("31", "32"), "position": 1})


def seen(head: str, body: bytes = b"{}") -> Exchange:
    return Exchange(head.encode(), body, None, None)  # type: ignore[arg-type]


ASKED = "POST /x HTTP/1.1\r\nAccept: application/vnd.objectstreaming; v=1, application/octet-stream;q=0.5"


@pytest.mark.parametrize(
    ("exchanges", "complaint"),
    [
        ([], "the request was sent 0 times"),
        ([seen(ASKED)] * 2, "the request was sent 2 times"),
        ([seen(ASKED.replace("POST", "GET"))], "wanted a POST, got a GET"),
        ([seen(ASKED.replace("v=1", "v=2"))], "the Accept header does not ask for version 1"),
        ([seen(ASKED, b"{")], "the body that came is b'{', wanted b'{}'"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(exchanges: list[Exchange], complaint: str) -> None:
    way = Way("", (), body=b"{}")
    check_request(way, [seen(ASKED)])
    with pytest.raises(Mismatch, match=re.escape(complaint)):
        check_request(way, exchanges)


# ----------------------------------------------------------------------------------------------------- the door


async def talk(play: Callable[[Exchange], Awaitable[None]], request: bytes) -> tuple[bytes, list[Exchange]]:
    """Send raw bytes to a door where `play` answers at /x, and read until it closes."""
    async with Door() as door:
        door.open("/x", play)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(door.url.rpartition(":")[2]))
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer, door.seen.get("/x", [])


async def hello(exchange: Exchange) -> None:
    await exchange.answer(b"hello", content_type="", X_Y="z")


async def test_the_door_answers_and_keeps_what_came() -> None:
    answer, [exchange] = await talk(hello, b"POST /x HTTP/1.1\r\nContent-Length: 2\r\nA: b:c\r\n\r\n{}")
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Y: z\r\nConnection: close\r\n\r\nhello"
    assert (exchange.method, exchange.path, exchange.body, exchange.headers["a"]) == ("POST", "/x", b"{}", "b:c")


async def test_the_door_reads_chunked_bodies_and_says_100_continue() -> None:
    head = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    answer, [exchange] = await talk(hello, head + b"2\r\n{}\r\n1;x=y\r\n!\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert exchange.body == b"{}!"


async def test_no_play_is_a_404_and_no_http_is_nothing() -> None:
    assert (await talk(hello, b"GET /elsewhere HTTP/1.1\r\n\r\n"))[0].startswith(b"HTTP/1.1 404 ")
    assert (await talk(hello, b"POST /x HTTP/1.1\r\nContent-Length: two\r\n\r\n"))[0] == b""


async def test_a_reset_is_seen_as_one() -> None:
    async def reset(exchange: Exchange) -> None:
        exchange.reset()

    with pytest.raises(ConnectionResetError):
        await talk(reset, b"GET /x HTTP/1.1\r\n\r\n")


async def test_a_stall_lasts_until_the_client_leaves_or_the_door_closes() -> None:
    came, left = asyncio.Event(), asyncio.Event()

    async def stall(exchange: Exchange) -> None:
        came.set()
        try:
            await exchange.stall()
        finally:
            left.set()

    async with Door() as door:
        door.open("/x", stall)
        for leaves in (True, False):
            _, writer = await asyncio.open_connection("127.0.0.1", int(door.url.rpartition(":")[2]))
            writer.write(b"GET /x HTTP/1.1\r\n\r\n")
            await asyncio.wait_for(came.wait(), 5)
            assert not left.is_set()
            if leaves:
                writer.close()
                await asyncio.wait_for(left.wait(), 5)
                came.clear()
                left.clear()
    assert left.is_set()
    writer.close()


def test_the_parts_are_the_wire() -> None:
    assert b"".join(PARTS) == WIRE
