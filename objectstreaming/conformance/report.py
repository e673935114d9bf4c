"""How an implementation did: a result for each case, and the text that is printed of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

__all__ = ["CaseResult", "Report", "Status", "stage_of"]

_LEVELS: Final = ("must", "should", "may")
_SHOWN: Final = 20  # failures shown unless all are wanted

Status = Literal["passed", "failed", "skipped"]


def stage_of(id: str) -> int:
    """1, the codec, 2, HTTP, or 3, resuming: what SPEC section 9 calls the level."""
    return 2 if id.startswith("http-") else 3 if id.startswith("resume-") else 1


@dataclass(frozen=True)
class CaseResult:
    """How one case went: `why` it failed, at first too, or was skipped, and whether it was `known` to fail."""

    id: str
    spec: str
    requirement: str
    level: str
    status: Status
    why: str = ""
    known: bool = False

    @property
    def suite(self) -> str:
        return self.id.partition("/")[0]

    @property
    def stage(self) -> int:
        return stage_of(self.id)


@dataclass
class Report:
    """How an implementation did in the suites. `restarts`: how often it was started again after it failed."""

    name: str
    features: frozenset[str]
    results: list[CaseResult] = field(default_factory=list)
    restarts: int = 0

    def count(self, status: Status, *, suite: str | None = None, level: str | None = None) -> int:
        return sum(
            result.status == status and suite in (None, result.suite) and level in (None, result.level)
            for result in self.results
        )

    @property
    def version(self) -> str:
        """What follows the name in the answer to hello."""
        return self.name.partition(" ")[2]

    def score(self, stage: int) -> tuple[int, int]:
        """Cases passed, and cases tried, of a stage."""
        found = [result.status for result in self.results if result.stage == stage and result.status != "skipped"]
        return found.count("passed"), len(found)

    @property
    def failures(self) -> list[CaseResult]:
        """Failed cases that were not known to fail."""
        return [result for result in self.results if result.status == "failed" and not result.known]

    @property
    def surprises(self) -> list[CaseResult]:
        """Cases of the known-failing list that passed: they must be taken off the list."""
        return [result for result in self.results if result.status == "passed" and result.known]

    def ok(self, *, strict: bool = False) -> bool:
        """Whether it conforms: no unknown failure of level must (`strict`: of any level), and no surprise."""
        return not self.surprises and not any(strict or result.level == "must" for result in self.failures)

    def as_json(self) -> dict[str, Any]:
        """The results as values of JSON."""
        cases = [asdict(result) for result in self.results]
        return {"name": self.name, "features": sorted(self.features), "conforms": self.ok(), "cases": cases}

    def table(self) -> str:
        """A row a suite, a column a level: passed of tried; then what was skipped."""
        rows: list[tuple[str, ...]] = [("suite", *_LEVELS, "skipped")]
        suites = list(dict.fromkeys(result.suite for result in self.results))
        for suite in [*suites, None]:
            cells = []
            for level in _LEVELS:
                passed = self.count("passed", suite=suite, level=level)
                tried = passed + self.count("failed", suite=suite, level=level)
                cells.append(f"{passed}/{tried}" if tried else "-")
            rows.append((suite or "total", *cells, str(self.count("skipped", suite=suite) or "-")))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            row[0].ljust(widths[0])
            + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            for row in rows
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def render(self, *, strict: bool = False, verbose: bool = False) -> str:
        """The table, the failures (`verbose`: all of them), and whether it conforms."""
        lines = [f"{self.name}: {' '.join(sorted(self.features))}", "", self.table(), ""]
        shown = self.failures if verbose else self.failures[:_SHOWN]
        for result in shown:
            lines += [
                f"FAILED {result.id} (section {result.spec}, {result.level}): {result.why}",
                f'    "{result.requirement}"',
            ]
        if len(shown) < len(self.failures):
            lines.append(f"... and {len(self.failures) - len(shown)} more failures: --verbose shows them")
        lines += [f"passed when tried again: {r.id}: {r.why}" for r in self.results if r.status == "passed" and r.why]
        lines += [f"PASSED, though known to fail: {result.id}: take it off the list" for result in self.surprises]
        known = sum(result.known and result.status == "failed" for result in self.results)
        notes = [f"{known} known failures"] * bool(known)
        notes += [f"restarted {self.restarts} times"] * bool(self.restarts)
        verdict = "conforms" if self.ok(strict=strict) else "does NOT conform"
        lines.append(f"{self.name} {verdict}" + (f" ({', '.join(notes)})" if notes else ""))
        return "\n".join(lines) + "\n"
