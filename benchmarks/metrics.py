"""How good a ranking is, and whether one is better than another by more than luck.

The numbers equal ir-measures' (R@k, RR@k, nDCG@k) to 6 digits: tests/test_benchmarks.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from math import log2

import numpy as np

Relevant = Mapping[str, int]
"""Id of each document that answers a question -> how well, 1 or more."""


def recall(ranking: Sequence[str], relevant: Relevant, k: int) -> float:
    """Share of the relevant documents among the first k."""
    return len(set(ranking[:k]) & set(relevant)) / len(relevant)


def reciprocal_rank(ranking: Sequence[str], relevant: Relevant, k: int) -> float:
    """1 / rank of the first relevant document, 0 when it is not among the first k; the mean over questions is MRR."""
    return next((1 / rank for rank, one in enumerate(islice(ranking, k), 1) if one in relevant), 0.0)


def ndcg(ranking: Sequence[str], relevant: Relevant, k: int) -> float:
    """Gain of the first k, each divided by log2(rank + 1), as a share of what the best order would have."""

    def gain(grades: Sequence[int]) -> float:
        return sum(grade / log2(rank + 1) for rank, grade in enumerate(grades[:k], 1))

    return gain([relevant.get(one, 0) for one in ranking]) / gain(sorted(relevant.values(), reverse=True))


def p_value(first: Sequence[float], second: Sequence[float], *, rounds: int = 10_000, seed: int = 1) -> float:
    """Two-sided paired randomisation test: how often chance alone gives a mean difference this large.

    first[i] and second[i] belong to one question. If both were equally good, swapping them would change nothing: so
    many are swapped by the toss of a coin, `rounds` times over.

    >>> p_value([1, 1, 1, 1, 0], [1, 1, 1, 0, 1])
    1.0
    """
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    signs = np.random.default_rng(seed).integers(0, 2, (rounds, len(differences)), np.int8) * 2.0 - 1.0
    extreme = np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9
    return float((extreme.sum() + 1) / (rounds + 1))
