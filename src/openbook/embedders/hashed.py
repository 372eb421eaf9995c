"""Words and their pieces hashed into a vector: no model, no meaning, the same on every machine. For tests."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from openbook.errors import SpecError
from openbook.types import Kind

if TYPE_CHECKING:
    from openbook.types import Vectors

WORD = re.compile(r"\w+")
PIECE = 3  # characters
WORD_WEIGHT = 2.0  # a whole word in common says more than a piece


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

    def tokens(self, text: str) -> list[tuple[int, int]]:
        return [found.span() for found in WORD.finditer(text)]

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word, count in Counter(WORD.findall(text.lower())).items():
                for code, weight in _features(word):
                    vector[code % self.dim] += count * (weight if code >> 31 else -weight)
            if not vector.any():  # no words at all
                vector[0] = 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


@lru_cache(maxsize=65_536)
def _features(word: str) -> tuple[tuple[int, float], ...]:
    """Hash and weight of a word and of its pieces. CRC-32, as Python's own hash differs from run to run."""
    return tuple((zlib.crc32(one.encode("utf-8", "replace")), weight) for one, weight in _pieces(word))


def _pieces(word: str) -> Iterator[tuple[str, float]]:
    """The word, and its pieces with its ends marked.

    >>> list(_pieces("fish"))
    [('fish', 2.0), ('<fi', 1.0), ('fis', 1.0), ('ish', 1.0), ('sh>', 1.0)]
    """
    yield word, WORD_WEIGHT
    marked = f"<{word}>"
    for start in range(len(marked) - PIECE + 1):
        yield marked[start : start + PIECE], 1.0
