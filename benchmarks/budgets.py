"""Each promise of the design, what was measured in this run, and whether it is kept.

A row whose two sides both have instructions is judged by them, because times differ by 20 to 40 % from run to run.
Such a row can have a second budget, for instructions. It is the same promise: the design's figure, times the ratio in
instructions over the ratio in time, both measured at one commit on a quiet machine, and rounded. It stands only where
that is lower than the design's figure; `results.md` says why the two ratios differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .growth import CHUNK, Growth
from .loopback import Loopback
from .rounds import Codecs, Value
from .steps import LINEAR
from .workloads import MiB


class Budget(NamedTuple):
    """How many times as fast as the other, at least; or which part of what the other takes, at most."""

    time: float
    instructions: float | None = None
    """None: as `time`."""


class Row(NamedTuple):
    promise: str
    at: str
    """Operation, workload and chunking."""
    ours: str
    over: str
    native: Budget
    pure: Budget | None = None
    at_most: bool = False


class Judged(NamedTuple):
    promise: str
    over: str
    column: str
    time: Value | None
    instructions: float | None
    budget: Budget
    at_most: bool = False

    @property
    def label(self) -> str:
        return f"{self.promise}: times the {'cost' if self.at_most else 'speed'} of {self.over.removeprefix('limit: ')}"

    @property
    def limit(self) -> float:
        """The budget that counts."""
        if self.instructions is None or self.budget.instructions is None:
            return self.budget.time
        return self.budget.instructions

    @property
    def met(self) -> bool | None:
        """None where nothing was measured."""
        measured = self.instructions if self.instructions is not None else self.time and self.time.median
        if measured is None:
            return None
        return measured <= self.limit if self.at_most else measured >= self.limit


FRAMES, TYPED, ORIGINAL = "ours, frames", "ours", "original"
ANB, TAL, CALLS = "AnbJsonStreamCoder", "tal_encoder, tal_decoder", "original, one call"
MSGPACK = "msgspec MessagePack, length prefix"
MEMCPY = "limit: memcpy, join"
MEMORY = "two frames, a chunk and 1 MiB"
LARGE, SMALL = f"a byte of {LINEAR[1]} KiB", f"a byte of {LINEAR[0]} KiB"

CODEC = (
    Row("`AnbJsonStreamCoder.encode`, small objects", "encode/T/-", ANB, ORIGINAL, Budget(8), Budget(1.2)),
    Row("`AnbJsonStreamCoder.decode`, small objects", "decode/T/frame", ANB, CALLS, Budget(6), Budget(1.2)),
    Row("`tal_encoder`, 960 bytes of PCM", "encode/A/-", TAL, ORIGINAL, Budget(8), Budget(1.2)),
    Row("`tal_decoder`, 960 bytes of PCM", "decode/A/frame", TAL, CALLS, Budget(6), Budget(1.2)),
    Row("small objects to frames", "decode/T/65536", FRAMES, ORIGINAL, Budget(80, 50), Budget(8, 6)),
    Row("small objects to typed messages", "decode/T/65536", TYPED, ORIGINAL, Budget(12, 8), Budget(3, 2.6)),
    Row("small objects to typed messages", "decode/T/65536", TYPED, MSGPACK, Budget(0.6, 0.7), at_most=True),
    Row("960 bytes of PCM to frames", "decode/A/65536", FRAMES, ORIGINAL, Budget(30), Budget(4)),
    Row("1 MiB of PCM in 1,460-byte chunks to frames", "decode/B/1460", FRAMES, ORIGINAL, Budget(70), Budget(12)),
    Row("1 MiB of PCM in 1,460-byte chunks to frames", "decode/B/1460", FRAMES, MEMCPY, Budget(1.6), at_most=True),
    Row("small objects, typed, a frame a chunk", "decode/T/frame", TYPED, ORIGINAL, Budget(10, 7.8), Budget(2)),
    Row("960 bytes of PCM, typed, a frame a chunk", "decode/A/frame", TYPED, ORIGINAL, Budget(10, 9), Budget(2, 1.7)),
    Row("encode small objects, typed", "encode/T/-", TYPED, ORIGINAL, Budget(15, 14), Budget(5, 4.6)),
    Row("encode 960 bytes of PCM, typed", "encode/A/-", TYPED, ORIGINAL, Budget(15, 13), Budget(4, 3.5)),
    Row("small objects to frames, 1-byte chunks", "decode/T/1", FRAMES, ORIGINAL, Budget(10), Budget(1)),
    Row("small objects, typed, 1-byte chunks", "decode/T/1", TYPED, ORIGINAL, Budget(10), Budget(1)),
    Row("960 bytes of PCM, typed, 1-byte chunks", "decode/A/1", TYPED, ORIGINAL, Budget(10), Budget(1, 0.8)),
    Row(f"{LARGE}, 1-byte chunks", "linear/B/1", LARGE, SMALL, Budget(1.3), Budget(1.3), at_most=True),
)

# FastAPI to httpx, frames a second: the row, over, at least so many times
LOOPBACK = (
    ("ours, async source", "StreamingResponse, a frame a yield", 5),
    ("ours, async source", "SSE, base64", 9),
    ("ours, async source", "grpc.aio", 30),
    ("ours, sync source", "StreamingResponse, sync source", 25),
)


def judge(codecs: Codecs, loopback: Loopback | None, growth: Growth | None) -> list[Judged]:
    judged = [*_codec(codecs)]
    if loopback is not None:
        for row, over, least in LOOPBACK:
            promise = f"FastAPI to httpx, {row.removeprefix('ours, ')}"
            judged.append(Judged(promise, over, "native", loopback.ratio(row, over, 1), None, Budget(least)))
    if growth is not None:
        judged += _memory(growth)
    return judged


def _codec(codecs: Codecs) -> Iterator[Judged]:
    for row in CODEC:
        case, over = f"{row.at}/{row.ours}", f"{row.at}/{row.over}"
        if row.at_most:
            case, over = over, case
        for column, budget in (("pure", row.pure), ("native", row.native)):
            if budget is not None:
                time, instructions = codecs.ratio(column, case, over), codecs.counted_ratio(column, case, over)
                yield Judged(row.promise, row.over, column, time, instructions, budget, row.at_most)


def _memory(growth: Growth) -> Iterator[Judged]:
    """Beyond what the process had; the 1 MiB is for the allocator. A stream leaves no frames behind."""
    for column in ("pure", "native"):
        allowed = [
            (point, 2 * (point.at + 200) + CHUNK + MiB)
            for point in growth.get("payload", {}).get(f"ours, {column}", [])
        ]
        allowed += [(point, CHUNK + MiB) for point in growth.get("messages", {}).get(f"ours, {column}, frames", [])]
        parts = [point.memory / most for point, most in allowed if point.memory is not None]
        worst = Value.of([max(parts)]) if parts else None
        yield Judged("memory, frames and streams of any length", MEMORY, column, worst, None, Budget(1), True)


class Lead(NamedTuple):
    """Ours beside the fastest of the peers in one discipline."""

    discipline: str
    column: str
    fastest: str
    time: Value
    instructions: float | None


def leads(codecs: Codecs) -> Iterator[Lead]:
    """The native codec beside all peers, the pure one beside those whose framing is Python."""
    for workload in ("T", "A", "B"):
        for case in (f"decode/{workload}/65536", f"encode/{workload}/-"):
            for column, kinds in (("native", ("peer", "pure peer")), ("pure", ("pure peer",))):
                there = [
                    (value.median, name)
                    for name, about in codecs.contenders.items()
                    if about["kind"] in kinds
                    and (about["writes"] or not case.startswith("encode"))
                    and (value := codecs.value("native", f"{case}/{name}")) is not None
                ]
                fastest = min(there)[1] if there else ""
                both = f"{case}/ours", f"{case}/{fastest}", "native"
                time = codecs.ratio(column, *both)
                if time is not None:
                    discipline = f"{case.split('/')[0]} {workload}"
                    yield Lead(discipline, column, fastest, time, codecs.counted_ratio(column, *both))
