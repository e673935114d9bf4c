"""A test kit for servers and clients that speak frames; `docs/testing.md` shows it at work. Extra: `testing`."""

from .asgi import StreamingASGITransport
from .faults import Crumble, Cut, Fault, FaultyApp, Stall, ainject, inject
from .raw_server import Connection, RawServer, response_head

__all__ = [
    "Connection",
    "Crumble",
    "Cut",
    "Fault",
    "FaultyApp",
    "RawServer",
    "Stall",
    "StreamingASGITransport",
    "ainject",
    "inject",
    "response_head",
]
