"""The structure of the package: what it exports, which module imports which, what importing it brings along."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import object_streaming
import objectstreaming
import objectstreaming.client
import objectstreaming.duplex
import objectstreaming.flow
import objectstreaming.server
import objectstreaming.store
import objectstreaming.testing
import wav_streaming

ROOT = Path(__file__).parents[2]

# A module imports only from modules of a smaller number (ARCHITECTURE.md). The longest name that fits counts.
LEVELS = {
    "objectstreaming.conversions": 0,
    "objectstreaming.errors": 0,
    "objectstreaming.media_type": 0,
    "objectstreaming.log_lines": 0,
    "objectstreaming.observe": 1,
    "objectstreaming.strict_json": 1,
    "objectstreaming._native": 2,
    "objectstreaming.frames": 3,
    "objectstreaming.coders": 4,
    "objectstreaming.protocol": 5,
    "objectstreaming.messages": 5.5,
    "objectstreaming": 6,  # the table of contents of all that needs no extra
    "objectstreaming.flow": 7,
    "wav_streaming": 7,
    "object_streaming": 7,
    "objectstreaming.inflate": 7,
    "objectstreaming.observed_calls": 7,
    "objectstreaming.opentelemetry": 7,
    "objectstreaming.prometheus": 7,
    "objectstreaming.response_problems": 7,
    "objectstreaming.shutdown": 7,
    "objectstreaming.watchdog": 7,
    "objectstreaming.resuming": 8,
    "objectstreaming.duplex": 8,
    "objectstreaming.http2": 8,
    "objectstreaming.client": 9,
    "objectstreaming.server": 10,
    "objectstreaming.store": 11,
    "objectstreaming.testing": 12,
    "objectstreaming.conformance.generator": 12,
    "objectstreaming.conformance": 13,
    "objectstreaming.app": 14,
    "objectstreaming.cli": 15,
    "objectstreaming.__main__": 16,
}
IMPORTS_NOTHING_OF_THIS_PACKAGE = {"objectstreaming.flow", "objectstreaming.conformance.generator"}


def entry_of(module: str) -> str:
    while module not in LEVELS:
        assert "." in module, f"{module} has no level: name it in LEVELS and in ARCHITECTURE.md"
        module = module.rpartition(".")[0]
    return module


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = sorted(
    path
    for package in ("objectstreaming", "object_streaming", "wav_streaming")
    for path in (ROOT / package).rglob("*.py")
)


def imported(path: Path) -> set[str]:
    """The modules of ours that a source file imports, wherever in it."""
    module = name_of(path)
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            # `from . import strict_json` names modules, `from .errors import EncodeError` does not.
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in LEVELS else base for a in node.names}
    ours = ("objectstreaming", "object_streaming", "wav_streaming")
    return {name for name in found if name.split(".")[0] in ours}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    entry = entry_of(name_of(path))
    for module in imported(path):
        other = entry_of(module)
        if other == entry:
            continue
        assert LEVELS[other] < LEVELS[entry], f"{name_of(path)} imports {module}, which is not below it"
        assert entry not in IMPORTS_NOTHING_OF_THIS_PACKAGE


def test_every_level_is_a_module_that_exists() -> None:
    modules = {name_of(path) for path in SOURCES} | {"objectstreaming._native"}
    assert set(LEVELS) <= modules


@pytest.mark.parametrize("module", ["errors", "strict_json", "media_type", "frames", "protocol", "messages"])
def test_codec_modules_are_sans_io(module: str) -> None:
    tree = ast.parse((ROOT / "objectstreaming" / f"{module}.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert not names & {"asyncio", "anyio", "socket", "time", "threading", "io", "os", "httpx", "starlette"}


def test_files_of_tests_differ_in_name_so_that_all_can_be_collected_at_once() -> None:
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py") if "node_modules" not in path.parts)
    assert [name for name, count in names.items() if count > 1] == []


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_importing_the_package_brings_no_extra_along() -> None:
    modules = set(run("import sys, objectstreaming; print(*sys.modules)").split())
    extras = {"fastapi", "starlette", "httpx", "pydantic", "redis", "hypothesis", "typer", "asyncio", "pocketsphinx"}
    assert not modules & extras
    assert "numpy" not in modules, "numpy takes half of the time that an import may take: import it where it is used"


def test_importing_speech_brings_no_engine_along() -> None:
    modules = set(run("import sys, wav_streaming; print(*sys.modules)").split())
    assert not modules & {"fastapi", "starlette", "httpx", "pydantic", "pocketsphinx"}


def test_the_exports_are_these() -> None:
    """Changing this list is changing the public API: CHANGELOG."""
    assert sorted(objectstreaming.__all__) == [
        "AnbJsonStreamCoder",
        "CODEC",
        "Coder",
        "ContentTypeError",
        "EncodeError",
        "Frame",
        "FrameDecoder",
        "FrameError",
        "IdleTimeout",
        "JsonCoder",
        "Layout",
        "Limits",
        "MsgpackCoder",
        "NdarrayCoder",
        "ObjectStreamError",
        "PayloadError",
        "ProtocolError",
        "RawCoder",
        "ResponseError",
        "StreamDecoder",
        "StreamEncoder",
        "StreamError",
        "StreamIncomplete",
        "TruncatedFrame",
        "aiter_messages",
        "decode_frame",
        "encode_frame",
        "encode_frame_parts",
        "iter_messages",
    ]


PUBLIC = [
    objectstreaming,
    objectstreaming.client,
    objectstreaming.duplex,
    objectstreaming.flow,
    objectstreaming.server,
    objectstreaming.store,
    objectstreaming.testing,
    object_streaming,
    wav_streaming,
]


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_every_export_is_there_and_documented(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        exported = getattr(package, name)
        if inspect.isclass(exported) or inspect.isroutine(exported):
            assert exported.__doc__, f"{name} has no docstring"
