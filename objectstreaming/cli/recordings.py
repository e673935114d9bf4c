"""Recordings: what went over HTTP, with its times, in a file that is itself a stream of ours.

A recording is a stream of version 1 with the coder `raw`, so that every client reads it, `inspect` shows it, and a
recording that was cut is found. Its `open` frame has the metadata `{"recording": 1, "upstream": ..., "at": ...}`. Then
comes a data frame for each thing that happened:

    {"kind": "request",  "t": 0.104, "exchange": 1, "method": "POST", "target": "/objects", "headers": [[name, value]]}
    {"kind": "response", "t": 0.105, "exchange": 1, "status": 200, "headers": [[name, value]]}
    {"kind": "up" or "down", "t": 0.106, "exchange": 1}   + the bytes of the body that one read gave
    {"kind": "end",      "t": 0.107, "exchange": 1}       or "cut", with a text

`t` counts seconds since the recording began. The bodies are as they were, without HTTP's chunked coding. After an
upgrade `up` and `down` are the raw bytes of the connection.

**Secrets.** Values of headers and of query members that look like credentials are written as `***`. Bodies are kept as
they are: whoever passes a recording on passes them on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from ..coders import RawCoder
from ..errors import EncodeError, FrameError, ObjectStreamError
from ..frames import Frame, FrameDecoder
from ..protocol import MEDIA_TYPE, StreamDecoder, StreamEncoder
from .errors import NO_STREAM, CommandError

__all__ = ["MASK", "Exchange", "Piece", "Recorder", "is_recording", "masked", "masked_target", "read_exchange"]

MASK: Final = "***"
_VERSION: Final = 1
_CHUNK: Final = 64 * 1024
_SECRET: Final = re.compile(
    r"authorization|cookie|token|secret|passw|credential|signature|session|^sig$|^auth$|api-?_?key|(^|[-_])key$", re.I
)

Headers = Sequence[tuple[str, str]]


class Piece(NamedTuple):
    """Bytes that came together, and when: seconds since the request was sent; `None` from a file without times."""

    t: float | None
    data: bytes


def masked(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers, the values of those that carry credentials replaced.

    >>> masked([("Authorization", "Bearer abc"), ("Accept", "*/*"), ("X-API-Key", "1"), ("Set-Cookie", "a=b")])
    [('Authorization', '***'), ('Accept', '*/*'), ('X-API-Key', '***'), ('Set-Cookie', '***')]
    """
    return [(name, _masked_value(name.lower(), value)) for name, value in headers]


def _masked_value(name: str, value: str) -> str:
    if name in ("location", "content-location", "referer"):
        return masked_target(value)
    # The key of a WebSocket's handshake is no secret, and a replay needs it.
    return MASK if _SECRET.search(name) and not name.startswith("sec-websocket-") else value


def masked_target(target: str) -> str:
    """A request target, the values of query members that carry credentials replaced.

    >>> masked_target("/ask?q=why&api_key=abc&access_token=d")
    '/ask?q=why&api_key=***&access_token=***'
    """
    path, mark, query = target.partition("?")
    members = []
    for member in query.split("&"):
        name, equals, _ = member.partition("=")
        members.append(f"{name}={MASK}" if equals and _SECRET.search(name) else member)
    return path + mark + "&".join(members)


class Recorder:
    """Writes a recording. Every frame is in the file once its method returns."""

    def __init__(
        self,
        file: BinaryIO,
        upstream: str,
        clock: Callable[[], float] = time.perf_counter,
        began: float | None = None,
    ) -> None:
        self._file = file
        self._clock = clock
        self._began = clock() if began is None else began
        self._encoder = StreamEncoder(RawCoder())
        self._exchanges = 0
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._put(self._encoder.open(metadata={"recording": _VERSION, "upstream": upstream, "at": at}))

    @property
    def now(self) -> float:
        """Seconds since the recording began."""
        return self._clock() - self._began

    def request(self, method: str, target: str, headers: Iterable[tuple[str, str]], t: float | None = None) -> int:
        """A new exchange, which began at `t`, by default now. Returns its number."""
        self._exchanges += 1
        members = {"method": method, "target": masked_target(target), "headers": masked(headers)}
        self._write("request", self._exchanges, members, t=t)
        return self._exchanges

    def response(self, exchange: int, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self._write("response", exchange, {"status": status, "headers": masked(headers)})

    def up(self, exchange: int, data: bytes) -> None:
        self._write("up", exchange, payload=data)

    def down(self, exchange: int, data: bytes) -> None:
        self._write("down", exchange, payload=data)

    def ended(self, exchange: int) -> None:
        self._write("end", exchange)

    def cut(self, exchange: int, text: str) -> None:
        self._write("cut", exchange, {"text": text})

    def finish(self) -> None:
        """The end of the recording."""
        if not self._encoder.ended:
            self._put(self._encoder.end())

    def _write(
        self,
        kind: str,
        exchange: int,
        members: dict[str, Any] | None = None,
        payload: bytes = b"",
        t: float | None = None,
    ) -> None:
        header = {"kind": kind, "t": round(self.now if t is None else t, 6), "exchange": exchange}
        try:
            wire = self._encoder.data({**header, **(members or {})}, payload)
        except EncodeError:  # headers that are larger than a reader takes
            wire = self._encoder.data({**header, **(members or {}), "headers": []}, payload)
        self._put(wire)

    def _put(self, wire: bytes) -> None:
        self._file.write(wire)
        self._file.flush()


@dataclass
class Exchange:
    """A request and its response, as they were recorded."""

    method: str
    target: str
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    """The body of the response; `t` counts from the request."""
    fault: str | None = "the recording stops here"
    """Why the response is not whole; `None` if it is."""

    def header(self, name: str) -> str:
        """The value of a header of the response, empty if there is none."""
        return next((value for found, value in self.headers if found.lower() == name), "")


def is_recording(path: Path) -> bool:
    """Whether a file begins as a recording does."""
    with path.open("rb") as file:
        try:
            frame: Frame | None = next(FrameDecoder().feed(file.read(_CHUNK)), None)
            control = frame.header.get("$stream") if frame is not None else None
        except FrameError:
            return False
    metadata = control.get("metadata") if isinstance(control, dict) else None
    return isinstance(metadata, dict) and metadata.get("recording") == _VERSION


def read_exchange(path: Path, number: int | None = None) -> Exchange:
    """An exchange of a recording; without a number the first that is a stream of ours, or else the first of all.

    Raises `CommandError` with status 5 if there is none. A recording that was cut gives what it has.
    """
    found: dict[int, Exchange] = {}
    began: dict[int, float] = {}
    decoder = StreamDecoder(RawCoder())
    with path.open("rb") as file:
        try:
            for chunk in iter(lambda: file.read(_CHUNK), b""):
                for header, payload in decoder.feed(chunk):
                    _add(found, began, dict(header), payload, number)
        except ObjectStreamError as error:
            raise CommandError(f"{path} is not a recording that can be read: {error}", status=NO_STREAM) from None
        except (TypeError, ValueError, KeyError):
            raise CommandError(f"{path} is not a recording: a member is wrong", status=NO_STREAM) from None
    if number is not None and number not in found:
        raise CommandError(f"{path} has no exchange {number}; it has {_numbers(found)}", status=NO_STREAM)
    ours = [number for number, exchange in found.items() if exchange.header("content-type").startswith(MEDIA_TYPE)]
    chosen = number if number is not None else next(iter([*ours, *found]), None)
    if chosen is None:
        raise CommandError(f"{path} has no exchange", status=NO_STREAM)
    return found[chosen]


def _add(
    found: dict[int, Exchange], began: dict[int, float], header: dict[str, Any], payload: bytes, number: int | None
) -> None:
    """Take one frame of a recording. The bodies of other exchanges than the one wanted are not kept."""
    at, t, kind = int(header["exchange"]), float(header["t"]), header["kind"]
    if kind == "request":
        began[at] = t
        found[at] = Exchange(str(header["method"]), str(header["target"]))
        return
    exchange = found[at]
    if kind == "response":
        exchange.status = int(header["status"])
        exchange.headers = [(str(name), str(value)) for name, value in header["headers"]]
    elif kind == "down" and number in (None, at):
        exchange.pieces.append(Piece(t - began[at], payload))
    elif kind == "end":
        exchange.fault = None
    elif kind == "cut":
        exchange.fault = str(header.get("text", ""))


def _numbers(found: dict[int, Exchange]) -> str:
    return f"1 to {max(found)}" if found else "none"
