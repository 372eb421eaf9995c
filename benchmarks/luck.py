"""What luck does to a comparison: the numbers and the pictures of docs/statistics.md.

    python benchmarks/luck.py --pictures docs                        # simulated, and the kept scores of the example
    python benchmarks/luck.py --keep search                          # keeps the scores of a comparison as that example

Prints Markdown; the same numbers each time. Simulated recipes answer each question rightly or wrongly. Questions differ
in how hard they are, such that the best of 24 equal recipes beats the median one by 7 points with 50 questions, as 24
equal configurations were seen to do (decision 22). The example is `openbook compare examples/search.toml`, its scores
of each question in luck.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, median

import numpy as np
from measure import table
from picture import COLOURS, STYLE, Line, picture

from openbook.bench.racing import race
from openbook.bench.statistics import POWER, SURE, holm, interval, needed, p_value, p_values, together

KEPT = Path(__file__).with_name("luck.json")
RUNS = 500  # simulated comparisons behind each number
ROWS, ASKED = 24, 50
EQUAL = 0.6  # how good each simulated recipe is: 60 % of all questions there could be
ROUNDS = 400  # of a test, where a thousand tests are made

Scores = list[list[float]]
"""Of each row, for each question."""


@dataclass(frozen=True, slots=True)
class Example:
    """A real comparison: what its rows are, and their scores."""

    headline: str
    labels: tuple[str, ...]
    scores: Scores


def simulated(random: np.random.Generator, questions: int, rows: int) -> Scores:
    """What recipes that are equally good score: 1 or 0."""
    chance = np.tile(random.beta(0.27, 0.18, questions), (rows, 1))
    return (random.random(chance.shape) < chance).astype(float).tolist()  # type: ignore[no-any-return]


def means(scores: Scores) -> list[float]:
    """Of each row, in per cent."""
    return [100 * fmean(row) for row in scores]


# What luck does.


def lead(rows: int, questions: int, seed: int = 1) -> float:
    """Points by which the best of so many equal rows lies above the median one, on average."""
    random = np.random.default_rng(seed)
    found = [means(simulated(random, questions, rows)) for _ in range(RUNS)]
    return fmean(max(one) - median(one) for one in found)


def heads(seed: int = 7) -> float:
    """Of fifty tosses each of 24 coins: heads of the coin that shows most, on average."""
    return float(np.random.default_rng(seed).binomial(ASKED, 0.5, (RUNS, ROWS)).max(axis=1).mean())


def flagged(rows: int, seed: int = 2) -> tuple[float, float]:
    """Share of tables of equal rows in which some p against the baseline is below .05: as it is, and by Holm."""
    random, plain, corrected = np.random.default_rng(seed), 0, 0
    for _ in range(RUNS):
        scores = simulated(random, ASKED, rows)
        found = p_values(scores[0], scores[1:], rounds=2000)
        plain += min(found) < 0.05
        corrected += min(holm(found)) < 0.05
    return plain / RUNS, corrected / RUNS


def looked(seed: int = 3) -> tuple[float, float]:
    """Share of pairs of equal recipes called different: looking once after 200 questions, or after each ten."""
    random, once, ever = np.random.default_rng(seed), 0, 0
    for _ in range(RUNS):
        first, second = simulated(random, 200, 2)
        found = [p_value(first[:count], second[:count], rounds=ROUNDS) < 0.05 for count in range(20, 201, 10)]
        once += found[-1]
        ever += any(found)
    return once / RUNS, ever / RUNS


def held_back(seed: int = 4) -> tuple[float, float]:
    """Points of the best of 24 equal rows above the median one: on the questions it was picked by, and on others."""
    random, picked, fresh = np.random.default_rng(seed), [], []
    for _ in range(RUNS):
        scores = simulated(random, 2 * ASKED, ROWS)
        tuned, kept = means([row[:ASKED] for row in scores]), means([row[ASKED:] for row in scores])
        best = max(range(ROWS), key=tuned.__getitem__)
        picked.append(tuned[best] - median(tuned))
        fresh.append(kept[best] - median(kept))
    return fmean(picked), fmean(fresh)


def repeated(ways: int, questions: int = 100, seed: int = 5) -> float:
    """Share of pairs of equal recipes called different when each question is asked in so many ways."""
    random, wrong = np.random.default_rng(seed), 0
    for _ in range(RUNS):
        first, second = (row * ways for row in simulated(random, questions // ways, 2))
        wrong += p_value(first, second, rounds=ROUNDS) < 0.05
    return wrong / RUNS


def raced(rows: int, most: int, questions: int = 100, seed: int = 8) -> float:
    """Share of races of equal rows that leave so many at the most; the baseline is always one of them."""
    random, few = np.random.default_rng(seed), 0
    for _ in range(RUNS):
        scores = simulated(random, questions, rows)

        def ask(row: int, count: int, scores: Scores = scores) -> list[float]:
            return scores[row][:count]

        *_, last = race(rows, questions, ask, keep=[0])
        few += len(last.left) <= most
    return few / RUNS


# The example.


def example() -> Example:
    """The kept one."""
    table = json.loads(KEPT.read_text("utf-8"))
    return Example(table["headline"], tuple(table["labels"]), table["scores"])


def keep(run: str) -> None:
    """Make a comparison of this home the example, by its headline, of the questions that all rows were judged by."""
    from openbook.bench.results import Results
    from openbook.bench.running import results_path
    from openbook.bench.scoring import Scorer

    with Results(results_path()) as results:
        scorer = Scorer(results, results.run(run))
        headline = scorer.run.settings["headline"]
        of_rows = [scorer.scores(trial, headline) for trial in scorer.run.trials]
    asked = [one.id for one in scorer.questions if all(one.id in scores for scores in of_rows)]
    kept = {
        "headline": headline,
        "labels": [trial.label for trial in scorer.run.trials],
        "scores": [[round(scores[name], 4) for name in asked] for scores in of_rows],
    }
    KEPT.write_text(json.dumps(kept) + "\n", "utf-8")


def compared(found: Example) -> list[list[str]]:
    """The example's rows, best first, as `compare show` has them, and what the difference to row 1 is made of."""
    base, all_means = found.scores[0], means(found.scores)
    plain = p_values(base, found.scores[1:])
    p = dict(enumerate(zip(plain, holm(plain), strict=True), 1))
    pairs = together(found.scores).pairs
    best = max(range(len(all_means)), key=all_means.__getitem__)
    lines = [
        [
            "row",
            found.headline,
            "95 %",
            "diff",
            "95 % of diff",
            "better, worse, same",
            "p alone",
            "p",
            "to the best",
            "recipe",
        ]
    ]
    for number in sorted(range(len(all_means)), key=lambda number: -all_means[number]):
        differences = [a - b for a, b in zip(found.scores[number], base, strict=True)]
        signs = [sum(one > 0 for one in differences), sum(one < 0 for one in differences)]
        counts = f"{signs[0]}, {signs[1]}, {len(base) - sum(signs)}"
        alone, corrected = (f"{one:.3f}" for one in p[number]) if number in p else ("", "")
        name = f"{number + 1}{'*' if pairs[best][number] >= 0.05 else ''}"
        span, gap = _span(interval(found.scores[number])), _span(interval(differences, span=(-1, 1)))
        lines.append([
            name, f"{all_means[number]:.1f}", span, f"{100 * fmean(differences):+.1f}", gap if number else "",
            counts if number else "", alone, corrected, f"{pairs[best][number]:.3f}" if number != best else "",
            found.labels[number],
        ])  # fmt: skip
    return lines


def _span(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.0f} to {100 * ends[1]:.0f}"


def wanted(found: Example) -> list[list[str]]:
    """How many questions show a difference of some points, by the spread between each row of the example and row 1."""
    base = found.scores[0]
    spreads = [[a - b for a, b in zip(row, base, strict=True)] for row in found.scores[1:]]
    counts = [sorted(needed(one, points / 100) for one in spreads) for points in (2, 5, 10, 15, 20)]
    lines = [["difference", "2 points", "5", "10", "15", "20"]]
    return [*lines, ["questions", *(f"{one[0]} to {one[-1]}" for one in counts)]]


def more() -> list[list[str]]:
    """How many times as many questions it takes when several rows are tested against one, the first step of Holm's."""
    found = [NormalDist().inv_cdf(1 - 0.05 / 2 / tests) for tests in (1, 3, 8, 23)]
    lines = [["rows tested against the baseline", "1", "3", "8", "23"]]
    return [*lines, ["times as many questions", *(f"{((z + POWER) / (SURE + POWER)) ** 2:.1f}" for z in found)]]


def unseen() -> list[list[str]]:
    """What the share of right answers may be where none was."""
    counts = (6, 20, 50)
    lines = [["questions, all of them wrong", *map(str, counts)]]
    return [*lines, ["right for, at most", *(_share(interval([0.0] * count)[1]) for count in counts)]]


# Pictures.


def of_rows(panels: Sequence[int] = (ASKED, 400), seed: int = 44) -> str:
    """24 equal rows with their intervals, best first, by few questions and by many.

    The seed is one whose best rows are about as far ahead as the best of 24 are on average.
    """
    width, height, left, top = 300, 270, 34, 30
    drawn = []
    for place, questions in enumerate(panels):
        scores = sorted(simulated(np.random.default_rng(seed), questions, ROWS), key=sum, reverse=True)
        down = _scaled(height - 30, top, 0.3, 0.9)
        parts = [_text(left, 16, f"{questions} questions")]
        for value in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
            parts.append(f'<path class="grid" d="M{left} {down(value):.0f}H{width - 12}"/>')
            parts.append(_text(left - 5, down(value) + 4, f"{100 * value:.0f}", "end"))
        parts.append(f'<path d="M{left} {down(EQUAL):.1f}H{width - 12}" stroke="{COLOURS[1]}" stroke-width="2"/>')
        for number, row in enumerate(scores):
            x, (low, high), mean = left + 8 + number * 10.5, interval(row, rounds=2000), fmean(row)
            parts.append(f'<path d="M{x:.1f} {down(low):.1f}V{down(high):.1f}" stroke="{COLOURS[0]}"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{down(mean):.1f}" r="3" fill="{COLOURS[0]}"/>')
        parts.append(_text(left, height - 10, "24 equal recipes, best first; the line is the truth"))
        drawn.append(f'<g transform="translate({place * width} 0)">{"".join(parts)}</g>')
    return _svg(width * len(panels), height, "What 24 equal recipes seem to be", "".join(drawn))


def of_leads() -> str:
    """How far the best of equal rows seems ahead."""
    counts = (2, 4, 8, 16, 24, 48)
    lines = [Line(f"{asked}", [(rows, lead(rows, asked)) for rows in counts]) for asked in (25, 50, 100, 200, 400)]
    return picture("equal recipes in the table", {"Points ahead, by number of questions": lines}, from_zero={
        "Points ahead, by number of questions"})  # fmt: skip


def of_coins(found: Example, row: int) -> str:
    """What tosses of a coin make of the difference between a row of the example and row 1."""
    differences = np.array(found.scores[row - 1]) - np.array(found.scores[0])
    tosses = np.random.default_rng(1).integers(0, 2, (10_000, len(differences))) * 2.0 - 1.0
    seen, dealt = 100 * differences.mean(), 100 * (tosses @ differences) / len(differences)
    counts, edges = np.histogram(dealt, bins=np.arange(-14.5, 15, 1.0))
    width, height, left = 420, 210, 20
    across, down = _scaled(left, width - 20, -14.5, 14.5), _scaled(height - 44, 26, 0, float(counts.max()))
    parts = [_text(left, 16, f"10,000 times tossed: rows 1 and {row} as if they were equal")]
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        colour = COLOURS[1] if min(abs(low), abs(high)) >= abs(seen) - 0.5 else COLOURS[0]
        box = f'x="{across(low) + 1:.1f}" y="{down(count):.1f}" width="{across(high) - across(low) - 2:.1f}"'
        parts.append(f'<rect {box} height="{down(0) - down(count):.1f}" fill="{colour}"/>')
    parts += [
        _text(across(value), height - 28, f"{value:+d}" if value else "0", "middle")
        for value in (-12, -8, -4, 0, 4, 8, 12)
    ]
    parts.append(f'<path d="M{across(seen):.1f} 30V{down(0):.1f}" stroke="{COLOURS[1]}" stroke-width="2"/>')
    parts.append(_text(across(seen) + 5, 40, f"seen: {seen:+.1f}"))
    parts.append(_text(left, height - 8, "difference in points"))
    return _svg(width, height, "How often luck makes such a difference", "".join(parts))


def _scaled(start: float, end: float, low: float, high: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * (value - low) / (high - low)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{text}</text>'


def _svg(width: int, height: int, title: str, drawn: str) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    named = f"<title>{title}</title><style>{STYLE}</style>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{named}{drawn}</svg>\n'


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def simulations() -> list[list[str]]:
    """What luck does, and how much of it."""
    alone, corrected = flagged(ROWS)
    once, ever = looked()
    picked, fresh = held_back()
    return [
        ["simulated, all recipes equal", ""],
        [f"heads of the luckiest of {ROWS} coins, {ASKED} tosses each", f"{heads():.0f}"],
        *([f"best of {ROWS} above the middle one, {asked} questions", f"{lead(ROWS, asked):.1f} points"]
          for asked in (50, 100, 200, 400)),
        [f"tables with a p below .05 among {ROWS - 1} tests, not corrected", _share(alone)],
        ["the same by Holm", _share(corrected)],
        ["two recipes called different, looked at once after 200 questions", _share(once)],
        ["the same, looked at after every ten and stopped there", _share(ever)],
        [f"best of {ROWS} above the middle one, on the {ASKED} questions it was picked by", f"{picked:.1f} points"],
        [f"the same row on {ASKED} others", f"{fresh:.1f} points"],
        ["two recipes called different, 100 questions", _share(repeated(1))],
        ["20 questions, each asked 5 ways", _share(repeated(5))],
        ["5 questions, each asked 20 ways", _share(repeated(20))],
        ["two recipes, a race of 100 questions leaves the baseline alone", _share(raced(2, 1))],
        [f"{ROWS} recipes, a race of 100 questions leaves the baseline and at most one", _share(raced(ROWS, 2))],
    ]  # fmt: skip


def said() -> str:
    """All numbers, as Markdown."""
    found = example()
    return "\n".join(table(lines) for lines in (compared(found), unseen(), wanted(found), more(), simulations()))


def main() -> None:
    """Print, draw, or keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="writes three SVG files there")
    parser.add_argument("--keep", default="", metavar="RUN", help="makes this comparison the example, and ends")
    options = parser.parse_args()
    if options.keep:
        keep(options.keep)
        return
    print(said())
    if options.pictures:
        drawn = {"rows": of_rows(), "leads": of_leads(), "coins": of_coins(example(), 2)}
        for name, text in drawn.items():
            (options.pictures / f"luck-{name}.svg").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
