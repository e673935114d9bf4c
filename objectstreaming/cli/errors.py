"""The error of a command."""

__all__ = ["CommandError"]


class CommandError(Exception):
    """Why a command failed, in words for the person who typed it, and the exit status."""

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
