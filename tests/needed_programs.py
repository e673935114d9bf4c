"""Programs that some tests run."""

from __future__ import annotations

import os
import shutil

import pytest


def needs(*programs: str) -> None:
    """Skip a test if a program is missing, and say so; fail where nothing may be missing (CI=true).

    To be called at the top of a test or fixture.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"missing on a machine that must have it: {', '.join(missing)}")
    if missing:
        pytest.skip(f"MISSING PROGRAM: {', '.join(missing)}; install it to run this test")
