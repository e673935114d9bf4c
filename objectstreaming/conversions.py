"""Values that are no plain ones, made plain: numpy's scalars, subclasses of built-in types, pydantic models, mappings.

Neither numpy nor pydantic is imported here. A value can only be of a class of theirs if somebody else has.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

__all__ = ["is_pydantic", "mentions_pydantic", "plain", "pydantic_error"]


def plain(value: Any, mode: str = "json") -> Any:
    """What to write for a value; `NotImplemented` if it is of a kind that is not known here.

    `mode` is pydantic's: with `python`, members of models that are bytes or datetimes stay what they are.

    >>> class Token(str): pass
    >>> plain(Token("x")), plain(object())
    ('x', NotImplemented)
    """
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return _plain_scalar(numpy, value)
    if isinstance(value, bool) or value is None:  # as the name of a member; as values they are plain
        return NotImplemented
    for kind, convert in _BUILT_IN:
        if isinstance(value, kind):
            return convert(value)
    if is_pydantic(type(value)):
        return value.model_dump(mode=mode, by_alias=True)
    if isinstance(value, Mapping):
        return dict(value)
    return NotImplemented


# The methods of the built-in types: a subclass may have others.
_BUILT_IN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


def _plain_scalar(numpy: Any, value: Any) -> Any:
    if isinstance(value, numpy.bool_ | numpy.integer):
        return value.item()
    if isinstance(value, numpy.floating):
        return float(value)
    if isinstance(value, numpy.str_):
        return str.__str__(value)
    return NotImplemented


def is_pydantic(kind: Any) -> bool:
    """Whether a class is a pydantic model."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def mentions_pydantic(wanted: Any) -> bool:
    """Whether a type is a pydantic model, or a union, list, mapping or the like of some."""
    if is_pydantic(wanted):
        return True
    wanted = getattr(wanted, "__value__", wanted)  # of `type Name = ...`
    inner = get_args(wanted)
    return any(map(mentions_pydantic, inner[:1] if get_origin(wanted) is Annotated else inner))


def pydantic_error(error: Any) -> str:
    """What a `pydantic.ValidationError` says, on one line, as msgspec would say it."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [
        f"{item['msg']} - at `$.{'.'.join(map(str, item['loc']))}`" if item["loc"] else item["msg"] for item in found
    ]
    more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
    return "; ".join(told[:3]) + more
