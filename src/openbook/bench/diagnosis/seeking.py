"""Searches again, deeper than a comparison did: where what could answer stands after each step, and by each side.

question --retriever--> rank --refiner--> rank --refiner--> rank       by words alone, by meaning alone: rank
No model writes anything: of a refiner that asks one, only what came before it is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from openbook import registry
from openbook.bench.diagnosis.targets import Target, stems
from openbook.bench.diagnosis.why import rank_of
from openbook.bench.gold import elsewhere
from openbook.book import Book
from openbook.errors import OpenbookError
from openbook.fitting import fitting
from openbook.phrases import unquoted
from openbook.recipe import Recipe, Spec
from openbook.searching import POOL, SPARE, Search, Step
from openbook.stores.flat import STOP_WORDS
from openbook.types import Chunk, Passage, Splitter

DEEP = 1000  # passages of the retriever that are looked through
FARTHEST = 10_000  # of each side alone
MOST_DOCUMENTS = 20  # that hold a target and whose chunks are looked at

SIDES = {"bm25": ("words",), "dense": ("meaning",)}
BOTH = ("words", "meaning")
# A weight of 0 and words alone are what the other two say; these lie between.
OTHERS = ("bm25", "dense", "hybrid", "hybrid(weight=0.25)", "hybrid(weight=2.0)")


@dataclass(frozen=True)
class Sought:
    """One question searched for again, and what was to be found."""

    book: Book  # with the row's recipe
    question: str
    wanted: Sequence[Target]
    take: int  # passages that the search is asked for

    @cached_property
    def ranks(self) -> list[tuple[str, int]]:
        """After the retriever, then after each refiner up to the first that asks a model: the rank, 0 for none."""
        found = [(step.name, self.rank(step.passages)) for step in self._steps]
        # What the retriever puts behind its pool no refiner has seen.
        return found if found[0][1] else [(found[0][0], self._deeper())]

    @property
    def found(self) -> list[Chunk]:
        """The first of what the retriever finds, best first."""
        return [one.chunk for one in self._steps[0].passages]

    @cached_property
    def _steps(self) -> Sequence[Step]:
        return self._search(self._runnable()).steps(self.take, at_least=self.pool)

    @property
    def unknown(self) -> str:
        """The first refiner that was not run again, as it asks a model; '' where all were."""
        return next((str(one) for one in self.book.recipe.refiners if _asks(one)), "")

    @cached_property
    def pool(self) -> int:
        """How many passages of the retriever the refiners look at, or would."""
        return max(SPARE * self.take, POOL)

    @cached_property
    def sides(self) -> dict[str, int]:
        """Rank by words alone and by meaning alone, among FARTHEST; 0 where it is not there."""
        search = self._search(self.book.recipe)
        found = {"words": self.rank(search.match(FARTHEST))}
        try:
            vector = search.embed(self.question)
        except OpenbookError:  # its model is not here, and words alone do not need it
            return found
        return found | {"meaning": self.rank(self.book.store.nearest(vector, FARTHEST, exact=True))}

    @property
    def used(self) -> tuple[str, ...]:
        """The sides that the retriever looks at."""
        return SIDES.get(self.book.recipe.retriever.name, BOTH)

    @cached_property
    def chunks(self) -> list[Chunk]:
        """Every chunk of the documents that hold a target, in their order."""
        ids = list(dict.fromkeys(one.stretch.document_id for one in self.wanted))[:MOST_DOCUMENTS]
        return sorted(
            (chunk for chunk, _ in self.book.store.vectors(ids)), key=lambda one: (one.document_id, one.start)
        )

    @cached_property
    def words(self) -> list[str]:
        """The question's words but for stop words."""
        stop = STOP_WORDS if self.book.store.word_forms == "en" else frozenset()
        found = re.findall(r"\w+", unquoted(self.question).lower())
        return [word for word in dict.fromkeys(found) if word not in stop]

    @cached_property
    def shared(self) -> list[str]:
        """Those of `words` that stand in a chunk with a target, in any form that the store knows."""
        return list(self._shared())

    @property
    def shares(self) -> bool:
        """Whether there are any."""
        return any(True for _ in self._shared())

    def _shared(self) -> Iterator[str]:
        within = {one.stretch.document_id for one in self.wanted}
        split = not any(one.is_in(chunk) for one in self.wanted for chunk in self.chunks)
        for word in self.words:
            if split or self.rank(self.book.store.match(word, FARTHEST, within=within)):  # split: it tells nothing
                yield word

    def whole(self) -> Chunk | None:
        """The first chunk that can answer by itself."""
        return next((chunk for chunk in self.chunks if self.enough([chunk])), None)

    def enough(self, chunks: Sequence[Chunk]) -> bool:
        """Whether chunks together hold a target: each word of the question that stands in it, and the answer."""
        for target in self.wanted:
            if any(target.is_whole_in(chunk) for chunk in chunks):
                return True
            if target.answer and any(target.is_in(chunk) for chunk in chunks):
                there = {word for chunk in chunks if target.share(chunk) for word in stems(chunk.indexed)}
                if self._needed(target) <= there:
                    return True
        return False

    def elsewhere(self, chunks: Sequence[Chunk], answers: Sequence[str]) -> int:
        """The number of the first chunk with an answer and as many of the question's words as a target has; 0: none.

        It is not the gold, but an answer may stand in more places than whoever wrote the question knew.
        """
        least = min((len(self._needed(one)) for one in self.wanted), default=0)
        asked = stems(" ".join(self.words))
        said = [stems(one) for one in answers]
        for number, chunk in enumerate(chunks, 1):
            there = stems(chunk.text)
            if len(asked & there) >= max(1, least) and any(one and one <= there for one in said):
                return number
        return 0

    def _needed(self, target: Target) -> set[str]:
        document = self.book.documents.get(target.stretch.document_id)
        text = document.text[target.start : target.end] if document else ""
        return stems(" ".join(self.words)) & stems(text)

    def parts(self, target: Target) -> list[Chunk]:
        """The chunks that hold some of a target, in their order."""
        return [chunk for chunk in self.chunks if target.share(chunk) > 0]

    def part_ranks(self, target: Target) -> list[int]:
        """Where each of `parts` stands after the retriever, 0 where it is beyond DEEP."""
        found = self._retrieved(DEEP)
        return [next((n for n, one in enumerate(found, 1) if _same(one.chunk, part)), 0) for part in self.parts(target)]

    def rank(self, passages: Sequence[Passage]) -> int:
        """The number of the first passage that can answer, from 1; 0: none does."""
        return rank_of(self.wanted, [[one.chunk, *elsewhere(one, self._ids, self._text_of)] for one in passages])

    @cached_property
    def _ids(self) -> dict[str, str]:
        return self.book.documents.sources()

    def _text_of(self, document_id: str) -> str:
        document = self.book.documents.get(document_id)
        return document.text if document else ""

    # What would have helped.

    def retrievers(self) -> Iterator[tuple[str, int]]:
        """Other retrievers that show it among `take`, the refiners that ask no model included, and as which number."""
        own = self.book.recipe.retriever
        for text in OTHERS:
            if Spec.parse(text) != own:
                recipe = replace(self._runnable(), retriever=Spec.parse(text))
                try:
                    rank = self.rank(self._search(recipe).steps(self.take)[-1].passages[: self.take])
                except OpenbookError:  # it needs a model that is not here
                    continue
                if rank:
                    yield text, rank

    def splitters(self) -> Iterator[str]:
        """Specs with larger or overlapping chunks, of which one holds a target whole."""
        own = self.book.recipe.splitter
        known = registry.check("splitter", own)
        longest = max(one.end - one.start for one in self.wanted)
        changes: list[dict[str, Any]] = []
        if "overlap" in known and isinstance(known.get("size"), int):
            overlap = min(-(-longest // 50) * 50, int(known["size"]) // 2)
            changes.append({"overlap": overlap})
        if isinstance(known.get("size"), int):
            changes += [{"size": int(known["size"]) * times} for times in (2, 4)]
        for change in changes:
            spec = Spec(own.name, {**own.options, **change})
            try:
                if self._holds(spec):
                    yield str(spec)
            except OpenbookError:  # a size that it refuses
                continue

    def _holds(self, spec: Spec) -> bool:
        embedder = self.book.embedder
        splitter: Splitter = fitting(registry.make("splitter", spec, spans=embedder.tokens), embedder)
        for document_id in dict.fromkeys(one.stretch.document_id for one in self.wanted[:MOST_DOCUMENTS]):
            document = self.book.documents.get(document_id)
            for chunk in splitter(document, document_id) if document else ():
                if self.enough([chunk]):
                    return True
        return False

    # Searching.

    def _runnable(self) -> Recipe:
        """The row's recipe with its refiners up to the first that asks a model."""
        refiners = self.book.recipe.refiners
        first = next((n for n, spec in enumerate(refiners) if _asks(spec)), len(refiners))
        return replace(self.book.recipe, refiners=refiners[:first])

    def _search(self, recipe: Recipe) -> Search:
        return replace(self._own, recipe=recipe)  # the question's vector is shared

    @cached_property
    def _own(self) -> Search:
        book = self.book
        given: Callable[[str, Spec], Any] = lambda name, _: getattr(book, name)  # noqa: E731 - typed
        return Search(self.question, book.recipe, book.documents, book.store, lambda: book.embedder, given)

    def _retrieved(self, count: int) -> Sequence[Passage]:
        return self._search(self.book.recipe).steps(self.take, at_least=count, refined=False)[0].passages

    def _deeper(self) -> int:
        return self.rank(self._retrieved(DEEP))


def _asks(spec: Spec) -> bool:
    return "llm" in registry.needs("refiners", spec.name)


def _same(one: Chunk, other: Chunk) -> bool:
    return (one.document_id, one.start, one.end) == (other.document_id, other.start, other.end)
