"""A test kit for servers and clients that use frames. `docs/testing.md` shows how to use it. Extra: `testing`."""

from ..extras import extra

with extra("testing"):
    from .asgi import StreamingASGITransport
    from .faults import Crumble, Cut, FaultyApp, Stall, inject
    from .outcomes import aread_outcome, read_outcome
    from .raw_server import Connection, RawServer, response_head
    from .strategies import (
        Stream,
        chunkings,
        corruptions,
        frames,
        headers,
        streams,
    )

__all__ = [
    "Connection",
    "Crumble",
    "Cut",
    "FaultyApp",
    "RawServer",
    "Stall",
    "Stream",
    "StreamingASGITransport",
    "aread_outcome",
    "chunkings",
    "corruptions",
    "frames",
    "headers",
    "inject",
    "read_outcome",
    "response_head",
    "streams",
]
