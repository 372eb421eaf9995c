"""How good a ranking is, and whether one is better than another by more than luck.

The numbers equal ir-measures' (R@k, RR@k, nDCG@k) to 6 digits: tests/test_benchmarks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from math import log2

import numpy as np

Relevant = Mapping[str, int]
"""Id of each document that answers a question -> how well, 1 or more."""


BLOCK = 10_000  # tosses held in memory for each question


def recall(ranking: Sequence[str], relevant: Relevant, k: int) -> float:
    """Share of the relevant documents among the first k; 0 when there is none."""
    if not relevant:
        return 0.0
    return len(set(ranking[:k]) & set(relevant)) / len(relevant)


def reciprocal_rank(ranking: Sequence[str], relevant: Relevant, k: int) -> float:
    """1 / rank of the first relevant document, 0 when it is not among the first k; the mean over questions is MRR."""
    return next((1 / rank for rank, one in enumerate(islice(ranking, k), 1) if one in relevant), 0.0)


def ndcg(ranking: Sequence[str], relevant: Relevant, k: int) -> float:
    """Gain of the first k, each divided by log2(rank + 1), as a share of what the best order would have.

    0 when none is relevant.
    """
    if not relevant:
        return 0.0

    def gain(grades: Sequence[int]) -> float:
        return sum(grade / log2(rank + 1) for rank, grade in enumerate(grades[:k], 1))

    return gain([relevant.get(one, 0) for one in ranking]) / gain(sorted(relevant.values(), reverse=True))


MEASURES: Mapping[str, Callable[[Sequence[str], Relevant], float]] = {
    "R@1": partial(recall, k=1),
    "R@5": partial(recall, k=5),
    "R@10": partial(recall, k=10),
    "MRR@10": partial(reciprocal_rank, k=10),
    "nDCG@10": partial(ndcg, k=10),
}


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
