"""What each cleaner, and the refiner `duplicates`, does to finding the passage that answers a question.

    python benchmarks/cleaning.py --data ../shared/data --cache vectors/

Prints Markdown. Two sets, read from their files by the readers: `reports-pdf` (a chunk is right when it is from a page
with the answer) and `kafka-docs` from its HTML (a chunk is right when it has half of a gold quote). Both are small: 12
and 24 questions, so one question more or less is 8 and 4 points, and where chunks happen to end moves more than that:
the second table asks BM25 with chunks of seven sizes. `kafka-docs.twice` has every page a second time below another
first line, as a folder of old versions would. The document-level questions of `reports-pdf` are asked too: which share
of the right reports is among the first ten passages. Vectors are kept by chunk text, so that a cleaner costs the
embedding of the chunks it changed. `p` is a paired randomisation test of the reciprocal ranks against no cleaner.

    python benchmarks/cleaning.py --damaged --data ../shared/data --cache vectors/

asks what `repair` does where text is damaged, with 557 questions a set: each paragraph is a document, damaged by
damage.py, the questions are not, and a chunk is right when it is from the right paragraph. There `p` of a damage
without cleaners is against the undamaged text, and that of `repair` against the same damage without it.
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from answers import lines, share
from damage import DAMAGES, quotes_found, words_lost
from measure import machine, table

from openbook import registry
from openbook.bench.statistics import p_value
from openbook.errors import ReadError
from openbook.recipe import Recipe, Spec, digest, parse_many
from openbook.text import apply
from openbook.types import Chunk, Cleaner, Document, Embedder, Passage, Refiner, Retriever, Unread, Vectors

DEPTH = 40
SIZES = (300, 400, 500, 600, 700, 800, 1000)
VARIANTS = {  # set -> cleaners; refiners
    "kafka-docs": [("", ""), ("", "duplicates"), ("repair", ""), ("boilerplate", ""), ("repair + boilerplate", "")],
    "kafka-docs.twice": [("", ""), ("", "duplicates")],
    "reports-pdf": [("", ""), ("", "duplicates"), ("repair", ""), ("boilerplate", ""), ("repair + boilerplate", "")],
}

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


@dataclass(frozen=True, slots=True)
class Result:
    """What one variant finds."""

    chunks: int
    ranks: list[list[int]]  # of the right passages, for each question
    reports: float | None  # share of the right documents
    dropped: float | None  # passages of `DEPTH`, by the refiners
    ms: float | None  # of the refiners

    @property
    def reciprocal(self) -> list[float]:
        """Of the first right passage among ten, for each question."""
        return [1 / one[0] if one and one[0] <= 10 else 0.0 for one in self.ranks]

    def row(self, plain: Result) -> list[Any]:
        """Numbers for the table, compared with what is found without cleaners."""
        recalls = [100 * statistics.fmean(any(rank <= k for rank in one) for one in self.ranks) for k in (1, 5, 10)]
        p = None if self is plain else p_value(self.reciprocal, plain.reciprocal)
        reports = None if self.reports is None else 100 * self.reports
        mrr = 100 * statistics.fmean(self.reciprocal)
        return [self.chunks, *recalls, mrr, p if p is None else f"{p:.3f}", reports, self.dropped, self.ms]


HEADING = [
    "set",
    "cleaners",
    "refiners",
    "chunks",
    "R@1",
    "R@5",
    "R@10",
    "MRR@10",
    "p",
    "reports@10",
    "dropped of 40",
    "ms",
]


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
    variant: Variant,
    asked: Sequence[Question],
    vectors: Vectorizer,
    refiners: Sequence[Refiner],
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
) -> Result:
    """What is found of one variant with the splitter, store and retriever of a recipe."""
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
                    passages = refine(question.text, passages, DEPTH)
                seconds.append(time.perf_counter() - began)
                same.append(DEPTH - len(passages))
                if question.reports:
                    seen = {names[passage.chunk.document_id] for passage in passages[:10]}
                    reports_found.append(len(question.reports & seen) / len(question.reports))
                else:
                    found.append(ranks(passages, names, question))
    return Result(
        len(chunks),
        found,
        statistics.fmean(reports_found) if reports_found else None,
        statistics.fmean(same) if refiners else None,
        1000 * statistics.median(seconds) if refiners else None,
    )


def by_words(variant: Variant, asked: Sequence[Question]) -> list[list[float]]:
    """Reciprocal ranks by BM25 alone, for each size of chunks and question: what does not hang on one way to cut."""
    found = []
    for size in SIZES:
        splitter = registry.make("splitter", Spec("chars", {"size": size}))
        names = {str(number): Path(one.source).stem for number, one in enumerate(variant.documents)}
        chunks = [chunk for number, one in enumerate(variant.documents) for chunk in splitter(one, str(number))]
        with tempfile.TemporaryDirectory() as scratch:
            store = registry.make("store", Recipe().store, folder=Path(scratch), dim=8)
            with closing(store):
                store.add(chunks, np.full((len(chunks), 8), 8**-0.5, np.float32))
                store.optimize()
                ranked = [ranks(store.match(one.text, 10), names, one) for one in asked if not one.reports]
                found.append([1 / one[0] if one else 0.0 for one in ranked])
    return found


DAMAGED = ("xquad-de", "xquad-en")
DAMAGED_HEADING = (
    "set, damage, cleaners, chunks, bm25 R@1, bm25 MRR@10, p, hybrid R@1, hybrid MRR@10, p, quotes found %, "
    "words lost, words gained, line breaks"
)


def paragraphs(folder: Path) -> tuple[list[Document], list[Question]]:
    """The paragraphs of a set in BEIR's layout, and the questions with the paragraph that answers them."""
    asked = {one["_id"]: one["text"] for one in lines(folder / "queries.jsonl")}
    gold = [line.split("\t") for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]]
    return (
        [Document(one["text"], f"{one['_id']}.txt") for one in lines(folder / "corpus.jsonl")],
        [Question(asked[query], lambda _, name, wanted=wanted: name == wanted) for query, wanted, _ in gold],  # type: ignore[misc]
    )


def damaged(folder: Path, vectors: Vectorizer) -> Iterator[list[str]]:
    """Rows of the table for one set."""
    documents, asked = paragraphs(folder)
    whole: list[Result] = []
    for damage, spoil in DAMAGES.items():
        spoiled = [replace(one, text=spoil(one.text)) for one in documents]
        before: list[Result] = []
        for cleaners in ("", "repair"):
            variant = cleaned(spoiled, [registry.make("cleaners", spec) for spec in parse_many(cleaners)])
            found = [
                measured(variant, asked, vectors, [], replace(Recipe(), retriever=Spec(retriever)))
                for retriever in ("bm25", "hybrid")
            ]
            numbers = [
                number
                for result, plain in zip(found, before or whole or found, strict=True)
                for number in (
                    100 * statistics.fmean(1 in ranked for ranked in result.ranks),
                    100 * statistics.fmean(result.reciprocal),
                    None if result is plain else f"{p_value(result.reciprocal, plain.reciprocal):.4f}",
                )
            ]
            pairs = [(old.text, new.text) for old, new in zip(documents, variant.documents, strict=True)]
            there, quotes = np.array([quotes_found(*pair) for pair in pairs]).sum(axis=0)
            lost, gained = np.array([words_lost(*pair) for pair in pairs]).sum(axis=0)
            line_breaks = sum(one.text.count("\n") for one in variant.documents)
            numbers += [100 * float(there / quotes), lost, gained, line_breaks]
            yield [folder.name, damage, cleaners or "none", *map(shown, [found[0].chunks, *numbers])]
            before, whole = before or found, whole or found


def shown(value: Any) -> str:
    """A number for a table."""
    return "" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--sets", help=f"{','.join(VARIANTS)}; damaged: {','.join(DAMAGED)}")
    parser.add_argument("--damaged", action="store_true", help="what `repair` does for damaged text")
    options = parser.parse_args()
    print(f"Machine: {machine()}\n")
    embedder: Embedder = registry.make("embedder", Recipe().embedder)
    vectors = Vectorizer(embedder, options.cache)
    sets = options.sets.split(",") if options.sets else DAMAGED if options.damaged else tuple(VARIANTS)
    if options.damaged:
        found = [row for name in sets for row in damaged(options.data / name, vectors)]
        print(table([DAMAGED_HEADING.split(", "), *found]))
        return
    rows: list[list[Any]] = [HEADING]
    words: list[list[Any]] = [["set", "cleaners", *map(str, SIZES), "mean", "p"]]
    removed: list[list[Any]] = [["set", "cleaners", "MB/s", "reason: edits, characters taken away"]]
    for name in sets:
        paths, asked = (reports if name == "reports-pdf" else kafka)(options.data)
        documents = list(read(paths))
        if name.endswith("twice"):
            documents += [replace(one, text=f"An older version of this page.\n\n{one.text}") for one in documents]
        count = sum(not question.reports for question in asked)
        print(
            f"{name}: {len(documents)} documents, {count} questions for passages, {len(asked) - count} for documents\n"
        )
        size = sum(len(document.text) for document in documents) / 1e6
        plain: Result | None = None
        plain_words: list[float] = []
        for cleaners, refiners in VARIANTS[name]:
            variant = cleaned(documents, [registry.make("cleaners", spec) for spec in parse_many(cleaners)])
            made = [registry.make("refiners", spec) for spec in parse_many(refiners)]
            result = measured(variant, asked, vectors, made)
            plain = plain or result
            rows.append([name, cleaners or "none", refiners or "none", *map(shown, result.row(plain))])
            if refiners or name.endswith("twice"):
                continue
            by_size = np.array(by_words(variant, asked))
            mean = by_size.mean(axis=0).tolist()  # of each question
            plain_words = plain_words or mean
            means = [f"{100 * value:.1f}" for value in (*by_size.mean(axis=1), by_size.mean())]
            words.append([name, cleaners or "none", *means, f"{p_value(mean, plain_words):.2f}" if cleaners else ""])
            if cleaners:
                reasons = "; ".join(
                    f"{reason}: {count}, {variant.characters[reason]}" for reason, count in variant.edits.most_common()
                )
                removed.append([name, cleaners, f"{size / variant.seconds:.0f}", reasons])
    print(f"{table(rows)}\n\nMRR@10 by words alone (`bm25`), by size of chunks:\n\n{table(words)}\n")
    print(table(removed))


if __name__ == "__main__":
    main()
