"""Settings and fixtures for all tests."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from hypothesis import HealthCheck, settings

# On a busy machine any example may take long: that is no failure.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

# A shell that runs the suite in the background makes it ignore SIGINT, and every program that a test starts would
# inherit that and could not be interrupted. A handler is not inherited: with one, they begin with the default.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def needs(*programs: str) -> None:
    """Skip a test if a program is missing, and say so; fail where nothing may be missing (CI=true).

    Use as `from conftest import needs` and call it at the top of a test or fixture.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"missing on a machine that must have it: {', '.join(missing)}")
    if missing:
        pytest.skip(f"MISSING PROGRAM: {', '.join(missing)}; install it to run this test")
