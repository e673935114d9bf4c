"""Patterns for the Markdown and HTML that `speakable` removes, and functions for lines: fences and rules.

They follow CommonMark 0.31, and GitHub's tables and strikethrough. Every pattern takes linear time: repetitions are
possessive or bounded. A name that ends in `BEGUN` matches the beginning of the thing at the end of the text.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["closes_fence", "is_rule", "may_open_fence", "opened_fence"]  # and the patterns, read as `markdown.URL`

# -------------------------------------------------------------------------------------------------------- lines

_FENCE: Final = re.compile(r"[ \t]*+(?:>[ \t]*+)*+(?:(?:[-*+]|\d{1,3}[.)])[ \t]++)?+(`{3,}+|~{3,}+)")
_FENCE_BEGUN: Final = re.compile(r"[ \t]*+(?:>[ \t]*+)*+(?:[-*+]|\d{1,3}+[.)]?+)?+[ \t]*+(?:`{0,2}|~{0,2})")
LINE_PREFIX: Final = re.compile(
    r"(?:[ \t]*+(?:>|#{1,6}(?=[ \t\n]|\Z)|[•⁃]|[-*+](?=[ \t])(?:[ \t]++\[[ xX]\](?=[ \t]))?+))*+[ \t]*+"
)
"""The marks at the beginning of a line of a quotation, a heading or a list."""
TASK: Final = re.compile(r"(\d{1,9}[.)][ \t]++)\[[ xX]\][ \t]")
FOOTNOTE: Final = re.compile(r"[ ]{0,3}\[\^[^\]\s]{1,60}\]:")
LINK_DEFINITION: Final = re.compile(
    r"[ ]{0,3}\[[^\[\]\n.!?]{1,200}\]:[ \t]*+(?:[a-z]++://|<|#|\.{0,2}/|[\w.-]++/)\S*+"
    r"(?:[ \t]++[\"'(]|[ \t]*+\r?+\Z)"
)

# -------------------------------------------------------------------------------------------------------- spans

_EMOJI: Final = (
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2190-\u21ff]"
    "(?:[\ufe00-\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]|\u200d(?=[\U0001f000-\U0001faff\u2600-\u27bf]))*+"
    "|[\ufe00-\ufe0f\u20e3]"
)
_SCHEME: Final = r"(?<![A-Za-z0-9])(?:[hH][tT][tT][pP][sS]?://|[fF][tT][pP]://|[wW]{3}\.)"
SPECIAL: Final = re.compile(rf"[\n\\\[\]!<&|]|`++|\*++|_++|~++|=++|#++|{_SCHEME}|{_EMOJI}")
"""Characters within a line that may be a mark."""
IN_CODE: Final = re.compile(r"`++|\n")
INTRAWORD: Final = re.compile(r"\*[^\W\d_]++\*")
"""Emphasis within a word."""
FOOTNOTE_REFERENCE: Final = re.compile(r"\[\^[^\]\s]{1,60}\]")
LINK_LABEL: Final = re.compile(r"\[[^\[\]\n.!?…。！？]{0,100}\]")
_PATH: Final = r"(?:<[^<>\n]{0,500}>|(?:[^\s()]++|\([^\s()]*+\))*+)"
_TITLE: Final = r"(?:\"[^\"]{0,200}\"|'[^']{0,200}'|\([^()]{0,200}\))"
LINK_TARGET: Final = re.compile(rf"\(\s*+{_PATH}(?:\s++{_TITLE})?+\s*+\)")
"""The address and the title of a link, in brackets."""
LINK_TARGET_BEGUN: Final = re.compile(
    rf"\(\s*+(?:<[^<>\n]{{0,500}}|{_PATH}(?:\s++(?:\"[^\"]*+|'[^']*+|\([^()]*+)?+)?+)\Z"
)
REST_OF_TARGET: Final = re.compile(r"(?:[^\s()]++|\([^\s()]*+\))*+")
LINK_TITLE_AND_END: Final = re.compile(rf"(?:\s++{_TITLE})?+\s*+\)")
_URL_CHARACTERS: Final = r"!#-'*-;=?-Z\\^_a-z{}~"
# Only ASCII: in Chinese no space follows an address.
URL: Final = re.compile(rf"(?:[{_URL_CHARACTERS}]++|\([{_URL_CHARACTERS}]*+\))*+")

# --------------------------------------------------------------------------------------------------------- HTML

AUTOLINK: Final = re.compile(r"<[a-z][a-z0-9+.-]{1,31}:[^\s<>]*+>", re.IGNORECASE)
MAIL: Final = re.compile(r"<([\w.!#$%&'*+/=?^`{|}~-]{1,100}@[\w.-]{1,200})>")
_VALUE: Final = r"(?:\"[^\"]{0,300}\"|'[^']{0,300}'|[^\s\"'=<>`]++)"
_ATTRIBUTE: Final = (
    rf"\s++(?:[a-z_:][\w:.-]*+\s*+=\s*+{_VALUE}"
    r"|(?:checked|disabled|hidden|open|async|defer|controls|autoplay|loop|muted|required|selected|readonly)(?=[\s/>]))"
)
TAG: Final = re.compile(rf"<(/?[a-z][a-z0-9-]*+)((?:{_ATTRIBUTE})*+)\s*+/?>|<[!?][a-z][^<>]{{0,300}}>", re.IGNORECASE)
"""Groups: the name, with the slash of an end tag, and the attributes. It does not match "a <b and c> d"."""
_ATTRIBUTE_BEGUN: Final = r"\s++(?:[a-z_:][\w:.-]*+\s*+(?:=\s*+(?:\"[^\"]*+|'[^']*+|[^\s\"'=<>`]*+)?+)?+)?+"
TAG_BEGUN: Final = re.compile(
    rf"</?(?:[a-z][a-z0-9-]*+(?:{_ATTRIBUTE})*+(?:{_ATTRIBUTE_BEGUN})?+)?+\Z",
    re.IGNORECASE,
)
ALT: Final = re.compile(r"\salt\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)')", re.IGNORECASE)
ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
ENTITY_BEGUN: Final = re.compile(r"&#?[A-Za-z0-9]{0,31}\Z")


def opened_fence(line: str) -> str:
    """The fence that opens a code block in this line, or "".

    >>> opened_fence("  - ~~~~ python"), opened_fence("``` is a `fence`")
    ('~~~~', '')
    """
    found = _FENCE.match(line)
    return found[1] if found and (found[1][0] == "~" or "`" not in line[found.end() :]) else ""


def may_open_fence(begun: str) -> bool:
    """Whether a line that begins like this may open a code block."""
    return bool(opened_fence(begun) or _FENCE_BEGUN.fullmatch(begun))


def closes_fence(line: str, fence: str) -> bool:
    """Whether a line closes the code block that `fence` opened.

    >>> closes_fence("  ````", "```"), closes_fence("```python", "```")
    (True, False)
    """
    line = line.strip(" \t\r>")
    return line.startswith(fence) and not line.strip(fence[0])


def is_rule(line: str) -> bool:
    """Whether a line is only a rule, the line under a heading, or the line under a table's head."""
    signs = set(line) - set(" \t\r")
    if signs <= {"-", ":", "|"}:
        return line.count("-") > 1 or signs >= {"-", "|"}
    return signs in ({"*"}, {"_"}, {"="}) and line.count(next(iter(signs))) > 2
