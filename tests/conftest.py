"""What every test may use."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

# A shell that runs the suite in the background lets it ignore SIGINT; every program that a test starts would inherit
# that, and never be interrupted. A handler of ours is not inherited: they begin with the default.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def needs(*programs: str) -> None:
    """Skip, loudly, where a program is missing; fail where nothing may be missing (CI=true).

    Use as `from conftest import needs` and call it at the top of a test or fixture.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"missing on a machine that must have it: {', '.join(missing)}")
    if missing:
        pytest.skip(f"MISSING PROGRAM: {', '.join(missing)}; install it to run this test")
