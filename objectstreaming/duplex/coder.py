"""The `symbol` coder: symbols and events as frames (SPEC section 4.6, "`symbol`"; section 7, "The duplex session").

It is in this package and not in `coders/`, because the types that it decodes to are in this package.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from .. import strict_json
from ..coders import Coder, encode_data_frame
from ..errors import EncodeError, InvalidHeader, PayloadError
from ..frames import Frame
from .symbol import EventType, Modality, StreamEvent, StreamItem, Symbol

__all__ = ["SymbolCoder"]

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _SymbolHeader(msgspec.Struct, tag_field="kind", tag="symbol"):
    modality: Literal["audio", "video", "text", "image"]
    mime_type: str
    timestamp: _Time
    metadata: dict[str, Any] = {}


class _EventHeader(msgspec.Struct, tag_field="kind", tag="event"):
    type: EventType
    timestamp: _Time


_decoder: Final[strict_json.Decoder[_SymbolHeader | _EventHeader]] = strict_json.Decoder(_SymbolHeader | _EventHeader)
_MODALITY: Final = {modality.value: modality for modality in Modality}


class SymbolCoder(Coder[StreamItem, None]):
    """Messages are `(item, None)`. The payload is the data of a `Symbol`, or the data of a `StreamEvent` as JSON.

    >>> from objectstreaming import decode_frame
    >>> frame = decode_frame(SymbolCoder().encode(Symbol.text("hello")))
    >>> frame.payload, frame.header["kind"], frame.header["modality"]
    (b'hello', 'symbol', 'text')
    >>> SymbolCoder().decode(frame)
    (<Symbol: text, text/plain;charset=utf-8, 5 bytes>, None)
    """

    name = "symbol"

    def encode(self, header: StreamItem, payload: None = None) -> bytes:
        if isinstance(header, Symbol):
            return encode_data_frame(
                _SymbolHeader(header.modality.value, header.mime_type, _utc(header.timestamp), header.metadata),
                header.data,
            )
        if isinstance(header, StreamEvent):
            data = b"{}" if header.data is None else strict_json.dumps(header.data)
            return encode_data_frame(_EventHeader(header.type, _utc(header.timestamp)), data)
        raise EncodeError(f"this coder sends Symbol and StreamEvent, not {type(header).__name__}")

    def decode(self, frame: Frame) -> tuple[StreamItem, None]:
        try:
            header = _decoder.decode(frame.header_bytes)
            timestamp = _utc(header.timestamp)
        except (strict_json.InvalidJSON, EncodeError) as error:
            raise InvalidHeader(f"neither a symbol nor an event: {error}", frame.index, frame.offset) from None
        if isinstance(header, _SymbolHeader):
            modality = _MODALITY[header.modality]
            return Symbol(modality, bytes(frame.payload), header.mime_type, timestamp, header.metadata), None
        try:
            data = strict_json.loads(frame.payload)
        except strict_json.InvalidJSON as error:
            raise PayloadError(f"the event's data is not JSON: {error}", frame.index, frame.offset) from None
        return StreamEvent(header.type, data, timestamp), None


def _utc(timestamp: datetime) -> datetime:
    try:
        return timestamp.astimezone(UTC)
    except (OverflowError, ValueError):
        raise EncodeError(f"the time {timestamp} does not exist in UTC") from None
