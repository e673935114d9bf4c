"""`objectstreaming conformance`: one program, or the implementations of a list and the matrix of who reads whom.

The functions return the exit status: 0 if all conform, 1 if one does not, 2 if one of a list could not be run.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from ..conformance.matrix import cross
from ..conformance.registry import find_list, load_implementations
from ..conformance.runner import check
from ..conformance.summary import check_listed, split_page, summary_table, write_page
from .reference_app import reference_app
from .terminal import counter

__all__ = ["run_list", "run_one"]

_OUR_OWN: Final = (sys.executable, "-m", "objectstreaming.conformance.python_implementation")


def run_one(command: Sequence[str], *, only: str, verbose: bool, as_json: bool, say: Callable[[str], object]) -> int:
    """Try `command`, or our own implementation if it is empty. Raises `CannotRun`."""
    with reference_app() as app:
        report = check(command or _OUR_OWN, app=app.url, only=only, tried=counter("cases", sys.stderr))
    say(json.dumps(report.as_json()) if as_json else report.render(verbose=verbose))
    return 0 if report.ok() else 1


def run_list(
    file: Path | None,
    names: Collection[str],
    *,
    only: str,
    verbose: bool,
    write: Path | None,
    say: Callable[[str], object],
) -> int:
    """Try the implementations of the list `file`, by default that of the checkout: those of `names`, or all.

    Raises `CannotRun`, `OSError`.
    """
    implementations = load_implementations(file or find_list(Path.cwd()), names)
    if write is not None:
        split_page(write)  # a page without the block is reported before the run, not after it
    required = bool(names) or os.environ.get("CI") == "true"
    rows = []
    with reference_app() as app:
        for implementation in implementations:
            tried = counter(f"cases of {implementation.name}", sys.stderr)
            row = check_listed(implementation, required=required, only=only, app=app.url, tried=tried)
            rows.append(row)
            say(row.render(verbose=verbose))
    able = [row.implementation for row in rows if row.report is not None]
    matrix = cross(able) if able and not only else None
    if matrix is not None:
        say(matrix.render() + "\n")
    say(summary_table(rows, matrix))
    if write is not None:
        write_page(write, rows, matrix)
    return max([row.status for row in rows] + [0 if matrix is None or matrix.ok else 1])
