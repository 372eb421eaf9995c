"""Whether one row of a comparison is better than another by more than luck.

Everything is paired: first[i] and second[i] are the scores of two recipes for one question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BLOCK = 10_000  # tosses held in memory for each question
SURE = 1.959964  # standard normal quantile of .975: a two-sided test at .05
POWER = 0.841621  # and of .8: a difference is found four times in five


def p_value(first: Sequence[float], second: Sequence[float], *, rounds: int = 10_000, seed: int = 1) -> float:
    """Two-sided paired randomisation test: how often chance alone gives a mean difference this large.

    first[i] and second[i] belong to one question. If both were equally good, swapping them would change nothing: so
    many are swapped by the toss of a coin, `rounds` times over.

    >>> p_value([1, 1, 1, 1, 0], [1, 1, 1, 0, 1])
    1.0
    """
    return p_values(first, [second], rounds=rounds, seed=seed)[0]


def p_values(
    first: Sequence[float], others: Sequence[Sequence[float]], *, rounds: int = 10_000, seed: int = 1
) -> list[float]:
    """`p_value` of the first against each of the others, all by the same tosses."""
    differences = np.asarray(first, np.float64)[:, None] - np.asarray(others, np.float64).T
    least = np.abs(differences.sum(axis=0)) - 1e-9
    random, extreme = np.random.default_rng(seed), np.zeros(len(others), np.int64)
    for start in range(0, rounds, BLOCK):
        tosses = random.integers(0, 2, (min(BLOCK, rounds - start), len(first)), np.int8) * 2.0 - 1.0
        extreme += (np.abs(tosses @ differences) >= least).sum(axis=0)
    return [float(count + 1) / (rounds + 1) for count in extreme]


def holm(values: Sequence[float]) -> list[float]:
    """Holm's correction: p values of so many tests such that at most one time in twenty any is below .05 by luck alone.

    S. Holm, A simple sequentially rejective multiple test procedure, 1979.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected, least = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda index: values[index])):
        least = max(least, min(1.0, values[index] * (len(values) - rank)))
        corrected[index] = least
    return corrected


@dataclass(frozen=True, slots=True)
class Together:
    """What tests of all rows at once say: at most one time in twenty is any of their p below .05 by luck alone."""

    apart: tuple[float, ...]  # p of each row, against the mean of all rows
    pairs: tuple[tuple[float, ...], ...]  # p of each pair of rows


def together(rows: Sequence[Sequence[float]], *, rounds: int = 5_000, seed: int = 1) -> Together:
    """Whether rows differ at all, rows[i][q] being the score of row i for question q.

    If all rows were alike, their scores of a question could be dealt out anew: so they are, `rounds` times over, and p
    is how often the dealt rows lie as far apart. `pairs` compares with the largest difference of any two dealt rows,
    the randomised Tukey HSD test (Carterette, Multiple testing in statistical analysis of systems-based information
    retrieval experiments, 2012); `apart` with the largest distance of any from the mean of all, as the analysis of
    means does, which finds one row that is unlike many others with fewer questions.

    >>> together([[1, 0, 1, 1], [1, 0, 1, 1]]).apart
    (1.0, 1.0)
    """
    scores = np.asarray(rows, np.float64).T.copy()  # (questions, rows)
    count = scores.shape[1]
    means = scores.mean(axis=0)
    distances = np.abs(means - means.mean())
    differences = np.abs(means[:, None] - means[None, :])
    far, wide = np.zeros(count, np.int64), np.zeros((count, count), np.int64)
    random = np.random.default_rng(seed)
    for _ in range(rounds):
        dealt = random.permuted(scores, axis=1).mean(axis=0)
        far += np.abs(dealt - dealt.mean()).max() >= distances - 1e-9
        wide += np.ptp(dealt) >= differences - 1e-9
    return Together(
        tuple(float(one) for one in (far + 1) / (rounds + 1)),
        tuple(tuple(float(one) for one in line) for line in (wide + 1) / (rounds + 1)),
    )


def interval(
    values: Sequence[float],
    *,
    level: float = 0.95,
    rounds: int = 10_000,
    seed: int = 1,
    span: tuple[float, float] = (0.0, 1.0),
) -> tuple[float, float]:
    """The bootstrap percentile interval of a mean, over questions drawn again with replacement.

    For a difference give the differences, one for each question, and span=(-1, 1): the least and most that a value may
    be. None is an interval without width.
    B. Efron, Bootstrap methods: another look at the jackknife, 1979.

    Where all values are the same, drawing them again shows nothing else, so it is asked instead how many other ones
    may have been missed: of all right or all wrong the interval of Clopper and Pearson, The use of confidence or
    fiducial limits, 1934.

    >>> interval([1.0] * 20)
    (0.8315665, 1.0)
    """
    if not len(values):
        return 0.0, 0.0
    numbers = np.asarray(values, np.float64)
    if np.ptp(numbers) == 0:
        # Were less than `seen` of all values such ones, luck would show none but them less than once in 40 times.
        value, seen = float(numbers[0]), ((1 - level) / 2) ** (1 / len(numbers))
        low, high = (round(value * seen + end * (1 - seen), 7) for end in span)
        return low, high
    random = np.random.default_rng(seed)
    block = max(1, BLOCK * 100 // len(numbers))  # numbers drawn at once
    means = np.concatenate([
        numbers[random.integers(0, len(numbers), (min(block, rounds - start), len(numbers)))].mean(axis=1)
        for start in range(0, rounds, block)
    ])  # fmt: skip
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def needed(differences: Sequence[float], difference: float) -> int:
    """How many questions it takes to find a mean difference of that size four times in five, at .05, two-sided.

    By the spread of the differences seen so far; with no spread at all, 2.

    >>> needed([1.0, 0.0, 0.0, -1.0] * 10, 0.1)
    403
    """
    if difference <= 0 or len(differences) < 2:
        raise ValueError(f"{difference} is no difference, {len(differences)} questions tell no spread")
    variance = float(np.var(np.asarray(differences, np.float64), ddof=1))
    return max(2, math.ceil(variance * ((SURE + POWER) / difference) ** 2))
