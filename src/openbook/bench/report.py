"""A comparison as one page: table, pictures of quality against speed and memory, every question.

Everything is in the one file, styles, pictures (SVG) and the script that sorts tables: it opens without a network.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from openbook.bench.board import Board, Line, board
from openbook.bench.questions import Question, key_of
from openbook.bench.results import Results
from openbook.bench.scoring import Scorer
from openbook.recipe import Recipe

WIDTH, HEIGHT, MARGIN = 460, 300, 46  # of a picture
SHOWN_ANSWERS = 400  # characters
STYLE, SCRIPT = (Path(__file__).with_name(f"report.{kind}") for kind in ("css", "js"))

Point = tuple[int, float, float]
"""A row's number, what it costs, how good it is."""


def page(results: Results, run: str = "", headline: str = "", against: int = 1) -> str:
    """The page of a run, of the last one when none is named.

    Raises:
        BookError: There is no such run or measure.
    """
    row = results.run(run)
    scorer = Scorer(results, row)
    found = board(scorer, headline, against)
    body = "\n".join([
        f"<h1>{_text(found.run)}</h1>",
        f"<p><strong>{_text(found.verdict)}</strong></p>",
        f"<p>{found.questions:,} questions judged by {_text(found.headline)}, {len(found.lines):,} recipes, "
        f"{_text(row.made[:10])}. Row {against} is the baseline.</p>",
        "<h2>Recipes</h2>",
        _table(found),
        "<p>Rows in bold cannot be told from the best. 95 %: bootstrap interval of the mean. p: paired randomisation "
        "test against the baseline, with Holm's correction. Click a heading to sort.</p>",
        "<h2>Quality against what it costs</h2>",
        _pictures(found),
        "<h2>Questions</h2>",
        *_questions(scorer, found),
        "<h2>What was run</h2>",
        _settings(row.settings, found.lines),
    ])  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(found.run)}</title><style>{STYLE.read_text('utf-8')}</style></head>\n"
        f"<body>\n{body}\n<script>{SCRIPT.read_text('utf-8')}</script></body></html>\n"
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _table(found: Board) -> str:
    measures = list(dict.fromkeys(name for line in found.lines for name in line.means))
    heads = ["row", *measures, "95 %", "difference", "p", "search ms", "first word s", "tokens/s", "memory MB"]
    rows = []
    for line in found.lines:
        search = line.speeds.get("search")
        cells = [
            _cell(line.trial.number),
            *(_cell(100 * line.means[name] if name in line.means else None, 1) for name in measures),
            f'<td data-v="{line.low:.4f}">{100 * line.low:.0f}-{100 * line.high:.0f}</td>',
            _cell(100 * line.difference, 1),
            _cell(line.p, 3),
            _cell(None if search is None else search * 1000),
            _cell(line.speeds.get("first_token"), 1),
            _cell(line.speeds.get("tokens_per_second"), 1),
            _cell(memory_mb(line)),
            _cell(line.measured["index"].get("seconds")),
            f'<td class="recipe">{_text(line.trial.label)}</td>',
        ]
        rows.append(f"<tr{' class=best' if line.best else ''}>{''.join(cells)}</tr>")
    head = "".join(f"<th>{_text(name)}</th>" for name in [*heads, "index s", "recipe"])
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _cell(value: float | None, digits: int = 0) -> str:
    return "<td>-</td>" if value is None else f'<td data-v="{value:.6g}">{value:.{digits}f}</td>'


def memory_mb(line: Line) -> float | None:
    """The most memory that searching or answering took; making the index is done once."""
    peak = max((line.measured[stage].get("peak_bytes", 0) for stage in ("search", "answer")), default=0)
    return peak / 1e6 if peak else None


COSTS: Mapping[str, Callable[[Line], float | None]] = {
    "seconds of a search": lambda line: line.speeds.get("search"),
    "seconds to the first word": lambda line: line.speeds.get("first_token"),
    "memory in MB": memory_mb,
    "seconds to index": lambda line: line.measured["index"].get("seconds"),
}


def _pictures(found: Board) -> str:
    drawn = []
    for title, cost in COSTS.items():
        points = [
            (line.trial.number, value, 100 * line.means[found.headline])
            for line in found.lines
            if (value := cost(line)) is not None and found.headline in line.means
        ]
        if len(points) > 1:
            drawn.append(_picture(f"{found.headline} over {title}", points))
    return f'<div class="pictures">{"".join(drawn)}</div>' if drawn else "<p>Nothing to draw.</p>"


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both: Pareto's front, by rising cost.

    >>> front([(1, 5.0, 70.0), (2, 3.0, 60.0), (3, 4.0, 55.0)])
    [(2, 3.0, 60.0), (1, 5.0, 70.0)]
    """
    found: list[Point] = []
    for point in sorted(points, key=lambda one: (one[1], -one[2])):
        if not found or point[2] > found[-1][2]:
            found.append(point)
    return found


def _picture(title: str, points: Sequence[Point]) -> str:
    """Quality over cost; the front is joined by a line, its points are filled. Every point has its row's number."""
    costs, qualities = [one[1] for one in points], [one[2] for one in points]
    pad = max(1.0, (max(qualities) - min(qualities)) * 0.15)
    low, high, most = min(qualities) - pad, max(qualities) + pad, max(costs) * 1.08 or 1.0

    def at(cost: float, quality: float) -> tuple[float, float]:
        across, up = cost / most, (quality - low) / (high - low)
        return MARGIN + (WIDTH - MARGIN - 14) * across, HEIGHT - MARGIN - (HEIGHT - MARGIN - 26) * up

    best = front(points)
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(cost, quality) for _, cost, quality in best))
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{_text(title)}">',
        f'<text x="{MARGIN}" y="16">{_text(title)}</text>',
        f'<path d="M{MARGIN} 24V{HEIGHT - MARGIN}H{WIDTH - 10}" class="open"/>',
        f'<polyline points="{joined}" class="open" stroke-dasharray="4 3"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        cost, quality = most * share, low + (high - low) * share
        x, y = at(cost, quality)
        parts.append(f'<text x="{x:.0f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{cost:.3g}</text>')
        parts.append(f'<text x="{MARGIN - 6}" y="{y + 4:.0f}" text-anchor="end">{quality:.0f}</text>')
    for point in points:
        x, y = at(*point[1:])
        kind = "" if point in best else ' class="open"'
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"{kind}/>')
        parts.append(f'<text x="{x + 8:.1f}" y="{y - 6:.1f}">{point[0]}</text>')
    return "".join([*parts, "</svg>"])


def _questions(scorer: Scorer, found: Board) -> list[str]:
    """Each question with every row's score; those on which rows differ most come first."""
    by_row = {line.trial.number: scorer.scores(line.trial, found.headline) for line in found.lines}
    told = []
    for question in scorer.questions:
        scores = {row: of_row.get(question.id) for row, of_row in by_row.items()}
        known = [score for score in scores.values() if score is not None]
        spread = max(known) - min(known) if known else -1.0
        told.append((spread, _question(question, scorer, found, scores)))
    return [text for _, text in sorted(told, key=lambda one: -one[0])]


def _question(question: Question, scorer: Scorer, found: Board, scores: Mapping[int, float | None]) -> str:
    key, rows = key_of(question), []
    for line in found.lines:
        answer = scorer.answer(line.trial, key) if line.trial.answer_key else {}
        said = answer.get("error") or str(answer.get("text", ""))[:SHOWN_ANSWERS]
        cells = _cell(line.trial.number) + _cell(scores[line.trial.number], 2)
        rows.append(f'<tr>{cells}<td class="text">{_text(said)}</td></tr>')
    known = [score for score in scores.values() if score is not None]
    mean = f"{100 * sum(known) / len(known):.0f}" if known else "-"
    expected = " | ".join(question.answers) if question.answers else ("" if question.answerable else "(no answer)")
    golds = "; ".join(chain.from_iterable([one.source, one.quote or one.place] for one in question.gold))
    head = f"<tr><th>row</th><th>{_text(found.headline)}</th><th>answer</th></tr>"
    return (
        f"<details><summary>{mean} {_text(question.text)}</summary><p>{_text(expected)}</p>"
        f'<p><small>{_text(golds)}</small></p><div class="scroll"><table><thead>{head}</thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _settings(settings: Mapping[str, object], lines: Sequence[Line]) -> str:
    recipes = [
        f"# row {line.trial.number}\n{Recipe.from_dict(line.trial.recipe).to_toml()}"
        for line in sorted(lines, key=lambda line: line.trial.number)
    ]
    said = _text("\n".join([json.dumps(settings, indent=1), *recipes]))
    return f"<details><summary>Settings and recipes</summary><pre>{said}</pre></details>"
