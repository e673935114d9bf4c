"""The `tal` coder: frames of speech, a `TALAudio` header and PCM as the payload (SPEC section 4.2).

Text, audio and language travel together: the header says what the sound is (sample type, rate, channels), what is said
in it (`answer`), what it answers (`question`, `url`), and where in the answer it stands (`sign`, `order`). The payload
is PCM, little-endian, interleaved, whole sample frames, and never a RIFF header, whatever `audioFormat` seems to say.

`TALCoder` is for streams. `tal_encoder` and `tal_decoder` are the calls of the public objectstreaming project of 2024:
same bytes, same return shapes.

**What is checked, and when.** The members are plain attributes, so that `r.bitDepth = 32` may come before
`r.audioType = "int32"`. They are checked, all ten, on construction, on encoding and on decoding, by one function with
one set of messages, `_complaint`. The way there is quick: msgspec judges a received header in C by the annotations
below; only one that it refuses, or that has members this version does not know, is looked at in Python.
"""

from __future__ import annotations

import functools
import itertools
import json
import struct
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Literal, NoReturn, TypeAlias, TypeVar, cast, overload

import msgspec
from msgspec import UNSET, Meta, UnsetType

from objectstreaming import strict_json
from objectstreaming.coders import Coder, OrderCheck, PlainDecoder
from objectstreaming.errors import EncodeError, InvalidHeader, PayloadError, ProtocolError
from objectstreaming.frames import CODEC, BytesLike, Frame, Layout, encode_frame, split_frame

if TYPE_CHECKING:
    import numpy

    Samples: TypeAlias = "numpy.ndarray[Any, numpy.dtype[numpy.signedinteger[Any]]]"

__all__ = ["MAX_CHANNELS", "MAX_ORDER", "MAX_SAMPLE_RATE", "TALAudio", "TALCoder", "tal_decoder", "tal_encoder"]

P = TypeVar("P")

MAX_SAMPLE_RATE: Final = 768_000
"""Hz; the highest rate audio interfaces are made for (16 times 48 kHz)."""
MAX_CHANNELS: Final = 255
MAX_ORDER: Final = (1 << 53) - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""


class _CheckedMeta(msgspec.StructMeta):
    """Checks what a program constructs. What msgspec decodes does not come this way: C has checked it."""

    if not TYPE_CHECKING:  # pragma: no branch - type checkers know the fields already

        def __call__(cls, **members: Any) -> Any:  # noqa: N805 - the class of a class calls its instances cls
            tal = super().__call__(**members)
            complaint = _complaint(tal)
            if complaint:
                raise EncodeError(complaint)
            return tal


class TALAudio(
    msgspec.Struct, metaclass=_CheckedMeta, kw_only=True, forbid_unknown_fields=True, rename={"_extra": "$"}
):
    """What a frame of speech says of itself: ten members, all with defaults.

    | member | values | meaning |
    |---|---|---|
    | `audioType` | 'int16', 'int32' | the samples, little-endian |
    | `bitDepth` | 16 with 'int16', 32 with 'int32' | bits a sample |
    | `sampleRate` | 1 to 768,000 | sample frames a second |
    | `channels` | 1 to 255 | interleaved |
    | `audioFormat` | 'wav' | PCM, as in a WAV file's data chunk |
    | `question`, `answer`, `url` | strings | what was asked; the text spoken here; where it comes from |
    | `sign` | 1, 2, 3 | start, middle, end of an answer |
    | `order` | 1 and up | +1 a frame, 1 again with the next start |

    Attributes may be assigned freely; all are checked on construction (`EncodeError`, a `ValueError`), on encoding
    (`EncodeError`) and on decoding (`InvalidHeader`). An integer is an `int`: not a bool, a float or a NumPy number.
    Members that a peer sent beside the ten are kept in `extra` and go out again after them.

    >>> r = TALAudio()
    >>> r.order, r.sign, r.answer = 2, 2, "Good morning."
    >>> r
    TALAudio(answer='Good morning.', sign=2, order=2)
    >>> TALAudio(audioType="int32")
    Traceback (most recent call last):
    objectstreaming.errors.EncodeError: bitDepth is 32 where audioType is 'int32', not 16: set both

    FastAPI takes it as the type of a response, and of a request body: `tal: Annotated[TALAudio, Body()]`.
    """

    audioType: Literal["int16", "int32"] = "int16"  # noqa: N815 - the wire's names
    bitDepth: Literal[16, 32] = 16  # noqa: N815
    sampleRate: Annotated[int, Meta(ge=1, le=MAX_SAMPLE_RATE)] = 16000  # noqa: N815
    channels: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)] = 1
    audioFormat: Literal["wav"] = "wav"  # noqa: N815
    question: str = ""
    answer: str = ""
    url: str = ""
    sign: Literal[1, 2, 3] = 1
    order: Annotated[int, Meta(ge=1, le=MAX_ORDER)] = 1
    # UNSET is what msgspec leaves out when it encodes; a header that has the member "$" is read member by member.
    _extra: dict[str, Any] | UnsetType = UNSET

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> TALAudio:
        """A `TALAudio` of what `tal_decoder` gave. Raises `EncodeError`, as construction does.

        >>> TALAudio.from_dict({"order": 3, "sign": 2, "speaker": "Ann"}).extra["speaker"]
        'Ann'
        """
        tal = _from_members(members)
        complaint = _complaint(tal)
        if complaint:
            raise EncodeError(complaint)
        return tal

    def to_dict(self) -> dict[str, Any]:
        """The ten members in their order, then those in `extra`."""
        members = {name: getattr(self, name) for name in _MEMBERS}
        return members if self._extra is UNSET else members | self._extra

    @property
    def extra(self) -> Mapping[str, Any]:
        """Members beside the ten, read-only; assign a mapping to replace them all.

        >>> r = TALAudio()
        >>> r.extra = {"speaker": "Ann"}
        >>> r.to_dict()["speaker"]
        'Ann'
        """
        return _NO_EXTRA if self._extra is UNSET else MappingProxyType(self._extra)

    @extra.setter
    def extra(self, members: Mapping[str, Any]) -> None:
        self._extra = dict(members) or UNSET

    @property
    def block_align(self) -> int:
        """Bytes a sample frame, one sample of each channel: what a payload's length is a multiple of."""
        return self.bitDepth // 8 * self.channels

    def __reduce__(self) -> tuple[Any, ...]:
        return TALAudio.from_dict, (self.to_dict(),)

    def __repr__(self) -> str:
        changed = [f"{name}={value!r}" for name, value in self.to_dict().items() if value != _DEFAULTS.get(name)]
        return f"TALAudio({', '.join(changed)})"

    # pydantic, where it is installed, calls these two (docs.pydantic.dev, "Customizing validation with
    # __get_pydantic_core_schema__"); its schemas are plain dicts, so nothing of it need be imported.

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> dict[str, Any]:
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": _from_anything},
            "serialization": {"type": "function-plain", "function": cls.to_dict},
            "ref": f"{cls.__module__}.{cls.__qualname__}",
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {
            "title": "TALAudio",
            "description": "The header of a frame of speech. bitDepth is 16 with int16 and 32 with int32.",
            "type": "object",
            "properties": {name: {**_JSON_SCHEMAS[name], "default": _DEFAULTS[name]} for name in _MEMBERS},
            "additionalProperties": True,
        }


_MEMBERS: Final = TALAudio.__struct_fields__[:-1]
_DEFAULTS: Final[Mapping[str, Any]] = dict(zip(_MEMBERS, TALAudio.__struct_defaults__, strict=False))
_NO_EXTRA: Final[Mapping[str, Any]] = MappingProxyType({})
_JSON_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "audioType": {"type": "string", "enum": ["int16", "int32"]},
    "bitDepth": {"type": "integer", "enum": [16, 32]},
    "sampleRate": {"type": "integer", "minimum": 1, "maximum": MAX_SAMPLE_RATE},
    "channels": {"type": "integer", "minimum": 1, "maximum": MAX_CHANNELS},
    "audioFormat": {"type": "string", "enum": ["wav"]},
    "question": {"type": "string"},
    "answer": {"type": "string"},
    "url": {"type": "string"},
    "sign": {"type": "integer", "enum": [1, 2, 3]},
    "order": {"type": "integer", "minimum": 1, "maximum": MAX_ORDER},
}


def _complaint(tal: TALAudio) -> str:
    """What is wrong with the members, in their order; empty if nothing is."""
    kind = tal.audioType
    # One expression for the common case: a microsecond here is felt in every frame.
    if (
        type(kind) is str
        and (kind == "int16" or kind == "int32")
        and type(tal.bitDepth) is int
        and tal.bitDepth == (16 if kind == "int16" else 32)
        and type(tal.sampleRate) is int
        and 0 < tal.sampleRate <= MAX_SAMPLE_RATE
        and type(tal.channels) is int
        and 0 < tal.channels <= MAX_CHANNELS
        and type(tal.audioFormat) is str
        and tal.audioFormat == "wav"
        and type(tal.question) is str
        and type(tal.answer) is str
        and type(tal.url) is str
        and type(tal.sign) is int
        and 0 < tal.sign <= 3
        and type(tal.order) is int
        and 0 < tal.order <= MAX_ORDER
        and tal._extra is UNSET
    ):
        return ""
    for name in _MEMBERS:
        complaint = _complaint_of(name, getattr(tal, name), kind)
        if complaint:
            return complaint
    for name in tal.extra:
        if type(name) is not str:
            return f"extra holds members of JSON, whose names are strings, not {_shown(name)}"
        if name in _DEFAULTS:
            return f"extra holds members beside the ten, and {name} is one of the ten: assign the attribute"
    return ""


def _complaint_of(name: str, value: Any, kind: Any) -> str:
    if name == "audioType":
        if type(value) is str and value in ("int16", "int32"):
            return ""
        advice = ": convert floats first, with float32_to_int16" if isinstance(value, str) and "float" in value else ""
        return f"audioType is 'int16' or 'int32', not {_shown(value)}{advice}"
    if name == "bitDepth":
        depth = 16 if kind == "int16" else 32
        if type(value) is int and value == depth:
            return ""
        return f"bitDepth is {depth} where audioType is {kind!r}, not {_shown(value)}: set both"
    if name == "audioFormat":
        if type(value) is str and value == "wav":
            return ""
        return f"audioFormat is 'wav', for PCM is what the payload holds, not {_shown(value)}"
    if name in ("question", "answer", "url"):
        return "" if type(value) is str else f"{name} is a string, not {_shown(value)}"
    low, high, meaning = _RANGES[name]
    if type(value) is int and low <= value <= high:
        return ""
    return f"{name} is an integer from {low} to {high}{meaning}, not {_shown(value)}"


_RANGES: Final[Mapping[str, tuple[int, int, str]]] = {
    "sampleRate": (1, MAX_SAMPLE_RATE, " (Hz)"),
    "channels": (1, MAX_CHANNELS, ""),
    "sign": (1, 3, " (start, middle, end)"),
    "order": (1, MAX_ORDER, ""),
}


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str | int | float):
        kind = "" if type(value) in (str, int, float, bool, type(None)) else f" ({type(value).__name__})"
        return f"{_spelled(value)}{kind}"
    return f"{type(value).__name__} {_spelled(value)}"


def _spelled(value: Any) -> str:
    try:
        return f"{value!r:.40}"
    except ValueError:  # Python refuses to spell out integers of more than 4,300 digits
        return "of thousands of digits"


# ------------------------------------------------------------------------------------------------ headers

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(TALAudio).decode


def _from_members(members: Mapping[str, Any]) -> TALAudio:
    """Unchecked: for `_complaint` to judge."""
    known = {name: members[name] for name in _MEMBERS if name in members}
    tal: TALAudio = msgspec.StructMeta.__call__(TALAudio, **known)
    if len(known) < len(members):
        tal._extra = {name: value for name, value in members.items() if name not in _DEFAULTS}
    return tal


def _from_anything(value: Any) -> TALAudio:
    """For pydantic, to which a `ValueError` is a validation error."""
    if isinstance(value, TALAudio):
        complaint = _complaint(value)
        if complaint:
            raise EncodeError(complaint)
        return value
    if not isinstance(value, Mapping):
        raise EncodeError(f"TALAudio is an object, not {_shown(value)}")
    return TALAudio.from_dict(value)


def _read_members(frame: Frame) -> TALAudio:
    """The header, member by member: for those that C refused, or that have members beside the ten."""
    tal = _from_members(frame.header)  # raises InvalidHeader if it is not a JSON object
    complaint = _complaint(tal)
    if complaint:
        raise InvalidHeader(f"the header is not a TALAudio: {complaint}", frame.index, frame.offset)
    return tal


def _refuse_payload(frame: Frame, tal: TALAudio) -> NoReturn:
    raise PayloadError(
        f"{len(frame.payload)} bytes are not whole sample frames of {tal.block_align} bytes (bitDepth {tal.bitDepth}, "
        f"channels {tal.channels}): was the PCM cut inside one?",
        frame.index,
        frame.offset,
    )


# A memoryview's formats: bytes, and samples as they are on the wire, of which the unmarked are the machine's own.
_BYTES: Final = frozenset("Bbc")
_LITTLE: Final = sys.byteorder == "little"
_FORMATS: Final[Mapping[str, frozenset[str]]] = {
    "int16": frozenset({"<h", "h"} if _LITTLE else {"<h"}),
    "int32": frozenset({"<i", "<l", "i", "l"} if _LITTLE else {"<i", "<l"}),
}


def _to_pcm(tal: TALAudio, payload: BytesLike) -> BytesLike:
    """The payload, if it is PCM of the kind that `tal` says. Raises `EncodeError`."""
    if type(payload) is bytes:
        size = len(payload)
    else:
        try:
            view = memoryview(payload)
        except (TypeError, ValueError, BufferError):
            raise EncodeError(f"PCM is bytes or an array of samples, not {type(payload).__name__}") from None
        if view.format not in _BYTES:
            _check_samples(tal, view)
        size = view.nbytes
    if size % tal.block_align:
        raise EncodeError(
            f"{size} bytes are not whole sample frames of {tal.block_align} bytes (bitDepth {tal.bitDepth}, "
            f"channels {tal.channels}): carry the odd bytes over to the next frame, as PcmSplitter does"
        )
    return payload


def _check_samples(tal: TALAudio, view: memoryview) -> None:
    if view.format not in _FORMATS[tal.audioType] or view.itemsize != tal.bitDepth // 8:
        raise EncodeError(
            f"the header says {tal.audioType}, little-endian, the array has format {view.format!r}: "
            "convert it with to_int16 or to_int32, or say what it is"
        )
    if view.ndim > 2 or (view.ndim == 2 and view.shape is not None and view.shape[1] != tal.channels):
        raise EncodeError(f"an array has the shape (samples,) or (samples, {tal.channels}), not {view.shape}")


# ------------------------------------------------------------------------------------------------ short cuts

# Both ways, what nearly every frame is goes a short way, which gives None for any other, having changed nothing. In C
# there is a twin of each (_native.c). The long way, in TALCoder, checks everything and knows how to say what is wrong.

_PlainEncoder: TypeAlias = Callable[[TALAudio, Any], bytes | None]


def _plain_encoder() -> _PlainEncoder:
    # In a stream most members stay what they are. Those of the last frame that was judged are known again by being the
    # same objects, which is quicker than any look at them.
    nothing = object()
    known: tuple[Any, ...] = (*itertools.repeat(nothing, 8), 1)

    def encode(tal: TALAudio, pcm: Any) -> bytes | None:
        nonlocal known
        # In one go, here and below: threads may share a coder.
        kind, depth, rate, channels, form, question, url, sign, block_align = known
        try:
            header = _encode(tal)
            order = tal.order
            if not (
                tal.sign is sign
                and type(order) is int
                and 0 < order <= MAX_ORDER
                and type(tal.answer) is str
                and tal.question is question
                and tal.url is url
                and tal.sampleRate is rate
                and tal.channels is channels
                and tal.audioType is kind
                and tal.bitDepth is depth
                and tal.audioFormat is form
                and tal._extra is UNSET
            ):
                if _complaint(tal) or tal._extra is not UNSET:
                    return None
                block_align = tal.block_align
                known = (
                    *(tal.audioType, tal.bitDepth, tal.sampleRate, tal.channels, tal.audioFormat),
                    *(tal.question, tal.url, tal.sign, block_align),
                )
            if type(pcm) is bytes and not len(pcm) % block_align:
                size = len(header)
                return _pack(8 + size + len(pcm), size) + header + pcm
        except (AttributeError, TypeError, ValueError, RecursionError, struct.error):
            pass
        return None

    return encode


class Order:
    """Where in an answer a stream is: the order of the last frame; 0 after an answer's end, -1 before any frame."""

    __slots__ = ("previous",)

    def __init__(self) -> None:
        self.previous = -1


def _plain_decoder(order: Order | None) -> PlainDecoder[TALAudio, bytes]:
    def decode(header: bytes, payload: bytes) -> tuple[TALAudio, bytes] | None:
        try:
            tal = _decode(header)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        depth = tal.bitDepth
        if depth != (16 if tal.audioType == "int16" else 32) or tal._extra is not UNSET:
            return None
        if len(payload) % (depth // 8 * tal.channels):
            return None
        if order is not None:
            number, sign, previous = tal.order, tal.sign, order.previous
            if (number != 1) if sign == 1 else (previous == 0 or (previous > 0 and number != previous + 1)):
                return None
            order.previous = 0 if sign == 3 else number
        return tal, payload

    return decode


if not TYPE_CHECKING and CODEC == "native":
    try:
        from ._native import Codec, Order, Plain

        _codec = Codec(TALAudio, _encode, _decode, UNSET)
    except (ImportError, TypeError, AttributeError):  # pragma: no cover
        pass  # not built, or msgspec has come to keep members elsewhere
    else:
        _plain_decoder = functools.partial(Plain, _codec)

        def _plain_encoder() -> _PlainEncoder:
            return _codec.encode


_pack: Final = struct.Struct("<II").pack


# ------------------------------------------------------------------------------------------------ the coder


class _OrderCheck(Order):
    __slots__ = ()

    def __call__(self, tal: TALAudio, index: int) -> None:
        order, sign, previous = tal.order, tal.sign, self.previous
        if sign == 1:
            if order != 1:
                raise ProtocolError("order_gap", f"sign 1 starts an answer with order 1, not {order}", index)
        elif previous == 0:
            raise ProtocolError("order_gap", f"sign {sign} after sign 3: an answer starts with sign 1", index)
        elif previous > 0 and order != previous + 1:
            raise ProtocolError("order_gap", f"order {order} after order {previous}: was a frame lost?", index)
        self.previous = 0 if sign == 3 else order


class TALCoder(Coder[TALAudio, P], Generic[P]):
    """Messages are a `TALAudio` and its PCM.

    Received payloads are `bytes`, or with `samples=True` a read-only NumPy view of shape (samples, channels) and dtype
    '<i2' or '<i4'. Sent, either will do with both: any bytes-like object, an array of matching dtype and shape
    (samples, channels) or, interleaved, (samples,).

    `encode` raises `EncodeError`; `decode` raises `InvalidHeader`, or `PayloadError` for PCM that is not whole
    sample frames. In a stream the frames of an answer must be numbered 1, 2, 3...: see `order_check`.

    >>> from objectstreaming import decode_frame
    >>> wire = TALCoder().encode(TALAudio(answer="Yes."), bytes(4))
    >>> TALCoder().decode(decode_frame(wire))
    (TALAudio(answer='Yes.'), b'\\x00\\x00\\x00\\x00')
    >>> TALCoder(samples=True).decode(decode_frame(wire))[1]
    array([[0],
           [0]], dtype=int16)
    """

    name = "tal"

    @overload
    def __init__(self: TALCoder[bytes]) -> None: ...
    @overload
    def __init__(self: TALCoder[bytes], *, samples: Literal[False]) -> None: ...
    @overload
    def __init__(self: TALCoder[Samples], *, samples: Literal[True]) -> None: ...
    def __init__(self, *, samples: bool = False) -> None:
        self._samples = samples
        self._encode_plain = _plain_encoder()
        self._decode_plain = _plain_decoder(None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_encode_plain", "_decode_plain")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._encode_plain = _plain_encoder()
        self._decode_plain = _plain_decoder(None)

    def encode(self, header: TALAudio, payload: P | BytesLike) -> bytes:
        wire = self._encode_plain(header, payload)
        return self._encode_checked(header, payload) if wire is None else wire

    def _encode_checked(self, tal: TALAudio, payload: BytesLike) -> bytes:
        if not isinstance(tal, TALAudio):
            raise EncodeError(f"the header is a TALAudio, not {_shown(tal)}: TALAudio.from_dict makes one of a mapping")
        complaint = _complaint(tal)
        if complaint:
            raise EncodeError(complaint)
        try:
            header = _encode(tal) if tal._extra is UNSET else strict_json.dumps(tal.to_dict())
        except (TypeError, ValueError, RecursionError) as error:
            raise EncodeError(_reason(error)) from None
        return encode_frame(header, _to_pcm(tal, payload))

    def decode(self, frame: Frame) -> tuple[TALAudio, P]:
        tal, payload = self._decode_plain(frame.header_bytes, frame.payload) or self._decode_checked(frame)
        return tal, self._to_payload(tal, payload)

    def _decode_checked(self, frame: Frame) -> tuple[TALAudio, bytes]:
        tal = _read_members(frame)
        if len(frame.payload) % tal.block_align:
            _refuse_payload(frame, tal)
        return tal, frame.payload

    def _to_payload(self, tal: TALAudio, pcm: bytes) -> P:
        if not self._samples:
            return cast(P, pcm)
        import numpy

        return cast(P, numpy.frombuffer(pcm, "<i2" if tal.bitDepth == 16 else "<i4").reshape(-1, tal.channels))

    def order_check(self) -> OrderCheck[TALAudio]:
        """How the frames of a stream follow one another; raises `ProtocolError("order_gap", ...)`.

        Sign 1 starts an answer, at any time, with order 1. Signs 2 and 3 go on with the order before, plus one. After
        sign 3 comes sign 1. A stream whose first frame has sign 2 or 3 is a resumed one and begins anywhere.

        >>> check = TALCoder().order_check()
        >>> check(TALAudio(sign=2, order=7), 0)
        >>> check(TALAudio(sign=2, order=9), 1)
        Traceback (most recent call last):
        objectstreaming.errors.ProtocolError: order 9 after order 7: was a frame lost? (order_gap, frame 1)
        """
        return _OrderCheck()

    def plain_decoder(self, check: OrderCheck[TALAudio] | None) -> PlainDecoder[TALAudio, P] | None:
        if type(check) is not _OrderCheck or getattr(self.decode, "__func__", None) is not TALCoder.decode:
            return None  # a subclass, or whoever wrapped this one's decode, has more to do
        plain: Any = _plain_decoder(check)
        if not self._samples:
            return cast("PlainDecoder[TALAudio, P]", plain)

        def decode(header: bytes, payload: bytes) -> tuple[TALAudio, P] | None:
            message = plain(header, payload)
            return None if message is None else (message[0], self._to_payload(*message))

        return decode


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"a text holds a lone surrogate, which UTF-8 cannot carry: {error.object!r:.60}"
    return str(error)


# ------------------------------------------------------------------------------------------------ the original's calls


def tal_encoder(tal: TALAudio, wav: BytesLike = b"", byte_length: int = 4) -> bytes:
    r"""One frame, byte for byte as the public objectstreaming project of 2024 wrote it.

    The header is the standard library's JSON, ASCII with `", "` and `": "`; the length words are `byte_length` bytes
    each, little-endian. `wav` is PCM, any bytes-like object or an array of samples. Raises `EncodeError`.

    >>> wire = tal_encoder(TALAudio(), b"\1\2\3\4")
    >>> len(wire), wire[:32]
    (172, b'\xac\x00\x00\x00\xa0\x00\x00\x00{"audioType": "int16", "')
    """
    complaint = _complaint(tal)
    if complaint:
        raise EncodeError(complaint)
    try:
        header = json.dumps(tal.to_dict(), allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(f"extra is not JSON: {error}") from None
    return encode_frame(header, _to_pcm(tal, wav), layout=Layout(byte_length, "little"))


def tal_decoder(data: BytesLike, byte_length: int = 4) -> tuple[tuple[dict[str, Any], bytes], Any] | None:
    r"""`((header, pcm), rest)` of the first frame in `data`, or `None` while it is not whole.

    `header` is the dict that was sent, its members checked; `rest` what follows the frame, of the same type as
    `data`, empty if nothing does. Raises `FrameError` for what can never become a frame, `InvalidHeader` and
    `PayloadError`. For streams take `TALCoder`: re-slicing `rest` costs quadratic time.

    >>> tal_decoder(b"\xac\0\0") is None
    True
    >>> (header, pcm), rest = tal_decoder(tal_encoder(TALAudio(order=2), b"\1\2") + b"next")
    >>> header["order"], pcm, rest
    (2, b'\x01\x02', b'next')
    """
    found = split_frame(data, layout=Layout(byte_length, "little"))
    if found is None:
        return None
    frame, end = found
    tal = _read_members(frame)
    if len(frame.payload) % tal.block_align:
        _refuse_payload(frame, tal)
    return (frame.header, frame.payload), data[end:]
