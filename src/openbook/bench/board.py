"""The table of a comparison: a row for each recipe, and which of them cannot be told apart.

Each row is tested against the baseline, paired by question, with Holm's correction over the table; and against the
best, to say which rows are as good as it for all that these questions can tell.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openbook.bench.results import TrialRow
from openbook.bench.scoring import ANSWERS, SEARCH, Scorer, Scores
from openbook.bench.statistics import holm, interval, needed, p_values

LEVEL = 0.05
WORTH = 0.10  # a difference worth finding: 10 points


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    trial: TrialRow
    means: Mapping[str, float]  # measure -> mean over questions, 0 to 1
    low: float  # 95 % bootstrap interval of the headline
    high: float
    difference: float  # of the headline, to the baseline
    p: float | None  # of that difference, corrected; None: it is the baseline, or has no question in common with it
    best: bool  # cannot be told from the best
    speeds: Mapping[str, float]  # medians
    measured: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Board:
    """A comparison's table, best first."""

    run: str
    headline: str
    questions: int  # judged by the headline in every row
    lines: tuple[Line, ...]
    verdict: str  # what it says, in a sentence


def board(scorer: Scorer, headline: str = "", against: int = 1) -> Board:
    """The table by one measure; '' is the run's own. `against` is the number of the baseline's row."""
    run = scorer.run
    headline = headline or str(run.settings["headline"])
    names = list(dict.fromkeys([headline, *(ANSWERS if run.settings["answers"] else ()), *SEARCH]))
    of_headline = [scorer.scores(trial, headline) for trial in run.trials]
    common = [one.id for one in scorer.questions if all(one.id in scores for scores in of_headline)]
    values = [[scores[name] for name in common] for scores in of_headline]
    base = next((number for number, trial in enumerate(run.trials) if trial.number == against), 0)
    tests = _tests(values, base)
    best = _group(values)
    lines = []
    for number, trial in enumerate(run.trials):
        own, differences = values[number], [a - b for a, b in zip(values[number], values[base], strict=True)]
        means = {name: _mean(of_headline[number] if name == headline else scorer.scores(trial, name)) for name in names}
        low, high = interval(own)
        speeds = {name: statistics.median(found) for name, found in scorer.speeds(trial).items() if found}
        lines.append(
            Line(
                trial,
                {name: mean for name, mean in means.items() if mean is not None},
                low,
                high,
                statistics.fmean(differences) if differences else 0.0,
                tests.get(number),
                number in best,
                speeds,
                scorer.measured(trial),
            )
        )
    lines.sort(key=lambda line: (-line.means.get(headline, 0.0), line.trial.number))
    return Board(run.name, headline, len(common), tuple(lines), _verdict(lines, values, base, len(common)))


def _mean(scores: Scores) -> float | None:
    return statistics.fmean(scores.values()) if scores else None


def _tests(values: Sequence[Sequence[float]], base: int) -> dict[int, float]:
    others = [number for number in range(len(values)) if number != base]
    if not others or not values[base]:
        return {}
    found = p_values(values[base], [values[number] for number in others])
    return dict(zip(others, holm(found), strict=True))


def _group(values: Sequence[Sequence[float]]) -> set[int]:
    """The best row, and those that it is not better than by more than luck."""
    if not values or not values[0]:
        return set(range(len(values)))
    best = max(range(len(values)), key=lambda number: statistics.fmean(values[number]))
    found = _tests(values, best)
    return {best} | {number for number, p in found.items() if p >= LEVEL}


def _verdict(lines: Sequence[Line], values: Sequence[Sequence[float]], base: int, count: int) -> str:
    """Who won, or that nobody did and how many questions it would take."""
    if not count:
        return "No question was judged in every row yet."
    group = [line for line in lines if line.best]
    if len(lines) == 1:
        return f"One recipe, {count} questions: nothing to compare."
    if len(group) == 1:
        return f"Row {group[0].trial.number} is better than every other, by more than luck ({count} questions)."
    told = f"rows {', '.join(str(line.trial.number) for line in group)}" if len(group) < len(lines) else "these recipes"
    spreads = [
        needed([a - b for a, b in zip(one, values[base], strict=True)], WORTH)
        for number, one in enumerate(values)
        if number != base and count > 1
    ]
    more = f"; about {statistics.median_high(spreads)} would show one of {WORTH:.0%}" if spreads else ""
    more = more if spreads and statistics.median_high(spreads) > count else ""
    return f"No difference found between {told} with {count} questions{more}."
