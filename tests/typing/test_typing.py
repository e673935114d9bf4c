"""mypy and pyright, both strict, infer what users write down, unions included, and find what is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).with_name("coders_and_clients.py")
ROOT = Path(__file__).parents[2]
# Comments that suppress an error must be needed: so the errors of the file are tested too.
PYRIGHT = "# pyright: strict, reportUnnecessaryTypeIgnoreComment=true\n"


def run(*command: str) -> str:
    ran = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, check=False)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def test_mypy_agrees() -> None:
    assert run("mypy", "--strict", "--warn-unused-ignores", str(FILE)) == ""


def test_pyright_agrees(tmp_path: Path) -> None:
    checked = tmp_path / FILE.name
    checked.write_text(PYRIGHT + re.sub(r"# type: ignore\S+", "", FILE.read_text()))  # mypy's comments

    assert run("pyright", "--pythonpath", sys.executable, str(checked)) == ""
