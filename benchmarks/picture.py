"""Line charts as an SVG of a few kilobytes that can be read in light and in dark; x is on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log2

WIDTH, HEIGHT = 300, 250  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 34, 58, 34, 38  # around its plot
GAP = 11  # between two labels, at least
GRID = 4  # parts of the y axis

# Told apart by anyone (Okabe and Ito), on white and on black; labels stand beside their lines too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#999999")

STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#333}.grid{stroke:#8884;stroke-width:1}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x, y), x rising."""

    name: str
    points: Sequence[tuple[float, float]]


def picture(x_label: str, panels: Mapping[str, Sequence[Line]]) -> str:
    """Panels side by side: title -> lines."""
    panels = {title: lines for title, lines in panels.items() if lines}
    drawn = "".join(
        f'<g transform="translate({number * WIDTH} 0)">{_panel(title, x_label, lines)}</g>'
        for number, (title, lines) in enumerate(panels.items())
    )
    size = f'viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}" width="{WIDTH * len(panels)}" height="{HEIGHT}"'
    named = f"<title>{escape('; '.join(panels))}</title>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{named}<style>{STYLE}</style>{drawn}</svg>\n'


def _panel(title: str, x_label: str, lines: Sequence[Line]) -> str:
    xs = sorted({x for line in lines for x, _ in line.points})
    low, high, step = scale([y for line in lines for _, y in line.points])

    def across(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * log2(x / xs[0]) / (log2(xs[-1] / xs[0]) or 1)

    def down(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - low) / (high - low)

    parts = [_text(LEFT, TOP - 16, title)]
    for number in range(GRID + 1):
        y = low + number * step
        parts.append(f'<path class="grid" d="M{LEFT} {down(y):.0f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 5, down(y) + 4, f"{y:g}", "end"))
    parts += [_text(across(x), HEIGHT - BOTTOM + 15, f"{x:g}", "middle") for x in xs]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle"))
    labels = apart([down(line.points[-1][1]) + 4 for line in lines])
    for line, colour, label in zip(lines, COLOURS, labels, strict=False):
        path = "L".join(f"{across(x):.1f} {down(y):.1f}" for x, y in line.points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="2.5" fill="{colour}"/>' for x, y in line.points]
        parts.append(f'<g style="font-weight:600">{_text(WIDTH - RIGHT + 6, label, line.name)}</g>')
        parts.append(f'<path d="M{WIDTH - RIGHT} {label + 3:.0f}h3" stroke="{colour}" stroke-width="2"/>')
    return "".join(parts)


def scale(values: Sequence[float]) -> tuple[float, float, float]:
    """Lowest and highest of an axis of GRID equal steps, and the step: 1, 2 or 5 and noughts.

    >>> scale([61.5, 93.2]), scale([12, 19])
    ((60.0, 100.0, 10), (12, 20, 2))
    """
    low, high = min(values), max(values)
    steps = (base * 10**power for power in range(-3, 6) for base in (1, 2, 5))
    step = next(step for step in steps if low // step * step + GRID * step >= high)
    first = low // step * step
    return first, first + GRID * step, step


def apart(heights: Sequence[float]) -> list[float]:
    """The heights in the same order, moved down where two would be nearer than GAP.

    >>> apart([20, 10, 12])
    [32, 10, 21]
    """
    moved = list(heights)
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    for above, below in zip(order, order[1:], strict=False):
        moved[below] = max(moved[below], moved[above] + GAP)
    return moved


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'
