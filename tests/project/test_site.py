"""The documentation site: it builds, its links lead somewhere, and reading it fetches nothing from elsewhere."""

from __future__ import annotations

import os
import posixpath
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """The anchors of a page, the pages that it links to, and what a browser fetches to show it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "__top"}
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := values.get(name))}
        address = values.get("href") or values.get("src")
        if address and tag == "a":
            self.links.append(address)
        elif address and values.get("rel") not in ("next", "prev", "canonical"):
            self.fetched.append(address)


@pytest.fixture(scope="module")
def site() -> dict[str, Page]:
    """The site in build/site, built as `make docs` leaves it there."""
    folder = ROOT / "build" / "site"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "docs"), "NO_MKDOCS_2_WARNING": "1"},  # no advertisement
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return {str(path.relative_to(folder)): Page(path.read_text("utf-8")) for path in folder.rglob("*.html")}


def test_it_has_every_page(site: dict[str, Page]) -> None:
    written = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert set(map(str, written)) | {"index.html", "spec/SPEC.html", "CHANGELOG.html"} <= set(site)


def test_every_link_leads_to_a_page_and_a_heading(site: dict[str, Page]) -> None:
    wrong, count = [], 0
    for name, page in site.items():
        if name == "404.html":  # it is served for every path, so its links are absolute
            continue
        for link in page.links:
            split = urlsplit(link)
            if split.scheme:
                continue
            count += 1
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), split.path)) if split.path else name
            target = "index.html" if target == "." else target
            if target not in site or unquote(split.fragment) not in site[target].anchors:
                wrong.append(f"{name}: {link}")
    assert wrong == []
    assert count > 500, "the links are not found any more"


def test_nothing_is_fetched_from_elsewhere(site: dict[str, Page]) -> None:
    assert [f"{name}: {address}" for name, page in site.items() for address in page.fetched if "//" in address] == []
