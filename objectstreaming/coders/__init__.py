"""Payload coders: what headers and payloads mean. `tal`, the coder of speech, lives in `wav_streaming`."""

from .coder import Coder, OrderCheck, PlainDecoder, check_coder, encode_data_frame
from .json import JsonCoder
from .msgpack import MsgpackCoder
from .ndarray import NdarrayCoder
from .original import AnbJsonStreamCoder
from .raw import RawCoder

__all__ = [
    "AnbJsonStreamCoder",
    "Coder",
    "JsonCoder",
    "MsgpackCoder",
    "NdarrayCoder",
    "OrderCheck",
    "PlainDecoder",
    "RawCoder",
    "check_coder",
    "encode_data_frame",
]
