"""What Unicode says of characters and the standard library's `unicodedata` does not: Unicode 18.0.0.

`SENTENCE_TERMINALS` are the characters with the property Sentence_Terminal (PropList.txt, UAX #44), `EMOJI` matches an
emoji (emoji-data.txt, UTS #51), and `is_cluster_boundary` follows UAX #29, "Grapheme Cluster Boundaries". The ranges
are copied from those files; categories and combining classes come from `unicodedata`.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["EMOJI", "EMOJI_CLUSTER", "SENTENCE_TERMINALS", "is_cluster_boundary"]


def _characters(ranges: str) -> str:
    found: list[str] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        found += map(chr, range(int(first, 16), int(last or first, 16) + 1))
    return "".join(found)


SENTENCE_TERMINALS: Final = _characters(
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D5"
    " 1803 1809 1944-1945 1AA8-1AAB 1B4E-1B4F 1B5A-1B5B 1B5E-1B5F 1B7D-1B7F 1C3B-1C3C 1C7E-1C7F 2024 203C-203D"
    " 2047-2049 2CF9-2CFB 2E2E 2E3C 2E53-2E54 2E60-2E61 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F"
    " A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE12 FE15-FE16 FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59"
    " 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9"
    " 113D4-113D5 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C"
    " 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 16D6E-16D6F 16E98 1BC9F 1DA88"
)
"""Every character that can end a sentence, in any script: those with the property Sentence_Terminal."""

# An emoji by itself (Emoji_Presentation), or a pictograph that U+FE0F makes one; then its modifiers, and what a
# zero-width joiner adds. The blocks beyond the Basic Multilingual Plane are taken whole: they hold little else.
_PRESENTED: Final = (
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd\u26be"
    "\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757"
    "\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f004\U0001f0cf\U0001f18e-\U0001f19a\U0001f200-\U0001f265"
    "\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7f0\U0001f900-\U0001faff"
)
EMOJI: Final = (
    rf"(?:[\U0001f1e6-\U0001f1ff]{{2}}|[{_PRESENTED}]"
    r"|[\xa9\xae\u203c\u2049\u2122\u2139\u2194-\u21aa\u2300-\u27bf\u2934\u2935\u2b05-\u2b07\u3030\u303d\u3297\u3299]\ufe0f)"
)
"""A regular expression for one emoji, without what may follow it."""
EMOJI_CLUSTER: Final = (
    rf"{EMOJI}(?:[\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]|\u200d[{_PRESENTED}\u2600-\u27bf])*"
)
"""A regular expression for an emoji with its modifiers and all that is joined to it: a flag, a family."""

_PREPEND: Final = frozenset(
    _characters("600-605 6DD 70F 890-891 8E2 D4E 110BD 110CD 111C2-111C3 113D1 1193F 11941 11A84-11A89 11D46 11F02")
)
# What extends a cluster and is no mark: ZWNJ and ZWJ, Thai and Lao AM, half-width kana marks, modifiers, tags.
_EXTEND: Final = frozenset(_characters("200C-200D E33 EB3 FF9E-FF9F 1F3FB-1F3FF E0020-E007F"))
# Viramas and their like (Indic_Conjunct_Break=Linker).
_LINKERS: Final = frozenset(
    _characters(
        "94D 9CD ACD B4D C4D D4D 1039 17D2 1A60 1B44 1BAB 1CF5-1CF6 A9C0 AAF6 10A3F 11133 113D0 1193E 11A3A 11A47 11A99"
        " 11F42"
    )
)
_REGIONAL: Final = range(0x1F1E6, 0x1F200)
_LEADING: Final = (range(0x1100, 0x1160), range(0xA960, 0xA97D))  # Hangul jamo
_VOWELS: Final = (range(0x1160, 0x11A8), range(0xD7B0, 0xD7C7))
_TRAILING: Final = (range(0x11A8, 0x1200), range(0xD7CB, 0xD7FC))
_SYLLABLES: Final = range(0xAC00, 0xD7A4)


def is_cluster_boundary(text: str, at: int) -> bool:
    r"""Whether `text` can be cut before index `at` (0 < at < len(text)) without cutting a grapheme cluster.

    On the safe side where the standard library lacks a property: no cut before any mark, after a joiner, or between a
    virama and a letter, though a few scripts would allow it.

    >>> is_cluster_boundary("ab", 1), is_cluster_boundary("e\u0301", 1), is_cluster_boundary("\r\n", 1)
    (True, False, False)
    """
    before, after = text[at - 1], text[at]
    if before == "\r":
        return after != "\n"
    if before < " " or after < " ":
        return True
    if before in _PREPEND:
        return False
    if after < "\u0300":
        return True
    if after in _EXTEND or unicodedata.category(after)[0] == "M":
        return unicodedata.category(before) in ("Zl", "Zp")  # nothing extends the end of a line
    if before == "\u200d":
        return False
    code, last = ord(after), ord(before)
    if code in _REGIONAL and last in _REGIONAL:
        first = at
        while first and ord(text[first - 1]) in _REGIONAL:
            first -= 1
        return (at - first) % 2 == 0
    return not (_is_hangul_joined(last, code) or _is_conjunct(text, at))


def _is_hangul_joined(before: int, after: int) -> bool:
    def within(code: int, ranges: tuple[range, range]) -> bool:
        return code in ranges[0] or code in ranges[1]

    syllable = before in _SYLLABLES
    if within(before, _LEADING):
        return within(after, _LEADING) or within(after, _VOWELS) or after in _SYLLABLES
    if within(before, _VOWELS) or (syllable and (before - 0xAC00) % 28 == 0):
        return within(after, _VOWELS) or within(after, _TRAILING)
    return (syllable or within(before, _TRAILING)) and within(after, _TRAILING)


def _is_conjunct(text: str, at: int) -> bool:
    """Whether a virama before `at` joins a consonant to the letter there, as the scripts of India do."""
    if unicodedata.category(text[at]) != "Lo":
        return False
    while at and (text[at - 1] in _LINKERS or text[at - 1] in _EXTEND or unicodedata.category(text[at - 1])[0] == "M"):
        at -= 1
        if text[at] in _LINKERS:
            return True
    return False
