"""Reads of sockets that take too long are ended, and no others."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from deadlines import DEADLINE, wait_until

from objectstreaming import watchdog
from objectstreaming.watchdog import ReadLimit, WatchedReads


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.settimeout(DEADLINE)
    with near, far:
        yield near, far


Pair = tuple[socket.socket, socket.socket]


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(watchdog.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_read_that_takes_too_long_returns_nothing(pair: Pair) -> None:
    with WatchedReads(pair[0], lambda: False, 0.02) as reads:
        reads.begin()
        assert pair[0].recv(10) == b""
        reads.end()
    assert reads.overdue


def test_reads_of_other_sockets_go_on(pair: Pair) -> None:
    near, far = socket.socketpair()
    with (
        near,
        far,
        WatchedReads(near, lambda: False, DEADLINE) as other,
        WatchedReads(pair[0], lambda: False, 0) as reads,
    ):
        other.begin()
        reads.begin()
        assert pair[0].recv(10) == b""
        far.send(b"x")
        assert near.recv(10) == b"x"
        assert not other.overdue


def test_a_limit_that_gets_shorter_counts_for_the_next_read(pair: Pair) -> None:
    with WatchedReads(pair[0], lambda: False, DEADLINE) as reads:
        reads.begin()
        reads.end()
        reads.seconds = 0.02
        reads.begin()
        assert pair[0].recv(10) == b""
        assert reads.overdue


def test_nothing_is_ended_outside_the_block(pair: Pair) -> None:
    with WatchedReads(pair[0], lambda: False, 0.02) as reads:
        reads.begin()
    with socket.socket() as sock, WatchedReads(sock, lambda: False, 0.02) as later:
        later.begin()
        wait_until(lambda: later.overdue)  # its deadline was later
    assert not reads.overdue
    pair[1].send(b"x")
    assert pair[0].recv(10) == b"x"


def test_a_reader_that_is_late_gets_what_has_arrived(pair: Pair) -> None:
    asked: list[bool] = []

    def is_readable() -> bool:
        asked.append(True)
        return True

    with WatchedReads(pair[0], is_readable, 0) as reads:
        reads.begin()
        wait_until(lambda: len(asked) >= 2)
        pair[1].send(b"x")
        assert pair[0].recv(10) == b"x"
        reads.end()
        assert not reads.overdue


def test_each_read_has_the_limit_anew(clock: Clock, pair: Pair) -> None:
    reads = WatchedReads(pair[0], lambda: False, 10)
    for start in (0, 9, 18):
        clock.now = start
        reads.begin()
        assert reads.check(start + 9) == start + 10
        reads.end()
        assert reads.check(start + 99) == math.inf
    reads.begin()
    assert reads.check(28) == math.inf
    assert reads.overdue


def test_all_reads_together_may_have_a_limit_too(clock: Clock, pair: Pair) -> None:
    reads = WatchedReads(pair[0], lambda: False, 10)
    reads.end_within(15)
    clock.now = 9
    reads.end_within(15)  # changes nothing
    reads.begin()
    assert reads.check(14) == 15
    assert reads.check(15) == math.inf
    assert reads.overdue


def test_what_is_left_of_a_limit(clock: Clock) -> None:
    assert ReadLimit(None).left() is None
    limit = ReadLimit(10)
    assert limit.left() == 10
    limit.end_within(15)
    clock.now = 9
    assert limit.left() == 6
    clock.now = 16
    assert limit.left() == 0


def test_a_socket_that_is_closed_already_is_left_alone() -> None:
    closed = socket.socket()
    closed.close()
    with WatchedReads(closed, lambda: False, 0) as reads:
        reads.begin()
        wait_until(lambda: reads.overdue)


def test_one_thread_watches_all() -> None:
    def watchdogs() -> int:
        return sum(thread.name == "objectstreaming watchdog" for thread in threading.enumerate())

    for _ in range(3):
        with socket.socket() as sock, WatchedReads(sock, lambda: False, DEADLINE) as reads:
            reads.begin()
            reads.end()
    assert watchdogs() == 1


FORKS = """
import os, socket, sys
from objectstreaming.watchdog import WatchedReads

def read():
    near, far = socket.socketpair()
    near.settimeout(60)
    with WatchedReads(near, lambda: False, 0.02) as reads:
        reads.begin()
        near.recv(1)
    return reads.overdue

assert read()
child = os.fork()
if not child:
    os._exit(0 if read() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_process_has_a_thread_of_its_own() -> None:
    subprocess.run([sys.executable, "-c", FORKS], check=True, timeout=DEADLINE)
