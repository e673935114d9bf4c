"""A test kit for servers and clients that use frames. `docs/testing.md` shows how to use it. Extra: `testing`."""

from ..extras import extra

with extra("testing"):
    from .asgi import StreamingASGITransport
    from .faults import Crumble, Cut, FaultyApp, Stall, inject
    from .outcomes import Outcome, aread_outcome, read_outcome
    from .raw_server import Connection, RawServer, response_head
    from .strategies import (
        Stream,
        chunkings,
        corruptions,
        headers,
        json_values,
        streams,
    )

__all__ = [
    "Connection",
    "Crumble",
    "Cut",
    "FaultyApp",
    "Outcome",
    "RawServer",
    "Stall",
    "Stream",
    "StreamingASGITransport",
    "aread_outcome",
    "chunkings",
    "corruptions",
    "headers",
    "inject",
    "json_values",
    "read_outcome",
    "response_head",
    "streams",
]
