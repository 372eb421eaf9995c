"""At most so many passages of one document, so that others are heard."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from openbook.errors import SpecError
from openbook.types import Passage


@dataclass(frozen=True, slots=True)
class PerSource:
    """The best `n` of each document, in the order they have. A book of one document has no more than `n` to show."""

    VERSION: ClassVar[int] = 1

    n: int = 2

    def __post_init__(self) -> None:
        if self.n < 1:
            raise SpecError(f"per-source(n={self.n}): n must be 1 or more, such as 2.")

    def __call__(self, question: str, passages: list[Passage], k: int) -> list[Passage]:
        seen: Counter[str] = Counter()
        kept = []
        for passage in passages:
            seen[passage.chunk.document_id] += 1
            if seen[passage.chunk.document_id] <= self.n:
                kept.append(passage)
        return kept
