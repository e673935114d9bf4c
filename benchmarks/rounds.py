"""The rounds: two processes that take turns, every contender once a round; then medians, quartiles and ratios."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

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
        """Half the distance of the quartiles, as a part of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


def environment(pure: bool = False) -> dict[str, str]:
    """For processes of this package, wherever they are started from."""
    path = os.pathsep.join((str(ROOT), *filter(None, (os.environ.get("PYTHONPATH"),))))
    return {**os.environ, "PYTHONPATH": path, "OBJECTSTREAMING_PURE": "1" if pure else "0"}


class Process:
    """A module of this package, run as a process that answers a line of JSON with a line of JSON."""

    def __init__(self, module: str, *arguments: str, pure: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(pure),
            text=True,
        )
        self.hello = self.hear()

    def hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args[2]} ended with {self._process.wait()}")  # type: ignore[index]
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
    """Nanoseconds a message of each case, round by round; keys are `column/operation/workload/chunking/contender`."""

    times: dict[str, list[float]]
    absent: dict[str, str]
    contenders: dict[str, dict[str, Any]]
    rounds: int
    seconds: float

    def value(self, column: str, case: str) -> Value | None:
        times = self.times.get(f"{column}/{case}")
        return None if times is None else Value.of(times)

    def ratio(self, column: str, case: str, over: str, over_column: str | None = None) -> Value | None:
        """How many times as long `over` takes: more than 1, and `case` is the quicker. Round by round."""
        mine = self.times.get(f"{column}/{case}")
        theirs = self.times.get(f"{over_column or column}/{over}")
        if mine is None or theirs is None:
            return None
        return Value.of([their / my for my, their in zip(mine, theirs, strict=True)])


def run(quick: bool, seconds: float) -> Codecs:
    """Rounds for `seconds`, three at least, or two if `quick`."""
    start = time.monotonic()
    flags = ["--quick"] if quick else []
    with Process("worker", *flags, "--peers") as native, Process("worker", *flags, pure=True) as pure:
        columns = {"native": native, "pure": pure}
        built = native.hello["codec"] == "native"  # if not, this process measures the peers and the original alone
        ours = {name for name, about in native.hello["contenders"].items() if about["kind"] == "ours"}
        cases = [
            (column, key, count)
            for key, count in native.hello["messages"].items()
            for column, process in columns.items()
            if key in process.hello["messages"]
            and (built or column == "pure" or not (key.startswith("step/") or key.split("/", 3)[3] in ours))
        ]
        times: dict[str, list[float]] = {f"{column}/{key}": [] for column, key, _ in cases}
        for column, key, _ in cases:  # to warm caches, and processors
            columns[column].ask(key)
        done = 0
        since = time.monotonic()
        while done < (2 if quick else 3) or time.monotonic() - since < seconds:
            for column, key, count in cases:
                times[f"{column}/{key}"].append(columns[column].ask(key) / count)
            done += 1
        absent = dict(native.hello["absent"])
        if not built:
            absent["ours, native"] = (
                "objectstreaming/_native was not built for this Python: python setup.py build_ext -i"
            )
        return Codecs(times, absent, native.hello["contenders"], done, time.monotonic() - start)
