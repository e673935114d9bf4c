"""Text from outside in the lines of a log."""

from __future__ import annotations

from typing import Final

__all__ = ["one_line"]

_MOST: Final = 300
"""Characters of a name or a message in the log."""


def one_line(text: str) -> str:
    r"""`text` as it may stand in a log: escaped where it would begin a line or steer a terminal, and not too long.

    >>> print(one_line("/ask\n2026-11-27 ERROR \x1b[31mforged"))
    /ask\n2026-11-27 ERROR \x1b[31mforged
    """
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text[: _MOST + 1]
    )
    return shown if len(text) <= _MOST else shown[:_MOST] + "..."
