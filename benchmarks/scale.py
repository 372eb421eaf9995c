"""How a store of very many chunks builds and searches: recall against exact search, latency, memory, filters.

    python benchmarks/scale.py --rows 1000000 --text FOLDER [--keep FOLDER] [--vectors FILE.npy]

Prints Markdown. Texts are those of the files in FOLDER (`make_corpus.py` writes 1.6 GB of them), and of the King James
Bible, its lines again in another order when there are too few. A million real vectors would take two hours, so they are
made of 20,000 real ones: each is a real chunk's, moved up to half way to one of its 16 nearest, and then by 0.35 of the
difference of two chunks taken at random. The ten nearest of a held-out real chunk then lie as far away as they do among
real chunks (whose distances shrink by .92 each time there are twice as many). Held-out real chunks are the questions;
what is exactly nearest to them is counted while building, not asked of the store.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine, measured, table

from openbook import registry
from openbook.demo import kjv
from openbook.errors import OpenbookError
from openbook.recipe import Recipe, Spec
from openbook.types import Chunk, Document, Embedder, Passage, Reader, Retriever, Splitter, Store, Vectors

REAL = 20_000  # chunks whose vectors the others are made of
QUESTIONS = 200
EXACT = 5  # questions asked of exact search: it takes seconds
BATCH = 8192  # as a book adds them
DOCUMENT = 10  # chunks: of a million, a filter may name 100,000 documents
NEAREST = 10
NEIGHBOURS, DISTURBED = 16, 0.35
SHARES = (0.001, 0.05, 0.3, 0.9)  # of the documents that a filter leaves


def texts(folder: Path | None, scratch: Path) -> Iterator[str]:
    """Texts of 500 characters, in the order of the files shuffled; without end."""
    read: Reader = registry.make("reader", Recipe().reader)
    split: Splitter = registry.make("splitter", Recipe().splitter)
    order = random.Random(0)
    files = [kjv(scratch)] + (sorted(path for path in folder.rglob("*") if path.is_file()) if folder else [])
    order.shuffle(files)
    for path in files:
        try:
            for document in read(path):
                if isinstance(document, Document):
                    yield from (chunk.text for chunk in split(document, ""))
        except OpenbookError:  # what cannot be read is not what is measured
            continue
    lines = kjv(scratch).read_text(encoding="utf-8").splitlines()
    while True:
        yield " ".join(order.sample(lines, 4))[:500]


def real_vectors(folder: Path | None, scratch: Path, file: Path | None) -> Vectors:
    """Vectors of chunks of these texts, from a file if there is one; of MiniLM, 384 numbers each."""
    if file and file.exists():
        return np.asarray(np.load(file), np.float32)
    embedder: Embedder = registry.make("embedder", Recipe().embedder)
    some = list(islice(texts(folder, scratch), 0, 10 * (REAL + QUESTIONS), 10))
    vectors = embedder.embed(some, "document")
    if file:
        np.save(file, vectors)
    return vectors


class Spread:
    """Makes vectors that lie among each other as real ones do."""

    def __init__(self, real: Vectors) -> None:
        self.real = real[:-QUESTIONS]
        self.questions = real[-QUESTIONS:]
        parts = np.array_split(np.arange(len(self.real)), max(1, len(self.real) // 2000))
        self._near = np.concatenate(
            [
                np.argpartition(-(self.real[part] @ self.real.T), NEIGHBOURS + 1, axis=1)[:, : NEIGHBOURS + 1]
                for part in parts
            ]
        )
        self._random = np.random.default_rng(0)

    def make(self, count: int) -> Vectors:
        """So many new vectors of length 1."""
        one, other, third = self._random.integers(0, len(self.real), (3, count))
        near = self._near[one, self._random.integers(0, NEIGHBOURS + 1, count)]
        part = self._random.uniform(0, 0.5, (count, 1)).astype(np.float32)
        moved = (1 - part) * self.real[one] + part * self.real[near]
        moved += np.float32(DISTURBED) * (self.real[other] - self.real[third])
        vectors: Vectors = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        return vectors


def name(document: int) -> str:
    """The id of a document, as long as a book's, in an order that says nothing."""
    return hashlib.sha256(str(document).encode()).hexdigest()[:16]


def chosen(documents: np.ndarray[Any, Any], share: float) -> np.ndarray[Any, Any]:
    """Which documents a filter leaves: that share, spread over all."""
    mixed: np.ndarray[Any, Any] = (documents.astype(np.uint64) * np.uint64(2654435761) % np.uint64(1 << 32)) < share * (
        1 << 32
    )
    return mixed


class Best:
    """The rows exactly nearest to each question, among those that a filter leaves."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.scores = np.full((QUESTIONS, NEAREST), -2.0, np.float32)
        self.rows = np.zeros((QUESTIONS, NEAREST), np.int64)

    def see(self, scores: Vectors, first: int) -> None:
        """Take in scores of shape (QUESTIONS, n) of the rows from `first` on."""
        kept = np.flatnonzero(chosen(np.arange(first, first + scores.shape[1]) // DOCUMENT, self.share))
        every = np.concatenate([self.scores, scores[:, kept]], axis=1)
        rows = np.concatenate([self.rows, np.broadcast_to(first + kept, (QUESTIONS, len(kept)))], axis=1)
        order = np.argpartition(-every, NEAREST - 1, axis=1)[:, :NEAREST]
        self.scores, self.rows = np.take_along_axis(every, order, 1), np.take_along_axis(rows, order, 1)


def build(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Fill a store; what it took. A chunk's start is its row, so that a passage says which row it is."""
    with tempfile.TemporaryDirectory() as scratch:
        spread = Spread(real_vectors(options.text, Path(scratch), options.vectors))
        best = [Best(share) for share in (1.0, *SHARES)]
        asked: list[str] = []
        adding: list[float] = []
        store: Store = registry.make("store", Spec.parse(options.store), folder=folder / "store", dim=384)
        with closing(store):
            rows = enumerate(islice(texts(options.text, Path(scratch)), options.rows))
            while part := list(islice(rows, BATCH)):
                first = part[0][0]
                chunks = [Chunk(name(row // DOCUMENT), row, row + len(text), text) for row, text in part]
                vectors = spread.make(len(part))
                scores = spread.questions @ vectors.T
                for one in best:
                    one.see(scores, first)
                asked += (" ".join(text.split()[4:12]) for _, text in part[:: BATCH // 4])
                began = time.perf_counter()
                store.add(chunks, vectors)
                adding.append(time.perf_counter() - began)
    truths: dict[str, Any] = {str(one.share): one.rows for one in best}
    np.savez(folder / "best.npz", questions=spread.questions, **truths)
    words = random.Random(1).sample(asked, min(QUESTIONS, len(asked)))
    (folder / "questions.json").write_text(json.dumps(words), encoding="utf-8")
    tenth = max(1, len(adding) // 10)
    return {
        "add s": sum(adding),
        "add ms first, last": [1000 * statistics.median(adding[:tenth]), 1000 * statistics.median(adding[-tenth:])],
    }


def optimize(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make the indexes, in a process of its own; what it took."""
    store: Store = registry.make("store", Spec.parse(options.store), folder=folder / "store", dim=384)
    found: dict[str, Any] = {}
    with closing(store):
        for what in ("optimize", "again"):
            began, busy = time.perf_counter(), time.process_time()
            store.optimize()
            found[f"{what} s"], found[f"{what} CPU s"] = time.perf_counter() - began, time.process_time() - busy
    found["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 * 1.048576
    found["disk MB"] = sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file()) / 1e6
    return found


def search(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Recall and latency of each kind of search; a fresh process, so that its memory is that of searching."""
    store: Store = registry.make("store", Spec.parse(options.store), folder=folder / "store", dim=384)
    hybrid: Retriever = registry.make("retriever", Recipe().retriever)
    best = np.load(folder / "best.npz")
    questions = best["questions"]
    words: list[str] = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    words = [words[number % len(words)] for number in range(len(questions))]
    found: dict[str, Any] = {}

    def timed(label: str, one: Callable[[int], list[Passage]], truth: str = "", count: int = QUESTIONS) -> None:
        began = time.perf_counter()
        one(0)
        first = time.perf_counter() - began
        seconds, shares = [], []
        busy = time.process_time()
        for number in range(count):
            began = time.perf_counter()
            passages = one(number)
            seconds.append(time.perf_counter() - began)
            if truth:
                rows = {passage.chunk.start for passage in passages}
                shares.append(len(rows & set(best[truth][number].tolist())) / NEAREST)
        busy = (time.process_time() - busy) / count
        spent = (first, statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1], busy)
        recall = f"{statistics.fmean(shares):.3f}" if shares else ""
        found[label] = [recall, *(f"{1000 * each:.1f}" for each in spent)]

    with closing(store):
        count = len(store)
        timed("nearest", lambda number: store.nearest(questions[number], NEAREST), "1.0")
        timed("match", lambda number: store.match(words[number], NEAREST))
        timed("match, a phrase", lambda number: store.match('"' + words[number].replace('"', "") + '"', NEAREST))
        timed("hybrid", lambda number: hybrid(words[number], NEAREST, store, lambda _: questions[number]))
        found["memory, unfiltered"] = resident_mb()
        documents = np.arange(-(-count // DOCUMENT))
        for share in SHARES:
            within = {name(number) for number in documents[chosen(documents, share)].tolist()}
            label = f"{100 * share:g} % ({len(within):,} documents)"

            def nearest(number: int, within: set[str] = within) -> list[Passage]:
                return store.nearest(questions[number], NEAREST, within=within)

            def match(number: int, within: set[str] = within) -> list[Passage]:
                return store.match(words[number], NEAREST, within=within)

            timed(f"nearest, {label}", nearest, str(share), options.filtered)
            timed(f"match, {label}", match, "", options.filtered)
        found["memory"] = resident_mb()
        timed("exact", lambda number: store.nearest(questions[number], NEAREST, exact=True), "1.0", EXACT)
    return found


def resident_mb() -> float:
    """Resident memory of this process, as Linux counts it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024 * 1.048576


STEPS = {"build": build, "optimize": optimize, "search": search}


def main() -> None:
    """Build, search, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--text", type=Path, help="folder of documents; without it, the King James Bible")
    parser.add_argument("--keep", type=Path, help="folder for the store; one that was built there is used again")
    parser.add_argument("--vectors", type=Path, help="file that keeps the real vectors between runs")
    parser.add_argument("--store", default=str(Recipe().store))
    parser.add_argument("--filtered", type=int, default=60, help="questions asked with each filter")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(STEPS[options.step](options, options.keep)))
        return
    about = machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        again = [sys.executable, __file__, *sys.argv[1:], "--keep", str(folder)]
        print(f"{about}; {options.rows:,} rows, `{options.store}`\n", flush=True)
        if not (folder / "questions.json").exists():
            built = json.loads(measured([*again, "--step", "build"]).output)
            built |= json.loads(measured([*again, "--step", "optimize"]).output)
            first, last = built.pop("add ms first, last")
            built = {key: f"{value:.1f}" for key, value in built.items()}
            built["add 8192, first and last tenth, ms"] = f"{first:.0f}, {last:.0f}"
            print(table([list(built), list(built.values())]) + "\n", flush=True)
        run = measured([*again, "--step", "search"])
        found = json.loads(run.output)
        before, after = found.pop("memory, unfiltered"), found.pop("memory")
        head = ["search", "recall@10", "first ms", "p50 ms", "p95 ms", "CPU ms"]
        print(table([head, *([key, *row] for key, row in found.items())]))
        memory = f"{before:.0f} MB before the filters, {after:.0f} MB with them, {run.peak_mb:.0f} MB in exact search"
        print(f"\nResident: {memory}.")


if __name__ == "__main__":
    main()
