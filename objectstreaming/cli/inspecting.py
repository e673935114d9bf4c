"""`objectstreaming inspect`: a line for each frame of a stream, and what the stream was as a whole."""

from __future__ import annotations

import json
import operator
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ..errors import FrameError
from ..frames import Frame
from .errors import CommandError
from .previews import preview
from .streams import Request, Seen, Watch, opened
from .terminal import brief, coloured, printable

__all__ = ["Choice", "Condition", "Statistics", "inspect"]

Payload = Literal["none", "brief", "full", "hex"]

_WHERE: Final = re.compile(r"\s*([^=!<>\s]+)\s*(?:(==|!=|<=|>=|<|>)\s*(.*?)\s*)?", re.DOTALL)
_COMPARED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Condition:
    """What a member of the header must be: `sign==3`, `user.name!=ann`, or `answer`, which must be there.

    The value is JSON, or else a text. What cannot be compared does not fulfil the condition.

    >>> Condition("sign >= 2").holds({"sign": 3}), Condition("user.name==ann").holds({"user": {"name": "ann"}})
    (True, True)
    >>> Condition("sign>2").holds({"sign": "three"}), Condition("sign").holds({})
    (False, False)
    """

    def __init__(self, text: str) -> None:
        found = _WHERE.fullmatch(text)
        if found is None:
            raise CommandError(
                f"--where is a member of the header and what it is, as in 'sign==3', not {text!r}", status=2
            )
        path, self._operator, value = found.groups()
        self._path = path.split(".")
        try:
            self._value = json.loads(value or "null")
        except ValueError:
            self._value = value

    def holds(self, header: Any) -> bool:
        for name in self._path:
            if not isinstance(header, dict) or name not in header:
                return False
            header = header[name]
        try:
            return self._operator is None or _COMPARED[self._operator](header, self._value)
        except TypeError:
            return False


@dataclass(frozen=True)
class Choice:
    """Which frames are shown: of these kinds, in this range of indexes, with headers that fulfil all conditions."""

    kinds: Sequence[str] = ()
    first: int = 0
    behind: int | None = None
    where: Sequence[Condition] = ()

    @classmethod
    def of(cls, kinds: str, frames: str, where: Sequence[str]) -> Choice:
        """From the options `--kind data,ping`, `--frames 10:20` and `--where sign==3`. Raises `CommandError`."""
        chosen = [kind for kind in kinds.split(",") if kind]
        unknown = set(chosen) - {"data", "open", "ping", "end", "other"}
        if unknown:
            raise CommandError(
                f"--kind is one of data, open, ping, end and other, not {', '.join(sorted(unknown))}", status=2
            )
        found = re.fullmatch(r"(\d{0,15})(?:(:)(\d{0,15}))?", frames)
        if found is None:
            raise CommandError(f"--frames is an index or a range, as in 10:20, not {frames!r}", status=2)
        first, colon, behind = int(found[1] or 0), found[2], found[3]
        end = None if not frames or (colon and not behind) else int(behind) if colon else first + 1
        return cls(chosen, first, end, [Condition(text) for text in where])

    def includes(self, seen: Seen) -> bool:
        index = seen.frame.index
        if index < self.first or (self.behind is not None and index >= self.behind):
            return False
        if self.kinds and seen.kind not in self.kinds:
            return False
        return not self.where or all(condition.holds(_header(seen.frame)) for condition in self.where)


@dataclass
class Statistics:
    """Times and sizes of a stream."""

    first: float | None = None
    gaps: Counter[float] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)

    def add(self, seen: Seen) -> None:
        self.frames[seen.kind] += 1
        self.sizes[seen.kind] += seen.size
        if seen.gap is not None:
            self.gaps[float(f"{seen.gap:.3g}")] += 1  # three digits, so that a long stream takes no more memory
        if self.first is None and seen.kind == "data":
            self.first = seen.t

    def report(self, watch: Watch) -> dict[str, Any]:
        """As members of JSON; times in seconds, `None` where they are not known."""
        return {
            "frames": dict(self.frames),
            "bytes": dict(self.sizes),
            "first_data": None if self.first is None else round(self.first, 6),
            "seconds": None if watch.last is None else round(watch.last, 6),
            "bytes_per_second": round(watch.bytes / watch.last) if watch.last else None,
            "gap": {"p50": self._gap(0.5), "p90": self._gap(0.9), "p99": self._gap(0.99), "max": self._gap(1)},
        }

    def _gap(self, part: float) -> float | None:
        """The gap that this part of the gaps does not exceed."""
        left = part * self.gaps.total()
        for gap, count in sorted(self.gaps.items()):
            left -= count
            if left <= 0:
                return gap
        return None


def inspect(
    source: str,
    request: Request,
    *,
    exchange: int | None,
    coder: str | None,
    choice: Choice,
    payload: Payload,
    as_json: bool,
    statistics: bool,
    say: Callable[[str], object],
    note: Callable[[str], object],
) -> int:
    """Show the frames of a stream while they arrive. Returns the exit status."""
    figures = Statistics()
    with opened(source, request, recorded=exchange is not None, exchange=exchange) as stream:
        if stream.note:
            note(printable(stream.note))
        watch = Watch(stream, coder)
        for seen in watch:
            if statistics:
                figures.add(seen)
            if choice.includes(seen):
                say(_as_json(seen, watch.coder, payload) if as_json else _as_line(seen, watch.coder, payload))
    if statistics:
        report = figures.report(watch)
        say(json.dumps({"statistics": report}) if as_json else "\n".join(_table(report)))
    verdict = coloured(printable(watch.verdict), "red" if watch.status else "green", sys.stderr)
    note(f"{watch.frames} frames, {watch.bytes:,} bytes; {verdict}")
    return watch.status


def _header(frame: Frame) -> dict[str, Any] | None:
    try:
        return frame.header
    except FrameError:
        return None


def _as_line(seen: Seen, coder: str | None, payload: Payload) -> str:
    frame, control = seen.frame, seen.control
    times = "" if seen.t is None else f"{seen.t:9.3f} s {'' if seen.gap is None else f'+{seen.gap:.3f}':>8}"
    header = _header(frame)
    if header is None:
        text = f"(invalid_header) {printable(frame.header_bytes[:60].decode(errors='replace'))}"
    elif control is not None:
        text = f"{seen.kind} {brief({name: value for name, value in control.items() if name != 'type'})}"
    else:
        text = brief(header)
    shown = "" if control is not None else _payload(frame, coder, payload)
    end = f"  + {len(frame.payload)} B" + (f"  {shown}" if shown else "")
    return f"{frame.index:>6}  @{frame.offset:<10}{times} {seen.size:>9} B  {text}{end}"


def _payload(frame: Frame, coder: str | None, payload: Payload) -> str:
    match payload:
        case "none":
            return ""
        case "hex":
            return frame.payload.hex(" ")
        case "full":
            return preview(frame, coder, len(frame.payload) + 1_000)
    return preview(frame, coder)


def _as_json(seen: Seen, coder: str | None, payload: Payload) -> str:
    frame, header = seen.frame, _header(seen.frame)
    members: dict[str, Any] = {
        "index": frame.index,
        "offset": frame.offset,
        "t": None if seen.t is None else round(seen.t, 6),
        "gap": None if seen.gap is None else round(seen.gap, 6),
        "size": seen.size,
        "kind": seen.kind,
        "header": header,
        "payload": {"size": len(frame.payload)},
    }
    if header is None:
        members["error"] = "invalid_header"
    if seen.kind == "data" and payload != "none":
        name = "hex" if payload == "hex" else "preview"
        members["payload"][name] = frame.payload.hex() if payload == "hex" else _payload(frame, coder, payload)
    return json.dumps(members)


def _table(report: dict[str, Any]) -> list[str]:
    def seconds(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.3f} s"

    gap = report["gap"]
    kinds = (f"{count} {kind} ({report['bytes'][kind]:,} B)" for kind, count in report["frames"].items())
    rate = report["bytes_per_second"]
    return [
        f"frames:      {', '.join(kinds) or 'none'}",
        f"first data:  {seconds(report['first_data'])}, in all {seconds(report['seconds'])}"
        + (f", {rate:,} B/s" if rate is not None else ""),
        f"gaps:        half below {seconds(gap['p50'])}, 90 % {seconds(gap['p90'])}, 99 % {seconds(gap['p99'])}, "
        f"longest {seconds(gap['max'])}",
    ]
