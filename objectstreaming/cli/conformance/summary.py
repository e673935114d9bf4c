"""The summary of a run of every testee: language by level, for the terminal and for clients/README.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .matrix import Matrix
from .report import Report
from .testee import CannotRun

__all__ = ["Row", "around_block", "summary_table", "write_matrix"]

BEGIN: Final = "<!-- conformance: written by `objectstreaming conformance --all --write` -->"
END: Final = "<!-- conformance: end -->"


@dataclass
class Row:
    """A testee and how it did; `missing` says why it was not run."""

    name: str
    report: Report | None = None
    missing: str = ""


_HEAD: Final = ("testee", "version", "level 1", "level 2", "is read", "reads", "")


def _cells(row: Row, matrix: Matrix | None) -> tuple[str, ...]:
    report = row.report
    if report is None:
        return (row.name, "", "-", "-", "-", "-", f"not run: {row.missing}")
    scores = [report.score(1), report.score(2)]
    scores += [matrix.score(writer=row.name), matrix.score(reader=row.name)] if matrix else [(0, 0), (0, 0)]
    conforms = report.ok(strict=True) and all(passed == tried for passed, tried in scores[2:])
    shown = [f"{passed}/{tried}" if tried else "-" for passed, tried in scores]
    return (row.name, report.version, *shown, "conforms" if conforms else "does NOT conform")


def summary_table(rows: Sequence[Row], matrix: Matrix | None) -> str:
    """A row a testee: cases passed of those tried at each level, messages understood of those exchanged."""
    lines = [_HEAD, *(_cells(row, matrix) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * max(map(len, text)), *text[1:]])


def around_block(path: Path) -> tuple[str, str]:
    """What a Markdown file has before its marked block, and after it. Raises `CannotRun` if it has none."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CannotRun(f"{path} has no block to write: it begins with {BEGIN} and ends with {END}")
    return before, after


def write_matrix(path: Path, rows: Sequence[Row], matrix: Matrix | None) -> None:
    """Put the summary, and who reads whom, into the marked block of a Markdown file."""
    before, after = around_block(path)
    blocks = [_markdown([_HEAD, *(_cells(row, matrix) for row in rows)])]
    if matrix is not None:
        lines: list[tuple[str, ...]] = [("writes \\ reads", *matrix.names)]
        for writer in matrix.names:
            scores = [matrix.score(writer, reader) for reader in matrix.names]
            lines.append((writer, *(f"{passed}/{tried}" if tried else "-" for passed, tried in scores)))
        blocks.append(_markdown(lines))
    path.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(blocks) + f"\n\n{END}{after}", encoding="utf-8")


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = lines
    made = [head, ["---"] * len(head), *rest]
    return "\n".join("| " + " | ".join(line).replace("|  |", "| |") + " |" for line in made)
