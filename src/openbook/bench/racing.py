"""Which recipes are clearly losing while questions still come in: they are dropped, the others go on.

questions in a random order  |--block--|--block--| ... |--block--|
after each block: a look          ^         ^              rows far behind the best one so far are dropped

What is asked is not whether a row is worse for all questions there could be, but whether it could still be the best
when all of this file are asked: of those only the rest is unknown, so the later the look, the smaller a lag is enough.
The baseline may be far behind and is kept: it is what the others are compared with.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import TypeVar

T = TypeVar("T")

LOOKS = 10
LEAST = 5  # questions before the first look, and between two
RISK = 0.05  # that the row is dropped which would be the best of all questions
DOUBT = 0.5  # added to the squares of the differences: a few equal ones do not say that all will be equal


@dataclass(frozen=True, slots=True)
class Raced:
    """How a race stands after a look."""

    left: tuple[int, ...]  # numbers of the rows that are not dropped
    dropped: Mapping[int, int]  # row -> questions it was asked
    asked: int  # questions that the rows left were asked


def shuffled(questions: Sequence[T], seed: int) -> list[T]:
    """In random order, always the same: files of questions are often sorted."""
    return random.Random(seed).sample(list(questions), len(questions))


def blocks(count: int) -> list[int]:
    """After how many of `count` questions to look; the last is `count`.

    >>> blocks(60), blocks(12), blocks(3)
    ([6, 12, 18, 24, 30, 36, 42, 48, 54, 60], [6, 12], [3])
    """
    looks = max(1, min(LOOKS, count // LEAST))
    return [round(count * (number + 1) / looks) for number in range(looks)]


def losing(rows: Sequence[Sequence[float]], total: int, looks: int, risk: float = RISK) -> list[int]:
    """Numbers of the rows that would not end as the best, from the scores so far: rows[i][q] of row i for question q.

    A row's mean lag behind the best so far, over the questions asked, differs from that over all `total` questions by
    a standard error of sqrt(s^2 (1/n - 1/total)), as of any sample drawn without replacement (Cochran, Sampling
    Techniques, 1977, section 2.6). It is losing when the lag is more of those than a normal number exceeds once in
    looks/risk times: the risk is shared out evenly to the looks (Bonferroni), so that looking often costs nothing.
    """
    count = len(rows[0]) if rows else 0
    if len(rows) < 2 or not 2 <= count < total:
        return []
    enough = NormalDist().inv_cdf(1 - risk / looks)
    means = [fmean(row) for row in rows]
    best = means.index(max(means))
    found = []
    for number, row in enumerate(rows):
        lags = [one - other for one, other in zip(rows[best], row, strict=True)]
        lag = fmean(lags)
        variance = (sum((one - lag) ** 2 for one in lags) + DOUBT) / (count - 1)
        if lag > enough * math.sqrt(variance * (1 / count - 1 / total)):
            found.append(number)
    return found


def race(
    rows: int,
    total: int,
    ask: Callable[[int, int], Sequence[float]],
    risk: float = RISK,
    keep: Collection[int] = (),
) -> Iterator[Raced]:
    """Run a race and say after each look how it stands: `ask(row, n)` gives the row's scores for the first n questions.

    Rows to `keep` are never dropped. It ends when one row is left, or all questions were asked.
    """
    left, dropped = list(range(rows)), dict[int, int]()
    ends = blocks(total)
    for asked in ends:
        behind = losing([ask(row, asked) for row in left], total, len(ends) - 1, risk)
        dropped |= {left[number]: asked for number in behind if left[number] not in keep}
        left = [row for row in left if row not in dropped]
        yield Raced(tuple(left), dict(dropped), asked)
        if len(left) < 2:
            return
