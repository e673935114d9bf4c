"""What a command raises for the person who typed it."""

__all__ = ["CommandError"]


class CommandError(Exception):
    """What keeps a command from being done, in words for the person who typed it."""
