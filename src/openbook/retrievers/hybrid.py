"""By meaning and by words: each side's scores are brought to one scale and added.

question --nearest--> pool of cosines ----z-score-----------+
    |                                                       +--> sum --> k best
    +------match----> pool of BM25 scores --z-score * weight+
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from statistics import fmean, pstdev
from typing import ClassVar, TypeAlias

from openbook.errors import SpecError
from openbook.phrases import phrases
from openbook.types import Chunk, Passage, Store, Vectors

Scores: TypeAlias = Mapping[Chunk, float]


@dataclass(frozen=True)
class Hybrid:
    """Score of a chunk: z(cosine) + weight * z(BM25), see `standardized` for z.

    What holds a phrase the question quotes is all that is found; meaning has a say in its order.

    Measured on nine sets in docs/decisions/0002-store-and-hybrid.md.
    """

    weight: float = 0.75  # of the words; 0: only meaning decides
    pool: int = 100  # passages fetched from each side

    VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise SpecError(f"hybrid(weight={self.weight}): weight must be 0 or more, such as 0.75.")
        if self.pool < 1:
            raise SpecError(f"hybrid(pool={self.pool}): pool must be 1 or more, such as 100.")

    def __call__(
        self,
        question: str,
        k: int,
        store: Store,
        embed: Callable[[str], Vectors],
        within: Collection[str] | None = None,
        *,
        foreign: bool = False,
    ) -> list[Passage]:
        if k < 1:
            return []
        count = max(self.pool, k)
        quoted = bool(phrases(question))
        # In another language the words only disturb.
        wordless = foreign and not quoted
        with ThreadPoolExecutor(1) as pool:  # words need no vector, so they are looked for meanwhile
            matching = pool.submit(store.match, question, 0 if wordless else count, within=within)
            vector = embed(question)
            if quoted:
                within = {passage.chunk.document_id for passage in matching.result()}
            meaning = {passage.chunk: passage.score for passage in store.nearest(vector, count, within=within)}
            words = {passage.chunk: passage.score for passage in matching.result()}
        found = list(dict.fromkeys(chain(meaning, words)))
        if quoted:
            found = [chunk for chunk in found if chunk in words]
            meaning = {chunk: score for chunk, score in meaning.items() if chunk in words}
        score = {
            chunk: by_meaning + self.weight * by_words
            for chunk, by_meaning, by_words in zip(
                found, standardized(meaning, found), standardized(words, found), strict=True
            )
        }
        found.sort(key=lambda chunk: (-score[chunk], chunk.document_id, chunk.start))
        return [Passage(chunk, score[chunk], "hybrid") for chunk in found[:k]]


def standardized(scores: Scores, chunks: list[Chunk]) -> list[float]:
    """How many standard deviations each chunk's score is above the mean of `scores`.

    A chunk this side did not find is no better than the worst it found, and gets that one's score. A side that found
    nothing, or the same score everywhere, says nothing: 0 for all.
    """
    if not scores:
        return [0.0] * len(chunks)
    lowest = min(scores.values())
    filled = [scores.get(chunk, lowest) for chunk in chunks]
    mean, deviation = fmean(filled), pstdev(filled)
    # Equal scores differ in their last bits after a mean is taken away.
    if deviation <= 1e-9 * max(abs(mean), 1e-9):
        return [0.0] * len(chunks)
    return [(value - mean) / deviation for value in filled]
