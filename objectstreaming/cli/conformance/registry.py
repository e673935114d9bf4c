"""The testees that spec/conformance/testees.json names, and whether what they need is on this machine."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from .cases import conformance_directory

__all__ = ["Registered", "load_testees"]


@dataclass(frozen=True)
class Registered:
    """A testee: its command line, to be run in `root`, and the files beside the program that it cannot run without."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...]
    root: Path

    def missing(self) -> str:
        """What is not there: the program, or a file that a build makes; empty if the testee can be started."""
        program = self.command[0]
        if "/" not in program and shutil.which(program) is None:
            return f"there is no program {program} on this machine"
        # A script, a jar or a binary in the tree that is not there yet: what the build makes.
        named = [word for word in self.command if "/" in word and not word.startswith("-")]
        absent = [path for path in [*named, *self.needs] if not (self.root / path).exists()]
        return f"{absent[0]} is not built" if absent else ""


def load_testees(vectors: Path | None = None) -> dict[str, Registered]:
    """Name -> testee. `vectors` is the directory of testees.json, as for `load_cases`.

    A line is a command line, or an object with that as `command` and a list of files as `needs`.
    """
    directory = conformance_directory(vectors)
    testees = {}
    for name, line in json.loads((directory / "testees.json").read_bytes()).items():
        entry = {"command": line} if isinstance(line, str) else line
        words = tuple(shlex.split(entry["command"]))
        testees[name] = Registered(name, words, tuple(entry.get("needs", ())), directory.resolve().parents[1])
    return testees
