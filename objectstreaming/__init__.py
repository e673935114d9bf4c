"""Frames that stream objects and speech. Start at `frames`, then `protocol`; servers and clients are extras.

>>> from objectstreaming import JsonCoder, StreamEncoder, iter_messages
>>> encoder = StreamEncoder(JsonCoder())
>>> wire = encoder.open() + encoder.data({"status": "success"}, {"answer": "42"}) + encoder.end()
>>> list(iter_messages([wire], JsonCoder()))
[({'status': 'success'}, {'answer': '42'})]
"""

import os
import warnings

from .coders import AnbJsonStreamCoder, Coder, JsonCoder, MsgpackCoder, NdarrayCoder, RawCoder
from .errors import (
    ContentTypeError,
    EncodeError,
    FrameError,
    IdleTimeout,
    ObjectStreamError,
    PayloadError,
    ProtocolError,
    PureCodecWarning,
    ResponseError,
    StreamError,
    StreamIncomplete,
    TruncatedFrame,
)
from .frames import (
    CODEC,
    Frame,
    FrameDecoder,
    Layout,
    Limits,
    decode_frame,
    encode_frame,
    encode_frame_parts,
)
from .messages import aiter_messages, iter_messages
from .protocol import StreamDecoder, StreamEncoder

__version__ = "0.1.0"

if CODEC == "pure" and os.environ.get("OBJECTSTREAMING_PURE", "") in ("", "0"):
    warnings.warn(
        "objectstreaming was installed without its C extension and is several times slower: install a compiler, then "
        "pip install --force-reinstall --no-cache-dir objectstreaming; OBJECTSTREAMING_PURE=1 silences this",
        PureCodecWarning,
        stacklevel=2,
    )

__all__ = [
    "CODEC",
    "AnbJsonStreamCoder",
    "Coder",
    "ContentTypeError",
    "EncodeError",
    "Frame",
    "FrameDecoder",
    "FrameError",
    "IdleTimeout",
    "JsonCoder",
    "Layout",
    "Limits",
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
