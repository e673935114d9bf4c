"""What a command raises for the person who typed it."""

__all__ = ["CommandError"]


class CommandError(Exception):
    """What keeps a command from being done, in words for the person who typed it; the exit status that it gets."""

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
