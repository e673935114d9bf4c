"""The client's `resume=`: what it asks for again, when, and what it delivers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from objectstreaming import JsonCoder, StreamEncoder, StreamError, StreamIncomplete
from objectstreaming.client import Place, aopen_stream, open_stream
from objectstreaming.errors import PayloadError, ResponseError
from objectstreaming.resuming import Resumption

HEADERS = {"content-type": "application/vnd.objectstreaming;v=1;coder=json"}
URL = "https://server/ask"


def wire(
    first: int, last: int, *, position: int | None = None, resume: str | None = "/streams/s", end: Any = ""
) -> bytes:
    """Messages `first + 1` to `last`; `end` is an error, `None` for a cut."""
    encoder = StreamEncoder(JsonCoder())
    parts = [encoder.open(resume=resume, position=first if position is None else position)]
    parts += [encoder.data({"n": n}, n) for n in range(first + 1, last + 1)]
    if end is not None:
        parts.append(encoder.end(error=end or None))
    return b"".join(parts)


class Server:
    """Answers each request with the next of its answers: bytes, a response, or an error of the transport."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, bytes):
            return httpx.Response(200, headers=HEADERS, stream=Body(answer))
        assert isinstance(answer, httpx.Response)
        return answer

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.url}" for request in self.requests]


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        yield self._data

    async def __aiter__(self) -> Any:
        yield self._data


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, json={"code": code, "message": ""})


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest pauses before the attempts, none of which is made."""
    found: list[float] = []

    def uniform(low: float, high: float) -> float:
        found.append(high)
        return 0.0

    monkeypatch.setattr("objectstreaming.resuming.random.uniform", uniform)
    return found


@pytest.fixture(params=["sync", "async"])
def read(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Read a stream to its end, with the blocking client or the asynchronous one: the numbers of its messages."""

    async def read(server: Server, *, method: Any = "POST", url: Any = URL, **options: Any) -> list[int]:
        options = {"coder": JsonCoder(), "resume": True, **options}
        where = () if "place" in options else (method, url)
        got = []
        if request.param == "sync":
            with (
                httpx.Client(transport=httpx.MockTransport(server)) as http,
                open_stream(http, *where, **options) as stream,
            ):
                for header, _ in stream:
                    got.append(header["n"])
                    server.place = stream.place  # type: ignore[attr-defined]
        else:
            async with (
                httpx.AsyncClient(transport=httpx.MockTransport(server)) as http,
                aopen_stream(http, *where, **options) as stream,
            ):
                async for header, _ in stream:
                    got.append(header["n"])
                    server.place = stream.place  # type: ignore[attr-defined]
        return got

    return read


async def test_the_rest_is_asked_for_with_get_and_each_message_comes_once(read: Any) -> None:
    server = Server(wire(0, 3, end=None), wire(3, 4, end=None), wire(4, 4, end=None), wire(4, 6))
    assert await read(server, json={"q": "hi"}, headers={"x": "y"}) == [1, 2, 3, 4, 5, 6]
    assert server.asked == [
        "POST https://server/ask",
        "GET https://server/streams/s?position=3",
        "GET https://server/streams/s?position=4",
        "GET https://server/streams/s?position=4",
    ]
    for request in server.requests[1:]:
        assert request.headers["x"] == "y"
        assert "content-type" not in request.headers
        assert request.content == b""


@pytest.mark.parametrize("cut", range(0, len(wire(0, 3)), 3))
async def test_a_cut_at_any_byte_loses_and_doubles_nothing(read: Any, cut: int) -> None:
    whole = wire(0, 3)
    opening = len(wire(0, 0, end=None))
    server = Server(whole[:cut], wire(0, 0, end=None), *(wire(n, 3) for n in [0]))
    if cut < opening:
        with pytest.raises(Exception, match=r"after 0 data frames|inside|ended"):
            await read(server)
        assert server.asked == ["POST https://server/ask"]
        return
    server.answers = [whole[:cut], wire(0, 3, position=0)]
    assert await read(server) == [1, 2, 3]


async def test_what_may_pass_is_tried_again(read: Any, waits: list[float]) -> None:
    server = Server(
        wire(0, 1, end=None),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("silent"),
        *(problem(status, "unavailable", **{"retry-after": "0"}) for status in (429, 502, 503, 504)),
        problem(404, "not_found"),
        problem(400, "out_of_range"),
        wire(1, 2, end=None),
        wire(2, 3),
    )
    assert await read(server) == [1, 2, 3]
    # Longer after each failure in a row; not where the server said how long; from the beginning after a message.
    assert waits == [0.25, 0.5, 1.0, 10.0, 10.0, 0.25]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid_argument"),
        (401, "unauthenticated"),
        (403, "permission_denied"),
        (410, "not_found"),
        (500, "internal"),
    ],
)
async def test_what_will_not_pass_is_final(read: Any, status: int, code: str) -> None:
    server = Server(wire(0, 1, end=None), problem(status, code))
    with pytest.raises(ResponseError) as failure:
        await read(server)
    assert failure.value.status == status
    assert len(server.requests) == 2


async def test_an_end_is_final_whatever_it_says(read: Any) -> None:
    server = Server(wire(0, 1, end=StreamError("unavailable", "the writer has died")))
    with pytest.raises(StreamError, match="the writer has died"):
        await read(server)
    assert len(server.requests) == 1


async def test_the_first_request_is_never_repeated(read: Any) -> None:
    for answer in (httpx.ConnectError("refused"), problem(503, "unavailable"), wire(0, 0, end=None)[:-1]):
        server = Server(answer)
        with pytest.raises((httpx.ConnectError, ResponseError, Exception)):
            await read(server)
        assert server.asked == ["POST https://server/ask"]


@pytest.mark.parametrize(
    "resume", [None, "https://elsewhere/streams/s", "//elsewhere/s", "http://server/s", "https://[/"]
)
async def test_without_a_resume_of_this_origin_a_cut_is_an_error(read: Any, resume: str | None) -> None:
    server = Server(wire(0, 1, resume=resume, end=None))
    with pytest.raises(StreamIncomplete):
        await read(server)
    assert len(server.requests) == 1


async def test_where_a_redirect_has_led_to_another_origin_nothing_is_asked_for_again(read: Any) -> None:
    elsewhere = httpx.Response(307, headers={"location": "https://elsewhere/ask"})
    server = Server(elsewhere, wire(0, 1, end=None))
    with pytest.raises(StreamIncomplete):
        await read(server, headers={"x-key": "secret"}, follow_redirects=True)
    assert len(server.requests) == 2


async def test_frames_that_have_come_are_dropped_and_a_gap_is_data_loss(read: Any) -> None:
    assert await read(Server(wire(0, 3, end=None), wire(1, 5))) == [1, 2, 3, 4, 5]
    for later in (wire(4, 6), wire(4, 4), wire(0, 2)):
        server = Server(wire(0, 3, end=None), later)
        with pytest.raises(StreamError) as failure:
            await read(server)
        assert failure.value.code == "data_loss"


async def test_a_place_is_gone_on_with_after_a_restart(read: Any) -> None:
    server = Server(wire(0, 2, end=None), problem(410, "not_found"))
    with pytest.raises(ResponseError):
        await read(server)
    place = Place.from_json(server.place.to_json())  # type: ignore[attr-defined]
    assert place == Place("https://server/streams/s", 2)
    later = Server(httpx.ConnectError("not yet there"), wire(2, 4))
    assert await read(later, place=place) == [3, 4]
    assert later.asked == ["GET https://server/streams/s?position=2"] * 2
    with pytest.raises(ResponseError):
        await read(Server(problem(404, "not_found")), place=place)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"url":1,"position":2}', '{"url":"x","position":"2"}', '{"url":"x"}']
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"place|Expecting"):
        Place.from_json(text)


async def test_a_message_that_cannot_be_read_is_an_error_once(read: Any) -> None:
    bad = StreamEncoder(JsonCoder()).data({}, 1)[:-1] + b"{"
    server = Server(
        wire(0, 1, end=None) + bad, wire(1, 1, end=None) + bad + wire(1, 3, end=None)[len(wire(1, 1, end=None)) :]
    )
    with pytest.raises(PayloadError):
        await read(server)


def test_stop_ends_the_stream_at_the_server_and_leaving_does_not() -> None:
    server = Server(wire(0, 2, end=None), httpx.Response(204))
    with (
        httpx.Client(transport=httpx.MockTransport(server)) as http,
        open_stream(http, "POST", URL, coder=JsonCoder(), resume=True, headers={"authorization": "a"}) as stream,
    ):
        next(stream)
        stream.stop()
    assert server.asked == ["POST https://server/ask", "DELETE https://server/streams/s"]
    assert server.requests[1].headers["authorization"] == "a"


def test_a_stream_that_is_not_kept_cannot_be_stopped_and_has_no_place() -> None:
    server = Server(wire(0, 2, resume=None))
    with (
        httpx.Client(transport=httpx.MockTransport(server)) as http,
        open_stream(http, "POST", URL, coder=JsonCoder(), resume=True) as stream,
    ):
        next(stream)
        assert stream.place is None
        with pytest.raises(RuntimeError, match="leave the block"):
            stream.stop()


def test_closing_ends_a_pause_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectstreaming.resuming.random.uniform", lambda low, high: 250.0)
    server = Server(wire(0, 1, end=None))
    with (
        httpx.Client(transport=httpx.MockTransport(server)) as http,
        open_stream(http, "POST", URL, coder=JsonCoder(), resume=True) as stream,
    ):
        next(stream)
        timer = threading.Timer(0.05, stream.close)
        timer.start()
        with pytest.raises(StreamIncomplete, match="closed by the reader"):
            next(stream)
        timer.join()


def test_it_gives_up_after_its_patience() -> None:
    now = 0.0
    resumption = Resumption(60, httpx.TransportError, lambda: now)
    resumption.place = Place(URL, 0)
    resumption.opened()
    error = StreamIncomplete("cut")
    resumption.wait_after(error)
    now = 59
    resumption.wait_after(error)
    now = 61
    with pytest.raises(StreamIncomplete):
        resumption.wait_after(error)
    resumption.is_new(1)
    now = 1000
    resumption.wait_after(error)


def test_a_stream_that_is_not_found_is_waited_for_from_then_on_and_not_from_the_cut() -> None:
    """The server may be away for a while, and then have to give its store again what that had lost."""
    now = 0.0
    resumption = Resumption(60, httpx.TransportError, lambda: now)
    resumption.place = Place(URL, 0)
    resumption.is_new(1)
    lost = ResponseError("not_found", status=404)
    resumption.wait_after(StreamIncomplete("cut"))
    now = 20
    resumption.wait_after(lost)
    now = 29
    resumption.wait_after(lost)
    now = 31
    with pytest.raises(ResponseError):
        resumption.wait_after(lost)


def test_retry_after_longer_than_its_patience_is_not_waited_for() -> None:
    resumption = Resumption(60, httpx.TransportError, lambda: 0.0)
    resumption.place = Place(URL, 0)
    busy = ResponseError("unavailable", status=503, retry_after=59.0)
    assert resumption.wait_after(busy) == 59.0
    with pytest.raises(ResponseError):
        resumption.wait_after(ResponseError("unavailable", status=503, retry_after=61.0))


@pytest.mark.parametrize("arguments", [(), ("GET",)])
def test_a_method_and_a_url_or_a_place(arguments: tuple[str, ...]) -> None:
    with httpx.Client(transport=httpx.MockTransport(Server())) as http:
        opened: Any = open_stream(http, *arguments, coder=JsonCoder())  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="a method and a URL, or else a place"), opened:
            pass
