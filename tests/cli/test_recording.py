"""`objectstreaming record` and `replay`: what went over the wire is kept, and given again with faults."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from command_line import only_line, run
from deadlines import DEADLINE
from reference_app import make_app
from websockets.asyncio.client import connect

from objectstreaming import JsonCoder, ProtocolError, RawCoder, StreamDecoder, StreamEncoder, StreamIncomplete
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.cli.recordings import Piece, Recorder, is_recording, read_exchange
from objectstreaming.cli.replaying import Faults, schedule
from objectstreaming.client import open_stream
from objectstreaming.errors import FrameError, TruncatedFrame
from objectstreaming.testing import Connection, RawServer, response_head

CUT = 3


def frames() -> list[bytes]:
    encoder = StreamEncoder(JsonCoder())
    return [encoder.open(), *(encoder.data({"n": n}, f"text {n}") for n in range(3)), encoder.end()]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LoopbackServer(make_app()) as server:
        yield server.url


@contextmanager
def running(*arguments: object) -> Iterator[str]:
    """A command that serves. Gives the URL that it says; stops it with SIGINT and demands a good end."""
    command = [sys.executable, "-m", "objectstreaming", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+", server.stderr.readline())
            assert found
            yield found[0]
        finally:
            server.send_signal(signal.SIGINT)
            late = threading.Timer(DEADLINE, server.kill)
            late.start()
            rest = server.stderr.read()
            status = server.wait()
            late.cancel()
    assert "Traceback" not in rest
    assert status == 0


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A stream of five frames, each a piece, a tenth of a second apart."""
    path = tmp_path / "five.rec.frames"
    times = iter([0.0, 1.0, 1.0, *(1.1 + n / 10 for n in range(6))])
    with path.open("wb") as file:
        recorder = Recorder(file, "server:80", lambda: next(times))
        exchange = recorder.request("GET", "/stream", [("accept", "*/*")])
        head = [("content-type", "application/vnd.objectstreaming;v=1;coder=json"), ("set-cookie", "a=b")]
        recorder.response(exchange, 200, head)
        for wire in frames():
            recorder.down(exchange, wire)
        recorder.ended(exchange)
        recorder.finish()
    return path


class TestRecord:
    def test_an_answer_is_kept_with_its_times(
        self, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "a.rec.frames"
        assert run("record", f"{url}/objects", "-d", '{"question": "why?"}', "-o", out) == 0
        exchange = read_exchange(out)
        assert (exchange.method, exchange.target, exchange.status, exchange.fault) == ("POST", "/objects", 200, None)
        messages = list(StreamDecoder(JsonCoder()).feed(b"".join(piece.data for piece in exchange.pieces)))
        assert [payload["answer"] for _, payload in messages] == ["You asked: why?", "The fox is red."]
        times = [piece.t for piece in exchange.pieces]
        assert times == sorted(times)  # type: ignore[type-var]

    def test_a_recording_is_a_stream_that_every_reader_reads(self, recorded: Path) -> None:
        decoder = StreamDecoder(RawCoder())
        kinds = [header["kind"] for header, _ in decoder.feed(recorded.read_bytes())]
        decoder.finish()
        assert kinds == ["request", "response", *["down"] * 5, "end"]
        assert decoder.metadata["recording"] == 1

    def test_a_recording_that_was_cut_gives_what_it_has(self, recorded: Path) -> None:
        recorded.write_bytes(recorded.read_bytes()[:-200])
        exchange = read_exchange(recorded)
        assert 0 < len(exchange.pieces) < 5
        assert exchange.fault is not None

    def test_secrets_are_masked(self, tmp_path: Path) -> None:
        out = tmp_path / "a.rec.frames"
        head = response_head(connection="close", set_cookie="a=opensesame", content_location="/a?token=opensesame")
        with RawServer(lambda connection: connection.send(head + b"".join(frames()))) as server:
            secrets = ["Authorization: Bearer opensesame", "X-Api-Key: opensesame", "Cookie: a=opensesame"]
            options = [word for secret in secrets for word in ("-H", secret)]
            assert run("record", f"{server.url}?api_key=opensesame&q=why", *options, "-o", out) == 0
            assert server.connections[0].headers["x-api-key"] == "opensesame"
        assert b"opensesame" not in out.read_bytes()
        assert b"q=why" in out.read_bytes()

    def test_a_connection_that_breaks_is_recorded_as_a_cut(self, tmp_path: Path) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(transfer_encoding="chunked"))
            connection.send_chunks(frames()[:2])

        out = tmp_path / "a.rec.frames"
        with RawServer(respond) as server:
            assert run("record", server.url, "-o", out) == CUT
        exchange = read_exchange(out)
        assert b"".join(piece.data for piece in exchange.pieces) == b"".join(frames()[:2])
        assert "broke" in str(exchange.fault)

    @pytest.mark.parametrize("options", [(), ("http://a", "--proxy", "0"), ("--proxy", "0"), ("--to", "http://a")])
    def test_it_is_asked_in_one_way(self, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
        assert run("record", *options) == 2
        assert "--proxy PORT --to URL" in only_line(capsys.readouterr().err)

    def test_the_frames_of_the_answer_are_inspected_with_their_recorded_times(
        self, recorded: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("inspect", recorded, "--exchange", "1", "--json") == 0
        shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [(frame["kind"], frame["t"]) for frame in shown] == [
            ("open", 0.1),
            ("data", 0.2),
            ("data", 0.3),
            ("data", 0.4),
            ("end", 0.5),
        ]

    def test_a_recording_stays_where_there_is_no_answer(self, recorded: Path) -> None:
        before = recorded.read_bytes()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            assert run("record", f"127.0.0.1:{free.getsockname()[1]}", "-o", recorded) == 5
        assert recorded.read_bytes() == before

    def test_an_exchange_that_is_not_there_is_one_line(
        self, recorded: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("inspect", recorded, "--exchange", "7") == 5
        assert "no exchange 7" in only_line(capsys.readouterr().err)

    def test_a_stream_is_no_recording(self, tmp_path: Path) -> None:
        for beginning in (b"", b"\x01\0\0\0", b"".join(frames())):
            (tmp_path / "stream").write_bytes(beginning)
            assert not is_recording(tmp_path / "stream")


class TestProxy:
    def test_streams_pass_and_are_recorded(self, url: str, tmp_path: Path) -> None:
        out = tmp_path / "a.rec.frames"
        with running("record", "--proxy", "0", "--to", url, "-o", out) as proxy, httpx.Client() as client:
            for question in ("why?", "how?"):  # on one connection
                with open_stream(
                    client, "POST", f"{proxy}/objects", json={"question": question}, coder=JsonCoder()
                ) as stream:
                    assert next(iter(stream))[1]["answer"] == f"You asked: {question}"
                    assert len(list(stream)) == 1
            assert client.get(f"{proxy}/nowhere").status_code == 404
        decoder = StreamDecoder(RawCoder())
        messages = list(decoder.feed(out.read_bytes()))
        decoder.finish()
        assert [payload for header, payload in messages if header["kind"] == "up"] == [
            b'{"question":"why?"}',
            b'{"question":"how?"}',
        ]
        first, second, third = (read_exchange(out, number) for number in (1, 2, 3))
        assert (first.fault, second.fault, third.fault, third.status) == (None, None, None, 404)
        answer = b"".join(piece.data for piece in second.pieces)
        assert b"how?" in answer

    def test_a_break_arrives_as_a_break(self, tmp_path: Path) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(transfer_encoding="chunked"))
            connection.send_chunks(frames()[:2])
            connection.reset()

        out = tmp_path / "a.rec.frames"
        with (
            RawServer(respond) as server,
            running("record", "--proxy", "0", "--to", server.url, "-o", out) as proxy,
            pytest.raises(httpx.TransportError),
        ):
            httpx.get(proxy)
        assert read_exchange(out).fault is not None

    def test_what_is_not_http_passes_and_leaves_no_secret(self, tmp_path: Path) -> None:
        out = tmp_path / "a.rec.frames"

        async def talk(port: int, server: asyncio.Server) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"opensesame, this is no HTTP\r\n\r\n")
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read())
            writer.close()

        async def all_of_it() -> bytes:
            async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                with running("record", "--proxy", "0", "--to", f"http://127.0.0.1:{port}", "-o", out) as proxy:
                    return await talk(int(proxy.rpartition(":")[2]), server)

        assert asyncio.run(all_of_it()) == b"opensesame, this is no HTTP\r\n\r\n"
        assert b"opensesame" not in out.read_bytes()

    def test_a_websocket_passes_and_is_kept_raw(self, url: str, tmp_path: Path) -> None:
        out = tmp_path / "a.rec.frames"

        async def shake_hands(proxy: str) -> None:
            address = proxy.replace("http", "ws") + "/duplex"
            async with connect(address, subprotocols=["objectstreaming.v1"]) as socket:  # type: ignore[list-item]
                await socket.ping()

        with running("record", "--proxy", "0", "--to", url, "-o", out) as proxy:
            asyncio.run(shake_hands(proxy))
        exchange = read_exchange(out)
        assert exchange.status == 101
        assert exchange.pieces

    def test_a_server_that_is_not_there_is_a_502(self, tmp_path: Path) -> None:
        with RawServer(lambda connection: None) as server:
            pass
        with running("record", "--proxy", "0", "--to", server.url, "-o", tmp_path / "a") as proxy:
            assert httpx.get(proxy).status_code == 502


class TestSchedule:
    """The pieces that a replay sends, and when."""

    pieces = tuple(Piece(n / 10, wire) for n, wire in enumerate(frames()))

    def sent(self, faults: Faults) -> bytes:
        return b"".join(data for _, data in schedule(self.pieces, faults))

    def test_without_faults_nothing_changes(self) -> None:
        assert schedule(self.pieces, Faults()) == [tuple(piece) for piece in self.pieces]

    @pytest.mark.parametrize("size", [1, 7, 1_000])
    def test_faults_of_frames_do_not_depend_on_the_pieces(self, size: int) -> None:
        body = b"".join(frames())
        pieces = [Piece(0.0, body[at : at + size]) for at in range(0, len(body), size)]
        faults = Faults(dropped=[1], doubled=[3])
        wire = b"".join(data for _, data in schedule(pieces, faults))
        opening, _, two, three, end = frames()
        assert wire == opening + two + three + three + end

    def test_a_stall_delays_a_frame_and_all_after_it(self) -> None:
        times = [t for t, _ in schedule(self.pieces, Faults(stalls=[(2, 5.0)]))]
        assert times == [0.0, 0.1, 5.2, 5.3, 5.4]

    def test_the_speed_divides_the_times_and_not_the_stalls(self) -> None:
        times = [t for t, _ in schedule(self.pieces, Faults(stalls=[(4, 1.0)], speed=2))]
        assert times == pytest.approx([0.0, 0.05, 0.1, 0.15, 1.2])

    def test_a_cut_ends_at_its_byte(self) -> None:
        assert self.sent(Faults(cut_at=100, doubled=[4])) == b"".join(frames())[:100]

    def test_a_flip_changes_one_bit(self) -> None:
        sent, body = self.sent(Faults(flipped=[9])), b"".join(frames())
        assert [(at, a ^ b) for at, (a, b) in enumerate(zip(sent, body, strict=True)) if a != b] == [(9, 1)]


class TestReplay:
    @pytest.mark.parametrize(
        ("faults", "error"),
        [
            ((), None),
            (("--duplicate", "0"), ProtocolError),
            (("--drop", "2"), ProtocolError),
            (("--drop", "4"), StreamIncomplete),
            (("--cut-at", "150"), TruncatedFrame),
            (("--cut-at", "150", "--clean"), TruncatedFrame),
            (("--flip", "3"), FrameError),
        ],
    )
    def test_a_client_gets_the_answer_with_its_fault(
        self, faults: tuple[str, ...], error: type[Exception] | None, recorded: Path
    ) -> None:
        with running("replay", recorded, "--serve", "0", "--speed", "max", *faults) as url, httpx.Client() as client:
            got = []
            with open_stream(client, "GET", url, coder=JsonCoder()) as stream:
                assert "set-cookie" not in stream.response.headers
                if error is not None:
                    with pytest.raises(error):
                        got += list(stream)
                else:
                    got += list(stream)
                    assert [payload for _, payload in got] == ["text 0", "text 1", "text 2"]

    def test_a_captured_stream_without_times_is_served_too(self, tmp_path: Path) -> None:
        (tmp_path / "stream").write_bytes(b"".join(frames()))
        with (
            running("replay", tmp_path / "stream", "--serve", "0") as url,
            httpx.Client() as client,
            open_stream(client, "POST", url, json={}, coder=JsonCoder()) as stream,
        ):
            assert len(list(stream)) == 3

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--stall", "x"), "FRAME:SECONDS"),
            (("--stall", "1:inf"), "FRAME:SECONDS"),
            (("--speed", "0"), "--speed"),
            (("--clean",), "--cut-at"),
            (("--drop", "5"), "no frame 5"),
            (("--flip", "9999"), "no byte 9999"),
            (("--exchange", "2"), "no exchange 2"),
        ],
    )
    def test_a_wrong_option_is_one_line(
        self, options: tuple[str, ...], said: str, recorded: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("replay", recorded, *options) in (1, 2, 5)
        assert said in only_line(capsys.readouterr().err)
