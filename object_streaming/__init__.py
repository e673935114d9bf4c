"""The import name of the original's README: `from object_streaming import AnbJsonStreamCoder`."""

from objectstreaming import AnbJsonStreamCoder

__all__ = ["AnbJsonStreamCoder"]
