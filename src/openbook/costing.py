"""What asking or adding would come to, in tokens and dollars, with nothing sent and no model loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from openbook import registry
from openbook.documents import Documents
from openbook.estimating import Estimate, estimate
from openbook.finding import Found
from openbook.fitting import fitting
from openbook.llms.remote import about
from openbook.prices import Price, price
from openbook.reading import Limits, Reading
from openbook.recipe import Recipe, Spec
from openbook.types import LLM, Embedder, Kind, Passage, Prompt, Usage

if TYPE_CHECKING:
    from openbook.types import Vectors

ANSWERS_NOT = 1536  # numbers of a vector, where only the service knows: as many as OpenAI's smaller model gives


@dataclass(frozen=True, slots=True)
class Forecast:
    """Tokens of one request, or of many, and the price where one is known."""

    model: str
    remote: str  # '' for this machine
    prompt_tokens: int  # about
    answer_tokens: int = 0  # at most
    price: Price | None = None

    @property
    def dollars(self) -> float | None:
        """At most, without what a model may think; None where no price is known."""
        return self.price.of(Usage(self.prompt_tokens, self.answer_tokens)) if self.price else None


def tokens(llm: LLM, text: str) -> int:
    """Of a text, about; of a model of this machine told from characters: counting them would load it."""
    return llm.count(text) if llm.remote else about(text)


def of_question(
    question: str, passages: Sequence[Passage], prompt: Prompt, llm: LLM, max_tokens: int, today: date
) -> Forecast:
    """What asking would come to."""
    asked = tokens(llm, "".join(message.content for message in prompt.messages(question, passages)))
    return Forecast(llm.name, llm.remote, asked, max_tokens, price(llm.remote, llm.name, asked, today))


def of_answer(host: str, model: str, usage: Usage, today: date) -> float | None:
    """What an answer cost, in dollars; None where no price is known, as for this machine."""
    found = price(host, model, usage.prompt_tokens, today) if host else None
    return found.of(usage) if found else None


def unsent(recipe: Recipe) -> tuple[Recipe, list[str]]:
    """A recipe by which a search sends nothing and asks no model, and what it leaves out of the other, a line each."""
    lines = []
    embedder: Embedder = registry.make("embedder", recipe.embedder)
    if embedder.remote and recipe.retriever.name != "bm25":
        lines.append(f"Passages are found by words alone here: to find them by meaning, {embedder.remote} is asked.")
        recipe = recipe.with_step("retriever", "bm25")
    kept: list[Spec] = []
    for spec in recipe.refiners:
        needed = registry.needs("refiners", spec.name)
        if "llm" in needed or ("embedder" in needed and embedder.remote):
            lines.append(f"The refiner {spec.name} is left out here, as it asks a model: what it asks comes on top.")
        else:
            kept.append(spec)
    return replace(recipe, refiners=tuple(kept)), lines


@dataclass
class Unasked:
    """In the place of an embedder that is a service: vectors of zeros, and how much the texts would have been."""

    dim: int = ANSWERS_NOT
    texts: int = 0
    tokens: int = 0

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.texts += len(texts)
        self.tokens += sum(map(about, texts))
        return np.zeros((len(texts), self.dim), np.float32)


def of_adding(
    found: Found, recipe: Recipe, known: Documents | None, limits: Limits, today: date
) -> tuple[Estimate, Forecast]:
    """What adding these files to a book whose embedder is a service would come to; its seconds are without those of
    the service. Files that did not change since they were read are left out.
    """
    before = {(file.path, file.size_bytes, file.mtime_ns) for file in known.files()} if known else set()
    todo = [file for file in found.files if (file.path, file.size_bytes, file.mtime_ns) not in before]
    embedder: Embedder = registry.make("embedder", recipe.embedder)
    splitter: Any = registry.make("splitter", recipe.splitter, spans=embedder.tokens)
    unasked = Unasked()
    steps = recipe.to_dict()
    with Reading(steps["reader"], steps["cleaners"], limits) as reading:
        counted = estimate(todo, reading, fitting(splitter, embedder), unasked)
    sent = round(counted.chunks * unasked.tokens / unasked.texts) if unasked.texts else 0
    model = str(registry.check("embedder", recipe.embedder).get("model", recipe.embedder.name))
    paid = price(embedder.remote, model, 0, today)
    return counted, Forecast(model, embedder.remote, sent, price=paid)
