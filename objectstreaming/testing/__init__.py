"""A test kit for servers and clients that use frames. `docs/testing.md` shows how to use it. Extra: `testing`."""

from ..extras import extra

with extra("testing"):
    from .asgi import StreamingASGITransport
    from .faults import Crumble, Cut, FaultyApp, Stall, ainject, inject
    from .outcomes import Outcome, aread_outcome, read_outcome
    from .raw_server import Connection, RawServer, response_head
    from .strategies import (
        Corruption,
        Stream,
        chunkings,
        corruptions,
        frames,
        headers,
        json_values,
        messages,
        streams,
    )

__all__ = [
    "Connection",
    "Corruption",
    "Crumble",
    "Cut",
    "FaultyApp",
    "Outcome",
    "RawServer",
    "Stall",
    "Stream",
    "StreamingASGITransport",
    "ainject",
    "aread_outcome",
    "chunkings",
    "corruptions",
    "frames",
    "headers",
    "inject",
    "json_values",
    "messages",
    "read_outcome",
    "response_head",
    "streams",
]
