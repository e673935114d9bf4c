"""Frames that stream objects and speech. Start at `frames`, then `protocol`; servers and clients are extras.

>>> from objectstreaming import JsonCoder, StreamEncoder, iter_messages
>>> encoder = StreamEncoder(JsonCoder())
>>> wire = encoder.open() + encoder.data({"status": "success"}, {"answer": "42"}) + encoder.end()
>>> list(iter_messages([wire], JsonCoder()))
[({'status': 'success'}, {'answer': '42'})]
"""

from .coders import AnbJsonStreamCoder, Coder, JsonCoder, MsgpackCoder, NdarrayCoder, RawCoder
from .errors import (
    ContentTypeError,
    EncodeError,
    FrameError,
    FrameTooLarge,
    HeaderTooLarge,
    IdleTimeout,
    InvalidHeader,
    InvalidLength,
    ObjectStreamError,
    PayloadError,
    ProtocolError,
    ResponseError,
    StreamError,
    StreamIncomplete,
    TruncatedFrame,
)
from .frames import (
    LAYOUT,
    Frame,
    FrameDecoder,
    Layout,
    Limits,
    MiB,
    decode_frame,
    encode_frame,
    encode_frame_parts,
)
from .messages import aiter_messages, iter_messages
from .protocol import StreamDecoder, StreamEncoder

__version__ = "0.1.0"

__all__ = [
    "LAYOUT",
    "AnbJsonStreamCoder",
    "Coder",
    "ContentTypeError",
    "EncodeError",
    "Frame",
    "FrameDecoder",
    "FrameError",
    "FrameTooLarge",
    "HeaderTooLarge",
    "IdleTimeout",
    "InvalidHeader",
    "InvalidLength",
    "JsonCoder",
    "Layout",
    "Limits",
    "MiB",
    "MsgpackCoder",
    "NdarrayCoder",
    "ObjectStreamError",
    "PayloadError",
    "ProtocolError",
    "RawCoder",
    "ResponseError",
    "StreamDecoder",
    "StreamEncoder",
    "StreamError",
    "StreamIncomplete",
    "TruncatedFrame",
    "aiter_messages",
    "decode_frame",
    "encode_frame",
    "encode_frame_parts",
    "iter_messages",
]
