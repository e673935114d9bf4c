"""`objectstreaming conformance`: one program, or every testee and the matrix of who reads whom; what is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TextIO

from .cases import conformance_directory
from .matrix import Matrix, cross
from .registry import Registered, load_testees
from .report import Report
from .running import check
from .summary import Row, around_block, summary_table, write_matrix
from .testee import SILENCE, CannotRun

__all__ = ["run"]


def run(
    command: list[str] | None,
    *,
    all: bool = False,
    testees: Sequence[str] = (),
    vectors: Path | None = None,
    only: str = "",
    known_failing: Path | None = None,
    silence: float = SILENCE,
    strict: bool = False,
    verbose: bool = False,
    write: Path | None = None,
    out: TextIO | None = None,
) -> int:
    """Try `command`, or our own testee; or with `all` every testee of testees.json, and each on what the others write.

    `testees`: names of testees.json, to try these alone. `known_failing`: a file of case ids, one a line, # comments;
    with `all` it is known-failing/<name>.txt beside testees.json, where there is one. `strict`: a failed *should* is a
    failure too; so it always is for the testees of testees.json. `write`: a Markdown file whose marked block is to hold
    the summary.

    Returns 0 if all conform, 1 if one does not, 2 if one could not be run. A testee of `all` whose program is not on
    this machine, or is not built, is named and skipped; where CI=true, or if asked for by name, it could not be run.
    """
    out = out or sys.stdout
    registered = all or bool(testees)
    if registered and command:
        raise ValueError("either a command, or all")
    try:
        directory = conformance_directory(vectors)
        if not registered:
            return _run_one(
                command or [sys.executable, str(directory / "testee.py")],
                directory,
                only=only,
                known_failing=known_failing,
                silence=silence,
                strict=strict,
                verbose=verbose,
                out=out,
            )
        chosen = _chosen(load_testees(vectors), testees)
        if write is not None:
            around_block(write)  # said before the run, not after it
    except (CannotRun, OSError) as error:
        print(error, file=out)
        return 2
    return _run_registered(
        chosen, directory, only=only, silence=silence, verbose=verbose, write=write, out=out, named=bool(testees)
    )


def _chosen(known: dict[str, Registered], names: Collection[str]) -> list[Registered]:
    strangers = [name for name in names if name not in known]
    if strangers:
        raise CannotRun(f"testees.json names no {', '.join(strangers)}; it has: {', '.join(known)}")
    return [testee for name, testee in known.items() if not names or name in names]


def _run_one(
    command: list[str],
    directory: Path,
    *,
    only: str,
    known_failing: Path | None,
    silence: float,
    strict: bool,
    verbose: bool,
    out: TextIO,
) -> int:
    try:
        known = frozenset() if known_failing is None else _read_list(known_failing)
        report = check(command, vectors=directory, only=only, known_failing=known, silence=silence)
    except (CannotRun, OSError) as error:
        print(f"testee: {error}\n", file=out)
        return 2
    print(_render(report, strict=strict, verbose=verbose), file=out)
    return 0 if report.ok(strict=strict) else 1


def _run_registered(
    testees: Sequence[Registered],
    directory: Path,
    *,
    only: str,
    silence: float,
    verbose: bool,
    write: Path | None,
    out: TextIO,
    named: bool,
) -> int:
    must_run = named or os.environ.get("CI") == "true"
    worst = 0
    rows: list[Row] = []
    for testee in testees:
        row = Row(testee.name)
        rows.append(row)
        row.missing = testee.missing()
        if row.missing:
            print(f"{testee.name}: {'NOT RUN' if must_run else 'SKIPPED'}: {row.missing}\n", file=out)
            worst = 2 if must_run else worst
            continue
        listed = directory / "known-failing" / f"{testee.name}.txt"
        try:
            row.report = check(
                testee.command,
                vectors=directory,
                cwd=testee.root,
                only=only,
                known_failing=_read_list(listed) if listed.is_file() else (),
                silence=silence,
            )
        except (CannotRun, OSError) as error:
            print(f"{testee.name}: {error}\n", file=out)
            row.missing = "it does not run"
            worst = 2
            continue
        print(_render(row.report, strict=True, verbose=verbose), file=out, flush=True)
        if not row.report.ok(strict=True):
            worst = max(worst, 1)
    matrix: Matrix | None = None
    able = [testee for testee, row in zip(testees, rows, strict=True) if row.report is not None]
    if not only and able:
        matrix = cross(able)
        print(matrix.render() + "\n", file=out)
        if not matrix.ok:
            worst = max(worst, 1)
    print(summary_table(rows, matrix), file=out)
    if write is not None:
        write_matrix(write, rows, matrix)
    return worst


def _read_list(path: Path) -> frozenset[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return frozenset(line for line in lines if line)


def _render(report: Report, *, strict: bool, verbose: bool) -> str:
    lines = [f"{report.name}: {' '.join(sorted(report.features))}", "", report.table(), ""]
    shown = report.failures if verbose else report.failures[:20]
    for result in shown:
        lines += [
            f"FAILED {result.id} (section {result.spec}, {result.level}): {result.why}",
            f'    "{result.requirement}"',
        ]
    if len(shown) < len(report.failures):
        lines.append(f"... and {len(report.failures) - len(shown)} more failures")
    lines += [f"PASSED, though known to fail: {result.id}: take it off the list" for result in report.surprises]
    known = sum(result.known and result.status == "failed" for result in report.results)
    notes = [f"{known} known failures"] * bool(known) + [f"started anew {report.restarts} times"] * bool(
        report.restarts
    )
    verdict = "conforms" if report.ok(strict=strict) else "does NOT conform"
    lines.append(f"{report.name} {verdict}" + (f" ({', '.join(notes)})" if notes else ""))
    return "\n".join(lines) + "\n"
