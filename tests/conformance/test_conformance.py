"""Level 1 of the conformance suite: the vectors, our own implementation, the runner, and the mutants it must catch."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from objectstreaming import FrameDecoder, FrameError, Layout, Limits
from objectstreaming.conformance import python_implementation
from objectstreaming.conformance.cases import chunkings, load_cases
from objectstreaming.conformance.generator import model
from objectstreaming.conformance.mutants import MUTANTS
from objectstreaming.conformance.program import CannotRun
from objectstreaming.conformance.report import Report
from objectstreaming.conformance.runner import check

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "objectstreaming" / "conformance"
PYTHON = [sys.executable, "-m", "objectstreaming.conformance.python_implementation"]
MANIFEST: dict[str, Any] = json.loads((SUITE / "manifest.json").read_bytes())
CASES = load_cases()

# ------------------------------------------------------------------------------------------------ the vectors


def test_the_vectors_are_what_the_generator_writes() -> None:
    # -S: no site-packages, so that it has the standard library and nothing else, not even this package.
    command = [sys.executable, "-S", "-m", "generator", "--check"]
    done = subprocess.run(command, cwd=SUITE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("listed", MANIFEST["suites"], ids=lambda listed: listed["suite"])
def test_a_suite_fits_the_schema_and_its_line_in_the_manifest(listed: dict[str, Any]) -> None:
    data = (SUITE / listed["file"]).read_bytes()
    document = json.loads(data)
    jsonschema.Draft202012Validator(json.loads((SUITE / "schema.json").read_bytes())).validate(document)
    assert hashlib.sha256(data).hexdigest() == listed["sha256"]
    assert len(document["cases"]) == listed["cases"]
    assert all(case["id"].startswith(listed["suite"] + "/") for case in document["cases"])


def test_the_manifest_lists_every_file_there_is() -> None:
    listed = {item["file"] for item in MANIFEST["suites"] + MANIFEST["files"]}
    assert {f"vectors/{path.name}" for path in (SUITE / "vectors").iterdir()} == listed
    assert MANIFEST["cases"] == len(CASES) == len({case["id"] for case in CASES})
    assert f"{len(CASES)} cases" in (SUITE / "README.md").read_text("utf-8")
    assert f"{len(CASES)} cases" in (ROOT / "spec" / "README.md").read_text("utf-8")


def in_process(case: dict[str, Any], chunks: list[bytes]) -> tuple[list[tuple[Any, bytes]], dict[str, Any] | None]:
    limits = case.get("limits", {})
    decoder = FrameDecoder(Limits(**limits), Layout(**case.get("layout", {})))
    frames = []
    fed = 0
    try:
        for chunk in chunks:
            fed += len(chunk)
            for frame in decoder.feed(chunk):
                frames.append((frame.header, frame.payload))  # noqa: PERF401 - what came before an error stays
        decoder.finish()
    except FrameError as error:
        return frames, {"code": error.code, "index": error.index, "offset": error.offset, "fed": fed}
    return frames, None


SHORT = [case for case in CASES if case["op"] == "decode" and len(case["bytes"]) < 1500]


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case["id"])
def test_every_cut_of_a_wire_gives_the_verdict_of_its_vector(case: dict[str, Any]) -> None:
    wire, wanted = case["bytes"], case["expect"].get("error")
    whole, _ = in_process(case, [wire])
    assert len(whole) == len(case["expect"]["frames"])
    for item, (header, payload) in zip(case["expect"]["frames"], whole, strict=True):
        assert isinstance(item["header"], list) or item["header"] == header
        assert isinstance(item["payload"], list) or bytes.fromhex(item["payload"]) == payload
    for cut in range(len(wire) + 1):
        frames, error = in_process(case, [wire[:cut], wire[cut:]])
        assert frames == whole
        if wanted is None:
            assert error is None
            continue
        assert error is not None
        assert {name: error[name] for name in ("code", "index", "offset")} == {
            name: wanted[name] for name in ("code", "index", "offset")
        }
        assert error["fed"] <= (cut if wanted["by"] <= cut else len(wire))


STREAMS = [case for case in CASES if case["op"] == "stream" and len(case["bytes"]) < 600]
SPELLING = b'{}[]",:0123456789-.+eEtrufalsn\\ '


def corrupt(wire: bytes, other: bytes, chance: random.Random) -> bytes:
    """A wire with a few bytes changed, cut off, or another's put before or after it."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(wire) + 1)
        ways = (
            wire[:at] + bytes([chance.randrange(256)]) + wire[at + 1 :],
            wire[:at] + bytes([chance.choice(SPELLING)]) + wire[at + 1 :],
            wire[:at] + bytes([chance.choice(SPELLING)]) + wire[at:],
            wire[:at],
            wire + other,
            other + wire,
        )
        wire = chance.choice(ways)
    return wire


def test_the_package_and_the_model_agree_on_thousands_of_broken_streams() -> None:
    chance = random.Random(20261120)
    for _ in range(5000):
        case, other = chance.choice(STREAMS), chance.choice(STREAMS)
        wire = corrupt(case["bytes"], other["bytes"], chance)
        verdict = model.stream(wire, case["coder"], 16 << 20, 64 << 10)
        if "inf" in repr(verdict.frames):
            continue  # numbers beyond a double: the document leaves them open
        answer = python_implementation.stream({"coder": case["coder"], "chunks": wire.hex()})
        marks = [word if word.startswith("!") else "frame" for word in answer["frames"].split()]
        assert marks == [
            f"!{item['index']}:{item['offset']}" if "refused" in item else "frame" for item in verdict.frames
        ], wire
        error = ""
        if verdict.error is not None:
            places = ("-" if place is None else place for place in (verdict.error.index, verdict.error.offset))
            error = " ".join(map(str, (verdict.error.code, *places, len(wire))))
        assert (answer["error"], answer["end"]) == (error, verdict.end), wire


# ------------------------------------------------------------------------------------------------ implementations


def test_the_python_implementation_passes_every_case() -> None:
    report = check(PYTHON, stages=[1])
    assert [(result.id, result.why) for result in report.failures] == []
    assert report.score(1) == (len(CASES), len(CASES))
    assert report.restarts == 0


def mutant(name: str) -> list[str]:
    return [sys.executable, "-m", "objectstreaming.conformance.mutants", name]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str) -> None:
    report = check(mutant(name), only=MUTANTS[name] + "/", stop_at_first_failure=True)
    assert len(report.failures) == 1, f"{name} went through {MUTANTS[name]} unnoticed"
    assert report.restarts == 0, "it is caught by what it says, not by a crash"


def test_the_decoder_of_the_mutants_is_sound_when_it_is_not_broken() -> None:
    report = check(mutant("none"))
    assert [(result.id, result.why) for result in report.failures] == []
    assert report.count("passed", level="must") > 200


def test_the_mutants_that_the_design_asks_for_are_there() -> None:
    asked = {"big-endian", "no-limit", "no-eof-check", "zero-offset", "drop-last", "batch-loss"}
    assert asked <= set(MUTANTS)


# ------------------------------------------------------------------------------------------------ the runner

ANSWERS = """
    import json, sys
    def answer(request, **members):
        print(json.dumps({"id": request["id"], **members}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "hello":
            answer(request, name="odd", features="decode encode limits json")
            continue
"""


def odd_program(tmp_path: Path, body: str) -> list[str]:
    """A program with the given body of its loop."""
    script = tmp_path / "odd.py"
    script.write_text(textwrap.dedent(ANSWERS) + textwrap.indent(textwrap.dedent(body), "    "), encoding="utf-8")
    return [sys.executable, "-S", str(script)]


def why(report: Report, case: str) -> str:
    (found,) = [result.why for result in report.results if result.id == case]
    return found


def test_a_crash_fails_that_case_with_the_last_line_of_its_stderr_and_restarts(tmp_path: Path) -> None:
    command = odd_program(
        tmp_path,
        """
        if request["chunks"] == "":
            raise SystemExit("no chunks: that was unexpected")
        answer(request, frames="", error="")
        """,
    )
    report = check(command, only="frames/no-bytes-at-all")
    assert report.results[0].status == "failed"
    assert why(report, "frames/no-bytes-at-all") == (
        "no chunks: crashed (exit status 1): no chunks: that was unexpected"
    )
    report = check(command, only="frames/")
    assert report.restarts == 1
    assert len(report.results) == 51, "all others were tried"


def test_silence_fails_that_case_and_the_silent_one_is_killed(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    command = odd_program(
        tmp_path,
        f"""
        if request["chunks"].startswith("00000000"):
            import os, signal
            open({str(noted)!r}, "w").write(str(os.getpid()))
            signal.pause()
        answer(request, frames="", error="invalid_length 0 0 4")
        """,
    )
    report = check(command, only="frames/t-is-0", silence=0.2)
    assert why(report, "frames/t-is-0") == "whole: silent for 0.2 s"
    assert report.restarts == 2
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)


def test_a_program_that_stops_reading_cannot_block_the_runner(tmp_path: Path) -> None:
    report = check(odd_program(tmp_path, "import signal; signal.pause()"), only="frames/large-payload", silence=0.2)
    assert why(report, "frames/large-payload") == "whole: silent for 0.2 s"


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("print('hello?', flush=True)", "whole: answered request 2 with b'hello?\\n'"),
        ("print('[]', flush=True)", "whole: answered request 2 with b'[]\\n'"),
        ("answer({'id': 99}, frames='', error='')", 'whole: answered request 2 with b\'{"id": 99'),
        ("sys.stdout.close(); break", "whole: crashed (exit status"),
    ],
)
def test_nonsense_fails_that_case_and_restarts(tmp_path: Path, said: str, complaint: str) -> None:
    report = check(odd_program(tmp_path, said), only="frames/golden")
    assert why(report, "frames/golden").startswith(complaint)


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ("frames=''", "whole: 0 frames, wanted 1"),
        ("error=''", "whole: the answer has no string 'frames'"),
        ("frames=[], error=''", "whole: the answer has no string 'frames'"),
        ("frames='7b7d', error=''", "whole: item 0: wanted a frame, header:payload, got 7b7d"),
        ("frames='xx:', error=''", "whole: header 0 is not hex: xx"),
        ("frames='7b:', error=''", "whole: header 0 is not JSON: b'{'"),
        ("frames='7b7d:00', error=''", "whole: header 0 is {}, wanted {'a': 1}"),
        ("frames='7b2261223a317d:00', error=''", "whole: payload 0 is 1 bytes, 00, wanted 8"),
        ("frames='7b2261223a317d:7b2262223a20327d', error='oops'", "whole: wanted no error, got oops"),
    ],
)
def test_a_wrong_answer_is_told_from_a_right_one(tmp_path: Path, members: str, complaint: str) -> None:
    report = check(odd_program(tmp_path, f"answer(request, {members})"), only="frames/golden")
    assert why(report, "frames/golden").startswith(complaint)
    assert report.restarts == 0


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        ("", "whole: wanted invalid_length, got no error"),
        ("invalid_length", "whole: an error is 'code index offset fed', got invalid_length"),
        ("frame_too_large 0 0 4", "whole: wanted invalid_length, got frame_too_large"),
        ("invalid_length 1 0 4", "whole: invalid_length: wanted index 0, got 1"),
        ("invalid_length 0 4 4", "whole: invalid_length: wanted offset 0, got 4"),
        ("invalid_length 0 0 -", "whole: invalid_length: the bytes fed are a number, got -"),
        ("invalid_length 0 0 8", "bytewise: invalid_length: reported after 8 bytes, and byte 4 shows it"),
    ],
)
def test_a_wrong_error_is_told_from_the_right_one(tmp_path: Path, error: str, complaint: str) -> None:
    report = check(odd_program(tmp_path, f"answer(request, frames='', error={error!r})"), only="frames/t-is-1")
    assert why(report, "frames/t-is-1") == complaint


def test_what_a_program_lacks_or_skips_is_counted_and_does_not_fail(tmp_path: Path) -> None:
    report = check(odd_program(tmp_path, "answer(request, skipped='not yet')"))
    assert report.count("skipped") == len(CASES)
    assert report.ok()
    assert why(report, "frames/golden") == "not yet"
    assert why(report, "tal/stereo") == "it has no stream, tal"
    assert report.table().splitlines()[-1].split() == ["total", "-", "-", "-", str(len(CASES))]


def test_a_known_failure_is_forgiven_and_its_passing_is_not(tmp_path: Path) -> None:
    silent = odd_program(tmp_path, "answer(request, frames='', error='')")
    known = {"frames/golden"}
    report = check(silent, only="frames/golden", known_failing=known)
    assert report.ok(strict=True)
    assert "odd conforms (1 known failures)" in report.render()
    assert not check(silent, only="frames/golden").ok()
    report = check(PYTHON, only="frames/golden", known_failing=known)
    assert not report.ok()
    assert "PASSED, though known to fail: frames/golden" in report.render()


def test_a_known_failing_list_with_a_case_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CannotRun, match="frames/gone"):
        check(PYTHON, known_failing={"frames/gone"})


def test_a_failed_should_is_shown_and_fails_a_strict_run_only(tmp_path: Path) -> None:
    rounds = odd_program(tmp_path, "answer(request, frames='', error='')")
    script = Path(rounds[-1])
    script.write_text(script.read_text("utf-8").replace("limits json", "limits json bigint"), encoding="utf-8")
    report = check(rounds, only="headers/integer-of-100-digits")
    assert "FAILED headers/integer-of-100-digits (section 2.3, should)" in report.render()
    assert report.ok()
    assert not report.ok(strict=True)


@pytest.mark.parametrize("only", ["no-such-cases/", "http-", "resume-"])
def test_a_run_that_tries_nothing_is_no_success(tmp_path: Path, only: str) -> None:
    with pytest.raises(CannotRun, match="no case to try"):
        check(odd_program(tmp_path, "answer(request, frames='', error='oops')"), only=only)


def test_twenty_failures_are_shown_and_all_of_them_if_asked(tmp_path: Path) -> None:
    report = check(odd_program(tmp_path, "answer(request, frames='', error='oops')"), only="frames/")
    assert report.render().count("FAILED ") == 20
    assert report.render(verbose=True).count("FAILED ") == len(report.failures) == 51


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["/no/such/program"], "does not start"),
        ([sys.executable, "-S", "-c", "raise SystemExit('no licence')"], "does not answer hello: .*no licence"),
        ([sys.executable, "-S", "-c", "print('Welcome!')"], "does not answer hello"),
        ([sys.executable, "-S", "-c", "print('{\"id\": 1}')"], "hello names no features"),
    ],
)
def test_a_program_that_cannot_be_run_is_an_error(command: list[str], complaint: str) -> None:
    with pytest.raises(CannotRun, match=complaint):
        check(command, only="frames/golden")


@pytest.mark.parametrize("size", [0, 1, 2, 9, 128, 129, 5000, 200_000])
def test_chunkings_cut_and_lose_nothing(size: int) -> None:
    wire = bytes(number % 251 for number in range(size))
    ways = dict(chunkings(wire, "seed"))
    assert all(b"".join(chunks) == wire for chunks in ways.values())
    assert ways == dict(chunkings(wire, "seed")), "the same on every run"
    if 2 <= size <= 128:
        assert sum(name.startswith("cut at") for name in ways) == size - 1
