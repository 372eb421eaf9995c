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
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import sets
from measure import machine, table
from retrieval import fill
from sets import Case, Question, whole_bible

from openbook import registry
from openbook.bench.statistics import p_value
from openbook.recipe import Spec, digest
from openbook.types import Chunk, Embedder, Passage, Retriever, Splitter, Vectors

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

Found = dict[str, list[list[float]]]
"""Retriever -> the scores of each question."""

SETS: dict[str, Callable[[Path], Case]] = {
    "bible": sets.bible,
    "nave": sets.nave,
    "kafka": sets.kafka,
    "reports": sets.reports,
    "reports-named": sets.named_reports,
    "squad1": lambda data: sets.squad(data / "squad1"),
    "clapnq": lambda data: sets.beir(data / "clapnq"),
    "til": sets.til,
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
    texts = {"kjv.txt": whole_bible()[0]} | {
        path.name: next(registry.make("reader", Spec("auto"))(path)) for path in paths
    }
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
