"""The implementation under test as a process: it answers each line on its standard input with a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

__all__ = ["SILENCE", "CannotRun", "Program", "ProgramFailed"]

SILENCE: Final = 5.0
"""Seconds without an answer after which a program counts as hung."""

_START_SILENCE: Final = 30.0  # `hello` waits for a compiler or an interpreter to start
_LONGEST_LINE: Final = 256 * 1024 * 1024


class CannotRun(Exception):
    """The suite cannot be run: the program does not start, does not answer `hello`, or a file is missing."""


class ProgramFailed(Exception):
    """The program crashed, hung, or wrote something that is no answer. It has been stopped."""


class Program:
    """The process of an implementation under test: started at the first request, and again after it failed.

    It is stopped when the `async with` block ends.
    """

    def __init__(self, command: Sequence[str], cwd: Path | None = None, silence: float = SILENCE) -> None:
        self._command = command
        self._cwd = cwd
        self._silence = silence
        self._process: asyncio.subprocess.Process | None = None
        self._id = 0
        self.starts = 0
        self.name = ""
        self.features: frozenset[str] = frozenset()

    async def __aenter__(self) -> Program:
        self._stderr = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed by __aexit__
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()
        self._stderr.close()

    async def start(self) -> None:
        """Start the process and ask it `hello`. Raises `CannotRun`."""
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
            await self._exchange([{"op": "hello", "v": 1}], replies, max(self._silence, _START_SILENCE))
        except ProgramFailed as error:
            raise CannotRun(f"{shlex.join(self._command)} does not answer hello: {error}") from None
        features = replies[0].get("features")
        if not isinstance(features, str):
            await self._stop()
            raise CannotRun(f"hello names no features: {replies[0]!s:.200}")
        self.name, self.features = str(replies[0].get("name", "")), frozenset(features.split())

    async def ask(self, requests: Sequence[Mapping[str, Any]], replies: list[dict[str, Any]]) -> None:
        """Send all requests at once and append the answers to `replies`, as they come.

        Raises `ProgramFailed`; `replies` then has what was answered before. Raises `CannotRun`.
        """
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
        # Writing and reading run at the same time: else each side could wait for the other to empty its pipe.
        sending = asyncio.create_task(self._send(process.stdin, lines))
        try:
            for number in range(len(requests)):
                try:
                    line = await asyncio.wait_for(process.stdout.readline(), silence)
                except TimeoutError:
                    raise ProgramFailed(f"silent for {silence:g} s") from None
                except ValueError:
                    raise ProgramFailed("a line longer than any answer") from None
                replies.append(await self._parse(line, first + number))
        except ProgramFailed:
            await self._stop()
            raise
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    @staticmethod
    async def _send(stdin: asyncio.StreamWriter, lines: bytes) -> None:
        with contextlib.suppress(OSError):  # a crash is noticed by the reading
            stdin.write(lines)
            await stdin.drain()

    async def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        if not line.endswith(b"\n"):
            status = await self._status()
            raise ProgramFailed(f"crashed ({status}){self._last_error_line()}")
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict) or reply.get("id") != number:
            raise ProgramFailed(f"answered request {number} with {line[:80]!r}")
        return reply

    async def _status(self) -> str:
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            return f"exit status {await asyncio.wait_for(self._process.wait(), 1)}"
        return "it closed its output"

    def _last_error_line(self) -> str:
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - 2000))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        written = [line.strip() for line in lines if line.strip()]
        return f": {written[-1]:.200}" if written else ""

    async def _stop(self) -> None:
        """Kill the process, and those that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)  # of a wrapper script, its child too
            else:
                process.kill()
        await process.wait()
        # asyncio closes the pipes when they end, and a process that left the group can hold them open.
        transport = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()
