"""`python -m benchmarks [ROW ...] [--quick] [--only PARTS]`: measures, and writes results.md and README's table."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from . import growth, loopback, report, rounds, workloads

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.md"
PARTS = ("times", "instructions", "loopback", "growth")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and write results.md.")
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help="print only these, such as decode-T or encode-A; write nothing"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; no instructions of peers")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}; times always")
    parser.add_argument("--output", type=Path, help="the file to write, instead of results.md or results-quick.md")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a budget is not met")
    arguments = parser.parse_args()
    quick, only = arguments.quick, arguments.only.split(",")
    if not set(only) <= set(PARTS):
        parser.error(f"--only takes {','.join(PARTS)}")
    start = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - start:5.0f} s  {what}", file=sys.stderr, flush=True)

    counts: dict[str, float] = {}
    reasons: dict[str, str] = {}
    if "instructions" in only:
        say("instructions, by callgrind")
        counts, reasons = rounds.count(rounds.Options(workloads.COUNTED, arguments.rows, not quick))
        for name, reason in reasons.items():
            say(f"MISSING: {name}: {reason}; rows are judged by time")
    say("times")
    sizes = workloads.QUICK if quick else workloads.FULL
    options = rounds.Options(sizes, arguments.rows, peers=True)
    seconds = 3 if quick else 20 if arguments.rows else 180
    codecs = rounds.run(options, seconds, 2 if quick else 3)
    codecs = codecs._replace(instructions=counts, absent=codecs.absent | reasons)
    if arguments.rows:
        if not codecs.times:
            raise SystemExit(f"no row begins with {' or '.join(arguments.rows)}; try decode-T, encode-A, http, flow")
        print(report.row_table(codecs))
        return
    over_loopback = growing = None
    if "loopback" in only:
        say("over loopback")
        over_loopback = loopback.run(quick, 3 if quick else 80)
    if "growth" in only:
        say("as work grows")
        growing = growth.run(quick)
    path = (arguments.output or (HERE / "results-quick.md" if quick else RESULTS)).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    judged = report.write(path, codecs, over_loopback, growing, time.monotonic() - start)
    say(f"{path.name} written")
    if path == RESULTS:
        report.update_readme(path, HERE.parent / "README.md")
        say("README.md updated")
    failed = [one for one in judged if not one.met]
    for one in failed:
        measured = one.instructions or (one.time and one.time.median)
        found = "not measured" if measured is None else f"{measured:.3g}"
        print(f"not met: {one.promise}, {one.over}, {one.column}: {found}, budget {one.limit:g}")
    if arguments.check and failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
