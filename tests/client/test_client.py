"""The client, over real connections to a server that sends what a test says: every outcome, both ways of reading."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import httpx
import pytest
from deadlines import DEADLINE

from objectstreaming import (
    ContentTypeError,
    IdleTimeout,
    JsonCoder,
    Limits,
    ObjectStreamError,
    PayloadError,
    ProtocolError,
    RawCoder,
    ResponseError,
    StreamEncoder,
    StreamError,
    StreamIncomplete,
    TruncatedFrame,
    encode_frame,
)
from objectstreaming import client as client_module
from objectstreaming.client import ACCEPT, AsyncMessageStream, MessageStream, aopen_stream, open_stream
from objectstreaming.errors import FrameTooLarge, InvalidLength
from objectstreaming.testing.raw_server import Connection, RawServer, response_head
from objectstreaming.watchdog import WatchedReads

Respond = Callable[[Connection], None]
LAST_CHUNK = b"0\r\n\r\n"


class Reading:
    """The outcome of reading one response to its end."""

    def __init__(self) -> None:
        self.payloads: list[Any] = []
        self.error: Exception | None = None
        self.stream: MessageStream[Any, Any] | AsyncMessageStream[Any, Any] | None = None


def read_sync(url: str, **options: Any) -> Reading:
    reading = Reading()
    options = {"coder": JsonCoder(), "method": "GET", **options}
    with httpx.Client(trust_env=False) as client:
        try:
            with open_stream(client, url=url, **options) as stream:
                reading.stream = stream
                for _, payload in stream:
                    reading.payloads.append(payload)
        except (ObjectStreamError, httpx.HTTPError) as error:
            reading.error = error
    return reading


async def read_async(url: str, **options: Any) -> Reading:
    reading = Reading()
    options = {"coder": JsonCoder(), "method": "GET", **options}
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            async with aopen_stream(client, url=url, **options) as stream:
                reading.stream = stream
                async for _, payload in stream:
                    reading.payloads.append(payload)
        except (ObjectStreamError, httpx.HTTPError) as error:
            reading.error = error
    return reading


@pytest.fixture(params=["sync", "async"])
def read(request: pytest.FixtureRequest) -> Callable[..., Reading]:
    """Asks a server that answers with `respond`, with either client."""

    def read_answer(respond: Respond, **options: Any) -> Reading:
        with RawServer(respond) as server:
            if request.param == "sync":
                return read_sync(server.url, **options)
            return anyio.run(lambda: read_async(server.url, **options))

    return read_answer


def whole(*payloads: Any, **end: Any) -> bytes:
    encoder = StreamEncoder(JsonCoder())
    return encoder.open() + b"".join(encoder.data({}, payload) for payload in payloads) + encoder.end(**end)


def answers(wire: bytes, **head: Any) -> Respond:
    """Send `wire` as one whole, correct response."""
    return lambda connection: connection.send(response_head(content_length=str(len(wire)), **head) + wire)


class TestAWholeStream:
    def test_gives_its_messages_its_position_its_metadata_and_its_trailers(self, read: Any) -> None:
        encoder = StreamEncoder(JsonCoder())
        wire = encoder.open(metadata={"model": "m"}) + encoder.data({}, 1) + encoder.ping() + encoder.data({}, 2)
        reading = read(answers(wire + encoder.end(trailers={"tokens": 2})))
        assert reading.error is None
        assert reading.payloads == [1, 2]
        assert reading.stream.position == 2
        assert reading.stream.metadata == {"model": "m"}
        assert reading.stream.trailers == {"tokens": 2}
        assert reading.stream.response.status_code == 200

    def test_needs_no_end_where_it_is_plain(self, read: Any) -> None:
        reading = read(answers(JsonCoder().encode({}, 1), content_type="application/octet-stream"))
        assert (reading.payloads, reading.error) == ([1], None)
        assert reading.stream.trailers is None

    def test_that_is_plain_and_empty_has_no_messages(self, read: Any) -> None:
        reading = read(answers(b"", content_type="application/octet-stream"))
        assert (reading.payloads, reading.error) == ([], None)

    def test_may_come_in_chunks_of_one_byte(self, read: Any) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(transfer_encoding="chunked"))
            wire = whole("a", "b")
            connection.send_chunks(wire[at : at + 1] for at in range(len(wire)))
            connection.send(LAST_CHUNK)

        assert read(respond).payloads == ["a", "b"]

    def test_is_whole_once_its_end_has_come_even_if_the_connection_breaks(self, read: Any) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(transfer_encoding="chunked"))
            connection.send_chunks([whole("a")])  # and never the last chunk

        reading = read(respond)
        assert (reading.payloads, reading.error) == (["a"], None)

    def test_is_whole_once_its_end_has_come_even_if_the_body_stays_open(self, read: Any) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(connection="close") + whole("a"))
            connection.until_client_leaves()

        reading = read(respond)
        assert (reading.payloads, reading.error) == (["a"], None)

    def test_waits_for_the_end_of_the_body_no_longer_than_a_second_in_all(
        self, read: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "_AFTER_END_SECONDS", 0.1)

        def respond(connection: Connection) -> None:
            connection.send(response_head(transfer_encoding="chunked"))
            connection.send_chunks([whole("a")])
            connection.send(b"0;")
            while True:  # an extension of the last chunk, byte by byte, until the client leaves and the send fails
                connection.send(b"x")
                time.sleep(0.01)

        reading = read(respond)
        assert (reading.payloads, reading.error) == (["a"], None)

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    def test_is_decompressed_as_its_content_encoding_says(self, read: Any, encoding: str) -> None:
        wire = whole("a" * 200_000, "b")
        body = gzip.compress(wire) if encoding == "gzip" else zlib.compress(wire)
        reading = read(answers(body, content_encoding=encoding))
        assert (reading.payloads, reading.error) == (["a" * 200_000, "b"], None)

    def test_goes_on_within_a_compressed_chunk_where_an_iteration_stopped(self) -> None:
        encoder = StreamEncoder(JsonCoder())
        wire = encoder.open() + b"".join(encoder.data({"n": n}, "x" * 50_000) for n in range(8)) + encoder.end()
        body = gzip.compress(wire.replace(b'{"n":3}"x', b'{"n":3}xx'))
        assert len(body) < 4096  # a read of httpx
        with RawServer(answers(body, content_encoding="gzip")) as server:
            assert asyncio.run(self.read_with_stops(server.url)) == [0, 1, 2, "invalid_payload", 4, 5, 6, 7]
            with httpx.Client(trust_env=False) as client:
                numbers: list[Any] = []
                with open_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                    numbers.append(next(stream)[0]["n"])
                    while stream.trailers is None:
                        try:
                            numbers.extend(header["n"] for header, _ in stream)
                        except PayloadError as error:
                            numbers.append(error.code)
                assert numbers == [0, 1, 2, "invalid_payload", 4, 5, 6, 7]

    @staticmethod
    async def read_with_stops(url: str) -> list[Any]:
        numbers: list[Any] = []
        client = httpx.AsyncClient(trust_env=False)
        async with client, aopen_stream(client, "GET", url, coder=JsonCoder()) as stream:
            numbers.append((await anext(stream))[0]["n"])
            while stream.trailers is None:
                try:
                    async for header, _ in stream:
                        numbers.append(header["n"])
                except PayloadError as error:
                    numbers.append(error.code)
        return numbers

    def test_may_be_of_several_gzip_members(self, read: Any) -> None:
        wire = whole("a", "b")
        reading = read(answers(gzip.compress(wire[:50]) + gzip.compress(wire[50:]), content_encoding="gzip"))
        assert (reading.payloads, reading.error) == (["a", "b"], None)


class TestTheRequest:
    def test_asks_for_version_1_and_no_compression(self, read: Any) -> None:
        heads = []

        def respond(connection: Connection) -> None:
            heads.append(connection.head.lower())
            answers(whole())(connection)

        read(respond)
        assert f"accept: {ACCEPT}".encode() in heads[0]
        assert b"accept-encoding: identity" in heads[0]

    def test_leaves_the_callers_headers_alone_and_prefers_them(self, read: Any) -> None:
        heads = []

        def respond(connection: Connection) -> None:
            heads.append(connection.head.lower())
            answers(whole())(connection)

        mine = {"Accept": "application/octet-stream", "X-Mine": "1"}
        read(respond, headers=mine)
        assert mine == {"Accept": "application/octet-stream", "X-Mine": "1"}
        assert b"\r\naccept: application/octet-stream\r\n" in heads[0] + b"\r\n"
        assert heads[0].count(b"\r\naccept:") == 1
        assert b"x-mine: 1" in heads[0]

    def test_prefers_the_accept_of_the_client_too(self) -> None:
        with (
            RawServer(answers(whole())) as server,
            httpx.Client(trust_env=False, headers={"Accept": "application/octet-stream"}) as client,
            open_stream(client, "GET", server.url, coder=JsonCoder()),
        ):
            pass
        assert ACCEPT.encode() not in server.connections[0].head

    def test_carries_what_httpx_would_carry(self, read: Any) -> None:
        bodies = []

        def respond(connection: Connection) -> None:
            bodies.append((connection.head.split(b"\r\n")[0], connection.body))
            answers(whole())(connection)

        read(respond, method="POST", json={"q": "why"}, params={"position": 3})
        assert bodies[0][0] == b"POST /?position=3 HTTP/1.1"
        assert json.loads(bodies[0][1]) == {"q": "why"}

    def test_does_not_change_the_callers_extensions(self, read: Any) -> None:
        timeouts = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}
        extensions = {"timeout": timeouts}
        read(answers(whole()), extensions=extensions)
        assert extensions == {"timeout": {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}}
        assert type(timeouts["read"]) is float

    def test_waits_a_minute_for_a_model_that_thinks_unless_the_caller_says_otherwise(self) -> None:
        asked = []

        def serve(request: httpx.Request) -> httpx.Response:
            asked.append(request.extensions["timeout"])
            return httpx.Response(200, headers={"Content-Type": "application/octet-stream"})

        for client_options, options in [({}, {}), ({"timeout": 3}, {}), ({}, {"timeout": 4}), ({}, {"timeout": None})]:
            with (
                httpx.Client(transport=httpx.MockTransport(serve), **client_options) as client,
                open_stream(client, "GET", "http://server/", coder=JsonCoder(), **options),
            ):
                pass
        assert [timeouts["read"] for timeouts in asked] == [60, 3, 4, None]
        assert asked[0]["connect"] == 5

    def test_that_finds_no_server_fails_as_httpx_says(self) -> None:
        with RawServer(answers(whole())) as server:
            url = server.url
        assert isinstance(read_sync(url).error, httpx.ConnectError)

    def test_that_gets_no_response_fails_as_httpx_says(self, read: Any) -> None:
        assert isinstance(read(lambda connection: None).error, httpx.RemoteProtocolError)


class TestAStatusThatIsNot2xx:
    def test_is_raised_with_the_servers_own_problem(self, read: Any) -> None:
        problem = {"code": "resource_exhausted", "message": "come back later", "details": {"seconds": 3}}
        body = json.dumps(problem).encode()
        error = read(answers(body, status="429 Too Many Requests", content_type="application/json")).error
        assert isinstance(error, ResponseError)
        assert (error.status, error.code, error.message) == (429, "resource_exhausted", "come back later")
        assert error.details == {"seconds": 3}
        assert error.body == body

    @pytest.mark.parametrize(
        ("body", "message", "details"),
        [
            (b'{"detail":"Not Found"}', "Not Found", None),
            (
                b'{"detail":[{"loc":["body","q"],"msg":"Field required"}]}',
                "body.q: Field required",
                [{"loc": ["body", "q"], "msg": "Field required"}],
            ),
            (b'{"detail":{"code":"aborted","message":"stop"}}', "stop", None),
            (b'{"type":"about:blank","title":"Out of credit"}', "Out of credit", None),
            (b"<html>\n <h1>404</h1>", "<html> <h1>404</h1>", None),
            (b'"text"', "Not Found", None),
            (b"", "Not Found", None),
            (b'{"code":7,"message":[]}', "Not Found", None),
            (b'{"detail":[1]}', "Not Found", [1]),
            (b"\xff\xfe", "��", None),
        ],
    )
    def test_is_raised_with_what_other_servers_say(self, body: bytes, message: str, details: Any) -> None:
        with RawServer(answers(body, status="404 Not Found", content_type="application/json")) as server:
            error = read_sync(server.url).error
        assert isinstance(error, ResponseError)
        assert (error.message, error.details) == (message, details)
        assert error.code == ("aborted" if b"aborted" in body else "not_found")

    def test_only_some_kilobytes_of_it_are_read(self, read: Any) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head("500 Internal Server Error", "text/html", connection="close"))
            while True:  # until the client has enough and leaves, and the send fails
                connection.send(b"x" * 65536)

        error = read(respond).error
        assert isinstance(error, ResponseError)
        assert len(error.body) == 16 * 1024

    def test_is_raised_though_its_body_is_cut(self, read: Any) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head("503 Service Unavailable", "text/plain", content_length="100") + b"down")

        error = read(respond).error
        assert isinstance(error, ResponseError)
        assert (error.code, error.message) == ("unavailable", "down")

    def test_includes_a_redirect_that_is_not_followed(self, read: Any) -> None:
        error = read(answers(b"", status="307 Temporary Redirect", location="/elsewhere")).error
        assert isinstance(error, ResponseError)
        assert error.status == 307


class TestAResponseThatIsNoStream:
    @pytest.mark.parametrize(
        ("content_type", "says"),
        [
            ("text/html; charset=utf-8", "the content type is 'text/html'"),
            ("", "the response has no Content-Type"),
            ("application/vnd.objectstreaming;v=2;coder=json", "version '2'"),
            ("application/vnd.objectstreaming", "version None"),
            ('application/vnd.objectstreaming; V="1"; coder="ta\\l"', "the stream's coder is 'tal'"),
            ("application/octet-stream;coder=msgpack", "the stream's coder is 'msgpack', this reader's 'json'"),
        ],
    )
    def test_is_refused_with_its_beginning(self, read: Any, content_type: str, says: str) -> None:
        error = read(answers(b"<html>sorry</html>", content_type=content_type)).error
        assert isinstance(error, ContentTypeError)
        assert says in str(error)
        assert "<html>sorry" in str(error)
        assert error.content_type == content_type
        assert error.beginning == b"<html>sorry</html>"

    def test_is_refused_at_once_though_its_body_never_ends(self, read: Any) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(content_type="text/event-stream", connection="close"))
            while True:
                connection.send(b"data: x\n\n" * 100)

        error = read(respond).error
        assert isinstance(error, ContentTypeError)
        assert len(error.beginning) == 256

    def test_is_refused_if_its_body_is_compressed_in_a_way_not_bounded(self, read: Any) -> None:
        error = read(answers(b"x", content_encoding="gzip, gzip")).error
        assert isinstance(error, ContentTypeError)
        assert "Content-Encoding is 'gzip, gzip'" in str(error)

    def test_with_the_type_of_a_stream_is_an_error_all_the_same(self, read: Any) -> None:
        error = read(answers(b"<html>sorry</html>")).error
        assert isinstance(error, FrameTooLarge)
        assert "an error page?" in str(error)

    def test_that_is_not_compressed_as_it_says_is_an_error(self, read: Any) -> None:
        error = read(answers(whole("a"), content_encoding="gzip")).error
        assert isinstance(error, ContentTypeError)
        assert "the body is not gzip" in str(error)


class TestACut:
    def test_between_frames_is_an_incomplete_stream(self, read: Any) -> None:
        encoder = StreamEncoder(JsonCoder())
        wire = encoder.open() + encoder.data({}, "a")
        reading = read(answers(wire))
        assert reading.payloads == ["a"]
        assert type(reading.error) is StreamIncomplete
        assert reading.error.position == 1
        assert reading.error.__cause__ is None  # HTTP saw nothing wrong

    def test_inside_a_frame_is_a_truncated_frame(self, read: Any) -> None:
        wire = whole("a", "b")
        reading = read(answers(wire[:-1]))
        assert reading.payloads == ["a", "b"]
        assert type(reading.error) is TruncatedFrame

    def test_before_any_control_frame_is_an_error_of_a_stream_of_version_1(self, read: Any) -> None:
        reading = read(answers(JsonCoder().encode({}, "a")))
        assert reading.payloads == ["a"]
        assert type(reading.error) is StreamIncomplete

    @pytest.mark.parametrize("kind", ["application/vnd.objectstreaming;v=1", "application/octet-stream"])
    def test_of_the_connection_has_httpxs_error_as_its_cause(self, read: Any, kind: str) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(content_type=kind, transfer_encoding="chunked"))
            connection.send_chunks([JsonCoder().encode({}, "a")])

        reading = read(respond)
        assert reading.payloads == ["a"]
        assert type(reading.error) is StreamIncomplete
        assert isinstance(reading.error.__cause__, httpx.RemoteProtocolError)

    def test_of_the_connection_inside_a_frame_too(self, read: Any) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(content_type="application/octet-stream", content_length="1000"))
            connection.send(JsonCoder().encode({}, "a") + b"\x18\0\0")

        reading = read(respond)
        assert reading.payloads == ["a"]
        assert type(reading.error) is TruncatedFrame
        assert isinstance(reading.error.__cause__, httpx.RemoteProtocolError)

    def test_by_a_crash_of_the_server_too(self) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(connection="close") + JsonCoder().encode({}, "a"))
            crash.wait()
            connection.reset()

        crash = threading.Event()
        with (
            RawServer(respond) as server,
            httpx.Client(trust_env=False) as client,
            open_stream(client, "GET", server.url, coder=JsonCoder()) as stream,
        ):
            assert next(stream) == ({}, "a")
            crash.set()
            with pytest.raises(StreamIncomplete) as caught:
                next(stream)
        assert isinstance(caught.value.__cause__, httpx.ReadError)

    def test_of_a_plain_stream_between_frames_is_an_error_if_an_end_is_required(self, read: Any) -> None:
        wire = JsonCoder().encode({}, 1)
        reading = read(answers(wire, content_type="application/octet-stream"), require_end=True)
        assert reading.payloads == [1]
        assert type(reading.error) is StreamIncomplete

    def test_of_a_compressed_body_is_an_error_even_if_the_frames_seem_whole(self, read: Any) -> None:
        compress = zlib.compressobj(wbits=31)
        wire = compress.compress(JsonCoder().encode({}, 1)) + compress.flush(zlib.Z_SYNC_FLUSH)
        reading = read(answers(wire, content_type="application/octet-stream", content_encoding="gzip"))
        assert reading.payloads == [1]
        assert type(reading.error) is StreamIncomplete

    @pytest.mark.parametrize("wire", [JsonCoder().encode({}, "a"), JsonCoder().encode({}, "a")[:-1]])
    def test_is_raised_again_to_whoever_asks_again(self, wire: bytes) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(content_type="application/octet-stream", transfer_encoding="chunked"))
            connection.send_chunks([wire])

        with (
            RawServer(respond) as server,
            httpx.Client(trust_env=False) as client,
            open_stream(client, "GET", server.url, coder=JsonCoder()) as stream,
        ):
            for _ in range(2):
                with pytest.raises((StreamIncomplete, TruncatedFrame)):
                    list(stream)


class TestWhatTheStreamSays:
    def test_an_error_of_the_peer_is_raised_after_its_messages(self, read: Any) -> None:
        reading = read(answers(whole("a", error=StreamError("unavailable", "overloaded", {"retry": 1}))))
        assert reading.payloads == ["a"]
        assert type(reading.error) is StreamError
        assert (reading.error.code, reading.error.message) == ("unavailable", "overloaded")
        assert reading.error.details == {"retry": 1}

    def test_frames_after_the_end_are_an_error(self, read: Any) -> None:
        error = read(answers(whole("a") + JsonCoder().encode({}, 1))).error
        assert isinstance(error, ProtocolError)
        assert error.code == "frame_after_end"

    def test_limits_are_kept(self, read: Any) -> None:
        reading = read(answers(whole("a" * 100)), limits=Limits(frame=80))
        assert reading.payloads == []
        assert isinstance(reading.error, FrameTooLarge)

    def test_a_payload_error_leaves_the_stream_readable(self) -> None:
        encoder = StreamEncoder(RawCoder())
        frames = [b"1", b"nonsense", b"3"]
        wire = b"".join(encoder.data({}, payload) for payload in frames) + encoder.end()
        with (
            RawServer(answers(wire)) as server,
            httpx.Client(trust_env=False) as client,
            open_stream(client, "GET", server.url, coder=JsonCoder()) as stream,
        ):
            assert next(stream) == ({}, 1)
            with pytest.raises(PayloadError):
                next(stream)
            assert list(stream) == [({}, 3)]
            assert stream.position == 3

    async def test_a_payload_error_leaves_the_asynchronous_stream_readable(self) -> None:
        encoder = StreamEncoder(RawCoder())
        frames = [b"1", b"nonsense", b"3"]
        wire = b"".join(encoder.data({}, payload) for payload in frames) + encoder.end()
        with RawServer(answers(wire)) as server:
            async with (
                httpx.AsyncClient(trust_env=False) as client,
                aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream,
            ):
                assert await anext(stream) == ({}, 1)
                with pytest.raises(PayloadError):
                    await anext(stream)
                assert [message async for message in stream] == [({}, 3)]
                assert stream.position == 3


def falls_silent(heartbeat: float | None, **head: str) -> Respond:
    """Sends an open frame and a message, then stalls."""

    def respond(connection: Connection) -> None:
        encoder = StreamEncoder(JsonCoder())
        head_bytes = response_head(**{"connection": "close", **head})
        connection.send(head_bytes + encoder.open(heartbeat=heartbeat) + encoder.data({}, "a"))
        connection.until_client_leaves()

    return respond


class TestSilence:
    def test_of_three_heartbeats_is_an_idle_timeout(self, read: Any) -> None:
        reading = read(falls_silent(heartbeat=0.05))
        assert reading.payloads == ["a"]
        assert isinstance(reading.error, IdleTimeout)
        assert isinstance(reading.error, TimeoutError)
        assert "nothing arrived for 0.15 s" in str(reading.error)
        assert reading.error.position == 1

    def test_may_last_longer_than_the_timeout_of_the_request_if_the_heartbeat_does(self, read: Any) -> None:
        def respond(connection: Connection) -> None:
            encoder = StreamEncoder(JsonCoder())
            connection.send(response_head(connection="close") + encoder.open(heartbeat=10))
            time.sleep(0.4)  # longer than the timeout
            connection.send(encoder.data({}, "a") + encoder.end())

        reading = read(respond, timeout=0.2)
        assert (reading.payloads, reading.error) == (["a"], None)

    def test_is_bounded_by_the_timeout_of_the_request_where_no_heartbeat_is_known(self, read: Any) -> None:
        reading = read(falls_silent(heartbeat=None), timeout=0.1)
        assert reading.payloads == ["a"]
        assert isinstance(reading.error, IdleTimeout)

    @pytest.mark.parametrize("head", [{"connection": "close"}, {"content_length": "1000"}])
    def test_of_a_plain_stream_is_not_its_end(self, read: Any, head: dict[str, str]) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(content_type="application/octet-stream", **head))
            connection.send(JsonCoder().encode({}, "a"))
            connection.until_client_leaves()

        reading = read(respond, timeout=0.1)
        assert reading.payloads == ["a"]
        assert isinstance(reading.error, IdleTimeout)

    def test_is_bounded_as_the_caller_says(self, read: Any) -> None:
        reading = read(falls_silent(heartbeat=100), idle_timeout=0.1, timeout=2)
        assert isinstance(reading.error, IdleTimeout)
        assert "nothing arrived for 0.1 s" in str(reading.error)

    @pytest.mark.parametrize("heartbeat", [1e308, 10**400])
    def test_has_an_upper_bound_whatever_the_server_announces(
        self, read: Any, heartbeat: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoder = StreamEncoder(JsonCoder())
        open_frame = encode_frame(b'{"$stream":{"type":"open","v":1,"heartbeat":%d}}' % int(heartbeat), b"{}")
        limits = []
        monkeypatch.setattr(WatchedReads, "begin", lambda reads: limits.append(reads.seconds))

        def respond(connection: Connection) -> None:
            connection.send(response_head(transfer_encoding="chunked"))
            connection.send_chunks([open_frame, encoder.data({}, 1) + encoder.end()])
            connection.send(LAST_CHUNK)

        reading = read(respond)
        assert (reading.payloads, reading.error) == ([1], None)
        assert max(limits) == 3600

    def test_before_the_response_is_httpxs_own_timeout(self, read: Any) -> None:
        error = read(lambda connection: connection.until_client_leaves(), timeout=0.1).error
        assert isinstance(error, httpx.ReadTimeout)

    def test_limits_of_one_response_do_not_reach_the_next_on_the_connection(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two requests on one connection: the first announces a short heartbeat, the second takes longer."""

        def respond(connection: Connection) -> None:
            encoder = StreamEncoder(JsonCoder())
            wire = encoder.open(heartbeat=0.05) + encoder.end()
            connection.send(response_head(content_length=str(len(wire))) + wire)
            assert connection.next_request()
            time.sleep(0.4)  # longer than any limit of the first response
            connection.send(response_head(content_type="text/plain", content_length="2") + b"ok")

        monkeypatch.setattr(client_module, "_AFTER_END_SECONDS", 0.05)
        with (
            RawServer(respond) as server,
            httpx.Client(trust_env=False) as http,
            open_stream(http, "GET", server.url, coder=JsonCoder()) as stream,
        ):
            assert list(stream) == []
            assert http.get(server.url, timeout=DEADLINE).text == "ok"
        assert len(server.connections) == 1

    def test_of_an_encrypted_connection_is_noticed_too(self) -> None:
        encoder = StreamEncoder(JsonCoder())
        begin = response_head(connection="close") + encoder.open(heartbeat=0.05) + encoder.data({}, "a")
        with (
            tls_server(begin) as url,
            httpx.Client(trust_env=False, verify=tls_context(ssl.PROTOCOL_TLS_CLIENT)) as client,
            open_stream(client, "GET", url, coder=JsonCoder()) as stream,
        ):
            assert next(stream) == ({}, "a")
            with pytest.raises(IdleTimeout):
                next(stream)

    async def test_of_an_encrypted_connection_is_noticed_by_the_asynchronous_client_too(self) -> None:
        encoder = StreamEncoder(JsonCoder())
        begin = response_head(connection="close") + encoder.open(heartbeat=0.05) + encoder.data({}, "a")
        with tls_server(begin) as url:
            async with (
                httpx.AsyncClient(trust_env=False, verify=tls_context(ssl.PROTOCOL_TLS_CLIENT)) as client,
                aopen_stream(client, "GET", url, coder=JsonCoder()) as stream,
            ):
                assert await anext(stream) == ({}, "a")
                with pytest.raises(IdleTimeout):
                    await anext(stream)

    @pytest.mark.parametrize("anyio_backend", ["trio"])
    async def test_is_noticed_on_trio_too(self) -> None:
        with RawServer(falls_silent(heartbeat=0.05)) as server:
            reading = await read_async(server.url)
        assert reading.payloads == ["a"]
        assert isinstance(reading.error, IdleTimeout)


def tls_context(protocol: int) -> ssl.SSLContext:
    """Encryption without certificates (anonymous key exchange): nothing here is about who the peer is."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH-AES128-SHA:ADH-AES128-SHA256:@SECLEVEL=0")
    return context


@contextmanager
def tls_server(answer: bytes) -> Iterator[str]:
    """Answers one request with these bytes, then stalls until the client has left."""

    def serve() -> None:
        with suppress(OSError), tls_context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(listener.accept()[0], True) as peer:
            peer.recv(65536)
            peer.sendall(answer)
            peer.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
        serving.join(DEADLINE)


class TestLeavingEarly:
    def test_closes_the_connection(self) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(connection="close") + JsonCoder().encode({}, "a") * 3)
            connection.until_client_leaves()

        with RawServer(respond) as server, httpx.Client(trust_env=False) as client:
            with open_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                for _, payload in stream:
                    assert payload == "a"
                    break
            assert server.connections[0].client_left.wait(DEADLINE)
            assert stream.response.is_closed
            assert stream.position == 1
            with pytest.raises(RuntimeError, match="inside the with block"):
                next(stream)

    async def test_closes_the_connection_of_the_asynchronous_client(self) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(connection="close") + JsonCoder().encode({}, "a") * 3)
            connection.until_client_leaves()

        with RawServer(respond) as server:
            async with httpx.AsyncClient(trust_env=False) as client:
                async with aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                    async for _, payload in stream:
                        assert payload == "a"
                        break
                assert await anyio.to_thread.run_sync(server.connections[0].client_left.wait, DEADLINE)
                assert stream.response.is_closed
                with pytest.raises(RuntimeError, match="inside the with block"):
                    await anext(stream)

    async def test_by_cancellation_closes_the_connection(self) -> None:
        with RawServer(falls_silent(heartbeat=None)) as server:
            async with httpx.AsyncClient(trust_env=False) as client:
                with anyio.CancelScope() as scope:
                    async with aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                        async for _ in stream:
                            scope.deadline = anyio.current_time()  # cancels the wait for the next message
                assert scope.cancelled_caught
                assert await anyio.to_thread.run_sync(server.connections[0].client_left.wait, DEADLINE)

    def test_and_coming_back_within_the_block_goes_on_where_it_was(self) -> None:
        with RawServer(answers(whole(*range(5)))) as server, httpx.Client(trust_env=False) as client:
            with open_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                for _, payload in stream:
                    if payload == 1:
                        break
                assert [payload for _, payload in stream] == [2, 3, 4]
                assert list(stream) == []
            assert list(stream) == []


class TestMemory:
    """Nothing is allocated because of a length that is only claimed, and nothing grows with the stream."""

    def read_and_measure(self, respond: Respond, **options: Any) -> tuple[Reading, int]:
        with RawServer(respond) as server:
            read_sync(server.url)  # imports and caches
            tracemalloc.start()
            try:
                reading = read_sync(server.url, **options)
                return reading, tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    @pytest.mark.parametrize(
        ("beginning", "kind"),
        [
            (b"\0\0\0\0", InvalidLength),
            (b"\x07\0\0\0", InvalidLength),
            (b"\x0c\0\0\0\xff\0\0\0", InvalidLength),
            (b"\xff\xff\xff\xff", FrameTooLarge),
            (b"<html>", FrameTooLarge),
            (gzip.compress(b"frames", mtime=1e9), InvalidLength),
        ],
        ids=["T is 0", "T is 7", "H is above T", "T is 4 GiB", "an error page", "gzip without Content-Encoding"],
    )
    def test_stays_flat_for_any_claimed_length(self, beginning: bytes, kind: type[Exception]) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(connection="close") + beginning)
            while True:
                connection.send(b"\0" * 65536)

        reading, peak = self.read_and_measure(respond)
        assert isinstance(reading.error, kind), reading.error
        assert peak < 2**20

    def test_stays_flat_over_a_compressed_body_a_thousand_times_its_size(self) -> None:
        body = gzip.compress(JsonCoder().encode({}, " " * 1_000_000) * 64)
        reading, peak = self.read_and_measure(
            answers(body, content_type="application/octet-stream", content_encoding="gzip"), coder=_Counting()
        )
        assert reading.error is None
        assert len(reading.payloads) == 64
        assert peak < 6 * 2**20

    def test_stays_flat_over_a_long_stream(self) -> None:
        def respond(connection: Connection) -> None:
            frame = RawCoder().encode({}, bytes(100_000))
            connection.send(response_head(content_type="application/octet-stream", connection="close"))
            for _ in range(300):
                connection.send(frame)

        reading, peak = self.read_and_measure(respond, coder=_Counting())
        assert reading.error is None
        assert len(reading.payloads) == 300
        assert peak < 4 * 2**20  # of 30 MB: the client's chunk and frame, and what the server thread holds


class _Counting(RawCoder):
    """Keeps sizes instead of payloads, so that what is measured is the reader."""

    def decode(self, frame: Any) -> Any:
        header, payload = super().decode(frame)
        return header, len(payload)


def test_a_response_made_for_a_test_can_be_read_too() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "application/octet-stream"}, stream=Pieces())

    class Pieces(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield JsonCoder().encode({}, 1)[:5]
            yield JsonCoder().encode({}, 1)[5:]

    with (
        httpx.Client(transport=httpx.MockTransport(serve)) as client,
        open_stream(client, "GET", "http://server/", coder=JsonCoder()) as stream,
    ):
        assert list(stream) == [({}, 1)]
        assert "ended" in repr(stream)
