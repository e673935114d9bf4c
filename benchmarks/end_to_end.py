"""End to end over loopback: a server process and a client process for each row, the rows in interleaved rounds."""

from __future__ import annotations

import contextlib
import importlib
import time
from typing import Any, NamedTuple

from . import asking, serving
from .rounds import Process, Value

STREAMS = (1, 100)


class Row(NamedTuple):
    frames_per_second: Value
    server_cpu: Value
    """Seconds per 100,000 frames."""
    client_cpu: Value
    first_ms: Value
    frames: int


class EndToEnd(NamedTuple):
    rows: dict[tuple[str, int], Row]
    rates: dict[tuple[str, int], list[float]]
    absent: dict[str, str]
    rounds: int
    seconds: float

    def ratio(self, row: str, over: str, streams: int) -> Value | None:
        """How many times as many frames a second as `over`, round by round."""
        mine, theirs = self.rates.get((row, streams)), self.rates.get((over, streams))
        if not mine or not theirs:
            return None
        return Value.of([my / their for my, their in zip(mine, theirs, strict=True)])


def run(quick: bool, seconds: float) -> EndToEnd:
    began = time.monotonic()
    target = 0.08 if quick else 0.5
    absent: dict[str, str] = {}
    rows = {}
    for row, (server, _, module) in asking.ROWS.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            absent[row] = str(error)
        else:
            rows[row] = server
    taken: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Process("asking"))
        servers: dict[str, Process] = {}
        for row, name in list(rows.items()):
            try:
                if name not in servers:
                    servers[name] = stack.enter_context(Process("serving", name))
            except RuntimeError as error:
                absent[row] = f"its server did not start: {error}"
                del rows[row]

        def one(row: str, streams: int, count: int) -> dict[str, Any]:
            server = servers[rows[row]]
            ready = client.ask([row, server.hello["port"], streams, count])
            if ready != "ready":
                return dict(ready)
            before = server.ask("cpu")
            result = client.ask("go")
            if "error" not in result:
                result["server"] = server.ask("cpu") - before
            return dict(result)

        counts: dict[tuple[str, int], int] = {}
        for row in list(rows):
            for streams in STREAMS:
                result = one(row, streams, 500 if streams == 1 else 10)
                if "error" in result:
                    absent[f"{row}, {streams} streams"] = result["error"]
                    continue
                rate = result["frames"] / result["seconds"]
                shortest = 1 if streams == 1 else 20 if quick else 200  # or it would be requests that are measured
                counts[row, streams] = max(shortest, min(serving.LONGEST, int(rate * target / streams)))
        rounds = 0
        since = time.monotonic()
        while rounds < 2 or time.monotonic() - since < seconds:
            for (row, streams), count in list(counts.items()):
                result = one(row, streams, count)
                if "error" in result:
                    absent[f"{row}, {streams} streams"] = result["error"]
                    del counts[row, streams]
                    taken.pop((row, streams), None)
                else:
                    taken.setdefault((row, streams), []).append(result)
            rounds += 1
    found = {
        key: Row(
            Value.of([result["frames"] / result["seconds"] for result in results]),
            Value.of([result["server"] / result["frames"] * 1e5 for result in results]),
            Value.of([result["cpu"] / result["frames"] * 1e5 for result in results]),
            Value.of([result["first"] * 1e3 for result in results]),
            results[0]["frames"],
        )
        for key, results in taken.items()
    }
    rates = {key: [result["frames"] / result["seconds"] for result in results] for key, results in taken.items()}
    return EndToEnd(found, rates, absent, rounds, time.monotonic() - began)
