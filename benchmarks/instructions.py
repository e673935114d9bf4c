"""Instructions a message, counted by callgrind (Debian: valgrind): a figure that no busy neighbour changes.

A worker runs under callgrind with its instrumentation off. Each case runs once to warm up (imports, caches, the
interpreter's specialized bytecode), then once with the instrumentation on: from a client request before it to one
after it, which a C file of two functions makes. What the bracket itself costs is subtracted.

Everything that would make two runs differ is fixed: the hash seed, the addresses (`setarch -R`), and glibc's choice of
`rep movsb` for large copies. Callgrind counts that instruction once for each byte, and whether glibc takes it depends
on the processor; without it, a copy is counted as the vector instructions that do it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOURCE = """
#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_START_INSTRUMENTATION; }
void end(void) { CALLGRIND_DUMP_STATS; CALLGRIND_STOP_INSTRUMENTATION; }
"""
FIXED = {"PYTHONHASHSEED": "0", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-ERMS", "PYTHONDONTWRITEBYTECODE": "1"}


class Absent(Exception):
    """Why nothing can be counted here."""


@contextmanager
def callgrind() -> Iterator[tuple[list[str], str]]:
    """What goes before a command to run it under callgrind, and the library that its `counter` needs."""
    if shutil.which("valgrind") is None:
        raise Absent("valgrind is not installed (Debian: apt-get install valgrind)")
    with tempfile.TemporaryDirectory(prefix="callgrind-") as folder:
        library = f"{folder}/begin_end.so"
        compiler = os.environ.get("CC", "cc")
        try:
            subprocess.run(
                [compiler, "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", library],
                input=SOURCE,
                capture_output=True,
                check=True,
                text=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise Absent(f"{compiler} did not compile <valgrind/callgrind.h>: {error}") from None
        fixed_addresses = ["setarch", platform.machine(), "-R"] if shutil.which("setarch") else []
        valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counts"]
        yield [*fixed_addresses, *valgrind, "--quiet"], library


def counter(library: str) -> Callable[[Callable[[], Any]], int]:
    """In the process under callgrind: a function that gives the instructions of a run."""
    request = ctypes.CDLL(library)
    begin, end = request.begin, request.end
    dumps = 0

    def once(run: Callable[[], Any]) -> int:
        nonlocal dumps
        gc.collect()
        begin()
        run()
        end()
        dumps += 1
        dump = Path(library).with_name(f"counts.{dumps}")
        total = next(line for line in dump.read_text().splitlines() if line.startswith("totals:"))
        dump.unlink()
        return int(total.split()[1])

    def nothing() -> None:
        pass

    once(nothing)
    bracket = once(nothing)

    def count(run: Callable[[], Any]) -> int:
        run()
        return once(run) - bracket

    return count
