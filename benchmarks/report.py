"""results.md: the machine, the budgets, and every figure they come from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from . import growth as growing
from . import plots
from .budgets import Floor, Judged, Lead, floors, judge, leads
from .end_to_end import STREAMS, EndToEnd
from .growth import Growth, KiB, MiB, Point
from .rounds import Codecs, Value
from .workloads import CHUNKINGS, TITLES

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


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(value: Value | None, scale: float = 1.0) -> str:
    return "-" if value is None else f"{number(value.median * scale)} ± {100 * value.spread:.0f} %"


def size(value: float) -> str:
    for unit, name in ((MiB, "MiB"), (KiB, "KiB")):
        if value >= unit:
            return f"{value / unit:g} {name}"
    return f"{value:g} B"


def count(value: float) -> str:
    power = len(f"{value:.0f}") - 1
    return f"{value:,.0f}" if power < 6 else f"{value / 1e6:g} M"


def seconds(value: float) -> str:
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= unit * 0.9999:
            return f"{value / unit:.3g} {name}"
    return f"{value * 1e9:.3g} ns"


def machine() -> list[str]:
    model = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration), open("/proc/cpuinfo") as info:
        model = next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    versions = []
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    load = ""
    with suppress(OSError):
        load = f", load {os.getloadavg()[0]:.1f} when the run ended"
    return [
        f"- {model}, {os.cpu_count()} cores{load}",
        f"- {platform.system()} {platform.release().split('-')[0]}, "
        f"{platform.python_implementation()} {platform.python_version()}",
        f"- {', '.join(versions)}",
        f"- {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, `{command()}`",
    ]


def command() -> str:
    return " ".join(["python -m benchmarks", *sys.argv[1:]])


# ------------------------------------------------------------------------------------------------------- sections


def budget_table(judged: Sequence[Judged]) -> str:
    words = {True: "met", False: "**not met**", None: "not measured"}
    return table(
        ("promise", "codec", "measured", "budget", ""),
        (
            (
                one.promise,
                one.column,
                "-" if one.measured is None else f"{spread(one.measured)}",
                f"{one.sign.replace('>=', '≥').replace('<=', '≤')} {one.budget:g}",
                words[one.met],
            )
            for one in judged
        ),
    )


def lead_table(found: Sequence[Lead]) -> str:
    return table(
        ("", "codec", "the best peer", "ours is ahead"),
        ((one.discipline, one.column, one.best, f"{spread(one.ahead)} times") for one in found),
    )


def order(codecs: Codecs, case: str) -> list[tuple[float, str, str]]:
    """(time, column, contender), the quickest first; the original and the peers once, from the native's process."""
    found = []
    for name, about in codecs.contenders.items():
        for column in ("native", "pure") if about["kind"] == "ours" else ("native",):
            value = codecs.value(column, f"{case}/{name}")
            if value is not None:
                found.append((value.median, column, name))
    return sorted(found)


def label(column: str, name: str, kind: str) -> str:
    return f"**{name}**, {column}" if kind == "ours" else name


def decode_table(codecs: Codecs, workload: str) -> str:
    chunkings = [c for c in CHUNKINGS if any(f"/decode/{workload}/{c}/" in key for key in codecs.times)]
    first = f"decode/{workload}/65536"
    names = {"1": "1 B", "1460": "1,460 B", "16384": "16 KiB", "65536": "64 KiB", "frame": "a message a chunk"}
    rows = []
    for _, column, name in order(codecs, first):
        over = codecs.ratio(column, f"{first}/{name}", f"{first}/original")
        row = [label(column, name, codecs.contenders[name]["kind"])]
        for chunking in chunkings:
            value = codecs.value(column, f"decode/{workload}/{chunking}/{name}")
            row.append("-" if value is None else spread(value) if chunking == "65536" else number(value.median))
        rows.append([*row, f"{number(over.median)}x" if over else "-"])
    for limit in ("limit: memcpy, join", "limit: memcpy, chunk by chunk"):
        values = [codecs.value("native", f"decode/{workload}/{chunking}/{limit}") for chunking in chunkings]
        if any(values):
            rows.append([limit, *(number(value.median) if value else "-" for value in values), "-"])
    return table(("ns a message", *(names.get(c, c) for c in chunkings), "original / it"), rows)


def encode_table(codecs: Codecs, workload: str) -> str:
    case = f"encode/{workload}/-"
    rows = []
    for _, column, name in order(codecs, case):
        over = codecs.ratio(column, f"{case}/{name}", f"{case}/original")
        value = codecs.value(column, f"{case}/{name}")
        kind = codecs.contenders[name]["kind"]
        rows.append((label(column, name, kind), spread(value), f"{number(over.median)}x" if over else "-"))
    return table(("ns a message", "", "original / it"), rows)


def step_table(codecs: Codecs) -> str:
    names: list[str] = []
    for key in codecs.times:
        _, operation, workload, _, name = key.split("/", 4)
        if operation == "step" and workload in "TA" and name not in names:
            names.append(name)
    columns = [(workload, column) for workload in "TA" for column in ("native", "pure")]
    return table(
        ("ns a message", *(f"{workload}, {column}" for workload, column in columns)),
        (
            [name, *(spread(codecs.value(column, f"step/{workload}/-/{name}")) for workload, column in columns)]
            for name in names
        ),
    )


def floor_table(found: Sequence[Floor]) -> str:
    return table(
        ("job", "codec", "parts", "ns, parts", "ns, ours", "original / parts"),
        (
            (
                one.job,
                one.column,
                one.parts,
                number(one.nanoseconds),
                number(one.ours),
                f"{number(one.times_original)}x",
            )
            for one in found
        ),
    )


def loopback_table(found: EndToEnd, streams: int) -> str:
    rows = []
    there = [(key, row) for key, row in found.rows.items() if key[1] == streams]
    for (name, _), row in sorted(there, key=lambda item: -item[1].frames_per_second.median):
        shown = f"**{name}**" if name.startswith("ours") else name
        rows.append(
            (
                shown,
                spread(row.frames_per_second),
                spread(row.server_cpu),
                spread(row.client_cpu),
                spread(row.first_ms),
                count(row.frames),
            )
        )
    heads = ("", "frames/s", "server, CPU s per 100k", "client, CPU s per 100k", "first frame, ms", "frames a run")
    return table(heads, rows)


def growth_table(series: dict[str, list[Point]], at: str) -> str:
    ats = sorted({point.at for points in series.values() for point in points})
    show = size if at == "payload" else count
    rows = []
    for name, points in series.items():
        by = {point.at: point for point in points}
        row = [name]
        for one in ats:
            if one not in by:
                row.append("-")
                continue
            point = by[one]
            taken = seconds(point.seconds / (point.messages if at == "payload" else 1))
            held = "" if point.memory is None else f", {point.memory / MiB:.1f} MiB"
            row.append(taken + held)
        rows.append(row)
    return table((at, *map(show, ats)), rows)


def absent_list(reasons: dict[str, str]) -> str:
    private = re.compile(r"(?:/[\w.-]+){2,}")  # paths of this machine are nobody's business
    return "".join(f"- {name}: {private.sub('...', reason)}\n" for name, reason in reasons.items())


# ---------------------------------------------------------------------------------------------------------- files


def draw(here: Path, suffix: str, codecs: Codecs, found: EndToEnd | None, growth: Growth | None) -> dict[str, str]:
    """The plots written: their titles by file name."""
    drawn: dict[str, tuple[str, str]] = {}
    for workload in ("T", "A"):
        case = f"decode/{workload}/65536"
        values = [
            (f"{name}, {column}" if codecs.contenders[name]["kind"] == "ours" else name, time, "ours" in name)
            for time, column, name in order(codecs, case)
        ]
        title = f"Decode {TITLES[workload]}, 64 KiB chunks"
        note = "ns a message, median; logarithmic; less is better"
        drawn[f"decode-{workload}"] = title, plots.bars(title, note, values, lambda v: f"{v:,.0f}")
    if found is not None:
        values = sorted(
            ((name, row.frames_per_second.median, "ours" in name) for (name, n), row in found.rows.items() if n == 1),
            key=lambda item: -item[1],
        )
        title = "Over loopback, one stream of A"
        drawn["loopback"] = (
            title,
            plots.bars(title, "frames a second, median; logarithmic; more is better", values, lambda v: f"{v:,.0f}"),
        )
    if growth is not None:
        for name, title, across, series, mark in (
            ("frame-size", "Time to decode a frame", "bytes of payload", growth.size, size),
            ("stream-length", "Time to decode a stream of T", "messages", growth.length, count),
            ("one-buffer", "Time to decode frames that are all there, T", "messages", growth.one_buffer, count),
        ):
            per = (lambda p: p.seconds / p.messages) if name == "frame-size" else (lambda p: p.seconds)
            lines = [(who, [(p.at, per(p)) for p in points]) for who, points in series.items()]
            drawn[name] = title, plots.lines(title, across, "CPU time, 64 KiB chunks", lines, mark, seconds)
        held = [
            (who, [(p.at, max(p.memory, 4 * KiB)) for p in points if p.memory is not None])
            for who, points in growth.size.items()
        ]
        held.append(("two frames + a chunk", [(at, 2 * at + growing.CHUNK) for at in growing.SIZES]))
        most = max((point.at for points in growth.size.values() for point in points), default=0)
        held = [(who, [p for p in points if p[0] <= most]) for who, points in held if points]
        title = "Memory to decode a frame"
        drawn["memory"] = title, plots.lines(title, "bytes of payload", "beyond what was there", held, size, size)
    written = {}
    for name, (title, svg) in drawn.items():
        if svg:
            (here / f"{name}{suffix}.svg").write_text(svg)
            written[f"{name}{suffix}.svg"] = title
    return written


SHORTFALLS = """\
- Typed T: of the 4,500 instructions that a message takes natively (callgrind), 2,800 are msgspec's two decodes, and
  most of the rest is the making and freeing of what they give; framing, checks and the tuple take about 700. Shown its
  place in the chunk, msgspec saves 3 % over bytes objects made for it. A chunk that holds one frame adds 600: the
  call, the iterator, and finding out that there is no more.
- Encode T, native, is two calls of msgspec's and one allocation; a Python method around it made it a sixth slower.
- B at 1,460 bytes is page faults: 1 MiB that grew as it came took 760 us here and a join of the chunks 140; keeping
  the chunks and writing once takes 184. A growth of four instead of two was worth a fifth at 64 KiB.
- The pure rows are the interpreter's: a generator that starts and stops for one frame costs 240 ns, two slices and two
  length words 280, `b"null" in data` twice what `find` takes. Tried and dropped: a memo of TAL prefixes (as slow as the
  checks), one shared iterator, joining instead of adding, `encode_into`.
"""


def write(
    path: Path, codecs: Codecs, found: EndToEnd | None, growth: Growth | None, flow: str, taken: float
) -> list[Judged]:
    judged = judge(codecs, found, growth)
    suffix = path.stem.removeprefix("results")
    drawn = draw(path.parent, suffix, codecs, found, growth)

    def picture(name: str) -> str:
        file = f"{name}{suffix}.svg"
        return f"![{drawn[file]}]({file})\n" if file in drawn else ""

    absent = dict(codecs.absent)
    if found is not None:
        absent |= {f"over loopback, {name}": reason for name, reason in found.absent.items()}
    absent["picows, as a codec"] = "it has no sans-IO interface; it stands among the rows over loopback"
    absent["grpcio, as a codec"] = (
        "its framing is HTTP/2, inside its own transport; it stands among the rows over loopback"
    )
    met = sum(one.met is True for one in judged)
    out = [
        "# Benchmark results\n",
        f"Written by `{command()}` in {taken:.0f} s; do not edit. What is measured and how: `benchmarks/__init__.py`. "
        f"Medians of {codecs.rounds} interleaved rounds, the better of two runs in each, ± half the distance of the "
        "quartiles.\n",
        "\n".join(machine()) + "\n",
        "## Budgets\n",
        f'{met} of {len(judged)} met. "Original" is a straightforward codec over `json`, `int.to_bytes` and re-slicing '
        "(`benchmarks/original.py`).\n",
        budget_table(judged),
        "What falls short, and why; what was tried:\n",
        SHORTFALLS,
        "## Beside the best peer\n",
        "Typed header and payload, 64 KiB chunks. The pure codec is held against peers whose framing is Python. "
        "httpx-sse has no writer: its encode rows, one call of msgspec's and eight bytes by hand, stand for no peer.\n",
        lead_table(leads(codecs)),
        "## Where the time goes\n",
        "What a job would take if nothing stood around its parts, beside what it takes: no ratio to the original can "
        "be higher than the last column says, unless a part is made quicker; C does so with TAL headers, "
        "which it reads and writes without msgspec.\n",
        floor_table(floors(codecs)),
        "Each step alone, over the same messages; the loop around it is in every figure.\n",
        step_table(codecs),
        "## Decode\n",
    ]
    for workload, title in TITLES.items():
        out += [f"### {title}\n", picture(f"decode-{workload}"), decode_table(codecs, workload)]
    out.append("## Encode\n")
    for workload, title in TITLES.items():
        out += [f"### {title}\n", encode_table(codecs, workload)]
    if found is not None:
        out += [
            "## Over loopback\n",
            "Server and client in a process each, on asyncio, workload A, a source that never waits; "
            f"{found.rounds} rounds. HTTP is FastAPI and uvicorn (h11) to httpx, a client a stream; websockets and "
            "picows carry msgspec MessagePack, grpc.aio protobuf; connections stand before the clock starts. With one "
            "stream the first frame is that of an idle server, with 100 it includes the 100 requests made at once.\n",
            picture("loopback"),
        ]
        for streams in STREAMS:
            out += [f"### {streams} stream{'s' if streams > 1 else ''}\n", loopback_table(found, streams)]
    if growth is not None:
        out += [
            "## As work grows\n",
            "CPU time, and the most memory beyond what the process had; 64 KiB chunks; a message is let go when it has "
            "been read. A frame's time is its own, a stream's is the whole stream's.\n",
            picture("frame-size"),
            growth_table(growth.size, "payload"),
            picture("memory"),
            picture("stream-length"),
            growth_table(growth.length, "messages"),
            "All frames in one buffer, as when a file is read whole:\n",
            picture("one-buffer"),
            growth_table(growth.one_buffer, "messages"),
        ]
    if flow:
        out += ["## Dataflow\n", f"```\n{flow.strip()}\n```\n"]
    out += ["## Absent\n", absent_list(absent)]
    path.write_text("\n".join(part for part in out if part))
    return judged
