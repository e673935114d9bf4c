"""A process that writes a stream into a FileStore and is killed: `python writer_program.py FOLDER ID`."""

from __future__ import annotations

import asyncio
import sys

from objectstreaming import RawCoder
from objectstreaming.store import FileStore


async def main(folder: str, stream: str) -> None:
    async def source():  # type: ignore[no-untyped-def]
        for n in range(3):
            yield {"n": n}, b"payload"
        sys.stdout.write("written\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    store = FileStore(folder)
    recording = await store.record(source(), coder=RawCoder(), id=stream)
    await recording.ended()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
