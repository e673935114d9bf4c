"""Programs and npm packages that some tests run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def needs(*programs: str) -> None:
    """Skip a test if a program is missing, and say so; fail where nothing may be missing (CI=true).

    To be called at the top of a test or fixture.
    """
    _demand([program for program in programs if shutil.which(program) is None])


def needs_package(folder: Path, package: str, made_by: str) -> None:
    """The same, if `folder` does not have this npm package, which the command `made_by` installs."""
    _demand([] if (folder / "node_modules" / package).exists() else [f"{package}, from `{made_by}`"])


def _demand(missing: list[str]) -> None:
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"missing on a machine that must have it: {', '.join(missing)}")
    if missing:
        pytest.skip(f"MISSING PROGRAM: {', '.join(missing)}; install it to run this test")
