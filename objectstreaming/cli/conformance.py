"""The conformance runner: tries a program, in any language, against the vectors of spec/conformance (SPEC section 9).

**Theory of operation.** The program, the testee, speaks JSON lines on its standard input and output; the protocol is
in spec/conformance/README.md. A case is a wire and a verdict. The runner makes the chunkings of the wire itself, asks
for all of a case's at once (so that a testee which answers line by line runs at full speed), and compares each answer
with the verdict: frames, error, and that the error was out by the byte that gave it away. A testee that crashes, keeps
silent or talks nonsense fails the case it was at, and is started anew for the next one.

`check` gives a typed `Report`; `run` prints it and gives an exit status.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shlex
import signal
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, Final, Literal, TextIO

__all__ = ["CannotRun", "CaseResult", "Mismatch", "Report", "check", "chunkings", "load_cases", "load_testees", "run"]

LEVELS: Final = ("must", "should", "may")
SILENCE: Final = 5.0
"""Seconds without an answer after which a testee is taken for hung."""

_EVERY_CUT: Final = 128  # bytes up to which a wire is cut in two at every place
_BYTEWISE: Final = 2048  # bytes up to which it is fed byte by byte
_LARGE: Final = 100_000  # bytes from which on few chunkings must do
_LONGEST_LINE: Final = 256 * 1024 * 1024
_ROOT: Final = Path(__file__).resolve().parents[2]

Status = Literal["passed", "failed", "skipped"]


class CannotRun(Exception):
    """The testee cannot be run at all: it does not start, or does not answer `hello`."""


class Mismatch(Exception):
    """An answer that is not the one the case wants; the text says how."""


class _Broken(Exception):
    """The testee crashed, hung, or talked nonsense: it must be started anew."""


@dataclass(frozen=True)
class CaseResult:
    """How one case went; `why` is empty for a passed one, `known` says that it was expected to fail."""

    id: str
    spec: str
    requirement: str
    level: str
    status: Status
    why: str = ""
    known: bool = False

    @property
    def suite(self) -> str:
        return self.id.partition("/")[0]


@dataclass
class Report:
    """How a testee went through the suites."""

    name: str
    features: frozenset[str]
    results: list[CaseResult] = field(default_factory=list)
    restarts: int = 0

    def count(self, status: Status, *, suite: str | None = None, level: str | None = None) -> int:
        return sum(
            result.status == status and suite in (None, result.suite) and level in (None, result.level)
            for result in self.results
        )

    @property
    def failures(self) -> list[CaseResult]:
        """Failed cases that were not known to fail."""
        return [result for result in self.results if result.status == "failed" and not result.known]

    @property
    def surprises(self) -> list[CaseResult]:
        """Cases of the known-failing list that passed: the list must be brought up to date."""
        return [result for result in self.results if result.status == "passed" and result.known]

    def ok(self, *, strict: bool = False) -> bool:
        """Whether it conforms: no unknown failure of level must (`strict`: of any level), and no surprise."""
        return not self.surprises and not any(strict or result.level == "must" for result in self.failures)

    def table(self) -> str:
        """A row a suite, a column a level: passed of tried; then what was skipped."""
        rows: list[tuple[str, ...]] = [("suite", *LEVELS, "skipped")]
        suites = list(dict.fromkeys(result.suite for result in self.results))
        for suite in [*suites, None]:
            cells = []
            for level in LEVELS:
                passed = self.count("passed", suite=suite, level=level)
                tried = passed + self.count("failed", suite=suite, level=level)
                cells.append(f"{passed}/{tried}" if tried else "-")
            rows.append((suite or "total", *cells, str(self.count("skipped", suite=suite) or "-")))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            row[0].ljust(widths[0])
            + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            for row in rows
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


# ------------------------------------------------------------------------------------------------ what is tried


def load_cases(vectors: Path | None = None) -> list[dict[str, Any]]:
    """The cases of every suite of the manifest, each with its `op`, in order.

    `vectors` is the directory of manifest.json: spec/conformance of the checkout, or of the working directory.
    """
    directory = _directory(vectors)
    manifest = json.loads((directory / "manifest.json").read_bytes())
    cases: list[dict[str, Any]] = []
    for listed in manifest["suites"]:
        suite = json.loads((directory / listed["file"]).read_bytes())
        for case in suite["cases"]:
            parts = case.get("wire", ())
            case["op"] = suite["op"]
            case["bytes"] = b"".join(_part(part, directory / "vectors") for part in parts)
            cases.append(case)
    return cases


def load_testees(vectors: Path | None = None) -> dict[str, list[str]]:
    """Name -> command line of each testee that testees.json names; they are run from the project's root."""
    listed = json.loads((_directory(vectors) / "testees.json").read_bytes())
    return {name: shlex.split(command) for name, command in listed.items()}


def _directory(vectors: Path | None) -> Path:
    candidates = [vectors] if vectors else [_ROOT / "spec" / "conformance", Path("spec/conformance").resolve()]
    for directory in candidates:
        if (directory / "manifest.json").is_file():
            return directory
    raise CannotRun(f"no vectors: {candidates[-1]} has no manifest.json; they are in spec/conformance of a checkout")


def _part(part: Any, directory: Path) -> bytes:
    if isinstance(part, str):
        return bytes.fromhex(part)
    if "file" in part:
        return (directory / str(part["file"])).read_bytes()
    return bytes.fromhex(part["repeat"]) * int(part["times"])


def _bytes(parts: Any) -> bytes:
    """Hex, or a list of parts."""
    return _part(parts, _ROOT) if isinstance(parts, str) else b"".join(_part(part, _ROOT) for part in parts)


def chunkings(wire: bytes, seed: str = "") -> Iterator[tuple[str, list[bytes]]]:
    """Ways to cut a wire, each with a name: whole, bytewise, every cut, with empty chunks, at random places.

    >>> [name for name, chunks in chunkings(b"abc")]
    ['whole', 'bytewise', 'cut at 1', 'cut at 2', 'empty chunks', 'random 1', 'random 2', 'random 3']
    """
    yield "whole", [wire]
    size = len(wire)
    if size < 2:
        yield "no chunks" if not wire else "bytewise", [wire] if wire else []
        yield "empty chunks", [b"", b"", wire, b""]
        return
    chance = random.Random(f"{seed}:{size}")  # noqa: S311 - it must be the same on every run
    if size >= _LARGE:
        for step in (1460, 65_536):
            yield f"chunks of {step}", [wire[at : at + step] for at in range(0, size, step)]
        return
    if size <= _BYTEWISE:
        yield "bytewise", [wire[at : at + 1] for at in range(size)]
    cuts: Iterable[int] = range(1, size)
    if size > _EVERY_CUT:
        cuts = sorted({1, 3, 4, 7, 8, 9, size - 1, *(chance.randrange(1, size) for _ in range(25))})
    for cut in cuts:
        yield f"cut at {cut}", [wire[:cut], wire[cut:]]
    middle = size // 2
    yield "empty chunks", [b"", wire[:1], b"", wire[1:middle], b"", b"", wire[middle:], b""]
    for number in (1, 2, 3):
        places = sorted(chance.randrange(size + 1) for _ in range(min(size, 3 * number)))
        yield f"random {number}", [wire[a:b] for a, b in zip([0, *places], [*places, size], strict=True)]


def _requests(case: Mapping[str, Any]) -> Iterator[tuple[str, list[int], dict[str, Any]]]:
    """Each way to try a case: its name, the sizes of its chunks, and the request."""
    request: dict[str, Any] = {"op": case["op"]}
    limits = case.get("limits", {})
    request |= {f"max_{name}": limit for name, limit in limits.items()}
    request |= case.get("layout", {})
    if "coder" in case:
        request["coder"] = case["coder"]
    if "require_end" in case:
        request["require_end"] = "yes" if case["require_end"] else "no"
    if case["op"] == "encode":
        yield "", [], {**request, "header": _bytes(case["header"]).hex(), "payload": _bytes(case["payload"]).hex()}
        return
    for name, chunks in chunkings(case["bytes"], case["id"]):
        words = " ".join(chunk.hex() or "-" for chunk in chunks)
        yield name, [len(chunk) for chunk in chunks], {**request, "chunks": words}


# ------------------------------------------------------------------------------------------------ what is compared


def _compare(case: Mapping[str, Any], sizes: Sequence[int], reply: Mapping[str, Any]) -> None:
    """Raises `Mismatch` if the reply is not what the case expects."""
    expect = case["expect"]
    if case["op"] == "encode":
        _compare_encoded(case, expect, reply)
        return
    got = _text(reply, "frames").split()
    wanted = expect["frames"]
    for index, (item, word) in enumerate(zip(wanted, got, strict=False)):
        _compare_frame(case.get("coder"), item, word, index)
    if len(got) != len(wanted):
        raise Mismatch(f"{len(got)} frames, wanted {len(wanted)}")
    _compare_error(expect.get("error"), _text(reply, "error"), sizes)
    if case["op"] == "stream":
        _compare_stream(expect, reply)


def _text(reply: Mapping[str, Any], name: str) -> str:
    value = reply.get(name)
    if not isinstance(value, str):
        raise Mismatch(f"the answer has no string {name!r}: {dict(reply)!s:.200}")
    return value


def _compare_frame(coder: str | None, wanted: Mapping[str, Any], got: str, index: int) -> None:
    if "refused" in wanted:
        mark = f"!{wanted['index']}:{wanted['offset']}"
        if got != mark:
            raise Mismatch(f"item {index}: wanted {mark}, the payload refused, got {got:.60}")
        return
    header, colon, payload = got.partition(":")
    if not colon:
        raise Mismatch(f"item {index}: wanted a frame, header:payload, got {got:.60}")
    found = _json(_unhex(header, f"header {index}"), f"header {index}")
    value = wanted["header"]
    if isinstance(value, list):
        value = json.loads(_bytes(value))
    if not _same(value, found):
        raise Mismatch(f"header {index} is {found!s:.100}, wanted {value!s:.100}")
    data = _unhex(payload, f"payload {index}")
    if "json" in wanted:
        if not _same(wanted["json"], _json(data, f"payload {index}")):
            raise Mismatch(f"payload {index} is {data[:60]!r}, wanted the JSON {json.dumps(wanted['json']):.100}")
        return
    expected = _bytes(wanted["payload"])
    if data != expected and not (coder == "msgpack" and _same_msgpack(expected, data)):
        raise Mismatch(
            f"payload {index} is {len(data)} bytes, {data[:30].hex()}, wanted {len(expected)}, {expected[:30].hex()}"
        )


def _compare_error(wanted: Mapping[str, Any] | None, got: str, sizes: Sequence[int]) -> None:
    if wanted is None:
        if got:
            raise Mismatch(f"wanted no error, got {got:.60}")
        return
    if not got:
        raise Mismatch(f"wanted {wanted['code']}, got no error")
    words = got.split()
    if len(words) != 4:
        raise Mismatch(f"an error is 'code index offset fed', got {got:.60}")
    code, index, offset, fed = words
    if code != wanted["code"]:
        raise Mismatch(f"wanted {wanted['code']}, got {code:.60}")
    for name, word in (("index", index), ("offset", offset)):
        if name in wanted and word != str(wanted[name]):
            raise Mismatch(f"{code}: wanted {name} {wanted[name]}, got {word:.30}")
    if not fed.isdecimal():
        raise Mismatch(f"{code}: the bytes fed are a number, got {fed:.30}")
    # The error must be out once the chunk with that byte was fed.
    by = next((total for total in accumulate(sizes) if total >= wanted["by"]), sum(sizes))
    if int(fed) > by:
        raise Mismatch(f"{code}: out after {fed} bytes, byte {wanted['by']} gave it away")


def _compare_stream(expect: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
    if _text(reply, "end") != expect["end"]:
        raise Mismatch(f"wanted the end {expect['end']}, got {reply['end']:.60}")
    if "position" in expect and reply.get("position") != expect["position"]:
        raise Mismatch(f"wanted the position {expect['position']}, got {reply.get('position')!s:.30}")
    if "trailers" in expect:
        trailers = _json(_unhex(_text(reply, "trailers"), "trailers"), "trailers")
        if not _same(expect["trailers"], trailers):
            raise Mismatch(f"wanted the trailers {expect['trailers']}, got {trailers!s:.100}")
        message = _unhex(_text(reply, "message"), "message").decode(errors="replace")
        if message != expect["message"]:
            raise Mismatch(f"wanted the message {expect['message']!r}, got {message!r:.100}")


def _compare_encoded(case: Mapping[str, Any], expect: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
    if "error" in expect:
        if _text(reply, "error") != expect["error"]["code"]:
            raise Mismatch(f"wanted {expect['error']['code']}, got {reply['error'] or reply.get('wire', '')!r:.100}")
        return
    if reply.get("error"):
        raise Mismatch(f"wanted a frame, got {reply['error']!s:.100}")
    wire = _unhex(_text(reply, "wire"), "wire")
    layout = case.get("layout", {"byte_length": 4, "byte_order": "little"})
    width, order = layout["byte_length"], layout["byte_order"]
    total, size = (int.from_bytes(wire[at : at + width], order) for at in (0, width))
    if total != len(wire):
        raise Mismatch(f"T is {total}, and the frame has {len(wire)} bytes")
    cut = 2 * width + size
    if cut > len(wire):
        raise Mismatch(f"H is {size}, and T {total}")
    header, payload = wire[2 * width : cut], wire[cut:]
    # Any spelling of the same header will do: in T and H it is the testee's own.
    if not _same(json.loads(_bytes(case["header"])), _json(header, "header")):
        raise Mismatch(f"the header is {header[:100]!r}, wanted {_bytes(case['header'])[:100]!r}")
    wanted = _bytes(case["payload"])
    if payload != wanted and not (case.get("coder") == "json" and _same(json.loads(wanted), _json(payload, "payload"))):
        raise Mismatch(
            f"the payload is {len(payload)} bytes, {payload[:30].hex()}, wanted {len(wanted)}, {wanted[:30].hex()}"
        )


def _unhex(text: str, name: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Mismatch(f"{name} is not hex: {text:.60}") from None


def _json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data.decode())
    except ValueError:
        raise Mismatch(f"{name} is not JSON: {data[:60]!r}") from None


def _same(a: Any, b: Any) -> bool:
    """Equal as JSON values: 1 is 1.0, as JavaScript would have it, and neither is true."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(value, b[name]) for name, value in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _same_msgpack(a: bytes, b: bytes) -> bool:
    import msgpack

    try:
        return _same(msgpack.unpackb(a, strict_map_key=False), msgpack.unpackb(b, strict_map_key=False))
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not the same
        return False


# ------------------------------------------------------------------------------------------------ the testee


class _Testee:
    """The program under test, started again after it broke."""

    def __init__(self, command: Sequence[str], cwd: Path | None, silence: float, stderr: IO[bytes]) -> None:
        self._command = command
        self._cwd = cwd
        self._silence = silence
        self._stderr = stderr
        self._process: asyncio.subprocess.Process | None = None
        self._id = 0
        self.starts = 0
        self.hello: dict[str, Any] = {}

    async def start(self) -> None:
        self.starts += 1
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self._stderr,
                cwd=self._cwd,
                limit=_LONGEST_LINE,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotRun(f"{shlex.join(self._command)} does not start: {error}") from None
        replies: list[dict[str, Any]] = []
        try:
            # A compiler or an interpreter may be started first: more patience than later.
            await self._exchange([{"op": "hello", "v": 1}], replies, max(self._silence, 30.0))
        except _Broken as error:
            raise CannotRun(f"{shlex.join(self._command)} does not answer hello: {error}") from None
        self.hello = replies[0]

    async def ask(self, requests: Sequence[Mapping[str, Any]], replies: list[dict[str, Any]]) -> None:
        """Ask all at once; `replies` has what was answered when this raises `_Broken`, the testee then being gone."""
        if self._process is None:
            await self.start()
        await self._exchange(requests, replies, self._silence)

    async def _exchange(
        self, requests: Sequence[Mapping[str, Any]], replies: list[dict[str, Any]], silence: float
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        first = self._id + 1
        self._id += len(requests)
        lines = b"".join(
            json.dumps({"id": first + number, **request}).encode() + b"\n" for number, request in enumerate(requests)
        )
        # Written beside the reading: neither side may wait for the other to make room.
        sending = asyncio.create_task(self._send(process.stdin, lines))
        try:
            for number in range(len(requests)):
                try:
                    line = await asyncio.wait_for(process.stdout.readline(), silence)
                except TimeoutError:
                    raise _Broken(f"silent for {silence:g} s") from None
                except ValueError:
                    raise _Broken("a line longer than any answer") from None
                replies.append(await self._parse(line, first + number))
        except _Broken:
            await self.stop()
            raise
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    @staticmethod
    async def _send(stdin: asyncio.StreamWriter, lines: bytes) -> None:
        with contextlib.suppress(OSError):  # a crash is found by reading
            stdin.write(lines)
            await stdin.drain()

    async def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        if not line.endswith(b"\n"):
            status = await self._status()
            raise _Broken(f"crashed ({status}){self._last_words()}")
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict) or reply.get("id") != number:
            raise _Broken(f"answered request {number} with {line[:80]!r}")
        return reply

    async def _status(self) -> str:
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            return f"exit status {await asyncio.wait_for(self._process.wait(), 1)}"
        return "it closed its output"

    def _last_words(self) -> str:
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - 2000))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1]:.200}" if said else ""

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)  # a wrapper's child too
            else:
                process.kill()
        await process.wait()
        transport = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()


# ------------------------------------------------------------------------------------------------ the run


def check(
    command: Sequence[str],
    *,
    vectors: Path | None = None,
    cwd: Path | None = None,
    only: str = "",
    known_failing: Collection[str] = (),
    silence: float = SILENCE,
    stop_at_first_failure: bool = False,
) -> Report:
    """Try `command` and report.

    `only`: the beginning of the ids to try. `known_failing`: ids that are expected to fail. `silence`: seconds.
    Raises `CannotRun` if the testee does not start or does not answer `hello`.
    """
    cases = [case for case in load_cases(vectors) if case["id"].startswith(only)]
    unknown = set(known_failing) - {case["id"] for case in cases}
    if unknown and not only:
        raise CannotRun(f"the known-failing list names cases that are none: {', '.join(sorted(unknown))}")
    return asyncio.run(_check(command, cases, cwd, known_failing, silence, stop_at_first_failure))


async def _check(
    command: Sequence[str],
    cases: Sequence[Mapping[str, Any]],
    cwd: Path | None,
    known_failing: Collection[str],
    silence: float,
    stop_at_first_failure: bool,
) -> Report:
    with tempfile.TemporaryFile("a+b") as stderr:
        testee = _Testee(command, cwd, silence, stderr)
        try:
            await testee.start()
            features = testee.hello.get("features")
            if not isinstance(features, str):
                raise CannotRun(f"hello names no features: {testee.hello!s:.200}")
            report = Report(str(testee.hello.get("name", "")), frozenset(features.split()))
            for case in cases:
                status, why = await _try(testee, case, report.features)
                report.results.append(
                    CaseResult(
                        case["id"],
                        case["spec"],
                        case["requirement"],
                        case["level"],
                        status,
                        why,
                        case["id"] in known_failing,
                    )
                )
                if stop_at_first_failure and status == "failed":
                    break
        finally:
            await testee.stop()
        report.restarts = testee.starts - 1
        return report


async def _try(testee: _Testee, case: Mapping[str, Any], features: Collection[str]) -> tuple[Status, str]:
    missing = sorted({case["op"], *case["flags"]} - set(features))
    if missing:
        return "skipped", f"it has no {', '.join(missing)}"
    ways = list(_requests(case))
    replies: list[dict[str, Any]] = []
    broken = ""
    try:
        await testee.ask([request for _, _, request in ways], replies)
    except _Broken as error:
        broken = str(error)
    for (name, sizes, _), reply in zip(ways, replies, strict=False):
        if "skipped" in reply:
            return "skipped", str(reply["skipped"])
        try:
            _compare(case, sizes, reply)
        except Mismatch as error:
            return "failed", f"{name}: {error}" if name else str(error)
    if broken:
        name = ways[len(replies)][0]
        return "failed", f"{name}: {broken}" if name else broken
    return "passed", ""


def run(
    command: list[str] | None,
    *,
    all: bool = False,
    vectors: Path | None = None,
    only: str = "",
    known_failing: Path | None = None,
    silence: float = SILENCE,
    strict: bool = False,
    verbose: bool = False,
    out: TextIO | None = None,
) -> int:
    """Try `command`, or our own testee, or with `all` every testee of testees.json; print tables.

    `known_failing`: a file of case ids, one a line, # comments; with `all` it is known-failing/<name>.txt beside
    testees.json, where there is one. Returns 0 if all conform, 1 if one does not, 2 if one could not be run.
    """
    out = out or sys.stdout
    if all and command:
        raise ValueError("either a command, or all")
    worst = 0
    try:
        directory = _directory(vectors)
        testees = load_testees(vectors) if all else {"": command or [sys.executable, str(directory / "testee.py")]}
    except CannotRun as error:
        print(error, file=out)
        return 2
    for name, words in testees.items():
        listed = directory / "known-failing" / f"{name}.txt" if all else known_failing
        try:
            known = _read_list(listed) if listed is not None and (not all or listed.is_file()) else frozenset()
            report = check(
                words,
                vectors=vectors,
                cwd=directory.parents[1] if all else None,
                only=only,
                known_failing=known,
                silence=silence,
            )
        except (CannotRun, OSError) as error:
            print(f"{name or 'testee'}: {error}\n", file=out)
            worst = 2
            continue
        print(_render(report, strict=strict, verbose=verbose), file=out)
        if not report.ok(strict=strict):
            worst = max(worst, 1)
    return worst


def _read_list(path: Path) -> frozenset[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return frozenset(line for line in lines if line)


def _render(report: Report, *, strict: bool, verbose: bool) -> str:
    lines = [f"{report.name}: {' '.join(sorted(report.features))}", "", report.table(), ""]
    shown = report.failures if verbose else report.failures[:20]
    for result in shown:
        lines += [
            f"FAILED {result.id} (section {result.spec}, {result.level}): {result.why}",
            f'    "{result.requirement}"',
        ]
    if len(shown) < len(report.failures):
        lines.append(f"... and {len(report.failures) - len(shown)} more failures")
    lines += [f"PASSED, though known to fail: {result.id}: take it off the list" for result in report.surprises]
    known = sum(result.known and result.status == "failed" for result in report.results)
    notes = [f"{known} known failures"] * bool(known) + [f"started anew {report.restarts} times"] * bool(
        report.restarts
    )
    verdict = "conforms" if report.ok(strict=strict) else "does NOT conform"
    lines.append(f"{report.name} {verdict}" + (f" ({', '.join(notes)})" if notes else ""))
    return "\n".join(lines) + "\n"
