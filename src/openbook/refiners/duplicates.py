"""Equal and nearly equal passages once: the best ranked, with the sources of all.

At search time, so that it does not matter which copy was added first, and the other comes back when one is removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from openbook.errors import SpecError
from openbook.types import Passage

WORD = re.compile(r"\w+")
WORDS = 3  # in a shingle


class Seen(NamedTuple):
    """What is compared of a passage."""

    shingles: frozenset[tuple[str, ...]]
    numbers: frozenset[str]
    text: str  # where there are no words to compare


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Nearly equal: of all runs of three words, both passages have this share in common, and the same numbers.

    The numbers, because two quarterly reports say the same but for them.
    """

    VERSION: ClassVar[int] = 1

    similarity: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.similarity <= 1:
            raise SpecError(f"duplicates(similarity={self.similarity}): similarity must be above 0 and at most 1.")

    def __call__(self, question: str, passages: list[Passage], k: int) -> list[Passage]:
        kept: list[tuple[Passage, Seen]] = []
        for passage in passages:
            seen = _seen(passage.chunk.text)
            for index, (better, other) in enumerate(kept):
                if self._equal(seen, other):
                    sources = tuple(dict.fromkeys(better.sources + passage.sources))
                    kept[index] = (replace(better, sources=sources), other)
                    break
            else:
                kept.append((passage, seen))
        return [passage for passage, _ in kept]

    def _equal(self, one: Seen, other: Seen) -> bool:
        if one.numbers != other.numbers or not one.shingles or not other.shingles:
            return one.text == other.text
        less, more = sorted((len(one.shingles), len(other.shingles)))
        if less < self.similarity * more:
            return False
        shared = len(one.shingles & other.shingles)
        return shared >= self.similarity * (less + more - shared)


def _seen(text: str) -> Seen:
    words = WORD.findall(text.casefold())
    shingles = zip(*(words[start:] for start in range(min(WORDS, len(words)))), strict=False)
    return Seen(frozenset(shingles), frozenset(word for word in words if any(map(str.isdigit, word))), text.strip())
