"""No model: the words of a text hashed into a vector. Knows spelling, not meaning; deterministic everywhere.

Feature hashing with signs: Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning".
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import numpy as np

from openbook.errors import SpecError
from openbook.types import Kind, Vectors

WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Hashed:
    """Texts that share words are near; a word said often counts with the square root of its number."""

    VERSION: ClassVar[int] = 1

    dim: int = 256

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise SpecError(f"hashed(dim={self.dim}): dim must be 1 or more, such as 256.")

    @property
    def fingerprint(self) -> str:
        return f"hashed-v{self.VERSION}-{self.dim}"

    @property
    def window(self) -> int:
        return 0

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word, count in Counter(WORD.findall(text.lower())).items():
                # CRC-32 rather than hash(): the same in every process and on every platform.
                number = zlib.crc32(word.encode("utf-8", "replace"))
                row[number % self.dim] += sqrt(count) if number & 0x8000_0000 else -sqrt(count)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[lengths[:, 0] < 1e-6, 0] = 1.0  # no words, or words that cancel each other out
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)
