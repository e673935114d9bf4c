"""Comments, docstrings and pages that name a section of the specification name one that exists, by its right title."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
SPEC: Final = ROOT / "spec" / "SPEC.md"

KINDS: Final = {".c", ".go", ".h", ".html", ".java", ".md", ".mjs", ".py", ".pyi", ".rs", ".ts", ".tsx"}
FOLDERS: Final = (
    "objectstreaming",
    "object_streaming",
    "wav_streaming",
    "tests",
    "spec",
    "docs",
    "examples",
    "benchmarks",
    "fuzz",
    "clients",
)
BUILT: Final = {"node_modules", "target", "build", "dist", "bin", "__pycache__"}

TITLES: Final = dict(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? (.+)$", SPEC.read_text(encoding="utf-8"), re.MULTILINE))

# A line break in a comment, with the marks that begin the next line of it.
_BREAK: Final = re.compile(r"[ \t]*\n[ \t]*(?:///?|//!|\*(?!/)|#)?[ \t]*")
_NUMBER: Final = r"\d{1,2}(?:\.\d{1,2})*"
_NUMBERS: Final = rf"{_NUMBER}(?:(?:, and |, | and | to ){_NUMBER})*"
_REFERENCE: Final = re.compile(
    rf"(?P<spec>\bSPEC(?:\.md)?\]?,? ?)?(?P<word>\b[Ss]ections? )?(?P<numbers>{_NUMBERS})"
    r'(?:, "(?P<title>[^"]{1,80})")?'
)
# Sections of other documents: the document is named just before.
_OTHER_DOCUMENT: Final = re.compile(r"\b(?:RFC ?\d+|ISO[/\w -]*|PEP ?\d+|HTML|ECMA-?\d+|DESIGN)[\w\"'.,:() -]{0,40}$")


class Reference(NamedTuple):
    number: str
    title: str | None


def references(text: str) -> Iterator[Reference]:
    """The sections of the specification that a text names: `SPEC section 3.1`, `SPEC 2.2`, `(section 5.4)`."""
    text = _BREAK.sub(" ", text)
    for found in _REFERENCE.finditer(text):
        if not found["word"] and not found["spec"]:
            continue
        if not found["spec"] and _OTHER_DOCUMENT.search(text, max(0, found.start() - 80), found.start()):
            continue
        numbers = re.findall(_NUMBER, found["numbers"])
        for number in numbers:
            yield Reference(number, found["title"] if len(numbers) == 1 else None)


def sources() -> list[Path]:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")] + list(ROOT.glob("*.md"))
    return sorted(
        path
        for path in files
        if path.suffix in KINDS
        and path != Path(__file__)
        and not BUILT & set(path.relative_to(ROOT).parts)
        and path.is_file()
    )


def test_every_section_that_is_named_exists_and_has_that_title() -> None:
    count, wrong = 0, []
    for path in sources():
        for number, title in references(path.read_text(encoding="utf-8", errors="replace")):
            count += 1
            if number not in TITLES:
                wrong.append(f"{path.relative_to(ROOT)}: SPEC has no section {number}")
            elif title not in (None, TITLES[number]):
                wrong.append(f"{path.relative_to(ROOT)}: section {number} is {TITLES[number]!r}, not {title!r}")
    assert not wrong, "\n".join(wrong)
    assert count > 100, "the references are not found any more"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(SPEC section 3.1)", [("3.1", None)]),
        ('(SPEC section 6, "HTTP and WebSocket")', [("6", "HTTP and WebSocket")]),
        ("# of SPEC sections 3.3,\n# 3.4 and 6", [("3.3", None), ("3.4", None), ("6", None)]),
        ('// SPEC section 7, "The duplex\n// session"; section 4', [("7", "The duplex session"), ("4", None)]),
        ("the limits of SPEC 2.4 */", [("2.4", None)]),
        ("[SPEC section 7](../spec/SPEC.md)", [("7", None)]),
        ("one of the sixteen of section 5.4", [("5.4", None)]),
        ("in section 9.9", [("9.9", None)]),
        ("(RFC 9110, section 8.3.1)", []),
        ("RFC 9110 sections 5.6.2, 5.6.4", []),
        ('WHATWG HTML, section 9.2, "Server-sent events"', []),
        ("since 3.1 seconds ago", []),
    ],
)
def test_references_are_found_in_running_text(text: str, found: list[tuple[str, str | None]]) -> None:
    assert list(references(text)) == found


def test_the_specification_has_sections() -> None:
    assert TITLES["2"] == "Frames"
    assert TITLES["6.1"] == "Negotiation"
