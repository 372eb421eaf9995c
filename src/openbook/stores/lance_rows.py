"""Which rows of a Lance dataset are of which documents: what turns a set of documents into a filter on rows.

Written as SQL, 90,000 ids take seconds to parse, and a scan then compares each row's id. Lance also takes the rows
themselves, as a Roaring treemap (https://github.com/RoaringBitmap/RoaringFormatSpec).
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeAlias

import lance
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.bool_]

WITHOUT_RUNS = 12346  # the cookie of a Roaring bitmap whose containers are arrays and bitmaps
CONTAINER = 1 << 16
LARGEST_ARRAY = 4096  # members of a container that is an array; with more it is a bitmap


@dataclass(frozen=True, slots=True)
class Runs:
    """The documents of one fragment's rows, each once for all its rows that follow one another."""

    documents: pa.Array
    lengths: NDArray[np.int64]  # rows; those deleted count to the run before them, as no search gives them


@dataclass(frozen=True, slots=True)
class Known:
    """The runs of all fragments, one after the other, so that documents are looked up once."""

    fragments: tuple[int, ...] = ()
    runs: dict[int, Runs] = field(default_factory=dict)
    documents: pa.ChunkedArray = field(default_factory=lambda: pa.chunked_array([], pa.string()))


@dataclass(slots=True)
class Rows:
    """Keeps what it has read: a fragment's rows never change their documents, they are only deleted."""

    _known: Known = field(default_factory=Known)

    def of(self, dataset: lance.LanceDataset, documents: Collection[str]) -> tuple[bytes, int]:
        """The rows of these documents as a Roaring treemap, and how many they are; deleted ones may be among them."""
        known = self._read(dataset)
        wanted = pa.array(list(documents), pa.string())
        kept = pc.is_in(known.documents, wanted).to_numpy()  # ty: ignore[missing-attribute]
        masks: dict[int, Mask] = {}
        first = 0
        for number, runs in known.runs.items():
            here = kept[first : first + len(runs.lengths)]
            first += len(here)
            if here.any():
                masks[number] = np.repeat(here, runs.lengths)
        return treemap(masks), sum(int(mask.sum()) for mask in masks.values())

    def _read(self, dataset: lance.LanceDataset) -> Known:
        fragments = dataset.get_fragments()
        numbers = tuple(one.fragment_id for one in fragments)
        known = self._known
        if known.fragments != numbers:
            runs = {one.fragment_id: known.runs.get(one.fragment_id) or _runs(one) for one in fragments}
            documents = pa.chunked_array([one.documents for one in runs.values()], pa.string())
            self._known = known = Known(numbers, runs, documents)
        return known


def _runs(fragment: lance.LanceFragment) -> Runs:
    read = fragment.scanner(columns=["document_id"], with_row_address=True).to_table().combine_chunks()
    if not len(read):
        return Runs(pa.array([], pa.string()), np.zeros(0, np.int64))
    documents = read["document_id"].combine_chunks()
    firsts = np.flatnonzero(np.diff(documents.dictionary_encode().indices.to_numpy(), prepend=-1))
    starts = read["_rowaddr"].to_numpy().astype(np.uint32)[firsts].astype(np.int64)
    starts[0] = 0
    return Runs(documents.take(firsts), np.diff(np.append(starts, fragment.physical_rows)))


def treemap(masks: dict[int, Mask]) -> bytes:
    """Rows by fragment, as Lance reads them: the fragments' number, then id, size and bitmap of each."""
    parts = [struct.pack("<I", len(masks))]
    for number, mask in sorted(masks.items()):
        bitmap = roaring(mask)
        parts += (struct.pack("<II", number, len(bitmap)), bitmap)
    return b"".join(parts)


def roaring(mask: Mask) -> bytes:
    """The places where a mask is true, in Roaring's portable format.

    >>> roaring(np.array([False, True, True])).hex(" ", 4)
    '3a300000 01000000 00000100 10000000 01000200'
    """
    keys, counts, bodies = [], [], []
    for key, start in enumerate(range(0, len(mask), CONTAINER)):
        part = mask[start : start + CONTAINER]
        count = int(part.sum())
        if not count:
            continue
        if count > LARGEST_ARRAY:
            body = np.packbits(part, bitorder="little").tobytes().ljust(CONTAINER // 8, b"\0")
        else:
            body = np.flatnonzero(part).astype("<u2").tobytes()
        keys.append(key)
        counts.append(count)
        bodies.append(body)
    described = np.column_stack([keys, np.array(counts) - 1]).astype("<u2").tobytes()
    before = 8 + len(described) + 4 * len(bodies)
    offsets = before + np.cumsum([0, *map(len, bodies[:-1])])
    return b"".join(
        [struct.pack("<II", WITHOUT_RUNS, len(bodies)), described, offsets.astype("<u4").tobytes(), *bodies]
    )
