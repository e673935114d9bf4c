"""Sessions that send and receive at once: sound, text and images in both directions, interrupted at will.

    symbol.py             Symbol, StreamEvent: what flows
    stream.py             DuplexStream: a connection; what a backend gives
    session.py            DuplexSession: exchanges on one, with barge-in
    coder.py              the `symbol` coder: items as frames (SPEC section 7)
    framed.py             a DuplexStream over anything that carries bytes; its mailbox.py
    memory.py             both ends in one process
    websocket_client.py   over a WebSocket, with `websockets`
    websocket_server.py   over a WebSocket of Starlette or FastAPI                              [extra: server]

>>> from objectstreaming.duplex import Symbol
>>> Symbol.audio(bytes(320), sample_rate=16000).metadata["sample_rate"]
16000
"""

from .coder import SymbolCoder
from .framed import SUBPROTOCOL, FramedStream, Pipe, PipeClosed
from .memory import MemoryStream, memory_pair
from .session import DuplexSession
from .stream import DuplexStream, StreamFactory
from .symbol import EventType, Modality, StreamEvent, StreamItem, Symbol
from .websocket_client import WebSocketClientStream
from .websocket_server import WebSocketServerStream

__all__ = [
    "SUBPROTOCOL",
    "DuplexSession",
    "DuplexStream",
    "EventType",
    "FramedStream",
    "MemoryStream",
    "Modality",
    "Pipe",
    "PipeClosed",
    "StreamEvent",
    "StreamFactory",
    "StreamItem",
    "Symbol",
    "SymbolCoder",
    "WebSocketClientStream",
    "WebSocketServerStream",
    "memory_pair",
]
