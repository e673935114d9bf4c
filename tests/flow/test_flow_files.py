"""Lines and chunks from files and to them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from deadlines import DEADLINE
from hypothesis import given
from hypothesis import strategies as st
from sources import Source, cancel, turns

from objectstreaming import flow


@pytest.fixture(autouse=True)
async def _nothing_is_left_running(anyio_backend: str) -> AsyncIterator[None]:
    yield
    left = [task for task in asyncio.all_tasks() if not task.done() and "TestRunner." not in repr(task)]
    assert left == []


@given(lines=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))))
def test_lines_written_are_the_lines_read(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    asyncio.run(flow.write_lines(flow.from_iterable(lines), path))
    assert path.read_bytes() == "".join(f"{line}\n" for line in lines).encode()
    assert asyncio.run(flow.collect(flow.read_lines(path))) == lines


@given(data=st.binary(max_size=200), size=st.integers(1, 50))
def test_chunks_written_are_the_bytes_read(data: bytes, size: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "from.bin").write_bytes(data)

    async def copied() -> list[bytes]:
        await flow.write_chunks(flow.read_chunks(folder / "from.bin", size), folder / "to.bin")
        return await flow.collect(flow.read_chunks(folder / "to.bin", size))

    chunks = asyncio.run(copied())
    assert chunks == [data[at : at + size] for at in range(0, len(data), size)]


async def test_a_big_file_is_read_in_parts_and_written_in_parts(tmp_path: Path) -> None:
    lines = [f"{n:100}" for n in range(5000)]
    await flow.write_lines(flow.from_iterable(lines), tmp_path / "big.txt")
    assert await flow.collect(flow.read_lines(tmp_path / "big.txt")) == lines


async def test_every_kind_of_line_end_and_a_last_line_without_one(tmp_path: Path) -> None:
    (tmp_path / "mixed.txt").write_bytes(b"unix\nwindows\r\nmac\r\nlast")
    assert await flow.collect(flow.read_lines(tmp_path / "mixed.txt")) == ["unix", "windows", "mac", "last"]


@pytest.mark.parametrize("write", [flow.write_lines, flow.write_chunks])
async def test_an_empty_stream_makes_an_empty_file(write: Any, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("of the last run")
    await write(flow.from_iterable(()), tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b""


async def test_nothing_is_opened_before_it_is_awaited(tmp_path: Path) -> None:
    lines = flow.read_lines(tmp_path / "later.txt")
    writing = flow.write_lines(flow.from_iterable(["here now"]), tmp_path / "later.txt")
    assert not (tmp_path / "later.txt").exists()
    await writing
    assert await flow.collect(lines) == ["here now"]


@pytest.mark.parametrize("read", [flow.read_lines, flow.read_chunks])
async def test_a_missing_file_is_an_os_error(read: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await flow.collect(read(tmp_path / "nowhere"))


async def test_a_file_that_cannot_be_written_closes_the_source(tmp_path: Path) -> None:
    source = Source([1])
    with pytest.raises(IsADirectoryError):
        await flow.write_lines(source, tmp_path)
    assert not source.begun


async def test_what_came_before_an_error_is_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        await flow.write_lines(Source(["one", "two"], LookupError()), tmp_path / "part.txt")
    assert (tmp_path / "part.txt").read_text() == "one\ntwo\n"


async def test_what_came_before_a_cancel_is_in_the_file_too(tmp_path: Path) -> None:
    source, given = Source(["one"], then_silent=True), asyncio.Event()
    noted = flow.tap(source, lambda _: given.set())
    writing = asyncio.create_task(flow.write_lines(noted, tmp_path / "part.txt"))
    await given.wait()
    await turns()
    await cancel(writing)
    assert source.closed
    assert (tmp_path / "part.txt").read_text() == "one\n"


async def test_a_cancel_waits_for_the_thread_that_has_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opening, go_on = threading.Event(), threading.Event()
    opened = []

    def slow_open(*args: Any, **options: Any) -> Any:
        opening.set()
        go_on.wait(DEADLINE)
        opened.append(open(*args, **options))  # noqa: SIM115  the verb closes it
        return opened[0]

    monkeypatch.setattr("objectstreaming.flow.files.open", slow_open, raising=False)
    (tmp_path / "slow.txt").write_text("x")
    reading = asyncio.create_task(flow.collect(flow.read_lines(tmp_path / "slow.txt")))
    await asyncio.to_thread(opening.wait, DEADLINE)
    reading.cancel()
    await turns()
    assert not reading.done()
    go_on.set()
    await asyncio.wait([reading])
    assert reading.cancelled()
    assert opened[0].closed


async def test_leaving_early_closes_the_file(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("one\ntwo")
    async with aclosing(flow.read_lines(tmp_path / "two.txt")) as lines:
        assert await anext(lines) == "one"
    # A file that is still open would be a ResourceWarning, which is an error here.


async def test_text_of_another_encoding_is_an_error_and_not_a_guess(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(UnicodeDecodeError):
        await flow.collect(flow.read_lines(tmp_path / "latin.txt"))
    assert await flow.collect(flow.read_lines(tmp_path / "latin.txt", encoding="latin-1")) == ["Grüße"]


def test_chunks_of_no_size_are_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size"):
        flow.read_chunks(tmp_path, 0)
