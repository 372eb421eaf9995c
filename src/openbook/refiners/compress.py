"""The sentences that matter: fewer tokens for the model to read, which on a CPU is most of the wait."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from openbook.errors import SpecError
from openbook.refiners.stretches import sentences_of, stretch
from openbook.types import Document, Embedder, Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORD = re.compile(r"\w+")
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff]")
STEM = 6  # letters of a word that are compared, so that its endings do not count

# Measured by benchmarks/refining.py; half and double of each are equally good within a point.
WORDS = 1.0  # weight of the words beside the meaning
RANK = 0.5  # standard deviations that a sentence loses for each rank of its passage
NEAR = 0.3  # share of the better neighbour's score: the answer often stands next to the words of the question

ROUNDS = 40  # of halving the interval in which the price lies


class Sentence(NamedTuple):
    """A stretch of one passage's document, and how much it matters."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Compress:
    """Of each passage the one stretch of whole sentences that matters most, or nothing.

    All together hold at most `keep` of the characters: a passage that says much keeps more. A table, code, and text
    without full stops are kept whole or left out.

    sentences --embed--> z(cosine) + z(words) --rank, neighbours--> score --price a character--> best stretches
    """

    VERSION: ClassVar[int] = 1

    embedder: Embedder
    document: Callable[[Passage], Document]
    keep: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise SpecError(f"compress(keep={self.keep}): keep must be above 0 and at most 1, such as 0.5.")

    def __call__(self, question: str, passages: list[Passage], k: int) -> list[Passage]:
        shown = passages[:k]
        read, spans = sentences_of(shown, self.document)
        if self.keep == 1 or sum(map(len, spans)) < 2:
            return shown
        texts = [[document.text[start:end] for start, end in of] for document, of in zip(read, spans, strict=True)]
        scores = self._scores(question, texts)
        scored = [
            [Sentence(start, end, score) for (start, end), score in zip(of, values, strict=True)]
            for of, values in zip(spans, scores, strict=True)
        ]
        room = int(self.keep * sum(end - start for of in spans for start, end in of))
        return [
            stretch(passage, document, *span)
            for passage, document, span in zip(shown, read, chosen(scored, room), strict=True)
            if span
        ]

    def _scores(self, question: str, texts: Sequence[Sequence[str]]) -> list[list[float]]:
        every = [text for of in texts for text in of]
        meaning = self.embedder.embed(every, "document") @ self.embedder.embed([question], "query")[0]
        values = iter(_standardized(meaning) + WORDS * _standardized(shared_words(question, every)))
        scores = []
        for rank, of in enumerate(texts):
            own = [float(next(values)) - RANK * rank for _ in of]
            near = [own[max(0, at - 1) : at] + own[at + 1 : at + 2] for at in range(len(own))]
            scores.append([score + NEAR * max(around, default=0.0) for score, around in zip(own, near, strict=True)])
        return scores


def chosen(passages: Sequence[Sequence[Sentence]], room: int) -> list[tuple[int, int] | None]:
    """Of each passage the start and end of its best stretch, together at most `room` characters long.

    One price for a character is looked for, so that the stretches that are worth it just fit: of a passage's stretches
    the best is the one whose (score - price) * length is largest in sum, and none when no sum is above 0. The best
    sentence of all is kept even where it is longer than the room.
    """
    scores = [sentence.score for of in passages for sentence in of]
    low, high = min(scores) - 1, max(scores)
    found: list[tuple[int, int] | None] = []
    for _ in range(ROUNDS):
        price = (low + high) / 2
        tried = [_best(of, price) for of in passages]
        if sum(span[1] - span[0] for span in tried if span) <= room:
            high, found = price, tried
        else:
            low = price
    if any(found):
        return found
    best = max((sentence for of in passages for sentence in of), key=lambda sentence: sentence.score)
    return [(best.start, best.end) if best in of else None for of in passages]


def _best(of: Sequence[Sentence], price: float) -> tuple[int, int] | None:
    """The stretch with the largest sum above 0 (Kadane's algorithm)."""
    best, span = 0.0, None
    total, start = 0.0, 0
    for sentence in of:
        if total <= 0:
            total, start = 0.0, sentence.start
        total += (sentence.score - price) * (sentence.end - sentence.start)
        if total > best:
            best, span = total, (start, sentence.end)
    return span


def shared_words(question: str, texts: Sequence[str]) -> NDArray[np.float64]:
    """For each text the sum of what the question's words in it weigh; the fewer texts have a word, the more."""
    asked = _words(question)
    found = [asked & _words(text) for text in texts]
    having = Counter(word for words in found for word in words)
    return np.array([sum(log(1 + len(texts) / having[word]) for word in sorted(words)) for words in found], np.float64)


def _words(text: str) -> set[str]:
    """Beginnings of words; of scripts without spaces every two letters."""
    found: set[str] = set()
    for word in WORD.findall(text.casefold()):
        if UNSPACED.search(word):
            found.update(word[at : at + 2] for at in range(max(1, len(word) - 1)))
        else:
            found.add(word[:STEM])
    return found


def _standardized(values: NDArray[np.floating]) -> NDArray[np.float64]:
    deviation = float(values.std())
    return (values - values.mean()) / deviation if deviation > 1e-9 else np.zeros(len(values))
