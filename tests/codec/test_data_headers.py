"""No encoder writes a data frame whose header has the member `$stream` (SPEC section 3.1).

A header that begins with `{"$stream":` makes a control frame. So a user's data, written as it is, could end the stream.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy
import pytest

from objectstreaming import (
    AnbJsonStreamCoder,
    Coder,
    EncodeError,
    Frame,
    JsonCoder,
    Layout,
    MsgpackCoder,
    NdarrayCoder,
    RawCoder,
    StreamDecoder,
    StreamEncoder,
    decode_frame,
    encode_frame,
    encode_frame_parts,
)
from objectstreaming.coders import encode_data_frame
from objectstreaming.duplex.coder import SymbolCoder
from objectstreaming.duplex.symbol import Symbol
from wav_streaming import TALAudio, TALCoder, tal_encoder

END = {"type": "end", "frames": 0}


class Name(enum.StrEnum):
    STREAM = "$stream"


class Renamed(msgspec.Struct, rename={"stream": "$stream"}):
    stream: dict[str, Any]
    other: int = 1


@dataclass
class Ordinary:
    stream: str = "$stream"


FORGED = {
    "alone": {"$stream": END},
    "first": {"$stream": END, "a": 1},
    "last": {"a": None, "b": "x" * 300, "$stream": 1},
    "an Enum's": {Name.STREAM: END},
    "renamed": Renamed(END),
}
SPELLED = {
    "as bytes": b'{"$stream":{"type":"end","frames":0}}',
    "with a space": b'{ "$stream":{"type":"end","frames":0}}',
    "escaped": b'{"\\u0024stream":{"type":"end","frames":0}}',
    "escaped within": b'{"a":1,"$\\u0073tr\\u0065am":1}',
    "in a bytearray": bytearray(b'{"$stream":1}'),
}
HARMLESS: dict[str, Any] = {
    "in a text": {"a": "$stream"},
    "in a text, escaped": {"a": "\x01$stream"},
    "deeper": {"a": {"$stream": END}},
    "longer": {"$streams": 1, "a$stream": 2},
    "as a value": {"stream": ["$stream"]},
}
REFUSED = r'^the header member "\$stream" belongs to control frames$'


def anb(header: Any) -> bytes:
    return AnbJsonStreamCoder.encode(header, {})


ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "JsonCoder": lambda header: JsonCoder().encode(header, {"a": 1}),
    "JsonCoder, checked": lambda header: JsonCoder().encode(header, {"a": None}),
    "MsgpackCoder": lambda header: MsgpackCoder().encode(header, [1]),
    "RawCoder": lambda header: RawCoder().encode(header, b"x"),
    "encode_data_frame": lambda header: encode_data_frame(header, bytearray(b"x"), layout=Layout(2, "big")),
}
MAPPINGS: dict[str, Callable[[Any], bytes]] = {
    **ENCODERS,
    "NdarrayCoder": lambda header: NdarrayCoder().encode(header, numpy.zeros(2)),
    "AnbJsonStreamCoder": anb,
    "AnbJsonStreamCoder, other layout": lambda header: AnbJsonStreamCoder.encode(header, {}, 8, "big"),
    "AnbJsonStreamCoder, checked": lambda header: AnbJsonStreamCoder.encode({**header, "n": 1 << 70}, {}),
}


@pytest.mark.parametrize(
    ("encoder", "how"),
    [(name, how) for name in MAPPINGS for how, header in FORGED.items() if name in ENCODERS or type(header) is dict],
)
def test_no_encoder_writes_the_member(encoder: str, how: str) -> None:
    with pytest.raises(EncodeError, match=REFUSED):
        MAPPINGS[encoder](FORGED[how])


@pytest.mark.parametrize("how", SPELLED)
@pytest.mark.parametrize("encoder", [name for name in ENCODERS if not name.startswith("Json")])
def test_nor_from_json_bytes_however_it_is_spelled(encoder: str, how: str) -> None:
    with pytest.raises(EncodeError, match=REFUSED):
        ENCODERS[encoder](SPELLED[how])


@pytest.mark.parametrize("how", HARMLESS)
@pytest.mark.parametrize("encoder", MAPPINGS)
def test_the_text_elsewhere_in_a_header_is_fine(encoder: str, how: str) -> None:
    assert b"$stream" in MAPPINGS[encoder](HARMLESS[how])


def test_a_typed_header_whose_value_is_the_text_is_fine() -> None:
    assert decode_frame(JsonCoder(Ordinary, int).encode(Ordinary(), 1)).header == {"stream": "$stream"}


def test_a_raw_json_header_is_refused_however_it_is_spelled() -> None:
    for spelled in SPELLED.values():
        with pytest.raises(EncodeError, match=REFUSED):
            JsonCoder(msgspec.Raw, int).encode(msgspec.Raw(bytes(spelled)), 1)
    with pytest.raises(EncodeError, match="the header is not a JSON object"):
        encode_data_frame(msgspec.Raw(b'{"$stream":'))


def test_members_beside_the_ten_of_speech_may_not_have_the_name() -> None:
    tal = TALAudio()
    tal.extra = {"speaker": "Ann", "$stream": END}
    for encode in (TALCoder().encode, tal_encoder):
        with pytest.raises(EncodeError, match=REFUSED):
            encode(tal, b"")
    tal.extra = {"a": {"$stream": 1}}
    assert TALCoder().encode(tal, b"") != b""
    assert tal_encoder(tal, b"") != b""


def test_the_metadata_of_a_symbol_is_a_value_and_may_have_it() -> None:
    symbol = Symbol.text("hello", **{"$stream": END})
    assert decode_frame(SymbolCoder().encode(symbol)).header["metadata"]["$stream"] == END


def test_encode_frame_is_the_raw_layer_and_does_not_look() -> None:
    header, wire = FORGED["alone"], encode_frame(FORGED["alone"], b"x")
    assert decode_frame(wire).header == header
    assert b"".join(encode_frame_parts(header, b"x")) == wire
    for function in (encode_frame, encode_frame_parts):
        assert "$stream" in (function.__doc__ or "")


class Careless(Coder[Any, bytes]):
    """A coder that somebody wrote on the raw layer."""

    name = "careless"

    def encode(self, header: Any, payload: bytes) -> bytes:
        return encode_frame(header, payload)

    def decode(self, frame: Frame) -> tuple[Any, bytes]:
        return frame.header, frame.payload


@pytest.mark.parametrize("header", [*FORGED.values(), *SPELLED.values()], ids=[*FORGED, *SPELLED])
def test_a_stream_refuses_it_from_any_coder(header: Any) -> None:
    encoder = StreamEncoder(Careless())
    for write in (lambda: encoder.data(header, b""), lambda: encoder.frame(decode_frame(encode_frame(header)))):
        with pytest.raises(EncodeError, match=REFUSED):
            write()
    assert encoder.position == 0
    wire = encoder.data({"a": "$stream \x01"}, b"payload") + encoder.end()
    decoder = StreamDecoder(Careless())
    assert list(decoder.feed(wire)) == [({"a": "$stream \x01"}, b"payload")]
    decoder.finish()
