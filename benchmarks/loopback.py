"""End to end over loopback: a server process and a client process, the rows in interleaved rounds."""

from __future__ import annotations

import contextlib
import importlib
import time
from typing import Any, NamedTuple

from .loopback_client import ROWS
from .loopback_server import LONGEST
from .rounds import Process, Value, environment

STREAMS = (1, 100)

Key = tuple[str, int]
"""A row, and how many streams at once."""


class Run(NamedTuple):
    frames: int
    rate: float
    """Frames a second."""
    server_cpu: float
    """Seconds per 100,000 frames, as `client_cpu`."""
    client_cpu: float
    first: float
    """Milliseconds until the first frame."""


class Loopback(NamedTuple):
    runs: dict[Key, list[Run]]
    """One run a round."""
    absent: dict[str, str]
    rounds: int

    def value(self, key: Key, field: str) -> Value:
        return Value.of([getattr(run, field) for run in self.runs[key]])

    def ratio(self, row: str, over: str, streams: int) -> Value | None:
        """How many times as many frames a second as `over`; the median of the rounds' ratios."""
        mine, theirs = self.runs.get((row, streams)), self.runs.get((over, streams))
        if not mine or not theirs:
            return None
        return Value.of([my.rate / their.rate for my, their in zip(mine, theirs, strict=True)])


def run(quick: bool, seconds: float) -> Loopback:
    """Rounds for `seconds`, and at least two."""
    absent: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Process("loopback_client", environment=environment()))
        servers: dict[str, Process] = {}

        def once(row: str, streams: int, count: int) -> Run | None:
            """None, and named as absent, where it fails."""
            name, _, module = ROWS[row]
            try:
                importlib.import_module(module)
                if name not in servers:
                    servers[name] = stack.enter_context(Process("loopback_server", name, environment=environment()))
            except (ImportError, RuntimeError) as error:
                absent[row] = f"{type(error).__name__}: {error}"
                return None
            server = servers[name]
            result: Any = client.ask([row, server.hello["port"], streams, count])
            if result == "ready":
                before = server.ask("cpu")
                result = client.ask("go")
                result["server"] = server.ask("cpu") - before
            if "error" in result:
                absent[f"{row}, {streams} streams"] = result["error"]
                return None
            frames = result["frames"]
            per = 1e5 / frames
            rate = frames / result["seconds"]
            return Run(frames, rate, result["server"] * per, result["cpu"] * per, result["first"] * 1e3)

        counts: dict[Key, int] = {}
        for row in ROWS:
            for streams in STREAMS:
                first = once(row, streams, 500 if streams == 1 else 10)
                if first is not None:
                    shortest = 1 if streams == 1 else 20 if quick else 200  # with fewer, requests would be measured
                    wanted = int(first.rate * (0.08 if quick else 0.5) / streams)
                    counts[row, streams] = max(shortest, min(LONGEST, wanted))
        runs: dict[Key, list[Run]] = {key: [] for key in counts}
        rounds = 0
        since = time.monotonic()
        while rounds < 2 or time.monotonic() - since < seconds:
            for (row, streams), count in list(counts.items()):
                result = once(row, streams, count)
                if result is None:
                    del counts[row, streams], runs[row, streams]
                else:
                    runs[row, streams].append(result)
            rounds += 1
    return Loopback(runs, absent, rounds)
