"""The text to speak: without Markdown, HTML, addresses and emoji. A code block is named, not read.

`SpeechFilter` takes a text in pieces, for example those of a `SentenceSplitter`, and returns for each what is to be
spoken. It remembers what is open: a code block, a comment, a code span, a link, a table row. So a mark is removed even
if its partner is in another sentence. `speakable` does the same for a whole text.

**How it reads.** At the beginning of a line it decides which block the line belongs to: a fence, a rule, a heading, a
list, a table row. In the rest of the line it goes from one special character to the next. What a special character
means is decided by the characters beside it, never by a search for its partner: so the work is linear for any text.
What cannot be decided at the end of a piece (a tag or a link's title that continues in the next piece) is held until
the next one, at most `_HELD` characters.

It follows CommonMark 0.31, and GitHub's tables and strikethrough, where the difference can be heard.
"""

from __future__ import annotations

import html
import re
from typing import Final

from . import markdown
from .unicode_data import SENTENCE_TERMINALS

__all__ = ["SpeechFilter", "speakable"]

_HELD: Final = 300
"""The most characters that are held until the next piece."""
_SPAN: Final = 300
"""A backtick that is not closed after so many characters does not begin a code span."""
_NO_STOP_AFTER: Final = frozenset(SENTENCE_TERMINALS + ":;,…")

_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
"""Letters of scripts without spaces between words: emphasis may begin and end between any two."""
_UNREAD: Final = {name: re.compile(rf"</{name}\s*+>", re.IGNORECASE) for name in ("pre", "script", "style", "think")}
"""The end tags of elements whose content is not spoken if they begin a line. `think`: what some models think first."""
_COMMENT: Final = re.compile(r"-->|\n(?=[ \t]*+\n)")  # within a line it ends at the end of the paragraph at the latest
_BLOCK_COMMENT: Final = re.compile("-->")

_BREAKS: Final = re.compile(r"[ \t\r\f\v\xa0]*+\n\s*+|[ \t\r\f\v\xa0]{2,}")
_SPACE_BEFORE_STOP: Final = re.compile(r"[ \xa0]+(?=[,;:!?)\]。！？，、；：）]|\.(?!\w))")
_APART: Final = frozenset("br p div li tr td th h1 h2 h3 h4 h5 h6 ul ol hr table blockquote section".split())
"""Elements whose tags separate words."""


class SpeechFilter:
    """Takes the pieces of a text and returns what is to be spoken of each. `code` is spoken instead of a code block.

    >>> speech = SpeechFilter()
    >>> [speech.feed(piece) for piece in ("See *this. ", "Or [that](https://a.org).*\\n", "```\\nx = 1\\n```\\n")]
    ['See this.', 'Or that.', 'a code example']
    """

    def __init__(self, code: str = "a code example") -> None:
        self._name_of_code = code
        self._reset()

    def _reset(self) -> None:
        self._held = ""  # the end of the last piece, which the next piece will decide
        self._is_prose_held = False  # whether _held begins a line
        self._before = ""  # the character before the text that is read now
        # Of blocks.
        self._begins_line = True
        self._fence = ""
        self._unread: re.Pattern[str] | None = None  # the end of an element or a comment that is not spoken
        self._is_after_blank = True
        self._is_in_list = False
        self._is_indented_code = False
        # Of the line.
        self._is_heading = False
        self._is_row = False
        self._is_next_cell = False
        self._is_line_passed_over = False
        self._prose_at = -1  # where the text of a line begins in this piece, after the marks of its block
        self._said = ""  # the last character of the line that was spoken, without white space
        # Of spans.
        self._code = 0  # the number of backticks that close the open code span
        self._code_left = 0
        self._is_in_url = False
        self._is_in_target = False
        self._brackets = 0  # open ones of earlier pieces
        self._is_in_word = False  # whether emphasis has begun within a word
        self._out: list[str] = []
        # The open brackets of this piece: their index in `_out`, and whether they follow a word, as in "m[0]".
        self._opened: list[tuple[int, bool]] = []

    def feed(self, piece: str) -> str:
        """Take a piece. Returns what is to be spoken, "" if nothing is."""
        return self._read(piece, ended=False)

    def finish(self) -> str:
        """The rest, when the text has ended; mostly "". The filter can then begin a new text."""
        spoken = self._read("", ended=True)
        self._reset()
        return spoken

    def _read(self, piece: str, *, ended: bool) -> str:
        text, self._held = self._held + piece, ""
        self._prose_at = 0 if self._is_prose_held else -1
        self._is_prose_held = False
        self._is_next_cell = False
        self._out.clear()
        self._opened.clear()
        at = 0
        while at < len(text):
            if self._fence:
                at = self._read_fence(text, at)
            elif self._is_line_passed_over:
                at = self._pass_over_line(text, at)
            elif self._unread:
                at = self._pass_over(text, at, ended)
            elif self._begins_line:
                at = self._begin_line(text, at, ended)
            elif self._code:
                at = self._read_code(text, at)
            elif self._is_in_url or self._is_in_target:
                at = self._end_address(text, at)
            else:
                found = markdown.SPECIAL.search(text, at)
                self._say(text[at : found.start() if found else None])
                at = len(text)
                if found:
                    at = self._read_special(text, found.start(), found.end(), ended)
        if self._held:
            text = text[: -len(self._held)]
        self._before = text[-1:] or self._before
        self._end_heading()
        for index, _ in self._opened:
            self._out[index] = ""
        self._brackets += len(self._opened)
        return _cleaned("".join(self._out))

    def _say(self, text: str) -> None:
        if not text:
            return
        said = text.rstrip()
        if said:
            if self._is_next_cell:
                self._out.append(", " if self._said and self._said not in _NO_STOP_AFTER else " ")
                self._is_next_cell = False
            self._said = said[-1]
        self._out.append(text)

    def _hold(self, text: str, at: int) -> int:
        self._held = text[at:]
        self._is_prose_held = at == self._prose_at
        return len(text)

    # ------------------------------------------------------------------------------------------------------- blocks

    def _begin_line(self, text: str, at: int, ended: bool) -> int:
        end = text.find("\n", at)
        line = text[at : end if end >= 0 else None]
        after = at + len(line) + 1
        self._begins_line = False
        self._said = ""
        if not line.strip():
            self._end_paragraph()
            self._begins_line = self._is_after_blank = True
            self._out.append("\n")
            return after
        was_after_blank, self._is_after_blank = self._is_after_blank, False
        fence = markdown.opened_fence(line)
        is_definition = not fence and markdown.LINK_DEFINITION.match(line) is not None
        if (fence or is_definition) and end < 0 and not ended and len(line) <= _HELD:
            self._begins_line, self._is_after_blank = True, was_after_blank
            return self._hold(text, at)  # the rest of the line may show that it is something else
        if fence and (end >= 0 or ended):
            self._end_paragraph()
            self._fence = fence
            self._begins_line = end >= 0
            self._name_code()
            return after
        is_indented = line.startswith(("    ", "\t"))
        if is_indented and not self._is_in_list and (was_after_blank or self._is_indented_code):
            if not self._is_indented_code:
                self._name_code()
            self._is_indented_code = self._is_line_passed_over = True
            return at
        self._is_indented_code = False
        if markdown.is_rule(line) or is_definition:
            self._is_line_passed_over = True
            self._out.append("\n")
            return at
        return self._begin_prose(text, at, line, is_indented, was_after_blank)

    def _begin_prose(self, text: str, at: int, line: str, is_indented: bool, was_after_blank: bool) -> int:
        footnote = markdown.FOOTNOTE.match(line)
        prefix = markdown.LINE_PREFIX.match(line, footnote.end() if footnote else 0)
        assert prefix is not None
        marks = prefix.group().split()
        self._is_heading = any(mark[0] == "#" for mark in marks)
        task = markdown.TASK.match(line, prefix.end())
        if task:
            self._say(task[1])
        is_item = task is not None or bool(marks) or line.lstrip()[:1].isdigit()
        self._is_in_list = is_item or (self._is_in_list and (is_indented or not was_after_blank))
        if marks:
            self._end_paragraph()
        begin = task.end() if task else prefix.end()
        self._is_row = line.startswith("|", begin)
        self._prose_at = at + begin
        return self._prose_at

    def _end_paragraph(self) -> None:
        self._code = self._brackets = 0
        self._opened.clear()
        self._is_in_word = False

    def _name_code(self) -> None:
        self._out.append(f"\n{self._name_of_code}\n")

    def _end_heading(self) -> None:
        if self._is_heading and self._said and self._said not in _NO_STOP_AFTER:
            self._out.append(".")
            self._said = "."

    def _read_fence(self, text: str, at: int) -> int:
        end = text.find("\n", at)
        line = text[at : end if end >= 0 else None]
        if self._begins_line and markdown.closes_fence(line, self._fence):
            self._fence = ""
        self._begins_line = end >= 0
        return at + len(line) + 1

    def _pass_over_line(self, text: str, at: int) -> int:
        end = text.find("\n", at)
        self._begins_line = end >= 0
        self._is_line_passed_over = not self._begins_line
        return end + 1 if self._begins_line else len(text)

    def _pass_over(self, text: str, at: int, ended: bool) -> int:
        assert self._unread is not None
        found = self._unread.search(text, at)
        if found is None:
            return len(text) if ended else self._hold(text, max(at, len(text) - 12))
        self._unread = None
        return found.end()

    # -------------------------------------------------------------------------------------------------------- spans

    def _read_special(self, text: str, at: int, end: int, ended: bool) -> int:
        """Read the `markdown.SPECIAL` in `text[at:end]`. Returns where to continue."""
        character = text[at]
        if character == "\n":
            self._end_heading()
            self._out.append("\n")
            self._begins_line = True
            self._is_heading = self._is_row = self._is_next_cell = False
        elif end == len(text) and not ended and character in "*_~=#\\`[]<&" and end - at < _HELD:
            return self._hold(text, at)
        elif character in "*_~=#":
            self._say(self._mark(text, at, end))
        elif character == "\\":
            return self._escape(text, at)
        elif character == "`":
            self._open_code(text, at, end)
        elif character in "[!]":
            return self._bracket(text, at, ended)
        elif character == "<":
            return self._angle(text, at, ended)
        elif character == "&":
            return self._entity(text, at, ended)
        elif character == "|":
            self._is_next_cell = self._is_row or (
                self._character_before(text, at).isspace() and text[end : end + 1].isspace()
            )
            self._out.append(" ")
        elif character in "hHfFwW":
            return self._address(text, at)
        else:  # an emoji
            self._out.append(" ")
        return end

    def _character_before(self, text: str, at: int) -> str:
        return text[at - 1] if at else self._before

    def _mark(self, text: str, at: int, end: int) -> str:
        """What is spoken of a run of `*`, `_`, `~`, `=` or `#`: "" if it is a mark, the run if it is a sign."""
        run, before, after = text[at:end], self._character_before(text, at), text[end : end + 1]
        sign, length = run[0], end - at
        if (not before or before.isspace()) and (not after or after.isspace()):
            is_sign = not self._is_heading if sign == "#" else length == 1 or sign == "="  # "3 * 4", "a == b"
            return run if is_sign else ""
        is_inside = before.isalnum() and after.isalnum()
        if sign == "#":
            return run
        if sign == "=":
            return "" if length == 2 and not is_inside and (before.isalnum() or after.isalnum()) else run
        if sign == "~":
            is_open, is_close = after.isalpha() and not before.isalnum(), before.isalnum() and not after.isalnum()
            return "" if length > 1 or is_open or is_close else run  # "~5 minutes", "~/notes"
        if is_inside and (_UNSPACED.match(before) or _UNSPACED.match(after)):
            return ""
        if sign == "_":
            return run if is_inside else ""
        if length <= 2 and (before.isdigit() or before == ")") and (after.isdigit() or after == "("):
            return run  # "2*3"
        if is_inside and length == 2 and after.isdigit():
            return run  # "x**2"
        if is_inside and length == 1:
            if not self._is_in_word and not markdown.INTRAWORD.match(text, at):
                return run
            self._is_in_word = not self._is_in_word
        return ""

    def _escape(self, text: str, at: int) -> int:
        escaped = text[at + 1 : at + 2]
        if escaped == "\n" or not escaped:
            return at + 1  # a line break
        is_escape = escaped.isascii() and not escaped.isalnum() and escaped.isprintable() and escaped != " "
        self._say(escaped if is_escape else "\\")
        return at + 1 + is_escape

    def _open_code(self, text: str, at: int, end: int) -> None:
        before, after = self._character_before(text, at), text[end : end + 1]
        if end - at == 1 and before.isalpha() and after.isalpha() and not _UNSPACED.match(before):
            self._say("'")  # it is meant as an apostrophe
        elif after.strip() or (after and end - at > 1):
            self._code, self._code_left = end - at, _SPAN

    def _read_code(self, text: str, at: int) -> int:
        found = markdown.IN_CODE.search(text, at, at + self._code_left)
        end = found.start() if found else min(len(text), at + self._code_left)
        self._say(text[at:end])
        self._code_left -= end - at
        if found is None:
            if not self._code_left:
                self._code = 0
            return end
        if text[end] == "\n":
            return self._read_special(text, end, end + 1, ended=True)
        if found.end() - end == self._code:
            self._code = 0
        else:
            self._code_left -= found.end() - end
            self._code = self._code if self._code_left > 0 else 0
        return found.end()

    def _bracket(self, text: str, at: int, ended: bool) -> int:
        character, follows = text[at], text[at + 1 : at + 2]
        if character == "!":
            if follows != "[":
                self._say("!")
            return at + 1
        if character == "[":
            reference = markdown.FOOTNOTE_REFERENCE.match(text, at)
            if reference:
                return reference.end()
            self._opened.append((len(self._out), self._character_before(text, at).isalnum()))
            self._out.append("[")
            return at + 1
        if follows == "(" and (self._opened or self._brackets):
            target = markdown.LINK_TARGET.match(text, at + 1)
            if target:
                self._close_bracket()
                return target.end()
            begun = markdown.LINK_TARGET_BEGUN.match(text, at + 1)
            if begun and not ended:
                if len(text) - at <= _HELD:
                    return self._hold(text, at)
                self._close_bracket()
                self._is_in_target = True  # too long for a remark in brackets
                return len(text)
        elif follows == "[" and (not self._opened[-1][1] if self._opened else self._brackets):
            label = markdown.LINK_LABEL.match(text, at + 1)
            if label:
                self._close_bracket()
                return label.end()
        if self._opened:
            self._opened.pop()
            self._say("]")
        elif self._brackets:
            self._brackets -= 1
        else:
            self._say("]")
        return at + 1

    def _close_bracket(self) -> None:
        """The last open bracket belongs to a link: it is not spoken."""
        if self._opened:
            self._out[self._opened.pop()[0]] = ""
        elif self._brackets:
            self._brackets -= 1

    def _angle(self, text: str, at: int, ended: bool) -> int:
        if text.startswith("<!--", at):
            self._unread = _BLOCK_COMMENT if at == self._prose_at else _COMMENT
            return at + 4
        if mail := markdown.MAIL.match(text, at):
            self._say(mail[1])
            return mail.end()
        if link := markdown.AUTOLINK.match(text, at):
            return link.end()
        if tag := markdown.TAG.match(text, at):
            self._tag((tag[1] or "").lower(), tag[2] or "", begins_line=at == self._prose_at)
            return tag.end()
        if not ended and len(text) - at <= _HELD and markdown.TAG_BEGUN.match(text, at):
            return self._hold(text, at)
        self._say("<")
        return at + 1

    def _tag(self, name: str, attributes: str, *, begins_line: bool) -> None:
        if name in _UNREAD and begins_line:  # within a line the text is about the tag: "the <script> tag"
            self._unread = _UNREAD[name]
            if name == "pre":
                self._name_code()
        elif name == "img" and (alt := markdown.ALT.search(attributes)):
            self._say(alt[1] or alt[2] or "")
        elif name.lstrip("/") in _APART:
            self._out.append(" ")

    def _entity(self, text: str, at: int, ended: bool) -> int:
        if entity := markdown.ENTITY.match(text, at):
            self._say(re.sub(r"\s", " ", html.unescape(entity.group())))
            return entity.end()
        if not ended and markdown.ENTITY_BEGUN.match(text, at):
            return self._hold(text, at)
        self._say("&")
        return at + 1

    def _address(self, text: str, at: int) -> int:
        """Pass over an address, and brackets around it that contain nothing else."""
        url = markdown.URL.match(text, at)
        assert url is not None
        end = at + len(url.group().rstrip(".,;:!?'"))
        if url.end() == len(text):
            self._is_in_url = True
            self._say(text[end:])
            return len(text)
        if self._out and self._out[-1].endswith("(") and text.startswith(")", end):
            self._out[-1] = self._out[-1][:-1]
            return end + 1
        self._out.append(" ")
        return end

    def _end_address(self, text: str, at: int) -> int:
        """Pass over the rest of an address that began in an earlier piece."""
        rest = (markdown.URL if self._is_in_url else markdown.REST_OF_TARGET).match(text, at)
        assert rest is not None
        end = rest.end()
        if end == len(text):
            return end
        if self._is_in_target and (title := markdown.LINK_TITLE_AND_END.match(text, end)):
            end = title.end()
        self._is_in_url = self._is_in_target = False
        return end


def _cleaned(text: str) -> str:
    text = _BREAKS.sub(lambda found: "\n" if "\n" in found[0] else " ", text)
    text = _SPACE_BEFORE_STOP.sub("", text).strip()
    return text if any(map(str.isalnum, text)) else ""


def speakable(text: str) -> str:
    """The text to speak of `text`: without Markdown's marks, addresses, tags and emoji; "" if nothing is left.

    >>> speakable("**Yes**, see [the guide](https://example.org/a) 🙂 and `frames.py`: https://example.org/b.")
    'Yes, see the guide and frames.py:.'

    For a text that comes in pieces use one `SpeechFilter`: it remembers what is open.
    """
    return SpeechFilter()._read(text, ended=True)
