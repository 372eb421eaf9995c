"""What a splitter does to finding the answer, judged by where the answer stands, not by whose chunk it is.

    python benchmarks/splitting.py --data ../shared/data --sets bible,kafka --cache vectors
    python benchmarks/splitting.py --speed big.md

Prints Markdown. A chunk is right when it holds half of a gold verse or quote (bible, kafka, nave), a gold answer inside
its paragraph (squad1), lies on a gold page for the most part (reports), or is of the gold document (clapnq, til). R@k:
share of the questions with a right chunk among the first k. R@2500c: among the first of 2,500 characters together, as
longer chunks fill a prompt sooner. p: paired randomisation test of the reciprocal ranks against the first splitter,
without correction for the number of rows.
"""

from __future__ import annotations

import argparse
import os
import re
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from answers import share
from measure import machine, table
from metrics import p_value
from retrieval import documents, fill, lines, questions

from openbook import registry
from openbook.demo import kjv
from openbook.recipe import Spec, digest
from openbook.types import Chunk, Document, Embedder, Passage, Retriever, Splitter, Vectors

SPLITTERS = (
    "chars(size=500)",
    "structure(size=500)",
    "structure(size=500, context=False)",
    "sentences(size=500)",
    "tokens(size=128)",
    "chars(size=1000)",
    "structure(size=1000)",
)
RETRIEVERS = ("hybrid", "bm25", "dense")
KS = (1, 5, 10)
BUDGET = 2500  # characters of passages in a prompt
DEPTH = 30  # passages asked for: as many as fill the budget when chunks are small
HALF = 0.5

Found = dict[str, list[list[float]]]
"""Retriever -> the scores of each question."""

Gold = dict[str, list[tuple[int, int]]]
"""Document's source -> the characters where an answer stands."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and which chunks answer it."""

    text: str
    right: Callable[[Chunk], bool]


@dataclass(frozen=True, slots=True)
class Case:
    """Documents and what is asked about them; a chunk's document_id is its document's source."""

    documents: list[Document]
    questions: list[Question]


def holds(gold: Gold, least: float) -> Callable[[Chunk], bool]:
    """Whether a chunk has at least that share of one of the stretches."""

    def right(chunk: Chunk) -> bool:
        return any(
            min(chunk.end, end) - max(chunk.start, start) >= least * (end - start)
            for start, end in gold.get(chunk.document_id, [])
        )

    return right


def bible(data: Path) -> Case:
    """The Bible of the package; a few plain questions with gold verses."""
    document, verses = _bible()
    asked = [
        Question(
            one["question"],
            holds({document.source: [verses[verse.replace(" ", "")] for verse in one["verses"]]}, HALF),
        )
        for one in lines(data / "bible-kjv" / "gold.jsonl")
    ]
    return Case([document], asked)


def nave(data: Path) -> Case:
    """The Bible again; Nave's topics with the verses he lists, in runs such as 'Genesis 1:1-6'."""
    document, verses = _bible()
    asked = []
    for one in questions(data / "bible-kjv", ".nave"):
        spans = [span for name in one.relevant for span in _run(name, verses)]
        asked.append(Question(one.text, holds({document.source: spans}, HALF)))
    return Case([document], asked)


def _bible() -> tuple[Document, dict[str, tuple[int, int]]]:
    with tempfile.TemporaryDirectory() as folder:
        (document,) = registry.make("reader", Spec("auto"))(kjv(Path(folder)))
    starts = [offset for offset, _ in document.marks] + [len(document.text)]
    verses = {
        label.replace(" ", ""): (starts[index], starts[index + 1]) for index, (_, label) in enumerate(document.marks)
    }
    return replace(document, source="kjv.txt"), verses


def _run(name: str, verses: dict[str, tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The verses of 'Genesis 1:1-6'."""
    chapter, _, run = name.replace(" ", "").rpartition(":")
    first, _, last = run.partition("-")
    for verse in range(int(first), int(last or first) + 1):
        if span := verses.get(f"{chapter}:{verse}"):
            yield span


def kafka(data: Path) -> Case:
    """Kafka's documentation from its HTML pages; gold quotes."""
    source = data / "kafka-docs" / "source"
    read = registry.make("reader", Spec("auto"))
    pages = [page for path in sorted(source.rglob("*.html")) for page in read(path) if isinstance(page, Document)]
    asked = []
    for one in lines(data / "kafka-docs" / "gold.jsonl"):
        quotes = [" ".join(gold["quote"].split()) for gold in one["gold"]]

        def right(chunk: Chunk, quotes: list[str] = quotes) -> bool:
            text = " ".join(chunk.text.split())
            return any(share(quote, text) >= HALF for quote in quotes)

        asked.append(Question(one["question"], right))
    return Case(pages, asked)


def reports(data: Path) -> Case:
    """Companies' reports from PDFs; gold pages."""
    read = registry.make("reader", Spec("auto"))
    found = {
        path.stem: replace(document, source=path.stem)
        for path in sorted((data / "reports-pdf" / "pdfs").glob("*.pdf"))
        for document in read(path)
        if isinstance(document, Document)
    }
    asked = []
    for one in lines(data / "reports-pdf" / "gold.jsonl"):
        spans: Gold = defaultdict(list)
        for gold in one["gold"]:
            spans[gold["doc"]].append(_page(found[gold["doc"]], gold["page"]))
        asked.append(Question(one["question"], lambda chunk, spans=spans: _mostly(chunk, spans)))  # type: ignore[misc]
    return Case(list(found.values()), asked)


def named(data: Path) -> Case:
    """As `reports`, each document with its file's name as title."""
    case = reports(data)
    return replace(
        case, documents=[replace(document, title=document.source.replace("_", " ")) for document in case.documents]
    )


def _page(document: Document, number: int) -> tuple[int, int]:
    starts = [*document.marks, (len(document.text), "")]
    return next(
        ((start, starts[i + 1][0]) for i, (start, label) in enumerate(starts[:-1]) if label == f"page {number}"), (0, 0)
    )


def _mostly(chunk: Chunk, spans: Gold) -> bool:
    """Whether half of a chunk lies in one of the stretches."""
    return any(
        min(chunk.end, end) - max(chunk.start, start) >= HALF * (chunk.end - chunk.start)
        for start, end in spans.get(chunk.document_id, [])
    )


def squad1(data: Path) -> Case:
    """Wikipedia articles: the paragraphs of one title joined; gold are the answers inside the gold paragraph."""
    folder = data / "squad1"
    texts: dict[str, str] = {}
    where: dict[str, tuple[str, int, int]] = {}
    for one in lines(folder / "corpus.jsonl"):
        text = texts.get(one["title"], "")
        start = len(text) + 2 if text else 0
        texts[one["title"]] = f"{text}\n\n{one['text']}" if text else one["text"]
        where[one["_id"]] = (one["title"], start, start + len(one["text"]))
    answers = {one["text"]: one["answers"] for one in lines(folder / "queries.jsonl")}
    asked = []
    for question in questions(folder, ""):
        spans: Gold = defaultdict(list)
        for title, start, end in (where[name] for name in question.relevant):
            for answer in answers[question.text]:
                found = re.finditer(re.escape(answer), texts[title][start:end])
                spans[title] += [(start + match.start(), start + match.end()) for match in found]
        if spans:
            asked.append(Question(question.text, holds(spans, 1.0)))
    return Case([Document(text, title, title.replace("_", " ")) for title, text in texts.items()], asked)


def beir(folder: Path) -> Case:
    """Documents of a set in BEIR's layout; every chunk of a gold document is right."""
    found = [replace(document, source=name) for name, document in documents(folder, titles=False)]
    asked = [
        Question(one.text, lambda chunk, ids=frozenset(one.relevant): chunk.document_id in ids)  # type: ignore[misc]
        for one in questions(folder, "")
    ]
    return Case(found, asked)


def til(data: Path) -> Case:
    """Short notes in Markdown."""
    case, read = beir(data / "til-posts"), registry.make("reader", Spec("markdown"))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for document in case.documents:
            path = Path(folder) / f"{document.source}.md"
            path.write_text(document.text, encoding="utf-8")
            found += [replace(one, source=document.source) for one in read(path)]
    return replace(case, documents=found)


SETS: dict[str, Callable[[Path], Case]] = {
    "bible": bible,
    "nave": nave,
    "kafka": kafka,
    "reports": reports,
    "reports-named": named,
    "squad1": squad1,
    "clapnq": lambda data: beir(data / "clapnq"),
    "til": til,
}


class Vault:
    """Vectors on disk, so that each text is embedded once however many splitters make it."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.embedder = embedder
        self._rows = sqlite3.connect(folder / "vectors.sqlite")
        self._rows.execute("CREATE TABLE IF NOT EXISTS vector (id TEXT PRIMARY KEY, numbers BLOB)")

    def vectors(self, texts: Sequence[str], kind: Any) -> Vectors:
        """As `Embedder.embed`."""
        ids = [digest(self.embedder.fingerprint, kind, text) for text in texts]
        new = {id_: text for id_, text in zip(ids, texts, strict=True) if not self._get(id_)}
        for start in range(0, len(new), 1024):
            some = list(new)[start : start + 1024]
            numbers = self.embedder.embed([new[id_] for id_ in some], kind)
            with self._rows:
                pairs = zip(some, numbers, strict=True)
                self._rows.executemany("INSERT INTO vector VALUES (?, ?)", [(id_, row.tobytes()) for id_, row in pairs])
        found = np.frombuffer(b"".join(self._get(id_) for id_ in ids), np.float32)
        return found.reshape(len(texts), self.embedder.dim)

    def _get(self, id_: str) -> bytes:
        row = self._rows.execute("SELECT numbers FROM vector WHERE id = ?", (id_,)).fetchone()
        return row[0] if row else b""


def scores(question: Question, passages: Sequence[Passage]) -> list[float]:
    """For one question: right among the first k for each k, among the first BUDGET characters, reciprocal rank."""
    right = [question.right(passage.chunk) for passage in passages]
    shown, used = 0, 0
    for passage in passages:
        used += len(passage.chunk.text)
        if used > BUDGET:
            break
        shown += 1
    rank = next((rank for rank, yes in enumerate(right[:10], 1) if yes), 0)
    return [*(float(any(right[:k])) for k in KS), float(any(right[:shown])), 1 / rank if rank else 0.0]


def split(splitter: Splitter, case: Case) -> list[Chunk]:
    """The chunks of all documents of a set."""
    return [chunk for document in case.documents for chunk in splitter(document, document.source)]


def measure(case: Case, chunks: list[Chunk], vault: Vault, store_spec: str, retrievers: Sequence[str]) -> Found:
    """The scores of each question, for each retriever."""
    asked = vault.vectors([question.text for question in case.questions], "query")
    vectors = vault.vectors([chunk.indexed for chunk in chunks], "document")
    with tempfile.TemporaryDirectory() as folder:
        dim = vault.embedder.dim
        with closing(registry.make("store", Spec.parse(store_spec), folder=Path(folder), dim=dim)) as store:
            fill(store, chunks, vectors)
            found: Found = {}
            for name in retrievers:
                retrieve: Retriever = registry.make("retriever", Spec.parse(name))
                found[name] = [
                    scores(question, retrieve(question.text, DEPTH, store, lambda _, vector=vector: vector))  # type: ignore[misc]
                    for question, vector in zip(case.questions, asked, strict=True)
                ]
    return found


def rows_of(label: str, spec: str, size: Sequence[object], found: Found, baseline: Found) -> list[list[object]]:
    """A row for each retriever; `baseline` is what the first splitter found."""
    rows: list[list[object]] = []
    for retriever, each in found.items():
        means = [f"{100 * statistics.fmean(column):.1f}" for column in zip(*each, strict=True)]
        against = [[one[-1] for one in scored] for scored in (baseline[retriever], each)]
        p = "" if found is baseline else f"{p_value(*against):.4f}"
        rows.append([*([label, f"`{spec}`"] if not rows else ["", ""]), *size, retriever, *means, p])
    return rows


HEADING: list[object] = [
    "set", "splitter", "chunks", "chars", "retriever", *(f"R@{k}" for k in KS), f"R@{BUDGET}c", "MRR@10", "p"
]  # fmt: skip


def speed(paths: Sequence[Path], splitters: Sequence[str], embedder: Embedder) -> list[list[object]]:
    """Megabytes of text a second that each splitter takes in."""
    texts = {"kjv.txt": _bible()[0]} | {path.name: next(registry.make("reader", Spec("auto"))(path)) for path in paths}
    rows: list[list[object]] = [["splitter", *(f"{name}, MB/s" for name in texts)]]
    for spec in splitters:
        splitter = registry.make("splitter", Spec.parse(spec), spans=embedder.tokens)
        embedder.tokens("load")
        row: list[object] = [f"`{spec}`"]
        for document in texts.values():
            began = time.process_time()
            for _ in splitter(document, ""):
                pass
            row.append(f"{len(document.text.encode()) / 1e6 / (time.process_time() - began):.1f}")
        rows.append(row)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--sets", default="bible,nave,kafka,reports,squad1,clapnq,til")
    parser.add_argument("--splitters", default=" + ".join(SPLITTERS), help="the first one is what p compares with")
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument("--store", default="lance")
    parser.add_argument("--retrievers", default=",".join(RETRIEVERS))
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--speed", type=Path, nargs="*", help="measure speed instead, on the Bible and these files")
    options = parser.parse_args()

    about = machine()  # before our own load
    embedder: Embedder = registry.make("embedder", Spec.parse(options.embedder))
    splitters = options.splitters.split(" + ")
    if options.speed is not None:
        print(f"{about}\n\n{table(speed(options.speed, splitters, embedder))}")
        return
    retrievers = options.retrievers.split(",")
    rows: list[list[object]] = [HEADING]
    pooled: dict[str, Found] = {spec: {name: [] for name in retrievers} for spec in splitters}
    with tempfile.TemporaryDirectory() as scratch:
        vault = Vault(embedder, options.cache or Path(scratch))
        for name in options.sets.split(","):
            case = SETS[name](options.data)
            baseline: Found = {}
            for spec in splitters:
                chunks = split(registry.make("splitter", Spec.parse(spec), spans=embedder.tokens), case)
                found = measure(case, chunks, vault, options.store, retrievers)
                baseline = baseline or found
                size = (len(chunks), round(statistics.fmean(len(chunk.text) for chunk in chunks)))
                label = f"{name}, {len(case.questions)} questions" if found is baseline else ""
                rows += rows_of(label, spec, size, found, baseline)
                print(table([HEADING, *rows[-len(retrievers) :]]), flush=True)
                for retriever, each in found.items():
                    pooled[spec][retriever] += each
    for spec in splitters:
        label = "all questions" if spec == splitters[0] else ""
        rows += rows_of(label, spec, ("", ""), pooled[spec], pooled[splitters[0]])
    print(f"\n{about}\n\n`{options.embedder}`, `{options.store}`\n\n{table(rows)}")


if __name__ == "__main__":
    main()
