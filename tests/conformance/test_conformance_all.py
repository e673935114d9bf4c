"""Every testee at once: who is there, who reads whom, the summary, and the page it is written to."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from objectstreaming.cli.conformance import CannotRun, CaseResult, Matrix, Registered, Report, cross, load_testees, run
from objectstreaming.cli.conformance.matrix import messages
from objectstreaming.cli.conformance.summary import BEGIN, END, Row, summary_table, write_matrix

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "spec" / "conformance"
PYTHON = Registered("python", (sys.executable, str(SUITE / "testee.py")), (), ROOT)


SHORT = [message for message in messages() if message.name != "payload-16-mib"]


def mutant(name: str) -> Registered:
    return Registered(name, (sys.executable, str(SUITE / "mutants.py"), name), (), ROOT)


# ---------------------------------------------------------------------------------------------------- the matrix


def test_the_messages_have_every_plane_integers_to_2_to_the_53_and_payloads_of_nothing_and_of_the_limit() -> None:
    found = {message.name: message.frames for message in messages()}
    names = found["every-plane"][0][0]["planes"]
    assert {ord(name) >> 16 for name in names} == {ord(value) >> 16 for value in names.values()} == set(range(17))
    assert {2**53, -(2**53)} <= set(found["integers"][0][0]["integers"])
    assert {payload for _, payload in found["empty-payload"]} == {b""}
    [(header, payload)] = found["payload-16-mib"]
    assert 8 + len(json.dumps(header)) + len(payload) == 16 * 1024 * 1024
    assert {message.coder for message in messages()} == {"", "json", "tal"}


def test_who_writes_wrongly_is_told_by_who_reads_and_what_one_lacks_is_not_asked_of_it() -> None:
    matrix = cross([PYTHON, mutant("utf16-lengths")])
    assert matrix.score("python", "python") == (6, 6)
    assert matrix.score(reader="utf16-lengths") == (0, 0), "it has no decode"
    failed = {name for name, why in matrix.cells["utf16-lengths", "python"].items() if why}
    assert failed == {"every-plane"}, "where UTF-16 units and bytes are as many, it is right"
    assert not matrix.ok
    shown = matrix.render()
    assert shown.splitlines()[0].split() == ["writes", "/", "reads", "python", "utf16-lengths"]
    assert "FAILED python reads every-plane of utf16-lengths: invalid_header 0 0 " in shown


def test_who_reads_wrongly_is_told_by_what_was_written() -> None:
    matrix = cross([PYTHON, mutant("big-endian")], SHORT)
    assert matrix.score("big-endian") == (0, 0), "it has no encode"
    passed, tried = matrix.score("python", "big-endian")
    assert (passed, tried) == (0, 3)
    assert matrix.score("python", "python") == (5, 5)


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        ("dict(wire='xx', error='')", "it could not be written: "),
        ("dict(wire='', error='encode_error')", "it could not be written: encode_error"),
        ("sys.exit('oh')", "it could not be written: crashed (exit status 1): oh"),
    ],
)
def test_what_cannot_be_written_is_a_failure_of_the_writer_alone(tmp_path: Path, reply: str, complaint: str) -> None:
    matrix = cross([PYTHON, odd(tmp_path, reply, "encode json")], SHORT)
    assert matrix.score("python", "python") == (5, 5)
    whys = [why for cell, found in matrix.cells.items() if "odd" in cell for why in found.values()]
    assert len(whys) == 4
    assert all(why.startswith(complaint) for why in whys)


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        ("dict(frames='', error='')", "0 frames, wanted 1"),
        ("dict(frames='7b7d:00', error='')", "header 0 is {}"),
        ("dict(frames='', error='invalid_header 0 0 9')", "invalid_header 0 0 9"),
        ("sys.exit('oh')", "crashed (exit status 1): oh"),
    ],
)
def test_what_is_read_wrongly_says_how(tmp_path: Path, reply: str, complaint: str) -> None:
    matrix = cross([PYTHON, odd(tmp_path, reply, "decode json")], SHORT)
    assert matrix.cells["python", "odd"]["every-plane"].startswith(complaint)
    assert len(matrix.cells["python", "odd"]) == 3


def test_what_is_skipped_is_not_counted(tmp_path: Path) -> None:
    matrix = cross([PYTHON, odd(tmp_path, "dict(skipped='not yet')", "encode decode json")], SHORT)
    assert matrix.score("odd") == matrix.score(reader="odd") == (0, 0)
    assert matrix.ok


# ------------------------------------------------------------------------------------------------------ who is there


def odd(root: Path, reply: str, features: str) -> Registered:
    """A testee that says the same to everything but hello."""
    (root / "odd.py").write_text(
        f"""
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    said = dict(name="odd 1.2", features={features!r}) if request["op"] == "hello" else {reply}
    print(json.dumps(dict(id=request["id"], **said)), flush=True)
""",
        encoding="utf-8",
    )
    return Registered("odd", (sys.executable, "-S", "odd.py"), (), root)


def checkout(root: Path, testees: Mapping[str, Any]) -> Path:
    """A checkout with these testees and no case."""
    suite = root / "spec" / "conformance"
    suite.mkdir(parents=True)
    (suite / "manifest.json").write_text('{"suites": []}', encoding="utf-8")
    (suite / "testees.json").write_text(json.dumps(testees), encoding="utf-8")
    return suite


def test_a_line_of_testees_json_is_a_command_or_says_what_it_needs(tmp_path: Path) -> None:
    made = {"command": "node a/b.mjs --c", "needs": ["a/d.js"]}
    suite = checkout(tmp_path, {"one": "python one.py", "two": made})
    one, two = load_testees(suite).values()
    assert (one.command, one.needs, one.root) == (("python", "one.py"), (), tmp_path)
    assert (two.command, two.needs) == (("node", "a/b.mjs", "--c"), ("a/d.js",))


def test_a_missing_program_and_a_missing_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "there").touch()

    def missing(*command: str, needs: tuple[str, ...] = ()) -> str:
        return Registered("x", command, needs, tmp_path).missing()

    assert missing("no-such-language", "a/b") == "there is no program no-such-language on this machine"
    assert missing(sys.executable, "./not/there.py", "-I/no/where") == "./not/there.py is not built"
    assert missing("bin/testee") == "bin/testee is not built"
    assert missing("./there", needs=("dist/index.js",)) == "dist/index.js is not built"
    assert missing("./there", needs=("there",)) == ""
    assert missing(sys.executable, "-c", "pass") == ""


def told(suite: Path, **options: Any) -> tuple[int, str]:
    out = io.StringIO()
    return run(None, all=not options.get("testees"), vectors=suite, out=out, **options), out.getvalue()


def test_a_missing_toolchain_is_a_loud_skip_a_failure_in_ci_and_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = checkout(tmp_path, {"cobol": "no-such-cobol testee"})
    monkeypatch.delenv("CI", raising=False)
    status, said = told(suite)
    assert status == 0
    assert "cobol: SKIPPED: there is no program no-such-cobol on this machine" in said
    assert said.splitlines()[-1].split(None, 1) == [
        "cobol",
        "-        -        -        -      not run: there is no program no-such-cobol on this machine",
    ]
    status, said = told(suite, testees=["cobol"])
    assert (status, said.partition(":")[0], "NOT RUN" in said) == (2, "cobol", True)
    monkeypatch.setenv("CI", "true")
    status, said = told(suite)
    assert (status, "cobol: NOT RUN: there is no program" in said) == (2, True)


def test_one_that_is_there_but_does_not_run_is_no_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    status, said = told(checkout(tmp_path, {"mute": f"{sys.executable} -S -c pass"}))
    assert (status, "does not answer hello" in said) == (2, True)


def test_a_name_that_is_none_is_said(tmp_path: Path) -> None:
    status, said = told(checkout(tmp_path, {"go": "bin/testee"}), testees=["gopher"])
    assert (status, said) == (2, "testees.json names no gopher; it has: go\n")


def test_all_of_them_and_the_matrix_are_written_to_the_page(tmp_path: Path) -> None:
    testee = odd(tmp_path, "dict(skipped='')", "decode")
    suite = checkout(tmp_path, {"odd": " ".join(testee.command)})
    page = tmp_path / "README.md"
    page.write_text(f"before\n\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    status, said = told(suite, write=page)
    assert status == 0
    assert said.splitlines()[-1].split() == ["odd", "1.2", "-", "-", "-", "-", "conforms"]
    text = page.read_text("utf-8")
    assert text.startswith(f"before\n\n{BEGIN}\n\n| testee | version | level 1 |")
    assert text.endswith(f"{END}\nafter\n")
    assert "| odd | 1.2 | - | - | - | - | conforms |" in text
    assert told(suite, write=page)[0] == 0
    assert page.read_text("utf-8") == text, "writing it again changes nothing"


def test_a_page_without_the_block_is_said_before_the_run(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("no block", encoding="utf-8")
    status, said = told(checkout(tmp_path, {"odd": "bin/odd"}), write=page)
    assert (status, "has no block to write" in said, len(said.splitlines())) == (2, True, 1)
    with pytest.raises(CannotRun):
        write_matrix(page, [], None)


def test_the_clients_page_has_the_block_and_names_every_testee() -> None:
    text = (ROOT / "clients" / "README.md").read_text("utf-8")
    block = text.partition(BEGIN)[2].partition(END)[0]
    assert all(f"| {name} |" in block for name in load_testees())


# ------------------------------------------------------------------------------------------------------- the summary


def result(case: str, status: Any, level: str = "must") -> CaseResult:
    return CaseResult(case, "2", "it MUST", level, status)


def test_the_summary_counts_passed_of_tried_and_a_failed_should_does_not_conform() -> None:
    good = Report("go 0.1.0", frozenset(), [result("frames/a", "passed"), result("http-cut/a", "passed")])
    bad = Report("c 2", frozenset(), [result("frames/a", "failed", "should"), result("tal/a", "skipped")])
    matrix = Matrix(["go", "c"], {("go", "go"): {"a": ""}, ("c", "go"): {"a": ""}, ("go", "c"): {"a": "oh"}})
    lines = [line.split() for line in summary_table([Row("go", good), Row("c", bad)], matrix).splitlines()]
    assert lines[2] == ["go", "0.1.0", "1/1", "1/1", "1/2", "2/2", "does", "NOT", "conform"]
    assert lines[3] == ["c", "2", "0/1", "-", "1/1", "0/1", "does", "NOT", "conform"]
    [line] = summary_table([Row("go", good)], None).splitlines()[2:]
    assert line.split() == ["go", "0.1.0", "1/1", "1/1", "-", "-", "conforms"]
