"""A model's answer as a stream: logged while it is asked, two pages fetched at once, two senses merged, all gathered.

    python examples/flow_model.py

The model is a stand-in that answers word by word; any async generator takes its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from objectstreaming import flow


async def model(questions: AsyncIterable[str]) -> AsyncIterator[str]:
    async for question in questions:
        for word in f"you asked {question}".split():
            await asyncio.sleep(0.01)
            yield word


async def logged(questions: AsyncIterable[str]) -> tuple[list[str], list[str]]:
    """The same input to a log and to the model, neither waiting for the other."""
    to_log, to_model = flow.split(questions)
    return await asyncio.gather(flow.collect(to_log), flow.collect(model(to_model)))


async def page(name: str) -> AsyncIterator[str]:
    await asyncio.sleep(0.05)
    for line in ("first", "last"):
        yield f"{name}: {line} line"


async def both_pages() -> list[str]:
    """Fetched at the same time, read in order."""
    return await flow.collect(flow.concat(page("one"), page("two")))


async def both_senses() -> list[str]:
    """Whatever comes first; the order within each is kept."""
    seen = flow.map(flow.from_iterable(range(3), delay=0.02, delay_first=True), lambda n: f"image {n}")
    heard = flow.map(flow.from_iterable(range(3), delay=0.03), lambda n: f"sound {n}")
    return await flow.collect(flow.merge(seen, heard))


async def main() -> None:
    log, answer = await logged(flow.from_iterable(["why"]))
    print("log:   ", log)
    print("answer:", " ".join(answer))
    print("pages: ", await both_pages())
    print("senses:", await both_senses())


if __name__ == "__main__":
    asyncio.run(main())
