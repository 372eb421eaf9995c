"""Words and their pieces hashed into a vector: no model, no meaning, the same on every machine. For tests."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from openbook.errors import SpecError
from openbook.types import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from openbook.types import Vectors

WORD = re.compile(r"\w+")
PIECE = 3  # characters
WORD_WEIGHT = 2.0  # a whole word in common says more than a piece
SLAB = 1024  # texts at a time, so that memory does not grow with their number


@dataclass
class Hashed:
    """Texts with words, or pieces of words, in common are near each other."""

    dim: int = 256

    VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise SpecError(f"dim must be 1 or more, not {self.dim}.")

    @property
    def fingerprint(self) -> str:
        return f"hashed-{self.VERSION}-{self.dim}"

    @property
    def window(self) -> int:
        return 0

    @property
    def languages(self) -> frozenset[str]:
        return frozenset()

    @property
    def remote(self) -> str:
        return ""

    def tokens(self, text: str) -> list[tuple[int, int]]:
        return [found.span() for found in WORD.finditer(text)]

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        vectors = np.empty((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), SLAB):
            slab = texts[start : start + SLAB]
            vectors[start : start + len(slab)] = _sums(slab, self.dim)
        vectors[~vectors.any(axis=1), 0] = 1  # no words at all
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def _sums(texts: Sequence[str], dim: int) -> Vectors:
    """For each text the sum of the features of its words: shape (len(texts), dim), whole numbers."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__  # each new word gets the next number
    words: list[int] = []
    lengths = []
    for text in texts:
        found = WORD.findall(text.lower())
        words += map(numbers.__getitem__, found)
        lengths.append(len(found))
    codes, counts = _features(numbers)
    weights = np.where(codes >> 31, 1.0, -1.0)
    starts = np.cumsum(counts) - counts
    weights[starts] *= WORD_WEIGHT
    columns = codes % dim
    # Each word of each text becomes a run of entries, one for each of its features.
    said = np.array(words, np.intp)
    runs = counts[said]
    entries = np.arange(runs.sum()) + np.repeat(starts[said] - (np.cumsum(runs) - runs), runs)
    rows = np.repeat(np.repeat(np.arange(len(texts)), lengths), runs)
    summed = np.bincount(rows * dim + columns[entries], weights[entries], len(texts) * dim)
    return summed.astype(np.float32).reshape(len(texts), dim)


def _features(words: Collection[str]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Codes of all words one after the other, and how many each word has: its own, then those of its pieces."""
    codes = [_codes(word) for word in words]
    counts = np.fromiter(map(len, codes), np.intp, len(codes))
    return np.fromiter(chain.from_iterable(codes), np.int64, counts.sum()), counts


@lru_cache(maxsize=65_536)
def _codes(word: str) -> tuple[int, ...]:
    return (_crc(word), *map(_piece_code, _pieces(word)))


def _crc(text: str) -> int:
    """CRC-32, as Python's own hash differs from run to run."""
    return zlib.crc32(text.encode("utf-8", "replace"))


_piece_code = lru_cache(maxsize=65_536)(_crc)  # all words share their pieces


def _pieces(word: str) -> list[str]:
    """The pieces of a word with its ends marked.

    >>> _pieces("fish")
    ['<fi', 'fis', 'ish', 'sh>']
    """
    marked = f"<{word}>"
    return [marked[start : start + PIECE] for start in range(len(marked) - PIECE + 1)]
