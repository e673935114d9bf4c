"""`objectstreaming inspect`: what a person sees of a stream, and what a script learns from the exit status."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from command_line import only_line, run
from deadlines import DEADLINE
from reference_app import make_app

from objectstreaming import (
    Frame,
    JsonCoder,
    MsgpackCoder,
    NdarrayCoder,
    StreamEncoder,
    StreamError,
    decode_frame,
    encode_frame,
)
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.cli.previews import preview
from objectstreaming.testing import Connection, RawServer, response_head
from wav_streaming import TALAudio, TALCoder

CUT, FAILED, NO_STREAM = 3, 4, 5
END = b'{"$stream":{"type":"end"'


def whole(error: StreamError | None = None) -> bytes:
    encoder = StreamEncoder(JsonCoder())
    wire = encoder.open(heartbeat=15) + encoder.data({"status": "success", "n": 1}, {"answer": "42"})
    return wire + encoder.ping() + encoder.data({"status": "success", "n": 2}, "more") + encoder.end(error=error)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "stream"
    path.write_bytes(whole())
    return path


class TestLines:
    def test_a_frame_is_a_line_with_its_kind_and_payload(self, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("inspect", saved) == 0
        shown = capsys.readouterr()
        lines = shown.out.splitlines()
        assert [line.split()[0] for line in lines] == ["0", "1", "2", "3", "4"]
        assert "open v=1 coder=json heartbeat=15" in lines[0]
        assert "status=success" in lines[1]
        assert '{"answer":"42"}' in lines[1]
        assert "end frames=2" in lines[4]
        assert "5 frames" in only_note(shown.err)
        assert "whole" in shown.err

    def test_times_of_control_frames_are_shown(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        encoder, path = StreamEncoder(JsonCoder()), tmp_path / "timed"
        path.write_bytes(encoder.open(at=31) + encoder.ping(at=250_000) + encoder.end(at=500_000))
        assert run("inspect", path) == 0
        assert re.findall(r"(open|ping|end) .*at=(\d+)", capsys.readouterr().out) == [
            ("open", "31"),
            ("ping", "250000"),
            ("end", "500000"),
        ]

    def test_it_reads_stdin(self) -> None:
        wire = encode_frame({"a": 1}, b"xy")
        ran = subprocess.run([sys.executable, "-m", "objectstreaming", "inspect", "-"], input=wire, capture_output=True)
        assert ran.returncode == 0
        assert b"a=1" in ran.stdout

    def test_json_is_an_object_a_line(self, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("inspect", saved, "--json") == 0
        frames = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [frame["kind"] for frame in frames] == ["open", "data", "ping", "data", "end"]
        assert frames[1]["header"] == {"status": "success", "n": 1}
        assert frames[1]["payload"] == {"size": 15, "preview": '{"answer":"42"}'}
        assert frames[1]["offset"] == frames[0]["size"]
        assert frames[1]["t"] is None

    @pytest.mark.parametrize(
        ("options", "indexes"),
        [
            (("--kind", "data"), [1, 3]),
            (("--kind", "open,ping"), [0, 2]),
            (("--where", "n==2"), [3]),
            (("--where", "n>=1", "--where", "status==success"), [1, 3]),
            (("--where", "n!=2", "--kind", "data"), [1]),
            (("--where", "n>many"), []),
            (("--where", "nothing"), []),
            (("--where", "$stream.type==ping"), [2]),
            (("--frames", "2"), [2]),
            (("--frames", "3:"), [3, 4]),
            (("--frames", ":2"), [0, 1]),
        ],
    )
    def test_only_what_is_asked_for_is_shown(
        self, options: tuple[str, ...], indexes: list[int], saved: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("inspect", saved, "--json", *options) == 0
        assert [json.loads(line)["index"] for line in capsys.readouterr().out.splitlines()] == indexes

    @pytest.mark.parametrize(
        "options", [("--kind", "date"), ("--frames", "a:b"), ("--where", "== 3"), ("--coder", "xml")]
    )
    def test_a_wrong_option_is_one_line(
        self, options: tuple[str, ...], saved: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("inspect", saved, *options) in (1, 2)
        assert options[0][2:] in only_line(capsys.readouterr().err)

    def test_payloads_are_shown_as_wanted(self, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("inspect", saved, "--payload", "hex", "--frames", "3") == 0
        assert b'"more"'.hex(" ") in capsys.readouterr().out
        assert run("inspect", saved, "--payload", "none", "--frames", "3") == 0
        assert "more" not in capsys.readouterr().out

    def test_statistics_count_frames_and_bytes_by_kind(self, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("inspect", saved, "--json", "--stats", "--frames", "0") == 0
        report = json.loads(capsys.readouterr().out.splitlines()[-1])["statistics"]
        assert report["frames"] == {"open": 1, "data": 2, "ping": 1, "end": 1}
        assert sum(report["bytes"].values()) == len(whole())

    def test_nothing_of_a_stream_controls_the_terminal(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        evil = "\x1b]0;owned\x07"
        stream = tmp_path / "stream"
        stream.write_bytes(
            encode_frame({evil: evil}, evil.encode())
            + encode_frame({"$stream": {"type": "open", "v": 1, "coder": evil}})
            + encode_frame({"$stream": {"type": "end", "frames": 1, "error": {"code": evil, "message": evil}}})
        )
        run("inspect", stream, "--payload", "full")
        shown = capsys.readouterr()
        assert "\x1b" not in shown.out + shown.err


def only_note(text: str) -> str:
    [line] = text.splitlines()
    return line


class TestVerdicts:
    """What the stream was as a whole."""

    @pytest.mark.parametrize(
        ("wire", "status", "said"),
        [
            (whole()[:-1], CUT, "truncated_frame"),
            (whole()[:3], CUT, "truncated_frame"),
            (whole()[: whole().rindex(END) - 8], CUT, "stream_incomplete"),
            (whole(StreamError("unavailable", "the model went away")), FAILED, "unavailable: the model went away"),
            (whole() + encode_frame({"a": 1}), 1, "frame_after_end"),
            (encode_frame({"a": 1}) + b"\x01\0\0\0\0\0\0\0", 1, "invalid_length"),
            (b"\x0b\0\0\0\x03\0\0\0\x1b[J", 1, "invalid_header"),
            (whole().replace(b'"more"', b"{more}"), 1, "invalid_payload"),
            (encode_frame({"a": 1}), 0, "plain"),
            (b"", 0, "plain"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_the_status_says_what_happened(
        self, wire: bytes, status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stream = tmp_path / "stream"
        stream.write_bytes(wire)
        assert run("inspect", stream) == status
        assert said in only_note(capsys.readouterr().err)

    def test_the_frames_before_a_fault_and_after_it_are_shown(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stream = tmp_path / "stream"
        stream.write_bytes(whole() + encode_frame({"late": 1}) + b"\x01\0\0\0\0\0\0\0")
        assert run("inspect", stream) == 1
        shown = capsys.readouterr()
        assert len(shown.out.splitlines()) == 6
        assert "late=1" in shown.out

    def test_a_file_that_is_not_there_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        for command in ("inspect", "cat", "to-wav"):
            assert run(command, "/nowhere/stream") == NO_STREAM
            assert "/nowhere/stream" in only_line(capsys.readouterr().err)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("-d", "@/nowhere/body"), "/nowhere/body"),
            (("-H", "no colon"), "Name: value"),
            (("-H", "a: b\nc: d"), "header value"),
            (("-X", "GE T"), "method"),
            (("-X", "G\u00c9T"), "method"),
        ],
    )
    def test_what_is_no_request_is_one_line_and_status_2(
        self, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with RawServer(lambda connection: None) as server:
            assert run("inspect", server.url, *words) == 2
        assert said in only_line(capsys.readouterr().err)

    @pytest.mark.parametrize("words", [("inspect", "ftp://a/"), ("doctor", "http://"), ("record", "http://a:b/")])
    def test_what_is_no_url_is_one_line_and_status_2(
        self,
        words: tuple[str, ...],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(*words) == 2
        assert "URL" in only_line(capsys.readouterr().err)
        assert run("record", "--proxy", "0", "--to", words[1]) == 2
        assert "URL" in only_line(capsys.readouterr().err)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LoopbackServer(make_app()) as server:
        yield server.url


class TestLive:
    def test_the_answer_of_a_server_is_shown_with_times(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("inspect", f"{url}/objects", "-d", '{"question": "why?"}', "--json", "--stats") == 0
        shown = capsys.readouterr()
        *frames, last = [json.loads(line) for line in shown.out.splitlines()]
        assert [frame["kind"] for frame in frames] == ["open", "data", "data", "end"]
        times = [frame["t"] for frame in frames]
        assert times == sorted(times)
        assert last["statistics"]["first_data"] == times[1]
        assert re.search(r" 200, headers after .*, application/vnd\.objectstreaming;v=1;coder=json\n", shown.err)

    def test_a_frame_is_shown_while_the_stream_goes_on(self) -> None:
        shown = threading.Event()

        def respond(connection: Connection) -> None:
            connection.send(response_head(connection="close") + whole()[: -len(END)])
            assert shown.wait(DEADLINE), "the frames were held back"
            connection.send(whole()[-len(END) :])

        with RawServer(respond) as server:
            command = [sys.executable, "-m", "objectstreaming", "inspect", server.url]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as ran:
                assert ran.stdout is not None
                assert "open" in ran.stdout.readline()
                shown.set()
                assert "end" in ran.stdout.read().splitlines()[-1]
        assert ran.returncode == 0

    def test_the_request_is_as_it_was_asked_for(self, tmp_path: Path) -> None:
        body = tmp_path / "body"
        body.write_bytes(b"\x00\x01")
        with RawServer(lambda connection: connection.send(response_head(connection="close") + whole())) as server:
            assert (
                run("inspect", server.url, "-d", f"@{body}", "-X", "PUT", "-H", "Content-Type: a/b", "-H", "K: v") == 0
            )
        [asked] = server.connections
        assert (asked.method, asked.body, asked.headers["content-type"], asked.headers["k"]) == (
            "PUT",
            b"\x00\x01",
            "a/b",
            "v",
        )

    def test_a_connection_that_breaks_is_a_cut(self, capsys: pytest.CaptureFixture[str]) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(transfer_encoding="chunked"))
            connection.send_chunks([whole()[:-1]])

        with RawServer(respond) as server:
            assert run("inspect", server.url) == CUT
        shown = capsys.readouterr()
        assert len(shown.out.splitlines()) == 4
        assert "the connection broke" in shown.err

    def test_silence_is_a_cut(self, capsys: pytest.CaptureFixture[str]) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head() + whole()[:-1])
            connection.until_client_leaves()

        with RawServer(respond) as server:
            assert run("inspect", server.url, "--timeout", "0.05") == CUT
        assert "--timeout" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("head", "body", "said"),
        [
            (response_head("503 Service Unavailable"), b'{"code":"unavailable","message":"busy"}', "busy"),
            (response_head(content_type="text/html"), b"<html>hello", "<html>hello"),
            (response_head(content_encoding="br"), b"", "'br'"),
        ],
    )
    def test_what_is_no_stream_is_one_line(
        self, head: bytes, body: bytes, said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with RawServer(lambda connection: connection.send(head + body)) as server:
            assert run("inspect", server.url) == NO_STREAM
        assert said in only_line(capsys.readouterr().err)

    def test_a_server_that_is_not_there_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        with RawServer(lambda connection: None) as server:
            pass
        assert run("inspect", server.url) == NO_STREAM
        assert "cannot be reached" in only_line(capsys.readouterr().err)


def tal(pcm: bytes, **members: object) -> Frame:
    return decode_frame(TALCoder().encode(TALAudio(**members), pcm))  # type: ignore[arg-type]


class TestPreviews:
    def test_json_is_one_line_that_is_cut(self) -> None:
        frame = decode_frame(JsonCoder().encode({}, {"text": "word\n" * 1_000}))
        assert preview(frame, "json", 30) == '{"text":"word\\nword\\nword\\n...'

    def test_messagepack_is_shown_as_json_and_bytes_by_their_number(self) -> None:
        frame = decode_frame(MsgpackCoder().encode({}, {"pcm": bytes(500), "at": [1, 2.5, None, True], "s": "x"}))
        assert preview(frame, "msgpack") == '{"pcm": <500 B>, "at": [1, 2.5, null, true], "s": "x"}'

    @pytest.mark.parametrize(
        ("array", "shown"),
        [
            (numpy.array([[1, 2, 3]], "<f4"), "float32[1,3] 1 / 2 / 3"),
            (numpy.array([1 + 2j]), "complex128[1]"),
            (numpy.array([numpy.nan, 1.0]), "float64[2] nan / nan / nan"),
        ],
    )
    def test_an_array_is_its_type_shape_and_range(self, array: numpy.ndarray, shown: str) -> None:  # type: ignore[type-arg]
        frame = decode_frame(NdarrayCoder().encode({}, array))
        assert preview(frame, "ndarray") == shown

    def test_sound_is_its_loudness_peak_and_length(self) -> None:
        half = numpy.concatenate([numpy.zeros(8_000), numpy.full(8_000, 16_384)]).astype("<i2")
        shown = preview(tal(half.tobytes()), "tal")
        bars, _, rest = shown[1:].partition("|")
        assert set(bars[:10]) == {"·"}
        assert "·" not in bars[10:]
        assert rest == " -6.0 dBFS, 1.00 s"

    def test_silence_and_clipping_are_said(self) -> None:
        assert "silence" in preview(tal(bytes(320)), "tal")
        loud = numpy.full(100, 32_767, "<i2")
        assert "clipping" in preview(tal(loud.tobytes()), "tal")

    @pytest.mark.parametrize(
        ("payload", "shown"),
        [(b"\x89PNG\r\n", "image/png"), (b"plain text", "plain text"), (b"\x00\xff", "00 ff"), (b"", "")],
    )
    def test_bytes_are_named_by_their_beginning(self, payload: bytes, shown: str) -> None:
        assert preview(Frame(b"{}", payload), "raw") == shown

    @pytest.mark.parametrize("coder", ["msgpack", "ndarray", "tal"])
    def test_a_payload_that_cannot_be_read_is_said(self, coder: str) -> None:
        assert preview(Frame(b'{"dtype":"<f4","shape":[3]}', b"\xc1"), coder).startswith("(invalid_")

    def test_the_coder_is_guessed_where_nothing_says_it(self) -> None:
        assert "dBFS" in preview(tal(b"\x00\x10" * 100), None)
        assert preview(Frame(b"{}", b"[1]"), None) == "[1]"
