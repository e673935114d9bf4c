"""A job that writes a stream, in a process of its own, and an application that serves it while it is written.

uvicorn --app-dir examples background_job:app
python examples/background_job.py report-of-november-2026 &
curl -N -H 'Accept: application/jsonl' http://127.0.0.1:8000/streams/report-of-november-2026

Who comes late, or again, reads it from its beginning. When the job is killed, its readers get an error, and no end.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import gettempdir

from fastapi import FastAPI

from objectstreaming import JsonCoder
from objectstreaming.server import stopping
from objectstreaming.store import FileStore

store = FileStore(os.environ.get("STREAMS") or Path(gettempdir()) / "streams")
app = FastAPI(lifespan=stopping(store))
app.include_router(store.router("/streams", coders=[JsonCoder()]))


async def report() -> AsyncIterator[tuple[dict[str, int], dict[str, str]]]:
    for step in range(1, 6):
        await asyncio.sleep(0.1)  # the work
        yield {"percent": 20 * step}, {"section": f"Section {step} of the report."}


async def job(id: str) -> None:
    recording = await store.record(report(), coder=JsonCoder(), id=id, trailers={"sections": 5})
    await recording.ended()
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(job(sys.argv[1]))
