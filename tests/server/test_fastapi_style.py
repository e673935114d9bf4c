"""Endpoints that yield their messages, and what an application's own handlers do for a stream that fails early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi import Response as Headers
from fastapi.responses import JSONResponse

from objectstreaming import ContentTypeError, JsonCoder, ResponseError, StreamError, StreamIncomplete
from objectstreaming.client import aopen_stream
from objectstreaming.server import FrameResponse, error_handlers
from objectstreaming.store import MemoryStore
from objectstreaming.testing import StreamingASGITransport

CODER = JsonCoder()
Frames = FrameResponse.of(CODER, heartbeat=5)


opened: list[str] = []


async def database() -> AsyncIterator[str]:
    opened.append("open")
    yield "rows"
    opened.append("closed")


async def ask(app: FastAPI, path: str = "/") -> tuple[list[Any], httpx.Response]:
    async with (
        httpx.AsyncClient(transport=StreamingASGITransport(app), base_url="http://test") as http,
        aopen_stream(http, "GET", path, coder=CODER) as stream,
    ):
        return [payload async for _, payload in stream], stream.response


async def raised_by(app: FastAPI, path: str = "/") -> None:
    """Raises what the application raises to its server."""
    transport = StreamingASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        await http.get(path)
    [error] = transport.exceptions
    raise error


async def refused(app: FastAPI, path: str = "/") -> ResponseError:
    with pytest.raises(ResponseError) as caught:
        await ask(app, path)
    return caught.value


class TestAnEndpointThatYields:
    async def test_streams_its_messages_async_and_sync(self) -> None:
        app = FastAPI()

        @app.get("/async", response_class=Frames)
        async def numbers() -> AsyncIterator[tuple[dict[str, str], int]]:
            for n in range(3):
                yield {}, n

        @app.get("/sync", response_class=Frames)
        def more_numbers() -> Iterator[tuple[dict[str, str], int]]:
            for n in range(3):
                yield {}, n

        for path in ("/async", "/sync"):
            payloads, response = await ask(app, path)
            assert payloads == [0, 1, 2]
            assert response.headers["Content-Type"] == "application/vnd.objectstreaming;v=1;coder=json"

    async def test_has_dependencies_a_status_and_headers(self) -> None:
        app = FastAPI()
        opened.clear()

        @app.get("/", response_class=Frames, status_code=206)
        async def rows(headers: Headers, name: Annotated[str, Depends(database)]) -> AsyncIterator[Any]:
            headers.headers["X-Rows"] = name
            yield {}, list(opened)

        payloads, response = await ask(app)
        assert payloads == [["open"]]
        assert opened == ["open", "closed"]
        assert response.status_code == 206
        assert "X-Rows" not in response.headers  # the generator runs after the headers of the endpoint were taken

    async def test_may_set_headers_in_a_dependency(self) -> None:
        app = FastAPI()

        def named(headers: Headers) -> None:
            headers.headers["X-Model"] = "small"

        @app.get("/", response_class=Frames, dependencies=[Depends(named)])
        async def answer() -> AsyncIterator[Any]:
            yield {}, 1

        _, response = await ask(app)
        assert response.headers["X-Model"] == "small"

    async def test_is_closed_before_the_response_returns_when_its_client_leaves(self) -> None:
        app = FastAPI()
        finished = asyncio.Event()

        @app.get("/", response_class=Frames)
        async def endless() -> AsyncIterator[Any]:
            try:
                while True:
                    yield {}, "x" * 1000
                    await asyncio.sleep(0)
            finally:
                await asyncio.sleep(0)
                finished.set()

        transport = StreamingASGITransport(app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://test") as http,
            aopen_stream(http, "GET", "/", coder=CODER) as stream,
        ):
            async for _ in stream:
                break
        await asyncio.wait_for(finished.wait(), 60)

    async def test_gives_an_early_error_its_status_and_a_late_one_its_end(self) -> None:
        app = FastAPI()

        @app.get("/early", response_class=Frames)
        async def early() -> AsyncIterator[Any]:
            raise StreamError("not_found", "no such model")
            yield

        @app.get("/late", response_class=Frames)
        async def late() -> AsyncIterator[Any]:
            yield {}, 1
            raise StreamError("unavailable", "the model has stopped")

        assert (await refused(app, "/early")).status == 404
        with pytest.raises(StreamError, match="the model has stopped"):
            await ask(app, "/late")

    def test_is_told_the_right_spelling(self) -> None:
        for arguments in ({"content": iter(())}, {"source": [1]}, {}):  # as FastAPI calls it, and as others do
            with pytest.raises(TypeError, match=r"FrameResponse\.of\(JsonCoder\(\)\)"):
                FrameResponse(**arguments, status_code=200)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"JsonCoder\(\)"):
            FrameResponse.of(JsonCoder)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="heartbeat"):
            FrameResponse.of(CODER, heartbeat=-1)
        with pytest.raises(TypeError, match="the status is the route's"):
            FrameResponse.of(CODER, status_code=201)
        with pytest.raises(TypeError, match=r"FrameResponse\(ask\(\)"):
            FrameResponse(ask, coder=CODER)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="with a yield in it, ask is one"):
            FrameResponse(ask(FastAPI()), coder=CODER)  # type: ignore[arg-type]

    @pytest.mark.parametrize("returned", [[({}, 1)], {"a": 1}, None, "text"])
    async def test_and_returns_instead_is_told_to_yield(self, returned: Any) -> None:
        app = FastAPI()

        @app.get("/", response_class=Frames)
        async def answer() -> Any:
            return returned

        with pytest.raises(TypeError, match=f"yields its messages.*returned {type(returned).__name__}"):
            await raised_by(app)

    async def test_and_has_no_response_class_is_known_to_the_client(self) -> None:
        app = FastAPI()

        @app.get("/")
        async def answer() -> FrameResponse:
            yield {}, 1  # type: ignore[misc]

        with pytest.raises(ContentTypeError, match=r"response_class=FrameResponse\.of\(coder\)"):
            await ask(app)

    @pytest.mark.parametrize("item", [{"a": 1}, [{}, 1], "token", ({}, 1, 2)])
    async def test_is_told_what_a_message_is(self, item: Any, caplog: pytest.LogCaptureFixture) -> None:
        app = FastAPI()

        @app.get("/", response_class=Frames)
        async def answer() -> AsyncIterator[Any]:
            yield item

        await refused(app)
        assert "as in yield {}, payload" in caplog.text

    def test_is_described_in_the_openapi_document(self) -> None:
        app = FastAPI()

        @app.get("/", response_class=Frames)
        async def answer() -> AsyncIterator[Any]:
            yield {}, 1

        content = app.openapi()["paths"]["/"]["get"]["responses"]["200"]["content"]
        assert list(content) == ["application/vnd.objectstreaming"]


def failing(error: Exception, **options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.get("/")
    async def answer() -> FrameResponse:
        async def source() -> AsyncIterator[Any]:
            raise error
            yield

        return FrameResponse(source(), coder=CODER)

    return app


class OutOfCredit(Exception):
    pass


def own_handler(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"code": "resource_exhausted", "message": "pay"}, 402, headers={"Retry-After": "9"})


async def own_async_handler(request: Request, error: Exception) -> JSONResponse:
    return own_handler(request, error)


class TestAHeaderOfTheEndpoint:
    """It is kept or refused, and never dropped."""

    @pytest.mark.parametrize(
        "headers",
        [{"content-type": "text/plain"}, {"Content-Type": "application/octet-stream"}, {"Content-Encoding": "br"}],
    )
    async def test_that_is_not_its_to_choose_is_refused(self, headers: dict[str, str]) -> None:
        with pytest.raises(ValueError, match=r"is negotiated|is not encoded"):
            FrameResponse([], coder=CODER, headers=headers)
        app = FastAPI()

        async def dependency(response: Headers) -> None:
            response.headers.update(headers)

        @app.get("/", response_class=Frames, dependencies=[Depends(dependency)])
        async def answer() -> AsyncIterator[Any]:
            yield {}, 1

        with pytest.raises(ValueError, match=r"is negotiated|is not encoded"):
            await raised_by(app)

    async def test_for_caches_and_proxies_is_kept(self) -> None:
        app = FastAPI()

        @app.get("/")
        async def answer() -> FrameResponse:
            headers = {"Cache-Control": "private", "X-Accel-Buffering": "yes", "content-encoding": "identity"}
            return FrameResponse([({}, 1)], coder=CODER, headers=headers)

        _, response = await ask(app)
        assert (response.headers["Cache-Control"], response.headers["X-Accel-Buffering"]) == ("private", "yes")

    async def test_of_a_response_that_is_sent_twice_is_negotiated_twice(self) -> None:
        transport = StreamingASGITransport(FrameResponse([({}, 1)], coder=CODER))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            for accept in ("application/octet-stream", "text/event-stream"):
                response = await http.get("/", headers={"Accept": accept})
                assert response.headers["Content-Type"].partition(";")[0] == accept


class TestAStreamThatFailsBeforeItsFirstFrame:
    async def test_answers_an_http_exception_with_its_headers_and_its_detail(self) -> None:
        app = failing(HTTPException(429, {"reason": "quota", "limit": 7}, headers={"Retry-After": "7"}))
        error = await refused(app)
        assert (error.status, error.retry_after) == (429, 7)
        assert b'"quota"' in error.body

    @pytest.mark.parametrize("handler", [own_handler, own_async_handler])
    @pytest.mark.parametrize("kind", [OutOfCredit, Exception])
    async def test_is_answered_by_the_applications_own_handler(
        self, handler: Callable[..., Any], kind: type[Exception]
    ) -> None:
        class OfThisModel(OutOfCredit):
            pass

        app = failing(OfThisModel(), exception_handlers={kind: handler})
        error = await refused(app)
        assert (error.status, error.message, error.retry_after) == (402, "pay", 9)

    async def test_is_answered_by_a_handler_of_its_status(self) -> None:
        app = failing(HTTPException(402, "pay"), exception_handlers={402: own_handler})
        assert (await refused(app)).retry_after == 9

    async def test_without_an_application_keeps_headers_and_detail(self) -> None:
        async def source() -> AsyncIterator[Any]:
            raise HTTPException(503, {"reason": "full"}, headers={"Retry-After": "7"})
            yield

        transport = StreamingASGITransport(FrameResponse(source(), coder=CODER))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            response = await http.get("/")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
        assert response.json() == {"code": "unavailable", "message": "", "details": {"reason": "full"}}

    async def test_says_internal_and_no_more_for_any_other_exception(self) -> None:
        error = await refused(failing(ValueError("a secret")))
        assert (error.status, error.code, error.message) == (500, "internal", "internal error")


class TestAnEndpointThatRaises:
    async def test_is_answered_with_the_status_of_its_error(self) -> None:
        app = FastAPI(exception_handlers=error_handlers)

        @app.get("/")
        async def answer() -> FrameResponse:
            raise StreamError("not_found", "no such model")

        error = await refused(app)
        assert (error.status, error.code, error.message) == (404, "not_found", "no such model")


class TestWhatAnUpstreamSays:
    """It was said to this server. The client of this server gets it only in the server's own words."""

    @staticmethod
    def relay(upstream: FastAPI, *, own: bool = False) -> FastAPI:
        app = FastAPI(exception_handlers=error_handlers)

        @app.get("/", response_class=Frames)
        async def answer() -> AsyncIterator[Any]:
            try:
                async with (
                    httpx.AsyncClient(transport=StreamingASGITransport(upstream), base_url="http://upstream") as http,
                    aopen_stream(http, "GET", "/", coder=CODER) as stream,
                ):
                    async for message in stream:
                        yield message
            except StreamError as error:
                if own:
                    raise StreamError(error.code, "in our own words") from error
                raise

        return app

    async def test_in_a_refusal_is_not_told_on(self) -> None:
        upstream = failing(HTTPException(401, "key sk-secret-123 is not valid"))
        error = await refused(self.relay(upstream))
        assert (error.status, error.code, error.headers.get("retry-after")) == (503, "unavailable", None)
        assert b"secret" not in error.body

    async def test_in_an_end_is_not_told_on(self) -> None:
        upstream = FastAPI()

        @upstream.get("/", response_class=Frames)
        async def answer() -> AsyncIterator[Any]:
            yield {}, 1
            raise StreamError("permission_denied", "key sk-secret-123", {"account": "secret"})

        with pytest.raises(StreamError) as caught:
            await ask(self.relay(upstream))
        assert (caught.value.code, caught.value.details) == ("unavailable", None)
        assert "secret" not in caught.value.message

    async def test_is_told_in_the_servers_own_words(self) -> None:
        error = await refused(self.relay(failing(HTTPException(401, "secret")), own=True))
        assert (error.status, error.message) == (401, "in our own words")

    @pytest.mark.parametrize("sent", [b"", CODER.encode({}, "secret")[:-1], b"\0" * 8, b"\0\0\0\xff secret"])
    @pytest.mark.parametrize("first", [True, False], ids=["before the response", "in the response"])
    async def test_by_a_stream_that_is_none_is_unavailable(self, sent: bytes, first: bool) -> None:
        """The request was right, so 400 would be wrong."""
        upstream = FastAPI()

        @upstream.get("/")
        async def broken() -> Headers:
            return Headers(sent, media_type="application/vnd.objectstreaming;v=1;coder=json")

        app = self.relay(upstream)
        if first:
            app = FastAPI(exception_handlers=error_handlers)

            @app.get("/")
            async def answer() -> FrameResponse:
                async with (
                    httpx.AsyncClient(transport=StreamingASGITransport(upstream), base_url="http://upstream") as http,
                    aopen_stream(http, "GET", "/", coder=CODER) as stream,
                ):
                    return FrameResponse(await stream.read_all(), coder=CODER)

        error = await refused(app)
        assert (error.status, error.code) == (503, "unavailable")
        assert b"secret" not in error.body

    async def test_a_cut_upstream_is_internal_once_the_response_has_begun(self) -> None:
        async def cut() -> AsyncIterator[Any]:
            yield {}, 1
            raise StreamIncomplete("secret place", 3)

        app = FastAPI(exception_handlers=error_handlers)

        @app.get("/")
        async def answer() -> FrameResponse:
            return FrameResponse(cut(), coder=CODER)

        with pytest.raises(StreamError) as caught:
            await ask(app)
        assert caught.value.code == "internal"
        assert "secret" not in caught.value.message


class TestAStoredStream:
    """FastAPI closes dependencies with the response, and the stream goes on after it."""

    class Session:
        def __call__(self) -> Iterator[int]:
            yield 1

    @staticmethod
    def app(dependency: Any, store: MemoryStore) -> FastAPI:
        app = FastAPI(lifespan=store.lifespan)
        router = APIRouter(prefix="/v1")

        def above(of_it: int = Depends(dependency)) -> int:
            return of_it

        @router.get("/ask", response_class=FrameResponse.of(CODER, store=store))
        async def ask(n: int = Depends(above)) -> AsyncIterator[Any]:
            yield {}, n

        app.include_router(router)
        app.include_router(store.router("/streams", coders=[CODER]))
        return app

    @staticmethod
    async def async_session() -> AsyncIterator[int]:
        yield 1

    @staticmethod
    def session() -> Iterator[int]:
        yield 1

    @pytest.mark.parametrize(
        ("dependency", "name"), [(async_session, "async_session"), (session, "session"), (Session(), "Session")]
    )
    async def test_is_refused_with_a_dependency_that_yields(self, dependency: Any, name: str) -> None:
        store = MemoryStore()
        app = self.app(getattr(dependency, "__func__", dependency), store)
        async with store.lifespan(app):
            with pytest.raises(RuntimeError, match=f"closes {name} when the first reader leaves.*docs/resuming.md"):
                await raised_by(app, "/v1/ask")

    async def test_is_served_with_any_other_dependency(self) -> None:
        store = MemoryStore()
        app = self.app(lambda: 7, store)
        async with store.lifespan(app):
            assert (await ask(app, "/v1/ask"))[0] == [7]
