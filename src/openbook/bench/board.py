"""The table of a comparison: a row for each recipe, and which of them cannot be told apart.

Each row is tested against the baseline, paired by question, with Holm's correction over the table; and all rows at
once, to say which are as good as the best for all that these questions can tell, and whether any stands out at all.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openbook.bench.results import TrialRow
from openbook.bench.scoring import ANSWERS, SEARCH, Scorer, Scores
from openbook.bench.statistics import Together, holm, interval, needed, p_values, together

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
    apart: float  # p of the headline's distance from the mean of all rows, corrected
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
    at_once = together(values) if common and len(values) > 1 else None
    top = max(range(len(values)), key=lambda number: sum(values[number]))
    best = {number for number in range(len(values)) if at_once is None or at_once.pairs[top][number] >= LEVEL}
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
                at_once.apart[number] if at_once else 1.0,
                speeds,
                scorer.measured(trial),
            )
        )
    lines.sort(key=lambda line: (-line.means.get(headline, 0.0), line.trial.number))
    return Board(run.name, headline, len(common), tuple(lines), _verdict(lines, values, at_once, len(common)))


def _mean(scores: Scores) -> float | None:
    return statistics.fmean(scores.values()) if scores else None


def _tests(values: Sequence[Sequence[float]], base: int) -> dict[int, float]:
    others = [number for number in range(len(values)) if number != base]
    if not others or not values[base]:
        return {}
    found = p_values(values[base], [values[number] for number in others])
    return dict(zip(others, holm(found), strict=True))


def _verdict(lines: Sequence[Line], values: Sequence[Sequence[float]], at_once: Together | None, count: int) -> str:
    """Who won, or that nobody did and how many questions it would take."""
    if not count:
        return "No question was judged in every row yet."
    if at_once is None:
        return f"One recipe, {count} questions: nothing to compare."
    first, group = lines[0], [line for line in lines if line.best]
    rows = _numbers(line.trial.number for line in group)
    if len(group) == 1:
        return f"Row {first.trial.number} is better than every other one, by more than luck ({count} questions)."
    if len(group) < len(lines):
        more = _more(values, count)
        return f"{rows} cannot be told apart with {count} questions{more}; the others are worse than the best."
    if first.apart < LEVEL:
        p = f"p = {first.apart:.3f}, {count} questions"
        more = _more(values, count)
        return f"Row {first.trial.number} stands out ({p}), though it cannot be told from any single other row{more}."
    return f"No difference found between these {len(lines)} recipes with {count} questions{_more(values, count)}."


def _numbers(numbers: Iterable[int]) -> str:
    *all_but, last = map(str, numbers)
    return f"Rows {', '.join(all_but)} and {last}"


def _more(values: Sequence[Sequence[float]], count: int) -> str:
    """How many questions would show a difference worth finding, if more than there are."""
    if count < 2:
        return ""
    pairs = itertools.pairwise(values)  # each is as good as another: what is wanted is the usual spread
    spreads = [needed([a - b for a, b in zip(one, other, strict=True)], WORTH) for one, other in pairs]
    enough = statistics.median_high(spreads)
    return f" (about {enough} would show one of {WORTH * 100:.0f} points)" if enough > count else ""
