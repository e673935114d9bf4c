"""Files through verbs: a copy in lower case, and the even and the odd lines in a file each.

python examples/flow_files.py talk.txt        # writes talk.lower.txt, talk.even.txt and talk.odd.txt
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from objectstreaming import flow


async def lower_case(source: Path, target: Path) -> None:
    stream = flow.read_lines(source)
    stream = flow.map(stream, str.lower)
    await flow.write_lines(stream, target)  # nothing has run before this line


async def even_and_odd(source: Path, even: Path, odd: Path) -> None:
    numbered = flow.enumerate(flow.read_lines(source), start=1)
    evens, odds = flow.partition(numbered, lambda line: line[0] % 2 == 0)
    # Both at once: what waits for a branch that nobody reads waits for ever.
    await asyncio.gather(
        flow.write_lines(flow.map(evens, lambda line: line[1]), even),
        flow.write_lines(flow.map(odds, lambda line: line[1]), odd),
    )


async def main(source: Path) -> None:
    def beside(name: str) -> Path:
        return source.with_suffix(f".{name}{source.suffix}")

    await lower_case(source, beside("lower"))
    await even_and_odd(source, beside("even"), beside("odd"))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
