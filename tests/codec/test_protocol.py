"""Streams of version 1: the state table from both sides, control frames, ends and cuts."""

from __future__ import annotations

import enum
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstreaming import (
    EncodeError,
    Frame,
    FrameDecoder,
    FrameError,
    JsonCoder,
    Limits,
    MsgpackCoder,
    ObjectStreamError,
    PayloadError,
    ProtocolError,
    RawCoder,
    StreamDecoder,
    StreamEncoder,
    StreamError,
    StreamIncomplete,
    TruncatedFrame,
    aiter_messages,
    encode_frame,
    iter_messages,
)
from objectstreaming.coders import Coder, OrderCheck
from objectstreaming.errors import InvalidHeader, InvalidLength
from objectstreaming.protocol import CONTROL, TRANSITIONS, Event, State

Message = tuple[Any, Any]


def control(kind: str, **members: Any) -> bytes:
    return encode_frame(json.dumps({"$stream": {"type": kind, **members}}, separators=(",", ":")).encode(), b"{}")


def data(n: int = 0) -> bytes:
    return encode_frame({"n": n}, b"%d" % n)


FRAMES = {
    Event.OPEN: control("open", v=1),
    Event.DATA: data(),
    Event.PING: control("ping"),
    Event.OTHER: control("of-a-later-version"),
}


def frame_of(event: Event, data_frames: int) -> bytes:
    return control("end", frames=data_frames) if event is Event.END else FRAMES[event]


def read(wire: bytes, **options: Any) -> tuple[list[Message], ObjectStreamError | None]:
    decoder: StreamDecoder[Any, Any] = StreamDecoder(JsonCoder(), **options)
    messages: list[Message] = []
    try:
        messages.extend(decoder.feed(wire))
        decoder.finish()
    except ObjectStreamError as error:
        return messages, error
    return messages, None


PATHS = {
    State.START: (b"", 0),
    State.STREAMING: (data(), 1),
    State.ENDED: (data() + control("end", frames=1), 1),
}


class TestTheTable:
    @pytest.mark.parametrize("event", Event)
    @pytest.mark.parametrize("state", State)
    def test_each_cell_holds_in_the_decoder(self, state: State, event: Event) -> None:
        path, count = PATHS[state]
        _, error = read(path + frame_of(event, count), require_end=False)
        if event in TRANSITIONS[state]:
            assert error is None
        else:
            assert isinstance(error, ProtocolError)
            assert error.code == ("frame_after_end" if state is State.ENDED else "invalid_control")

    @pytest.mark.parametrize("event", [event for event in Event if event is not Event.OTHER])
    @pytest.mark.parametrize("state", State)
    def test_each_cell_holds_in_the_encoder_and_a_refusal_changes_nothing(self, state: State, event: Event) -> None:
        encoder = StreamEncoder(JsonCoder())
        if state is not State.START:
            encoder.data({}, 0)
        if state is State.ENDED:
            encoder.end()
        before = encoder.position, encoder.ended
        writes: dict[Event, Any] = {
            Event.OPEN: encoder.open,
            Event.DATA: lambda: encoder.data({}, 0),
            Event.PING: encoder.ping,
            Event.END: encoder.end,
        }
        if event in TRANSITIONS[state]:
            assert writes[event]()
        else:
            with pytest.raises(EncodeError, match=f"{event.value} is not allowed: the stream has"):
                writes[event]()
            assert (encoder.position, encoder.ended) == before


class TestStreamEncoder:
    def test_writes_what_the_decoder_reads(self) -> None:
        encoder = StreamEncoder(JsonCoder())
        wire = encoder.open(heartbeat=2.5, metadata={"id": "a"})
        wire += encoder.ping() + encoder.data({"n": 1}, "one") + encoder.ping()
        wire += encoder.frame(Frame(b'{"n": 2}', b'"two"')) + encoder.end(trailers={"tokens": 2})
        decoder = StreamDecoder(JsonCoder())
        assert list(decoder.feed(wire)) == [({"n": 1}, "one"), ({"n": 2}, "two")]
        decoder.finish()
        assert (decoder.heartbeat, decoder.metadata, decoder.trailers) == (2.5, {"id": "a"}, {"tokens": 2})
        assert (decoder.position, decoder.offset, decoder.buffered, decoder.ended) == (2, len(wire), 0, True)
        assert (encoder.position, encoder.ended) == (2, True)

    def test_control_frames_begin_with_the_eleven_bytes_and_carry_the_neutral_payload(self) -> None:
        for coder, neutral in ((JsonCoder(), b"{}"), (MsgpackCoder(), b"\xc0"), (RawCoder(), b"")):
            encoder: StreamEncoder[Any, Any] = StreamEncoder(coder)
            for frame in FrameDecoder().feed(encoder.open() + encoder.ping() + encoder.end()):
                assert frame.header_bytes.startswith(CONTROL)
                assert frame.payload == neutral

    def test_an_end_can_carry_an_error(self) -> None:
        for details in (None, {"retry": 5}, [1]):
            error = StreamError("unavailable", "model overloaded", details)
            _, caught = read(StreamEncoder(JsonCoder()).end(error=error))
            assert isinstance(caught, StreamError)
            assert (caught.code, caught.message, caught.details) == ("unavailable", "model overloaded", details)

    def test_refuses_the_reserved_member_however_it_is_spelled(self) -> None:
        encoder = StreamEncoder(JsonCoder())
        for header in ({"$stream": 1}, {"a": 1, "$stream": {}}):
            with pytest.raises(EncodeError, match="belongs to control frames"):
                encoder.data(header, 0)
        with pytest.raises(EncodeError, match="belongs to control frames"):
            encoder.frame(Frame(b'{ "$stream":{"type":"ping"}}', b"{}"))
        with pytest.raises(EncodeError, match="not a JSON object"):
            encoder.frame(Frame(b'{ "$stream":', b"{}"))
        assert encoder.position == 0

    def test_refuses_it_whoever_wrote_it(self) -> None:
        class Name(enum.Enum):
            RESERVED = "$stream"

        class Adding(JsonCoder[Any, Any]):
            def encode(self, header: Any, payload: Any) -> bytes:
                return super().encode({"$stream": {"type": "end", "frames": 0}, **header}, payload)

        encoders: list[tuple[StreamEncoder[Any, Any], Any]] = [
            (StreamEncoder(JsonCoder()), {Name.RESERVED: {"type": "end", "frames": 0}}),
            (StreamEncoder(JsonCoder()), {"a": 1, Name.RESERVED: 2}),
            (StreamEncoder(Adding()), {}),
        ]
        for encoder, header in encoders:
            with pytest.raises(EncodeError, match="belongs to control frames"):
                encoder.data(header, None)
            assert encoder.position == 0

    def test_a_coder_may_give_any_bytes(self) -> None:
        class Growing(JsonCoder[Any, Any]):
            def encode(self, header: Any, payload: Any) -> bytes:
                return bytearray(super().encode(header, payload))  # type: ignore[return-value]

        encoder = StreamEncoder(Growing())
        assert encoder.data({"a": 1}, 2) == JsonCoder().encode({"a": 1}, 2)
        with pytest.raises(EncodeError, match="belongs to control frames"):
            encoder.data({"$stream": 1}, 2)
        assert encoder.position == 1

    def test_the_reserved_name_elsewhere_is_data(self) -> None:
        encoder = StreamEncoder(JsonCoder())
        wire = encoder.data({"name": "$stream", "inner": {"$stream": 1}}, 0)
        assert read(wire)[0] == [({"name": "$stream", "inner": {"$stream": 1}}, 0)]

    def test_a_message_that_cannot_be_encoded_changes_nothing(self) -> None:
        encoder = StreamEncoder(JsonCoder())
        with pytest.raises(EncodeError):
            encoder.data({}, float("nan"))
        with pytest.raises(EncodeError):
            encoder.end(trailers={"a": float("nan")})
        assert (encoder.position, encoder.ended) == (0, False)
        assert encoder.open()

    def test_refuses_what_receivers_refuse_by_default(self) -> None:
        encoder = StreamEncoder(RawCoder(), limits=Limits(frame=30, header=10))
        with pytest.raises(EncodeError, match="beyond Limits"):
            encoder.data({}, bytes(21))
        with pytest.raises(EncodeError, match="beyond Limits"):
            encoder.data({"member": 1}, b"")
        assert encoder.position == 0
        assert encoder.data({}, bytes(20))

    @pytest.mark.parametrize("change", [lambda wire: 2 * wire, lambda wire: wire[:-1], lambda wire: wire[:7]])
    def test_what_a_coder_gives_is_one_whole_frame(self, change: Callable[[bytes], bytes]) -> None:
        class Wrong(RawCoder):
            def encode(self, header: Any, payload: Any) -> bytes:
                return change(RawCoder.encode(self, header, payload))

        encoder = StreamEncoder(Wrong())
        with pytest.raises(EncodeError, match="one whole frame is expected"):
            encoder.data({}, b"abc")
        assert encoder.position == 0

    def test_control_frames_keep_to_the_limits_too(self) -> None:
        encoder = StreamEncoder(JsonCoder())
        with pytest.raises(EncodeError, match="beyond Limits"):
            encoder.open(metadata={"notes": "x" * 70_000})
        assert encoder.open()
        with pytest.raises(EncodeError, match="beyond Limits"):
            encoder.end(trailers={"notes": "x" * 70_000})
        assert not encoder.ended
        assert encoder.end()

    def test_control_frames_say_when_they_were_sent_if_they_are_told(self) -> None:
        encoder, decoder = StreamEncoder(JsonCoder()), StreamDecoder(JsonCoder())
        times = []
        for wire in (encoder.open(at=0), encoder.ping(at=7), encoder.ping(), encoder.end(at=2**53)):
            list(decoder.feed(wire))
            times.append(decoder.at)
        assert times == [0, 7, 7, 2**53]

    @pytest.mark.parametrize("at", [-1, 0.5, True, "7"])
    def test_a_time_that_no_reader_takes_is_refused_and_changes_nothing(self, at: Any) -> None:
        encoder = StreamEncoder(JsonCoder())
        for write in (encoder.open, encoder.ping, encoder.end):
            with pytest.raises(EncodeError, match="microseconds"):
                write(at=at)
        assert encoder.open() + encoder.end(error=StreamError("internal", "no", object()), at=7) == (
            StreamEncoder(JsonCoder()).open()
            + control("end", frames=0, at=7, error={"code": "internal", "message": "no"})
        )

    @pytest.mark.parametrize("heartbeat", [0, -1, float("nan"), float("inf"), True, "15"])
    def test_a_heartbeat_that_no_reader_takes_is_refused(self, heartbeat: Any) -> None:
        with pytest.raises(EncodeError):
            StreamEncoder(JsonCoder()).open(heartbeat=heartbeat)

    def test_a_plain_stream_has_no_control_frames(self) -> None:
        encoder = StreamEncoder(JsonCoder(), v=None)
        for write in (encoder.open, encoder.ping, encoder.end):
            with pytest.raises(EncodeError, match="plain stream"):
                write()
        assert read(encoder.data({}, 1)) == ([({}, 1)], None)

    def test_other_versions_are_unknown(self) -> None:
        with pytest.raises(ValueError, match="version 2 is unknown"):
            StreamEncoder(JsonCoder(), v=2)


INVALID_CONTROLS = {
    "no type": b'{"$stream":{}}',
    "type not a string": b'{"$stream":{"type":1}}',
    "not an object": b'{"$stream":"ping"}',
    "open without v": b'{"$stream":{"type":"open"}}',
    "open of version 2": b'{"$stream":{"type":"open","v":2}}',
    "open of version true": b'{"$stream":{"type":"open","v":true}}',
    "open of version 1.0": b'{"$stream":{"type":"open","v":1.0}}',
    "open with another coder": b'{"$stream":{"type":"open","v":1,"coder":"tal"}}',
    "open with heartbeat 0": b'{"$stream":{"type":"open","v":1,"heartbeat":0}}',
    "open with heartbeat true": b'{"$stream":{"type":"open","v":1,"heartbeat":true}}',
    "open with a text for heartbeat": b'{"$stream":{"type":"open","v":1,"heartbeat":"15"}}',
    "open with a list for metadata": b'{"$stream":{"type":"open","v":1,"metadata":[]}}',
    "end without frames": b'{"$stream":{"type":"end"}}',
    "end with negative frames": b'{"$stream":{"type":"end","frames":-1}}',
    "end with frames true": b'{"$stream":{"type":"end","frames":true}}',
    "end with a list for trailers": b'{"$stream":{"type":"end","frames":0,"trailers":[]}}',
    "end with a null error": b'{"$stream":{"type":"end","frames":0,"error":null}}',
    "end with an error without code": b'{"$stream":{"type":"end","frames":0,"error":{"message":"m"}}}',
    "end with an error whose message is no text": (
        b'{"$stream":{"type":"end","frames":0,"error":{"code":"internal","message":1}}}'
    ),
}


class TestAnEndWithAnErrorThatCannotBeSentInFull:
    SMALL = Limits(header=150)

    def end(self, wire: bytes) -> dict[str, Any]:
        (frame,) = FrameDecoder().feed(wire)
        return dict(frame.header["$stream"])

    def test_leaves_out_its_trailers(self) -> None:
        encoder = StreamEncoder(JsonCoder(), limits=self.SMALL)
        end = self.end(encoder.end(trailers={"tokens": "x" * 150}, error=StreamError("internal", "no")))
        assert end == {"type": "end", "frames": 0, "error": {"code": "internal", "message": "no"}}
        assert encoder.ended

    def test_leaves_out_its_details_and_then_its_message(self) -> None:
        for details, message in (({"x": "x" * 150}, "no"), (object(), "no")):
            end = self.end(
                StreamEncoder(JsonCoder(), limits=self.SMALL).end(error=StreamError("internal", "no", details))
            )
            assert end["error"] == {"code": "internal", "message": message}
        end = self.end(StreamEncoder(JsonCoder(), limits=self.SMALL).end(error=StreamError("internal", "x" * 150)))
        assert end["error"]["message"] == "the message of this error cannot be sent"

    def test_is_refused_where_nothing_fits(self) -> None:
        encoder = StreamEncoder(JsonCoder(), limits=Limits(header=20))
        with pytest.raises(EncodeError):
            encoder.end(error=StreamError("internal"))
        assert not encoder.ended


def test_an_open_frame_has_no_negative_position() -> None:
    encoder = StreamEncoder(JsonCoder())
    with pytest.raises(EncodeError, match="position"):
        encoder.open(position=-1)
    assert encoder.open(position=3)  # nothing has changed


def test_an_open_frame_names_where_the_stream_can_be_picked_up() -> None:
    opening = StreamEncoder(JsonCoder()).open(resume="/streams/7", position=3)
    assert opening[8:-2] == b'{"$stream":{"type":"open","v":1,"coder":"json","resume":"/streams/7","position":3}}'


def test_stored_frames_are_counted_and_follow_the_state_table() -> None:
    encoder = StreamEncoder(JsonCoder())
    frames = data(1) + data(2)
    encoder.open(position=5)
    assert encoder.stored(frames, 2) == frames
    assert encoder.position == 2
    encoder.end()
    with pytest.raises(EncodeError, match="ended"):
        encoder.stored(frames, 2)
    assert encoder.position == 2


def test_a_coder_without_types_describes_itself_as_any() -> None:
    assert (RawCoder().header_type, RawCoder().payload_type) == (dict, Any)


class TestStreamDecoder:
    @pytest.mark.parametrize("header", INVALID_CONTROLS.values(), ids=INVALID_CONTROLS)
    def test_a_wrong_control_frame_is_an_error_that_names_the_frame(self, header: bytes) -> None:
        messages, error = read(control("of-a-later-version") + encode_frame(header, b"{}"))
        if b'"open"' in header:  # first, where its position is right
            messages, error = read(encode_frame(header, b"{}"))
        assert isinstance(error, ProtocolError)
        assert (messages, error.code) == ([], "invalid_control")

    def test_a_control_frame_that_is_not_json_is_an_invalid_header(self) -> None:
        wire = (8 + 13).to_bytes(4, "little") + (13).to_bytes(4, "little") + b'{"$stream":{]'
        decoder = StreamDecoder(JsonCoder())
        for _ in range(2):
            with pytest.raises(InvalidHeader):
                list(decoder.feed(wire))

    def test_another_spelling_is_data(self) -> None:
        spelled = b'{ "$stream":{"type":"end","frames":0}}'
        wire = (8 + len(spelled) + 1).to_bytes(4, "little") + len(spelled).to_bytes(4, "little") + spelled + b"1"
        assert read(wire) == ([({"$stream": {"type": "end", "frames": 0}}, 1)], None)

    def test_unknown_members_and_the_payload_of_control_frames_are_passed_over(self) -> None:
        ping = encode_frame(b'{"$stream":{"type":"ping","new":1},"beside":2}', b"\xffnot JSON")
        assert read(ping + data(1) + control("end", frames=1, new=[])) == ([({"n": 1}, 1)], None)

    @pytest.mark.parametrize("claimed", [0, 1, 3])
    def test_a_wrong_count_is_data_lost(self, claimed: int) -> None:
        messages, error = read(data(1) + data(2) + control("end", frames=claimed))
        assert isinstance(error, ProtocolError)
        assert (len(messages), error.code, error.index) == (2, "count_mismatch", 2)

    def test_the_count_is_looked_at_before_the_error(self) -> None:
        _, error = read(control("end", frames=5, error={"code": "internal"}))
        assert isinstance(error, ProtocolError)

    def test_pings_and_unknown_types_do_not_count(self) -> None:
        wire = control("ping") + data() + control("ping") + control("later") + control("end", frames=1)
        assert read(wire) == ([({"n": 0}, 0)], None)

    def test_a_code_of_a_later_version_is_an_error_all_the_same(self) -> None:
        _, error = read(control("end", frames=0, error={"code": "too_hot", "message": "m"}))
        assert isinstance(error, StreamError)
        assert (error.code, error.message) == ("unknown", "m")

    def test_trailers_are_there_after_an_error_too(self) -> None:
        decoder = StreamDecoder(JsonCoder())
        with pytest.raises(StreamError):
            list(decoder.feed(control("end", frames=0, trailers={"a": 1}, error={"code": "internal"})))
        assert decoder.trailers == {"a": 1}

    def test_trailers_tell_before_the_end_from_an_end_without_them(self) -> None:
        decoder = StreamDecoder(JsonCoder())
        assert decoder.trailers is None
        list(decoder.feed(control("end", frames=0)))
        assert decoder.trailers == {}

    @pytest.mark.parametrize(
        "wire",
        [
            bytes(4),
            control("end", frames=9),
            control("end", frames=0, error={"code": "aborted"}),
            encode_frame(b"{}", b"1") + (8).to_bytes(4, "little") + bytes(4),
        ],
        ids=["InvalidLength", "ProtocolError", "StreamError", "InvalidHeader"],
    )
    def test_after_an_error_it_is_dead_and_raises_the_same_again(self, wire: bytes) -> None:
        decoder = StreamDecoder(JsonCoder())
        with pytest.raises(ObjectStreamError) as first:
            list(decoder.feed(wire))
        for ask in (lambda: decoder.feed(b""), decoder.next_message, decoder.finish):
            with pytest.raises(type(first.value)) as again:
                ask()
            assert again.value is first.value

    @pytest.mark.parametrize("after", [data(2), control("ping"), control("end", frames=3)])
    @pytest.mark.parametrize("begun", [False, True])
    def test_an_iterator_beside_the_one_that_met_the_error_raises_it_too(self, after: bytes, begun: bool) -> None:
        decoder = StreamDecoder(JsonCoder())
        one = decoder.feed(data(1) + data(2) + encode_frame(b"{}", b"1").replace(b"{}", b"[]") + after)
        other = decoder.feed(data(3))
        next(one)
        if begun:
            next(other)
        with pytest.raises(InvalidHeader) as first:
            list(one)
        with pytest.raises(InvalidHeader) as again:
            list(other)
        assert again.value is first.value

    def test_an_iterator_beside_the_one_that_met_the_error_does_not_end_well_after_finish(self) -> None:
        decoder = StreamDecoder(JsonCoder())
        one = decoder.feed(data(1) + data(2) + encode_frame(b"{}", b"1").replace(b"{}", b"[]"))
        other = decoder.feed(b"")
        next(one)
        next(other)
        decoder.finish()
        with pytest.raises(InvalidHeader):
            list(one)
        with pytest.raises(InvalidHeader):
            list(other)

    def test_what_a_subclass_adds_to_decode_is_done_to_every_frame(self) -> None:
        class Shouting(JsonCoder[Any, Any]):
            def decode(self, frame: Frame) -> tuple[Any, Any]:
                header, payload = super().decode(frame)
                return header, payload.upper()

        wire = b"".join(encode_frame({}, b'"a"') for _ in range(3))
        assert [payload for _, payload in StreamDecoder(Shouting()).feed(wire)] == ["A"] * 3

        wrapped: JsonCoder[Any, Any] = JsonCoder()
        wrapped.decode = lambda frame: ({}, frame.index)  # type: ignore[method-assign]
        assert [payload for _, payload in StreamDecoder(wrapped).feed(wire)] == [0, 1, 2]

    def test_a_type_that_raises_stop_iteration_does_not_end_the_messages(self) -> None:
        class Odd(msgspec.Struct):
            n: int

            def __post_init__(self) -> None:
                if self.n == 2:
                    raise StopIteration

        wire = b"".join(encode_frame({}, b'{"n":%d}' % n) for n in (1, 2, 3))
        decoder = StreamDecoder(JsonCoder(payload=Odd))
        messages = decoder.feed(wire)
        assert next(messages)[1].n == 1
        with pytest.raises(RuntimeError, match="StopIteration") as caught:
            next(messages)
        assert isinstance(caught.value.__cause__, StopIteration)
        assert [payload.n for _, payload in decoder.feed(b"")] == [3]

    def test_after_a_payload_error_it_goes_on_and_the_frame_counts(self) -> None:
        decoder = StreamDecoder(JsonCoder())
        wire = data(1) + encode_frame({}, b"not JSON") + data(3) + control("end", frames=3)
        messages = decoder.feed(wire)
        assert next(messages) == ({"n": 1}, 1)
        with pytest.raises(PayloadError) as caught:
            next(messages)
        assert (caught.value.index, caught.value.offset) == (1, len(data(1)))
        assert decoder.next_message() == ({"n": 3}, 3)
        assert decoder.next_message() is None
        decoder.finish()
        assert decoder.position == 3

    def test_yields_lazily_and_takes_at_once(self) -> None:
        decoder = StreamDecoder(JsonCoder())
        messages = decoder.feed(data(1) + data(2))
        assert decoder.position == 0
        next(messages)
        assert decoder.position == 1
        assert list(decoder.feed(data(3))) == [({"n": 2}, 2), ({"n": 3}, 3)]

    def test_keeps_to_its_limits(self) -> None:
        _, error = read(data(1), limits=Limits(frame=10))
        assert error is not None
        assert error.code == "frame_too_large"


class TestADecoderAsAnObject:
    def test_the_same_chunk_again_is_another_place(self) -> None:
        chunk = RawCoder().encode({}, b"x" * 10) * 2
        decoder = StreamDecoder(RawCoder())
        first = decoder.feed(chunk)
        next(first)
        decoder.next_message()
        decoder.next_message()
        second = decoder.feed(chunk)
        next(second)
        next(first)
        assert list(first) == list(second) == []
        assert (decoder.position, decoder.offset) == (4, 2 * len(chunk))

    def test_it_takes_two_types(self) -> None:
        assert StreamDecoder[dict[str, Any], int]
        with pytest.raises(TypeError):
            StreamDecoder[int]  # type: ignore[misc]

    def test_it_may_be_made_anew(self) -> None:
        decoder = StreamDecoder(JsonCoder())
        with pytest.raises(FrameError):
            list(decoder.feed(bytes(4)))
        decoder.__init__(JsonCoder())  # type: ignore[misc]
        assert list(decoder.feed(JsonCoder().encode({}, 1))) == [({}, 1)]


class TestTheEnd:
    WIRE = control("open", v=1) + data(1) + control("ping") + data(2) + control("end", frames=2)

    def test_a_whole_stream_is_whole(self) -> None:
        assert read(self.WIRE) == ([({"n": 1}, 1), ({"n": 2}, 2)], None)

    @pytest.mark.parametrize("size", range(1, len(WIRE)))
    def test_every_cut_is_noticed(self, size: int) -> None:
        _, error = read(self.WIRE[:size])
        assert isinstance(error, TruncatedFrame | StreamIncomplete)

    def test_says_how_far_it_came(self) -> None:
        _, error = read(self.WIRE[: -len(control("end", frames=2))])
        assert isinstance(error, StreamIncomplete)
        assert error.position == 2

    def test_a_plain_stream_needs_none_unless_told(self) -> None:
        assert read(data(1))[1] is None
        assert read(b"")[1] is None
        assert isinstance(read(data(1), require_end=True)[1], StreamIncomplete)
        assert isinstance(read(b"", require_end=True)[1], StreamIncomplete)

    def test_a_ping_alone_shows_that_an_end_is_due(self) -> None:
        assert isinstance(read(control("ping"))[1], StreamIncomplete)
        assert read(control("ping"), require_end=False)[1] is None

    def test_garbage_after_it_is_an_error_too(self) -> None:
        assert isinstance(read(self.WIRE + bytes(4))[1], InvalidLength)
        assert isinstance(read(self.WIRE + b"\x20")[1], TruncatedFrame)

    def test_finishing_before_all_was_read_raises_when_it_was(self) -> None:
        decoder = StreamDecoder(JsonCoder())
        decoder.feed(control("open", v=1) + data(1))
        decoder.finish()
        assert decoder.next_message() == ({"n": 1}, 1)
        with pytest.raises(StreamIncomplete):
            decoder.next_message()

    def test_finishing_before_all_was_read_of_a_whole_stream_is_fine(self) -> None:
        decoder = StreamDecoder(JsonCoder())
        decoder.feed(self.WIRE)
        decoder.finish()
        assert [decoder.next_message(), decoder.next_message()] == [({"n": 1}, 1), ({"n": 2}, 2)]
        assert decoder.next_message() is None
        assert decoder.ended


class CountingCoder(Coder[Any, Any]):
    """A coder whose headers count: what `order_check` is for."""

    name = "counting"

    def encode(self, header: Any, payload: Any) -> bytes:
        return encode_frame(header, payload)

    def decode(self, frame: Frame) -> tuple[Any, Any]:
        return frame.header, frame.payload

    def order_check(self) -> OrderCheck[Any]:
        due = iter(range(100))

        def check(header: Any, index: int) -> None:
            expected = next(due)
            if header["n"] != expected:
                raise ProtocolError("order_gap", f"{header['n']} where {expected} was due", index)

        return check


def test_a_coders_order_check_is_made_for_each_stream_and_its_error_kills_it() -> None:
    coder = CountingCoder()
    assert len(list(iter_messages([data(0), data(1)], coder))) == 2
    assert len(list(iter_messages([data(0)], coder))) == 1
    decoder = StreamDecoder(coder)
    messages = decoder.feed(data(0) + control("ping") + data(2) + data(3))
    next(messages)
    for _ in range(2):
        with pytest.raises(ProtocolError) as caught:
            next(decoder.feed(b""))
        assert (caught.value.code, caught.value.index) == ("order_gap", 2)


class TestIterating:
    WIRE = TestTheEnd.WIRE

    @given(st.lists(st.integers(0, len(WIRE))))
    def test_any_cuts_give_the_same(self, cuts: list[int]) -> None:
        edges = sorted([0, *cuts, len(self.WIRE)])
        chunks = [self.WIRE[a:b] for a, b in itertools.pairwise(edges)]
        assert list(iter_messages(chunks, JsonCoder())) == [({"n": 1}, 1), ({"n": 2}, 2)]

    def test_a_cut_raises_after_the_messages(self) -> None:
        messages = iter_messages([self.WIRE[:-1]], JsonCoder())
        assert [next(messages), next(messages)] == [({"n": 1}, 1), ({"n": 2}, 2)]
        with pytest.raises(TruncatedFrame):
            next(messages)

    def test_leaving_early_closes_the_source(self) -> None:
        closed = []

        def chunks() -> Iterator[bytes]:
            try:
                yield self.WIRE
                yield self.WIRE
            finally:
                closed.append(True)

        messages = iter_messages(chunks(), JsonCoder())
        next(messages)
        messages.close()  # type: ignore[attr-defined]
        assert closed == [True]

    async def test_async_it_is_the_same(self) -> None:
        closed = []

        async def chunks(wire: bytes) -> AsyncIterator[bytes]:
            try:
                for at in range(len(wire)):
                    yield wire[at : at + 1]
            finally:
                closed.append(True)

        messages = [message async for message in aiter_messages(chunks(self.WIRE), JsonCoder())]
        assert messages == [({"n": 1}, 1), ({"n": 2}, 2)]
        with pytest.raises(StreamIncomplete):
            _ = [message async for message in aiter_messages(chunks(control("open", v=1)), JsonCoder())]
        early = aiter_messages(chunks(self.WIRE), JsonCoder())
        await anext(early)
        await early.aclose()  # type: ignore[attr-defined]
        assert closed == [True] * 3

    async def test_async_over_an_iterable_that_cannot_be_closed(self) -> None:
        class Chunks:
            def __aiter__(self) -> Chunks:
                self.left = [TestTheEnd.WIRE]
                return self

            async def __anext__(self) -> bytes:
                if not self.left:
                    raise StopAsyncIteration
                return self.left.pop()

        assert len([message async for message in aiter_messages(Chunks(), JsonCoder())]) == 2
