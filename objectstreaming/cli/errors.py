"""The error of a command."""

from typing import Final

__all__ = ["NO_STREAM", "CommandError"]

NO_STREAM: Final = 5
"""The exit status of the commands that look at streams where there is none."""


class CommandError(Exception):
    """Why a command failed, in words for the person who typed it, and the exit status."""

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
