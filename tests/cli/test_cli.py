"""The `objectstreaming` command, as a person types it."""

from __future__ import annotations

import gc
import io
import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy
import pytest
from command_line import only_line, run
from deadlines import DEADLINE
from needed_programs import needs
from reference_app import Breaking, Ear, Tone, make_app, sound

import objectstreaming
from objectstreaming import StreamEncoder, encode_frame
from objectstreaming.cli.asking import endpoint
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.cli.terminal import FrameLines, brief, coloured, counter, printable
from objectstreaming.testing import RawServer, response_head
from wav_streaming import TALAudio, TALCoder, pcm_to_wav, read_wav


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `python -m objectstreaming` finds the package of this checkout."""
    monkeypatch.chdir(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LoopbackServer(make_app()) as server:
        yield server.url


def test_version_names_the_codec(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"objectstreaming {objectstreaming.__version__}"
    assert re.fullmatch("codec: (pure|native)", shown[1])


def test_the_help_of_each_command_has_an_example_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    commands = re.findall(r"^  ([a-z-]+)  ", capsys.readouterr().out.partition("Commands:")[2], re.MULTILINE)
    assert "doctor" in commands
    for command in commands:
        assert run(command, "--help") == 0
        assert re.search(rf"^  Example:\n    objectstreaming {command} .+$", capsys.readouterr().out, re.MULTILINE)


def test_an_example_of_a_help_runs_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("question.wav").write_bytes(pcm_to_wav(sound(), 16_000))
    spoken = ("-H", "Content-Type: audio/wav", "-d", "@question.wav")
    assert run("record", f"{url}/wav", *spoken, "-o", "call.rec.frames") == 0
    for command in ("ask", "inspect", "cat", "to-wav"):
        capsys.readouterr()
        assert run(command, "--help") == 0
        [example] = re.findall(r"^    objectstreaming (.+)$", capsys.readouterr().out, re.MULTILINE)
        assert run(*shlex.split(example.replace("http://127.0.0.1:8000", url))) == 0, example
        shown = capsys.readouterr()
        assert shown.out + shown.err


def test_a_shell_completes_commands_and_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "objectstreaming"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m objectstreaming "$@"\n')
    command.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    typed = {"inspect": ("objectstreaming", "ins"), "--idle": ("objectstreaming", "doctor", "--id")}
    script = 'eval "$(_OBJECTSTREAMING_COMPLETE=source_bash objectstreaming)"\n'
    for words in typed.values():
        script += f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
        script += "_objectstreaming_completion objectstreaming; echo ${COMPREPLY[@]}\n"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (ran.stdout.split(), ran.stderr) == ([*typed], "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured("bad", "red", Terminal()) == "\x1b[31mbad\x1b[0m"
    assert coloured("bad", "red", io.StringIO()) == "bad"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("bad", "red", Terminal()) == "bad"


def test_progress_is_a_line_of_a_terminal_that_goes_away() -> None:
    terminal = Terminal()
    show = counter("cases", terminal)
    show(1, 2)
    show(2, 2)
    assert terminal.getvalue() == "\r1 of 2 cases\r\x1b[K"


def test_the_module_is_the_command() -> None:
    ran = subprocess.run([sys.executable, "-m", "objectstreaming", "--version"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, f"objectstreaming {objectstreaming.__version__}")


def test_a_wrong_option_is_an_error_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ask", "--no-such-option") == 2
    error = capsys.readouterr().err
    assert "Usage: objectstreaming ask" in error
    assert "No such option" in error


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delitem(sys.modules, "objectstreaming.cli.commands", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    assert run("serve") == 2
    assert "pip install 'objectstreaming[cli]'" in only_line(capsys.readouterr().err)


class TestAsk:
    def test_a_text_is_answered_with_its_sources(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("ask", url, "why?") == 0
        out, err = capsys.readouterr()
        assert out.splitlines() == ["You asked: why?  [fox.md > Questions]", "The fox is red."]
        assert len(re.findall(r"^ +\d+ +\d+\.\d{3} s +\d+ B  status=", err, re.MULTILINE)) == 2
        assert "2 frames" in err.splitlines()[-1]

    def test_quiet_shows_only_the_answer(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("ask", url, "why?", "-q") == 0
        assert capsys.readouterr().err == ""

    def test_a_text_is_answered_in_speech_where_there_is_a_file_for_it(
        self, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "answer.wav"
        assert run("ask", url, "why?", "--out", out) == 0
        assert capsys.readouterr().out.splitlines() == ["You asked: why?", "The fox is red."]
        with wave.open(str(out)) as saved:
            assert saved.getframerate() == 8_000
            assert saved.getnframes() == 80 * 30
        assert os.listdir(tmp_path) == ["answer.wav"]

    def test_a_wav_file_asks(self, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        question, out = tmp_path / "question.wav", tmp_path / "answer.wav"
        question.write_bytes(pcm_to_wav(sound(), 16_000))
        assert run("ask", url, "--wav", question, "--out", out) == 0
        shown = capsys.readouterr()
        assert "heard: what is a fox" in shown.err
        assert shown.out.splitlines()[0] == "You asked: what is a fox"
        assert out.stat().st_size > 1_000

    def test_sound_goes_through_pipes(self, url: str) -> None:
        command = [sys.executable, "-m", "objectstreaming", "ask", url, "--wav", "-", "--out", "-"]
        ran = subprocess.run(command, input=pcm_to_wav(sound(), 16_000), capture_output=True, timeout=DEADLINE)
        assert ran.returncode == 0
        answer = read_wav(ran.stdout)
        assert (answer.sample_rate, len(answer.pcm)) == (8_000, 160 * 39)
        assert b"heard: what is a fox" in ran.stderr
        assert b"You asked: what is a fox" in ran.stderr

    def test_a_voice_that_fails_is_said(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with LoopbackServer(make_app(voice=Tone(unspeakable="You"))) as server:
            assert run("ask", server.url, "why?", "--out", tmp_path / "answer.wav", "-q") == 0
        assert "comes without sound" in capsys.readouterr().err

    def test_the_frames_can_be_saved_and_looked_at(
        self, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        saved = tmp_path / "answer.frames"
        assert run("ask", url, "why?", "--save", saved, "-q") == 0
        capsys.readouterr()
        assert run("inspect", saved) == 0
        shown = capsys.readouterr()
        assert len(shown.out.splitlines()) == 2
        assert "2 frames" in shown.err

    @pytest.mark.parametrize("arguments", [(), ("why?", "--wav", "question.wav")])
    def test_it_is_asked_in_one_way(
        self, url: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("ask", url, *arguments) == 2
        assert "either with a text or with --wav" in only_line(capsys.readouterr().err)

    def test_a_question_that_is_not_unicode_is_one_line(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("ask", url, os.fsdecode(b"\xff")) == 2
        assert "not UTF-8" in only_line(capsys.readouterr().err)

    def test_a_server_that_is_not_there_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            assert run("ask", f"127.0.0.1:{free.getsockname()[1]}", "why?") == 1
        assert "cannot be reached" in only_line(capsys.readouterr().err)

    @pytest.mark.parametrize("wrong", ["ftp://a/", "http://", "http://a:port/"])
    def test_an_invalid_url_is_one_line(self, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("ask", wrong, "why?") == 2
        assert "URL" in only_line(capsys.readouterr().err)

    def test_a_question_that_is_not_a_wav_file_is_one_line(
        self, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        question, out = tmp_path / "question.wav", tmp_path / "answer.wav"
        question.write_bytes(b"<html>not found</html>")
        assert run("ask", url, "--wav", question, "--out", out) == 1
        assert "HTTP 400" in only_line(capsys.readouterr().err)
        assert not out.exists()

    def test_a_file_that_is_not_there_is_one_line(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("ask", url, "--wav", "/nowhere/question.wav") == 1
        assert "/nowhere/question.wav" in only_line(capsys.readouterr().err)

    @pytest.mark.parametrize(
        ("option", "where"),
        [("--out", "nowhere/answer.wav"), ("--out", "."), ("--out", os.devnull), ("--place", "nowhere/place.json")],
    )
    def test_where_nothing_can_be_saved_nothing_is_asked(
        self,
        option: str,
        where: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        asked: list[object] = []
        with RawServer(asked.append) as server:
            assert run("ask", server.url, "why?", option, where) == 1
        assert "cannot be written" in only_line(capsys.readouterr().err)
        assert asked == []

    def test_a_file_that_cannot_be_opened_is_one_clear_line(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "answer.wav.part").mkdir()  # as unwritable as a file of somebody else's
        encoder = StreamEncoder(TALCoder())
        wire = encoder.open() + encoder.data(TALAudio(answer="Yes."), bytes(200)) + encoder.end()
        head = response_head(content_type="application/vnd.objectstreaming;v=1;coder=tal")
        with RawServer(lambda connection: connection.send(head + wire)) as server:
            assert run("ask", server.url, "why?", "-q", "--out", tmp_path / "answer.wav") == 1
        gc.collect()
        assert "answer.wav.part" in only_line(capsys.readouterr().err)

    def test_an_answer_without_sound_saves_nothing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with LoopbackServer(make_app(voice=Tone(unspeakable=" "))) as server:
            assert run("ask", server.url, "why?", "-q", "--out", tmp_path / "answer.wav") == 1
        why, error = capsys.readouterr().err.splitlines()
        assert "comes without sound" in why
        assert "no sound" in only_line(error)
        assert not os.listdir(tmp_path)

    def test_an_answer_that_is_cut_saves_nothing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with LoopbackServer(make_app(answerer=Breaking())) as server:
            assert run("ask", server.url, "why?", "-q", "--out", tmp_path / "answer.wav") == 1
        assert "internal" in only_line(capsys.readouterr().err)
        assert not os.listdir(tmp_path)

    def test_a_server_cannot_control_the_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        with LoopbackServer(make_app(ear=Ear())) as server:
            assert run("ask", server.url, "\x1b]0;owned\x07\x1b[2J") == 0
        shown = capsys.readouterr()
        assert "\x1b" not in shown.out + shown.err
        assert "owned" in shown.out


@contextmanager
def serving(*options: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """`objectstreaming serve` on a free port, and a client of it. It must not have left a traceback."""
    command = [sys.executable, "-m", "objectstreaming", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            for line in server.stderr:
                found = re.search(r"http://127\.0\.0\.1:\d+", line)
                if found:
                    break
            else:
                pytest.fail("it did not say where it serves")
            with httpx.Client(base_url=found[0], timeout=DEADLINE) as client:
                yield client, server
        finally:
            server.terminate()
            rest = server.stderr.read()
    assert "Traceback" not in rest


class TestServe:
    def test_serves_until_it_is_interrupted(self, tmp_path: Path) -> None:
        (tmp_path / "bees.md").write_text("# Bees\n\nBees make honey from nectar.\n")
        with serving("--docs", str(tmp_path)) as (client, server):
            answer = client.post("/objects", json={"question": "what do bees make"})
            assert b"Bees make honey from nectar." in answer.content
            assert b"bees.md > Bees" in answer.content
            assert client.get("/health", headers={"Host": "evil.example"}).status_code == 403
            server.send_signal(signal.SIGINT)
            assert server.wait(DEADLINE) == 0

    def test_metrics_are_on_a_port_of_their_own(self) -> None:
        with serving("--metrics", "0") as (client, server):
            assert server.stderr is not None
            found = re.search(r"metrics are at (http://127\.0\.0\.1:\d+/metrics)", server.stderr.readline())
            assert found is not None
            assert client.post("/objects", json={"question": "what is a frame"}).status_code == 200
            metrics = httpx.get(found[1], trust_env=False).text
            ended = 'objectstreaming_streams_total{coder="json",outcome="ok",route="/objects"} 1.0'
            assert ended in metrics
            assert client.get("/metrics").status_code == 404, "not for those who ask"

    def test_the_endpoints_get_the_models_and_the_voice(self) -> None:
        bodies: dict[str, bytes] = {}

        class Engine(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
                reply = (
                    b'{"text": "what is a frame"}' if self.path.endswith("transcriptions") else pcm_to_wav(b"", 8_000)
                )
                self.send_response(200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *arguments: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as engine:
            threading.Thread(target=engine.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{engine.server_port}"
            options = ["--voice", "ann", "--speech-model", "loud", "--transcription-model", "ear"]
            with serving("--speech", address, "--transcription", address, *options) as (client, _):
                wav = pcm_to_wav(sound(), 16_000)
                assert client.post("/wav", content=wav, headers={"Content-Type": "audio/wav"}).status_code == 200
            engine.shutdown()
        spoken = json.loads(bodies["/v1/audio/speech"])
        assert (spoken["model"], spoken["voice"]) == ("loud", "ann")
        assert b'name="model"\r\n\r\near\r\n' in bodies["/v1/audio/transcriptions"]

    def test_clients_get_an_error_when_it_stops(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as model, ThreadPoolExecutor() as pool:
            address = f"http://127.0.0.1:{model.getsockname()[1]}/v1"
            with serving("--chat", address) as (client, server):
                answer = pool.submit(client.post, "/objects", json={"question": "why?"})
                asked, _ = model.accept()  # the model has been asked, and never answers
                with asked:
                    server.send_signal(signal.SIGTERM)
                    response = answer.result(DEADLINE)
            assert response.status_code == 503
            assert response.json()["code"] == "unavailable"

    @pytest.mark.parametrize(
        ("arguments", "status", "wrong"),
        [
            (("--docs", "/nowhere"), 2, "/nowhere"),
            (("--docs", "{empty}"), 2, "no Markdown or text"),
            (("--forwarded-allow-ips", "proxy.example"), 2, "proxy.example"),
            (("--speech-model", "m"), 2, "--speech URL"),
            (("--transcription-model", "m"), 2, "--transcription URL"),
            (("--voice", "-w"), 2, "-w"),
            (("--host", "no.such.host.invalid"), 1, "no.such.host.invalid"),
            (("--port", "{taken}"), 1, "cannot listen"),
        ],
    )
    def test_an_error_is_one_line(
        self,
        arguments: tuple[str, ...],
        status: int,
        wrong: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert run("serve", *(word.format(empty=tmp_path, taken=port) for word in arguments)) == status
        assert wrong in only_line(capsys.readouterr().err)


class TestDemo:
    def test_asks_by_text_and_by_speech_and_saves_the_answer(self, tmp_path: Path) -> None:
        needs("espeak-ng")
        out = tmp_path / "answer.wav"
        command = [sys.executable, "-m", "objectstreaming", "demo", "--out", str(out)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=3 * DEADLINE, stdin=subprocess.DEVNULL)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert re.search(r"server: http://127\.0\.0\.1:\d+", ran.stdout)
        assert "text question: " in ran.stdout
        assert "spoken question: " in ran.stdout
        assert re.search(r"heard: .*(happens|reader|leaves)", ran.stdout)
        assert len(re.findall(r"^ +\d+ +\d+\.\d{3} s +[\d,]+ B  ", ran.stdout, re.MULTILINE)) >= 3
        assert ran.stdout.count("first frame after ") == 2
        assert "Ask more at" not in ran.stdout
        with wave.open(str(out)) as saved:
            seconds = saved.getnframes() / saved.getframerate()
            samples = numpy.frombuffer(saved.readframes(saved.getnframes()), "<i2") / 32_768
        assert seconds > 1
        assert numpy.sqrt(numpy.mean(samples**2)) > 0.01

    def test_takes_a_wav_file_and_on_a_terminal_serves_the_page_until_it_is_interrupted(self, tmp_path: Path) -> None:
        needs("espeak-ng")
        question, out = tmp_path / "question.wav", tmp_path / "answer.wav"
        subprocess.run(
            ["espeak-ng", "-v", "en-us+f2", "-s", "130", "-w", question, "who closes the connection"], check=True
        )
        terminal, end = pty.openpty()
        command = [sys.executable, "-m", "objectstreaming", "demo", "--wav", str(question), "--out", str(out)]
        with subprocess.Popen(command, stdin=end, stdout=end, stderr=end, start_new_session=True) as demo:
            os.close(end)
            shown = b""
            try:
                while not (found := re.search(rb"Ask more at (http://127\.0\.0\.1:\d+) ", shown)):
                    shown += os.read(terminal, 4_096)
                page = httpx.get(found[1].decode(), timeout=DEADLINE)
            finally:
                demo.send_signal(signal.SIGINT)
            assert demo.wait(DEADLINE) == 0
            os.close(terminal)
        assert re.search(rb"heard: .*(closes|connection)", shown)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]

    def test_without_an_engine_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert run("demo", "--out", tmp_path / "answer.wav") == 1
        assert "install espeak-ng or flite" in only_line(capsys.readouterr().err)


class TestConformance:
    def test_our_own_implementation_is_run_where_none_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("conformance", "--only", "limits/") == 0
        assert re.search(r"^total +16/16 ", capsys.readouterr().out, re.MULTILINE)

    def test_a_program_that_does_not_conform_is_status_1(self, capsys: pytest.CaptureFixture[str]) -> None:
        mutant = (sys.executable, "-m", "objectstreaming.conformance.mutants", "no-limit")
        assert run("conformance", "--only", "limits/", "--", *mutant) == 1
        assert "mutant no-limit does NOT conform" in capsys.readouterr().out

    def test_a_program_that_cannot_be_run_is_one_line_and_status_2(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("conformance", "true") == 2
        assert "true does not answer hello" in only_line(capsys.readouterr().err)

    @pytest.mark.parametrize("module", ["httpx", "hypothesis", "uvicorn"])
    def test_the_extra_that_brings_all_it_needs_is_named(self, module: str) -> None:
        code = (
            f"import sys; sys.modules[{module!r}] = None; from objectstreaming.cli import main; main(['conformance'])"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "pip install 'objectstreaming[conformance]'" in only_line(ran.stderr)

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("--all", "true"), "either a command line, or --all or --implementation"),
            (("--implementations", "x.json"), "--implementations needs --all or --implementation"),
            (("--all", "--only", "limits/", "--write", "x.md"), "--write needs --all and no --only"),
        ],
    )
    def test_options_that_do_not_go_together_are_one_line_and_status_2(
        self, arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("conformance", *arguments) == 2
        assert complaint in only_line(capsys.readouterr().err)

    def test_without_a_checkout_all_says_what_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run("conformance", "--all") == 2
        line = only_line(capsys.readouterr().err)
        assert "there is no clients/implementations.json in" in line
        assert "--implementations FILE" in line


class TestTerminal:
    @pytest.mark.parametrize("hostile", ["\x1b[2J", "\x9b31m", "\u202e", "a\rb", "\x07", "\u2028", "\ud800"])
    def test_nothing_that_a_terminal_obeys_is_printed(self, hostile: str) -> None:
        assert printable(hostile).isprintable()

    def test_a_header_is_brief(self) -> None:
        tal = TALAudio(sampleRate=22_050, answer="x" * 1_000, order=2, sign=2)
        assert brief(tal.to_dict()).startswith("order=2 sign=2 sampleRate=22050 answer=xxx")
        assert len(brief({str(n): n for n in range(1_000)})) <= 100

    def test_times_are_those_of_the_clock(self) -> None:
        times = iter([10.0, 10.5, 12.0])
        lines: list[str] = []
        seen = FrameLines(lines.append, clock=lambda: next(times))
        for frame in objectstreaming.FrameDecoder().feed(encode_frame({"a": 1}) + encode_frame({}, b"xyz")):
            seen.see(frame)
        assert (seen.first, seen.last, seen.frames, seen.bytes) == (0.5, 2.0, 2, 28)
        assert "0.500 s" in lines[0]

    @pytest.mark.parametrize(
        ("url", "address"),
        [
            ("http://a", "http://a/wav"),
            ("a:81/", "http://a:81/wav"),
            ("https://a/b/", "https://a/b/wav"),
            ("http://a/wav", "http://a/wav"),
        ],
    )
    def test_the_endpoint_of_a_server(self, url: str, address: str) -> None:
        assert endpoint(url, "wav") == address


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">/dev/full"])
def test_a_standard_stream_that_is_closed_or_full_is_no_traceback(closed: str, tmp_path: Path) -> None:
    (tmp_path / "stream").write_bytes(encode_frame({"a": "\N{SNOWMAN}"}))
    command = f"{sys.executable} -m objectstreaming inspect {tmp_path / 'stream'} {closed}"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ran = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
    assert ran.returncode == (1 if "full" in closed else 0)
    assert "Traceback" not in ran.stderr + ran.stdout
    if closed == "<&-":
        assert "a=\\u2603" in ran.stdout


def test_output_that_nobody_reads_is_not_an_error(tmp_path: Path) -> None:
    stream = tmp_path / "stream"
    stream.write_bytes(encode_frame({"a": 1}) * 100_000)
    command = [sys.executable, "-m", "objectstreaming", "inspect", str(stream)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        ran.stdout.readline()
        ran.stdout.close()
        assert b"Traceback" not in ran.stderr.read()
