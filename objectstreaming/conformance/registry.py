"""A list of implementations, as clients/implementations.json of the checkout, and whether they are built.

The file is JSON: `{"root": "..", "implementations": {NAME: LINE, ...}}`. `root` is the directory in which the commands
run and below which the files are named; it is relative to the file, whose own directory it is if left out. A line is a
command line, or an object with that as `command` and, as `needs`, a list of files without which it cannot run.
Beside the file, known-failing/NAME.txt may list ids of cases that the implementation is known to fail, one a line.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .program import CannotRun

__all__ = ["Implementation", "find_list", "load_implementations"]

LIST: Final = Path("clients", "implementations.json")


@dataclass(frozen=True)
class Implementation:
    """An implementation of the list: its command line, to be run in `root`, and the files that it needs."""

    name: str
    command: tuple[str, ...]
    root: Path
    needs: tuple[str, ...] = ()
    known_failing: frozenset[str] = frozenset()

    def missing(self) -> str:
        """What is not there: the program, or a file that a build makes; empty if it can be started."""
        program = self.command[0]
        if "/" not in program and shutil.which(program) is None:
            return f"there is no program {program} on this machine"
        # A word with a slash is a script, a jar or a binary of the checkout.
        named = [word for word in self.command if "/" in word and not word.startswith("-")]
        absent = [path for path in [*named, *self.needs] if not (self.root / path).exists()]
        return f"{absent[0]} is not built" if absent else ""


def find_list(start: Path) -> Path:
    """clients/implementations.json of `start` or of a directory above it. Raises `CannotRun` if there is none."""
    for directory in (start, *start.parents):
        if (directory / LIST).is_file():
            return directory / LIST
    raise CannotRun(
        f"there is no {LIST} in {start} or above it: run this in a checkout of objectstreaming, or name a list of your "
        "own with --implementations FILE"
    )


def load_implementations(file: Path, names: Collection[str] = ()) -> list[Implementation]:
    """The implementations of the list `file`: those of the given names, by default all.

    Raises `CannotRun` if the file is not such a list or does not have a name; `OSError` if it cannot be read.
    """
    try:
        document = json.loads(file.read_bytes())
        root = (file.parent / document.get("root", ".")).resolve()
        known = {name: _implementation(name, line, root, file) for name, line in document["implementations"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CannotRun(f'{file} is no list of implementations, {{"implementations": {{...}}}}: {error!r}') from None
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CannotRun(f"{file} has no {', '.join(unknown)}; it has: {', '.join(known)}")
    return [implementation for name, implementation in known.items() if not names or name in names]


def _implementation(name: str, line: Any, root: Path, file: Path) -> Implementation:
    entry = {"command": line} if isinstance(line, str) else line
    listed = file.parent / "known-failing" / f"{name}.txt"
    known_failing = _ids(listed.read_text(encoding="utf-8")) if listed.is_file() else frozenset()
    command = tuple(shlex.split(entry["command"]))
    if not command:
        raise ValueError(f"{name} has no command")
    return Implementation(name, command, root, tuple(entry.get("needs", ())), known_failing)


def _ids(text: str) -> frozenset[str]:
    """The lines of a known-failing list; # begins a comment."""
    return frozenset(line.partition("#")[0].strip() for line in text.splitlines()) - {""}
