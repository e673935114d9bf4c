"""Every Python block of README and docs runs, a file's blocks one after the other as one program.

Where a block speaks to `http://127.0.0.1:8000`, the last `app` that a block before it made is being served.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from browser import started_browser
from needed_programs import needs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
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
    names: dict[str, Any] = {"__name__": "__main__"}
    text = page.read_text()
    served, address = None, ""
    for found in BLOCK.finditer(text):
        code = found[1]
        if ADDRESS in code:
            if names["app"] is not served:
                served = names["app"]
                address = stack.enter_context(serving(served))
            code = code.replace(ADDRESS, address)
        line = text[: found.start(1)].count("\n")
        exec(compile("\n" * line + code, str(page), "exec", dont_inherit=True), names)
    return names | {"address": address}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert browser.complaints == []


LINKED = (
    "CHANGELOG.md",
    "clients/README.md",
    "objectstreaming/conformance/README.md",
    "spec/README.md",
    "spec/SPEC.md",
)


@pytest.mark.parametrize("page", [*PAGES, *map(ROOT.joinpath, LINKED)], ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), f"{target} leads nowhere"
        if anchor and linked.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{target} has no such heading"
