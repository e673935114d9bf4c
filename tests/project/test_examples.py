"""The examples run: the server in eight lines with its client, and the client that saves what it hears."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from pathlib import Path

from reference_app import make_app

from objectstreaming.cli.loopback import LoopbackServer

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(example: str, url: str, folder: Path, *arguments: str) -> list[str]:
    """What an example prints, its address being `url`."""
    script = folder / example
    script.write_text((EXAMPLES / example).read_text().replace("http://127.0.0.1:8000", url))
    ran = subprocess.run(
        [sys.executable, "-W", "error", script, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout.splitlines()


def test_the_client_reads_the_server(tmp_path: Path) -> None:
    names: dict[str, object] = {"__name__": "server"}
    exec(compile((EXAMPLES / "server.py").read_text(), "server.py", "exec"), names)
    with LoopbackServer(names["app"]) as server:  # type: ignore[arg-type]
        assert run("client.py", server.url, tmp_path, "how", "are", "you") == ["how", "are", "you"]


def test_the_speaking_client_saves_the_sound(tmp_path: Path) -> None:
    with LoopbackServer(make_app()) as server:
        assert run("speaking_client.py", server.url, tmp_path, "why?") == ["You asked: why?", "The fox is red.", ""]
    with wave.open(str(tmp_path / "answer.wav")) as saved:
        assert (saved.getframerate(), saved.getnframes()) == (8_000, 80 * 30)


def test_the_client_interrupts_the_server_and_asks_again(tmp_path: Path) -> None:
    names: dict[str, object] = {"__name__": "duplex_server"}
    exec(compile((EXAMPLES / "duplex_server.py").read_text(), "duplex_server.py", "exec", dont_inherit=True), names)
    with LoopbackServer(names["app"]) as server:  # type: ignore[arg-type]
        printed = run("duplex_client.py", server.url, tmp_path)
    assert printed == ["1", "2", "3", "4", "5", "interrupted: True", "1", "2", "3"]
