"""Settings and fixtures for all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from browser import Browser, started_browser
from hypothesis import HealthCheck, settings
from needed_programs import needs

# On a busy machine any example may take long: that is no failure.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

# A shell that runs the suite in the background makes it ignore SIGINT, and every program that a test starts would
# inherit that and could not be interrupted. A handler is not inherited: with one, they begin with the default.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Runs where pipecat is installed: `make deployment`.
collect_ignore = ["deployment/pipecat_bot.py"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One tab for all tests. A test opens a page of its own."""
    needs("chromium")
    with started_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
