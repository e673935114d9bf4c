"""Observers for tests: one that keeps what it is told, and one that always fails."""

from __future__ import annotations

from objectstreaming.observe import Observer, StreamRecord

__all__ = ["Broken", "Seen"]


class Seen(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.streams: list[StreamRecord] = []
        self.told: list[str] = []
        self.sizes: list[int] = []
        self.gaps: list[float | None] = []

    def started(self, stream: StreamRecord) -> None:
        assert stream.outcome is None
        self.streams.append(stream)
        self.told.append("started")

    def wrote(self, stream: StreamRecord, size: int) -> None:
        assert stream in self.streams
        self.sizes.append(size)
        self.gaps.append(stream.gap)
        self.told.append("wrote")

    def ended(self, stream: StreamRecord) -> None:
        assert stream in self.streams
        self.told.append("ended")

    @property
    def only(self) -> StreamRecord:
        assert self.told[0] == "started"
        assert self.told[-1] == "ended"
        assert self.told.count("ended") == 1
        [stream] = self.streams
        return stream


class Broken(Observer):
    """Raises whatever it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def started(self, stream: StreamRecord) -> None:
        self._fail("started")

    def wrote(self, stream: StreamRecord, size: int) -> None:
        self._fail("wrote")

    def ended(self, stream: StreamRecord) -> None:
        self._fail("ended")

    def _fail(self, call: str) -> None:
        self.calls.append(call)
        raise ValueError(call)
