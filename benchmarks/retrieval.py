"""How well bm25, dense and hybrid find the passages that answer a question, on sets in BEIR's layout.

    python benchmarks/retrieval.py --data ../shared/data --sets squad1,xquad-en,bible-kjv.nave

Prints Markdown. A set is a folder with corpus.jsonl, queries.jsonl and qrels.tsv; `bible-kjv.nave` takes
queries.nave.jsonl and qrels.nave.tsv. Documents are split, and a document's rank is that of its best chunk. `p` is a
paired randomisation test of hybrid's reciprocal ranks against the row's, without correction for the number of rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine, table
from metrics import Relevant, ndcg, p_value, recall, reciprocal_rank

from openbook import registry
from openbook.recipe import Recipe, Spec, digest
from openbook.types import Chunk, Document, Embedder, Retriever, Store, Vectors

RETRIEVERS = ("bm25", "dense", "hybrid")
DEPTH = 100  # chunks asked for, so that ten documents are among them

HEADING = ["set", "retriever", "R@1", "R@5", "R@10", "MRR@10", "nDCG@10", "ms", "p"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a set."""

    text: str
    relevant: Relevant


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def documents(folder: Path, *, titles: bool) -> Iterator[tuple[str, Document]]:
    """(id, document) of a corpus; with `titles`, each text begins with its title."""
    for one in lines(folder / "corpus.jsonl"):
        title = one.get("title", "")
        text = f"{title}\n{one['text']}" if titles and title else one["text"]
        yield one["_id"], Document(text, f"corpus.jsonl#{one['_id']}", title)


def questions(folder: Path, variant: str) -> list[Question]:
    """Those with at least one relevant document."""
    relevant: dict[str, dict[str, int]] = {}
    with (folder / f"qrels{variant}.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["score"]) > 0:
                relevant.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    asked = lines(folder / f"queries{variant}.jsonl")
    return [Question(one["text"], relevant[one["_id"]]) for one in asked if one["_id"] in relevant]


def embedded(embedder: Embedder, texts: Sequence[str], kind: Any, cache: Path | None) -> Vectors:
    """The vectors of these texts, from `cache` if they were embedded before."""
    path = cache and cache / f"{digest(embedder.fingerprint, kind, *texts)}.npy"
    if path and path.exists():
        return np.asarray(np.load(path), np.float32)
    vectors = embedder.embed(texts, kind)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors)
    return vectors


def ranking(retriever: Retriever, store: Store, question: str, vector: Vectors) -> tuple[list[str], float]:
    """Document ids in the order of their best chunk, and the seconds it took, without embedding the question."""
    began = time.perf_counter()
    passages = retriever(question, DEPTH, store, lambda _: vector)
    seconds = time.perf_counter() - began
    return list(dict.fromkeys(passage.chunk.document_id for passage in passages)), seconds


def fill(store: Store, chunks: Sequence[Chunk], vectors: Vectors) -> None:
    """As a book does it: in pieces, then indexed."""
    for start in range(0, len(chunks), 2048):
        store.add(chunks[start : start + 2048], vectors[start : start + 2048])
    store.optimize()


def compare(
    name: str, store: Store, retrievers: dict[str, Retriever], asked: list[Question], vectors: Vectors
) -> list[Any]:
    """One row for each retriever."""
    found = {
        key: [ranking(one, store, question.text, vector) for question, vector in zip(asked, vectors, strict=True)]
        for key, one in retrievers.items()
    }
    measures = [partial(recall, k=k) for k in (1, 5, 10)] + [partial(reciprocal_rank, k=10), partial(ndcg, k=10)]
    scores = {
        key: [
            [measure(ids, question.relevant) for (ids, _), question in zip(runs, asked, strict=True)]
            for measure in measures
        ]
        for key, runs in found.items()
    }
    rows = []
    for key, values in scores.items():
        milliseconds = statistics.median(seconds for _, seconds in found[key]) * 1000
        p = "" if key == "hybrid" else f"{p_value(scores['hybrid'][3], values[3]):.4f}"
        means = [f"{100 * statistics.fmean(value):.1f}" for value in values]
        rows.append([name if key == RETRIEVERS[0] else "", key, *means, f"{milliseconds:.1f}", p])
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--sets", default="squad1,xquad-en,scifact-small,clapnq,til-posts,bible-kjv,bible-kjv.nave")
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument("--splitter", default=str(Recipe().splitter))
    parser.add_argument("--store", default="lance")
    parser.add_argument("--hybrid", default="hybrid", help="such as 'hybrid(weight=0.5)'")
    parser.add_argument("--titles", action="store_true", help="put each document's title before its text, as BEIR does")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    options = parser.parse_args()

    about = machine()  # before our own load
    splitter = registry.make("splitter", Spec.parse(options.splitter))
    embedder: Embedder = registry.make("embedder", Spec.parse(options.embedder))
    specs = {"bm25": "bm25", "dense": "dense", "hybrid": options.hybrid}
    retrievers = {key: registry.make("retriever", Spec.parse(spec)) for key, spec in specs.items()}
    rows: list[list[str]] = [HEADING]
    for name in options.sets.split(","):
        folder, _, variant = name.partition(".")
        corpus = documents(options.data / folder, titles=options.titles)
        chunks = [chunk for identity, document in corpus for chunk in splitter(document, identity)]
        asked = questions(options.data / folder, variant and f".{variant}")
        vectors = embedded(embedder, [chunk.indexed for chunk in chunks], "document", options.cache)
        asked_vectors = embedded(embedder, [question.text for question in asked], "query", options.cache)
        with tempfile.TemporaryDirectory() as scratch:
            store = registry.make("store", Spec.parse(options.store), folder=Path(scratch), dim=embedder.dim)
            with closing(store):
                fill(store, chunks, vectors)
                label = f"{name}: {len(chunks)} chunks, {len(asked)} questions"
                rows += compare(label, store, retrievers, asked, asked_vectors)
    print(f"{about}\n")
    print(
        f"`{options.splitter}`, `{options.embedder}`, `{options.store}`, `{options.hybrid}`; ms: median, search alone\n"
    )
    print(table(rows))


if __name__ == "__main__":
    main()
