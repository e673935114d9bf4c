"""Each promise of the design, with the ratio that was measured in this run, and whether it is kept."""

from __future__ import annotations

from typing import NamedTuple

from .end_to_end import EndToEnd
from .growth import CHUNK, Growth, MiB
from .rounds import Codecs, Value

MSGSPEC = "msgspec MessagePack, length prefix"
JOIN = "limit: memcpy, join"


class Judged(NamedTuple):
    promise: str
    column: str
    measured: Value | None
    sign: str
    budget: float

    @property
    def met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured.median >= self.budget if self.sign == ">=" else self.measured.median <= self.budget


# promise, case, over, the budgets pure and native
OVER_ORIGINAL = (
    ("decode to Frame, header unparsed, T, 64 KiB chunks", "decode/T/65536/ours, frames", 10, 50),
    ("decode to typed header and payload, T", "decode/T/65536/ours", 7, 15),
    ("decode to Frame, A", "decode/A/65536/ours, frames", 5, 15),
    ("decode B at 1,460-byte chunks", "decode/B/1460/ours, frames", 35, 75),
    ("one frame a chunk, typed, T", "decode/T/frame/ours", 5, 10),
    ("one frame a chunk, typed, A", "decode/A/frame/ours", 3, 5.5),
    ("encode T, typed", "encode/T/-/ours", 10, 17),
    ("encode A, typed", "encode/A/-/ours", 6, 10),
    ("`encode_frame_parts`, B", "encode/B/-/ours, parts", 8, 50),
    ("1-byte chunks, typed, T", "decode/T/1/ours", 0.5, 4),
    ("1-byte chunks, typed, A", "decode/A/1/ours", 0.5, 4),
    ("1-byte chunks, to Frame, T", "decode/T/1/ours, frames", 0.5, 4),
)


def original(case: str) -> str:
    return case.rsplit("/", 1)[0] + "/original"


def judge(codecs: Codecs, over_loopback: EndToEnd | None, growth: Growth | None) -> list[Judged]:
    judged = []
    for promise, case, pure, native in OVER_ORIGINAL:
        for column, budget in (("pure", pure), ("native", native)):
            measured = codecs.ratio(column, case, original(case), "pure" if column == "pure" else None)
            judged.append(Judged(f"{promise}: times the original", column, measured, ">=", budget))
    time_of = codecs.ratio("native", f"decode/T/65536/{MSGSPEC}", "decode/T/65536/ours")
    judged.append(Judged("decode to typed, T: part of msgspec MessagePack's time", "native", time_of, "<=", 0.72))
    copies = codecs.ratio("native", f"decode/B/1460/{JOIN}", "decode/B/1460/ours, frames")
    judged.append(Judged("decode B at 1,460-byte chunks: times a memcpy of the chunks", "native", copies, "<=", 1.8))
    for column in ("pure", "native"):
        steps = sorted(
            (key for key in codecs.times if key.startswith(f"{column}/step/B/-/a byte at a time")),
            key=lambda key: int(key.split()[-2]),
        )
        if len(steps) == 2:
            small, large = (key.removeprefix(f"{column}/") for key in steps)
            judged.append(
                Judged(
                    "1-byte chunks, linear: time a byte in a frame four times as large",
                    column,
                    codecs.ratio(column, small, large),
                    "<=",
                    1.3,
                )
            )
    if over_loopback is not None:
        for row, over, budget in (
            ("ours, async source", "StreamingResponse, a frame a yield", 4),
            ("ours, async source", "SSE, base64", 8),
            ("ours, async source", "grpc.aio", 20),
            ("ours, sync source", "StreamingResponse, sync source", 20),
        ):
            promise = f"FastAPI to httpx, A, {row.split(', ')[1]}: frames a second, times {over}"
            judged.append(Judged(promise, "installed", over_loopback.ratio(row, over, 1), ">=", budget))
    if growth is not None:
        for column in ("pure", "native"):
            parts = [
                point.memory / (2 * (point.at + 200) + CHUNK + MiB)
                for point in growth.size.get(f"ours, {column}", [])
                if point.memory is not None
            ]
            parts += [
                point.memory / (CHUNK + MiB)
                for point in growth.length.get(f"ours, {column}, frames", [])
                if point.memory is not None
            ]
            worst = Value.of([max(parts)]) if parts else None
            promise = "memory, any length: part of 2 frames + 1 chunk (and 1 MiB for the allocator), the worst"
            judged.append(Judged(promise, column, worst, "<=", 1.0))
    return judged


class Floor(NamedTuple):
    """What is left of a job when nothing stands around its parts: as quick as it can be with these parts."""

    job: str
    column: str
    parts: str
    nanoseconds: float
    ours: float
    times_original: float


# the job, its case, and its parts in each column: the empty loop is in each of them, and counted once
FLOORS = (
    (
        "decode typed, T",
        "decode/T/65536",
        {
            "pure": ("length words and two slices", "msgspec: the typed header and payload"),
            "native": ("FrameDecoder.feed", "msgspec: the typed header and payload"),
        },
    ),
    (
        "decode typed, A",
        "decode/A/65536",
        {
            "pure": ("length words and two slices", "msgspec: the typed header"),
            "native": ("FrameDecoder.feed", "msgspec: the typed header"),
        },
    ),
    *(
        (
            f"encode typed, {workload}",
            f"encode/{workload}/-",
            {
                "pure": ("msgspec: what is encoded", "both length words and one join"),
                "native": ("msgspec: what is encoded", "one join"),
            },
        )
        for workload in "TA"
    ),
)


def floors(codecs: Codecs) -> list[Floor]:
    found = []
    for job, case, columns in FLOORS:
        for column, parts in columns.items():
            step = f"step/{case.split('/')[1]}/-/"
            values = [codecs.value(column, step + part) for part in (*parts, "an empty loop")]
            ours = codecs.value(column, f"{case}/ours")
            first = codecs.value("native", f"{case}/original")
            if ours is not None and first is not None and all(values):
                *each, loop = (value.median for value in values if value is not None)
                least = sum(each) - loop * (len(each) - 1)
                found.append(Floor(job, column, " + ".join(parts), least, ours.median, first.median / least))
    return found


class Lead(NamedTuple):
    """Ours beside the best of the peers in one discipline."""

    discipline: str
    column: str
    best: str
    ahead: Value


def leads(codecs: Codecs) -> list[Lead]:
    found = []
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
                ratio = None
                if there:
                    best = min(there)[1]
                    ratio = codecs.ratio(column, f"{case}/ours", f"{case}/{best}", "native")
                if ratio is not None:
                    found.append(Lead(" ".join(case.split("/")[:2]), column, best, ratio))
    return found
