"""A table with bars, as an SVG of a few kilobytes that can be read in light and in dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

ROW, HEAD, COLUMN, GAP = 26, 40, 150, 16  # heights and widths, in pixels
LETTER = 7  # width, at most on average
BAR = 6  # height, under the number
COLOUR = "#0072b2"  # told from grey by anyone (Okabe and Ito), on white and on black

STYLE = (
    "text{font-family:system-ui,sans-serif;font-size:12px;fill:#333}.head{font-weight:600}.rail{fill:#888;opacity:.25}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)


@dataclass(frozen=True, slots=True)
class Column:
    """One quantity: what is written in each row, and how long its bar is; None: nothing is known."""

    title: str
    texts: Sequence[str]
    values: Sequence[float | None]  # 0 or more; the longest bar is the largest of them


def bars(names: Sequence[str], columns: Sequence[Column]) -> str:
    """One row for each name.

    >>> bars(["a", "b"], [Column("size", ["1 MB", "2 MB"], [1, 2])]).count("<rect")
    4
    """
    first = GAP + LETTER * max(map(len, names), default=0)
    width, height = first + len(columns) * (COLUMN + GAP), HEAD + len(names) * ROW
    drawn = [_text(0, HEAD + row * ROW, name) for row, name in enumerate(names)]
    for number, column in enumerate(columns):
        left = first + number * (COLUMN + GAP)
        drawn.append(_text(left, HEAD - 22, column.title, "head"))
        most = max((value for value in column.values if value is not None), default=0) or 1
        for row, (text, value) in enumerate(zip(column.texts, column.values, strict=True)):
            drawn.append(_text(left, HEAD + row * ROW, text))
            if value is not None:
                drawn.append(_bar(left, HEAD + row * ROW + 4, COLUMN, 'class="rail"'))
                drawn.append(_bar(left, HEAD + row * ROW + 4, COLUMN * value / most, f'fill="{COLOUR}"'))
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    title = f"<title>{escape(', '.join(names))}: {escape(', '.join(column.title for column in columns))}</title>"
    style = f"<style>{STYLE}</style>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{title}{style}{"".join(drawn)}</svg>\n'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'


def _bar(x: float, y: float, width: float, look: str) -> str:
    return f'<rect {look} x="{x:.0f}" y="{y:.0f}" width="{max(width, 1):.1f}" height="{BAR}" rx="2"/>'
