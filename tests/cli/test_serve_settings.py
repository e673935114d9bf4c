"""`objectstreaming serve` takes its settings from options, and else from the environment."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest
from command_line import run
from deadlines import DEADLINE

from objectstreaming.cli import serving

ENVIRONMENT = {
    "OBJECTSTREAMING_CHAT": "http://127.0.0.1:1/v1",
    "OBJECTSTREAMING_MODEL": "small",
    "OBJECTSTREAMING_VOICE": "af_sarah",
    "OBJECTSTREAMING_SAMPLE_RATE": "24000",
}


def test_options_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(serving, "serve", lambda **options: seen.update(options))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert run("serve", "--voice", "bm_george") == 0
    names = ("chat", "model", "voice", "sample_rate")
    assert [seen[name] for name in names] == ["http://127.0.0.1:1/v1", "small", "bm_george", 24_000]


def test_it_is_a_voice_service_for_home_assistant_too() -> None:
    command = [sys.executable, "-m", "objectstreaming", "serve", "--port", "0", "--wyoming", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        late = threading.Timer(DEADLINE, server.kill)
        late.start()
        try:
            said = server.stderr.readline() + server.stderr.readline()
            found = re.search(r"tcp://127\.0\.0\.1:(\d+)", said)
            assert found, said
            with socket.create_connection(("127.0.0.1", int(found[1]))) as client, client.makefile("rb") as answer:
                client.sendall(b'{"type":"describe"}\n')
                assert b'"type":"info"' in answer.readline()
        finally:
            server.terminate()
            server.wait()
            late.cancel()


@pytest.mark.parametrize(
    ("option", "wrong"),
    [("--chat", "nope"), ("--speech", "http://"), ("--transcription", "ftp://host"), ("--cors", "example.org")],
)
def test_what_is_no_address_is_refused_at_the_start(
    option: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("serve", "--port", "0", option, wrong) == 2
    assert repr(wrong) in capsys.readouterr().err
