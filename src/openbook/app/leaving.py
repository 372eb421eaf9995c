"""What leaves this machine is said before it goes: once for each machine, on stderr.

leaving = Leaving()
leaving.search(book)                                    # before a search
for part in leaving.heard(book.stream(question), book): # says it when the passages are there
leaving.say("The conversation", llm.remote)             # before anything else goes
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from openbook import registry
from openbook.app import show

if TYPE_CHECKING:
    from openbook.book import Book
    from openbook.recipe import Recipe, Spec
    from openbook.types import Embedder

T = TypeVar("T")


@dataclass
class Leaving:
    """Remembers what it has said: one for each run of a command."""

    _said: set[tuple[str, str]] = field(default_factory=set)

    def say(self, what: str, host: str, *, kind: str = "") -> None:
        """'What' goes to that machine; nothing is said of this one (''), or a second time of the same kind."""
        if host and (kind or what, host) not in self._said:
            self._said.add((kind or what, host))
            show.note(f"{what} {'go' if ' and ' in what else 'goes'} to {host}.")

    def search(self, book: Book) -> None:
        """A search begins: its question may be embedded elsewhere, its passages looked through elsewhere."""
        if book.recipe.retriever.name != "bm25":  # which asks no embedder, so that none is loaded for it here
            self.say("The question", embedder_host(book.recipe))
        for spec in book.recipe.refiners:
            needed = registry.needs("refiners", spec.name)
            hosts = [embedder_host(book.recipe)] if "embedder" in needed else []
            for host in hosts + ([_model(book, spec)] if "llm" in needed else []):
                self.say("The question and the passages found for it", host)

    def conversation(self, book: Book) -> None:
        """A question that others went before: these go to the model that rewrites it, and to the one that answers."""
        rewriter = book.recipe.rewriter
        if "llm" in registry.needs("rewriter", rewriter.name):
            self.say("The conversation", _model(book, rewriter))
        self.say("The conversation", book.llm.remote)

    def heard(self, parts: Iterable[T], book: Book) -> Iterator[T]:
        """The parts of `Book.stream`; when the passages are there, says where they go."""
        for part in parts:
            if isinstance(part, tuple):
                self.answer(len(part), book.llm.remote)
            yield part

    def answer(self, passages: int, host: str) -> None:
        """A model is about to be asked."""
        what = f"The question and {show.count(passages, 'passage')}" if passages else "The question"
        self.say(what, host, kind="answer")

    def documents(self, recipe: Recipe) -> None:
        """Documents are about to be embedded."""
        self.say("The text of the documents", embedder_host(recipe))

    def compared(self, recipe: Recipe, *, documents: bool, answers: bool) -> None:
        """A comparison begins; whether documents are embedded in it, and whether models are asked."""
        if documents:
            self.documents(recipe)
        self.say("The questions", embedder_host(recipe))
        models = [(step, spec) for step in ("refiners", "rewriter", "llm") for spec in recipe.specs(step)]
        for step, spec in models:
            if step == "refiners" or answers:
                chosen = spec if step == "llm" else registry.chosen_llm(spec) or recipe.llm
                if step == "llm" or "llm" in registry.needs(step, spec.name):
                    self.say("The questions and the passages found for them", registry.make("llm", chosen).remote)


def embedder_host(recipe: Recipe) -> str:
    """The machine that embeds by a recipe; '' for this one. Asks it nothing."""
    embedder: Embedder = registry.make("embedder", recipe.embedder)
    return embedder.remote


def _model(book: Book, spec: Spec) -> str:
    return book.model(registry.chosen_llm(spec) or book.recipe.llm).remote
