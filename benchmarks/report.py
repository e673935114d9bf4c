"""results.md: the machine, the budgets, and the figures that they come from; and README's table, made of the same."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from . import budgets, flow
from .budgets import Judged, judge, leads
from .growth import TABLES, Growth, Point
from .loopback import STREAMS, Loopback
from .rounds import Codecs, Value
from .workloads import CHUNKINGS, TITLES, KiB, MiB

LIBRARIES = (
    *("msgspec", "msgpack", "numpy", "protobuf", "cbor2", "websockets", "wsproto", "picows", "h11", "wyoming"),
    *("httpx-sse", "pyarrow", "grpcio", "uvicorn", "fastapi", "starlette", "httpx", "httpcore"),
    *("asyncstdlib", "aiostream"),
)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [
        "| " + " | ".join(heads) + " |",
        "|" + "|".join("---" if n == 0 else "---:" for n in range(len(heads))) + "|",
    ]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


# --- figures


def number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}{unit}" if value >= 100 else f"{value:.3g}{unit}"


def spread(value: Value | None) -> str:
    return "-" if value is None else f"{number(value.median)} ± {100 * value.spread:.0f} %"


def median(value: Value | None, unit: str = "") -> str:
    return number(value and value.median, unit)


def two_digits(value: float) -> str:
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"


def size(value: float) -> str:
    for unit, name in ((MiB, "MiB"), (KiB, "KiB")):
        if value >= unit:
            return f"{value / unit:g} {name}"
    return f"{value:g} B"


def count(value: float) -> str:
    return f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:g} M"


def seconds(value: float) -> str:
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= unit * 0.9999:
            return f"{value / unit:.3g} {name}"
    return f"{value * 1e9:.3g} ns"


# --- the machine


def processor() -> str:
    with suppress(OSError, StopIteration), open("/proc/cpuinfo") as info:
        return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    return platform.processor() or platform.machine()


def command() -> str:
    return " ".join(["python -m benchmarks", *sys.argv[1:]])


def machine() -> str:
    versions = []
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    with suppress(OSError):
        done = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=False)
        versions.append(done.stdout.strip().replace("-", " "))
    return (
        f"- {processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} when the run ended\n"
        f"- {platform.system()} {platform.release().split('-')[0]}, "
        f"{platform.python_implementation()} {platform.python_version()}\n"
        f"- {', '.join(versions)}\n"
        f"- {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, `{command()}`\n"
    )


# --- tables


def budget_table(judged: Sequence[Judged]) -> str:
    words = {True: "met", False: "**not met**", None: "not measured"}
    rows = []
    for one in judged:
        sign = "≤" if one.at_most else "≥"
        counted = one.instructions is not None
        rows.append(
            (
                one.label,
                one.column,
                number(one.instructions),
                f"{sign} {one.limit:g}" if counted else "-",
                spread(one.time),
                f"{sign} {one.budget.time:g}",
                words[one.met],
            )
        )
    return table(("promise", "codec", "instructions", "budget", "time", "budget", "judged"), rows)


def lead_table(codecs: Codecs) -> str:
    return table(
        ("", "codec", "the fastest peer", "its time / ours", "its instructions / ours"),
        (
            (one.discipline, one.column, one.fastest, spread(one.time), number(one.instructions))
            for one in leads(codecs)
        ),
    )


def rows_of(codecs: Codecs, case: str) -> Iterator[tuple[str, str, str]]:
    """`(column, contender, label)`, the fastest first. Only ours has a row for the pure codec too."""
    found = []
    for key in codecs.times:
        column, rest = key.split("/", 1)
        at, _, name = rest.rpartition("/")
        kind = codecs.contenders.get(name, {}).get("kind")
        if at == case and (column == "native" or kind == "ours"):
            value = codecs.value(column, rest)
            assert value is not None
            label = f"**{name}**, {column}" if kind == "ours" else name
            found.append((value.median, column, name, label))
    for _, column, name, label in sorted(found):
        yield column, name, label


def decode_table(codecs: Codecs, workload: str) -> str:
    """Sorted by 64 KiB chunks, and the ratios and instructions are of these."""
    chunkings = [c for c in CHUNKINGS if any(f"/decode/{workload}/{c}/" in key for key in codecs.times)]
    names = {"1": "1 B", "1460": "1,460 B", "16384": "16 KiB", "65536": "64 KiB", "frame": "a message a chunk"}
    first = f"decode/{workload}/65536"
    rows = []
    for column, name, label in rows_of(codecs, first):
        values = [(chunking, codecs.value(column, f"decode/{workload}/{chunking}/{name}")) for chunking in chunkings]
        times = [spread(value) if chunking == "65536" else median(value) for chunking, value in values]
        rows.append([label, *times, *over_original(codecs, column, first, name)])
    heads = ("ns a message", *(names.get(c, c) for c in chunkings))
    return table((*heads, *RATIOS), rows)


RATIOS = ("original / it", "instructions", "original / it")


def over_original(codecs: Codecs, column: str, case: str, name: str, original: str = "original") -> tuple[str, ...]:
    mine, over = f"{case}/{name}", f"{case}/{original}"
    return (
        median(codecs.ratio(column, mine, over), "x"),
        number(codecs.counted(column, mine)),
        number(codecs.counted_ratio(column, mine, over), "x"),
    )


def plain_table(codecs: Codecs, case: str, original: str = "original", only: Sequence[str] = ()) -> str:
    """Of a case with one way of chunking."""
    rows = [
        (label, spread(codecs.value(column, f"{case}/{name}")), *over_original(codecs, column, case, name, original))
        for column, name, label in rows_of(codecs, case)
        if not only or name in only
    ]
    return table(("ns a message", "", *RATIOS), rows)


def http_table(codecs: Codecs) -> str:
    steps = [key.rsplit("/", 1)[1] for key in codecs.times if key.startswith("native/http/T/")]
    columns = [(workload, column) for workload in "TA" for column in ("native", "pure")]
    rows = []
    for step in steps:
        row = [step]
        for workload, column in columns:
            case = f"http/{workload}/65536/{step}"
            row.append(f"{median(codecs.value(column, case))} ns, {number(codecs.counted(column, case))}")
        rows.append(row)
    return table(("time and instructions a frame", *(f"{w}, {column}" for w, column in columns)), rows)


def loopback_table(found: Loopback, streams: int) -> str:
    there = sorted(key for key in found.runs if key[1] == streams)
    rows = [
        (
            f"**{key[0]}**" if key[0].startswith("ours") else key[0],
            *(spread(found.value(key, field)) for field in ("rate", "server_cpu", "client_cpu", "first")),
            count(found.runs[key][0].frames),
        )
        for key in sorted(there, key=lambda key: -found.value(key, "rate").median)
    ]
    heads = ("", "frames/s", "server, CPU s per 100k", "client, CPU s per 100k", "first frame, ms", "frames a run")
    return table(heads, rows)


def growth_table(kind: str, series: dict[str, list[Point]]) -> str:
    ats = sorted({point.at for points in series.values() for point in points})
    rows = []
    for name, points in series.items():
        by = {point.at: point for point in points}
        row = [name]
        for at in ats:
            point = by.get(at)
            if point is None:
                row.append("-")
                continue
            taken = seconds(point.seconds / (point.messages if kind == "payload" else 1))
            row.append(taken + ("" if point.memory is None else f", {point.memory / MiB:.1f} MiB"))
        rows.append(row)
    return table((kind, *map(size if kind == "payload" else count, ats)), rows)


def flow_table(codecs: Codecs) -> str:
    rows = []
    for row in dict.fromkeys(key.split("/")[2] for key in codecs.times if "/flow/" in key):
        at = f"flow/{row}/-"
        over = [
            (
                codecs.ratio("native", f"{at}/ours", f"{at}/{peer}"),
                codecs.counted_ratio("native", f"{at}/ours", f"{at}/{peer}"),
            )
            for peer in flow.PEERS
        ]
        shown = ["-" if time is None else f"{median(time)} ({number(counted)})" for time, counted in over]
        rows.append(
            (row, median(codecs.value("native", f"{at}/ours")), number(codecs.counted("native", f"{at}/ours")), *shown)
        )
    return table(("", "ours, ns an item", "ours, instructions", *flow.PEERS), rows)


def absent_list(reasons: dict[str, str]) -> str:
    private = re.compile(r"(?:/[\w.-]+){2,}")  # no paths of this machine
    return "".join(f"- {name}: {private.sub('...', reason)}\n" for name, reason in reasons.items())


# --- README's table

BEGIN = "<!-- make bench writes from here: benchmarks/results.md has the same -->"
END = "<!-- to here -->"
BLOCK = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)


def in_short(codecs: Codecs, judged: Sequence[Judged]) -> str:
    """What stands both in README and in results.md."""
    rows: dict[str, dict[str, str]] = {}
    for one in judged:
        if one.time is None or one.over in (budgets.SMALL, budgets.MEMORY):
            continue
        label = one.promise if one.over in (budgets.ORIGINAL, budgets.CALLS) else one.label
        rows.setdefault(label, {})[one.column] = two_digits(one.time.median)
    peers = "; ".join(
        f"{one.discipline} {two_digits(one.time.median)}"
        + ("" if one.instructions is None else f", by instructions {two_digits(one.instructions)}")
        + f" ({one.fastest})"
        for one in leads(codecs)
        if one.column == "native"
    )
    when = time.strftime("%Y-%m-%d", time.gmtime())
    return (
        f"{BEGIN}\n"
        f"`{command()}` on {processor()}, {os.cpu_count()} cores, CPython {platform.python_version()}, {when}:\n\n"
        + table(
            ("times as fast as the original codec", "pure Python", "with the C extensions"),
            ((label, row.get("pure", ""), row.get("native", "")) for label, row in rows.items()),
        )
        + f"\nTimes as fast as the fastest peer, native, typed messages: {peers}. T is small objects, A 960 bytes of "
        f"PCM, B 1 MiB.\n{END}"
    )


# --- the file

COUNTING = """\
Callgrind counts the instructions of one run of a case, after a run to warm up; hash seed and addresses are fixed. Two
countings of one commit, beside busy processes (load 6 on two cores), differed by less than 0.35 % in 204 of 208 cases,
in 192 by less than 0.1 %. The other four are FrameResponse, by 1 to 12 %: it groups its writes by the clock. Where
other rows are chosen, or code changes, objects get other addresses, and the interpreter's caches collide elsewhere: up
to 4 %.

Instructions and times disagree where a processor copies, or waits:

- **Copies.** A vector instruction copies 32 bytes, so that a copy counts for little; in time it needs the caches too.
  The original copies the rest of the chunk after each frame, 32 KiB on average of 64: a third of its time, a tenth of
  its instructions. So decoding T to frames is about 90 times as fast, with about a 58th of the instructions. Decoding A
  to frames is the other way round: ours does little but copy 960 bytes. B is copies and page faults: not counted.
- **Waiting.** `json` and the interpreter run 4.5 to 5 instructions a nanosecond here, C code that goes straight through
  a buffer 6 to 7: fewer branches that the processor predicts wrongly, fewer pointers to follow. So where little is
  copied, ratios in time are higher than those in instructions, by 5 to 20 %.
"""

SHORTFALLS = """\
Where it falls short, and what was tried:

- Typed T: most of the instructions are msgspec's (`limit: msgspec alone` in the tables), most of the rest make and free
  what is returned. A chunk that holds one frame adds the call, the iterator, and finding that there is no more.
- Encode T, native, is two calls of msgspec's and one allocation. A Python method around it made it a sixth slower.
- B at 1,460 bytes is page faults: 1 MiB that grew as it came took 760 us, a join of the chunks 140. Keeping the chunks
  and writing once takes 184. Growing by four instead of two saved a fifth at 64 KiB.
- The pure rows are the interpreter's time: a generator that starts and stops for one frame costs 240 ns, two slices
  and two length words 280.
"""


def write(path: Path, codecs: Codecs, found: Loopback | None, growth: Growth | None, taken: float) -> list[Judged]:
    judged = judge(codecs, found, growth)
    absent = codecs.absent | {
        "picows, as a codec": "it has no sans-IO interface; see its rows over loopback",
        "grpcio, as a codec": "its framing is HTTP/2, inside its own transport; see its rows over loopback",
    }
    met = sum(one.met is True for one in judged)
    out = [
        "# Benchmark results\n",
        f"Written by `{command()}` in {taken:.0f} s; do not edit. What is measured and how: `benchmarks/__init__.py`. "
        f"Times are medians of {codecs.rounds} interleaved rounds, the better of two runs in each, ± half the distance "
        "between the quartiles.\n",
        machine(),
        in_short(codecs, judged) + "\n",
        "## Budgets\n",
        f'{met} of {len(judged)} met. "Original" is a straightforward codec over `json`, `int.to_bytes` and re-slicing '
        "(`benchmarks/original.py`). A row that has instructions is judged by them; its time is there to be read.\n",
        budget_table(judged),
        SHORTFALLS,
        "## Instructions and times\n",
        COUNTING,
        "## Beside the fastest peer\n",
        "Typed header and payload, 64 KiB chunks. The pure codec is compared with peers whose framing is Python. "
        "httpx-sse has no writer: its encode rows are written by hand, and count for no peer.\n",
        lead_table(codecs),
        "## Decode\n",
    ]
    for workload, title in TITLES.items():
        out += [f"### {title}\n", decode_table(codecs, workload)]
    out.append("## Encode\n")
    for workload, title in TITLES.items():
        out += [f"### {title}\n", plain_table(codecs, f"encode/{workload}/-")]
    out += ["## The original's calls, one frame a call\n", "Decoding; the encoders are in the tables above.\n"]
    for workload, name in (("T", budgets.ANB), ("A", budgets.TAL)):
        out.append(plain_table(codecs, f"decode/{workload}/frame", budgets.CALLS, (name, budgets.CALLS)))
    out += ["## Server and client, without a network\n", http_table(codecs)]
    if found is not None:
        absent |= {f"over loopback, {name}": reason for name, reason in found.absent.items()}
        out += [
            "## Over loopback\n",
            "Server and client in a process each, on asyncio, workload A, a source that never waits; "
            f"{found.rounds} rounds. HTTP is FastAPI and uvicorn (h11) to httpx, one client a stream; websockets and "
            "picows carry msgspec MessagePack, grpc.aio protobuf. Connections are open before the clock starts. With "
            "one stream the first frame is that of an idle server; with 100 it includes 100 requests made at once.\n",
        ]
        for streams in STREAMS:
            out += [f"### {streams} stream{'s' if streams > 1 else ''}\n", loopback_table(found, streams)]
    if growth is not None:
        out += [
            "## As work grows\n",
            "CPU time, and the most memory beyond what the process had. Chunks of 64 KiB; a message is dropped when it "
            "has been read.\n",
        ]
        for one in TABLES:
            out += [f"{one.title}:\n", growth_table(one.kind, growth.get(one.kind, {}))]
    out += [
        "## Dataflow\n",
        "Each peer's time over ours, and in brackets its instructions over ours. More than 1: ours is faster.\n",
        flow_table(codecs),
        "## Absent\n",
        absent_list(absent),
    ]
    path.write_text("\n".join(out))
    return judged


def update_readme(results: Path, readme: Path) -> None:
    block = BLOCK.search(results.read_text())
    assert block is not None
    text, found = BLOCK.subn(lambda _: block[0], readme.read_text())
    assert found == 1, f"{readme} has no place for its table"
    readme.write_text(text)


def row_table(codecs: Codecs) -> str:
    """For those who work on one row: every case that was measured."""
    rows = []
    for key in dict.fromkeys([*codecs.times, *codecs.instructions]):
        column, case = key.split("/", 1)
        at, _, name = case.rpartition("/")
        one_call = name in (budgets.ANB, budgets.TAL) and at.startswith("decode")
        original = budgets.CALLS if one_call else budgets.ORIGINAL
        value = codecs.value(column, case)
        rows.append(
            (
                at.replace("/", "-").rstrip("-"),
                name,
                column,
                spread(value),
                *over_original(codecs, column, at, name, original),
            )
        )
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)] if rows else []
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "row, contender, codec: ns a message, " + ", ".join(RATIOS) + "\n" + "\n".join(lines)
