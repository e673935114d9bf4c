"""The `tal` coder: frames of speech, a `TALAudio` header and PCM as the payload (SPEC section 4.2).

Text, audio and language travel together: the header says what the sound is (sample type, rate, channels), what is said
in it (`answer`), what it answers (`question`, `url`), and where in the answer it stands (`sign`, `order`). The payload
is PCM, little-endian, interleaved, whole sample frames, and never a RIFF header, whatever `audioFormat` seems to say.

`TALCoder` is for streams. `tal_encoder` and `tal_decoder` are the calls of the public objectstreaming project of 2024:
same bytes, same return shapes.

**One table.** The annotations of `TALAudio` are the table of its ten members: name, kind, allowed values, default and
meaning. `MEMBERS` is that table as tuples. The checks, their messages, the JSON schema and the table in the docstring
are made from it, and msgspec checks received headers by the annotations themselves.

**When it is checked.** The members are plain attributes, so that `r.bitDepth = 32` may come before
`r.audioType = "int32"`. All ten are checked on construction, on encoding and on decoding.
"""

from __future__ import annotations

import functools
import struct
import sys
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _quoted
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NoReturn,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_type_hints,
    overload,
)

import msgspec
from msgspec import UNSET, Meta, UnsetType

from objectstreaming import strict_json
from objectstreaming.coders import Coder, OrderCheck, PlainDecoder, encode_data_frame
from objectstreaming.coders.original import standard_json
from objectstreaming.errors import EncodeError, InvalidHeader, PayloadError
from objectstreaming.frames import CODEC, LAYOUT, BytesLike, Frame, Layout, join_frame, split_frame

from .order import AnswerOrder
from .sound import MAX_CHANNELS, MAX_SAMPLE_RATE

if TYPE_CHECKING:
    import numpy

    Samples: TypeAlias = "numpy.ndarray[Any, numpy.dtype[numpy.signedinteger[Any]]]"

__all__ = [
    "MAX_ORDER",
    "MEMBERS",
    "Member",
    "TALAudio",
    "TALCoder",
    "tal_decoder",
    "tal_encoder",
]

P = TypeVar("P")

MAX_ORDER: Final = (1 << 53) - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""


class _CheckedMeta(msgspec.StructMeta):
    """Checks what a program constructs. What msgspec decodes does not come this way: msgspec has checked it."""

    if not TYPE_CHECKING:  # pragma: no branch - type checkers know the members already

        def __call__(cls, **members: Any) -> Any:  # noqa: N805 - the class of a class calls its instances cls
            return _checked(super().__call__(**members))


class TALAudio(
    msgspec.Struct, metaclass=_CheckedMeta, kw_only=True, forbid_unknown_fields=True, rename={"_extra": "$"}
):
    """What a frame of speech says of itself: ten members, all with defaults.

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

    # The names are the wire's.
    audioType: Annotated[  # noqa: N815
        Literal["int16", "int32"], Meta(description="the samples, little-endian and signed")
    ] = "int16"
    bitDepth: Annotated[  # noqa: N815
        Literal[16, 32], Meta(description="bits a sample: 16 with int16, 32 with int32")
    ] = 16
    sampleRate: Annotated[  # noqa: N815
        int, Meta(ge=1, le=MAX_SAMPLE_RATE, description="Hz, sample frames a second")
    ] = 16000
    channels: Annotated[int, Meta(ge=1, le=MAX_CHANNELS, description="how many, interleaved")] = 1
    audioFormat: Annotated[  # noqa: N815
        Literal["wav"], Meta(description="PCM, as in the data chunk of a WAV file")
    ] = "wav"
    question: Annotated[str, Meta(description="what was asked")] = ""
    answer: Annotated[str, Meta(description="the text that is spoken here")] = ""
    url: Annotated[str, Meta(description="where the answer comes from")] = ""
    sign: Annotated[Literal[1, 2, 3], Meta(description="start, middle, end of an answer")] = 1
    order: Annotated[int, Meta(ge=1, le=MAX_ORDER, description="the number of the frame in its answer")] = 1
    # UNSET is what msgspec leaves out when it encodes; a header that has the member "$" is read member by member.
    _extra: dict[str, Any] | UnsetType = UNSET

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> TALAudio:
        """A `TALAudio` of what `tal_decoder` gave.

        >>> TALAudio.from_dict({"order": 3, "sign": 2, "speaker": "Ann"}).extra["speaker"]
        'Ann'

        Raises:
            EncodeError: As construction raises.
        """
        return _checked(_from_members(members))

    def to_dict(self) -> dict[str, Any]:
        """The ten members in their order, then those in `extra`."""
        members = {name: getattr(self, name) for name in _DEFAULTS}
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
            "properties": {member.name: member.schema for member in MEMBERS},
            "additionalProperties": True,
        }


# ------------------------------------------------------------------------------------------------ the table


class Member(NamedTuple):
    """A member of `TALAudio`, read off its annotation."""

    name: str
    kind: type[str] | type[int]
    allowed: tuple[Any, ...] | range | None
    """The values that are allowed; `None` if all strings are."""
    default: Any
    meaning: str

    @property
    def values(self) -> str:
        """`allowed` in words."""
        if self.allowed is None:
            return "a string"
        if isinstance(self.allowed, range):
            return f"an integer from {self.allowed[0]} to {self.allowed[-1]}"
        *others, last = map(repr, self.allowed)
        return f"{', '.join(others)} or {last}" if others else last

    @property
    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        schema: dict[str, Any] = {"type": "string" if self.kind is str else "integer"}
        if isinstance(self.allowed, range):
            schema |= {"minimum": self.allowed[0], "maximum": self.allowed[-1]}
        elif self.allowed is not None:
            schema["enum"] = list(self.allowed)
        return schema | {"default": self.default, "description": self.meaning}


def _read_table() -> tuple[Member, ...]:
    hints = get_type_hints(TALAudio, include_extras=True)
    members = []
    for name, default in zip(TALAudio.__struct_fields__[:-1], TALAudio.__struct_defaults__, strict=False):
        type_, meta = get_args(hints[name])
        allowed = get_args(type_) or (None if meta.ge is None else range(meta.ge, meta.le + 1))
        members.append(Member(name, type(default), allowed, default, meta.description))
    return tuple(members)


MEMBERS: Final = _read_table()
"""The ten members in their order."""

_DEFAULTS: Final[Mapping[str, Any]] = {member.name: member.default for member in MEMBERS}
_CHECKS: Final = tuple((member.default, member.kind, member.allowed) for member in MEMBERS)
_DEPTHS: Final[Mapping[str, int]] = {"int16": 16, "int32": 32}
_NO_EXTRA: Final[Mapping[str, Any]] = MappingProxyType({})

if TALAudio.__doc__:  # pragma: no branch - python -OO has none
    TALAudio.__doc__ += "\n    | member | values | meaning |\n    |---|---|---|\n" + "".join(
        f"    | `{member.name}` | {member.values} | {member.meaning} |\n" for member in MEMBERS
    )


# ------------------------------------------------------------------------------------------------ checks


def _complaint(tal: TALAudio) -> str:
    """What is wrong with the members, the first of them; empty if nothing is."""
    values = msgspec.structs.astuple(tal)
    for value, (default, kind, allowed), member in zip(values, _CHECKS, MEMBERS, strict=False):
        if value is default:  # most of them are
            continue
        if type(value) is not kind or (allowed is not None and value not in allowed):
            floats = member.name == "audioType" and isinstance(value, str) and "float" in value
            advice = "convert floats first, with to_int16" if floats else member.meaning
            return f"{member.name} is {member.values}, not {_shown(value)}: {advice}"
    depth = _DEPTHS[tal.audioType]
    if tal.bitDepth != depth:
        return f"bitDepth is {depth} where audioType is {tal.audioType!r}, not {tal.bitDepth}: set both"
    for name in () if tal._extra is UNSET else tal._extra:
        if type(name) is not str:
            return f"extra holds members of JSON, whose names are strings, not {_shown(name)}"
        if name in _DEFAULTS:
            return f"extra holds members beside the ten, and {name} is one of the ten: assign the attribute"
    return ""


def _checked(tal: TALAudio) -> TALAudio:
    complaint = _complaint(tal)
    if complaint:
        raise EncodeError(complaint)
    return tal


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
_pack: Final = struct.Struct("<II").pack


def _from_members(members: Mapping[str, Any]) -> TALAudio:
    """Not checked yet."""
    known = {name: members[name] for name in _DEFAULTS if name in members}
    tal: TALAudio = msgspec.StructMeta.__call__(TALAudio, **known)
    if len(known) < len(members):
        tal._extra = {name: value for name, value in members.items() if name not in _DEFAULTS}
    return tal


def _from_anything(value: Any) -> TALAudio:
    """For pydantic, to which a `ValueError` is a validation error."""
    if isinstance(value, TALAudio):
        return _checked(value)
    if not isinstance(value, Mapping):
        raise EncodeError(f"TALAudio is an object, not {_shown(value)}")
    return TALAudio.from_dict(value)


def _read_members(frame: Frame) -> TALAudio:
    """The header, member by member: for those that msgspec refused, or that have members beside the ten."""
    tal = _from_members(frame.header)  # raises InvalidHeader if it is not a JSON object
    complaint = _complaint(tal)
    if complaint:
        raise InvalidHeader(f"the header is not a TALAudio: {complaint}", frame.index, frame.offset)
    return tal


# ------------------------------------------------------------------------------------------------ payloads


def _refuse_payload(frame: Frame, tal: TALAudio) -> NoReturn:
    raise PayloadError(
        f"{len(frame.payload)} bytes are not whole sample frames of {tal.block_align} bytes (bitDepth {tal.bitDepth}, "
        f"channels {tal.channels}): was the PCM cut inside one?",
        frame.index,
        frame.offset,
    )


# Formats of a memoryview: bytes, and samples as they are on the wire. Those without a mark are in the machine's order.
_BYTES: Final = frozenset("Bbc")
_LITTLE: Final = sys.byteorder == "little"
_FORMATS: Final[Mapping[str, frozenset[str]]] = {
    "int16": frozenset({"<h", "h"} if _LITTLE else {"<h"}),
    "int32": frozenset({"<i", "<l", "i", "l"} if _LITTLE else {"<i", "<l"}),
}


def _to_pcm(tal: TALAudio, payload: Any) -> Any:
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
            "convert it, for example with to_int16, or say what it is"
        )
    if view.ndim > 2 or (view.ndim == 2 and view.shape is not None and view.shape[1] != tal.channels):
        raise EncodeError(f"an array has the shape (samples,) or (samples, {tal.channels}), not {view.shape}")


# ------------------------------------------------------------------------------------------------ the coder


def _plain_decoder(order: AnswerOrder | None) -> PlainDecoder[TALAudio, bytes]:
    """Decodes what nearly every frame is; for any other it returns `None`, and nothing has changed."""

    def decode(header: bytes, payload: bytes) -> tuple[TALAudio, bytes] | None:
        try:
            tal = _decode(header)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        depth = tal.bitDepth
        if depth != _DEPTHS[tal.audioType] or tal._extra is not UNSET or 8 * len(payload) % (depth * tal.channels):
            return None
        if order is not None and order.advance(tal.sign, tal.order):
            return None
        return tal, payload

    return decode


class TalEncoder:
    """`TALCoder.encode`. A subclass has `_encode_checked` for what is not ordinary."""

    _known: tuple[Any, ...] = (None,) * 9  # see _encode_known

    def encode(self, header: TALAudio, payload: Any) -> bytes:
        """One whole frame. Raises `EncodeError`, and then nothing has changed."""
        wire = self._encode_known(header, payload)
        if wire is None:
            wire = self._encode_checked(header, payload)
            self._known = (
                *(header.audioType, header.bitDepth, header.sampleRate, header.channels, header.audioFormat),
                *(header.question, header.url, header.sign, header.block_align),
            )
        return wire

    def _encode_checked(self, header: TALAudio, payload: Any) -> bytes:
        raise NotImplementedError

    def _encode_known(self, tal: Any, pcm: Any) -> bytes | None:
        """Encode a header most of whose members are the same objects as in the last one that was checked.

        In a stream nearly all headers are so, and checking all members again would take half of the time. Returns
        `None` where there is anything else to check.
        """
        # All at once, because threads may share a coder.
        kind, depth, rate, channels, form, question, url, sign, block_align = self._known
        try:
            if (
                type(tal) is TALAudio
                and tal.audioType is kind
                and tal.bitDepth is depth
                and tal.sampleRate is rate
                and tal.channels is channels
                and tal.audioFormat is form
                and tal.question is question
                and tal.url is url
                and tal.sign is sign
                and type(tal.answer) is str
                and type(tal.order) is int
                and 0 < tal.order <= MAX_ORDER
                and tal._extra is UNSET
                and type(pcm) is bytes
                and not len(pcm) % block_align
            ):
                header = _encode(tal)
                size = len(header)
                return _pack(8 + size + len(pcm), size) + header + pcm
        except (AttributeError, UnicodeEncodeError, struct.error):
            pass
        return None


_SPACED: Final = "{" + ", ".join(f'"{member.name}": %s' for member in MEMBERS) + "}"
"""A header as the standard library writes it."""
_KINDS: Final = [*(member.kind for member in MEMBERS), UnsetType]

_last: tuple[tuple[Any, ...], str, str] = (), "", ""
"""The members but for `answer` and `order` of the last header that was checked here; what is written before and after
`answer`. In a stream nearly all headers have the same: checking and writing them again would take most of the time."""


def _encode_original(tal: TALAudio, pcm: Any, byte_length: Any) -> bytes | None:
    """What `tal_encoder` returns for nearly every call; `None` for any other."""
    global _last
    plain = type(tal) is TALAudio and type(pcm) is bytes and type(byte_length) is int
    if not plain or byte_length != LAYOUT.byte_length:
        return None
    try:
        values = msgspec.structs.astuple(tal)
        if list(map(type, values)) != _KINDS:
            return None
        *first, answer, url, sign, order, _ = values
        members = (*first, url, sign)
        known, before, after = _last  # at once, because threads may share it
        if members != known:
            if _complaint(tal):
                return None
            texts = [_quoted(value) if type(value) is str else value for value in (*first, "", url, sign, "")]
            texts[len(first)] = texts[-1] = "\0"  # is in no text of JSON
            before, after, _ = (_SPACED % tuple(texts)).split("\0")
            _last = members, before, after
        if not 0 < order <= MAX_ORDER or 8 * len(pcm) % (tal.bitDepth * tal.channels):
            return None
        header = f"{before}{_quoted(answer)}{after}{order}}}".encode()
        # A surrogate may be a lone one, which strict JSON refuses.
        return None if b"\\ud" in header else _pack(8 + len(header) + len(pcm), len(header)) + header + pcm
    except (AttributeError, struct.error):
        return None


def _decode_original(data: Any, byte_length: Any) -> tuple[tuple[dict[str, Any], bytes], bytes] | None:
    """What `tal_decoder` returns for nearly every call; `None` for any other."""
    if type(data) is not bytes or type(byte_length) is not int or byte_length != LAYOUT.byte_length or len(data) < 8:
        return None
    total, size = _lengths(data)
    middle = 8 + size
    if not middle <= total <= len(data):
        return None
    header, pcm = data[8:middle], data[middle:total]
    if _decode_plain(header, pcm) is None:
        return None
    return (strict_json.loads_object(header), pcm), data[total:]


_lengths: Final = struct.Struct("<II").unpack_from
_codec: Any = None

if not TYPE_CHECKING and CODEC == "native":
    from objectstreaming._native import TalCodec, TalPlain

    try:
        _codec = TalCodec(TALAudio, _encode, _decode, UNSET, MEMBERS)
    except (TypeError, AttributeError):  # pragma: no cover
        pass  # msgspec keeps the members of a Struct elsewhere than the extension expects
    else:
        from objectstreaming._native import TalEncoder

        _plain_decoder = functools.partial(TalPlain, _codec)
        _encode_original, _decode_original = _codec.encode_original, _codec.decode_original

_decode_plain: Final = _plain_decoder(None)


class TALCoder(TalEncoder, Coder[TALAudio, P], Generic[P]):
    """Messages are a `TALAudio` and its PCM.

    Sent payloads are any bytes-like object, or an array of matching dtype and shape (samples, channels) or,
    interleaved, (samples,).

    `encode` raises `EncodeError`; `decode` raises `InvalidHeader`, or `PayloadError` for PCM that is not whole
    sample frames. In a stream the frames of an answer must be numbered 1, 2, 3... (`order_check`): `StreamEncoder`
    refuses what `StreamDecoder` would refuse. `numbered` and `TALNumbering` number frames.

    >>> from objectstreaming import decode_frame
    >>> wire = TALCoder().encode(TALAudio(answer="Yes."), bytes(4))
    >>> TALCoder().decode(decode_frame(wire))
    (TALAudio(answer='Yes.'), b'\\x00\\x00\\x00\\x00')
    >>> TALCoder(samples=True).decode(decode_frame(wire))[1]
    array([[0],
           [0]], dtype=int16)

    Args:
        samples: what received payloads are: `bytes`, or a read-only NumPy view of shape (samples, channels) and dtype
            '<i2' or '<i4'.
    """

    name = "tal"
    _codec: ClassVar[Any] = _codec

    @overload
    def __init__(self: TALCoder[bytes]) -> None: ...
    @overload
    def __init__(self: TALCoder[bytes], *, samples: Literal[False]) -> None: ...
    @overload
    def __init__(self: TALCoder[Samples], *, samples: Literal[True]) -> None: ...
    def __init__(self, *, samples: bool = False) -> None:
        self._samples = samples

    @property
    def header_type(self) -> type[TALAudio]:
        return TALAudio

    if TYPE_CHECKING:

        def encode(self, header: TALAudio, payload: P | BytesLike) -> bytes: ...

    def _encode_checked(self, header: TALAudio, payload: Any) -> bytes:
        if not isinstance(header, TALAudio):
            shown = _shown(header)
            raise EncodeError(f"the header is a TALAudio, not {shown}: TALAudio.from_dict makes one of a mapping")
        _checked(header)
        try:
            data = _encode(header) if header._extra is UNSET else strict_json.dumps(header.to_dict())
        except (TypeError, ValueError, RecursionError) as error:
            raise EncodeError(_reason(error)) from None
        if header._extra is not UNSET:
            strict_json.check_data_header(data)
        return join_frame(data, _to_pcm(header, payload))

    def decode(self, frame: Frame) -> tuple[TALAudio, P]:
        message = _decode_plain(frame.header_bytes, frame.payload)
        if message is None:
            tal = _read_members(frame)
            if len(frame.payload) % tal.block_align:
                _refuse_payload(frame, tal)
            message = tal, frame.payload
        return self._to_message(*message)

    def _to_message(self, tal: TALAudio, pcm: bytes) -> tuple[TALAudio, P]:
        if not self._samples:
            return tal, cast(P, pcm)
        import numpy

        samples = numpy.frombuffer(pcm, "<i2" if tal.bitDepth == 16 else "<i4").reshape(-1, tal.channels)
        return tal, cast(P, samples)

    def order_check(self) -> OrderCheck[TALAudio]:
        """How the frames of a stream follow one another: `AnswerOrder`."""
        return AnswerOrder()

    def plain_decoder(self, check: OrderCheck[TALAudio] | None) -> PlainDecoder[TALAudio, P] | None:
        if type(check) is not AnswerOrder or getattr(self.decode, "__func__", None) is not TALCoder.decode:
            return None  # a subclass, or a wrapper around this coder's decode, has more to do
        plain: Any = _plain_decoder(check)
        if not self._samples:
            return cast("PlainDecoder[TALAudio, P]", plain)

        def decode(header: bytes, payload: bytes) -> tuple[TALAudio, P] | None:
            message = plain(header, payload)
            return None if message is None else self._to_message(*message)

        return decode


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"a text holds a lone surrogate, which UTF-8 cannot carry: {error.object!r:.60}"
    return str(error)


# ------------------------------------------------------------------------------------------------ the original's calls


def tal_encoder(tal: TALAudio, wav: BytesLike = b"", byte_length: int = 4) -> bytes:
    r"""One frame, byte for byte as the public objectstreaming project of 2024 wrote it.

    The header is the standard library's JSON, ASCII with `", "` and `": "`; the length words are little-endian.

    >>> wire = tal_encoder(TALAudio(), b"\1\2\3\4")
    >>> len(wire), wire[:32]
    (172, b'\xac\x00\x00\x00\xa0\x00\x00\x00{"audioType": "int16", "')

    Args:
        tal: is checked here.
        wav: PCM, without a RIFF header: any bytes-like object or an array of samples.
        byte_length: of each length word.

    Raises:
        EncodeError: A member of `tal` or the length of the PCM is wrong.
    """
    wire = _encode_original(tal, wav, byte_length)
    if wire is not None:
        return wire
    complaint = _complaint(tal)
    if complaint:
        raise EncodeError(complaint)
    try:
        header = standard_json(tal.to_dict()).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(f"extra is not JSON: {error}") from None
    return encode_data_frame(header, _to_pcm(tal, wav), layout=Layout(byte_length, "little"))


def tal_decoder(
    data: bytes | bytearray | memoryview, byte_length: int = 4
) -> tuple[tuple[dict[str, Any], bytes], Any] | None:
    r"""`((header, pcm), rest)` of the first frame in `data`, or `None` while it is not whole.

    `header` is the dict that was sent, its members checked; `rest` what follows the frame, of the same type as `data`,
    empty if nothing does. For streams take `TALCoder`: re-slicing `rest` costs quadratic time.

    >>> tal_decoder(b"\xac\0\0") is None
    True
    >>> (header, pcm), rest = tal_decoder(tal_encoder(TALAudio(order=2), b"\1\2") + b"next")
    >>> header["order"], pcm, rest
    (2, b'\x01\x02', b'next')

    Args:
        data: a frame, or the beginning of one, and whatever follows.
        byte_length: of each length word.

    Raises:
        FrameError: The bytes can never become a frame; `InvalidHeader` if its header is no `TALAudio`.
        PayloadError: The payload is not whole sample frames.
    """
    message = _decode_original(data, byte_length)
    if message is not None:
        return message
    found = split_frame(data, layout=Layout(byte_length, "little"))
    if found is None:
        return None
    frame, end = found
    tal = _read_members(frame)
    if len(frame.payload) % tal.block_align:
        _refuse_payload(frame, tal)
    return (frame.header, frame.payload), data[end:]
