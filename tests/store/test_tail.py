"""What a tail makes of a store that is away, or has lost the stream."""

from __future__ import annotations

from objectstreaming.store.end import LOST, UNREACHABLE
from objectstreaming.store.tail import Tail

LEASE, PATIENCE = 6.0, 15.0


def tail() -> Tail:
    return Tail("id", None, lambda tail: None)


def test_a_store_that_comes_back_empty_has_lost_the_stream_from_then_on_only() -> None:
    stream = tail()
    for now in (0.0, 3.0, 6.0):
        stream.troubled(UNREACHABLE.failure(), now, PATIENCE)
    stream.troubled(LOST.failure(), 9.0, LEASE)
    stream.troubled(LOST.failure(), 15.0, LEASE)
    assert stream.failure is None
    stream.troubled(LOST.failure(), 15.1, LEASE)
    assert stream.failure is not None
    assert stream.failure.code == "data_loss"


def test_a_store_that_is_away_and_empty_by_turns_is_not_waited_for_for_ever() -> None:
    stream = tail()
    for now in range(0, 16, 2):
        stream.troubled(UNREACHABLE.failure(), now, PATIENCE)
        assert stream.failure is None
    stream.troubled(LOST.failure(), 15.5, LEASE)
    stream.troubled(UNREACHABLE.failure(), 16.0, PATIENCE)
    assert stream.failure is not None
    assert stream.failure.code == "unavailable"


def test_a_store_that_answers_has_all_its_time_again() -> None:
    stream = tail()
    stream.troubled(UNREACHABLE.failure(), 0.0, PATIENCE)
    stream.untroubled()
    stream.troubled(UNREACHABLE.failure(), 20.0, PATIENCE)
    assert stream.failure is None
