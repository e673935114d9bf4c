"""The runner: tries one program on the cases of all levels.

A case is one or more requests, which are sent to the program all at once, and a check of each answer. A program that
crashes, hangs or writes something that is no answer fails the case, and is started again for the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..testing import Connection, RawServer
from .app_cases import APP_CASES
from .cases import load_cases, requests
from .compare import Mismatch, compare
from .http_behaviours import whole
from .http_cases import CASES, HttpCase, Tried
from .program import SILENCE, CannotRun, Program, ProgramFailed
from .report import CaseResult, Report, Status, stage_of
from .resume_cases import RESUME_CASES

__all__ = ["check"]

_PROCESSES: Final = 3
"""How many processes of a program take cases of levels 2 and 3 at a time: most of their time is spent waiting."""

_OPS: Final = {2: "fetch", 3: "resume"}
"""The feature that a program needs to be tried at a level."""


def check(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    app: str = "",
    only: str = "",
    known_failing: Collection[str] = (),
    silence: float = SILENCE,
    stop_at_first_failure: bool = False,
    stages: Collection[int] = (1, 2, 3),
    tried: Callable[[int, int], object] = lambda number, of: None,
) -> Report:
    """Try the program `command`, which runs in `cwd`: at level 1, at level 2 if it has the feature `fetch`, and at
    level 3 if it has `resume`.

    `app`: the URL, without a path, where the reference application is served as `app_cases` says; without it those
    cases are skipped. `only`: the beginning of the ids to try. `known_failing`: ids that are expected to fail.
    `silence`: seconds without an answer after which the program counts as hung. `stages`: the levels to try.
    `tried`: is called after each case, with how many were tried, and of how many.

    Raises `CannotRun` if the program does not start or does not answer `hello`, if an id of `known_failing` is
    unknown, or if there is no case to try: then nothing could have failed.
    """
    cases, http_cases = load_cases(), [*CASES, *APP_CASES, *RESUME_CASES]
    unknown = set(known_failing) - {case["id"] for case in cases} - {case.id for case in http_cases}
    if unknown:
        raise CannotRun(f"the known-failing list names cases that do not exist: {', '.join(sorted(unknown))}")
    cases = [case for case in cases if case["id"].startswith(only) and 1 in stages]
    http_cases = [case for case in http_cases if case.id.startswith(only) and stage_of(case.id) in stages]
    return asyncio.run(
        _check(command, cwd, silence, cases, http_cases, app, known_failing, stop_at_first_failure, tried)
    )


async def _check(
    command: Sequence[str],
    cwd: Path | None,
    silence: float,
    cases: Sequence[Mapping[str, Any]],
    http_cases: Sequence[HttpCase],
    app: str,
    known_failing: Collection[str],
    stop_at_first_failure: bool,
    tried: Callable[[int, int], object],
) -> Report:
    async with contextlib.AsyncExitStack() as stack:
        programs = [await stack.enter_async_context(Program(command, cwd, silence))]
        await programs[0].start()
        report = Report(programs[0].name, programs[0].features)

        def add(id: str, spec: str, requirement: str, level: str, outcome: Outcome) -> None:
            report.results.append(CaseResult(id, spec, requirement, level, *outcome, id in known_failing))

        http_cases = [case for case in http_cases if _OPS[stage_of(case.id)] in report.features]
        count = len(cases) + len(http_cases)
        if not count:
            raise CannotRun(
                "there is no case to try: no id begins so, or all those need a feature that it does not have"
            )
        for number, case in enumerate(cases, 1):
            outcome = await _try_codec_case(programs[0], case, report.features)
            tried(number, count)
            add(case["id"], case["spec"], case["requirement"], case["level"], outcome)
            if stop_at_first_failure and outcome[0] == "failed":
                http_cases = ()
                break
        if http_cases:
            for _ in http_cases[1:_PROCESSES]:
                programs.append(await stack.enter_async_context(Program(command, cwd, silence)))  # noqa: PERF401
            outcomes = await _try_http_cases(
                programs,
                http_cases,
                report.features,
                app,
                stop_at_first_failure,
                lambda number: tried(len(cases) + number, count),
            )
            for http_case in http_cases:
                if http_case.id in outcomes:
                    outcome = outcomes[http_case.id]
                    add(http_case.id, http_case.spec, http_case.requirement, http_case.level, outcome)
        report.restarts = sum(max(0, program.starts - 1) for program in programs)
        return report


Outcome = tuple[Status, str]
"""How a case went, and why it failed, at first too, or was skipped."""


class _Try(NamedTuple):
    """One request of a case. `check` raises `Mismatch` if the reply is wrong."""

    name: str
    request: Mapping[str, Any]
    check: Callable[[Mapping[str, Any]], None]


async def _try(program: Program, tries: Sequence[_Try], *, may_skip: bool) -> Outcome:
    replies: list[dict[str, Any]] = []
    failure = ""
    try:
        await program.ask([one.request for one in tries], replies)
    except ProgramFailed as error:
        failure = str(error)
    for one, reply in zip(tries, replies, strict=False):
        if may_skip and "skipped" in reply:
            return "skipped", str(reply["skipped"])
        try:
            one.check(reply)
        except Mismatch as error:
            return _failed(one, str(error))
    return _failed(tries[len(replies)], failure) if failure else ("passed", "")


def _failed(one: _Try, why: str) -> Outcome:
    return "failed", f"{one.name}: {why}" if one.name else why


def _lacks(needed: Iterable[str], features: Collection[str]) -> str:
    missing = sorted(set(needed) - set(features))
    return f"it has no {', '.join(missing)}" if missing else ""


async def _try_codec_case(program: Program, case: Mapping[str, Any], features: Collection[str]) -> Outcome:
    if lacks := _lacks([case["op"], *case["flags"]], features):
        return "skipped", lacks
    tries = [_Try(name, request, partial(compare, case, sizes)) for name, sizes, request in requests(case)]
    return await _try(program, tries, may_skip=True)


async def _try_http_cases(
    programs: Sequence[Program],
    cases: Sequence[HttpCase],
    features: Collection[str],
    app: str,
    stop_at_first_failure: bool,
    tried: Callable[[int], object],
) -> dict[str, Outcome]:
    """The outcome of each case, by its id. Several programs take them, those that wait for long first."""
    waiting = sorted(cases, key=lambda case: not case.slow)
    outcomes: dict[str, Outcome] = {}
    ways: dict[str, Tried] = {}
    requests: defaultdict[str, list[Connection]] = defaultdict(list)

    def respond(connection: Connection) -> None:
        path = "/".join(connection.path.partition("?")[0].split("/")[:4])  # /suite/case/number, and what is below it
        requests[path].append(connection)
        if path in ways:
            ways[path].respond(connection, len(requests[path]) - 1)
        else:
            _NOT_FOUND(connection)

    def one_try(url: str, path: str, way: Tried) -> _Try:
        if way.app:
            return _Try(way.name, way.request(app + way.app), partial(_check_http, way, ()))
        ways[path] = way
        return _Try(way.name, way.request(url + path), partial(_check_http, way, requests[path]))

    async def try_case(program: Program, case: HttpCase, first: int) -> Outcome:
        tries = [one_try(url, f"/{case.id}/{number}", way) for number, way in enumerate(case.ways, first)]
        return await _try(program, tries, may_skip=False)

    async def take_cases(program: Program) -> None:
        while waiting:
            case = waiting.pop(0)
            lacks = _lacks(case.flags, features)
            if not lacks and not app and any(way.app for way in case.ways):
                lacks = "no reference application is served"
            if lacks:
                outcomes[case.id] = "skipped", lacks
                continue
            outcome = await try_case(program, case, 0)
            if outcome[0] == "failed" and case.slow:  # on a busy machine something may have been late
                status, why = await try_case(program, case, len(case.ways))
                outcome = status, why or f"failed at first: {outcome[1]}"
            outcomes[case.id] = outcome
            tried(len(outcomes))
            if stop_at_first_failure and outcomes[case.id][0] == "failed":
                waiting.clear()

    with RawServer(respond) as server:
        url = server.url.rstrip("/")
        await asyncio.gather(*map(take_cases, programs))
    return outcomes


_NOT_FOUND: Final = whole(b"", "404 Not Found", "")


def _check_http(way: Tried, requests: Sequence[Connection], reply: Mapping[str, Any]) -> None:
    if "skipped" in reply:  # what it cannot do, its features say
        op = way.request("")["op"]
        raise Mismatch(f"it says that it has {op}, and skipped this: {reply['skipped']!s:.100}")
    way.check(reply, requests)
