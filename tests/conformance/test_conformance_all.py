"""The implementations of a list: which are there, who reads whom, the summary, and the page that it is written to."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from objectstreaming.cli import main
from objectstreaming.conformance.matrix import Matrix, cross, messages
from objectstreaming.conformance.program import CannotRun
from objectstreaming.conformance.registry import Implementation, find_list, load_implementations
from objectstreaming.conformance.report import CaseResult, Report
from objectstreaming.conformance.summary import BEGIN, END, Row, check_listed, summary_table, write_page

ROOT = Path(__file__).parents[2]
LIST = ROOT / "clients" / "implementations.json"
PYTHON = Implementation("python", (sys.executable, "-m", "objectstreaming.conformance.python_implementation"), ROOT)


SHORT = [message for message in messages() if message.name != "payload-16-mib"]


def mutant(name: str) -> Implementation:
    return Implementation(name, (sys.executable, "-m", "objectstreaming.conformance.mutants", name), ROOT)


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


def test_a_wrong_writer_is_found_by_its_readers_and_nobody_is_asked_for_what_it_lacks() -> None:
    matrix = cross([PYTHON, mutant("utf16-lengths")])
    assert matrix.score("python", "python") == (6, 6)
    assert matrix.score(reader="utf16-lengths") == (0, 0), "it has no decode"
    failed = {name for name, why in matrix.cells["utf16-lengths", "python"].items() if why}
    assert failed == {"every-plane"}, "where UTF-16 units and bytes are as many, it is right"
    assert not matrix.ok
    shown = matrix.render()
    assert shown.splitlines()[0].split() == ["writes", "/", "reads", "python", "utf16-lengths"]
    assert "FAILED python reads every-plane of utf16-lengths: invalid_header 0 0 " in shown


def test_a_wrong_reader_is_found_by_what_was_written() -> None:
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


def test_one_that_does_not_start_fails_as_a_writer(tmp_path: Path) -> None:
    matrix = cross([PYTHON, Implementation("mute", (sys.executable, "-S", "-c", "pass"), tmp_path)], SHORT[:1])
    assert matrix.cells["mute", "mute"]["every-plane"].startswith("it could not be written: ")
    assert matrix.score("python", "python") == (1, 1)


def test_what_is_skipped_is_not_counted(tmp_path: Path) -> None:
    matrix = cross([PYTHON, odd(tmp_path, "dict(skipped='not yet')", "encode decode json")], SHORT)
    assert matrix.score("odd") == matrix.score(reader="odd") == (0, 0)
    assert matrix.ok


# ---------------------------------------------------------------------------------------------------------- the list


def odd(root: Path, reply: str, features: str) -> Implementation:
    """One that gives the same answer to everything but hello."""
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
    return Implementation("odd", (sys.executable, "-S", "odd.py"), root)


def write_list(root: Path, implementations: Mapping[str, Any]) -> Path:
    """A checkout at `root` with these implementations; their list."""
    file = root / "clients" / "implementations.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"root": "..", "implementations": implementations}), encoding="utf-8")
    return file


def test_a_line_of_the_list_is_a_command_or_says_what_it_needs(tmp_path: Path) -> None:
    made = {"command": "node a/b.mjs --c", "needs": ["a/d.js"]}
    one, two = load_implementations(write_list(tmp_path, {"one": "python one.py", "two": made}))
    assert (one.command, one.needs, one.root) == (("python", "one.py"), (), tmp_path)
    assert (two.command, two.needs) == (("node", "a/b.mjs", "--c"), ("a/d.js",))


def test_a_list_without_a_root_has_that_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"implementations": {"one": "./one"}}', encoding="utf-8")
    [one] = load_implementations(file)
    assert one.root == tmp_path


def test_the_known_failing_cases_of_each_stand_beside_the_list(tmp_path: Path) -> None:
    file = write_list(tmp_path, {"one": "one", "two": "two"})
    (file.parent / "known-failing").mkdir()
    (file.parent / "known-failing" / "two.txt").write_text("# why\nframes/golden  # not yet\n\n", encoding="utf-8")
    one, two = load_implementations(file)
    assert one.known_failing == frozenset()
    assert two.known_failing == {"frames/golden"}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"implementations": []}', '{"implementations": {"a": ""}}', '{"implementations": {"a": 1}}'],
)
def test_a_file_that_is_no_list_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "list.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CannotRun, match=r"list\.json is no list of implementations"):
        load_implementations(file)


def test_the_list_is_found_from_any_directory_of_the_checkout(tmp_path: Path) -> None:
    file = write_list(tmp_path, {})
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_list(tmp_path) == find_list(tmp_path / "a" / "b") == file


def test_where_there_is_no_list_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="run this in a checkout of objectstreaming, or name a list of your own"):
        find_list(tmp_path)


def test_the_list_of_the_checkout_names_all_clients_and_ours() -> None:
    listed = {one.name: one for one in load_implementations(LIST)}
    assert {*listed} == {"python"} | {path.parent.name for path in ROOT.glob("clients/*/Makefile")}
    assert listed["python"].command[1:] == ("-m", "objectstreaming.conformance.python_implementation")
    assert all(one.root == ROOT for one in listed.values())


def test_a_missing_program_and_a_missing_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "there").touch()

    def missing(*command: str, needs: tuple[str, ...] = ()) -> str:
        return Implementation("x", command, tmp_path, needs).missing()

    assert missing("no-such-language", "a/b") == "there is no program no-such-language on this machine"
    assert missing(sys.executable, "./not/there.py", "-I/no/where") == "./not/there.py is not built"
    assert missing("bin/program") == "bin/program is not built"
    assert missing("./there", needs=("dist/index.js",)) == "dist/index.js is not built"
    assert missing("./there", needs=("there",)) == ""
    assert missing(sys.executable, "-c", "pass") == ""


def test_one_that_is_there_but_does_not_run_is_no_skip(tmp_path: Path) -> None:
    mute = Implementation("mute", (sys.executable, "-S", "-c", "pass"), tmp_path)
    row = check_listed(mute, required=False)
    assert (row.status, "does not answer hello" in row.render()) == (2, True)


# ------------------------------------------------------------------------------------------------------- the command


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["conformance", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_a_missing_toolchain_is_skipped_and_a_failure_in_ci_or_if_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_list(tmp_path, {"cobol": "no-such-cobol program"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    assert run("--all") == 0
    shown = capsys.readouterr().out
    assert "cobol: SKIPPED: there is no program no-such-cobol on this machine" in shown
    last = shown.splitlines()[-1].split()
    assert " ".join(last) == "cobol - - - - - not run: there is no program no-such-cobol on this machine"
    assert run("--implementation", "cobol") == 2
    assert capsys.readouterr().out.startswith("cobol: NOT RUN: ")
    monkeypatch.setenv("CI", "true")
    assert run("--all") == 2
    assert "cobol: NOT RUN: there is no program" in capsys.readouterr().out


def test_a_name_that_is_not_in_the_list_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_list(tmp_path, {"go": "bin/go"})
    assert run("--implementations", file, "--implementation", "gopher") == 2
    assert capsys.readouterr().err == f"objectstreaming: {file} has no gopher; it has: go\n"


def test_all_and_their_matrix_are_written_to_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = odd(tmp_path, "dict(skipped='')", "decode")
    file = write_list(tmp_path, {"odd": " ".join(program.command)})
    page = tmp_path / "README.md"
    page.write_text(f"before\n\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    assert run("--all", "--implementations", file, "--write", page) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["odd", "1.2", *"-----", "conforms"]
    text = page.read_text("utf-8")
    assert text.startswith(f"before\n\n{BEGIN}\n\n| implementation | version | level 1 |")
    assert text.endswith(f"{END}\nafter\n")
    assert "| odd | 1.2 | - | - | - | - | - | conforms |" in text
    write_page(page, [Row(program, Report("odd 1.2", frozenset()), "", 0)], Matrix(["odd"]))
    assert page.read_text("utf-8") == text, "writing it again changes nothing"


def test_one_that_does_not_conform_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = odd(tmp_path, "dict(frames='', error='')", "decode")
    file = write_list(tmp_path, {"odd": " ".join(program.command)})
    assert run("--all", "--implementations", file, "--only", "frames/golden") == 1
    assert "odd 1.2 does NOT conform" in capsys.readouterr().out


def test_a_page_without_the_block_is_an_error_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text("no block", encoding="utf-8")
    assert run("--all", "--implementations", write_list(tmp_path, {"odd": "bin/odd"}), "--write", page) == 2
    captured = capsys.readouterr()
    assert (captured.out, "has no block to write" in captured.err) == ("", True)


def test_the_clients_page_has_the_block_and_names_every_implementation() -> None:
    text = (ROOT / "clients" / "README.md").read_text("utf-8")
    block = text.partition(BEGIN)[2].partition(END)[0]
    assert all(f"| {one.name} |" in block for one in load_implementations(LIST))


# ------------------------------------------------------------------------------------------------------- the summary


def row(name: str, report: Report) -> Row:
    return Row(Implementation(name, (name,), ROOT), report, "", 0)


def result(case: str, status: Any, level: str = "must") -> CaseResult:
    return CaseResult(case, "2", "it MUST", level, status)


def test_the_summary_counts_passed_of_tried_and_a_failed_should_does_not_conform() -> None:
    good = Report("go 0.1.0", frozenset(), [result("frames/a", "passed"), result("http-cut/a", "passed")])
    good.results.append(result("resume-cut/a", "passed"))
    bad = Report("c 2", frozenset(), [result("frames/a", "failed", "should"), result("tal/a", "skipped")])
    matrix = Matrix(["go", "c"], {("go", "go"): {"a": ""}, ("c", "go"): {"a": ""}, ("go", "c"): {"a": "oh"}})
    lines = [line.split() for line in summary_table([row("go", good), row("c", bad)], matrix).splitlines()]
    assert lines[2] == ["go", "0.1.0", "1/1", "1/1", "1/1", "1/2", "2/2", "does", "NOT", "conform"]
    assert lines[3] == ["c", "2", "0/1", "-", "-", "1/1", "0/1", "does", "NOT", "conform"]
    [line] = summary_table([row("go", good)], None).splitlines()[2:]
    assert line.split() == ["go", "0.1.0", "1/1", "1/1", "1/1", "-", "-", "conforms"]
