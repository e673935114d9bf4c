"""Media types and `Accept` headers: one parser for client and server (SPEC section 6.1; RFC 9110).

It is lenient in the same way as browsers (WHATWG MIME Sniffing, section 4.4). The type must be right; a parameter that
is malformed is ignored, and so is a second parameter of the same name. Whoever reads a header should be able to read
`v` and `coder` whatever a proxy has added beside them.

Every function takes time that is linear in the length of its input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["MediaType", "parse_accept", "parse_media_type"]


class MediaType(NamedTuple):
    """A media type or a range of them: its name and the names of its parameters are in lower case."""

    name: str
    parameters: dict[str, str]


# RFC 9110, sections 5.6.2 and 5.6.4. The quantifiers are possessive and a quote that is not closed reaches to the end,
# so no input is scanned twice.
_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED: Final = r'"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)'
_TYPE: Final = re.compile(rf"[ \t]*+({_WORD}/{_WORD})[ \t]*+(?:;|\Z)")
_PARAMETERS: Final = re.compile(rf'(?:[^;"]|{_QUOTED})++', re.DOTALL)
_PARAMETER: Final = re.compile(rf"[ \t]*+({_WORD})=(?:({_WORD})|{_QUOTED})[ \t]*+", re.DOTALL)
_RANGES: Final = re.compile(rf'(?:[^,"]|{_QUOTED})++', re.DOTALL)
_QUALITY: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def parse_media_type(value: str) -> MediaType | None:
    """A media type with its parameters; `None` if `value` does not begin with a type.

    >>> parse_media_type('Application/Vnd.objectstreaming; V="1";coder=json')
    MediaType(name='application/vnd.objectstreaming', parameters={'v': '1', 'coder': 'json'})
    >>> parse_media_type("text/plain; charset; q=0.5")
    MediaType(name='text/plain', parameters={'q': '0.5'})
    >>> parse_media_type("frames, please") is None
    True
    """
    head = _TYPE.match(value)
    if head is None:
        return None
    parameters: dict[str, str] = {}
    for piece in _PARAMETERS.finditer(value, head.end()):
        parameter = _PARAMETER.fullmatch(piece[0])
        if parameter is not None:
            name, token, quoted = parameter.groups()
            parameters.setdefault(name.lower(), token or re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
    return MediaType(head[1].lower(), parameters)


def parse_accept(value: str) -> Iterator[tuple[MediaType, float]]:
    """Each media range of an `Accept` header with its weight, 0 to 1 (RFC 9110, section 12.5.1).

    A range that is malformed is ignored, as most servers do.

    >>> list(parse_accept("text/*;q=0.5, , nonsense, text/html"))
    [(MediaType(name='text/*', parameters={}), 0.5), (MediaType(name='text/html', parameters={}), 1.0)]
    """
    for piece in _RANGES.finditer(value):
        range_ = parse_media_type(piece[0])
        if range_ is None:
            continue
        weight = range_.parameters.pop("q", "1")
        if _QUALITY.fullmatch(weight):
            yield range_, float(weight)
