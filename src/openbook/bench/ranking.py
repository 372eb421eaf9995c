"""How good a ranking is: recall, precision, reciprocal rank, nDCG, of what is ranked by name.

The numbers equal ir-measures' (R@k, P@k, RR@k, nDCG@k) to 6 digits: tests/test_bench_ranking.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from math import log2

from openbook.errors import BookError
from openbook.recipe import did_you_mean

Relevant = Mapping[str, int]
"""Id of each document that answers a question -> how well, 1 or more."""


def recall(ranking: Sequence[str], relevant: Relevant, k: int) -> float:
    """Share of the relevant documents among the first k; 0 when there is none."""
    if not relevant:
        return 0.0
    return len(set(ranking[:k]) & set(relevant)) / len(relevant)


def precision(ranking: Sequence[str], relevant: Relevant, k: int) -> float:
    """Share of the first k that are relevant; a ranking shorter than k counts as if it went on with wrong ones."""
    return len(set(ranking[:k]) & set(relevant)) / k


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

    return gain([relevant.get(one, 0) for one in ranking[:k]]) / gain(sorted(relevant.values(), reverse=True))


FAMILIES: Mapping[str, Callable[[Sequence[str], Relevant, int], float]] = {
    "recall": recall,
    "precision": precision,
    "MRR": reciprocal_rank,
    "nDCG": ndcg,
}
NAME = re.compile(r"[A-Za-z]+@[1-9]\d{0,3}")
SHORT: Mapping[str, str] = {"r": "recall", "p": "precision", "rr": "MRR"}

Measure = Callable[[Sequence[str], Relevant], float]
"""Of one question: what was ranked, best first, and what is relevant."""


def measure(name: str, others: Sequence[str] = ()) -> Measure:
    """The measure that is written so: 'nDCG@10', 'recall@5', 'R@5', 'MRR@10', 'precision@3'.

    `others` are names that are known beside these.

    Raises:
        BookError: There is none of that name; says what is known.
    """
    if not NAME.fullmatch(name.strip()) or not family(name):
        examples = [*(f"{one}@10" for one in FAMILIES), *others]
        raise BookError(f"No measure is called {name!r}.{did_you_mean(name, examples)} Known: {', '.join(examples)}.")
    of_first, k = FAMILIES[family(name)], depth(name)
    return lambda ranking, relevant: of_first(ranking, relevant, k)


def family(name: str) -> str:
    """What the measure of that name measures, '' when there is none.

    >>> family("P@3"), family("ndcg@10")
    ('precision', 'nDCG')
    """
    short = name.strip().partition("@")[0].lower()
    return SHORT.get(short) or next((one for one in FAMILIES if one.lower() == short), "")


def depth(name: str) -> int:
    """How many of what was ranked the measure of that name looks at.

    >>> depth("nDCG@10")
    10
    """
    return int(name.rpartition("@")[2])


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Names by falling score; of equal ones the later in the alphabet first, as trec_eval does.

    >>> ranked({"a": 1.0, "b": 2.0, "c": 1.0})
    ['b', 'c', 'a']
    """
    return sorted(scores, key=lambda name: (scores[name], name), reverse=True)
