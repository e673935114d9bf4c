"""README's figures are those of benchmarks/results.md, which `make bench` writes."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- make bench writes from here.*?<!-- to here -->", re.DOTALL)


def test_readmes_figures_are_those_of_the_results() -> None:
    readme = BLOCK.findall((ROOT / "README.md").read_text())
    results = BLOCK.findall((ROOT / "benchmarks" / "results.md").read_text())
    assert len(readme) == len(results) == 1
    assert readme == results, "run `make bench`, or take README's table from benchmarks/results.md"
    assert "AnbJsonStreamCoder.decode" in readme[0]
    assert "tal_encoder" in readme[0]
