"""The default store: one Lance dataset with vectors, BM25 words and chunk fields in one folder.

Up to EXACT_ROWS chunks every vector is compared; above, `optimize` builds an IVF_RQ index. What was added since the
last `optimize` is found too, by a scan. Lance is not fork-safe: a process that has opened a store starts others by
spawn, never by fork.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import RLock
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

# Lance logs to the terminal what it thinks of its own defaults; it reads this when it is imported.
os.environ.setdefault("LANCE_LOG", "error")

import lance
from lance.query import BooleanQuery, FullTextOperator, FullTextQuery, MatchQuery, Occur, PhraseQuery

from openbook.errors import BookError
from openbook.phrases import phrases
from openbook.stores.lance_rows import Rows
from openbook.types import Chunk, Passage, Vectors

# `indexed` is a chunk's context and text, of which the last characters, from `skip` on, are the text.
FIELDS = ["document_id", "start", "end", "indexed", "skip", "place"]

# Measured, see docs/decisions/0002-store-and-hybrid.md.
EXACT_ROWS = 20_000  # up to here all vectors are compared
PARTITION_ROWS = 4096
PROBED = 3  # a search looks into one of so many partitions, but into
LEAST_PROBES, MOST_PROBES = 40, 160
CANDIDATES = 200  # compared exactly: of one bit a number, the first ten may lack the nearest;
REFINE = 5  # and at least so many for each passage
FEW_ROWS = 2000  # that a filter leaves are all compared
MOST = 1 << 40  # passages: what Lance takes for a number, with room for REFINE
SCANNED_ROWS = 256  # a search scans what no index covers: 15 us a row
FRAGMENTS = 16  # the data grow by one with each `add`; a scan opens each. When more than so many
SMALL_ROWS = 32_768  # have fewer rows than this, these become one:
FRAGMENT_ROWS = 131_072  # larger ones are left alone, so that compaction never copies a large book
DELETED_SHARE = 0.1
# How to read every row: a million vectors compared take 0.9 CPU-s and 410 MB so, 1.3 and 720 as Lance would by itself.
SPARINGLY: dict[str, Any] = {
    "batch_size": 1024, "batch_readahead": 2, "fragment_readahead": 1, "io_buffer_size": 32 << 20,
}  # fmt: skip
COMPACTION: dict[str, Any] = {"target_rows_per_fragment": FRAGMENT_ROWS, "num_threads": 1, "batch_size": 1024}
INDEX_MEMORY_MB = 512  # of the text index while it is made
KEEP_VERSIONS = timedelta(minutes=10)  # a search that began on an older version ends on it

# Words by Unicode's rules and also cut at every punctuation mark. "simple" finds nothing in Chinese (MRR .09; so: .95).
TOKENIZER = "icu/split"

# Those Lance has stemming and stop words for. Of a text in another language each word is a word, as it is written.
LANGUAGES = {
    "ar": "Arabic", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "fi": "Finnish",
    "fr": "French", "hu": "Hungarian", "it": "Italian", "nl": "Dutch", "no": "Norwegian", "nb": "Norwegian",
    "nn": "Norwegian", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "ta": "Tamil",
    "tr": "Turkish",
}  # fmt: skip
CODES = {name: code for code, name in LANGUAGES.items()}
Language = Literal[
    "auto", "Arabic", "Danish", "Dutch", "English", "Finnish", "French", "German", "Greek", "Hungarian", "Italian",
    "Norwegian", "Portuguese", "Romanian", "Russian", "Spanish", "Swedish", "Tamil", "Turkish",
]  # fmt: skip


@dataclass
class Lance:
    """Safe to read while another process writes: each call sees the last version that was committed whole."""

    folder: Path
    dim: int
    language: Language = "auto"  # whose word forms and stop words BM25 knows; auto: what `optimize` is told
    probes: int = 0  # of a large store's partitions, those a search looks into; 0: a third, but 40 to 160

    VERSION: ClassVar[int] = 1

    _dataset: lance.LanceDataset | None = field(default=None, init=False, repr=False, compare=False)
    _lock: RLock = field(default_factory=RLock, init=False, repr=False, compare=False)
    _rows: Rows = field(default_factory=Rows, init=False, repr=False, compare=False)

    def add(self, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        if vectors.shape != (len(chunks), self.dim):
            raise ValueError(
                f"{len(chunks)} chunks need vectors of shape {(len(chunks), self.dim)}, not {vectors.shape}."
            )
        if not chunks:
            return
        schema = _schema(self.dim)
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
        rows = [(c.document_id, c.start, c.end, c.indexed, len(c.indexed) - len(c.text), c.place) for c in chunks]
        columns = [pa.array([row[at] for row in rows], schema.field(name).type) for at, name in enumerate(FIELDS)]
        columns.append(pa.FixedSizeListArray.from_arrays(flat, self.dim))
        with self._explained():
            self._writable().insert(pa.table(columns, schema=schema))

    def nearest(
        self, vector: Vectors, k: int, *, within: Collection[str] | None = None, exact: bool = False
    ) -> list[Passage]:
        if k < 1 or within is not None and not within:
            return []

        asked, k = np.asarray(vector, np.float32), min(k, MOST)

        def search(dataset: lance.LanceDataset) -> pa.Table:
            among = count = dataset.count_rows()
            allowed = None
            if within is not None:
                allowed, among = self._rows.of(dataset, within)
                if among <= FEW_ROWS:
                    return _all_compared(dataset, asked, k, allowed)
            # The vectors have length 1, so the dot product is the cosine; unlike cosine it is defined for an empty one.
            nearest = {
                "column": "vector",
                "q": asked,
                "k": k,
                "metric": "dot",
                "use_index": not exact,
                "nprobes": self.probes or _probes(count, among),
                "refine_factor": max(REFINE, -(-CANDIDATES // k)),
            }
            reading = SPARINGLY if exact else {}
            return dataset.scanner(
                [*FIELDS, "_distance"], nearest=nearest, row_addr_allowlist=allowed, prefilter=True, **reading
            ).to_table()

        return [Passage(_chunk(row), 1.0 - row["_distance"], "dense") for row in self._read(search)]

    def match(self, words: str, k: int, *, within: Collection[str] | None = None) -> list[Passage]:
        if k < 1 or within is not None and not within:
            return []

        def search(dataset: lance.LanceDataset) -> pa.Table:
            query = _asked(words, dataset)
            allowed = None if within is None else self._rows.of(dataset, within)[0]
            return dataset.scanner(
                [*FIELDS, "_score"],
                full_text_query=query,
                limit=min(k, MOST),
                row_addr_allowlist=allowed,
                prefilter=True,
            ).to_table()

        return [Passage(_chunk(row), row["_score"], "bm25") for row in self._read(search)]

    def vectors(
        self, document_ids: Iterable[str], starts: Collection[int] | None = None
    ) -> Iterator[tuple[Chunk, Vectors]]:
        if starts is not None and not starts:
            return
        wanted = list(document_ids)
        with self._explained():
            dataset = self._latest()
            allowed, _ = self._rows.of(dataset, wanted)
        begins = None if starts is None else f"start IN ({', '.join(map(str, starts))})"
        for batch in self._batches(dataset, [*FIELDS, "vector"], allowed, begins):
            vectors = batch["vector"].flatten().to_numpy().reshape(len(batch), -1)
            yield from zip(map(_chunk, batch.select(FIELDS).to_pylist()), vectors, strict=True)

    @property
    def word_forms(self) -> str:
        with self._explained():
            known = _known_words(self._latest())
        return CODES.get(known["language"], "") if known["stem"] else ""

    def remove(self, document_ids: Iterable[str]) -> int:
        condition = _one_of(list(document_ids))
        if not condition:
            return 0
        with self._explained():
            return int(self._writable().delete(condition)["num_deleted_rows"])

    def optimize(self, language: str = "") -> None:
        with self._explained():
            dataset = self._writable()
            # First, as what no index covers yet is moved without an index having to be told.
            if _is_worn(dataset):
                dataset.optimize.compact_files(excluded_fragment_ids=_good_as_they_are(dataset), **COMPACTION)
            words = self._words(dataset, language)
            if words != _known_words(dataset):
                dataset.create_scalar_index("indexed", "INVERTED", replace=True, memory_limit=INDEX_MEMORY_MB, **words)
            count = dataset.count_rows()
            if count > EXACT_ROWS and _partitions(dataset) * 2 * PARTITION_ROWS < count:
                dataset.create_index(
                    "vector",
                    "IVF_RQ",
                    metric="dot",
                    num_partitions=count // PARTITION_ROWS,
                    num_bits=1,
                    replace=True,
                )
            if (waiting := _unindexed_rows(dataset)) > SCANNED_ROWS:
                for index in dataset.describe_indices():
                    dataset.optimize.optimize_indices(
                        index_names=[index.name], num_indices_to_merge=_merged(_segments(dataset, index), waiting)
                    )
            dataset.cleanup_old_versions(KEEP_VERSIONS)

    def chunks(self) -> Iterator[Chunk]:
        with self._explained():
            dataset = self._latest()
        for batch in self._batches(dataset, FIELDS):
            yield from map(_chunk, batch.to_pylist())

    def counts(self) -> dict[str, int]:
        found = self._read(
            lambda dataset: (
                dataset.scanner(["document_id"]).to_table().group_by("document_id").aggregate([([], "count_all")])
            )
        )
        return {row["document_id"]: row["count_all"] for row in found}

    def __len__(self) -> int:
        with self._explained():
            return int(self._latest().count_rows())

    def close(self) -> None:
        self._dataset = None

    def _batches(
        self,
        dataset: lance.LanceDataset,
        columns: list[str],
        allowed: bytes | None = None,
        condition: str | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """The rows that are allowed (None: all), some at a time."""
        with self._explained():
            batches = dataset.scanner(
                columns, condition, row_addr_allowlist=allowed, prefilter=True, **SPARINGLY
            ).to_batches()
        while True:
            with self._explained():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _read(self, search: Callable[[lance.LanceDataset], pa.Table]) -> list[dict[str, Any]]:
        with self._explained():
            return search(self._latest()).to_pylist()  # type: ignore[no-any-return]

    def _latest(self) -> lance.LanceDataset:
        """The dataset at its latest version; to look for a newer one takes 0.01 ms.

        It is only read from, so that threads may share it: Lance refuses to move one on while another reads from it.
        """
        with self._lock:
            if self._dataset is None:
                self._dataset = self._open()
            elif self._dataset.version != self._dataset.latest_version:
                self._dataset = self._writable()
            return self._dataset

    def _writable(self) -> lance.LanceDataset:
        """The latest version for one change, sharing what the reading one has in memory."""
        if self._dataset is None:
            self._latest()
        session = self._dataset.session() if self._dataset else None
        return lance.dataset(self.folder, session=session)

    def _open(self) -> lance.LanceDataset:
        if not _holds_data(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            empty = lance.LanceOperation.Overwrite(_schema(self.dim), [])
            with _unless_done(lambda: _holds_data(self.folder)):
                # Without retries it is made once; `write_dataset` may empty one that another process has just made.
                lance.LanceDataset.commit(self.folder, empty, max_retries=0)
        dataset = lance.dataset(self.folder)
        dim = dataset.schema.field("vector").type.list_size
        if dim != self.dim:
            raise BookError(
                f"This store holds vectors of {dim} numbers, but the embedder makes {self.dim}. "
                "Use the book's recipe, or: openbook rebuild"
            )
        # Made while the store is empty, the index gives its word forms to the scan of everything added later.
        if not dataset.describe_indices():
            with _unless_done(lambda: bool(lance.dataset(self.folder).describe_indices())):
                dataset.create_scalar_index("indexed", "INVERTED", **self._words(dataset, "en"))
            dataset = lance.dataset(self.folder)
        return dataset

    def _words(self, dataset: lance.LanceDataset, language: str) -> dict[str, Any]:
        """How the text index shall make words of a text; `language` as `optimize` is told it."""
        name: str
        if self.language != "auto":
            name = self.language
        elif language:
            name = LANGUAGES.get(language, "")
        else:
            known = _known_words(dataset)
            name = known["language"] if known["stem"] else ""
        forms = {"language": name or "English", "stem": bool(name), "remove_stop_words": bool(name)}
        return {"base_tokenizer": TOKENIZER, "with_position": True, **forms}

    @contextmanager
    def _explained(self) -> Generator[None]:
        """What Lance has to say becomes a BookError. Every change is one commit: it failed, so nothing was changed."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            raise BookError(_explain(self.folder, str(error))) from error


@contextmanager
def _unless_done(done: Callable[[], bool]) -> Generator[None]:
    """What Lance raises is nothing when another process, which opens the same new store, was quicker."""
    try:
        yield
    except (OSError, ValueError, RuntimeError):
        if not done():
            raise


def _explain(folder: Path, said: str) -> str:
    if "No space left" in said or "os error 28" in said:
        return f"No space left for {folder}; nothing was changed. Free some and try again."
    if "os error 27" in said:
        return f"A file in {folder} would be larger than allowed; nothing was changed. Raise the limit and try again."
    if any(word in said for word in ("Permission denied", "Read-only", "os error 13", "os error 30")):
        return f"{folder} may not be written; nothing was changed. Change its permissions and try again."
    if "conflict" in said:
        return f"Another process changed {folder} at the same time; nothing was changed here. Try again."
    # Lance adds the places in its source that an error came by.
    reason = said.partition(", /")[0].removeprefix("External error: ").splitlines()[0]
    return f"{folder} cannot be used ({reason}). Make it again from the documents with: openbook rebuild"


def _schema(dim: int) -> pa.Schema:
    number, text = pa.int64(), pa.string()
    fields = zip(FIELDS, [text, number, number, text, number, text], strict=True)
    return pa.schema([*fields, ("vector", pa.list_(pa.float32(), dim))])


def _holds_data(folder: Path) -> bool:
    return any((folder / "_versions").glob("*.manifest")) or any((folder / "data").glob("*.lance"))


def _partitions(dataset: lance.LanceDataset) -> int:
    """How many partitions the vector index was made with; 0: there is none."""
    for index in dataset.describe_indices():
        if "vector" in index.field_names:
            return int(dataset.stats.index_stats(index.name)["indices"][0]["num_partitions"])
    return 0


def _probes(count: int, among: int) -> int:
    """How many partitions of a store of `count` rows to look into for those `among` them that a filter leaves."""
    partitions = count // PARTITION_ROWS
    probes = min(MOST_PROBES, max(LEAST_PROBES, partitions // PROBED))
    # Of a few in each partition, the nearest lie in more partitions.
    return probes if 10 * among > count else 2 * probes


def _all_compared(dataset: lance.LanceDataset, vector: Vectors, k: int, allowed: bytes) -> pa.Table:
    """The k nearest of a few rows: read, not looked for in an index."""
    read = dataset.scanner([*FIELDS, "vector"], row_addr_allowlist=allowed).to_table().combine_chunks()
    if not len(read):
        return read.append_column("_distance", pa.array([], pa.float32()))
    distances = 1 - read["vector"].combine_chunks().flatten().to_numpy().reshape(len(read), -1) @ vector
    return read.append_column("_distance", pa.array(distances)).take(np.argsort(distances, kind="stable")[:k])


def _known_words(dataset: lance.LanceDataset) -> dict[str, Any]:
    """How the text index makes words, as far as `_words` says it."""
    details = next((one.details for one in dataset.describe_indices() if "indexed" in one.field_names), {})
    return {
        key: details.get(key) for key in ("base_tokenizer", "with_position", "language", "stem", "remove_stop_words")
    }


def _asked(words: str, dataset: lance.LanceDataset) -> FullTextQuery:
    """Any of the words, but all phrases. No character is an operator; lone surrogates are no words."""
    words = words.encode("utf-8", "replace").decode()
    any_word = MatchQuery(words, "indexed")
    quoted = phrases(words)
    if not quoted:
        return any_word
    if _known_words(dataset)["with_position"]:
        must: list[FullTextQuery] = [PhraseQuery(one, "indexed") for one in quoted]
    else:  # made before phrases were known, until the next `optimize`: all its words, in any order
        must = [MatchQuery(one, "indexed", operator=FullTextOperator.AND) for one in quoted]
    return BooleanQuery([*((Occur.MUST, one) for one in must), (Occur.SHOULD, any_word)])


def _unindexed_rows(dataset: lance.LanceDataset) -> int:
    covered = [
        {number for segment in index.segments for number in segment.fragment_ids}
        for index in dataset.describe_indices()
    ]
    everywhere = set.intersection(*covered)
    return sum(part.count_rows() for part in dataset.get_fragments() if part.fragment_id not in everywhere)


def _segments(dataset: lance.LanceDataset, index: Any) -> list[int]:
    """Rows in each segment of an index, as they were made."""
    rows = {part.fragment_id: part.count_rows() for part in dataset.get_fragments()}
    return [sum(rows.get(number, 0) for number in segment.fragment_ids) for segment in index.segments]


def _merged(segments: list[int], waiting: int) -> int:
    """How many of the last segments become one with the rows that wait for the index: those that are not much larger.

    So each row is written anew some ten times while a store grows to millions, and a search looks into some ten
    segments at most.

    >>> _merged([1_000_000, 3000, 1000], 1000), _merged([1_000_000, 5000], 1000)
    (2, 0)
    """
    count = 0
    for rows in reversed(segments):
        if rows > 2 * waiting:
            break
        waiting += rows
        count += 1
    return count


def _is_worn(dataset: lance.LanceDataset) -> bool:
    parts = dataset.get_fragments()
    small = sum(part.physical_rows < SMALL_ROWS for part in parts)
    deleted = sum(part.num_deletions for part in parts)
    return small > FRAGMENTS or deleted > DELETED_SHARE * sum(part.physical_rows for part in parts)


def _good_as_they_are(dataset: lance.LanceDataset) -> list[int]:
    """Fragments that compaction would only copy, and each index of them with it."""
    return [
        part.fragment_id
        for part in dataset.get_fragments()
        if part.physical_rows >= SMALL_ROWS and part.num_deletions <= DELETED_SHARE * part.physical_rows
    ]


def _one_of(document_ids: Collection[str]) -> str | None:
    """The condition that a row is of one of these documents; None: there is none to make."""
    if not document_ids:
        return None
    return f"document_id IN ({', '.join(_quoted(one) for one in document_ids)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _chunk(row: dict[str, Any]) -> Chunk:
    indexed, skip = row["indexed"], row["skip"]
    context = indexed[: max(0, skip - 1)]  # a line end stands between the two
    return Chunk(row["document_id"], row["start"], row["end"], indexed[skip:], row["place"], context)
