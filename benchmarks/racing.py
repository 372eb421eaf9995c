"""How much work a race saves, and how often it ends with the winner that all questions would have named.

    python benchmarks/racing.py

Prints Markdown: 16 simulated recipes, right and wrong answers to questions of different difficulty as in
tests/test_bench_statistics.py, 100 seeds; a winner kept of 100, and the share of the evaluations, for each rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import NormalDist, fmean
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from measure import table

from openbook.bench import racing
from openbook.bench.statistics import holm, p_values, together

SEEDS, ROWS = 100, 16
BASELINE = ROWS - 1
SETS: Mapping[str, Sequence[float]] = {
    "one 15 points better": (0.15, *[0.0] * 15),
    "the second 5 points behind": (0.15, 0.10, *[0.0] * 14),
    "each 2 points behind the one before": [0.15 - 0.02 * number for number in range(ROWS)],
    "all alike": [0.0] * ROWS,
}

Losing = Callable[..., list[int]]


def drawn(random: np.random.Generator, questions: int, better: Sequence[float]) -> npt.NDArray[np.float64]:
    """1 and 0, of recipes that are so much better than the common mean."""
    chance = np.tile(random.beta(0.27, 0.18, questions), (len(better), 1))
    for row, points in zip(chance, better, strict=True):
        row += points * (1 - row) / (1 - row).mean() if points > 0 else points * row / row.mean()
    return (random.random(chance.shape) < np.clip(chance, 0, 1)).astype(np.float64)


def far_behind(
    rows: Sequence[Sequence[float]], total: int, looks: int, risk: float, *, tests: int = 1, whole: bool = True
) -> list[int]:
    """As `racing.losing`, but shared out to so many tests too, or for all questions there could be (`whole` False)."""
    count = len(rows[0])
    if len(rows) < 2 or not 2 <= count < total:
        return []
    enough, means = NormalDist().inv_cdf(1 - risk / (looks * tests)), [fmean(row) for row in rows]
    found, best = [], rows[means.index(max(means))]
    for number, row in enumerate(rows):
        lags = [one - other for one, other in zip(best, row, strict=True)]
        variance = (sum((one - fmean(lags)) ** 2 for one in lags) + racing.DOUBT) / (count - 1)
        if fmean(lags) > enough * math.sqrt(variance * (1 / count - (1 / total if whole else 0))):
            found.append(number)
    return found


def uncorrected(rows: Sequence[Sequence[float]], total: int, looks: int, risk: float) -> list[int]:
    """Each look tests as if it were the only one."""
    return far_behind(rows, total, 1, risk)


RULES: Mapping[str, Losing] = {
    "taken": racing.losing,
    "shared out to the rows too": partial(far_behind, tests=ROWS - 1),
    "for all questions there could be": partial(far_behind, whole=False),
    "not corrected for looks": uncorrected,
}


def raced(
    better: Sequence[float], questions: int, rule: Losing, *, graded: bool = False, keep: Sequence[int] = (BASELINE,)
) -> str:
    """'99, 48 %': how often of 100 times the winner is among the rows left, and the mean share of the work.

    The last row is the baseline, which is kept: none that wins, so keeping it costs the most that it can.

    `graded`: scores between 0 and 1, half of each drawn by chance, as of a ranking.
    """
    random, same, work = np.random.default_rng(1), 0, 0
    with patch.object(racing, "losing", rule):
        for _ in range(SEEDS):
            drawn_ = drawn(random, questions, better)
            scores = ((drawn_ + random.random(drawn_.shape)) / 2 if graded else drawn_).tolist()
            means = [fmean(row) for row in scores]

            def ask(row: int, count: int, of: list[list[float]] = scores) -> list[float]:
                return of[row][:count]

            *_, last = racing.race(ROWS, questions, ask, keep=keep)
            same += any(means[row] == max(means) for row in last.left)
            work += sum(last.dropped.values()) + len(last.left) * questions
    return f"{same}, {work / (SEEDS * ROWS * questions):.0%}"


def called_different(questions: int, *, rows: int = ROWS, races: int = 2 * SEEDS) -> tuple[float, float]:
    """Shares of races of equal rows whose table calls one different: from the baseline, by Holm; from the best."""
    random, holms, bests = np.random.default_rng(5), 0, 0
    for _ in range(races):
        scores = drawn(random, questions, [0.0] * rows).tolist()

        def ask(row: int, count: int, of: list[list[float]] = scores) -> list[float]:
            return of[row][:count]

        *_, last = racing.race(rows, questions, ask, keep=(BASELINE,))
        left = [scores[row] for row in last.left if row != BASELINE]
        if left:
            holms += min(holm(p_values(scores[BASELINE], left, rounds=1000))) < 0.05
            every = [*left, scores[BASELINE]]
            top = max(range(len(every)), key=lambda place: sum(every[place]))
            bests += min(together(every, rounds=1000).pairs[top]) < 0.05
    return holms / races, bests / races


def main() -> None:
    """Print the tables."""
    rows = [
        [
            name,
            questions,
            *(raced(better, questions, rule) for rule in RULES.values()),
            raced(better, questions, racing.losing, graded=True),
            raced(better, questions, racing.losing, keep=()),
        ]
        for name, better in SETS.items()
        for questions in (60, 100, 200)
    ]
    print(table([["recipes", "questions", *RULES, "taken, graded scores", "the baseline dropped too"], *rows]))
    lines = [[questions, *(f"{share:.1%}" for share in called_different(questions))] for questions in (60, 100, 200)]
    print(table([["all alike, questions", "one differs from the baseline", "one differs from the best"], *lines]))


if __name__ == "__main__":
    main()
