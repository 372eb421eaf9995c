"""Do documents, chunks and index of a book agree? What `openbook check` runs."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from openbook.documents import DamagedError, Documents
from openbook.indexing import identity
from openbook.types import Chunk, Progress, Report, Splitter, Store, Vectors

SAMPLE = 50  # vectors looked up: a recall of .97 is then known to about .02
NEAREST = 10
LOWEST_RECALL = 0.95
SAME_SCORE = 1e-5
BLOCK = 4096  # vectors compared at once


@dataclass(frozen=True, slots=True)
class Check:
    """What was found. Ids are of documents."""

    documents: int
    chunks: int
    orphans: frozenset[str] = frozenset()  # ids that have chunks but no document
    wrong: frozenset[str] = frozenset()  # documents whose chunks are not what splitting them gives
    damaged: frozenset[str] = frozenset()  # documents that are not what their hash says
    sources: tuple[str, ...] = ()  # of those wrong or damaged
    recall: float = 1.0  # share of the 10 nearest that the index finds too, over a sample of chunks
    sampled: int = 0
    repaired: bool = False
    lost: tuple[str, ...] = ()  # files whose documents were damaged, and that are not there to be read again

    @property
    def sound(self) -> bool:
        """Nothing is wrong."""
        return not (self.orphans or self.wrong or self.damaged or self.too_little)

    @property
    def right(self) -> bool:
        """Nothing is wrong, or not any more."""
        return self.sound or (self.repaired and not self.lost and not self.too_little)

    @property
    def too_little(self) -> bool:
        """The index does not find what exact search finds."""
        return self.recall < LOWEST_RECALL


def check(documents: Documents, store: Store, splitter: Splitter, report: Report | None) -> Check:
    """Compare every document with its hash and its chunks, and the index with exact search."""
    held: defaultdict[str, list[int]] = defaultdict(list)
    for chunk in store.chunks():
        held[chunk.document_id].append(hash(chunk))
    total = len(documents)
    damaged, wrong, live = set(), set(), set()
    for number, document_id in enumerate(sorted(documents.ids())):
        if report:
            report(Progress("check", number, total, "documents"))
        live.add(document_id)
        try:
            document = documents.get(document_id)
        except DamagedError:
            document = None
        if document is None:
            damaged.add(document_id)
            continue
        if identity(document) != document_id:
            damaged.add(document_id)
        if sorted(hash(chunk) for chunk in splitter(document, document_id)) != sorted(held.get(document_id, ())):
            wrong.add(document_id)
    recall, sampled = index_recall(store, sorted(live))
    origins = documents.origins(damaged | wrong)
    return Check(
        total,
        sum(map(len, held.values())),
        frozenset(held.keys() - live),
        frozenset(wrong),
        frozenset(damaged),
        tuple(sorted(source for origin in origins.values() for source in origin.sources)),
        recall,
        sampled,
    )


def index_recall(store: Store, ids: list[str], seed: int = 0) -> tuple[float, int]:
    """Recall@10 of the store's index against comparing every vector, and over how many chunks.

    All are compared in one pass over the store: fifty exact searches would be fifty.
    """
    chosen = random.Random(seed)
    sample = _sample(store.vectors(chosen.sample(ids, min(SAMPLE, len(ids)))), chosen)
    if not sample:
        return 1.0, 0
    questions = np.stack(sample)
    best = np.full((len(sample), NEAREST), -np.inf, np.float32)
    every = store.vectors(ids)
    while block := [vector for _, vector in islice(every, BLOCK)]:
        scores = np.concatenate([best, questions @ np.stack(block).T], axis=1)
        best = np.partition(scores, -NEAREST, axis=1)[:, -NEAREST:]
    shares = []
    for vector, scores in zip(sample, best, strict=True):
        nearest = scores[np.isfinite(scores)]
        found = store.nearest(vector, NEAREST)
        # Of chunks that are equally near, as copies are, any will do.
        right = sum(passage.score >= nearest.min() - SAME_SCORE for passage in found)
        shares.append(min(1.0, right / len(nearest)))
    return float(np.mean(shares)), len(shares)


def _sample(found: Iterator[tuple[Chunk, Vectors]], chosen: random.Random) -> list[Vectors]:
    """Vectors of SAMPLE chunks, each as likely as any other; few large documents may have very many (reservoir)."""
    kept: list[Vectors] = []
    for number, (_, vector) in enumerate(found):
        if number < SAMPLE:
            kept.append(vector.copy())
        elif (place := chosen.randrange(number + 1)) < SAMPLE:
            kept[place] = vector.copy()
    return kept


def drop(found: Check, documents: Documents, store: Store) -> list[str]:
    """Remove what is wrong: chunks without documents, damaged documents with their files; these files.

    The chunks of documents that are only wrong go too; they are pending until they were made again.
    """
    again = found.wrong - found.damaged
    documents.begin(again)
    sources = documents.sources()
    files = documents.files_of(found.damaged)
    old = documents.commit(
        dropped_sources=[source for source, document_id in sources.items() if document_id in found.damaged],
        dropped_files=files,
    )
    store.remove([*found.orphans, *old, *again])
    documents.forget(old)
    return files
