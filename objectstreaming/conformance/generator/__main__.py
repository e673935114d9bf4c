"""Writes vectors/*.json and manifest.json. `--check`: writes nothing, and fails if they differ.

    python -m objectstreaming.conformance.generator [--check]

What is written comes from cases/, case_writer.py and model.py. None of them imports anything but the standard library.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from . import cases  # noqa: F401 - its import fills SUITES and FILES
from .case_writer import FILES, SUITES

SUITE = Path(__file__).parents[1]
FORMAT = 1
SPEC_VERSION = "1"


def documents() -> dict[str, bytes]:
    """Every file that this writes, by its path below objectstreaming/conformance."""
    out: dict[str, bytes] = {f"vectors/{name}": data for name, data in FILES.items()}
    listed: list[dict[str, Any]] = []
    for name, about in SUITES.items():
        text = pretty(
            {"format": FORMAT, "spec_version": SPEC_VERSION, "suite": name, "op": about["op"], "cases": about["cases"]}
        )
        data = (text + "\n").encode()
        out[f"vectors/{name}.json"] = data
        listed.append(
            {
                "suite": name,
                "file": f"vectors/{name}.json",
                "cases": len(about["cases"]),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    manifest = {
        "format": FORMAT,
        "spec_version": SPEC_VERSION,
        "cases": sum(item["cases"] for item in listed),
        "suites": listed,
        "files": [
            {"file": f"vectors/{name}", "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(FILES.items())
        ],
    }
    out["manifest.json"] = (pretty(manifest) + "\n").encode()
    return out


def pretty(value: Any, indent: int = 0) -> str:
    """JSON in ASCII, with each value on one line if it fits, so that a case is a dozen lines and not fifty."""
    line = json.dumps(value)
    if len(line) + indent <= 118 or not isinstance(value, list | dict) or not value:
        return line
    inner = " " * (indent + 1)
    if isinstance(value, list):
        items = [pretty(item, indent + 1) for item in value]
        return f"[\n{inner}" + f",\n{inner}".join(items) + f"\n{' ' * indent}]"
    members = [f"{json.dumps(name)}: {pretty(item, indent + 1)}" for name, item in value.items()]
    return f"{{\n{inner}" + f",\n{inner}".join(members) + f"\n{' ' * indent}}}"


def main(arguments: list[str]) -> int:
    written = documents()
    if arguments == ["--check"]:
        there = {f"vectors/{path.name}" for path in (SUITE / "vectors").iterdir()} | {"manifest.json"}
        wrong = sorted(there ^ set(written))
        wrong += [name for name in written if name in there and (SUITE / name).read_bytes() != written[name]]
        for name in wrong:
            print(f"{name} is not what the generator writes: run it, and commit the result")
        return 1 if wrong else 0
    (SUITE / "vectors").mkdir(exist_ok=True)
    for old in (SUITE / "vectors").iterdir():
        if f"vectors/{old.name}" not in written:
            old.unlink()
    for name, data in written.items():
        (SUITE / name).write_bytes(data)
    print(f"{sum(len(about['cases']) for about in SUITES.values())} cases in {len(SUITES)} suites")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
