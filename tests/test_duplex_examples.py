"""The duplex examples run: the client counts with the server, interrupts it, and counts again."""

from __future__ import annotations

from pathlib import Path

from test_examples import EXAMPLES, run

from objectstreaming.cli.loopback import LoopbackServer


def test_the_client_interrupts_the_server_and_asks_again(tmp_path: Path) -> None:
    names: dict[str, object] = {"__name__": "duplex_server"}
    exec(compile((EXAMPLES / "duplex_server.py").read_text(), "duplex_server.py", "exec", dont_inherit=True), names)
    with LoopbackServer(names["app"]) as server:  # type: ignore[arg-type]
        printed = run("duplex_client.py", server.url, tmp_path)
    assert printed == ["1", "2", "3", "4", "5", "interrupted: True", "1", "2", "3"]
