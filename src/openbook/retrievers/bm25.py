"""By words: BM25. Needs no embedder, so nothing is loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import ClassVar

from openbook.types import Passage, Store, Vectors


@dataclass(frozen=True)
class Bm25:
    """Strong on names, numbers and rare words; finds nothing when question and text share no word."""

    VERSION: ClassVar[int] = 1

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
        return store.match(question, k, within=within)
