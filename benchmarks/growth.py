"""Cost as work grows: CPU time and memory against the size of a frame and the length of a stream.

Each point is a process of its own, `python -m benchmarks.growth '<json>'`, so that memory is what this decoding took:
the most that was resident (Linux's VmHWM) less what was before it. Chunks are made as they are read, as a socket's are,
64 KiB each, and every message is let go before the next is asked for.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from .rounds import environment

CHUNK = 64 * 1024
KiB = 1024
MiB = 1024 * 1024


class Point(NamedTuple):
    at: int
    """Bytes of a payload, or messages of a stream."""
    seconds: float
    messages: int
    memory: int | None
    """Bytes beyond what the process had."""


class Growth(NamedTuple):
    size: dict[str, list[Point]]
    length: dict[str, list[Point]]
    one_buffer: dict[str, list[Point]]


class Series(NamedTuple):
    name: str
    contender: str
    pure: bool
    largest: int


SIZES = (1, 16, 256, 4 * KiB, 64 * KiB, MiB, 16 * MiB, 256 * MiB)
LENGTHS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
BUFFERS = (1_000, 2_000, 4_000, 8_000, 16_000)

OF_SIZE = (
    Series("ours, native", "frames", False, 256 * MiB),
    Series("ours, pure", "frames", True, 256 * MiB),
    Series("msgpack.Unpacker", "msgpack", False, 256 * MiB),
    Series("original", "original", True, 16 * MiB),  # beyond, quadratic time would be all of the run's
)
OF_LENGTH = (
    Series("ours, native, frames", "frames", False, 10_000_000),
    Series("ours, native, typed", "typed", False, 10_000_000),
    Series("ours, pure, frames", "frames", True, 10_000_000),
    Series("ours, pure, typed", "typed", True, 1_000_000),
    Series("msgpack.Unpacker", "msgpack", False, 10_000_000),
    Series("original", "original", True, 1_000_000),
)
OF_BUFFER = (
    Series("ours, native, typed", "typed", False, 16_000),
    Series("ours, pure, typed", "typed", True, 16_000),
    Series("original", "original", True, 16_000),
)


def run(quick: bool) -> Growth:
    def points(kind: str, series: tuple[Series, ...], ats: tuple[int, ...], most: int) -> dict[str, list[Point]]:
        found: dict[str, list[Point]] = {}
        for one in series:
            for at in ats:
                if at <= min(one.largest, most):
                    point = measure(kind, one, at)
                    if point is not None:
                        found.setdefault(one.name, []).append(point)
        return found

    return Growth(
        points("size", OF_SIZE, SIZES[::2] + SIZES[-1:] if quick else SIZES, 16 * MiB if quick else SIZES[-1]),
        points("length", OF_LENGTH, LENGTHS, 10_000 if quick else LENGTHS[-1]),
        points("buffer", OF_BUFFER, BUFFERS, 4_000 if quick else BUFFERS[-1]),
    )


def measure(kind: str, series: Series, at: int) -> Point | None:
    """None where the contender is not there."""
    command = [sys.executable, "-m", "benchmarks.growth", json.dumps([kind, series.contender, at, series.pure])]
    done = subprocess.run(command, env=environment(series.pure), stdout=subprocess.PIPE, check=False, text=True)
    return Point(*json.loads(done.stdout)) if done.returncode == 0 and done.stdout.strip() else None


# ------------------------------------------------------------------------------------------------- in the process


def fresh(chunk: memoryview, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield bytes(chunk)


def repeated(piece: bytes, count: int, head: int) -> Iterator[bytes]:
    """`count` times a large piece, of which only the first `head` bytes matter, in chunks that are made as they go."""
    filler = memoryview(bytes(CHUNK))
    for _ in range(count):
        yield piece[:head]
        left = len(piece) - head
        yield from fresh(filler, left // CHUNK)
        if left % CHUNK:
            yield bytes(filler[: left % CHUNK])


class _Sized:
    """Stands for the large piece: its length, and its first bytes."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head, self._size = head, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, at: slice) -> bytes:
        return self._head[at]


def reader(contender: str) -> Callable[[Iterable[bytes]], int]:
    feed: Any
    if contender == "frames":
        from objectstreaming import FrameDecoder, Limits

        feed = FrameDecoder(Limits(frame=1 << 30)).feed
    elif contender == "typed":
        from objectstreaming import JsonCoder, StreamDecoder

        from .workloads import Answer, Status

        feed = StreamDecoder(JsonCoder(Status, Answer)).feed
    elif contender == "msgpack":
        import msgpack

        unpacker = msgpack.Unpacker(max_buffer_size=1 << 30)

        def feed(chunk: bytes) -> Any:
            unpacker.feed(chunk)
            return unpacker
    else:
        from . import original

        feed = original.feeder(_original)

    def read(chunks: Iterable[bytes]) -> int:
        count = 0
        for chunk in chunks:
            for message in feed(chunk):
                del message
                count += 1
        return count

    return read


def _original(data: bytes) -> Any:
    """The audio codec, whose payload is not JSON; the objects' where the payload is."""
    from .original import AudioCodec, JsonCodec

    return (JsonCodec if _objects else AudioCodec).decode(data)


_objects = False


def chunks_of(kind: str, contender: str, at: int) -> tuple[Callable[[], Iterator[bytes]], int]:
    from . import workloads

    if kind == "size":
        count = max(2 if at >= MiB else 4, min(10_000, 32 * MiB // (at + 200)))
        header = workloads.MAKERS["A"](1)[0][0]
        if contender == "msgpack":
            import msgpack

            head = b"\x92" + msgpack.packb(header) + b"\xc6" + at.to_bytes(4, "big")
        else:
            text = json.dumps(header).encode()
            head = (8 + len(text) + at).to_bytes(4, "little") + len(text).to_bytes(4, "little") + text
        if at < CHUNK:
            piece = head + bytes(at)
            together = memoryview(piece * max(1, CHUNK // len(piece)))
            each = len(together) // len(piece)
            rounds = max(1, count // each)
            return lambda: fresh(together, rounds), rounds * each
        sized: Any = _Sized(head, len(head) + at)
        return lambda: repeated(sized, count, len(head)), count
    messages = workloads.make("T", 400).messages
    if contender == "msgpack":
        import msgpack

        pieces = [msgpack.packb(message) for message in messages]
    else:
        from .original import JsonCodec

        pieces = [JsonCodec.encode(*message) for message in messages]
    if kind == "buffer":
        whole = b"".join(itertools.islice(itertools.cycle(pieces), at))
        return lambda: iter((whole,)), at
    together = memoryview(b"".join(pieces))
    full, left = divmod(at, len(pieces))
    end = memoryview(b"".join(pieces[:left]))
    return lambda: itertools.chain(fresh(together, full), fresh(end, 1)), at


def memory(name: str) -> int | None:
    with suppress(OSError, StopIteration), open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith(name)).split()[1]) * 1024
    return None


def main(kind: str, contender: str, at: int, pure: bool) -> None:
    global _objects
    _objects = kind != "size"
    from objectstreaming.frames import CODEC

    if contender in ("frames", "typed") and ("pure" if pure else "native") != CODEC:
        return
    chunks, count = chunks_of(kind, contender, min(at, 1000))  # once with little, for what is made on first use
    read = reader(contender)
    assert read(chunks()) == count
    chunks, count = chunks_of(kind, contender, at)
    read = reader(contender)
    with suppress(OSError), open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")  # VmHWM starts again from here
    before = memory("VmRSS")
    start = time.thread_time()
    got = read(chunks())
    seconds = time.thread_time() - start
    most = memory("VmHWM")
    assert got == count, f"{got} of {count} messages"
    print(json.dumps([at, seconds, count, None if before is None or most is None else max(0, most - before)]))


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
