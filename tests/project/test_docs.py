"""Every Python block of README and docs runs, a file's blocks one after the other as one program.

Where a block speaks to `http://127.0.0.1:8000`, or `ws:`, the last `app` that a block before it made is being served.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from browser import started_browser
from deadlines import DEADLINE
from needed_programs import needs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS_RUN = {"debugging.md"}
"""Whose commands are run too. Each line that is shown of their output must be in it; `...` is any text."""
CLIENTS_ARE_PROGRAMS = {"tutorial.md"}
"""Where a block that speaks to the address is a program of its own, which imports from `chat` what the others have."""
PROGRAMS = {"debugging.md": ("curl",), "voice.md": ("espeak-ng",)}
ADDRESS = "http://127.0.0.1:8000"


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def run(page: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    """The names that a page's blocks have made; `address` is where the last `app` is being served."""
    module = sys.modules["chat"] = types.ModuleType("chat")
    stack.callback(sys.modules.pop, "chat")
    names = vars(module)
    text = page.read_text()
    served, address = None, ""
    for found in BLOCK.finditer(text):
        language, code = found.groups()
        if language == "console" and page.name not in COMMANDS_RUN:
            continue
        asks = ADDRESS.removeprefix("http:") in code
        if asks:
            if names["app"] is not served:
                served = names["app"]
                address = stack.enter_context(serving(served))
            code = code.replace(ADDRESS, address).replace(ADDRESS.replace("http", "ws"), address.replace("http", "ws"))
        if language == "console":
            run_commands(code, stack)
            continue
        line = text[: found.start(2)].count("\n")
        own = asks and page.name in CLIENTS_ARE_PROGRAMS
        compiled = compile("\n" * line + code, str(page), "exec", dont_inherit=True)
        exec(compiled, {"__name__": "__main__"} if own else names)
    return names | {"address": address}


def run_commands(block: str, stack: contextlib.ExitStack) -> None:
    """Run the lines that begin with `$`, and compare. One that ends with `&` runs until the end of the page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        block = block.replace("9000", str(free.getsockname()[1]))
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": here, "PYTHONUNBUFFERED": "1"}
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        words = shlex.split(command.removesuffix(" &").replace(" | ", " '|' "))
        if words[0] in ("tcpdump", "tshark"):  # tests/wireshark tries the filters
            continue
        text = [re.sub(r"\s+", " ", line).strip() for line in shown.splitlines()]
        expected = [".*".join(map(re.escape, line.split("..."))) for line in text]
        program = subprocess.Popen(
            [*words] if "|" not in words else ["sh", "-c", command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert program.stdout is not None
        if command.endswith(" &"):
            stack.callback(program.stdout.close)
            stack.callback(program.wait)
            stack.callback(program.terminate)
            output = program.stdout.readline()
        else:
            output, _ = program.communicate(timeout=DEADLINE)
        lines = [re.sub(r"\s+", " ", line).strip() for line in output.splitlines()]
        for wanted in expected:
            assert any(re.fullmatch(wanted, line) for line in lines), f"{command}\n{wanted}\n{output}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs(*PROGRAMS.get(page.name, ()))
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stack:
        run(page, stack)


def test_the_page_of_the_tutorial_shows_a_whole_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("chromium")
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stack:
        names = run(ROOT / "docs" / "tutorial.md", stack)
        browser = stack.enter_context(started_browser(tmp_path / "profile"))
        browser.open(names["address"])
        answer = """new Promise((shown) => {
          const answer = document.querySelector("#answer");
          new MutationObserver(() => answer.className && shown([answer.className, answer.textContent]))
            .observe(answer, { attributes: true });
          document.querySelector("button").click();
        })"""
        assert browser.run(answer) == ["complete", "You asked: hello "]
        for problem, shown in (({"message": "not you"}, "not you"), ({"detail": "who are you?"}, '"who are you?"')):
            refused = f"""(async () => {{
              window.fetch = async () => Response.json({json.dumps(problem)}, {{ status: 403 }});
              const form = document.querySelector("form");
              await form.onsubmit({{ preventDefault() {{}}, target: form }});
              return document.querySelector("#answer").textContent;
            }})()"""
            assert browser.run(refused) == shown
        assert browser.complaints == []


OF_THE_PROJECT = ("CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")


@pytest.mark.parametrize("page", [*PAGES, *map(ROOT.joinpath, OF_THE_PROJECT)], ids=lambda page: page.name)
def test_its_prose_has_lines_that_an_editor_shows_whole(page: Path) -> None:
    text = re.sub(r"^<!-- make .*? writes.*?^<!-- to here -->", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []
