"""By meaning: the chunks whose vectors lie nearest to the question's."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import ClassVar

from openbook.types import Passage, Store, Vectors


@dataclass(frozen=True)
class Dense:
    """Finds what is said in other words, and other languages if the embedder knows them; weak on names and numbers."""

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
        return store.nearest(embed(question), k, within=within)
