"""The items of a duplex stream: `Symbol`, a piece of sound, text, image or video, and `StreamEvent`, everything else.

Both are checked when they are made, so that the program that made a wrong one gets the error, and not its peer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, get_args

from ..errors import PayloadError

__all__ = ["EventType", "Modality", "StreamEvent", "StreamItem", "Symbol"]


class Modality(Enum):
    """What kind of content a symbol has."""

    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"
    IMAGE = "image"


def _now() -> datetime:
    return datetime.now(UTC)


def _aware(timestamp: datetime) -> None:
    if not isinstance(timestamp, datetime):
        raise TypeError(f"timestamp is a datetime, not {type(timestamp).__name__}")
    if timestamp.utcoffset() is None:
        raise ValueError("timestamp has no time zone: use datetime.now(UTC), not datetime.now()")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A piece of sound, video, text or an image: `data`, and what one must know to perceive it.

    >>> Symbol.text("Good morning.", language="en").text_value
    'Good morning.'
    >>> Symbol(Modality.IMAGE, b"...", "image/png").text_value is None
    True

    Args:
        modality: how it is perceived.
        data: in the format that `mime_type` names.
        mime_type: a media type, such as `audio/pcm;rate=16000;channels=1;bits=16`.
        timestamp: with a time zone; by default now.
        metadata: a JSON object.

    Raises:
        TypeError: A value is of another type.
        ValueError: The timestamp has no time zone.
    """

    modality: Modality
    data: bytes
    mime_type: str
    timestamp: datetime = field(default_factory=_now)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.modality) is not Modality:
            raise TypeError(f"modality is a Modality, not {self.modality!r:.40}")
        if type(self.data) is not bytes:
            raise TypeError(f"data is bytes, not {type(self.data).__name__}")
        if type(self.mime_type) is not str:
            raise TypeError(f"mime_type is a str, not {type(self.mime_type).__name__}")
        if not isinstance(self.metadata, dict):
            raise TypeError(f"metadata is a dict, not {type(self.metadata).__name__}")
        _aware(self.timestamp)

    @classmethod
    def audio(
        cls,
        data: bytes,
        sample_rate: int = 16000,
        channels: int = 1,
        *,
        bit_depth: Literal[16, 32] = 16,
        **metadata: Any,
    ) -> Symbol:
        """A symbol of PCM.

        >>> Symbol.audio(bytes(640)).mime_type
        'audio/pcm;rate=16000;channels=1;bits=16'

        Args:
            data: signed, little-endian, interleaved, whole sample frames.
            sample_rate: in Hz.
            channels: how many, interleaved.
            bit_depth: of a sample, 16 or 32.
            **metadata: members of its `metadata` beside these.

        Raises:
            ValueError: The data is not whole sample frames, or the format cannot be.
        """
        if sample_rate < 1 or channels < 1 or bit_depth not in (16, 32):
            raise ValueError(f"no such PCM: {sample_rate} Hz, {channels} channels, {bit_depth} bits (16 or 32)")
        step = bit_depth // 8 * channels
        if len(data) % step:
            raise ValueError(f"{len(data)} bytes are not whole sample frames of {step} bytes")
        members = {"sample_rate": sample_rate, "channels": channels, "bit_depth": bit_depth, **metadata}
        kind = f"audio/pcm;rate={sample_rate};channels={channels};bits={bit_depth}"
        return cls(Modality.AUDIO, bytes(data), kind, metadata=members)

    @classmethod
    def text(cls, text: str, encoding: str = "utf-8", **metadata: Any) -> Symbol:
        """A symbol of text.

        Args:
            text: is kept as bytes in `encoding`.
            encoding: of its bytes, such as `utf-8`.
            **metadata: members of its `metadata`, such as `language`.

        Raises:
            ValueError: The encoding is not one of those known here, or cannot encode the text.
        """
        data = text.encode(_known(encoding))
        return cls(Modality.TEXT, data, f"text/plain;charset={encoding}", metadata={"encoding": encoding, **metadata})

    @property
    def text_value(self) -> str | None:
        """The text of a text symbol, `None` for others. Raises `PayloadError` if the data is not in its encoding."""
        if self.modality is not Modality.TEXT:
            return None
        try:
            return self.data.decode(_known(self._encoding()))
        except ValueError as error:
            raise PayloadError(f"the text cannot be read: {error}") from None

    def _encoding(self) -> str:
        encoding = self.metadata.get("encoding")
        if encoding is None:
            charset = _CHARSET.search(self.mime_type)
            return charset[1] if charset else "utf-8"
        return encoding if isinstance(encoding, str) else repr(encoding)

    def __repr__(self) -> str:
        return f"<Symbol: {self.modality.value}, {self.mime_type:.60}, {len(self.data)} bytes>"


_CHARSET: Final = re.compile(r';\s*charset="?([\w.:-]{1,40})', re.IGNORECASE)

# Only encodings of text. Python's registry also has codecs that decompress, or that take quadratic time.
_UNICODE: Final = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
_WESTERN: Final = ("ascii", "us-ascii", "latin-1", "iso-8859-1", "iso-8859-15", "windows-1250", "windows-1252")
_OTHERS: Final = ("windows-1251", "koi8-r", "shift-jis", "euc-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr")
_ENCODINGS: Final = frozenset([*_UNICODE, *_WESTERN, *_OTHERS])


def _known(encoding: str) -> str:
    name = encoding.lower().replace("_", "-")
    name = "utf-8" if name == "utf8" else name
    if name not in _ENCODINGS:
        raise ValueError(f"the encoding {encoding!r:.40} is not supported")
    return name


EventType: TypeAlias = Literal["connected", "disconnected", "stream_end", "interrupt", "error", "metadata"]
EVENT_TYPES: Final[frozenset[str]] = frozenset(get_args(EventType))


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An item of a stream that is not a symbol.

    | type | meaning | data |
    |---|---|---|
    | `connected` | the peer's stream has begun | the metadata of its `open` frame |
    | `disconnected` | the peer has sent everything and has left | the trailers of its `end` frame |
    | `stream_end` | one question or answer is complete; the connection stays | - |
    | `interrupt` | stop, or: I have stopped | `{"played_ms": ...}` where that is known |
    | `error` | what was being sent cannot be finished | `{"code", "message"}` |
    | `metadata` | whatever the application defines | any JSON |

    Args:
        type: one of the table.
        data: any JSON value; `{}` is stored as `None`.
        timestamp: with a time zone; by default now.

    Raises:
        ValueError: There is no such type, or the timestamp has no time zone.
    """

    type: EventType
    data: Any = None
    timestamp: datetime = field(default_factory=_now)

    def __post_init__(self) -> None:
        if self.type not in EVENT_TYPES:
            raise ValueError(f"an event is one of {', '.join(sorted(EVENT_TYPES))}, not {self.type!r:.40}")
        if isinstance(self.data, dict) and not self.data:
            object.__setattr__(self, "data", None)
        _aware(self.timestamp)


StreamItem: TypeAlias = Symbol | StreamEvent
"""An item of a duplex stream."""
