"""The program under test: a process that answers a line with a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

__all__ = ["SILENCE", "Broken", "CannotRun", "Testee"]

SILENCE: Final = 5.0
"""Seconds without an answer after which a testee is taken for hung."""

_LONGEST_LINE: Final = 256 * 1024 * 1024


class CannotRun(Exception):
    """The testee cannot be run at all: it does not start, or does not answer `hello`."""


class Broken(Exception):
    """The testee crashed, hung, or talked nonsense: it must be started anew."""


class Testee:
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
        except Broken as error:
            raise CannotRun(f"{shlex.join(self._command)} does not answer hello: {error}") from None
        self.hello = replies[0]

    async def ask(self, requests: Sequence[Mapping[str, Any]], replies: list[dict[str, Any]]) -> None:
        """Ask all at once; `replies` has what was answered when this raises `Broken`, the testee then being gone."""
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
                    raise Broken(f"silent for {silence:g} s") from None
                except ValueError:
                    raise Broken("a line longer than any answer") from None
                replies.append(await self._parse(line, first + number))
        except Broken:
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
            raise Broken(f"crashed ({status}){self._last_words()}")
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict) or reply.get("id") != number:
            raise Broken(f"answered request {number} with {line[:80]!r}")
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
