"""SVGs by hand: lines on logarithmic axes, and bars. Small enough to read, and to be committed with each run."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence

COLORS = ("#1b6ca8", "#2a9d5c", "#7a4fb5", "#d9822b", "#c0392b", "#555555", "#b8860b")
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 380, 70, 40, 190, 50

Line = tuple[str, Sequence[tuple[float, float]]]


def _open(width: int, height: int, title: str) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="22" font-size="15">{html.escape(title)}</text>',
    ]


def lines(
    title: str,
    across: str,
    up: str,
    series: Sequence[Line],
    mark: Callable[[float], str],
    upmark: Callable[[float], str],
) -> str:
    """Both axes logarithmic, a tick each power of ten (across: each power of 16 if values are bytes)."""
    xs = [x for _, points in series for x, _ in points]
    ys = [y for _, points in series for _, y in points if y > 0]
    if not xs or not ys:
        return ""
    low_x, high_x = math.log10(min(xs)), math.log10(max(xs)) or 1
    low_y, high_y = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        y = max(y, 10**low_y)
        return (
            LEFT + (math.log10(x) - low_x) / (high_x - low_x or 1) * wide,
            TOP + high - (math.log10(y) - low_y) / (high_y - low_y or 1) * high,
        )

    out = _open(WIDTH, HEIGHT, title)
    for power in range(low_y, high_y + 1):
        y = place(min(xs), 10**power)[1]
        out.append(f'<path d="M{LEFT} {y:.0f}h{wide}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{upmark(10**power)}</text>')
    for tick in sorted(set(xs)):
        x = place(tick, 1)[0]
        out.append(f'<text x="{x:.0f}" y="{HEIGHT - 30}" text-anchor="middle">{mark(tick)}</text>')
    out.append(f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 10}" text-anchor="middle">{html.escape(across)}</text>')
    out.append(f'<text x="{LEFT}" y="{TOP - 4}" fill="#666">{html.escape(up)}</text>')
    for number, (name, points) in enumerate(series):
        color = COLORS[number % len(COLORS)]
        path = "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in points)
        out.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        out += ['<circle cx="{:.1f}" cy="{:.1f}" r="2.5" fill="{}"/>'.format(*place(*p), color) for p in points]
        y = TOP + 14 + 20 * number
        out.append(f'<path d="M{WIDTH - RIGHT + 12} {y - 4}h18" stroke="{color}" stroke-width="3"/>')
        out.append(f'<text x="{WIDTH - RIGHT + 36}" y="{y}">{html.escape(name)}</text>')
    return "\n".join([*out, "</svg>\n"])


def bars(title: str, note: str, values: Sequence[tuple[str, float, bool]], text: Callable[[float], str]) -> str:
    """(name, value, whether it is ours); the axis is logarithmic, and begins a little below the least value."""
    if not values:
        return ""
    low = math.log10(min(value for _, value, _ in values)) - 0.3
    high = math.log10(max(value for _, value, _ in values))
    left, step, wide = 280, 20, 340
    height = TOP + step * len(values) + 30
    out = _open(WIDTH, height, title)
    for number, (name, value, ours) in enumerate(values):
        y = TOP + step * number
        width = (math.log10(value) - low) / (high - low or 1) * wide
        color = COLORS[0] if ours else "#b9c3cc"
        out.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{html.escape(name)}</text>')
        out.append(f'<rect x="{left}" y="{y + 2}" width="{width:.1f}" height="14" fill="{color}"/>')
        out.append(f'<text x="{left + width + 6:.1f}" y="{y + 13}">{text(value)}</text>')
    out.append(f'<text x="12" y="{height - 10}" fill="#666">{html.escape(note)}</text>')
    return "\n".join([*out, "</svg>\n"])
