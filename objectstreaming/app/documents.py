"""Reads a folder of documents into passages that can be quoted.

Markdown and plain text are split into *passages*: a paragraph, with the list or table that belongs to it, under its
nearest heading. Markup that would be noise when it is read aloud (emphasis, links, the bars of tables) is removed. Code
blocks are skipped.

The folder is not trusted. Nothing outside it is read: links in it are not followed, and only regular files are opened,
so that a pipe called `a.md` blocks nothing. The size of a file, the number of files, their total size and the number of
passages are limited. Any text takes linear time. Files that are left out are logged, their names quoted and escaped.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["Passage", "ReadingLimits", "own_documents", "read_documents", "split_markdown", "split_text"]

log = logging.getLogger(__name__)

MARKDOWN: Final = frozenset({".md", ".markdown"})
TEXT: Final = frozenset({".txt", ".text"})

_LONGEST_PASSAGE: Final = 1_500
"""A passage with more characters ends at the next line, so that a very long paragraph is not quoted completely."""
_LONGEST_HEADING: Final = 200
_LONGEST_NAME: Final = 200
"""Characters. Each passage has the heading and the name in its source."""


class ReadingLimits(msgspec.Struct, frozen=True):
    """How much is read of a folder: bytes of one file, number of files, bytes of all files, number of passages.

    A file that cannot be read counts too, so that there is no more than one line in the log for each.
    """

    file: int = 1024 * 1024
    files: int = 2_000
    total: int = 32 * 1024 * 1024
    passages: int = 100_000


class Passage(msgspec.Struct, frozen=True):
    """Lines of text that belong together. `source` names the file and, if there is one, the heading.

    `weight` says how well it can be read aloud: 1 for running text, less for a table.
    """

    source: str
    heading: str
    text: str
    weight: float = 1.0


def read_documents(*paths: str | Path, base: Path | None = None, limits: ReadingLimits | None = None) -> list[Passage]:
    """The passages of every Markdown and text file in the folders and files `paths`, in the order of their names.

    The names of sources are relative to `base`, or to the given folder. Raises `FileNotFoundError` for a path that does
    not exist.
    """
    limits = limits if limits is not None else ReadingLimits()
    passages: list[Passage] = []
    left, files = limits.total, 0
    for name, path in _files(paths, base):
        room = limits.passages - len(passages)
        if files == limits.files or left <= 0 or room <= 0:
            log.warning("documents: %r and all files after it were left out, the limit of %s is reached", name, limits)
            break
        files += 1
        data = _read(name, path, min(limits.file, left))
        if data is None:
            continue
        left -= len(data)
        # A byte that is not UTF-8 becomes a replacement character. The document is still read.
        text = data.decode("utf-8-sig", errors="replace")
        split = split_markdown if path.suffix.lower() in MARKDOWN else split_text
        passages.extend(islice(split(text, name), room))
    return passages


def own_documents() -> list[Passage]:
    """This project's own documents: README, `docs/` and the specification in a checkout; otherwise the README.

    The metadata of an installed package has the README as its description, so a wheel needs no copy of it.
    """
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file():
        own = [path for path in (root / "README.md", root / "docs", root / "spec" / "SPEC.md") if path.exists()]
        return read_documents(*own, base=root)
    try:
        readme = metadata.metadata("objectstreaming").get_payload()  # type: ignore[attr-defined]
    except metadata.PackageNotFoundError:
        readme = ""
    return list(split_markdown(readme if isinstance(readme, str) else "", "README.md"))


# ------------------------------------------------------------------------------------------------------ the folder


def _files(paths: Iterable[str | Path], base: Path | None) -> Iterator[tuple[str, Path]]:
    for given in paths:
        root = Path(given).resolve(strict=True)
        if root.is_file():
            yield _name(root, base or root.parent), root
            continue
        for folder, subfolders, names in os.walk(root, followlinks=False):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if path.suffix.lower() in MARKDOWN | TEXT and not name.startswith("."):
                    yield _name(path, base or root), path


def _name(path: Path, base: Path) -> str:
    try:
        name = path.relative_to(base.resolve()).as_posix()
    except ValueError:
        name = path.name
    # A name is any bytes: those that are not UTF-8 are surrogates here, which neither SQLite nor JSON can write.
    name = name.encode(errors="replace").decode()
    return name if len(name) <= _LONGEST_NAME else "..." + name[3 - _LONGEST_NAME :]


def _read(name: str, path: Path, limit: int) -> bytes | None:
    try:
        # Opened before it is checked, so that what is read is what was checked.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        log.warning("documents: %r was left out: %s", name, error.strerror)
        return None
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            log.warning("documents: %r was left out: it is not a file", name)
            return None
        data = file.read(limit + 1)
    if len(data) > limit:
        log.warning("documents: %r was left out: it is larger than %d bytes", name, limit)
        return None
    if b"\0" in data:
        log.warning("documents: %r was left out: it is not text", name)
        return None
    return data


# ---------------------------------------------------------------------------------------------------------- the text

# No two parts beside each other in a pattern may match the same characters: where they meet would be tried everywhere.
_HEADING: Final = re.compile(r" {0,3}#{1,6}(?![^ \t])")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\n(?:[^\n]*\n){0,200}?---[ \t]*\n")
_WEIGHTS: Final = {"": 1.0, "text": 1.0, "item": 1.0, "row": 0.6}
_INDENTED: Final = ("    ", "\t")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM: Final = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+")
_RULE_CELL: Final = re.compile(r":?-+:?")
_LINK: Final = re.compile(r"(!?)\[([^\[\]]{0,400})\]\([^()\s]{0,800}(?:[ \t]+\"[^\"]{0,200}\")?\)")
_CODE_SPAN: Final = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_EMPHASIS: Final = re.compile(r"(\*{1,3}|(?<!\w)_{1,3})(?=\S)([^*_\n]{1,400}?)(?<=\S)\1(?!\w)")
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]{0,400}>")


def split_markdown(text: str, name: str) -> Iterator[Passage]:
    r"""The passages of a Markdown document called `name`.

    >>> [passage] = split_markdown("# Frames\n\nA frame is **two** [lengths](a.md),\na `header` and a payload.", "a.md")
    >>> passage.source, passage.text
    ('a.md > Frames', 'A frame is two lengths, a header and a payload.')
    """
    heading = ""
    # The lines of the current passage, each in pieces: a paragraph's lines are joined, an item or a row is a line of
    # its own.
    lines: list[list[str]] = []
    kind = ""  # of the last line: "text", "item" or "row"
    fence = ""  # what closes the code block that is being skipped; a tab for an indented one
    blank = True  # whether there was a blank line before this one
    for raw in _TAG.sub("", _without_comments(_FRONT_MATTER.sub("", text, count=1))).splitlines():
        if fence == "\t":
            if not raw.strip() or raw.startswith(_INDENTED):
                continue
            fence = ""
        elif fence:
            if raw.strip().startswith(fence) and not raw.strip().strip(fence[0]):
                fence = ""
            continue
        line = raw.strip()
        opening, title, item = _FENCE.match(raw), _HEADING.match(raw), _ITEM.match(raw)
        before, kind = kind, "text"
        if not line:
            kind = before
        elif opening or (blank and before != "item" and raw.startswith(_INDENTED)):
            fence = opening[1] if opening else "\t"
            yield from _passages(name, heading, lines, weight=_WEIGHTS[before])
            lines = []
        elif title or (lines and not blank and before == "text" and _UNDERLINE.match(raw)):
            next_heading = _title(raw[title.end() :]) if title else " ".join(lines.pop())
            yield from _passages(name, heading, lines, weight=_WEIGHTS[before])
            heading, lines = _plain(next_heading[:_LONGEST_HEADING]), []
        elif line.startswith("|"):
            kind = "row"
            if before != "row":
                yield from _passages(name, heading, lines, weight=_WEIGHTS[before])
                lines = []
            if _is_table_rule(line):
                lines = []  # the line above the rule is the table's head, which says nothing alone
            else:
                lines.append([_row(line)])
        elif item:
            kind = "item"
            if before == "row":
                yield from _passages(name, heading, lines, weight=_WEIGHTS[before])
                lines = []
            lines.append([raw[item.end() :]])
        elif lines and not blank and before != "row":
            kind = before
            lines[-1].append(line.lstrip("> "))
        else:
            # A paragraph begins, and a new passage with it, unless it belongs to an item.
            if before != "item" or not raw.startswith((" ", "\t")):
                yield from _passages(name, heading, lines, weight=_WEIGHTS[before])
                lines = []
            else:
                kind = "item"
            lines.append([line.lstrip("> ")])
        blank = not line
    yield from _passages(name, heading, lines, weight=_WEIGHTS[kind])


def split_text(text: str, name: str) -> Iterator[Passage]:
    """The passages of a plain text called `name`: its paragraphs, between blank lines."""
    for paragraph in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")):
        yield from _passages(name, "", [paragraph.split()], plain=True)


def _without_comments(text: str) -> str:
    # Not by a regular expression: for each comment without an end, it would search the whole text for one.
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        kept.append(text[at:start])
        at = end + 3
    return "".join(kept) + text[at:]


def _title(text: str) -> str:
    """The text of a heading, without the hashes that may close it."""
    text = text.strip(" \t")
    open_end = text.rstrip("#")
    return open_end.rstrip(" \t") if not open_end or open_end[-1] in " \t" else text


def _is_table_rule(line: str) -> bool:
    return all(_RULE_CELL.fullmatch(cell.strip()) for cell in line.removeprefix("|").removesuffix("|").split("|"))


def _row(line: str) -> str:
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
    return ": ".join((cells[0], ", ".join(cell for cell in cells[1:] if cell))).strip(": ") + "."


def _plain(line: str) -> str:
    line = _LINK.sub(lambda found: "" if found[1] else found[2], line)
    line = _CODE_SPAN.sub(r"\2", line)
    return " ".join(_EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", line)).replace("\\|", "|").split())


def _passages(
    name: str, heading: str, parts: list[list[str]], *, plain: bool = False, weight: float = 1.0
) -> Iterator[Passage]:
    if not parts:
        return
    source = f"{name} > {heading}" if heading else name
    lines = [" ".join(pieces) for pieces in parts]
    last = lines[-1].rstrip()
    if last.endswith(":"):  # it introduces what is not quoted: code, a picture
        lines[-1] = last[: 1 + max(map(last.rfind, ".!?"))]
    gathered: list[str] = []
    size = 0
    for whole in lines:
        for start in range(0, len(whole), _LONGEST_PASSAGE):
            piece = whole[start : start + _LONGEST_PASSAGE]
            line = piece if plain else _plain(piece)
            if not any(map(str.isalnum, line)):
                continue
            if size and size + len(line) > _LONGEST_PASSAGE:
                yield Passage(source, heading, "\n".join(gathered), weight)
                gathered, size = [], 0
            gathered.append(line)
            size += len(line)
    if gathered:
        yield Passage(source, heading, "\n".join(gathered), weight)
