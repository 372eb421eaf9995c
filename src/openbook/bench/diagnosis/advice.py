"""What may have saved a question that a row lost: settings, those tried on this very question told from guesses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openbook.bench.diagnosis.seeking import Sought
from openbook.bench.diagnosis.speaking import spoken
from openbook.bench.diagnosis.why import Case
from openbook.book import Book
from openbook.recipe import Spec

RERANKER = "cross-encoder"
SIZES = (5, 10, 20)  # passages that a prompt is advised to take
MOST_TOKENS = 4  # times: what a longer answer is advised to have


@dataclass(frozen=True, slots=True)
class Try:
    """What may help."""

    setting: str  # as --set takes it, or a line of [run]
    known: str  # what is known of it
    sure: bool = True  # it was tried, and helps this question; else it only may
    also: tuple[str, ...] = ()  # settings that help it as well, and cost more


@dataclass(frozen=True, slots=True)
class Advice:
    """On one question of one row."""

    case: Case
    book: Book  # with the row's recipe
    sought: Sought
    right_in: tuple[int, ...]  # rows that have it right, those most like this one first

    def rank(self, rank: int) -> Iterator[Try]:
        """Where it came out of the search as that number, 0 for not at all: behind what the prompt takes."""
        sought, take, refiners = self.sought, self.case.take, self.book.recipe.refiners
        for spec, number in sought.retrievers():
            if number <= take:
                yield Try(f"retriever={spec}", f"shows it as [{number}]")
        if take < rank and (enough := [f"prompt={self._prompt(size)}" for size in SIZES if rank <= size]):
            yield Try(enough[0], "would show it", also=tuple(enough[1:]))
        if take < rank <= sought.pool and RERANKER not in {one.name for one in refiners}:
            more = " + ".join([*map(str, refiners), RERANKER])
            yield Try(f"refiners={more}", "may put it before the others", sure=False)

    def embedder(self) -> Try:
        """Where nothing else finds it."""
        return Try("embedder=...", "another one may know what both have in common", sure=False)

    def rewriter(self) -> Try:
        """Where the question as typed finds it."""
        return Try("rewriter=previous", "searches for the question with what was said before it", sure=False)

    def without(self, refiner: str) -> Try:
        """Where a refiner put it back or took it out."""
        rest = " + ".join(str(one) for one in self.book.recipe.refiners if str(one) != refiner) or "none"
        return Try(f"refiners={rest}", "shows it")

    def splitters(self) -> Iterator[Try]:
        """Where no chunk holds it whole."""
        for spec in self.sought.splitters():
            yield Try(f"splitter={spec}", "a chunk then holds it whole")

    def room(self) -> Iterator[Try]:
        """Where it did not fit into the prompt."""
        spec = self.book.recipe.llm
        if spec.name == "llamacpp":
            options = {**spec.options, "context": 2 * self.book.llm.context}
            yield Try(f"llm={Spec(spec.name, options)}", "twice the room", sure=False)
        yield Try("splitter=...", "smaller chunks: more of them fit", sure=False)

    def models(self) -> Iterator[Try]:
        """Where it was shown: what is otherwise in rows that have it right of the same passages."""
        own, rows = self.case.trial, {one.number: one for one in self.case.scorer.run.trials}
        for row in map(rows.__getitem__, self.right_in):
            differ = [step for step in own.recipe if own.recipe[step] != row.recipe[step]]
            if row.search_key == own.search_key and len(differ) == 1:
                yield Try(f"{differ[0]}={row.recipe[differ[0]]}", f"right in row {row.number}")

    def format(self) -> Iterator[Try]:
        """Where the model was spoken to in a wrong format."""
        how = spoken(self.case.trial.recipe["llm"])
        if how and not how.fits:
            yield Try("llm without template=", f"its own is: {how.own}", sure=False)
        elif how:
            yield Try("openbook models try", f"it is spoken to as: {how.used}", sure=False)

    def tokens(self, most: int) -> Try:
        """Where the answer was cut off after so many."""
        return Try(f"[run] max_tokens = {MOST_TOKENS * most}", "the answer was cut off", sure=False)

    def _prompt(self, passages: int) -> Spec:
        spec = self.book.recipe.prompt
        return Spec(spec.name, {**spec.options, "passages": passages})
