"""Passages that say something new, by maximal marginal relevance (Carbonell & Goldstein 1998)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from openbook.errors import SpecError
from openbook.types import Embedder, Passage, Store, Vectors

SPARE = 4  # passages looked at for each that is wanted


@dataclass(frozen=True, slots=True)
class Diverse:
    """Next comes the passage for which relevance - weight * likeness to the nearest one before it is largest.

    Relevance is the score, brought to 0..1; likeness the cosine of two texts. The first passage stays the first.
    """

    VERSION: ClassVar[int] = 1

    embedder: Embedder
    store: Store
    weight: float = 0.3  # 0: the order stays

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise SpecError(f"diverse(weight={self.weight}): weight must be 0 or more, such as 0.3.")

    def __call__(self, question: str, passages: list[Passage], k: int) -> list[Passage]:
        count = SPARE * k
        near, rest = passages[:count], passages[count:]
        if len(near) < 3 or not self.weight:
            return passages
        vectors = self._vectors(near)
        likeness = vectors @ vectors.T
        relevance = _relevance(near)
        order = [0]
        left = list(range(1, len(near)))
        while left:
            value = relevance[left] - self.weight * likeness[np.ix_(left, order)].max(axis=1)
            order.append(left.pop(int(np.argmax(value))))
        return [near[index] for index in order] + rest

    def _vectors(self, passages: list[Passage]) -> Vectors:
        """As the store has them: 40 passages of a Bible take 20 ms of a processor, embedded again 500.

        Of a text that another refiner made the store knows nothing.
        """
        chunks = [passage.chunk for passage in passages]
        known = dict(self.store.vectors({one.document_id for one in chunks}, {one.start for one in chunks}))
        new = [one for one in chunks if one not in known]
        if new:
            made = self.embedder.embed([one.indexed for one in new], "document")
            known.update(zip(new, made, strict=True))
        return np.stack([known[one] for one in chunks])


def _relevance(passages: list[Passage]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Scores from 1 down to 0; ranks, where scores of several steps cannot be compared."""
    scores = np.array([passage.score for passage in passages], np.float64)
    if len({passage.via for passage in passages}) > 1:
        scores = -np.arange(len(passages), dtype=np.float64)
    spread = float(np.ptp(scores))
    return (scores - scores.min()) / spread if spread else np.zeros(len(passages))
