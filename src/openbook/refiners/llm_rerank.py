"""Passages in the order in which the local LLM, asked about each, says that it answers; no other model is needed.

question + passage --messages--> P(Yes), P(No) --log odds * weight--+
retriever's score --standard deviations of all that were found------+--> sum --> order

Reading is what costs (a passage of 360 characters takes 2.8 CPU-seconds with 1.5 billion parameters), so only
passages are read that the retriever itself hardly tells from the best one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from statistics import pstdev
from typing import ClassVar

from openbook.completing import choose_all
from openbook.errors import SpecError
from openbook.types import LLM, Message, Passage

SYSTEM = "You judge whether a passage answers a question. Answer with one word: Yes or No."
CHOICES = ("Yes", "No")
LEAST = 1e-6  # a word that is not among the likeliest is about this likely
LONGEST = 3000  # characters read of one passage: what it is about is plain by then


@dataclass(frozen=True)
class LLMRerank:
    """Orders the passages that stand no more than `margin` behind the best; the others stay behind them as they were.

    Where only one does, the retriever is sure and the model is not asked. Measured in docs/decisions/0012-rerank.md.
    """

    VERSION: ClassVar[int] = 1

    llm: LLM
    top: int = 5  # passages read at most
    margin: float = 1.0  # standard deviations of the retriever's scores; 100: the top passages are read always
    weight: float = 0.5  # of the model's log odds beside the retriever's standard deviations

    def __post_init__(self) -> None:
        if self.top < 2:
            raise SpecError(f"llm-rerank(top={self.top}): write 2 or more.")
        if self.margin <= 0 or self.weight <= 0:
            raise SpecError(f"llm-rerank(margin={self.margin}, weight={self.weight}): write numbers above 0.")

    def __call__(self, question: str, passages: list[Passage], k: int) -> list[Passage]:
        behind = deviations_behind(passages)
        count = len(list(takewhile(lambda far: far <= self.margin, behind[: self.top])))
        if count < 2:
            return passages
        asked = [messages(question, passage) for passage in passages[:count]]
        scored = [
            replace(passage, score=self.weight * log_odds(yes, no) - far, via="rerank")
            for passage, far, (yes, no) in zip(passages, behind, choose_all(self.llm, asked, CHOICES), strict=False)
        ]
        return sorted(scored, key=lambda passage: -passage.score) + passages[count:]


def log_odds(yes: float, no: float) -> float:
    """How much likelier a yes is than a no."""
    return math.log((yes + LEAST) / (no + LEAST))


def messages(question: str, passage: Passage) -> list[Message]:
    """What the model is asked about one passage. The question stands last, where a small model minds it most."""
    text = passage.chunk.indexed.strip()[:LONGEST]
    asked = f"Question: {' '.join(question.split())}\n\nDoes the passage answer the question? Answer Yes or No."
    return [Message("system", SYSTEM), Message("user", f"Passage: {text}\n\n{asked}")]


def deviations_behind(passages: Sequence[Passage]) -> list[float]:
    """How many standard deviations of all scores each passage is behind the first; infinite from another `via` on.

    Scores that are all alike say nothing: 0 for all.
    """
    if not passages:
        return []
    first = passages[0]
    alike = list(takewhile(lambda passage: passage.via == first.via, passages))
    deviation = pstdev(passage.score for passage in alike) or math.inf
    return [(first.score - passage.score) / deviation for passage in alike] + [math.inf] * (len(passages) - len(alike))
