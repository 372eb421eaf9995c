"""What refiners that reorder passages buy and cost: the order before and after, on sets in BEIR's layout.

    python benchmarks/reranking.py --data ../shared/data --sets squad1 --questions 200 --cache reranking-cache

Prints Markdown. Documents are split and found as the default recipe does it; a document's rank is that of its best
chunk. What a model said stays in the cache with its seconds, so a run that was stopped goes on. `p` is a paired
randomisation test of the reciprocal ranks against those before, without correction for the number of rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from measure import machine, table
from retrieval import embedded, fill
from sets import Question, lines, load

from openbook import registry
from openbook.bench.ranking import recall, reciprocal_rank
from openbook.bench.statistics import p_value
from openbook.recipe import Recipe, Spec, digest
from openbook.types import LLM, Embedder, Message, Passage, Refiner, Retriever

POOL = 40  # passages a book fetches for its refiners
WANTED = 3  # passages the default prompt shows

HEADING = ["set", "refiner", "R@1", "R@3", "MRR@10", "p", "questions asked about", "passages read", "s mean", "s asked"]


@dataclass(frozen=True, slots=True)
class Run:
    """One question, refined once."""

    ids: list[str]
    read: int  # passages given to a model
    seconds: float


class Remembering:
    """An LLM whose choices, with the seconds they took, are kept in a file: they depend on its messages alone."""

    def __init__(self, llm: LLM, path: Path) -> None:
        self._llm, self._path = llm, path
        self._known = {one["key"]: one for one in (lines(path) if path.exists() else ())}
        self.calls, self.seconds = 0, 0.0

    @property
    def parallel(self) -> int:
        """One after the other: the seconds of each are kept."""
        return 1

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        """As the LLM does."""
        key = digest(self._llm.name, [(one.role, one.content) for one in messages], list(choices))
        if key not in self._known:
            self._known[key] = {"key": key, **self._choose(messages, choices)}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self._known[key]) + "\n")
        self.calls += 1
        self.seconds += self._known[key]["seconds"]
        return list(self._known[key]["probabilities"])

    def _choose(self, messages: Sequence[Message], choices: Sequence[str]) -> dict[str, Any]:
        self._llm.count("")  # loading is not the question's time
        began = time.perf_counter()
        probabilities = self._llm.choose(messages, choices)
        return {"probabilities": probabilities, "seconds": time.perf_counter() - began}


def order(passages: Sequence[Passage]) -> list[str]:
    """Document ids in the order of their best chunk."""
    return list(dict.fromkeys(passage.chunk.document_id for passage in passages))


def refined(refine: Refiner, llm: Remembering, question: str, passages: list[Passage]) -> Run:
    """The refiner's order, what it read and how long that took."""
    calls, reading, began = llm.calls, llm.seconds, time.perf_counter()
    after = refine(question, passages, WANTED)
    seconds = time.perf_counter() - began
    if llm.calls > calls:
        return Run(order(after), llm.calls - calls, llm.seconds - reading)
    return Run(order(after), sum(passage.via == "rerank" for passage in after), seconds)


def row(label: str, spec: str, asked: Sequence[Question], runs: Sequence[Run], before: Sequence[Run]) -> list[str]:
    """One row of the table."""
    measures = [partial(recall, k=1), partial(recall, k=3), partial(reciprocal_rank, k=10)]

    def scores(of: Sequence[Run]) -> list[list[float]]:
        pairs = list(zip(of, asked, strict=True))
        return [[measure(run.ids, question.relevant) for run, question in pairs] for measure in measures]

    mine = scores(runs)
    cells = [label, f"`{spec}`" if runs is not before else "(none)"]
    cells += [f"{100 * statistics.fmean(one):.1f}" for one in mine]
    if runs is before:
        return [*cells, "", "", "", "", ""]
    busy = [run for run in runs if run.read]
    return [
        *cells,
        f"{p_value(mine[2], scores(before)[2]):.4f}",
        f"{100 * len(busy) / len(runs):.0f} %",
        f"{statistics.fmean(run.read for run in runs):.1f}",
        f"{statistics.fmean(run.seconds for run in runs):.1f}",
        f"{statistics.median(run.seconds for run in busy) if busy else 0:.1f}",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--sets", default="squad1")
    parser.add_argument("--refiners", default="llm-rerank", help="joined by ' + '; each is measured alone")
    parser.add_argument("--llm", default=str(Recipe().llm))
    parser.add_argument("--retriever", default=str(Recipe().retriever))
    parser.add_argument("--questions", type=int, default=200, help="of each set, drawn with a fixed seed")
    parser.add_argument("--cache", type=Path, default=Path("reranking-cache"))
    options = parser.parse_args()

    about = machine()  # before our own load
    recipe = Recipe().with_step("refiners", options.refiners)
    splitter = registry.make("splitter", recipe.splitter)
    embedder: Embedder = registry.make("embedder", recipe.embedder)
    retriever: Retriever = registry.make("retriever", Spec.parse(options.retriever))
    llm: LLM = registry.make("llm", Spec.parse(options.llm))
    options.cache.mkdir(parents=True, exist_ok=True)
    remembering = Remembering(llm, options.cache / "choices.jsonl")
    rows: list[list[str]] = [HEADING]
    with closing(llm), tempfile.TemporaryDirectory() as scratch:
        for name in options.sets.split(","):
            case = load(options.data, name)
            chunks = [chunk for document in case.documents for chunk in splitter(document, document.source)]
            asked = case.questions
            asked = random.Random(0).sample(asked, min(options.questions, len(asked)))
            vectors = embedded(embedder, [chunk.indexed for chunk in chunks], "document", options.cache)
            store = registry.make("store", recipe.store, folder=Path(scratch) / name, dim=embedder.dim)
            with closing(store):
                fill(store, chunks, vectors)
                wanted = embedder.embed([question.text for question in asked], "query")
                found = [
                    retriever(question.text, POOL, store, lambda _, vector=vector: vector)  # type: ignore[misc]
                    for question, vector in zip(asked, wanted, strict=True)
                ]
            before = [Run(order(passages), 0, 0.0) for passages in found]
            rows.append(row(f"{name}: {len(asked)} questions", "", asked, before, before))
            for spec in recipe.refiners:
                needs = registry.needs("refiners", spec.name)
                refine: Refiner = registry.make("refiners", spec, **dict.fromkeys(needs, remembering))
                pairs = zip(asked, found, strict=True)
                runs = [refined(refine, remembering, question.text, passages) for question, passages in pairs]
                rows.append(row("", str(spec), asked, runs, before))
    print(f"{about}\n")
    print(f"`{options.llm}`, `{options.retriever}`, {POOL} passages found; s: seconds a question, reading included\n")
    print(table(rows))


if __name__ == "__main__":
    main()
