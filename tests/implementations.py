"""Modules loaded a second time, as they are where no extension was built, to compare them with the C implementation."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType

import pytest


def needs_native() -> None:
    """Call it at the top of a module that tests the C implementation."""
    if importlib.util.find_spec("objectstreaming._native"):
        return
    if os.environ.get("CI") == "true":
        pytest.fail("the native codec was not built: pip install -e . with a compiler", pytrace=False)
    pytest.skip("MISSING: the native codec; build it with pip install -e .", allow_module_level=True)


def load_pure(name: str) -> ModuleType:
    """The module of this name, executed again under another name, as if the extension had not been built."""
    if name != "objectstreaming.frames":
        return _execute(name, {"objectstreaming.frames": load_pure("objectstreaming.frames")})
    return _execute(name, {"objectstreaming._native": None})  # None makes its import fail, as if it had not been built


def _execute(name: str, instead: dict[str, ModuleType | None]) -> ModuleType:
    package, _, last = name.rpartition(".")
    known = sys.modules.get(f"{package}._pure_{last}")
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(f"{package}._pure_{last}", importlib.import_module(name).__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    built = {other: (sys.modules[other], getattr(sys.modules["objectstreaming"], other[16:])) for other in instead}
    for other, substitute in instead.items():
        sys.modules[other] = substitute  # type: ignore[assignment]
        delattr(sys.modules["objectstreaming"], other[16:])
    sys.modules[spec.name] = module  # for msgspec, which looks its types up there
    try:
        spec.loader.exec_module(module)
    finally:
        for other, (was, attribute) in built.items():
            sys.modules[other] = was
            setattr(sys.modules["objectstreaming"], other[16:], attribute)
    return module
