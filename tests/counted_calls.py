"""The work that a function does, counted: it is the same on a busy machine."""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["calls"]


def calls(run: Callable[[], object]) -> int:
    """How many calls, of functions in Python and in C, `run` makes."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count
