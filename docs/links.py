"""The site's pages from outside docs/, and the links between all of them. MkDocs calls these functions (mkdocs.yml).

In the repository every page stands where GitHub shows it, and its links are paths from there. The site has the pages of
docs/ and those of `ELSEWHERE`, under the paths that they have in the repository; README.md is its first page. A link to
another file becomes a link to the repository if `repo_url` is set, and plain text if not.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.modules.setdefault("links", sys.modules[__name__])  # mkdocs.yml names `links.github_slug`

ELSEWHERE = {
    "README.md": "index.md",
    **{
        path: path
        for path in (
            "ARCHITECTURE.md",
            "CHANGELOG.md",
            "CODE_OF_CONDUCT.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "benchmarks/results.md",
            "clients/README.md",
            "clients/c/README.md",
            "clients/go/README.md",
            "clients/java/README.md",
            "clients/rust/README.md",
            "clients/typescript/README.md",
            "objectstreaming/conformance/README.md",
            "spec/README.md",
            "spec/SPEC.md",
        )
    },
}
"""Path in the repository: path of the page."""

FENCE = re.compile(r"^( *)(```+)([\w+-]*)[^\n]*(\n.*?^\1\2)[^\S\n]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"`[^`\n]+`|\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def github_slug(heading: str, separator: str = "-") -> str:
    """The anchor that GitHub gives a heading, so that one link leads there on both.

    >>> github_slug("6.5 Views: `event`, and lines")
    '65-views-event-and-lines'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", separator)


def linked(text: str, page: str, repository: str) -> str:
    """The text with its relative links rewritten for the site. `page` is the file's path in the repository.

    >>> linked("[a test](tests/conftest.py), [the wire](spec/SPEC.md#2-frames)", "README.md", "")
    'a test, [the wire](spec/SPEC.md#2-frames)'
    >>> linked("`values[int](array)`", "README.md", "")
    '`values[int](array)`'
    >>> linked("[a test](../tests/conftest.py)", "docs/flow.md", "https://example.org/project")
    '[a test](https://example.org/project/blob/main/tests/conftest.py)'
    """

    def rewritten(found: re.Match[str]) -> str:
        label, target = found.groups()
        if target is None:  # code, in which `values[int](array)` is none
            return found[0]
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        path, _, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"{page} links to {target}, which does not exist")
        on_site = ELSEWHERE.get(path) or (path.removeprefix("docs/") if re.match(r"docs/.*\.md$", path) else None)
        if on_site is not None:
            here = ELSEWHERE.get(page) or page.removeprefix("docs/")
            to = posixpath.relpath(on_site, posixpath.dirname(here) or ".")
            return f"[{label}]({to}{'#' + anchor if anchor else ''})"
        if not repository:
            return label
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"[{label}]({repository}/{kind}/main/{path}{'#' + anchor if anchor else ''})"

    # What stands in a fenced block is no link. Of "```view application/jsonl" MkDocs understands the first word only.
    parts, last = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(rewritten, text[last : fence.start()]), "".join(fence.groups())]
        last = fence.end()
    return "".join([*parts, LINK.sub(rewritten, text[last:])])


def on_config(config: Any) -> Any:
    """A page of docs/ that the navigation does not name yet goes to the end of "How to"."""
    named = set(re.findall(r"[\w/-]+\.md", repr(config.nav)))
    pages = sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))
    [how_to] = [entry["How to"] for entry in config.nav if "How to" in entry]
    how_to += [page for page in pages if page not in named]
    return config


def on_files(files: Any, *, config: Any) -> Any:
    from mkdocs.structure.files import File

    for path, page in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    of_page = {to: path for path, to in ELSEWHERE.items()}
    uri = page.file.src_uri
    if uri == "examples.md":  # on the site the examples themselves follow
        for name in dict.fromkeys(re.findall(r"\]\(\.\./examples/(\w+\.py)\)", markdown)):
            markdown += f"\n## {name}\n\n```python\n{(ROOT / 'examples' / name).read_text(encoding='utf-8')}```\n"
    return linked(markdown, of_page.get(uri, f"docs/{uri}"), (config.repo_url or "").rstrip("/"))
