"""TALAudio, its coder, and the original's two calls."""

from __future__ import annotations

import array
import copy
import json
import pickle
from typing import Annotated, Any

import fastapi
import httpx
import jsonschema
import numpy
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstreaming import (
    EncodeError,
    Frame,
    PayloadError,
    ProtocolError,
    StreamDecoder,
    StreamEncoder,
    decode_frame,
    encode_frame,
    iter_messages,
)
from objectstreaming.errors import InvalidHeader, InvalidLength
from wav_streaming import TALAudio, TALCoder, tal_decoder, tal_encoder

MEMBERS = "audioType bitDepth sampleRate channels audioFormat question answer url sign order".split()  # noqa: SIM905

# One member at a time that is not what it must be, and what the message names.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"audioType": "float32"}, "audioType is 'int16' or 'int32', not 'float32': convert floats"),
    ({"audioType": "uint8"}, "audioType is"),
    ({"audioType": 16}, "audioType is"),
    ({"audioType": ["int16"]}, "audioType is"),
    ({"audioType": "int32"}, "bitDepth is 32 where audioType is 'int32', not 16"),
    ({"bitDepth": 32}, "bitDepth is 16 where audioType is 'int16', not 32"),
    ({"bitDepth": 16.0}, "bitDepth is 16"),
    ({"bitDepth": 7}, "bitDepth is 16"),
    ({"sampleRate": 0}, "sampleRate is an integer from 1 to 768000"),
    ({"sampleRate": 768_001}, "sampleRate is"),
    ({"sampleRate": "16000"}, "sampleRate is"),
    ({"sampleRate": 16000.0}, "sampleRate is"),
    ({"sampleRate": None}, "sampleRate is"),
    ({"channels": -1}, "channels is an integer from 1 to 255, not -1"),
    ({"channels": 256}, "channels is"),
    ({"channels": True}, "channels is"),
    ({"audioFormat": "mp3"}, "audioFormat is 'wav'"),
    ({"question": 1}, "question is a string, not 1"),
    ({"answer": None}, "answer is a string, not None"),
    ({"url": {}}, "url is a string, not dict"),
    ({"sign": 0}, "sign is 1, 2 or 3, not 0: start, middle, end of an answer"),
    ({"sign": 99}, "sign is"),
    ({"order": 0}, "order is an integer from 1"),
    ({"order": 2**53}, "order is"),
    ({"order": True}, "order is"),
]

EXTRA = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name not in MEMBERS),
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=3),
    max_size=3,
)


@st.composite
def headers(draw: st.DrawFn) -> TALAudio:
    kind = draw(st.sampled_from(["int16", "int32"]))
    tal = TALAudio(
        audioType=kind,
        bitDepth=int(kind[3:]),
        sampleRate=draw(st.integers(1, 768_000)),
        channels=draw(st.integers(1, 255)),
        question=draw(st.text()),
        answer=draw(st.text()),
        url=draw(st.text()),
        sign=draw(st.sampled_from([1, 2, 3])),
        order=draw(st.integers(1, 2**53 - 1)),
    )
    tal.extra = draw(EXTRA)
    return tal


def frame_of(members: dict[str, Any], payload: bytes = b"", index: int = 0, offset: int = 0) -> Frame:
    return Frame(json.dumps(members).encode(), payload, index, offset)


# ------------------------------------------------------------------------------------------------ TALAudio


def test_ten_members_in_their_order_with_their_defaults() -> None:
    assert list(TALAudio().to_dict().items()) == [
        ("audioType", "int16"),
        ("bitDepth", 16),
        ("sampleRate", 16000),
        ("channels", 1),
        ("audioFormat", "wav"),
        ("question", ""),
        ("answer", ""),
        ("url", ""),
        ("sign", 1),
        ("order", 1),
    ]


def test_members_are_assigned_as_in_the_original() -> None:
    r = TALAudio()
    r.order = 2
    r.bitDepth = 32
    r.audioType = "int32"
    assert TALCoder().decode(decode_frame(TALCoder().encode(r, bytes(4))))[0] == TALAudio(
        order=2, bitDepth=32, audioType="int32"
    )


def test_a_slip_in_a_name_is_an_error() -> None:
    with pytest.raises(AttributeError):
        TALAudio().sampelRate = 8000  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="sampelRate"):
        TALAudio(sampelRate=8000)  # type: ignore[call-arg]


@pytest.mark.parametrize(("members", "message"), WRONG)
def test_what_is_wrong_is_named_on_construction(members: dict[str, Any], message: str) -> None:
    with pytest.raises(EncodeError, match=message):
        TALAudio(**members)
    with pytest.raises(ValueError, match=message):
        TALAudio.from_dict(members)


@pytest.mark.parametrize(("members", "message"), WRONG)
def test_what_is_wrong_is_named_on_encoding(members: dict[str, Any], message: str) -> None:
    tal = TALAudio()
    coder = TALCoder()
    coder.encode(tal, b"")
    for name, value in members.items():
        setattr(tal, name, value)
    for encode in (coder.encode, TALCoder().encode, tal_encoder):
        with pytest.raises(EncodeError, match=message):
            encode(tal, b"")


@pytest.mark.parametrize(("members", "message"), WRONG)
def test_what_is_wrong_is_named_on_decoding_with_its_place(members: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidHeader, match=message) as caught:
        TALCoder().decode(frame_of(members, index=3, offset=99))
    assert (caught.value.code, caught.value.index, caught.value.offset) == ("invalid_header", 3, 99)
    with pytest.raises(InvalidHeader, match=message):
        tal_decoder(bytes(frame_of(members)))


def test_numbers_of_numpy_are_refused_by_name() -> None:
    tal = TALAudio()
    tal.sampleRate = numpy.int64(16000)
    with pytest.raises(EncodeError, match=r"sampleRate is an integer from 1 to 768000, not int64 .*: Hz"):
        TALCoder().encode(tal, b"")
    tal = TALAudio()
    tal.order = numpy.float64(2)
    with pytest.raises(EncodeError, match=r"order .* \(float64\)"):
        TALCoder().encode(tal, b"")


def test_it_copies_pickles_compares_and_shows_what_is_not_default() -> None:
    tal = TALAudio(answer="Yes.", order=2)
    tal.extra = {"speaker": "Ann"}
    assert copy.copy(tal) == tal == pickle.loads(pickle.dumps(tal))
    assert tal != TALAudio(answer="Yes.", order=2)
    assert repr(tal) == "TALAudio(answer='Yes.', order=2, speaker='Ann')"
    assert repr(TALAudio()) == "TALAudio()"
    assert tal.block_align == 2


# ------------------------------------------------------------------------------------------------ members unknown here


def test_unknown_members_survive_decoding_and_encoding() -> None:
    wire = encode_frame({"speaker": "Ann", "order": 4, "sign": 2, "words": [{"at": 0.5}]}, b"\1\2")
    tal, pcm = TALCoder().decode(decode_frame(wire))
    assert tal.extra == {"speaker": "Ann", "words": [{"at": 0.5}]}
    for again in (TALCoder().encode(tal, pcm), tal_encoder(tal, pcm)):
        assert decode_frame(again).header == {**TALAudio(order=4, sign=2).to_dict(), **tal.extra}


def test_the_member_that_stands_for_the_others_is_unknown_like_any() -> None:
    tal, _ = TALCoder().decode(frame_of({"$": {"a": 1}}))
    assert tal.extra == {"$": {"a": 1}}
    assert decode_frame(TALCoder().encode(tal, b"")).header["$"] == {"a": 1}


def test_extra_is_read_only_and_replaced_as_a_whole() -> None:
    tal = TALAudio()
    assert tal.extra == {}
    with pytest.raises(TypeError):
        tal.extra["speaker"] = "Ann"  # type: ignore[index]
    tal.extra = {"speaker": "Ann"}
    assert tal.extra == {"speaker": "Ann"}
    tal.extra = {}
    assert tal == TALAudio()


@pytest.mark.parametrize(
    ("extra", "message"),
    [({1: 2}, "names are strings, not 1"), ({"order": 2}, "order is one of the ten"), ({"a": {1, 2}}, "JSON")],
)
def test_extra_members_that_cannot_be_sent_are_refused(extra: dict[Any, Any], message: str) -> None:
    tal = TALAudio()
    tal.extra = extra
    if "a" in extra:
        with pytest.raises(EncodeError):
            tal_encoder(tal)
        extra = {"a": float("nan")}
        tal.extra = extra
    for encode in (TALCoder().encode, tal_encoder):
        with pytest.raises(EncodeError, match=message):
            encode(tal, b"")


@given(tal=headers(), blocks=st.integers(0, 3))
def test_what_is_encoded_is_decoded_again(tal: TALAudio, blocks: int) -> None:
    pcm = bytes(range(256)) * 4 * 255
    pcm = pcm[: tal.block_align * blocks]
    coder = TALCoder()
    wire = coder.encode(tal, pcm)
    assert coder.decode(decode_frame(wire)) == (tal, pcm)
    original = tal_encoder(tal, pcm)
    assert coder.decode(decode_frame(original)) == (tal, pcm)
    assert tal_decoder(wire) == ((tal.to_dict(), pcm), b"")
    assert list(decode_frame(wire).header)[:10] == MEMBERS


@pytest.mark.parametrize("text", [b"[1]", b"", b"{", b'{"order":1,}', b'{"answer":"\xff"}', b'{"answer":"\\ud800"}'])
def test_a_header_that_is_no_json_object_is_an_invalid_header(text: bytes) -> None:
    with pytest.raises(InvalidHeader):
        TALCoder().decode(Frame(text))


def test_members_may_be_missing_doubled_escaped_and_in_any_order() -> None:
    text = b'{"order":"x","\\u006frder":7, "sign" : 2}'
    assert TALCoder().decode(Frame(text))[0] == TALAudio(order=7, sign=2)


def test_deep_nesting_is_refused_as_everywhere() -> None:
    for name in ("x", "$", "answer"):
        deep = b'{"' + name.encode() + b'":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        with pytest.raises(InvalidHeader):
            TALCoder().decode(Frame(deep))


def test_a_lone_surrogate_is_refused_before_a_byte_leaves() -> None:
    tal = TALAudio()
    tal.answer = "x\ud800"
    for encode in (TALCoder().encode, tal_encoder):
        with pytest.raises(EncodeError, match="surrogate"):
            encode(tal, b"")


# ------------------------------------------------------------------------------------------------ payloads

SAMPLES = numpy.array([[1, -2], [300, -32768]], "<i2")


def stereo(**members: Any) -> TALAudio:
    return TALAudio(channels=2, **members)


@pytest.mark.parametrize(
    "payload",
    [
        SAMPLES,
        SAMPLES.reshape(-1),
        numpy.asfortranarray(SAMPLES),
        SAMPLES.tobytes(),
        bytearray(SAMPLES.tobytes()),
        memoryview(SAMPLES.tobytes()),
        array.array("h", [1, -2, 300, -32768]),
        SAMPLES.view(numpy.uint8),
    ],
)
def test_pcm_comes_as_bytes_or_samples(payload: Any) -> None:
    for wire in (TALCoder().encode(stereo(), payload), tal_encoder(stereo(), payload)):
        assert decode_frame(wire).payload == SAMPLES.tobytes()


def test_samples_come_as_a_read_only_view() -> None:
    wire = TALCoder(samples=True).encode(stereo(), SAMPLES)
    _, samples = TALCoder(samples=True).decode(decode_frame(wire))
    assert samples.dtype == numpy.dtype("<i2")
    assert samples.tolist() == SAMPLES.tolist()
    assert not samples.flags.writeable
    wide = numpy.arange(6, dtype="<i4")
    tal = TALAudio(audioType="int32", bitDepth=32, channels=3)
    assert TALCoder(samples=True).decode(decode_frame(TALCoder().encode(tal, wide)))[1].tolist() == [
        [0, 1, 2],
        [3, 4, 5],
    ]


def test_no_sound_at_all_is_a_payload() -> None:
    assert TALCoder(samples=True).decode(frame_of({"channels": 2, "sign": 3}))[1].shape == (0, 2)
    assert decode_frame(TALCoder().encode(stereo(), numpy.empty((0, 2), "<i2"))).payload == b""


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (SAMPLES.astype("f4"), "the header says int16, little-endian, the array has format 'f'"),
        (SAMPLES.astype(">i2"), "format '>h'"),
        (SAMPLES.astype("<i4"), "format 'i'"),
        (SAMPLES.T[:, :1].reshape(1, 2, 1), "shape"),
        (numpy.zeros((2, 3), "<i2"), r"an array has the shape \(samples,\) or \(samples, 2\), not \(2, 3\)"),
        (b"\0\0\0", "3 bytes are not whole sample frames of 4 bytes"),
        (bytearray(6), "6 bytes are not whole sample frames"),
        ("text", "not str"),
        (None, "not NoneType"),
    ],
)
def test_pcm_that_is_not_what_the_header_says_is_refused(payload: Any, message: str) -> None:
    for encode in (TALCoder().encode, tal_encoder):
        with pytest.raises(EncodeError, match=message):
            encode(stereo(), payload)


def test_a_coder_that_knows_a_format_still_checks_what_may_change() -> None:
    coder, tal = TALCoder(), TALAudio()
    coder.encode(tal, b"")
    for name in ("question", "answer", "url"):
        changed = TALAudio()
        setattr(changed, name, b"abc")  # msgspec would write it as a string, in base64
        with pytest.raises(EncodeError, match=f"{name} is a string, not bytes"):
            coder.encode(changed, b"")


def test_a_coder_that_changes_its_format_checks_by_the_new_one() -> None:
    coder = TALCoder()
    coder.encode(TALAudio(), bytes(2))
    with pytest.raises(EncodeError, match="of 4 bytes"):
        coder.encode(stereo(), bytes(2))
    coder.encode(stereo(), bytes(4))
    coder.encode(TALAudio(), bytes(2))


def test_a_payload_that_was_cut_inside_a_sample_is_a_payload_error() -> None:
    frame = frame_of({"channels": 2}, b"\0" * 6, index=2, offset=40)
    with pytest.raises(PayloadError, match="6 bytes are not whole sample frames of 4 bytes") as caught:
        TALCoder().decode(frame)
    assert (caught.value.index, caught.value.offset) == (2, 40)
    with pytest.raises(PayloadError):
        tal_decoder(bytes(frame))


# ------------------------------------------------------------------------------------------------ order in a stream


def stream(*numbers: tuple[int, int]) -> bytes:
    """(sign, order) of each frame."""
    return b"".join(TALCoder().encode(TALAudio(sign=sign, order=order), b"") for sign, order in numbers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "numbers",
    [
        [(1, 1), (2, 2), (2, 3), (3, 4)],
        [(1, 1), (2, 2), (1, 1), (2, 2)],  # the original never sends sign 3
        [(1, 1), (3, 2), (1, 1)],
        [(1, 1), (1, 1)],
        [(2, 7), (2, 8), (3, 9), (1, 1)],  # resumed
        [(3, 5), (1, 1)],
    ],
)
def test_frames_that_follow_one_another(numbers: list[tuple[int, int]]) -> None:
    assert [(tal.sign, tal.order) for tal, _ in iter_messages([stream(*numbers)], TALCoder())] == numbers


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([(1, 1), (2, 3)], "order 3 after order 1: was a frame lost"),
        ([(1, 1), (2, 2), (2, 2)], "order 2 after order 2"),
        ([(2, 7), (2, 6)], "order 6 after order 7"),
        ([(1, 2)], "starts an answer with order 1, not 2"),
        ([(1, 1), (3, 2), (2, 3)], "sign 2 after sign 3"),
        ([(1, 1), (3, 2), (3, 3)], "sign 3 after sign 3"),
    ],
)
def test_a_gap_is_an_error_after_the_good_frames(numbers: list[tuple[int, int]], message: str) -> None:
    messages = iter_messages([stream(*numbers)], TALCoder())
    received = [next(messages)[0] for _ in numbers[:-1]]
    assert [(tal.sign, tal.order) for tal in received] == numbers[:-1]
    with pytest.raises(ProtocolError, match=message) as caught:
        next(messages)
    assert (caught.value.code, caught.value.index) == ("order_gap", len(numbers) - 1)


def test_speech_in_a_stream_of_version_1() -> None:
    encoder = StreamEncoder(TALCoder())
    wire = encoder.open() + encoder.data(TALAudio(answer="Yes."), b"\1\2") + encoder.ping() + encoder.end()
    decoder = StreamDecoder(TALCoder())
    assert list(decoder.feed(wire)) == [(TALAudio(answer="Yes."), b"\1\2")]
    decoder.finish()
    assert decoder.ended


def test_a_control_member_does_not_leave_in_extra() -> None:
    tal = TALAudio()
    tal.extra = {"$stream": {"type": "end"}}
    with pytest.raises(EncodeError, match=r"\$stream"):
        StreamEncoder(TALCoder()).data(tal, b"")


# ------------------------------------------------------------------------------------------------ the original's calls


def test_the_golden_frame_of_the_original() -> None:
    wire = tal_encoder(TALAudio(), b"\1\2\3\4")
    assert len(wire) == 172
    assert wire[:8].hex() == "ac000000a0000000"
    assert wire[8:168] == json.dumps(dict(TALAudio().to_dict())).encode()
    assert wire[8:].startswith(b'{"audioType": "int16", "bitDepth": 16, "sampleRate": 16000, "channels": 1, ')
    assert wire[168:] == b"\1\2\3\4"


def test_its_header_is_ascii() -> None:
    assert b'"answer": "\\u00e9\\u6f22"' in tal_encoder(TALAudio(answer="é漢"))


def test_none_until_a_frame_is_whole_at_every_cut() -> None:
    wire = tal_encoder(TALAudio(order=2), b"\1\2")
    for cut in range(len(wire)):
        assert tal_decoder(wire[:cut]) is None
    found = tal_decoder(wire + b"\xff")
    assert found is not None
    assert found == (({**TALAudio(order=2).to_dict()}, b"\1\2"), b"\xff")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_rest_is_of_the_type_of_the_input(kind: Any) -> None:
    wire = tal_encoder(TALAudio())
    for tail in (b"", b"next"):
        found = tal_decoder(kind(wire + tail))
        assert found is not None
        assert type(found[1]) is kind
        assert found[1] == tail


def test_a_member_that_was_deleted_is_named() -> None:
    tal = TALAudio()
    del tal.answer
    for encode in (tal_encoder, TALCoder().encode):
        with pytest.raises(AttributeError, match="answer"):
            encode(tal, bytes(4))


@pytest.mark.parametrize("byte_length", [1, 2, 3, 8])
def test_other_widths_of_the_length_words(byte_length: int) -> None:
    wire = tal_encoder(TALAudio(), b"\1\2", byte_length)
    assert wire[:byte_length] == (2 * byte_length + 162).to_bytes(byte_length, "little")
    assert tal_decoder(wire, byte_length) == ((TALAudio().to_dict(), b"\1\2"), b"")


def test_a_sound_too_long_for_its_length_word_is_refused() -> None:
    with pytest.raises(EncodeError, match="does not fit"):
        tal_encoder(TALAudio(), bytes(256), 1)


@pytest.mark.parametrize("wire", ["00000000", "06000000", "00000000 a0000000", "0c000000 05000000"])
def test_what_can_never_be_a_frame_raises_at_once(wire: str) -> None:
    with pytest.raises(InvalidLength):
        tal_decoder(bytes.fromhex(wire) + bytes(200))


# ------------------------------------------------------------------------------------------------ FastAPI


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = fastapi.FastAPI()

    @app.post("/tal")
    async def echo(tal: Annotated[TALAudio, fastapi.Body()]) -> TALAudio:
        tal.order += 1
        return tal

    @app.get("/broken")
    async def broken() -> TALAudio:
        tal = TALAudio()
        tal.order = 0
        return tal

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_it_is_a_body_and_a_response_of_fastapi(client: httpx.AsyncClient) -> None:
    response = await client.post("/tal", json={"answer": "Yes.", "speaker": "Ann"})
    assert response.status_code == 200
    assert response.json() == {**TALAudio(answer="Yes.", order=2).to_dict(), "speaker": "Ann"}


@pytest.mark.parametrize(("body", "message"), [({"order": 0}, "order is an integer"), ([1], "TALAudio is an object")])
async def test_a_wrong_body_is_a_422_that_names_the_member(client: httpx.AsyncClient, body: Any, message: str) -> None:
    response = await client.post("/tal", json=body)
    assert response.status_code == 422
    assert message in response.text


async def test_a_wrong_response_is_the_servers_fault(client: httpx.AsyncClient) -> None:
    assert (await client.get("/broken")).status_code == 500


async def test_openapi_describes_its_members(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    tal = schema["components"]["schemas"]["TALAudio"]
    assert list(tal["properties"]) == MEMBERS
    assert tal["properties"]["sign"] == {
        "type": "integer",
        "enum": [1, 2, 3],
        "default": 1,
        "description": "start, middle, end of an answer",
    }
    assert {name: member["default"] for name, member in tal["properties"].items()} == TALAudio().to_dict()
    body = schema["paths"]["/tal"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/TALAudio"}


def test_its_schema_and_its_checks_agree() -> None:
    schema = pydantic.TypeAdapter(TALAudio).json_schema()
    jsonschema.validate(TALAudio().to_dict(), schema)
    for members, _ in WRONG:
        # That bitDepth and audioType agree is said in words; 16.0 is an integer to JSON Schema, and not to us.
        if members in ({"bitDepth": 32}, {"audioType": "int32"}) or isinstance(next(iter(members.values())), float):
            continue
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(members, schema)


def test_a_number_that_python_will_not_spell_out_is_refused_like_any_other() -> None:
    for value in (10**5000, [10**5000]):
        for name in ("order", "audioType", "answer"):
            with pytest.raises(EncodeError, match="thousands of digits"):
                TALAudio(**{name: value})
        with pytest.raises(EncodeError, match="thousands of digits"):
            TALCoder().encode(value, b"")  # type: ignore[arg-type]
