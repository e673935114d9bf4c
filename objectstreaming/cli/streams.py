"""Where the debugging commands read from: a URL, a file, or stdin. Bytes come out, with the time of their arrival.

A `Stream` knows what came before its bytes: from a URL the content type, else nothing. `Watch` reads its frames, data
and control frames alike, and judges the whole by the rules of `StreamDecoder`.

**Exit statuses.** 0: the stream is whole. 1: it breaks the rules of the wire. 3: it was cut. 4: it ended with an error
that the server says. 5: there is no stream.
"""

from __future__ import annotations

import ssl
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from wav_streaming import TALCoder

from ..client import ACCEPT
from ..coders import Coder, JsonCoder, MsgpackCoder, NdarrayCoder, OrderCheck, RawCoder
from ..errors import (
    FrameError,
    ObjectStreamError,
    PayloadError,
    StreamError,
    StreamIncomplete,
    TruncatedFrame,
)
from ..frames import Frame, FrameDecoder
from ..inflate import ENCODINGS, Inflater
from ..media_type import parse_media_type
from ..protocol import CONTROL, MEDIA_TYPE, PLAIN_MEDIA_TYPE, StreamDecoder
from ..response_problems import excerpt, read_problem
from .errors import NO_STREAM, CommandError
from .recordings import Exchange, Piece, is_recording, read_exchange
from .urls import http_url

__all__ = ["CODERS", "Request", "Seen", "Stream", "Watch", "opened", "sent", "stream_of"]

BROKEN: Final = 1
CUT: Final = 3
FAILED: Final = 4

CODERS: Final[dict[str, Coder[Any, Any]]] = {
    coder.name: coder for coder in (JsonCoder(), MsgpackCoder(), NdarrayCoder(), RawCoder(), TALCoder())
}

_CHUNK: Final = 64 * 1024
_BEGINNING: Final = 16 * 1024
_CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Request:
    """What is sent to a URL: curl's options of the same letters."""

    method: str | None = None
    headers: Sequence[str] = ()
    data: str | None = None
    seconds: float = 60.0
    """The longest silence."""

    def body(self) -> bytes | None:
        """The body: the text of `data`, or where it begins with `@` the file of that name."""
        if self.data is None or not self.data.startswith("@"):
            return None if self.data is None else self.data.encode(errors="surrogateescape")
        try:
            return Path(self.data[1:]).read_bytes()
        except OSError as error:
            raise CommandError(f"--data {self.data}: {error.strerror}", status=2) from None

    def fields(self, body: bytes | None) -> httpx.Headers:
        fields = httpx.Headers({"accept": ACCEPT, "accept-encoding": "identity", "user-agent": "objectstreaming"})
        if body is not None:
            fields["content-type"] = "application/json"
        for line in self.headers:
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                raise CommandError(f"a header is written 'Name: value', not {line!r}", status=2)
            fields[name.strip()] = value.strip()
        return fields


@dataclass
class Stream:
    """Bytes of one stream, and what is known of it beforehand."""

    pieces: Iterator[Piece]
    coder: str | None = None
    require_end: bool | None = None
    note: str = ""
    """What came before the first byte, in words: the status and the content type of a response."""


class Answer(NamedTuple):
    """A response whose body is not read yet, and when its request was sent (`time.perf_counter`)."""

    response: httpx.Response
    began: float


@contextmanager
def opened(source: str, request: Request, *, recorded: bool, exchange: int | None = None) -> Iterator[Stream]:
    """The stream at a URL, in a file, or `-`, stdin. Raises `CommandError` with status 5 if there is none.

    `recorded`: of a recording, the stream that was recorded, in the exchange of that number; else the recording itself.
    The pieces of a URL raise `StreamIncomplete` where the connection breaks or is silent for too long.
    """
    if "://" in source:
        with sent(source, request) as answer:
            yield stream_of(answer)
    elif source == "-":
        began = time.perf_counter()
        # Not buffered: what has come is shown at once.
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as stdin:
            chunks = iter(lambda: stdin.read(_CHUNK), b"")
            yield Stream(Piece(time.perf_counter() - began, data) for data in chunks)
    else:
        try:
            file = Path(source).open("rb")  # noqa: SIM115 - an error of the block below is another one
        except OSError as error:
            raise CommandError(f"{source}: {error.strerror}", status=NO_STREAM) from None
        with file:
            if recorded and is_recording(Path(source)):
                yield _recorded(read_exchange(Path(source), exchange))
            else:
                yield Stream(Piece(None, data) for data in iter(lambda: file.read(_CHUNK), b""))


@contextmanager
def sent(url: str, request: Request) -> Iterator[Answer]:
    """The answer to a request. Raises `CommandError` with status 5 if there is none, 2 if it is no request."""
    body = request.body()
    method = request.method or ("GET" if body is None else "POST")
    if not method.isascii():
        raise CommandError(f"{method!r} is no method of HTTP", status=2)
    timeout = httpx.Timeout(_CONNECT_SECONDS, read=request.seconds)
    with httpx.Client(timeout=timeout, verify=_tls()) as client:
        try:
            message = client.build_request(method, http_url(url), headers=request.fields(body), content=body)
            began = time.perf_counter()
            response = client.send(message, stream=True)
        except httpx.TimeoutException:
            raise CommandError(f"{url} did not answer in time", status=NO_STREAM) from None
        except httpx.LocalProtocolError as error:
            raise CommandError(f"the request is not HTTP: {error}", status=2) from None
        except httpx.TransportError as error:
            raise CommandError(f"{url} cannot be reached: {error}", status=NO_STREAM) from None
        try:
            yield Answer(response, began)
        finally:
            response.close()


@cache
def _tls() -> ssl.SSLContext:
    """httpx makes one for each client, which takes longer than a request on loopback."""
    return httpx.create_ssl_context()


def stream_of(answer: Answer) -> Stream:
    """The stream in a response. Raises `CommandError` with status 5 if there is none."""
    response = answer.response
    after = time.perf_counter() - answer.began
    if not response.is_success:
        problem = read_problem(response.status_code, response.reason_phrase, _beginning(response), response.headers)
        raise CommandError(str(problem), status=NO_STREAM) from problem
    note = f"{response.http_version} {response.status_code}, headers after {after:.3f} s"
    return _described(response.headers.get, _arriving(answer), lambda: _beginning(response), note)


def _recorded(exchange: Exchange) -> Stream:
    note = f"recorded: {exchange.method} {exchange.target} {exchange.status}"
    if not 200 <= exchange.status < 300:
        raise CommandError(f"{note}, which is no stream", status=NO_STREAM)

    def pieces() -> Iterator[Piece]:
        yield from exchange.pieces
        if exchange.fault is not None:
            raise StreamIncomplete(exchange.fault)

    beginning = b"".join(piece.data for piece in exchange.pieces[:16])
    return _described(lambda name, default: exchange.header(name) or default, pieces(), lambda: beginning, note)


def _described(
    header: Callable[[str, str], str], pieces: Iterator[Piece], beginning: Callable[[], bytes], note: str
) -> Stream:
    """A stream with what the headers of its response say. Raises `CommandError` if they say that it is none."""
    content_type = header("content-type", "")
    kind = parse_media_type(content_type)
    encoding = header("content-encoding", "identity").strip().lower()
    if kind is None or kind.name not in (MEDIA_TYPE, PLAIN_MEDIA_TYPE):
        begins = excerpt(beginning())
        raise CommandError(f"the content type is {content_type!r:.80}: {begins!r} is no stream", status=NO_STREAM)
    if encoding not in ("identity", *ENCODINGS):
        raise CommandError(f"its Content-Encoding is {encoding!r:.40}, which is not read here", status=NO_STREAM)
    return Stream(
        pieces if encoding == "identity" else _inflated(pieces),
        coder=kind.parameters.get("coder"),
        require_end=True if kind.name == MEDIA_TYPE else None,
        note=f"{note}, {content_type}",
    )


def _arriving(answer: Answer) -> Iterator[Piece]:
    try:
        for data in answer.response.iter_raw():
            yield Piece(time.perf_counter() - answer.began, data)
    except httpx.ReadTimeout:
        raise StreamIncomplete("nothing came for too long: see --timeout") from None
    except httpx.TransportError as error:
        raise StreamIncomplete(f"the connection broke: {error}") from None


def _inflated(pieces: Iterator[Piece]) -> Iterator[Piece]:
    inflater = Inflater()
    try:
        for piece in pieces:
            for data in inflater.feed(piece.data):
                yield Piece(piece.t, data)
    except zlib.error as error:
        raise CommandError(f"the body is not compressed as its Content-Encoding says: {error}") from None


def _beginning(response: httpx.Response) -> bytes:
    collected = b""
    try:
        for data in response.iter_raw():
            collected += data
            if len(collected) >= _BEGINNING:
                break
    except httpx.TransportError:
        pass
    return collected[:_BEGINNING]


@dataclass(frozen=True)
class Seen:
    """A frame as it arrived: `t` and `gap` in seconds, `None` where times are not known."""

    frame: Frame
    t: float | None
    gap: float | None

    @property
    def size(self) -> int:
        return 8 + len(self.frame.header_bytes) + len(self.frame.payload)

    @property
    def control(self) -> dict[str, Any] | None:
        """The value of `$stream` of a control frame, `{}` where it is not an object; `None` for a data frame."""
        if not self.frame.header_bytes.startswith(CONTROL):
            return None
        try:
            value = self.frame.header.get("$stream")
        except FrameError:
            value = None
        return value if isinstance(value, dict) else {}

    @property
    def kind(self) -> str:
        """`data`, `open`, `ping`, `end`, or `other` for a control frame of another type."""
        control = self.control
        if control is None:
            return "data"
        kind = control.get("type")
        return kind if kind in ("open", "ping", "end") else "other"


class _Lenient(Coder[Any, Any]):
    """Reads what the coder of that name reads; of a coder that is not known here, the headers."""

    name = ""

    def __init__(self, name: str | None) -> None:
        self._coder = CODERS.get(name or "", CODERS["raw"])
        self.name = name or self._coder.name  # type: ignore[misc]

    def encode(self, header: Any, payload: Any) -> bytes:
        return self._coder.encode(header, payload)

    def decode(self, frame: Frame) -> tuple[Any, Any]:
        return self._coder.decode(frame)

    def order_check(self) -> OrderCheck[Any] | None:
        return self._coder.order_check()


class Watch:
    """The frames of a stream, one after the other; then `verdict` and `status` say what the whole was.

    A frame that breaks the rules of the stream is still given, as long as frames can be told apart.
    """

    def __init__(self, stream: Stream, coder: str | None = None) -> None:
        if coder is not None and coder not in CODERS:
            raise CommandError(f"the coder {coder!r} is unknown; one of: {', '.join(CODERS)}", status=2)
        self._stream = stream
        self.coder = coder or stream.coder
        """The name of the stream's coder, once it is known."""
        self._judge: StreamDecoder[Any, Any] | None = None
        self._fault: ObjectStreamError | None = None
        self.frames = 0
        self.bytes = 0
        self.last: float | None = None
        """When the last bytes came."""

    def __iter__(self) -> Iterator[Seen]:
        decoder = FrameDecoder()
        before: float | None = None
        try:
            for piece in self._stream.pieces:
                self.last = piece.t
                self.bytes += len(piece.data)
                for frame in decoder.feed(piece.data):
                    gap = None if piece.t is None or before is None else piece.t - before
                    seen = Seen(frame, piece.t, gap)
                    self.frames += 1
                    self._look(seen)
                    yield seen
                    before = piece.t
            decoder.finish()
        except StreamIncomplete as error:
            # What the connection did counts only for a stream that had not ended.
            if decoder.buffered:
                error = StreamIncomplete(f"{error}; frame {decoder.position} is not whole")
            self._found(error if self._judge is None or not self._judge.ended else None)
        except FrameError as error:
            self._found(error)
        else:
            self._finish()

    @property
    def verdict(self) -> str:
        """What the stream was, in a line."""
        if self._fault is not None:
            code, text = self._fault.code, str(self._fault)
            if isinstance(self._fault, StreamError):
                return f"ended with an error: {text}"
            return f"{'cut' if self.status == CUT else 'broken'}: {code}: {text}"
        return (
            "whole" if self._judge is not None and self._judge.ended else "plain: a cut between frames cannot be seen"
        )

    @property
    def status(self) -> int:
        """The exit status."""
        match self._fault:
            case None:
                return 0
            case StreamError():
                return FAILED
            case StreamIncomplete() | TruncatedFrame():
                return CUT
        return BROKEN

    def _look(self, seen: Seen) -> None:
        """Let the judge see a frame."""
        control = seen.control
        if self.coder is None and control is not None and isinstance(control.get("coder"), str):
            self.coder = control["coder"]
        if self._judge is None:
            self._judge = StreamDecoder(_Lenient(self.coder), require_end=self._stream.require_end)
        try:
            for _ in self._judge.feed(bytes(seen.frame)):
                pass
        except ObjectStreamError as error:
            self._found(error)

    def _found(self, fault: ObjectStreamError | None) -> None:
        """Keep the first fault; but one payload that cannot be read is less than all others."""
        if self._fault is None or (isinstance(self._fault, PayloadError) and fault is not None):
            self._fault = fault

    def _finish(self) -> None:
        judge = self._judge or StreamDecoder(_Lenient(self.coder), require_end=self._stream.require_end)
        try:
            judge.finish()
        except ObjectStreamError as error:
            self._found(error)
