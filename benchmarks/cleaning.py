"""What each cleaner, and the refiner `duplicates`, does to finding the passage that answers a question.

    python benchmarks/cleaning.py --data ../shared/data --cache vectors/

Prints Markdown. Two sets, read from their files by the readers: `reports-pdf` (a chunk is right when it is from a page
with the answer) and `kafka-docs` from its HTML (a chunk is right when it has half of a gold quote). Both are small:
12 and 24 questions, so one question more or less is 8 and 4 points. The document-level questions of `reports-pdf` are
asked too: whether the right reports are among those found. Vectors are kept by chunk text, so that a cleaner costs the
embedding of the chunks it changed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from answers import lines, share
from measure import machine, table

from openbook import registry
from openbook.errors import ReadError
from openbook.recipe import Recipe, digest, parse_many
from openbook.text import apply
from openbook.types import Chunk, Cleaner, Document, Embedder, Passage, Refiner, Retriever, Unread, Vectors

DEPTH = 40
VARIANTS = ("", "repair", "boilerplate", "repair + boilerplate")

Right = Callable[[Chunk, str], bool]
"""Whether a chunk of a file, named without its suffix, holds the answer."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the answers that can be found: one for each page or quote."""

    text: str
    right: Right
    reports: frozenset[str] = frozenset()  # of a question that asks for documents, not for a passage


@dataclass(slots=True)
class Variant:
    """The documents of a set after some cleaners."""

    documents: list[Document]
    edits: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)  # taken away, by reason
    seconds: float = 0.0


def reports(data: Path) -> tuple[list[Path], list[Question]]:
    """The PDFs, and the questions with page gold, then those with document gold."""

    def on_page(gold: set[tuple[str, int]]) -> Right:
        return lambda chunk, name: any((name, page) in gold for page in _pages(chunk.place))

    folder = data / "reports-pdf"
    asked = [
        Question(one["question"], on_page({(gold["doc"], gold["page"]) for gold in one["gold"]}))
        for one in lines(folder / "gold.jsonl")
    ]
    for one in lines(folder / "questions_docugami.jsonl"):
        named = re.findall(r"(\d{4}) (Q\d) (\w+)\.pdf", json.dumps(one))
        wanted = frozenset(f"{company}_{year}_{quarter}_10Q" for year, quarter, company in named)
        if wanted:
            asked.append(Question(one["text"], lambda chunk, name, wanted=wanted: name in wanted, wanted))  # type: ignore[misc]
    return sorted((folder / "pdfs").glob("*.pdf")), asked


def _pages(place: str) -> range:
    numbers = [int(number) for number in re.findall(r"\d+", place)] or [0]
    return range(numbers[0], numbers[-1] + 1)


def kafka(data: Path) -> tuple[list[Path], list[Question]]:
    """The HTML pages, and the questions with quotes as gold."""

    def quoted(quotes: Sequence[str]) -> Right:
        return lambda chunk, _: any(share(quote, " ".join(chunk.text.split())) >= 0.5 for quote in quotes)

    folder = data / "kafka-docs"
    asked = [
        Question(one["question"], quoted([" ".join(gold["quote"].split()) for gold in one["gold"]]))
        for one in lines(folder / "gold.jsonl")
    ]
    return sorted((folder / "source").rglob("*.html")), asked


def read(paths: Sequence[Path]) -> Iterator[Document]:
    """The documents of these files, by the default reader."""
    reader = registry.make("reader", Recipe().reader)
    for path in paths:
        try:
            yield from (part for part in reader(path) if not isinstance(part, Unread))
        except ReadError as error:
            print(f"> {error}")


def cleaned(documents: Sequence[Document], cleaners: Sequence[Cleaner]) -> Variant:
    """All documents after all cleaners, one after the other."""
    variant = Variant([])
    for document in documents:
        for clean in cleaners:
            began = time.process_time()  # the machine may be shared
            edits = clean(document)
            after = apply(document, edits)
            variant.seconds += time.process_time() - began
            for edit in edits:
                variant.edits[edit.reason] += 1
                variant.characters[edit.reason] += edit.end - edit.start - len(edit.text)
            document = after
        variant.documents.append(document)
    return variant


class Vectorizer:
    """Vectors of texts, each text embedded once ever."""

    def __init__(self, embedder: Embedder, cache: Path | None) -> None:
        self._embedder = embedder
        self._path = cache / f"{digest(embedder.fingerprint)}.npz" if cache else None
        self._known: dict[str, Vectors] = {}
        if self._path and self._path.exists():
            with np.load(self._path) as kept:
                self._known = dict(zip(kept["names"].tolist(), kept["vectors"], strict=True))

    def __call__(self, texts: Sequence[str], kind: Any) -> Vectors:
        names = [digest(kind, text) for text in texts]
        missing = {name: text for name, text in zip(names, texts, strict=True) if name not in self._known}
        if missing:
            self._known.update(zip(missing, self._embedder.embed(list(missing.values()), kind), strict=True))
            if self._path:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(self._path, names=list(self._known), vectors=np.stack(list(self._known.values())))
        return np.stack([self._known[name] for name in names])


def ranks(passages: Sequence[Passage], names: dict[str, str], question: Question) -> list[int]:
    """Ranks, from 1, of the passages that hold an answer."""
    return [
        rank
        for rank, passage in enumerate(passages, 1)
        if question.right(passage.chunk, names[passage.chunk.document_id])
    ]


def measured(
    variant: Variant, asked: Sequence[Question], vectors: Vectorizer, refiners: Sequence[Refiner]
) -> dict[str, Any]:
    """Recall and MRR of one variant with the default splitter, store and retriever."""
    recipe = Recipe()
    embedder: Embedder = registry.make("embedder", recipe.embedder)
    splitter = registry.make("splitter", recipe.splitter)
    retriever: Retriever = registry.make("retriever", recipe.retriever)
    names = {str(number): Path(one.source).stem for number, one in enumerate(variant.documents)}
    chunks = [chunk for number, one in enumerate(variant.documents) for chunk in splitter(one, str(number))]
    found: list[list[int]] = []
    same: list[int] = []
    seconds: list[float] = []
    reports_found: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        store = registry.make("store", recipe.store, folder=Path(scratch), dim=embedder.dim)
        with closing(store):
            store.add(chunks, vectors([chunk.indexed for chunk in chunks], "document"))
            store.optimize()
            queries = vectors([question.text for question in asked], "query")
            for question, query in zip(asked, queries, strict=True):
                passages = retriever(question.text, DEPTH, store, lambda _, query=query: query)  # type: ignore[misc]
                began = time.perf_counter()
                for refine in refiners:
                    passages = refine(question.text, passages)
                seconds.append(time.perf_counter() - began)
                same.append(DEPTH - len(passages))
                if question.reports:
                    seen = {names[passage.chunk.document_id] for passage in passages[:10]}
                    reports_found.append(len(question.reports & seen) / len(question.reports))
                else:
                    found.append(ranks(passages, names, question))
    return {
        "chunks": len(chunks),
        "R@1": _recall(found, 1),
        "R@5": _recall(found, 5),
        "R@10": _recall(found, 10),
        "MRR@10": 100 * statistics.fmean(next((1 / rank for rank in one if rank <= 10), 0) for one in found),
        "reports@10": 100 * statistics.fmean(reports_found) if reports_found else None,
        "dropped": statistics.fmean(same) if refiners else None,
        "ms": 1000 * statistics.median(seconds) if refiners else None,
    }


def _recall(found: Sequence[Sequence[int]], k: int) -> float:
    """Share of questions with an answer among the first k."""
    return 100 * statistics.fmean(any(rank <= k for rank in one) for one in found)


def shown(value: Any) -> str:
    """A number for a table."""
    return "" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--sets", default="kafka-docs,reports-pdf")
    options = parser.parse_args()
    print(f"Machine: {machine()}\n")
    embedder: Embedder = registry.make("embedder", Recipe().embedder)
    vectors = Vectorizer(embedder, options.cache)
    rows: list[list[Any]] = []
    removed: list[list[Any]] = [["set", "cleaners", "MB/s", "reason: edits, characters taken away"]]
    for name in options.sets.split(","):
        paths, asked = {"reports-pdf": reports, "kafka-docs": kafka}[name](options.data)
        documents = list(read(paths))
        passage_questions = sum(not question.reports for question in asked)
        print(f"{name}: {len(documents)} documents, {passage_questions} questions for passages, ", end="")
        print(f"{len(asked) - passage_questions} for documents\n")
        size = sum(len(document.text) for document in documents) / 1e6
        for text in VARIANTS:
            variant = cleaned(documents, [registry.make("cleaners", spec) for spec in parse_many(text)])
            for refiners in ("", "duplicates"):
                if refiners and text:
                    continue
                made = [registry.make("refiners", spec) for spec in parse_many(refiners)]
                result = measured(variant, asked, vectors, made)
                rows = rows or [["set", "cleaners", "refiners", *result]]
                rows.append([name, text or "none", refiners or "none", *map(shown, result.values())])
            if text:
                reasons = "; ".join(
                    f"{reason}: {count}, {variant.characters[reason]}"
                    for reason, count in variant.edits.most_common(12)
                )
                removed.append([name, text, f"{size / variant.seconds:.0f}", reasons])
    print(table(rows), "\n")
    print(table(removed))


if __name__ == "__main__":
    main()
