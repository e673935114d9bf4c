"""The frame and its decoder: what goes in, what comes out, and what is refused where.

The suite runs on the native codec and, with OBJECTSTREAMING_PURE=1, on the pure one: nothing here may know which.
"""

from __future__ import annotations

import array
import gc
import mmap
import random
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstreaming import (
    EncodeError,
    Frame,
    FrameDecoder,
    FrameError,
    Layout,
    Limits,
    TruncatedFrame,
    decode_frame,
    encode_frame,
    encode_frame_parts,
)
from objectstreaming.errors import FrameTooLarge, HeaderTooLarge, InvalidHeader, InvalidLength
from objectstreaming.frames import MiB, split_frame

GOLDEN = bytes.fromhex("18000000 08000000 7b2261223a20317d 7b2262223a20327d")


def words(total: int, header: int) -> bytes:
    return total.to_bytes(4, "little") + header.to_bytes(4, "little")


def seen(frame: Frame) -> tuple[bytes, bytes, int, int]:
    return frame.header_bytes, frame.payload, frame.index, frame.offset


def decode(chunks: list[bytes], **limits: int) -> tuple[list[tuple[bytes, bytes, int, int]], FrameError | None]:
    """All frames in chunks, and the error that ended them, finish() included."""
    decoder = FrameDecoder(Limits(**limits))
    frames: list[tuple[bytes, bytes, int, int]] = []
    try:
        for chunk in chunks:
            for frame in decoder.feed(chunk):
                frames.append(seen(frame))  # noqa: PERF401 - those before an error are wanted
        decoder.finish()
    except FrameError as error:
        return frames, error
    return frames, None


class TestEncodeFrame:
    def test_writes_the_golden_frame(self) -> None:
        assert encode_frame(b'{"a": 1}', b'{"b": 2}') == GOLDEN

    def test_takes_a_mapping_a_dataclass_or_a_struct_as_header(self) -> None:
        @dataclass
        class AsDataclass:
            a: int

        class AsStruct(msgspec.Struct):
            a: int

        expected = words(15, 7) + b'{"a":1}'
        for header in ({"a": 1}, AsDataclass(1), AsStruct(1), b'{"a":1}', bytearray(b'{"a":1}')):
            assert encode_frame(header) == expected

    @pytest.mark.parametrize(
        "payload",
        [
            b"\1\0\2\0",
            bytearray(b"\1\0\2\0"),
            memoryview(b"\1\0\2\0"),
            memoryview(b"\1?\0?\2?\0?")[::2],
            array.array("h", [1, 2]),
            numpy.array([1, 2], "<i2"),
            numpy.array([[1], [2]], "<i2"),
            numpy.array([1, 9, 2, 9], "<i2")[::2],
        ],
        ids=lambda payload: type(payload).__name__,
    )
    def test_takes_anything_with_the_buffer_protocol_as_payload(self, payload: Any) -> None:
        assert encode_frame({}, payload) == words(14, 2) + b"{}\1\0\2\0"

    def test_takes_payloads_of_no_bytes(self) -> None:
        for nothing in (b"", numpy.zeros((0, 2)), memoryview(b"")):
            assert encode_frame({}, nothing) == words(10, 2) + b"{}"

    @pytest.mark.parametrize(
        "header", [b"", b"[]", b"null", b'{"a":1', b"\xef\xbb\xbf{}", b'{"a":NaN}', b'{"a":"\xff"}']
    )
    def test_refuses_header_bytes_that_are_no_json_object(self, header: bytes) -> None:
        with pytest.raises(EncodeError, match="not a JSON object"):
            encode_frame(header)

    @pytest.mark.parametrize("header", [[1], "text", None, 5])
    def test_refuses_a_header_that_is_no_object(self, header: object) -> None:
        with pytest.raises(EncodeError, match="a header is a JSON object"):
            encode_frame(header)

    def test_refuses_not_a_number_in_a_header(self) -> None:
        with pytest.raises(EncodeError, match="nan is not JSON"):
            encode_frame({"a": float("nan")})

    @pytest.mark.parametrize("payload", ["text", 5, None, [1]])
    def test_refuses_a_payload_that_is_not_bytes(self, payload: Any) -> None:
        with pytest.raises(EncodeError, match="a payload is bytes"):
            encode_frame({}, payload)

    def test_refuses_what_the_length_word_cannot_say(self) -> None:
        assert len(encode_frame({}, bytes(251), layout=Layout(1))) == 255
        with pytest.raises(EncodeError, match="256 bytes does not fit a length word of 1 bytes"):
            encode_frame({}, bytes(252), layout=Layout(1))

    def test_in_parts_it_does_not_copy_the_payload(self) -> None:
        pcm = bytearray(b"\1\2\3\4")
        head, body = encode_frame_parts({}, pcm)
        assert head == words(14, 2) + b"{}"
        assert body == b"\1\2\3\4"
        pcm[0] = 9
        assert body[0] == 9


class TestLayout:
    @pytest.mark.parametrize("byte_order", ["little", "big"])
    @pytest.mark.parametrize("byte_length", range(1, 9))
    def test_every_width_and_order_goes_both_ways(self, byte_length: int, byte_order: Any) -> None:
        layout = Layout(byte_length, byte_order)
        wire = encode_frame({"a": 1}, b"xy", layout=layout)
        assert int.from_bytes(wire[:byte_length], byte_order) == len(wire)
        assert decode_frame(wire, layout=layout) == Frame(b'{"a":1}', b"xy")
        decoder = FrameDecoder(layout=layout)
        frames = [frame for at in range(2 * len(wire)) for frame in decoder.feed((wire + wire)[at : at + 1])]
        assert [frame.offset for frame in frames] == [0, len(wire)]

    @pytest.mark.parametrize(("byte_length", "byte_order"), [(0, "little"), (9, "big"), (-1, "big"), (4, "middle")])
    def test_others_are_refused(self, byte_length: int, byte_order: Any) -> None:
        with pytest.raises(ValueError, match="byte_length is 1 to 8"):
            Layout(byte_length, byte_order)

    def test_the_default_ones_equal_is_as_good_as_the_default(self) -> None:
        assert encode_frame({}, b"x", layout=Layout(4, "little")) == encode_frame({}, b"x")


class TestLimits:
    def test_have_defaults(self) -> None:
        assert Limits() == Limits(frame=16 * MiB, header=64 * 1024)

    def test_are_not_negative(self) -> None:
        with pytest.raises(ValueError, match="not negative"):
            Limits(frame=-1)


class TestFrame:
    def test_parses_its_header_once(self) -> None:
        frame = Frame(b'{"a":1}')
        assert frame.header is frame.header

    @pytest.mark.parametrize("header", [b"", b"[]", b"{", b'{"a":"\xff"}'])
    def test_raises_for_a_header_that_is_no_json_object_each_time(self, header: bytes) -> None:
        frame = Frame(header, b"", 3, 40)
        for _ in range(2):
            with pytest.raises(InvalidHeader) as caught:
                _ = frame.header
            assert (caught.value.index, caught.value.offset) == (3, 40)

    def test_is_equal_by_its_bytes_and_not_by_its_place(self) -> None:
        assert Frame(b"{}", b"x", 1, 10) == Frame(b"{}", b"x")
        assert Frame(b"{}", b"x") != Frame(b"{}", b"y")
        assert Frame(b"{}", b"x") != b"x"
        assert (Frame(b"{}", b"x") == b"x") is False
        assert len({Frame(b"{}", b"x", 1, 10), Frame(b"{}", b"x")}) == 1

    def test_gives_its_bytes_its_repr_and_a_line_for_logs(self) -> None:
        frame = Frame(b'{"a":1}', b"xy", 2, 30)
        assert bytes(frame) == encode_frame({"a": 1}, b"xy")
        assert repr(frame) == "Frame(b'{\"a\":1}', b'xy', index=2, offset=30)"
        assert str(frame) == 'frame 2 at byte 30: {"a":1} + 2 bytes'
        assert str(Frame(b"{" + b" " * 100 + b"}")).endswith("... + 0 bytes")

    @given(st.dictionaries(st.text(), st.integers() | st.text()), st.binary())
    def test_comes_back_from_its_bytes(self, header: dict[str, Any], payload: bytes) -> None:
        frame = decode_frame(encode_frame(header, payload))
        assert (frame.header, frame.payload, bytes(frame)) == (header, payload, encode_frame(header, payload))


class TestDecodeFrame:
    def test_wants_exactly_one(self) -> None:
        assert decode_frame(GOLDEN).header == {"a": 1}
        with pytest.raises(InvalidLength, match="ends at byte 24, but 3 more"):
            decode_frame(GOLDEN + b"abc")

    @pytest.mark.parametrize("size", range(24))
    def test_refuses_less(self, size: int) -> None:
        with pytest.raises(TruncatedFrame):
            decode_frame(GOLDEN[:size])

    def test_takes_any_bytes_like(self) -> None:
        for data in (bytearray(GOLDEN), memoryview(GOLDEN), numpy.frombuffer(GOLDEN, numpy.uint8)):
            assert decode_frame(data).payload == b'{"b": 2}'

    def test_does_not_allocate_what_is_claimed(self) -> None:
        with pytest.raises(TruncatedFrame):
            decode_frame(words(0xFFFFFFFF, 0))

    def test_split_frame_gives_the_first_and_its_end(self) -> None:
        assert split_frame(GOLDEN + b"next") == (Frame(b'{"a": 1}', b'{"b": 2}'), 24)
        assert split_frame(GOLDEN[:-1]) is None
        with pytest.raises(InvalidLength):
            split_frame(words(7, 0))


# Every way a length can be wrong: (wire, limits, error, offset, the byte at which it must be out).
WRONG_LENGTHS = [
    pytest.param(b"\0\0\0\0", {}, InvalidLength, 0, 4, id="T=0"),
    pytest.param(b"\7\0\0\0", {}, InvalidLength, 0, 4, id="T=7"),
    pytest.param(b"\xff\xff\xff\xff", {}, FrameTooLarge, 0, 4, id="T=0xffffffff"),
    pytest.param(words(16 * MiB + 1, 0), {}, FrameTooLarge, 0, 4, id="T one above the limit"),
    pytest.param(words(65, 0), {"frame": 64}, FrameTooLarge, 0, 4, id="T above a small limit"),
    pytest.param(words(8, 1), {}, InvalidLength, 4, 8, id="H=1 in T=8"),
    pytest.param(words(20, 13), {}, InvalidLength, 4, 8, id="H one beyond T"),
    pytest.param(words(20, 0xFFFFFFFF), {}, InvalidLength, 4, 8, id="H=0xffffffff"),
    pytest.param(words(100000, 64 * 1024 + 1), {}, HeaderTooLarge, 4, 8, id="H one above the limit"),
    pytest.param(words(40, 9), {"header": 8}, HeaderTooLarge, 4, 8, id="H above a small limit"),
    pytest.param(words(200, 193), {"frame": 100, "header": 8}, FrameTooLarge, 0, 4, id="T is judged before H"),
    pytest.param(words(20, 13), {"header": 8}, InvalidLength, 4, 8, id="H against T before H against its limit"),
]


class TestWrongLengths:
    @pytest.mark.parametrize(("wire", "limits", "error", "offset", "by"), WRONG_LENGTHS)
    @pytest.mark.parametrize("good", [0, 1, 3])
    def test_are_refused_as_soon_as_their_bytes_are_there(
        self, wire: bytes, limits: dict[str, int], error: type[FrameError], offset: int, by: int, good: int
    ) -> None:
        before = encode_frame({}, b"fine") * good
        stream = before + wire
        decoder = FrameDecoder(Limits(**limits))
        frames = 0
        for at in range(len(stream)):
            if at + 1 == len(before) + by:
                with pytest.raises(error) as caught:
                    list(decoder.feed(stream[at : at + 1]))
                assert (caught.value.index, caught.value.offset) == (good, len(before) + offset)
                break
            frames += len(list(decoder.feed(stream[at : at + 1])))
        assert frames == good

    @pytest.mark.parametrize(("wire", "limits", "error", "offset", "by"), WRONG_LENGTHS)
    def test_good_frames_before_them_are_delivered_first(
        self, wire: bytes, limits: dict[str, int], error: type[FrameError], offset: int, by: int
    ) -> None:
        frames, caught = decode([encode_frame({}, b"1") + encode_frame({}, b"2") + wire + b"more"], **limits)
        assert [payload for _, payload, _, _ in frames] == [b"1", b"2"]
        assert type(caught) is error

    def test_limits_themselves_are_allowed(self) -> None:
        wire = words(64, 50) + b"{" + b" " * 48 + b"}" + bytes(6)
        frames, error = decode([wire], frame=64, header=50)
        assert (len(frames), error) == (1, None)

    @pytest.mark.parametrize(
        ("wire", "cause"),
        [
            (b"<htm", "starts with b'<htm', an error page"),
            (b"HTTP", "HTTP response"),
            (b"RIFF", "WAV file"),
            (b'{"de', "JSON without frames"),
            (b"[1,2", "JSON without frames"),
            (b"data", "server-sent events"),
            (b"even", "server-sent events"),
            (b"Inte", "text instead of frames"),
            (b"\0\0\0\x18", "the other byte order"),
        ],
    )
    def test_the_message_names_the_likely_cause(self, wire: bytes, cause: str) -> None:
        with pytest.raises(FrameError, match=cause):
            list(FrameDecoder().feed(wire))

    def test_a_cause_is_guessed_from_the_beginning_only_at_the_beginning(self) -> None:
        with pytest.raises(FrameError, match="the frame before it"):
            list(FrameDecoder().feed(GOLDEN + b"<htm"))
        with pytest.raises(FrameError, match=r"above the limit of 16777216 bytes \(frame 0"):
            list(FrameDecoder().feed(b"\xff\xff\xff\xff"))

    def test_gzip_says_so_when_it_ends(self) -> None:
        decoder = FrameDecoder()
        assert list(decoder.feed(b"\x1f\x8b\x08\x00" + bytes(16))) == []
        with pytest.raises(TruncatedFrame, match="gzip"):
            decoder.finish()


class TestADeadDecoder:
    def test_raises_the_same_error_again_whatever_it_is_asked(self) -> None:
        decoder = FrameDecoder()
        with pytest.raises(InvalidLength) as first:
            list(decoder.feed(bytes(4)))
        for ask in (lambda: decoder.feed(GOLDEN), decoder.next_frame, decoder.finish):
            with pytest.raises(InvalidLength) as again:
                ask()
            assert again.value is first.value

    def test_raises_it_from_an_iterator_that_was_under_way_too(self) -> None:
        decoder = FrameDecoder()
        one, other = decoder.feed(GOLDEN * 3 + bytes(8)), decoder.feed(b"")
        next(one)
        next(other)
        with pytest.raises(InvalidLength) as first:
            list(one)
        with pytest.raises(InvalidLength) as again:
            list(other)
        assert again.value is first.value

    def test_holds_nothing(self) -> None:
        decoder = FrameDecoder()
        with pytest.raises(InvalidLength):
            list(decoder.feed(GOLDEN + bytes(1000)))
        assert (decoder.position, decoder.offset, decoder.buffered) == (1, 24, 0)


class TestFinish:
    @pytest.mark.parametrize("size", range(1, 24))
    def test_inside_a_frame_is_a_truncated_frame_at_every_byte(self, size: int) -> None:
        decoder = FrameDecoder()
        assert list(decoder.feed(GOLDEN + GOLDEN[:size])) == [decode_frame(GOLDEN)]
        with pytest.raises(TruncatedFrame, match=f"after {size} ") as caught:
            decoder.finish()
        assert (caught.value.index, caught.value.offset) == (1, 24)

    def test_between_frames_or_before_any_is_fine(self) -> None:
        decoder = FrameDecoder()
        decoder.finish()
        decoder.finish()
        assert decode([GOLDEN])[1] is None

    def test_is_noticed_although_nobody_iterated(self) -> None:
        decoder = FrameDecoder()
        decoder.feed(b"\x18\0")
        with pytest.raises(TruncatedFrame):
            decoder.finish()

    def test_leaves_whole_frames_to_be_read_and_raises_after_them(self) -> None:
        decoder = FrameDecoder()
        unread = decoder.feed(GOLDEN + GOLDEN + GOLDEN[:5])
        decoder.finish()
        decoder.finish()
        assert (decoder.position, decoder.offset, decoder.buffered) == (0, 0, 53)
        assert decoder.next_frame() == decode_frame(GOLDEN)
        assert (decoder.position, decoder.offset, decoder.buffered) == (1, 24, 29)
        assert next(unread).index == 1
        with pytest.raises(TruncatedFrame):
            decoder.next_frame()

    def test_ends_feeding(self) -> None:
        decoder = FrameDecoder()
        decoder.finish()
        with pytest.raises(RuntimeError, match="after finish"):
            decoder.feed(b"")


class TestFeed:
    def test_takes_the_chunk_at_once_and_yields_lazily(self) -> None:
        decoder = FrameDecoder()
        chunk = bytearray(GOLDEN * 3)
        frames = decoder.feed(chunk)
        chunk[:] = bytes(len(chunk))  # the caller reuses its buffer
        assert decoder.position == 0
        assert next(frames) == decode_frame(GOLDEN)
        assert decoder.position == 1
        assert decoder.buffered == 48

    def test_what_an_iterator_was_not_asked_for_comes_with_the_next(self) -> None:
        decoder = FrameDecoder()
        next(decoder.feed(GOLDEN * 2 + GOLDEN[:10]))
        decoder.feed(GOLDEN[10:])
        decoder.feed(GOLDEN)
        assert decoder.buffered == 24 * 3
        assert [frame.index for frame in decoder.feed(b"")] == [1, 2, 3]

    def test_two_iterators_share_one_stream(self) -> None:
        decoder = FrameDecoder()
        first = decoder.feed(GOLDEN * 2)
        second = decoder.feed(GOLDEN * 2)
        assert [next(first).index, next(second).index, next(first).index, next(second).index] == [0, 1, 2, 3]
        assert next(first, None) is None

    def test_feeding_between_two_steps_of_an_iterator_is_safe(self) -> None:
        decoder = FrameDecoder()
        total = 0
        for frame in decoder.feed(GOLDEN * 2):
            assert frame.index == total
            total += 1
            if total < 10:
                decoder.feed(GOLDEN[:13])
                decoder.feed(GOLDEN[13:])
        assert total == 20 - 9
        assert decoder.buffered == 0

    def test_reading_elsewhere_between_two_steps_of_an_iterator_is_safe(self) -> None:
        decoder = FrameDecoder()
        frames = decoder.feed(GOLDEN * 2)
        next(frames)
        assert len(list(decoder.feed(GOLDEN + GOLDEN[:13]))) == 2
        assert next(frames, None) is None
        assert [frame.index for frame in decoder.feed(GOLDEN[13:])] == [3]

    def test_next_frame_is_the_primitive(self) -> None:
        decoder = FrameDecoder()
        assert decoder.next_frame() is None
        decoder.feed(GOLDEN + GOLDEN[:9])
        assert decoder.next_frame() == decode_frame(GOLDEN)
        assert decoder.next_frame() is None
        assert decoder.buffered == 9

    @pytest.mark.parametrize("wrong", ["text", 5, None, [1, 2]])
    def test_refuses_what_is_not_bytes_and_stays_alive(self, wrong: Any) -> None:
        decoder = FrameDecoder()
        with pytest.raises(TypeError):
            decoder.feed(wrong)
        assert len(list(decoder.feed(GOLDEN))) == 1

    def test_takes_any_bytes_like(self, tmp_path: Path) -> None:
        path = tmp_path / "frames"
        path.write_bytes(GOLDEN * 2)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            for chunk in (mapped, numpy.frombuffer(GOLDEN * 2, "<i4"), memoryview((GOLDEN * 2)[::-1])[::-1]):
                assert len(list(FrameDecoder().feed(chunk))) == 2


def chunked(data: bytes, sizes: Iterator[int]) -> list[bytes]:
    chunks = []
    at = 0
    while at < len(data):
        size = next(sizes)
        chunks.append(data[at : at + size])
        at += size
    return chunks


class TestUnread:
    """What was fed and not asked for waits its turn."""

    def test_a_chunk_after_one_that_completed_a_large_frame_comes_after_it(self) -> None:
        first, second = encode_frame({}, b"a" * 20_000), encode_frame({}, b"b" * 2000)
        wire = first + second
        decoder = FrameDecoder()
        assert list(decoder.feed(wire[:10_000])) == []
        decoder.feed(wire[10_000 : len(first)])
        decoder.feed(wire[len(first) :])
        assert [bytes(frame) for frame in iter(decoder.next_frame, None)] == [first, second]

    def test_the_same_chunk_again_is_another_place(self) -> None:
        """Iterators side by side on one bytes object, fed again."""
        chunk = encode_frame({}, b"x" * 10) * 2
        decoder = FrameDecoder()
        first = decoder.feed(chunk)
        next(first)
        decoder.next_frame()
        decoder.next_frame()
        second = decoder.feed(chunk)
        assert next(second).offset == len(chunk)
        frame = next(first)
        assert (frame.index, frame.offset) == (3, len(chunk) * 3 // 2)
        assert list(first) == list(second) == []
        assert decoder.offset == 2 * len(chunk)


class TestChunking:
    """Whatever the cuts: the same frames, and the same error at the same place."""

    @given(st.data())
    def test_changes_nothing(self, data: st.DataObject) -> None:
        good = b"".join(
            encode_frame({"n": n}, bytes(size)) for n, size in enumerate(data.draw(st.lists(st.integers(0, 2000))))
        )
        damage = data.draw(st.sampled_from([b"", bytes(4), b"<html>", words(50, 60), words(9, 0), b"\x20"]))
        wire = good + damage
        whole = decode([wire])
        cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
        pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
        frames, error = decode(pieces)
        assert frames == whole[0]
        assert repr(error) == repr(whole[1])

    def test_of_a_long_stream_by_seeded_chance(self) -> None:
        chance = random.Random(1)
        wire = b"".join(encode_frame({"n": n}, chance.randbytes(chance.choice([0, 1, 700, 70000]))) for n in range(60))
        whole, error = decode([wire])
        assert error is None
        for _ in range(40):
            sizes = iter(lambda: chance.choice([0, 1, 7, 8, 511, 512, 1460, 65536, 300000]), None)
            assert decode(chunked(wire, sizes)) == (whole, None)

    def test_of_one_frame_larger_than_its_chunks_in_every_small_size(self) -> None:
        wire = encode_frame({"a": 1}, bytes(range(256)) * 10)
        for size in [*range(1, 40), 511, 512, 513, len(wire) - 1, len(wire)]:
            frames, error = decode(chunked(wire * 2, iter(lambda size=size: size, None)))
            assert (len(frames), error) == (2, None)
            assert frames[1][1] == bytes(range(256)) * 10


class TestMemory:
    """What is held is what has arrived, and not much more."""

    @staticmethod
    def peak_of(chunks: Iterator[bytes], **limits: int) -> int:
        decoder = FrameDecoder(Limits(**limits))
        gc.collect()
        tracemalloc.start()
        try:
            for chunk in chunks:
                for frame in decoder.feed(chunk):
                    del frame  # or the reader would hold one more
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_nothing_is_allocated_on_a_claim(self) -> None:
        claims = iter([words(16 * MiB, 10) + b'{"a": 123}', b"x" * 100])
        assert self.peak_of(claims) < 64 * 1024

    def test_a_frame_that_drips_in_is_held_once_and_joined_once(self) -> None:
        size = MiB // 4
        wire = encode_frame({}, bytes(size))
        assert self.peak_of(wire[at : at + 1] for at in range(len(wire))) < 2 * size + 300 * 1024

    def test_a_long_stream_is_flat(self) -> None:
        frame = encode_frame({}, bytes(100_000))
        chunks = (frame[at : at + 1460] for _ in range(100) for at in range(0, len(frame), 1460))
        assert self.peak_of(chunks) < 3 * len(frame)


def test_a_decoder_with_its_iterator_is_freed() -> None:
    """No reference cycle that only the collector would break, and none that it could not."""
    decoder = FrameDecoder()
    frames = decoder.feed(GOLDEN * 3)
    next(frames)
    del decoder
    assert len(list(frames)) == 2
