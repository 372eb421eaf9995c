r"""How well retrievers find the passages that answer a question: every set x embedder x retriever, in one table.

    python benchmarks/retrieval.py --data ../shared/data --cache vectors --json retrieval.json
    python benchmarks/retrieval.py --sets squad1,kafka-docs.gold --embedders 'minilm; hashed(dim=256)' \
        --retrievers 'bm25; dense; hybrid; hybrid + duplicates'
    python benchmarks/retrieval.py --runs runs --peer-python PEER/bin/python --weights FOLDER_OF_ALL_MINILM_L6_V2

Prints Markdown. What a set is: benchmarks/sets.py. A document's rank is that of its best chunk; in a set `.gold` the
first passage with a gold answers the question, as in `openbook compare` (benchmarks/comparing.py holds the two against
each other). Refiners get as many passages as a book gives them. `p` is a paired randomisation test of one measure
(--judge) against what heads the column, with Holm's correction over all tests of the column; the last retriever is
judged in the second table.

`--runs` is a folder where chunks are written for other programs (benchmarks/peers.py) and their rankings read from;
with `--peer-python` those programs are run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine, median_ms, table
from sets import Case, chunk_id, languages, load

from openbook import registry
from openbook.bench.gold import Stretch, elsewhere, units
from openbook.bench.ranking import Relevant, measure
from openbook.bench.statistics import holm, p_values
from openbook.fitting import fitting
from openbook.phrases import phrases, unquoted
from openbook.recipe import Recipe, Spec, digest, parse_many
from openbook.searching import POOL, SPARE
from openbook.types import Chunk, Document, Embedder, Kind, Passage, Refiner, Retriever, Store, Vectors

SETS = (
    "squad1,squad2,xquad-en,scifact-small,clapnq,til-posts,mtrag-un,mtrag-un.history,kafka-docs,kafka-docs.gold,"
    "bible-kjv,bible-kjv.gold,bible-kjv.nave,bible-kjv.nave.gold,reports-pdf,reports-pdf.gold,"
    "xquad-de,xquad-zh,xquad-de-questions-en-corpus,xquad-en-questions-de-corpus"
)
PEERS = ("langchain", "llamaindex", "txtai")
MEASURES = {name: measure(name) for name in ("R@1", "R@5", "R@10", "MRR@10", "nDCG@10")}
DEPTH = 100  # chunks asked for, so that ten documents are among them
K = 10  # passages wanted of refiners
TIMED = 30  # questions embedded one at a time, for the time it takes
ROUNDS = 100_000  # of the test: a p of .00001 is still one after Holm's correction over hundreds of tests
AGAINST = ("bm25", "dense", *PEERS)


Judged = tuple[list[str], Relevant]
"""What was found for one question, best first, by name; and what is right."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one way to find did on one set."""

    set: str
    chunks: int
    questions: int
    embedder: str  # '' where none is needed
    retriever: str
    scores: Mapping[str, list[float]]  # measure -> of each question
    search_ms: float  # median, the question's vector at hand
    embed_ms: float  # median of embedding one question
    p: dict[str, float] = field(default_factory=dict)  # against: corrected

    @property
    def means(self) -> dict[str, float]:
        """Per cent."""
        return {name: 100 * statistics.fmean(values) for name, values in self.scores.items()}

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        numbers = {"search_ms": self.search_ms, "embed_ms": self.embed_ms, "p": self.p}
        return {
            **{name: getattr(self, name) for name in ("set", "chunks", "questions", "embedder", "retriever")},
            **self.means,
            **numbers,
        }


@dataclass(frozen=True, slots=True)
class Task:
    """One set, split."""

    name: str
    case: Case
    chunks: list[Chunk]
    golds: list[list[tuple[Stretch, ...]]] = field(default_factory=list)  # of a set that is not judged by document

    @property
    def questions(self) -> list[str]:
        """As they are asked."""
        return [question.text for question in self.case.questions]

    def units(self, number: int, passages: Sequence[Passage]) -> Judged:
        """What is judged of question `number`, best first, and what is right.

        A passage that stands for equal ones of other documents is of these too.
        """
        if not self.case.by_document:
            ids, texts = {one.source: one.source for one in self.case.documents}, self._texts()
            also = [elsewhere(one, ids, texts) for one in passages]
            return units([one.chunk for one in passages], self.golds[number], also)
        found = chain.from_iterable(one.sources or (one.chunk.document_id,) for one in passages)
        return list(dict.fromkeys(found)), self.case.questions[number].relevant

    def _texts(self) -> Callable[[str], str]:
        return {one.source: one.text for one in self.case.documents}.__getitem__

    def scores(self, judged: Sequence[Judged]) -> dict[str, list[float]]:
        """Each measure of each question."""
        return {name: [score(*one) for one in judged] for name, score in MEASURES.items()}

    def row(self, embedder: str, retriever: str, judged: Sequence[Judged], search_ms: float, embed_ms: float) -> Row:
        """Judged."""
        sizes = len(self.chunks), len(self.questions)
        return Row(self.name, *sizes, embedder, retriever, self.scores(judged), search_ms, embed_ms)


@dataclass
class Finder:
    """A retriever and refiners, as a book runs them, on the store of one set."""

    specs: tuple[Spec, ...]
    task: Task
    embedder: Embedder
    store: Store
    llm: Any

    def __post_init__(self) -> None:
        documents = {document.source: document for document in self.task.case.documents}
        self._document: Callable[[Passage], Document] = lambda passage: documents[passage.chunk.document_id]
        given = {"embedder": self.embedder, "store": self.store, "document": self._document, "llm": self.llm}
        self._retrieve: Retriever = registry.make("retriever", self.specs[0])
        self._refiners: list[Refiner] = [registry.make("refiners", spec, **given) for spec in self.specs[1:]]
        spoken, asked = languages(self.task.name)
        known = self.embedder.languages
        self._foreign = spoken != asked and (not known or asked in known)

    def __call__(self, question: str, vector: Vectors) -> list[Passage]:
        count = max(SPARE * K, POOL) if self._refiners else DEPTH
        passages = self._find(question, count, vector)
        if self._refiners:
            passages = [self._with_origin(passage) for passage in passages]
        for refine in self._refiners:
            passages = refine(question, passages, K)
        return passages

    def _find(self, question: str, count: int, vector: Vectors) -> list[Passage]:
        found = self._retrieve(question, count, self.store, lambda _: vector, foreign=self._foreign)
        if found or not phrases(question):
            return found
        return self._retrieve(unquoted(question), count, self.store, lambda _: vector, foreign=self._foreign)

    def _with_origin(self, passage: Passage) -> Passage:
        document = self._document(passage)
        return replace(passage, sources=(document.source,), title=document.title, fields=document.fields)


def embedded(embedder: Embedder, texts: Sequence[str], kind: Kind, cache: Path | None) -> Vectors:
    """The vectors of these texts, from `cache` if they were embedded before."""
    path = cache and cache / f"{digest(embedder.fingerprint, kind, *texts)}.npy"
    if path and path.exists():
        return np.asarray(np.load(path), np.float32)
    vectors = embedder.embed(texts, kind)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors)
    return vectors


def fill(store: Store, chunks: Sequence[Chunk], vectors: Vectors, language: str = "") -> None:
    """As a book does it: in pieces, then indexed."""
    for start in range(0, len(chunks), 2048):
        store.add(chunks[start : start + 2048], vectors[start : start + 2048])
    store.optimize(language)


def prepare(options: argparse.Namespace, name: str, embedder: Embedder) -> Task:
    """A set, split for an embedder as a book would: chunks that do not fit its window are cut."""
    case = load(options.data, name, titles=options.titles)
    splitter = fitting(registry.make("splitter", Spec.parse(options.splitter), spans=embedder.tokens), embedder)
    chunks = [chunk for document in case.documents for chunk in splitter(document, document.source)]
    return Task(name, case, chunks, [] if case.by_document else case.golds())


def compared(
    options: argparse.Namespace, task: Task, spec: str, embedder: Embedder, retrievers: Sequence[str]
) -> Iterator[Row]:
    """A row for each retriever, by one embedder."""
    vectors = embedded(embedder, [chunk.indexed for chunk in task.chunks], "document", options.cache)
    asked = embedded(embedder, task.questions, "query", options.cache)
    embed_ms = median_ms(lambda question: embedder.embed([question], "query"), task.questions[:TIMED])
    llm = registry.make("llm", Spec.parse(options.llm)) if options.llm else None
    with tempfile.TemporaryDirectory() as scratch:
        store = registry.make("store", Spec.parse(options.store), folder=Path(scratch), dim=embedder.dim)
        with closing(store):
            fill(store, task.chunks, vectors, languages(task.name)[0])
            for retriever in retrievers:
                find = Finder(parse_many(retriever), task, embedder, store, llm)
                find(task.questions[0], asked[0])
                judged, seconds = [], []
                for number, (question, vector) in enumerate(zip(task.questions, asked, strict=True)):
                    began = time.perf_counter()
                    passages = find(question, vector)
                    seconds.append(time.perf_counter() - began)
                    judged.append(task.units(number, passages))
                of_words = parse_many(retriever)[0].name == "bm25"
                made_by = ("", 0.0) if of_words else (spec, embed_ms)
                yield task.row(made_by[0], retriever, judged, 1000 * statistics.median(seconds), made_by[1])


# Other programs.


def handed_out(task: Task, folder: Path) -> Path:
    """Where the chunks and questions of a set are written for other programs; its name says what is in it."""
    chunks = [(chunk_id(chunk), chunk.indexed) for chunk in task.chunks]
    path = folder / f"{task.name}.{digest(chunks, task.questions)}.chunks.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"chunks": chunks, "questions": task.questions}), "utf-8")
    return path


def of_peers(task: Task, path: Path) -> Iterator[Row]:
    """A row for each peer whose rankings of these chunks are there."""
    chunks = {chunk_id(chunk): chunk for chunk in task.chunks}
    for peer in PEERS:
        run = path.with_name(path.name.replace(".chunks.", f".{peer}."))
        if run.exists():
            found = json.loads(run.read_text("utf-8"))
            judged = [
                task.units(number, [Passage(chunks[name], 0.0, peer) for name in names])
                for number, names in enumerate(found["ranking"])
            ]
            yield task.row("fp32", peer, judged, found["search_ms"], found["embed_ms"])


# Tests and tables.


def chances(rows: Sequence[Row], judge: str) -> list[tuple[int, str, float]]:
    """(row's number, against, p before correction) for the rows of one set."""
    found = []
    for against in AGAINST:
        for base in [row for row in rows if row.retriever == against]:
            others = [
                (number, row)
                for number, row in enumerate(rows)
                if row.retriever not in {"bm25", against}
                and (against in {"bm25", *PEERS} or row.embedder == base.embedder)
                and not (row.retriever in PEERS and against in {"dense", *PEERS})
            ]
            if others:
                values = p_values(base.scores[judge], [row.scores[judge] for _, row in others], rounds=ROUNDS)
                found += [(number, against, p) for (number, _), p in zip(others, values, strict=True)]
    return found


def correct(rows: Sequence[Row], tests: Sequence[tuple[int, str, float]]) -> None:
    """Note the p with the rows, corrected for the tests of their column."""
    for column in AGAINST:
        here = [(number, p) for number, against, p in tests if against == column]
        for (number, _), p in zip(here, holm([p for _, p in here]), strict=True):
            rows[number].p[column] = p


def pooled(rows: Sequence[Row]) -> list[Row]:
    """The mean of each way to find over the sets that all ways were tried on, as scores of one question each."""
    ways = dict.fromkeys((row.embedder, row.retriever) for row in rows)
    tried = Counter(row.set for row in rows)
    common = [row for row in rows if tried[row.set] == len(ways)]
    if len(common) <= len(ways):
        return []
    means = []
    for way in ways:
        found = [row for row in common if (row.embedder, row.retriever) == way]
        scores = {name: [statistics.fmean(row.scores[name]) for row in found] for name in MEASURES}
        sizes = sum(row.chunks for row in found), sum(row.questions for row in found)
        times = statistics.fmean(row.search_ms for row in found), statistics.fmean(row.embed_ms for row in found)
        means.append(Row(f"mean of {len(found)} sets", *sizes, *way, scores, *times))
    return means


def shown(rows: Sequence[Row]) -> str:
    """The table of all rows."""
    against = [name for name in AGAINST if any(name in row.p for row in rows)]
    lines: list[list[str]] = [
        ["set", "embedder", "retriever", *MEASURES, "ms", "+ question", *(f"p {name}" for name in against)]
    ]
    before = ""
    for row in rows:
        label = f"{row.set}: {row.chunks:,} chunks, {row.questions:,} questions" if row.set != before else ""
        before = row.set
        numbers = [f"{value:.1f}" for value in row.means.values()]
        times = [f"{row.search_ms:.1f}", f"{row.search_ms + row.embed_ms:.1f}"]
        values = [small(row.p[name]) if name in row.p else "" for name in against]
        lines.append([label, row.embedder, row.retriever, *numbers, *times, *values])
    return table(lines)


def small(p: float) -> str:
    """A p value as it is read: .012, or <.001."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def judged(rows: Sequence[Row], judge: str, embedder: str, recipe: str) -> str:
    """A line for each set: the recipe beside the better of words and meaning, and beside the peers."""
    lines = [["set", "bm25", "dense", recipe, "- best of both", "p", *(f"- {peer} (p)" for peer in PEERS)]]
    for name in dict.fromkeys(row.set for row in rows):
        by_name = {row.retriever: row for row in rows if row.set == name and row.embedder in {"", embedder, "fp32"}}
        ours = by_name.get(recipe)
        if ours is None or not {"bm25", "dense"} <= set(by_name):
            continue
        value = {key: row.means[judge] for key, row in by_name.items()}
        best = max("bm25", "dense", key=lambda key: value[key])
        line = [
            name,
            *(f"{value[key]:.1f}" for key in ("bm25", "dense", recipe)),
            f"{value[recipe] - value[best]:+.1f}",
        ]
        line.append(small(ours.p[best]) if best in ours.p else "")
        for peer in PEERS:
            p = f" ({small(ours.p[peer])})" if peer in ours.p else ""
            line.append(f"{value[recipe] - value[peer]:+.1f}{p}" if peer in value else "")
        lines.append(line)
    return table(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print; `words` are those of the command line."""
    options = arguments().parse_args(words)
    about = machine()  # before our own load
    embedders = {spec: registry.make("embedder", Spec.parse(spec)) for spec in parts(options.embedders)}
    retrievers, first = parts(options.retrievers), next(iter(embedders))
    rows: list[Row] = []
    tests: list[tuple[int, str, float]] = []
    tasks = {name: prepare(options, name, embedders[first]) for name in options.sets.split(",")}
    handed = {name: handed_out(task, options.runs) for name, task in tasks.items()} if options.runs else {}
    if options.chunks_only:
        return
    if options.peer_python:
        command = [options.peer_python, Path(__file__).with_name("peers.py"), "--runs", options.runs]
        subprocess.run([*command, "--weights", options.weights], check=True)
    for name, task in tasks.items():
        here = [
            row
            for spec, embedder in embedders.items()
            for row in compared(
                options, task if spec == first else prepare(options, name, embedder), spec, embedder,
                [one for one in retrievers if spec == first or not one.startswith("bm25")],
            )
        ]  # fmt: skip
        here += of_peers(task, handed[name]) if handed else []
        tests += [(len(rows) + number, against, p) for number, against, p in chances(here, options.judge)]
        rows += here
    correct(rows, tests)
    print(f"{about}\n\n`{options.splitter}`, `{options.store}`; ms: medians\n\n{shown([*rows, *pooled(rows)])}\n")
    print(
        f"{options.judge}; {len(tests)} tests\n\n{judged([*rows, *pooled(rows)], options.judge, first, retrievers[-1])}"
    )
    if options.json:
        about_run = {"machine": about, "splitter": options.splitter, "store": options.store, "judge": options.judge}
        told = [row.to_dict() for row in [*rows, *pooled(rows)]]
        options.json.write_text(json.dumps({**about_run, "tests": len(tests), "rows": told}, indent=1), "utf-8")


def parts(text: str) -> list[str]:
    """Specs parted by ';'."""
    return [part.strip() for part in text.split(";") if part.strip()]


def arguments() -> argparse.ArgumentParser:
    """What can be chosen."""
    recipe = Recipe()
    default = " + ".join(map(str, (recipe.retriever, *recipe.refiners)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--embedders", default="minilm", help="parted by ';'")
    parser.add_argument("--retrievers", default=f"bm25; dense; {default}", help="parted by ';', the last one is judged")
    parser.add_argument("--splitter", default=str(recipe.splitter))
    parser.add_argument("--store", default="lance")
    parser.add_argument("--llm", default="", help="for refiners that need one")
    parser.add_argument("--titles", action="store_true", help="put each document's title before its text, as BEIR does")
    parser.add_argument("--judge", default="nDCG@10", choices=MEASURES, help="the measure that is tested")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--runs", type=Path, help="folder of chunks for peers and their rankings")
    parser.add_argument("--chunks-only", action="store_true", help="write the chunks for peers and end")
    parser.add_argument("--peer-python", help="has requirements-peers.txt installed: runs the peers first")
    parser.add_argument("--weights", help="sentence-transformers' folder of all-MiniLM-L6-v2, for the peers")
    parser.add_argument("--json", type=Path, help="writes all numbers there too")
    return parser


if __name__ == "__main__":
    main()
