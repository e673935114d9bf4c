"""One process that checks contenders and times them when told to: `OBJECTSTREAMING_PURE=1 python -m benchmarks.worker`.

Lines of JSON on stdin and stdout. The first it writes is the list of its cases and what is absent. Each line it reads
is a case's key, each it writes the CPU nanoseconds that a run of it took.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from objectstreaming.frames import CODEC

from . import peers, steps, workloads
from .contenders import OURS, Contender

Run = Callable[[], int]

# How many messages a case has: chunking -> workload -> count. 1-byte chunks are many, and B is large.
FULL = {
    "1": {"T": 250, "A": 30},
    "1460": {"T": 2_000, "A": 1_000, "B": 3},
    "16384": {"T": 2_000, "A": 1_000, "B": 3},
    "65536": {"T": 10_000, "A": 2_000, "B": 3, "mix": 1_000},
    "random": {"T": 2_000, "A": 1_000, "B": 3, "mix": 1_000},
    "frame": {"T": 10_000, "A": 2_000},
}
QUICK = {
    "1": {"T": 100, "A": 12},
    "1460": {"A": 300, "B": 2},
    "65536": {"T": 2_000, "A": 600, "B": 2, "mix": 300},
    "frame": {"T": 2_000, "A": 600},
}


def timed(run: Callable[[], Any]) -> int:
    """CPU nanoseconds of this process, which has other threads only where a contender starts one.

    The better of two runs: the first puts the input into the caches, where what has just arrived is, and memory into
    the allocator's hands; and on a machine shared with others it is not often that both are disturbed.
    """
    taken = []
    for _ in range(2):
        gc.collect()
        start = time.process_time_ns()
        run()
        taken.append(time.process_time_ns() - start)
    return min(taken)


class Cases:
    """What this process can run: key -> function, and how many messages that moves."""

    def __init__(self, counts: dict[str, dict[str, int]], *, with_peers: bool) -> None:
        self.runs: dict[str, tuple[Callable[[], Any], int]] = {}
        self.absent: dict[str, str] = {}
        self.contenders: dict[str, dict[str, Any]] = {}
        there: list[type[Contender]] = list(OURS)
        if with_peers:
            others, self.absent = peers.installed()
            there += others
        for contender in there:
            self.contenders[contender.name] = {
                "kind": contender.kind,
                "library": contender.library,
                "writes": contender.writes,
            }
            for name in contender.workloads:
                try:
                    self._add(contender(name), counts)
                except Exception as error:  # noqa: BLE001  a peer that fails is a line in the results
                    self.absent[f"{contender.name}, {name}"] = f"{type(error).__name__}: {error}"

    def _add(self, contender: Contender, counts: dict[str, dict[str, int]]) -> None:
        for chunking, sizes in counts.items():
            if contender.workload not in sizes:
                continue
            workload = workloads.make(contender.workload, sizes[contender.workload])
            messages = [contender.typed(message) for message in workload.messages]
            chunks = workloads.cut(contender.pieces(messages), chunking)
            got = workloads.digest(map(contender.plain, contender.read(chunks)))
            if got != workload.digest:
                raise ValueError(f"decoded something else at chunks of {chunking}")
            if contender.decodes:
                self.runs[f"decode/{contender.workload}/{chunking}/{contender.name}"] = (
                    _reading(contender, chunks),
                    len(messages),
                )
            if chunking == "65536":
                again = messages * (20 if contender.workload == "B" else 1)  # for those that copy nothing
                self.runs[f"encode/{contender.workload}/-/{contender.name}"] = _writing(contender, again), len(again)


def _reading(contender: Contender, chunks: list[bytes]) -> Callable[[], None]:
    def run() -> None:
        for _ in contender.read(chunks):
            pass

    return run


def _writing(contender: Contender, messages: list[workloads.Message]) -> Callable[[], None]:
    def run() -> None:
        write = contender.writer()
        for header, payload in messages:
            write(header, payload)

    return run


def main(quick: bool, with_peers: bool) -> None:
    cases = Cases(QUICK if quick else FULL, with_peers=with_peers)
    runs = cases.runs | steps.runs(quick)
    gc.freeze()  # the messages that wait here are no garbage to look through while others are timed
    say = sys.stdout
    print(
        json.dumps(
            {
                "codec": CODEC,
                "messages": {key: count for key, (_, count) in runs.items()},
                "absent": cases.absent,
                "contenders": cases.contenders,
            }
        ),
        file=say,
        flush=True,
    )
    for line in sys.stdin:
        print(timed(runs[json.loads(line)][0]), file=say, flush=True)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--peers" in sys.argv)
