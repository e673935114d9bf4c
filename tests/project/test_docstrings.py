"""Docstrings of public names are in one style: what a parameter means stands under Args, by its name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import objectstreaming.client
import objectstreaming.opentelemetry
import objectstreaming.prometheus
import objectstreaming.server
import objectstreaming.store

MODULES = [
    objectstreaming.client,
    objectstreaming.opentelemetry,
    objectstreaming.prometheus,
    objectstreaming.server,
    objectstreaming.store,
]
MADE_BY_US = {"AsyncResumingStream", "Recording", "ResumingStream", "ViewEncoder"}
"""Classes that a user gets, and does not make."""

OF_OURSELVES = {
    # methods that parts of this package call on each other, and those that Starlette calls
    *("begin", "begin_at_place", "leave", "lifespan", "route_name", "start", "uri_of"),
    # what an observer is told, and what a store or view of another kind defines: said once, in the base class
    *(
        "started",
        "wrote",
        "ended",
        "create",
        "append",
        "seal",
        "fetch",
        "watch",
        "aclose",
        "encoder",
        "openapi",
        "problem",
    ),
}


def documented() -> Iterator[Any]:
    for module in MODULES:
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isfunction(found):
                yield pytest.param(found, found, id=name)
            if not inspect.isclass(found):
                continue
            if name not in MADE_BY_US:
                made = found.__init__ if "__init__" in vars(found) else found
                yield pytest.param(found, made, id=name)
            for method, value in vars(found).items():
                function = getattr(value, "__func__", value)
                if inspect.isfunction(function) and not method.startswith("_") and method not in OF_OURSELVES:
                    yield pytest.param(function, function, id=f"{name}.{method}")


def section(docstring: str, name: str) -> str:
    """The lines under a heading such as Args."""
    found = re.search(rf"^{name}:\n((?:    .*\n|\n)*)", docstring + "\n", re.MULTILINE)
    return found[1] if found else ""


@pytest.mark.parametrize(("shown", "called"), [*documented()])
def test_every_parameter_is_under_args(shown: Any, called: Any) -> None:
    try:
        parameters = list(inspect.signature(called).parameters.values())
    except ValueError:  # an exception without a constructor of its own
        return
    named = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL}
    named -= {"self", "cls", "kwargs"}
    explained = set(re.findall(r"^    \*{0,2}(\w+):", section(inspect.getdoc(shown) or "", "Args"), re.MULTILINE))
    assert explained == named


@pytest.mark.parametrize(("shown", "called"), [*documented()])
def test_sections_have_no_other_names(shown: Any, called: Any) -> None:
    headings = re.findall(r"^([A-Z]\w+):$", inspect.getdoc(shown) or "", re.MULTILINE)
    assert set(headings) <= {"Args", "Returns", "Yields", "Raises"}
