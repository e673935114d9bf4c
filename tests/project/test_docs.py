"""Every Python block of README and docs runs, a file's blocks one after the other as one program.

Where a block speaks to `http://127.0.0.1:8000`, the `app` that a block before it made is being served.
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    text = page.read_text()
    with contextlib.ExitStack() as stack:
        address = None
        for found in BLOCK.finditer(text):
            code = found[1]
            if ADDRESS in code:
                address = address or stack.enter_context(serving(names["app"]))
                code = code.replace(ADDRESS, address)
            line = text[: found.start(1)].count("\n")
            exec(compile("\n" * line + code, str(page), "exec", dont_inherit=True), names)


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
