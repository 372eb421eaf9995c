"""Passages that say something new, by maximal marginal relevance (Carbonell & Goldstein 1998)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from openbook.errors import SpecError
from openbook.types import Embedder, Passage

SPARE = 4  # passages looked at for each that is wanted


@dataclass(frozen=True, slots=True)
class Diverse:
    """Next comes the passage for which relevance - weight * likeness to the nearest one before it is largest.

    Relevance is the score, brought to 0..1; likeness the cosine of two texts. The first passage stays the first.
    """

    VERSION: ClassVar[int] = 1

    embedder: Embedder
    weight: float = 0.3  # 0: the order stays

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise SpecError(f"diverse(weight={self.weight}): weight must be 0 or more, such as 0.3.")

    def __call__(self, question: str, passages: list[Passage], k: int) -> list[Passage]:
        # Texts are embedded again: vectors would have to be read with all others of their documents.
        count = SPARE * k
        near, rest = passages[:count], passages[count:]
        if len(near) < 3 or not self.weight:
            return passages
        vectors = self.embedder.embed([passage.chunk.indexed for passage in near], "document")
        likeness = vectors @ vectors.T
        relevance = _relevance(near)
        order = [0]
        left = list(range(1, len(near)))
        while left:
            value = relevance[left] - self.weight * likeness[np.ix_(left, order)].max(axis=1)
            order.append(left.pop(int(np.argmax(value))))
        return [near[index] for index in order] + rest


def _relevance(passages: list[Passage]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Scores from 1 down to 0; ranks, where scores of several steps cannot be compared."""
    scores = np.array([passage.score for passage in passages], np.float64)
    if len({passage.via for passage in passages}) > 1:
        scores = -np.arange(len(passages), dtype=np.float64)
    spread = float(np.ptp(scores))
    return (scores - scores.min()) / spread if spread else np.zeros(len(passages))
