"""What a tail makes of a store that is away, or has lost the stream."""

from __future__ import annotations

from objectstreaming.store.tail import Tail

LEASE, PATIENCE = 6.0, 15.0


def tail() -> Tail:
    return Tail("id", None, lambda tail: None)


def test_a_store_that_comes_back_empty_has_lost_the_stream_from_then_on_only() -> None:
    stream = tail()
    for now in (0.0, 3.0, 6.0):
        stream.unreachable(now, PATIENCE)
    stream.lost(9.0, LEASE)
    stream.lost(15.0, LEASE)
    assert stream.failure is None
    stream.lost(15.1, LEASE)
    assert stream.failure is not None
    assert stream.failure.code == "data_loss"


def test_a_store_that_was_away_again_has_lost_the_stream_anew() -> None:
    stream = tail()
    stream.lost(0.0, LEASE)
    stream.unreachable(2.0, PATIENCE)
    stream.lost(4.0, LEASE)
    stream.lost(6.1, LEASE)
    assert stream.failure is None


def test_a_store_that_is_away_and_empty_by_turns_is_not_waited_for_for_ever() -> None:
    stream = tail()
    for now in range(0, 16, 2):
        stream.unreachable(now, PATIENCE)
        assert stream.failure is None
    stream.lost(15.5, LEASE)
    stream.unreachable(16.0, PATIENCE)
    assert stream.failure is not None
    assert stream.failure.code == "unavailable"


def test_a_store_that_answers_has_all_its_time_again() -> None:
    stream = tail()
    stream.unreachable(0.0, PATIENCE)
    stream.untroubled()
    stream.unreachable(20.0, PATIENCE)
    assert stream.failure is None
