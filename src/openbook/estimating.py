"""What adding files will come to, told before it begins: some of them are read, split and partly embedded.

    files by suffix and size   |----a----|-b-|---------c---------|-d-|   their bytes, end to end
    draws, evenly spread            ^           ^          ^      ^      so a file is drawn by its size

The mean over the draws of chunks per byte, times all bytes, is the number of chunks.
"""

from __future__ import annotations

import tempfile
import time
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from pathlib import Path, PurePath
from statistics import median
from typing import TYPE_CHECKING, Protocol

from openbook.excerpts import excerpt
from openbook.finding import FoundFile
from openbook.machine import cores
from openbook.reading import MOST_WORKERS, End, Job, Reading
from openbook.types import Chunk, Document, Kind, Splitter

if TYPE_CHECKING:
    from openbook.types import Vectors

DRAWS = 128
READ_SECONDS = 1.0  # of the workers' processors, so that a busy machine reads as much; then no other file is begun,
PATIENCE = 10.0  # by the clock; what is still being read then counts as the rest does
WARM = 64  # chunks embedded first,
TIMED = 256  # and then, at once: of 96 each takes MiniLM half as long again as of the 512 of `indexing`
SHORT = 0.005  # seconds: what was measured of less is nothing

# What a sample does not tell: measured with `hashed` and Lance on 2 cores of Zen 4, by benchmarks/estimate.py.
STORE_SECONDS = 60e-6  # a chunk: keys, store and documents
INDEX_SECONDS = 50e-6  # a chunk: `optimize` at the end
VECTOR_BYTES = 1.2  # on the disk, for each byte of a vector, its index included
TEXT_BYTES = 1.5  # for each character: chunk, index of the words, compressed document


class Embeds(Protocol):
    """What is wanted of an embedder here."""

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors: ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """What adding files will come to. Equal documents and vectors that are there already are not known of: it may be
    less.
    """

    files: int = 0
    size_bytes: int = 0
    chunks: int = 0  # 0 with files: it could not be told in time
    seconds: float = 0.0  # with the machine as busy as it was while the sample was taken
    disk_bytes: int = 0
    density: Mapping[str, float] = field(default_factory=dict)  # chunks per byte by suffix, '' of all

    def per_byte(self, path: str) -> float:
        """Chunks expected of each byte of a file."""
        return self.density.get(_suffix(path), self.density.get("", 0.0))


@dataclass(slots=True)
class _Sample:
    """A file that was read, or slices of it."""

    suffix: str
    draws: int
    size_bytes: int
    documents: list[Document] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    seconds: float = 0.0  # of a processor, to read it
    ended: bool = False


def estimate(files: Collection[FoundFile], reading: Reading, splitter: Splitter, embedder: Embeds) -> Estimate:
    """What it takes to add these files. Costs one to two seconds, and loading the embedder."""
    files = [file for file in files if file.size_bytes > 0]
    size = sum(file.size_bytes for file in files)
    samples = [one for one in _read(drawn(files), reading) if one.ended]
    began, spent = time.perf_counter(), time.process_time()
    for one in samples:
        one.chunks = [chunk for document in one.documents for chunk in splitter(document, "")]
    splitting = time.perf_counter() - began
    slowness = max(1.0, splitting / max(SHORT, time.process_time() - spent))  # of a process while others are busy
    found = sum(len(one.chunks) for one in samples)
    if not found:
        return Estimate(len(files), size)

    chunks = size * _mean(samples, [len(one.chunks) for one in samples])
    characters = size * _mean(samples, [sum(len(document.text) for document in one.documents) for one in samples])
    documents = size * _mean(samples, [len(one.documents) for one in samples])
    reading_seconds = slowness * size * _mean(samples, _reading_seconds(samples))
    embedding, threads = _embedding(samples, embedder)
    # The parent embeds, with a thread or more, and does the rest with one; workers read on the cores that are free.
    rest = splitting / found + slowness * STORE_SECONDS
    parent, work = chunks * (embedding + rest), chunks * (embedding * threads + rest) + reading_seconds
    readers = min(MOST_WORKERS, cores(), len(files))
    first = reading_seconds / max(1.0, documents)  # nothing can be embedded yet
    return Estimate(
        len(files),
        size,
        round(chunks),
        first + max(parent, work / cores(), reading_seconds / readers) + chunks * slowness * INDEX_SECONDS,
        round(chunks * embedder.dim * 4 * VECTOR_BYTES + characters * TEXT_BYTES),
        _densities(samples),
    )


def drawn(files: Collection[FoundFile]) -> Counter[FoundFile]:
    """DRAWS of the files, each by its size, and how often; as many of the first as one likes are spread evenly too."""
    listed = sorted(files, key=lambda file: (_suffix(file.path), file.size_bytes))
    ends = list(accumulate(file.size_bytes for file in listed))
    return Counter(listed[bisect(ends, int(part * ends[-1]))] for part in islice(_halves(), DRAWS) if ends)


def _halves() -> Iterator[float]:
    """1/2, 1/4, 3/4, 1/8, 5/8, ...: the sequence of van der Corput."""
    number = 0
    while True:
        number += 1
        yield int(f"{number:b}"[::-1], 2) / (1 << number.bit_length())


def _read(files: Mapping[FoundFile, int], reading: Reading) -> list[_Sample]:
    """Read files in their order as long as there is time."""
    samples: dict[str, _Sample] = {}
    spent = 0.0

    def jobs(folder: Path) -> Iterator[Job]:
        for file, draws in files.items():
            if spent > READ_SECONDS:
                return
            path, size = excerpt(Path(file.path), file.size_bytes, folder)
            samples[str(path)] = _Sample(_suffix(file.path), draws, size)
            yield Job(str(path))

    with tempfile.TemporaryDirectory(prefix="openbook-") as folder:
        for job, event in reading.read(jobs(Path(folder)), seconds=PATIENCE):
            if isinstance(event, Document):
                samples[job.path].documents.append(event)
            elif isinstance(event, End):
                samples[job.path].seconds, samples[job.path].ended = event.seconds, True
                spent += event.seconds
    return list(samples.values())


def _suffix(path: str) -> str:
    return PurePath(path).suffix.lower()


def _mean(samples: Collection[_Sample], counts: Sequence[float]) -> float:
    """Per byte, over the draws."""
    each = (one.draws * count / one.size_bytes for one, count in zip(samples, counts, strict=True))
    return sum(each) / sum(one.draws for one in samples)


def _densities(samples: Collection[_Sample]) -> dict[str, float]:
    found = {}
    for suffix in {one.suffix for one in samples}:
        alike = [one for one in samples if one.suffix == suffix]
        found[suffix] = _mean(alike, [len(one.chunks) for one in alike])
    return found | {"": _mean(samples, [len(one.chunks) for one in samples])}


def _reading_seconds(samples: Collection[_Sample]) -> list[float]:
    """Of a processor, for each sample. The median of its like: the first file of its kind also loads a library."""
    like = defaultdict(list)
    for one in samples:
        like[one.suffix].append(one.seconds / one.size_bytes)
    return [one.size_bytes * median(like[one.suffix]) for one in samples]


def _embedding(samples: Collection[_Sample], embedder: Embeds) -> tuple[float, float]:
    """Seconds a chunk, and the cores that are busy meanwhile."""
    embedder.embed([*_spread(samples, WARM)], "document")  # loads it; its first chunks take twice the time
    texts = [*_spread(samples, TIMED)]
    began, spent = time.perf_counter(), time.process_time()
    embedder.embed(texts, "document")
    seconds = time.perf_counter() - began
    return seconds / TIMED, max(1.0, (time.process_time() - spent) / seconds)


def _spread(samples: Collection[_Sample], count: int) -> Iterator[str]:
    """That many chunks as they are embedded, evenly spread over all chunks that there will be."""
    chunks = [(one.draws / one.size_bytes, chunk) for one in samples for chunk in one.chunks]
    ends = list(accumulate(weight for weight, _ in chunks))
    for number in range(count):
        yield chunks[bisect(ends, (number + 0.5) / count * ends[-1])][1].indexed
