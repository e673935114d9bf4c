"""No chunking changes a verdict: the same messages, and the same error at the same frame and byte, however a stream's
bytes are cut; and nothing but documented errors, whatever is done to them.
"""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectstreaming import FrameDecoder, JsonCoder, Limits, ObjectStreamError, RawCoder, encode_frame
from objectstreaming.frames import MiB
from objectstreaming.testing import Stream, chunkings, corruptions, read_outcome, streams
from objectstreaming.testing.outcomes import Outcome
from objectstreaming.testing.strategies import Corruption

LIMITS = Limits(frame=4096, header=256)

some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ways_to_cut(data: bytes, seed: int) -> Iterator[list[bytes]]:
    """Byte by byte, at one byte each in turn, and at random, with empty chunks among them."""
    yield [data[at : at + 1] for at in range(len(data))]
    chance = random.Random(seed)
    for at in range(len(data) + 1) if len(data) <= 200 else chance.sample(range(len(data)), 100):
        yield [data[:at], data[at:]]
    for _ in range(10):
        cuts = sorted(chance.choices(range(len(data) + 1), k=chance.randrange(2, 9)))
        yield [b"", *(data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True))]


def damaged(stream: Stream) -> st.SearchStrategy[tuple[Stream, Corruption]]:
    return st.tuples(st.just(stream), corruptions(stream.wire))


class TestEveryChunkingOf:
    @some
    @given(streams(), st.integers(0, 2**32))
    def test_a_whole_stream_gives_what_was_sent(self, stream: Stream, seed: int) -> None:
        for chunks in ways_to_cut(stream.wire, seed):
            assert read_outcome(chunks, stream.coder) == stream.outcome

    @some
    @given(streams().flatmap(damaged), st.integers(0, 2**32))
    def test_a_damaged_stream_gives_the_same_messages_and_the_same_error(
        self, case: tuple[Stream, Corruption], seed: int
    ) -> None:
        stream, corruption = case
        expected = read_outcome([corruption.wire], stream.coder, limits=LIMITS)
        for chunks in ways_to_cut(corruption.wire, seed):
            found = read_outcome(chunks, stream.coder, limits=LIMITS)
            assert found == expected
            assert str(found.error) == str(expected.error)

    @some
    @given(st.binary(max_size=64), st.integers(0, 2**32))
    def test_any_bytes_gives_the_same_verdict(self, data: bytes, seed: int) -> None:
        expected = read_outcome([data], JsonCoder(), limits=LIMITS)
        for chunks in ways_to_cut(data, seed):
            assert read_outcome(chunks, JsonCoder(), limits=LIMITS) == expected

    @some
    @given(st.data())
    def test_a_stream_as_the_strategy_cuts_it_gives_what_was_sent(self, data: st.DataObject) -> None:
        stream = data.draw(streams())
        assert read_outcome(data.draw(chunkings(stream.wire)), stream.coder) == stream.outcome

    @some
    @given(streams(), st.integers(0, 2**32))
    def test_a_streams_every_prefix_has_one_verdict(self, stream: Stream, seed: int) -> None:
        """And of version 1, success is never among them: but for the whole."""
        at = random.Random(seed).randrange(len(stream.wire) + 1)
        prefix = stream.wire[:at]
        expected = read_outcome([prefix], stream.coder, require_end=stream.v is not None)
        if stream.v is not None and at < len(stream.wire):
            assert expected.error is not None
        for chunks in ways_to_cut(prefix, seed):
            assert read_outcome(chunks, stream.coder, require_end=stream.v is not None) == expected


class TestAFrameDecoder:
    @some
    @given(st.data())
    def test_holds_what_was_fed_and_not_delivered_and_no_more(self, data: st.DataObject) -> None:
        stream = data.draw(streams())
        decoder = FrameDecoder()
        fed = 0
        for chunk in data.draw(chunkings(stream.wire)):
            frames = decoder.feed(chunk)
            fed += len(chunk)
            assert decoder.offset + decoder.buffered == fed
            for _ in frames:
                assert decoder.offset + decoder.buffered == fed
            assert decoder.offset == max(start for start in stream.boundaries if start <= fed)

    @some
    @given(streams(v=1).flatmap(damaged))
    def test_that_failed_says_the_same_again_and_holds_nothing(self, case: tuple[Stream, Corruption]) -> None:
        decoder, failure = FrameDecoder(LIMITS), None
        try:
            for _ in decoder.feed(case[1].wire):
                pass
        except ObjectStreamError as error:
            failure = error
        if failure is not None:
            with pytest.raises(type(failure)) as again:
                decoder.feed(b"more")
            assert str(again.value) == str(failure)
            assert decoder.buffered <= 8 + LIMITS.header


class TestMemory:
    """Bounded by what one frame and one chunk take, whatever the stream says or does."""

    def peak(self, chunks: Iterator[bytes], coder: Any, limits: Limits | None = None) -> tuple[Outcome, int]:
        tracemalloc.start()
        try:
            outcome = read_outcome(chunks, coder, limits=limits)
            return outcome, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("size", [1460, 65536, MiB])
    def test_over_a_long_stream_is_a_few_frames(self, size: int) -> None:
        frame = RawCoder().encode({}, bytes(MiB))

        def chunks() -> Iterator[bytes]:
            for _ in range(20):
                for at in range(0, len(frame), size):
                    yield frame[at : at + size]

        outcome, peak = self.peak(chunks(), _Sizes())
        assert outcome.error is None
        assert outcome.messages == [({}, MiB)] * 20
        assert peak < 2.5 * len(frame) + 2 * size

    def test_over_a_frame_in_single_bytes_is_a_few_frames(self) -> None:
        frame = RawCoder().encode({}, bytes(200_000))
        outcome, peak = self.peak((frame[at : at + 1] for at in range(len(frame))), _Sizes())
        assert outcome.messages == [({}, 200_000)]
        assert peak < 2.5 * len(frame) + 65536

    @pytest.mark.parametrize("claim", [0, 7, 16 * MiB, 16 * MiB + 1, 0x7FFFFFFF, 0xFFFFFFFF])
    def test_is_never_spent_on_a_claim(self, claim: int) -> None:
        outcome, peak = self.peak(iter([claim.to_bytes(4, "little"), b"\x02\0\0\0", b"{}", b"x"]), RawCoder())
        assert outcome.error is not None
        assert peak < 100_000

    def test_of_a_header_is_bounded_by_its_limit(self) -> None:
        wire = encode_frame({"a": "x" * 60_000})
        outcome, _ = self.peak(iter([wire]), RawCoder(), Limits(header=50_000))
        assert outcome.verdict == ("HeaderTooLarge", "header_too_large", 0, 4)


class _Sizes(RawCoder):
    """Keeps sizes instead of payloads, so that what is measured is the reader."""

    def decode(self, frame: Any) -> Any:
        header, payload = super().decode(frame)
        return header, len(payload)
