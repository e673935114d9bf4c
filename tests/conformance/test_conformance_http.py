"""Level 2 of the conformance suite: a client over HTTP, tried by a fault server and by the reference application."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objectstreaming.cli.reference_app import reference_app
from objectstreaming.conformance.app_cases import APP_CASES
from objectstreaming.conformance.compare import Mismatch, compare_fetch
from objectstreaming.conformance.http_behaviours import PARTS, WHOLE, WIRE
from objectstreaming.conformance.http_cases import CASES, check_request
from objectstreaming.conformance.mutants import FETCHES
from objectstreaming.conformance.report import Report
from objectstreaming.conformance.runner import check

ROOT = Path(__file__).parents[2]
PYTHON = [sys.executable, "-m", "objectstreaming.conformance.python_implementation"]
ALL = [*CASES, *APP_CASES]


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    with reference_app() as server:
        yield server.url


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
    guide = (ROOT / "objectstreaming" / "conformance" / "README.md").read_text("utf-8")
    assert f"a stream of {len(WIRE)} bytes" in guide


# ---------------------------------------------------------------------------------------------- implementations


def test_the_python_client_passes_every_case(app: str) -> None:
    report = check(PYTHON, stages=[2], app=app)
    assert [(result.id, result.why) for result in report.results if result.status != "passed"] == []
    assert report.score(2) == (len(ALL), len(ALL))
    assert report.restarts == 0


@pytest.mark.parametrize("name", FETCHES)
def test_a_mutant_is_caught(name: str, app: str) -> None:
    command = [sys.executable, "-m", "objectstreaming.conformance.mutants", name]
    # The one that waits for ever is caught by its silence.
    report = check(command, only=FETCHES[name], silence=2.5, app=app)
    assert [(result.id, result.status) for result in report.results] == [(FETCHES[name], "failed")]


def test_the_mutants_that_the_design_asks_for_are_there() -> None:
    asked = {"cut-is-success", "ignores-content-type", "ignores-end-error", "posts-again-after-a-cut"}
    assert asked <= set(FETCHES)


def odd_program(tmp_path: Path, body: str, features: str = "fetch json") -> list[str]:
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


def test_a_program_that_says_it_has_fetch_cannot_skip_a_case(tmp_path: Path) -> None:
    report = check(odd_program(tmp_path, 'said = dict(skipped="tired")'), only="http-cut/no-answer")
    assert only(report) == ("failed", "closed: it says that it has fetch, and skipped this: tired")


def test_a_crash_fails_the_way_it_happened_in(tmp_path: Path) -> None:
    report = check(odd_program(tmp_path, 'raise SystemExit("oh")'), only="http-cut/no-answer")
    assert only(report) == ("failed", "closed: crashed (exit status 1): oh")


def test_a_program_that_never_sent_the_request_fails(tmp_path: Path) -> None:
    body = 'said = dict(frames="", end="missing", error="no_response", position=0, trailers="7b7d", message="")'
    report = check(odd_program(tmp_path, body), only="http-cut/no-answer")
    assert only(report) == ("failed", "closed: the request was sent 0 times")


def test_a_case_that_waits_is_tried_again_and_the_report_says_so(tmp_path: Path) -> None:
    script = tmp_path / "late.py"
    script.write_text(
        """
from pathlib import Path
from objectstreaming.conformance import python_implementation as python

first = Path(__file__).with_suffix(".first")

def fetch(request):
    answer = python.fetch(request)
    if not first.exists():
        first.touch()
        answer["error"] = "idle_timeout - -"
    return answer

python.serve({**python.OPS, "fetch": fetch})
""",
        encoding="utf-8",
    )
    report = check([sys.executable, str(script)], only="http-silence/pings-then-success")
    assert only(report)[0] == "passed"
    assert "passed when tried again: http-silence/pings-then-success: " in report.render()
    assert "wanted no error, got idle_timeout" in report.render()


def test_without_tal_the_spoken_answer_is_skipped(tmp_path: Path) -> None:
    report = check(odd_program(tmp_path, "raise SystemExit"), only="http-app/wav")
    assert only(report) == ("skipped", "it has no tal")


def test_without_the_reference_application_its_cases_are_skipped(tmp_path: Path) -> None:
    report = check(odd_program(tmp_path, "raise SystemExit"), only="http-app/objects")
    assert only(report) == ("skipped", "no reference application is served")


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
    compare_fetch("json", [WHOLE], RIGHT)


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
        compare_fetch("json", [WHOLE], {**RIGHT, **members})


TRUNCATED = {"frames": [], "end": "missing", "error": {"code": "truncated_frame", "index": 1, "offset": 24}}
NOTHING = {"frames": "", "end": "missing", "position": 0}


def test_an_error_may_leave_out_its_place_but_not_have_another() -> None:
    compare_fetch("json", [TRUNCATED], {**NOTHING, "error": "truncated_frame 1 24"})
    compare_fetch("json", [TRUNCATED], {**NOTHING, "error": "truncated_frame"})
    with pytest.raises(Mismatch, match="wanted offset 24, got 0"):
        compare_fetch("json", [TRUNCATED], {**NOTHING, "error": "truncated_frame 1 0"})
    with pytest.raises(Mismatch, match="wanted truncated_frame, got no error, and the end missing"):
        compare_fetch("json", [TRUNCATED], {**NOTHING, "error": ""})


def test_of_several_verdicts_one_must_fit_and_a_beginning_fits_what_is_longer() -> None:
    incomplete = {**WHOLE, "end": "missing", "error": {"code": "stream_incomplete"}, "beginning": True}
    del incomplete["trailers"]
    answer = {**RIGHT, "end": "missing", "error": "stream_incomplete - -"}
    first = answer["frames"].split()[0]
    compare_fetch("json", [TRUNCATED, incomplete], answer)
    compare_fetch("json", [TRUNCATED, incomplete], {**answer, "frames": first, "position": 1})
    compare_fetch("json", [TRUNCATED, incomplete], {**answer, "frames": "", "position": 0})
    with pytest.raises(Mismatch, match="wanted truncated_frame, got stream_incomplete / or header 0 is"):
        compare_fetch("json", [TRUNCATED, incomplete], {**answer, "frames": first.replace("31", "32"), "position": 1})


ACCEPT = "application/vnd.objectstreaming; v=1, application/octet-stream;q=0.5"


class Request:
    """What `check_request` looks at of a connection."""

    def __init__(self, method: str = "POST", accept: str = ACCEPT, body: bytes = b"{}") -> None:
        self.method = method
        self.headers = {"accept": accept}
        self.body = body


@pytest.mark.parametrize(
    ("requests", "complaint"),
    [
        ([], "the request was sent 0 times"),
        ([Request()] * 2, "the request was sent 2 times"),
        ([Request(method="GET")], "wanted a POST, got a GET"),
        ([Request(accept=ACCEPT.replace("v=1", "v=2"))], "the Accept header does not ask for version 1"),
        ([Request(body=b"{")], "the body that came is b'{', wanted b'{}'"),
    ],
)
def test_the_error_says_what_is_wrong_with_a_request(requests: list[Any], complaint: str) -> None:
    check_request("POST", b"{}", [Request()])  # type: ignore[list-item]
    with pytest.raises(Mismatch, match=re.escape(complaint)):
        check_request("POST", b"{}", requests)


def test_the_parts_are_the_wire() -> None:
    assert b"".join(PARTS) == WIRE
