"""One testee through the levels."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .cases import load_cases, requests
from .comparing import Mismatch, compare, compare_fetched
from .door import Door
from .fetching import CASES, FetchCase, check_request
from .reference import reference_cases, serve_reference
from .report import CaseResult, Report, Status
from .testee import SILENCE, Broken, CannotRun, Testee

__all__ = ["check"]

_FETCHING: Final = 3
"""How many processes of a testee fetch at a time: most of the time of level 2 is spent waiting for silences."""


def check(
    command: Sequence[str],
    *,
    vectors: Path | None = None,
    cwd: Path | None = None,
    only: str = "",
    known_failing: Collection[str] = (),
    silence: float = SILENCE,
    stop_at_first_failure: bool = False,
    stages: Collection[int] = (1, 2),
) -> Report:
    """Try `command` at level 1, and, if it has the op `fetch`, at level 2; and report.

    `only`: the beginning of the ids to try. `known_failing`: ids that are expected to fail. `silence`: seconds.
    `stages`: the levels to try. Raises `CannotRun` if the testee does not start or does not answer `hello`.
    """
    cases = load_cases(vectors)
    fetched = [*CASES, *reference_cases()]
    unknown = set(known_failing) - {case["id"] for case in cases} - {case.id for case in fetched}
    if unknown:
        raise CannotRun(f"the known-failing list names cases that are none: {', '.join(sorted(unknown))}")
    cases = [case for case in cases if case["id"].startswith(only) and 1 in stages]
    fetched = [case for case in fetched if case.id.startswith(only) and 2 in stages]
    return asyncio.run(_check(command, cases, fetched, cwd, known_failing, silence, stop_at_first_failure))


async def _check(
    command: Sequence[str],
    cases: Sequence[Mapping[str, Any]],
    fetched: Sequence[FetchCase],
    cwd: Path | None,
    known_failing: Collection[str],
    silence: float,
    stop_at_first_failure: bool,
) -> Report:
    with tempfile.TemporaryFile("a+b") as stderr:
        testee = Testee(command, cwd, silence, stderr)
        try:
            await testee.start()
            features = testee.hello.get("features")
            if not isinstance(features, str):
                raise CannotRun(f"hello names no features: {testee.hello!s:.200}")
            report = Report(str(testee.hello.get("name", "")), frozenset(features.split()))
            for case in cases:
                status, why = await _try(testee, case, report.features)
                known = case["id"] in known_failing
                report.results.append(
                    CaseResult(case["id"], case["spec"], case["requirement"], case["level"], status, why, known)
                )
                if stop_at_first_failure and status == "failed":
                    return report
            if fetched and "fetch" in report.features:
                fetching = _Fetching(command, cwd, silence, report.features, stop_at_first_failure)
                report.results += await fetching.run(fetched, known_failing, testee)
                report.restarts += fetching.restarts
        finally:
            await testee.stop()
        report.restarts += testee.starts - 1
        return report


async def _try(testee: Testee, case: Mapping[str, Any], features: Collection[str]) -> tuple[Status, str]:
    missing = sorted({case["op"], *case["flags"]} - set(features))
    if missing:
        return "skipped", f"it has no {', '.join(missing)}"
    ways = list(requests(case))
    replies: list[dict[str, Any]] = []
    broken = ""
    try:
        await testee.ask([request for _, _, request in ways], replies)
    except Broken as error:
        broken = str(error)
    for (name, sizes, _), reply in zip(ways, replies, strict=False):
        if "skipped" in reply:
            return "skipped", str(reply["skipped"])
        try:
            compare(case, sizes, reply)
        except Mismatch as error:
            return "failed", f"{name}: {error}" if name else str(error)
    if broken:
        name = ways[len(replies)][0]
        return "failed", f"{name}: {broken}" if name else broken
    return "passed", ""


class _Fetching:
    """Level 2 of one testee: several processes of it take cases, those that wait long first."""

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path | None,
        silence: float,
        features: Collection[str],
        stop_at_first_failure: bool,
    ) -> None:
        self._command = command
        self._cwd = cwd
        self._silence = silence
        self._features = features
        self._stop_at_first_failure = stop_at_first_failure
        self._app = ""
        self.restarts = 0

    async def run(self, cases: Sequence[FetchCase], known_failing: Collection[str], first: Testee) -> list[CaseResult]:
        waiting = sorted(cases, key=lambda case: not case.slow)
        found: dict[str, tuple[Status, str]] = {}
        async with Door() as door:
            with contextlib.ExitStack() as stack:
                if any(way.app for case in cases for way in case.ways):
                    with contextlib.suppress(ImportError):
                        self._app = stack.enter_context(serve_reference())
                others = [stack.enter_context(tempfile.TemporaryFile("a+b")) for _ in cases[1:_FETCHING]]
                testees = [first, *(Testee(self._command, self._cwd, self._silence, stderr) for stderr in others)]
                try:
                    await asyncio.gather(*(self._work(testee, door, waiting, found) for testee in testees))
                finally:
                    for testee in testees[1:]:
                        await testee.stop()
                        self.restarts += max(0, testee.starts - 1)
        return [
            CaseResult(case.id, case.spec, case.requirement, case.level, *found[case.id], case.id in known_failing)
            for case in cases
            if case.id in found
        ]

    async def _work(
        self, testee: Testee, door: Door, waiting: list[FetchCase], found: dict[str, tuple[Status, str]]
    ) -> None:
        while waiting:
            case = waiting.pop(0)
            found[case.id] = await self._try(testee, door, case)
            if self._stop_at_first_failure and found[case.id][0] == "failed":
                waiting.clear()

    async def _try(self, testee: Testee, door: Door, case: FetchCase) -> tuple[Status, str]:
        missing = sorted(set(case.flags) - set(self._features))
        if missing:
            return "skipped", f"it has no {', '.join(missing)}"
        if case.ways[0].app and not self._app:
            return "skipped", "the runner has no reference app: install objectstreaming[server]"
        replies: list[dict[str, Any]] = []
        broken = ""
        try:
            await testee.ask([self._request(door, case, number) for number in range(len(case.ways))], replies)
        except Broken as error:
            broken = str(error)
        for number, (way, reply) in enumerate(zip(case.ways, replies, strict=False)):
            if "skipped" in reply:  # what it cannot do, its features say
                return "failed", f"{way.name}: it says that it has fetch, and skipped this: {reply['skipped']!s:.100}"
            try:
                compare_fetched(way.coder, way.verdicts, reply)
                if way.play is not None:
                    check_request(way, door.seen.get(_path(case, number), ()))
            except Mismatch as error:
                return "failed", f"{way.name}: {error}" if way.name else str(error)
        if broken:
            name = case.ways[len(replies)].name
            return "failed", f"{name}: {broken}" if name else broken
        return "passed", ""

    def _request(self, door: Door, case: FetchCase, number: int) -> dict[str, Any]:
        way = case.ways[number]
        if way.play is None:
            return way.request(self._app + way.app)
        return way.request(door.open(_path(case, number), way.play))


def _path(case: FetchCase, number: int) -> str:
    return f"/{case.id}/{number}"
