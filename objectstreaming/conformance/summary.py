"""The implementations of a list: how each did, and the table of all, for the terminal and for a Markdown page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .matrix import Matrix
from .program import CannotRun
from .registry import Implementation
from .report import Report
from .runner import check

__all__ = ["Row", "check_listed", "split_page", "summary_table", "write_page"]

BEGIN: Final = "<!-- conformance: written by `objectstreaming conformance --all --write` -->"
END: Final = "<!-- conformance: end -->"


@dataclass(frozen=True)
class Row:
    """How an implementation did: its report, or why it was not run, and the exit status that follows from it."""

    implementation: Implementation
    report: Report | None
    why: str
    status: int

    def render(self, *, verbose: bool = False) -> str:
        if self.report is not None:
            return self.report.render(strict=True, verbose=verbose)
        return f"{self.implementation.name}: {'NOT RUN' if self.status else 'SKIPPED'}: {self.why}\n"


def check_listed(
    implementation: Implementation,
    *,
    required: bool,
    only: str = "",
    app: str = "",
    tried: Callable[[int, int], object] = lambda number, of: None,
) -> Row:
    """Try an implementation of a list, strictly: a failed *should* is a failure too.

    One whose program is not on this machine, or is not built, is skipped, unless it is `required`. `only`, `app`
    and `tried` are those of `check`.
    """
    missing = implementation.missing()
    if missing:
        return Row(implementation, None, missing, 2 if required else 0)
    try:
        report = check(
            implementation.command,
            cwd=implementation.root,
            app=app,
            only=only,
            known_failing=implementation.known_failing,
            tried=tried,
        )
    except (CannotRun, OSError) as error:
        return Row(implementation, None, str(error), 2)
    return Row(implementation, report, "", 0 if report.ok(strict=True) else 1)


_HEAD: Final = ("implementation", "version", "level 1", "level 2", "level 3", "is read", "reads", "")


def _cells(row: Row, matrix: Matrix | None) -> tuple[str, ...]:
    name, report = row.implementation.name, row.report
    if report is None:
        return (name, "", "-", "-", "-", "-", "-", f"not run: {row.why}")
    scores = [report.score(stage) for stage in (1, 2, 3)]
    scores += [matrix.score(writer=name), matrix.score(reader=name)] if matrix else [(0, 0), (0, 0)]
    conforms = report.ok(strict=True) and all(passed == tried for passed, tried in scores[3:])
    shown = [f"{passed}/{tried}" if tried else "-" for passed, tried in scores]
    return (name, report.version, *shown, "conforms" if conforms else "does NOT conform")


def summary_table(rows: Sequence[Row], matrix: Matrix | None) -> str:
    """A row an implementation: cases passed of those tried at each level, messages understood of those exchanged."""
    lines = [_HEAD, *(_cells(row, matrix) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * max(map(len, text)), *text[1:]])


def split_page(path: Path) -> tuple[str, str]:
    """What a Markdown file has before its marked block, and after it. Raises `CannotRun` if it has none."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CannotRun(f"{path} has no block to write: it begins with {BEGIN} and ends with {END}")
    return before, after


def write_page(path: Path, rows: Sequence[Row], matrix: Matrix | None) -> None:
    """Put the summary and the matrix into the marked block of a Markdown file."""
    before, after = split_page(path)
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
