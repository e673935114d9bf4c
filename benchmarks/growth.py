"""Cost as work grows: CPU time and memory against the size of a frame and the length of a stream.

Each point is a process of its own, `python -m benchmarks.growth '<json>'`. Its memory is the most that was resident
while it decoded (Linux's VmHWM), less what was resident before. Chunks of 64 KiB are made as they are read, as a
socket's are, and every message is dropped before the next is asked for.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from .rounds import environment
from .workloads import KiB, MiB

CHUNK = 64 * KiB


class Point(NamedTuple):
    at: int
    """Bytes of a payload, or messages of a stream."""
    seconds: float
    messages: int
    memory: int | None
    """Bytes beyond what the process had."""


class Series(NamedTuple):
    name: str
    contender: str
    pure: bool
    largest: int


class Table(NamedTuple):
    kind: str
    title: str
    ats: tuple[int, ...]
    series: tuple[Series, ...]
    quick_largest: int


MILLION = 1_000_000

TABLES = (
    Table(
        "payload",
        "One frame, by the size of its payload; the time is a frame's",
        (1, 16, 256, 4 * KiB, 64 * KiB, MiB, 16 * MiB, 64 * MiB),
        (
            Series("ours, native", "ours, frames", False, 64 * MiB),
            Series("ours, pure", "ours, frames", True, 64 * MiB),
            Series("msgpack.Unpacker", "msgpack.Unpacker", False, 64 * MiB),
            Series("original", "original", True, 16 * MiB),  # its time is quadratic
        ),
        16 * MiB,
    ),
    Table(
        "messages",
        "A stream of T, by its length; the time is the whole stream's",
        (1_000, 10_000, 100_000, MILLION, 10 * MILLION),
        (
            Series("ours, native, frames", "ours, frames", False, 10 * MILLION),
            Series("ours, native, typed", "ours", False, 10 * MILLION),
            Series("ours, pure, frames", "ours, frames", True, MILLION),
            Series("ours, pure, typed", "ours", True, MILLION),
            Series("msgpack.Unpacker", "msgpack.Unpacker", False, 10 * MILLION),
            Series("original", "original", True, MILLION),
        ),
        10_000,
    ),
    Table(
        "messages in one buffer",
        "Frames of T that arrive as one chunk, as when a file is read whole",
        (1_000, 2_000, 4_000, 8_000, 16_000),
        (
            Series("ours, native, typed", "ours", False, 16_000),
            Series("ours, pure, typed", "ours", True, 16_000),
            Series("original", "original", True, 16_000),
        ),
        4_000,
    ),
)

Growth = dict[str, dict[str, list[Point]]]
"""kind -> series -> points"""


def run(quick: bool) -> Growth:
    found: Growth = {}
    for table in TABLES:
        for series in table.series:
            for at in table.ats:
                if at <= min(series.largest, table.quick_largest if quick else at):
                    point = measure(table.kind, series, at)
                    if point is not None:
                        found.setdefault(table.kind, {}).setdefault(series.name, []).append(point)
    return found


def measure(kind: str, series: Series, at: int) -> Point | None:
    """None where the contender is not there."""
    command = [sys.executable, "-m", "benchmarks.growth", json.dumps([kind, series.contender, at, series.pure])]
    done = subprocess.run(command, env=environment(series.pure), stdout=subprocess.PIPE, check=False, text=True)
    return Point(*json.loads(done.stdout)) if done.returncode == 0 and done.stdout.strip() else None


# --- in the process


def resident(name: str) -> int | None:
    with suppress(OSError, StopIteration), open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith(name)).split()[1]) * KiB
    return None


def chunks(wire: bytes, times: int, size: int) -> Iterator[bytes]:
    """Of so many times the wire, made as they are read."""
    view = memoryview(wire)
    for _ in range(times):
        for at in range(0, len(wire), size):
            yield bytes(view[at : at + size])


def main(kind: str, name: str, at: int, pure: bool) -> None:
    from objectstreaming.frames import CODEC

    from . import contenders, peers, workloads

    if name.startswith("ours") and ("pure" if pure else "native") != CODEC:
        return
    kinds = {one.name: one for one in (*contenders.OURS, *peers.installed()[0])}
    contender = kinds[name]("A" if kind == "payload" else "T")

    def read(wire: bytes, times: int, size: int) -> int:
        count = 0
        for message in contender.read(chunks(wire, times, size)):
            del message  # or it would be held while the next is made
            count += 1
        return count

    def wire_of(messages: list[workloads.Message]) -> bytes:
        return b"".join(contender.pieces([contender.typed(message) for message in messages]))

    if kind == "payload":
        count = max(2 if at >= MiB else 4, min(10_000, 32 * MiB // (at + 200)))
        together = min(count, max(1, CHUNK // (at + 200)))
        wire, times, size = wire_of(workloads.audio(1, at)) * together, count // together, CHUNK
    elif kind == "messages":
        together = 1_000
        wire, times, size = wire_of(workloads.objects(together)), at // together, CHUNK
    else:
        together = at
        wire, times, size = wire_of(workloads.objects(at)), 1, sys.maxsize
    read(wire_of(workloads.MAKERS[contender.workload](1)), 1, CHUNK)  # for what is made on first use
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what making the wire has freed must not hide what decoding takes
    with suppress(OSError), open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")  # VmHWM starts again from here
    before = resident("VmRSS")
    start = time.thread_time()
    got = read(wire, times, size)
    seconds = time.thread_time() - start
    most = resident("VmHWM")
    assert got == together * times, f"{got} of {together * times} messages"
    print(json.dumps([at, seconds, got, None if before is None or most is None else max(0, most - before)]))


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
