"""Optional dependencies: where one is missing, its import says with which command it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["extra"]


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Put around imports of what the extra `name` installs.

    >>> with extra("server"):
    ...     import a_module_that_is_not_installed
    Traceback (most recent call last):
    ModuleNotFoundError: a_module_that_is_not_installed is not installed: pip install 'objectstreaming[server]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in ("", "objectstreaming", "wav_streaming"):  # a fault of this package
            raise
        message = f"{module} is not installed: pip install 'objectstreaming[{name}]'"
        raise ModuleNotFoundError(message, name=error.name) from None
