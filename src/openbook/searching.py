"""From a question to the passages that are shown: what Book.search, Book.ask and Book.explain run.

question --retriever--> passages --without documents that are being replaced--> refiner --> refiner --> the first k
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from openbook import registry
from openbook.documents import Documents
from openbook.errors import BookError, OpenbookError
from openbook.languages import foreign_language
from openbook.phrases import phrases, unquoted
from openbook.recipe import Recipe, Spec
from openbook.types import Chunk, Embedder, Passage, Refiner, Retriever, Store, Vectors

FUSED = 10  # added to a rank where what several questions find is put together: docs/decisions/0018-conversations.md
SPARE = 4  # passages found for each that is wanted, when refiners may drop some,
POOL = 40  # and at least so many


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a search gave, best first; the first step is the retriever."""

    name: str
    passages: tuple[Passage, ...]
    seconds: float


def refuse(question: str, k: int) -> None:
    """Raises: BookError, when this cannot be asked."""
    if not question.strip():
        raise BookError("The question is empty. Write one, such as: openbook search 'who built the ark'")
    if k < 1:
        raise BookError(f"{k} passages cannot be found. Ask for 1 or more.")


@dataclass
class Search:
    """One question to one book."""

    question: str
    recipe: Recipe
    documents: Documents
    store: Store
    embedder: Callable[[], Embedder]  # called when it is needed: to load one takes time
    given: Callable[[str, Spec], Any]  # what a refiner needs, by name, and the spec that may choose it
    within: Collection[str] | None = None
    also: Sequence[str] = ()  # what else is searched for, its passages put together with the question's
    vectors: dict[str, Vectors] = field(default_factory=dict)  # of texts that were embedded already

    def __post_init__(self) -> None:
        self.embedding = 0.0  # seconds
        self.language = foreign_language(self.question, self.documents.languages())  # '': one of the documents'

    def steps(self, k: int, *, at_least: int = 0, refined: bool = True) -> list[Step]:
        """Retrieve and refine; of the last step the first k are shown. `at_least`: so many from the retriever."""
        refiners = self.recipe.refiners if refined else ()
        count = max(at_least, SPARE * k, POOL) if refiners else max(at_least, k)
        started = time.perf_counter()
        passages = self.with_origins(self._without_pending(count))
        steps = [Step(str(self.recipe.retriever), tuple(passages), time.perf_counter() - started)]
        for spec in refiners:
            started = time.perf_counter()
            refine: Refiner = registry.build("refiners", spec, self.given)
            passages = refine(self.question, passages, k)
            steps.append(Step(str(spec), tuple(passages), time.perf_counter() - started))
        return steps

    def embed(self, text: str) -> Vectors:
        """The vector of a question, of shape (dim,)."""
        if text not in self.vectors:
            began = time.perf_counter()
            self.vectors[text] = self.embedder().embed([text], "query")[0]
            self.embedding += time.perf_counter() - began
        return self.vectors[text]

    def match(self, count: int) -> list[Passage]:
        """What the words of the question alone find."""
        return _quoted_or_not(self.question, lambda words: self.store.match(words, count, within=self.within))

    def with_origins(self, passages: Sequence[Passage]) -> list[Passage]:
        """The passages with what the book knows of their documents; those of documents just removed are left out."""
        origins = self.documents.origins({passage.chunk.document_id for passage in passages})
        found = ((passage, origins.get(passage.chunk.document_id)) for passage in passages)
        return [
            replace(passage, sources=origin.sources, title=origin.title, fields=origin.fields)
            for passage, origin in found
            if origin
        ]

    def _without_pending(self, count: int) -> list[Passage]:
        """Without chunks whose document another process is replacing at this moment."""
        passages = self._retrieve(count)
        if pending := self.documents.pending():
            passages = [one for one in self._retrieve(2 * count) if one.chunk.document_id not in pending][:count]
        return passages

    def _retrieve(self, count: int) -> list[Passage]:
        retriever: Retriever = registry.make("retriever", self.recipe.retriever)
        # MiniLM finds more in German questions by the names they hold than by their meaning: MRR@10 40 without words,
        # 47 with. A model that knows the language is only disturbed: docs/decisions/0010-multilingual-embedder.md.
        foreign = bool(self.language) and self._is_read(self.language)
        found = [
            _quoted_or_not(
                question, lambda words: retriever(words, count, self.store, self.embed, self.within, foreign=foreign)
            )
            for question in (self.question, *self.also)
        ]
        return fused(found)[:count] if self.also else found[0]

    def _is_read(self, language: str) -> bool:
        """Whether the embedder was made for a language, or for none in particular."""
        try:
            known = self.embedder().languages
        except OpenbookError:  # its model is not here: a retriever that needs it will say so, bm25 does not
            return True
        return not known or language in known


def fused(rankings: Sequence[Sequence[Passage]]) -> list[Passage]:
    """The passages of several rankings in one, best first: the score is the sum of 1 / (FUSED + rank), via 'fused'.

    Reciprocal rank fusion: Cormack, Clarke, Buettcher, 2009.
    """
    scores: dict[Chunk, float] = {}
    passages: dict[Chunk, Passage] = {}
    for ranking in rankings:
        for rank, passage in enumerate(ranking, 1):
            scores[passage.chunk] = scores.get(passage.chunk, 0.0) + 1 / (FUSED + rank)
            passages.setdefault(passage.chunk, passage)
    best = sorted(scores, key=lambda chunk: -scores[chunk])
    return [replace(passages[chunk], score=scores[chunk], via="fused") for chunk in best]


def _quoted_or_not(question: str, find: Callable[[str], list[Passage]]) -> list[Passage]:
    found = find(question)
    if not found and phrases(question):  # no passage holds what is quoted: then its words as any others
        found = find(unquoted(question))
    return found
