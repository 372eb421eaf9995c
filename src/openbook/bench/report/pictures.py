"""The pictures of the page, as SVG: legible without colour, on a phone, in print."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from openbook.bench import pareto
from openbook.bench.report.parts import escaped

WIDTH, HEIGHT = 340, 250  # of a picture: as wide as a phone, so that letters keep their size there
LEFT, RIGHT, TOP, BOTTOM = 34, 14, 12, 30
LETTER = 6.8  # pixels across, of 12 high
NEAR = 9.0  # pixels: dots closer than these are one
DECADE = 10.0  # costs that span more than this are drawn on a logarithmic axis
NAMED = 4  # rows named at one dot

Scale = tuple[float, float]
"""What lies at the left and at the right end, in points."""


def scale_of(values: Sequence[float]) -> Scale:
    """Whole tens around shares, in points.

    >>> scale_of([0.43, 0.71])
    (40.0, 80.0)
    """
    low, high = 10.0 * math.floor(min(values) * 10 + 1e-9), 10.0 * math.ceil(max(values) * 10 - 1e-9)
    return low, max(high, low + 10.0)


def interval(scale: Scale, low: float, mean: float, high: float, base: float | None, *, filled: bool) -> str:
    """A mean with its interval on a scale; the baseline's mean as a dashed line."""
    width, height = 200, 18

    def at(share: float) -> float:
        return 6 + (width - 12) * (100 * share - scale[0]) / (scale[1] - scale[0])

    middle = height / 2
    dashed = f'<path d="M{at(base):.1f} 0V{height}" stroke-dasharray="2 2"/>' if base is not None else ""
    ends = f"M{at(low):.1f} {middle - 4}v8m0 -4H{at(high):.1f}m0 -4v8"
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">{dashed}'
        f'<path d="{ends}" class="open"/><circle cx="{at(mean):.1f}" cy="{middle}" r="4"{_kind(filled)}/></svg>'
    )


def _kind(filled: bool) -> str:
    return "" if filled else ' class="open"'


@dataclass(frozen=True, slots=True)
class Axis:
    """Values to pixels, evenly or by their logarithm."""

    low: float
    high: float
    start: float  # pixels
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies."""
        low, high, value = (math.log10(one) for one in (self.low, self.high, value)) if self.log else (
            self.low, self.high, value
        )  # fmt: skip
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values along it, two to six."""
        if not self.log:
            return _round(self.low, self.high)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found: list[float] = []
        for steps in ((1, 2, 5), (1, 3), (1,)):
            found = [step * 10.0**power for power in decades for step in steps]
            found = [value for value in found if self.low <= value <= self.high]
            if len(found) <= 5:
                break
        return found


def _round(low: float, high: float) -> list[float]:
    """Steps of 1, 2 or 5 between two values.

    >>> _round(0.0, 0.041)
    [0.0, 0.02, 0.04]
    """
    rough = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * 0.8)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def picture(
    title: str, placed: Mapping[int, tuple[float, float]], write: Callable[[float], str], best: Collection[int]
) -> str:
    """Quality over cost, by row. The front is joined by a line and its dots are filled; numbers in `best` are bold."""
    costs, qualities = [cost for cost, _ in placed.values()], [quality for _, quality in placed.values()]
    across, up = _axes(costs, qualities)
    fronts = pareto.front({row: (quality, -cost) for row, (cost, quality) in placed.items()})
    on_front = sorted((placed[row] for row, on in fronts.items() if on))
    joined, last = "", None  # a staircase: right at the same quality, then up
    for x, y in ((across.at(cost), up.at(quality)) for cost, quality in on_front):
        joined += f" {x:.1f},{last:.1f} {x:.1f},{y:.1f}" if last is not None else f"{x:.1f},{y:.1f}"
        last = y
    rows = ", ".join(str(row) for row in sorted(row for row, on in fronts.items() if on))
    parts = [
        f"<figure><figcaption>{escaped(title)}{' (logarithmic)' if across.log else ''}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{escaped(title)}: rows that no '
        f'other beats in both: {rows}">',
        f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" class="open"/>',
        *_ticks(across, up, write),
        f'<polyline points="{joined}" class="open" stroke-dasharray="4 3"/>',
    ]
    dots = _dots({row: (across.at(cost), up.at(quality)) for row, (cost, quality) in placed.items()})
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in dots.values()]
    for group, (x, y) in dots.items():
        filled = any(fronts[row] for row in group)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"{_kind(filled)}/>')
    for group, (x, y) in dots.items():
        parts.append(_label(group, x, y, taken, bold=any(row in best for row in group)))
    return "".join([*parts, "</svg></figure>"])


def _axes(costs: Sequence[float], qualities: Sequence[float]) -> tuple[Axis, Axis]:
    pad = max(2.0, (max(qualities) - min(qualities)) * 0.12)
    low, high = max(0.0, min(qualities) - pad), min(103.0, max(qualities) + pad)
    log = min(costs) > 0 and max(costs) > DECADE * min(costs)
    least, most = (min(costs) / 1.4, max(costs) * 1.4) if log else (0.0, max(costs) * 1.1 or 1.0)
    return Axis(least, most, LEFT, WIDTH - RIGHT, log), Axis(low, high, HEIGHT - BOTTOM, TOP)


def _ticks(across: Axis, up: Axis, write: Callable[[float], str]) -> Iterator[str]:
    last = -99.0
    for value in across.ticks():
        x, text = across.at(value), write(value) if value else "0"
        half = len(text) * LETTER / 2
        yield f'<path d="M{x:.1f} {HEIGHT - BOTTOM}v4"/>'
        if x - half > last and x + half < WIDTH:
            yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{escaped(text)}</text>'
            last = x + half + LETTER
    for value in up.ticks():
        if value <= 100:
            y = up.at(value)
            yield f'<path d="M{LEFT} {y:.1f}h-4"/>'
            yield f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'


def _dots(places: Mapping[int, tuple[float, float]]) -> dict[tuple[int, ...], tuple[float, float]]:
    """Rows whose dots would lie on each other, as one dot."""
    found: dict[tuple[int, ...], tuple[float, float]] = {}
    for row, (x, y) in sorted(places.items()):
        group = next((one for one, at in found.items() if math.dist(at, (x, y)) < NEAR), ())
        found[*group, row] = found.pop(group, (x, y))
    return found


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

# Of a label to its dot, in units of a ring: beside it, above and below, then the corners.
AROUND = (
    (1, -0.5),
    (1, 0.5),
    (-1, -0.5),
    (-1, 0.5),
    (0, -1),
    (0, 1),
    (1, -1),
    (-1, -1),
    (1, 1),
    (-1, 1),
    (1, 0),
    (-1, 0),
)
RINGS = (9.0, 20.0, 32.0)  # pixels


def _label(group: Sequence[int], x: float, y: float, taken: list[Box], *, bold: bool) -> str:
    """The numbers of a dot's rows, beside it where there is room; farther off with a line that leads to it."""
    text = ", ".join(map(str, group[:NAMED])) + (f" +{len(group) - NAMED}" if len(group) > NAMED else "")
    width = len(text) * LETTER
    best: tuple[float, float, Box] | None = None
    for ring in RINGS:
        for side, down in AROUND:
            left = x + side * ring - (width if side < 0 else 0 if side else width / 2)
            box = (left, y + down * ring - 6, left + width, y + down * ring + 6)
            if box[0] < LEFT + 2 or box[2] > WIDTH or box[1] < 0 or box[3] > HEIGHT - BOTTOM:
                continue
            hidden = sum(_shared(box, other) for other in taken)
            if best is None or hidden < best[0]:
                best = (hidden, ring, box)
        if best and not best[0]:
            break
    _, ring, box = best or (0.0, RINGS[0], (min(x, WIDTH - width), y - 20, min(x, WIDTH - width) + width, y - 8))
    taken.append(box)
    kind = " class=bold" if bold else ""
    end = (min(max(x, box[0]), box[2]), min(max(y, box[1] + 2), box[3] - 2))
    line = f'<path d="M{x:.1f} {y:.1f}L{end[0]:.1f} {end[1]:.1f}" class="lead"/>' if ring > RINGS[0] else ""
    return f'{line}<text x="{box[0]:.1f}" y="{box[3] - 2:.1f}"{kind}>{text}</text>'


def _shared(one: Box, other: Box) -> float:
    """Square pixels of two boxes on each other."""
    across, down = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down)
