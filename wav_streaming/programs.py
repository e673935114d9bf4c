"""Programs that this process starts, and that end with what they were started for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

__all__ = ["running"]


@contextlib.asynccontextmanager
async def running(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program. Left by an exception, it is killed with all that it has started itself: a wrapper script has the
    real program as its child, and that one would keep the pipes open.

    Args:
        command: the program and its arguments.
        options: of `asyncio.create_subprocess_exec`.

    Raises:
        OSError: It cannot be started.
    """
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True, **options)
    try:
        yield process
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        await asyncio.shield(process.wait())
        raise
