"""One process that checks what it is to measure, and measures: `python -m benchmarks.worker '<options, JSON>'`.

Lines of JSON on stdin and stdout. The first line written tells what can be measured and what is absent. A line read is
a case's key; the answer is the CPU nanoseconds of a run, or with `count` its instructions (see `instructions.py`).
A case is `operation/workload/chunking/contender`.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from objectstreaming.frames import CODEC

from . import flow, instructions, peers, steps, workloads
from .contenders import OURS, Contender
from .rounds import Options
from .workloads import Sizes

Run = Callable[[], Any]


class Cases:
    """What this process can run: key -> function, and how many messages that moves."""

    def __init__(self, options: Options) -> None:
        self.runs: dict[str, tuple[Run, int]] = {}
        self.absent: dict[str, str] = {}
        self.contenders: dict[str, dict[str, Any]] = {}
        self._rows, self._counts = options.rows, options.count is not None
        there: list[type[Contender]] = list(OURS)
        if options.peers:
            others, self.absent = peers.installed()
            there += others
        for contender in there:
            about = {"kind": contender.kind, "library": contender.library, "writes": contender.writes}
            self.contenders[contender.name] = about
            for name in contender.workloads:
                try:
                    self._add(contender(name), options.sizes)
                except Exception as error:  # noqa: BLE001  a peer that fails is a line in the results
                    self.absent[f"{contender.name}, {name}"] = f"{type(error).__name__}: {error}"
        more = steps.cases(options.sizes)
        if options.peers:
            more |= flow.cases(options.sizes["65536"]["T"] // 16 * 8)  # items that 2 and 8 sources share
        self.runs |= {key: case for key, case in more.items() if self._wanted(key)}

    def _wanted(self, key: str) -> bool:
        return not self._rows or key.replace("/", "-").startswith(tuple(self._rows))

    def _add(self, contender: Contender, sizes: Sizes) -> None:
        for chunking, counts in sizes.items():
            if contender.workload not in counts:
                continue
            decode = f"decode/{contender.workload}/{chunking}/{contender.name}"
            encode = f"encode/{contender.workload}/-/{contender.name}"
            decodes = chunking in contender.chunkings and self._wanted(decode)
            encodes = chunking == "65536" and contender.encodes and self._wanted(encode)
            # The results give instructions of peers for 64 KiB chunks only; bytewise, some take minutes.
            uncounted = self._counts and "peer" in contender.kind and chunking != "65536"
            if uncounted or not (decodes or encodes):
                continue
            content = workloads.MAKERS[contender.workload](counts[contender.workload])
            messages = [contender.typed(message) for message in content]
            pieces = contender.pieces(messages)
            chunks = workloads.cut(pieces, "frame" if contender.chunkings == ("frame",) else chunking)
            got = workloads.digest(map(contender.plain, contender.read(chunks)))
            if got != workloads.digest(content):
                raise ValueError(f"decoded something else at chunks of {chunking}")
            if decodes:
                self.runs[decode] = _reading(contender, chunks), len(messages)
            if encodes:
                again = messages * (20 if contender.workload == "B" else 1)  # for those that copy nothing
                self.runs[encode] = _writing(contender, again), len(again)


def _reading(contender: Contender, chunks: list[bytes]) -> Run:
    def run() -> None:
        for _ in contender.read(chunks):
            pass

    return run


def _writing(contender: Contender, messages: list[workloads.Message]) -> Run:
    def run() -> None:
        write = contender.writer()
        for header, payload in messages:
            write(header, payload)

    return run


def timed(run: Run) -> int:
    """CPU nanoseconds of this process, which has other threads only where a contender starts one.

    The better of two runs: the first brings the input into the caches, where what has just arrived is, and memory into
    the allocator's hands. On a machine shared with others, both are rarely disturbed.
    """
    taken = []
    for _ in range(2):
        gc.collect()
        start = time.process_time_ns()
        run()
        taken.append(time.process_time_ns() - start)
    return min(taken)


def main(options: Options) -> None:
    cases = Cases(options)
    measure = instructions.counter(options.count) if options.count else timed
    gc.freeze()  # the collector need not look through the messages of all cases while one is measured
    hello = {
        "codec": CODEC,
        "messages": {key: count for key, (_, count) in cases.runs.items()},
        "absent": cases.absent,
        "contenders": cases.contenders,
    }
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        print(measure(cases.runs[json.loads(line)][0]), flush=True)


if __name__ == "__main__":
    main(Options(**json.loads(sys.argv[1])))
