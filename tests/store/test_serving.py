"""Stored streams over HTTP: what starts them, their router, who may read them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cutting_proxy import CuttingProxy
from fastapi import FastAPI
from faulty_store import FaultyStore
from served import EVENTS, FRAMES, make_app, serving
from starlette.responses import Response
from stored_streams import Source, until

from objectstreaming import EncodeError, JsonCoder, StreamDecoder, StreamError, TruncatedFrame
from objectstreaming.client import Place, aopen_stream
from objectstreaming.server import FrameResponse, ResponseAborted, View
from objectstreaming.shutdown import stopping
from objectstreaming.store import FileStore, MemoryStore, Store, StoredResponse, new_id
from objectstreaming.store.tail import Tail
from objectstreaming.store.verbs import About
from objectstreaming.testing import Cut, FaultyApp, StreamingASGITransport

MESSAGES = [({"n": n}, "x" * (n * 37 % 300)) for n in range(400)]


@pytest.fixture(params=["memory", "file"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = MemoryStore() if request.param == "memory" else FileStore(tmp_path)
    yield store
    await store.aclose()


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


def read(content: bytes) -> tuple[StreamDecoder[Any, Any], list[Any]]:
    decoder: StreamDecoder[Any, Any] = StreamDecoder(JsonCoder(), require_end=True)
    messages = list(decoder.feed(content))
    decoder.finish()
    return decoder, messages


async def test_a_stream_can_be_read_again_from_every_position(store: Store) -> None:
    async with client_of(make_app(store, metadata={"model": "m"}, trailers={"tokens": 3})) as http:
        answer = await http.post("/ask", headers=FRAMES)
        url = answer.headers["content-location"]
        assert url.startswith("/api/streams/")
        decoder, messages = read(answer.content)
        assert (messages, decoder.resume, decoder.trailers) == (MESSAGES[:3], url, {"tokens": 3})
        for position in range(4):
            again = await http.get(url, params={"position": position}, headers=FRAMES)
            decoder, messages = read(again.content)
            assert messages == MESSAGES[position:3]
            assert (decoder.position, decoder.resume) == (3, url)
            assert (decoder.metadata, decoder.trailers) == ({"model": "m"}, {"tokens": 3})
            assert again.headers["content-location"] == url
        plain = await http.get(url, params={"position": 1})
        assert plain.content == b"".join(JsonCoder().encode(*message) for message in MESSAGES[1:3])


@pytest.mark.parametrize("cursor", ["-1", "+1", "", "1.0", "\u0661", "1e3", "1" * 16, "x"])
async def test_a_cursor_that_is_none_is_refused_before_the_store_is_asked(cursor: str) -> None:
    store = FaultyStore(MemoryStore())
    async with client_of(make_app(store)) as http:
        url = (await http.post("/ask")).headers["content-location"]
        store.calls.clear()
        for get in ({"params": {"position": cursor}}, {"headers": {"last-event-id": cursor}}):
            if cursor or "params" in get:
                if not cursor.isascii() and "headers" in get:
                    continue
                answer = await http.get(url, **get)  # type: ignore[arg-type]
                assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
        assert store.calls == []


async def test_a_position_beyond_the_log_is_out_of_range(store: Store) -> None:
    async with client_of(make_app(store)) as http:
        url = (await http.post("/ask")).headers["content-location"]
        answer = await http.get(url, params={"position": 4})
        assert (answer.status_code, answer.json()["code"]) == (400, "out_of_range")
        assert answer.json()["details"] == {"first": 0, "last": 3}


async def test_last_event_id_counts_before_the_position(store: Store) -> None:
    async with client_of(make_app(store)) as http:
        url = (await http.post("/ask")).headers["content-location"]
        answer = await http.get(url, params={"position": 0}, headers={**EVENTS, "last-event-id": "2"})
        assert answer.text.removeprefix(": ping\n").startswith("retry: 1000\nid: 3\ndata: ")
        assert 'id: end\nevent: end\ndata: {"frames":1}' in answer.text
        done = await http.get(url, headers={**EVENTS, "last-event-id": "end"})
        assert (done.status_code, done.content) == (204, b"")


async def test_absent_expired_and_anothers_are_the_same_404_after_the_same_calls() -> None:
    store = FaultyStore(memory := MemoryStore())
    app = make_app(store)
    async with client_of(app) as http:
        mine = (await http.post("/mine", headers={"authorization": "ann"})).headers["content-location"]
        assert mine.startswith("/owned/")
        store.calls.clear()
        seen = []
        for url, user in ((mine, "bob"), (f"/owned/{new_id()}", "ann"), (mine.replace("/owned", "/api/streams"), "")):
            for method in ("GET", "HEAD", "DELETE"):
                store.calls.clear()
                answer = await http.request(method, url, headers={"authorization": user, **FRAMES})
                seen.append(
                    (method, answer.status_code, answer.content, sorted(answer.headers.items()), store.calls[:])
                )
        assert (await http.head(mine, headers={"authorization": "ann"})).headers["stream-ended"] == "ok"
        memory._logs[mine.rpartition("/")[2]].forget_at = 0  # it expires
        for method in ("GET", "HEAD", "DELETE"):
            store.calls.clear()
            answer = await http.request(method, mine, headers={"authorization": "ann", **FRAMES})
            seen.append((method, answer.status_code, answer.content, sorted(answer.headers.items()), store.calls[:]))
    for method in ("GET", "HEAD", "DELETE"):
        [same] = {repr(answer) for answer in seen if answer[0] == method}
        assert "404" in same
        assert "['fetch']" in same


async def test_an_owner_reads_and_stops_what_is_theirs(store: Store) -> None:
    source = Source(({"n": 0}, "x"))
    async with client_of(make_app(store, [source])) as http, asyncio.timeout(20):
        start = asyncio.create_task(http.post("/mine", headers={"authorization": "ann", **FRAMES}))
        await until(lambda: source.taken == 1)
        [recording] = store._recordings.values()
        url = f"/owned/{recording.id}"
        assert (await http.head(url, headers={"authorization": "ann"})).headers["stream-position"] == "1"
        assert (await http.delete(url, headers={"authorization": "ann"})).status_code == 204
        assert (await http.delete(url, headers={"authorization": "ann"})).status_code == 204
        answer = await start
        with pytest.raises(StreamError) as stopped:
            read(answer.content)
        assert stopped.value.code == "canceled"
        assert source.closed == 1
        head = await http.head(url, headers={"authorization": "ann"})
        assert (head.headers["stream-position"], head.headers["stream-ended"]) == ("1", "canceled")


async def test_a_failure_before_the_first_item_is_a_status_for_who_began_and_an_end_for_who_reads(store: Store) -> None:
    source = Source()
    source.fail(StreamError("not_found", "no such document"))
    async with client_of(make_app(store, [source])) as http:
        answer = await http.post("/ask", headers=FRAMES)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        again = await http.get(answer.headers.get("content-location", "/api/streams/" + "x" * 22), headers=FRAMES)
        assert again.status_code == 404


async def test_two_starts_of_one_id_are_one_stream(store: Store) -> None:
    first, second = Source(*MESSAGES[:3]), Source(*MESSAGES[5:])
    first.end()
    stream = new_id()
    async with client_of(make_app(store, [first, second])) as http:
        answers = [await http.put(f"/ask/{stream}", headers=FRAMES) for _ in range(2)]
    assert [read(answer.content)[1] for answer in answers] == [MESSAGES[:3]] * 2
    assert (second.taken, first.closed) == (0, 1)


async def test_background_runs_once_when_the_stream_ends_and_not_with_the_response(store: Store) -> None:
    ran = []
    source = Source(*MESSAGES[:2])

    async def background() -> None:
        ran.append(source.closed)

    app = make_app(store, [source], background=background)
    async with serving(app) as port, httpx.AsyncClient() as http, asyncio.timeout(20):
        url = f"http://127.0.0.1:{port}/ask"
        async with aopen_stream(http, "POST", url, coder=JsonCoder()) as stream:
            await anext(stream)
        assert (ran, source.closed) == ([], 0)
        source.end()
        await until(lambda: ran)
    assert ran == [1]


async def test_a_store_that_is_away_is_503_with_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectstreaming.store.reader.ANSWER_SECONDS", 0.1)
    store = FaultyStore(MemoryStore())
    store.away = True
    async with client_of(make_app(store)) as http:
        url = f"/api/streams/{new_id()}"
        for answer in (await http.get(url), await http.head(url), await http.delete(url)):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await http.post("/ask")).status_code == 503


async def test_a_response_outside_of_any_application_is_stored_and_not_resumable() -> None:
    store = MemoryStore()
    async with client_of(FrameResponse(MESSAGES[:3], coder=JsonCoder(), store=store)) as http:
        answer = await http.get("/", headers=FRAMES)
    decoder, messages = read(answer.content)
    assert (messages, decoder.resume) == (MESSAGES[:3], None)
    assert "content-location" not in answer.headers


def test_the_routes_are_described() -> None:
    described = make_app(MemoryStore()).openapi()["paths"]
    for path in ("/api/streams/{id}", "/owned/{id}"):
        assert described[path].keys() == {"get", "delete"}
        assert described[path]["get"]["responses"].keys() >= {"200", "400", "404"}
        assert "position" in {parameter["name"] for parameter in described[path]["get"]["parameters"]}


async def test_without_a_router_a_stream_cannot_be_resumed() -> None:
    store = MemoryStore()
    recording = await store.record(MESSAGES[:3], coder=JsonCoder())
    await recording.ended()
    async with client_of(StoredResponse(store, recording.id)) as http:
        answer = await http.get("/", params={"position": 1}, headers=FRAMES)
        decoder, messages = read(answer.content)
        assert (messages, decoder.resume, decoder.position) == (MESSAGES[1:3], None, 3)
        assert "content-location" not in answer.headers
        events = await http.get("/", headers={"accept": "text/event-stream"})
        assert events.status_code == 406  # the response knows no coder


@pytest.mark.parametrize("seed", range(3))
async def test_readers_that_are_cut_anywhere_get_each_message_once(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    app = make_app(store)
    async with (
        serving(app) as port,
        CuttingProxy(lambda: port, rng, rng.choice([15_000, 40_000])) as proxy,
        httpx.AsyncClient() as http,
    ):

        async def ask() -> list[Any]:
            url = f"{proxy.url}/ask?count=400"
            async with aopen_stream(http, "POST", url, coder=JsonCoder(), resume=True) as stream:
                return await stream.read_all()

        async with asyncio.timeout(60):
            answers = await asyncio.gather(*(ask() for _ in range(4)))
        assert answers == [MESSAGES] * 4
        assert proxy.cuts > 4
        assert sum(request.startswith("POST") for request in proxy.requests) == 4
        assert len(store._recordings) == 0


async def test_readers_of_two_processes_are_cut_and_go_on_in_either(tmp_path: Path) -> None:
    """Each of two applications has a store of its own on the folder, as two workers have."""
    rng = random.Random(1)
    stores = [FileStore(tmp_path), FileStore(tmp_path)]
    async with (
        serving(make_app(stores[0])) as one,
        serving(make_app(stores[1])) as two,
        CuttingProxy(lambda: rng.choice([one, two]), rng, 30_000) as proxy,
        httpx.AsyncClient() as http,
    ):

        async def ask() -> list[Any]:
            url = f"{proxy.url}/ask?count=400"
            async with aopen_stream(http, "POST", url, coder=JsonCoder(), resume=True) as stream:
                return await stream.read_all()

        async with asyncio.timeout(60):
            assert await asyncio.gather(*(ask() for _ in range(4))) == [MESSAGES] * 4
        assert proxy.cuts > 4


@pytest.mark.parametrize("seed", range(3))
async def test_readers_that_are_cut_get_each_message_once_from_a_store_that_fails(seed: int) -> None:
    """One of five calls of the store fails, before or after it was done."""
    rng = random.Random(seed)
    store = FaultyStore(MemoryStore(), rng, 20)
    async with (
        serving(make_app(store)) as port,
        CuttingProxy(lambda: port, rng, 40_000) as proxy,
        httpx.AsyncClient() as http,
    ):

        async def ask() -> list[Any]:
            url = f"{proxy.url}/ask?count=400"
            async with aopen_stream(http, "POST", url, coder=JsonCoder(), resume=True) as stream:
                return await stream.read_all()

        async with asyncio.timeout(60):
            assert await asyncio.gather(*(ask() for _ in range(4))) == [MESSAGES] * 4
        assert proxy.cuts > 2


async def test_a_process_that_stops_reading_cuts_its_readers_and_they_go_on_elsewhere(tmp_path: Path) -> None:
    writing, reading = FileStore(tmp_path), FileStore(tmp_path)
    source = Source(*MESSAGES[:2])
    async with (
        serving(make_app(writing, [source])) as one,
        serving(make_app(reading)) as two,
        httpx.AsyncClient() as http,
        asyncio.timeout(30),
    ):
        port = two
        async with CuttingProxy(lambda: port, random.Random(0), 10**9) as proxy:
            async with aopen_stream(http, "POST", f"http://127.0.0.1:{one}/ask", coder=JsonCoder()) as started:
                await anext(started)
                assert started.place is not None
                place = Place(started.place.url.replace(f"http://127.0.0.1:{one}", proxy.url), 0)
            async with aopen_stream(http, place=place, coder=JsonCoder(), resume=True) as stream:
                got = [await anext(stream), await anext(stream)]
                await reading.aclose()
                port = one
                source.give(*MESSAGES[2:4])
                source.end()
                got += await stream.read_all()
    assert got == MESSAGES[:4]
    assert [request.split()[1].rpartition("=")[2] for request in proxy.requests] == ["0", "2"]


class _Last(View):
    """Says nothing of a message but of the last one; refuses a message with the number `bad`."""

    media_type = "text/plain"
    position = 0

    def encoder(self, coder: Any, limits: Any, position: int | None) -> Any:
        return _Last()

    def open(self, *, heartbeat: float | None = None, metadata: Any = None) -> bytes:
        return b""

    def data(self, header: Any, payload: Any) -> bytes:
        self.position += 1
        if "bad" in header:
            raise EncodeError("a view of the test's cannot say this")
        return b"the last\n" if "last" in header else b""

    def ping(self) -> bytes:
        return b""

    def end(self, *, trailers: Any = None, error: StreamError | None = None) -> bytes:
        return f"{error.code if error else 'end'} {self.position}".encode()


@pytest.mark.parametrize(
    ("header", "text"),
    [({"n": 1}, "the last\nend 102"), ({"bad": 1}, "the last\ninternal 102")],
    ids=["whole", "fails"],
)
async def test_a_view_may_have_nothing_to_say_of_whole_batches_and_fail_after_good_ones(
    store: Store, header: dict[str, int], text: str
) -> None:
    source = [*(({"n": n}, "x" * 3000) for n in range(100)), ({"last": 1}, ""), (header, "")]
    body = b""

    async def send(message: Any) -> None:
        nonlocal body
        body += bytes(message.get("body", b""))

    recording = await store.record(source, coder=JsonCoder())
    await recording.ended()
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept", b"text/plain")], "query_string": b""}
    response = StoredResponse(store, recording.id, coder=JsonCoder(), views=[_Last()])
    async with asyncio.timeout(20):
        try:
            await response(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
        except ResponseAborted:
            assert "bad" in header
    assert body.decode() == text


async def test_a_process_that_is_told_to_stop_ends_what_just_begins_and_sends_readers_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "begun", False)

    class SlowStore(FaultyStore):
        async def create(self, id: str, about: About, first: int = 0) -> Tail | None:
            tail = await super().create(id, about, first)
            stopping.begun = True  # the signal has come, and end_streams has found nothing
            return tail

    store = SlowStore(MemoryStore())
    source = Source()  # without an end
    async with client_of(make_app(store, [source])) as http, asyncio.timeout(20):
        stream = new_id()
        answer = await http.put(f"/ask/{stream}", headers=FRAMES)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        await until(lambda: not store.writing)
        store.calls.clear()
        answer = await http.get(f"/api/streams/{stream}", headers=FRAMES)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert store.calls == []


@pytest.mark.parametrize(("of_response", "of_router"), [("ann", None), ("", lambda: "ann")])
async def test_an_owner_in_one_place_only_is_a_warning_and_a_note(
    of_response: str, of_router: Callable[[], str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    app = FastAPI()

    @app.post("/ask")
    async def ask() -> Response:
        return FrameResponse([({}, "x" * 100)], coder=JsonCoder(), store=store, owner=of_response)

    app.include_router(store.router("/streams", owner=of_router, coders=[JsonCoder()]))
    transport = StreamingASGITransport(FaultyApp(app, Cut(100)))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        for _ in range(2):
            with pytest.raises(TruncatedFrame) as caught:
                async with aopen_stream(http, "POST", "/ask", coder=JsonCoder(), resume=True) as stream:
                    await anext(stream)
            assert caught.value.__notes__ == [
                "it was not resumed: the server named no place at its own origin where the stream is kept"
            ]
    [warning] = [record.getMessage() for record in caplog.records if record.name == "objectstreaming.store"]
    assert warning.startswith("clients cannot resume a stream: ")
