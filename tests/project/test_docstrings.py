"""Docstrings of public names are in one style: what a parameter means stands under Args, by its name."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import objectstreaming
import objectstreaming.client
import objectstreaming.duplex
import objectstreaming.flow
import objectstreaming.observe
import objectstreaming.opentelemetry
import objectstreaming.prometheus
import objectstreaming.server
import objectstreaming.store
import objectstreaming.testing
import wav_streaming

MODULES = [
    objectstreaming,
    objectstreaming.client,
    objectstreaming.duplex,
    objectstreaming.flow,
    objectstreaming.observe,
    objectstreaming.opentelemetry,
    objectstreaming.prometheus,
    objectstreaming.server,
    objectstreaming.store,
    objectstreaming.testing,
    wav_streaming,
]
MADE_BY_US = {
    *("AsyncResumingStream", "Outcome", "Recording", "ResumingStream"),
    *("Spoken", "Stream", "StreamRecord", "TALAudio", "ViewEncoder"),
}
"""Classes that a user gets and does not make, and one whose text has a table of its members."""

NEED_NO_WORD = {"source"}
"""Parameters that the first line of the docstring is about."""

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


def is_made_by_users(found: type) -> bool:
    if issubclass(found, BaseException):
        return found is objectstreaming.StreamError
    return not (found.__name__ in MADE_BY_US or issubclass(found, enum.Enum) or getattr(found, "_is_protocol", False))


def documented() -> Iterator[Any]:
    for module in MODULES:
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isfunction(found):
                yield pytest.param(found, found, id=name)
            if not inspect.isclass(found):
                continue
            if is_made_by_users(found):
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
    named = {parameter.name for parameter in parameters if not parameter.name.startswith("_")}
    named -= {"self", "cls", "args", "kwargs"}
    if not named and inspect.isclass(shown):  # `__init__` of a class written in C
        named = set(inspect.signature(shown).parameters)
    text = inspect.getdoc(shown) or ""
    explained = set(re.findall(r"^    \*{0,2}(\w+):", section(text, "Args"), re.MULTILINE))
    if not explained and (len(named) == 1 or "As in `" in text):  # the text is about this parameter, or refers to it
        assert text
    else:
        assert explained <= named
        assert named - explained <= NEED_NO_WORD


@pytest.mark.parametrize(("shown", "called"), [*documented()])
def test_sections_have_no_other_names(shown: Any, called: Any) -> None:
    headings = re.findall(r"^([A-Z]\w+):$", inspect.getdoc(shown) or "", re.MULTILINE)
    assert set(headings) <= {"Args", "Returns", "Yields", "Raises"}


@pytest.mark.parametrize(("shown", "called"), [*documented()])
def test_errors_are_under_raises(shown: Any, called: Any) -> None:
    assert "Raises `" not in (inspect.getdoc(shown) or "")
