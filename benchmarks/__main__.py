"""`python -m benchmarks [--quick] [--only codecs,loopback,growth,flow]`: writes results.md and the SVGs."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from . import end_to_end, growth, report, rounds

HERE = Path(__file__).resolve().parent
PARTS = ("codecs", "loopback", "growth", "flow")


def dataflow(quick: bool) -> str:
    command = [sys.executable, str(HERE / "flow.py"), *(("1000", "3") if quick else ("10000", "7"))]
    environment = rounds.environment()
    done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True, timeout=120)
    return done.stdout if done.returncode == 0 else f"flow.py failed:\n{done.stderr[-500:]}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and write results.md.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, under a minute")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}; codecs always run")
    parser.add_argument("--output", type=Path, help="the file to write, instead of results.md or results-quick.md")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a budget is not met")
    arguments = parser.parse_args()
    quick, only = arguments.quick, arguments.only.split(",")
    start = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - start:5.0f} s  {what}", file=sys.stderr, flush=True)

    say("codecs")
    codecs = rounds.run(quick, 3 if quick else 180)
    found = growing = None
    flow = ""
    if "loopback" in only:
        say("over loopback")
        found = end_to_end.run(quick, 3 if quick else 80)
    if "growth" in only:
        say("as work grows")
        growing = growth.run(quick)
    if "flow" in only:
        say("dataflow")
        flow = dataflow(quick)
    path = arguments.output or HERE / ("results-quick.md" if quick else "results.md")
    path.parent.mkdir(parents=True, exist_ok=True)
    judged = report.write(path, codecs, found, growing, flow, time.monotonic() - start)
    say(f"{path.name} written")
    for one in judged:
        if not one.met:
            measured = "not measured" if one.measured is None else f"{one.measured.median:.2f}"
            print(f"not met: {one.promise}, {one.column}: {measured}, budget {one.sign} {one.budget:g}")
    if arguments.check and any(one.met is False for one in judged):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
