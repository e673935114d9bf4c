"""Sessions that send and receive at the same time: sound, text and images in both directions, with interruption.

    symbol.py             Symbol, StreamEvent: the items of a stream
    stream.py             DuplexStream: the interface of a connection, which every backend has
    session.py            DuplexSession: exchanges on a connection, which either side may interrupt
    unread.py             what a session has received and its receiver has not taken
    coder.py              the `symbol` coder: items as frames (SPEC section 4.6, "`symbol`")
    framed.py             a DuplexStream over anything that carries bytes
    mailbox.py            the bounded queue that framed.py uses
    memory.py             both ends in one process
    websocket_client.py   over a WebSocket, with `websockets`
    websocket_server.py   over a WebSocket of Starlette or FastAPI                              [extra: server]

>>> from objectstreaming.duplex import Symbol
>>> Symbol.audio(bytes(320), sample_rate=16000).metadata["sample_rate"]
16000
"""

from .coder import SymbolCoder
from .framed import FramedStream
from .memory import memory_pair
from .session import DuplexSession
from .stream import DuplexStream, StreamFactory
from .symbol import Modality, StreamEvent, StreamItem, Symbol
from .websocket_client import WebSocketClientStream
from .websocket_server import WebSocketServerStream

__all__ = [
    "DuplexSession",
    "DuplexStream",
    "FramedStream",
    "Modality",
    "StreamEvent",
    "StreamFactory",
    "StreamItem",
    "Symbol",
    "SymbolCoder",
    "WebSocketClientStream",
    "WebSocketServerStream",
    "memory_pair",
]
