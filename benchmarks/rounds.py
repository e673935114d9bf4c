"""Measuring: two processes that take turns, every case once a round; medians and quartiles of the rounds."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from . import instructions
from .workloads import Sizes

ROOT = Path(__file__).resolve().parent.parent


class Value(NamedTuple):
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Value:
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a part of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


def environment(pure: bool = False) -> dict[str, str]:
    """For processes of this package, wherever they are started from."""
    path = os.pathsep.join((str(ROOT), *filter(None, (os.environ.get("PYTHONPATH"),))))
    return {**os.environ, "PYTHONPATH": path, "OBJECTSTREAMING_PURE": "1" if pure else "0"}


class Process:
    """A module of this package, run as a process that answers a line of JSON with a line of JSON."""

    def __init__(self, module: str, *arguments: str, environment: dict[str, str], before: Sequence[str] = ()) -> None:
        self._name = module
        self._process = subprocess.Popen(
            [*before, sys.executable, "-m", f"benchmarks.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self.hello = self.hear()

    def hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"benchmarks.{self._name} ended with {self._process.wait()}")
        return json.loads(line)

    def ask(self, question: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self.hear()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Codecs(NamedTuple):
    """What was measured; a key is `column/operation/workload/chunking/contender`, and a column `native` or `pure`."""

    times: dict[str, list[float]]
    """Nanoseconds a message, one for each round."""
    instructions: dict[str, float]
    """Instructions a message; empty where they could not be counted."""
    absent: dict[str, str]
    contenders: dict[str, dict[str, Any]]
    rounds: int

    def value(self, column: str, case: str) -> Value | None:
        times = self.times.get(f"{column}/{case}")
        return None if times is None else Value.of(times)

    def counted(self, column: str, case: str) -> float | None:
        return self.instructions.get(f"{column}/{case}")

    def ratio(self, column: str, case: str, over: str, over_column: str | None = None) -> Value | None:
        """How many times as long `over` takes; the median of the rounds' ratios."""
        mine = self.times.get(f"{column}/{case}")
        theirs = self.times.get(f"{over_column or column}/{over}")
        if mine is None or theirs is None:
            return None
        return Value.of([their / my for my, their in zip(mine, theirs, strict=True)])

    def counted_ratio(self, column: str, case: str, over: str, over_column: str | None = None) -> float | None:
        """How many times as many instructions `over` takes."""
        mine, theirs = self.counted(column, case), self.counted(over_column or column, over)
        return theirs / mine if mine and theirs else None


class Options(NamedTuple):
    """What a worker is to measure."""

    sizes: Sizes
    rows: list[str]
    """How the keys begin that are wanted, `-` for `/`; empty: all."""
    peers: bool
    count: str | None = None
    """The library with which `instructions.py` counts; None: nanoseconds."""


def cases(column: str, hello: dict[str, Any]) -> dict[str, int]:
    """Key -> messages of a worker. Without a native codec, its process measures the peers and the original alone."""
    others = {name for name, about in hello["contenders"].items() if about["kind"] != "ours"}
    messages: dict[str, int] = hello["messages"]
    if hello["codec"] == column:
        return messages
    return {key: count for key, count in messages.items() if key.split("/", 3)[3] in others}


def worker(column: str, options: Options, library: str | None = None, before: Sequence[str] = ()) -> Process:
    """The pure one has no peers: they would be the same as beside the native one."""
    wanted = options._replace(peers=options.peers and column == "native", count=library)._asdict()
    fixed = instructions.FIXED if library else {}
    around = {**environment(pure=column == "pure"), **fixed}
    return Process("worker", json.dumps(wanted), environment=around, before=before)


def run(options: Options, seconds: float, least_rounds: int) -> Codecs:
    """Rounds for `seconds`, and at least so many."""
    with worker("native", options) as native, worker("pure", options) as pure:
        found = [
            (column, process, key, count)
            for column, process in (("native", native), ("pure", pure))
            for key, count in cases(column, process.hello).items()
        ]
        found.sort(key=lambda one: one[2])  # the columns beside each other
        for _, process, key, _ in found:  # to warm caches, and processors
            process.ask(key)
        times: dict[str, list[float]] = {f"{column}/{key}": [] for column, _, key, _ in found}
        done = 0
        since = time.monotonic()
        while done < least_rounds or time.monotonic() - since < seconds:
            for column, process, key, count in found:
                times[f"{column}/{key}"].append(process.ask(key) / count)
            done += 1
        absent = native.hello["absent"] | {f"{name}, pure": why for name, why in pure.hello["absent"].items()}
        if native.hello["codec"] != "native":
            absent["ours, native"] = "the C extensions are not built for this Python: python setup.py build_ext -i"
        return Codecs(times, {}, absent, native.hello["contenders"], done)


def count(options: Options) -> tuple[dict[str, float], dict[str, str]]:
    """Instructions a message by `column/key`, both columns at once; and why some or all are absent."""
    counts: dict[str, float] = {}
    absent: dict[str, str] = {}

    def column(name: str) -> None:
        try:
            with (
                instructions.callgrind() as (before, library),
                worker(name, options, library, before) as process,
            ):
                for key, messages in cases(name, process.hello).items():
                    counts[f"{name}/{key}"] = process.ask(key) / messages
        except instructions.Absent as error:
            absent["instructions"] = str(error)
        except RuntimeError as error:
            absent[f"instructions, {name}"] = str(error)

    with ThreadPoolExecutor() as threads:
        list(threads.map(column, ("native", "pure")))
    return counts, absent
