"""placeholder"""
from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from openbook.types import Kind, Vectors


@dataclass
class Hashed:
    """Words hashed."""
    VERSION: ClassVar[int] = 1
    dim: int = 256
    @property
    def fingerprint(self) -> str:
        return f"hashed-{self.dim}-1"
    @property
    def window(self) -> int:
        return 0
    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        out = np.zeros((len(texts), self.dim), np.float32)
        for i, t in enumerate(texts):
            for w in re.findall(r"\w+", t.lower()) or ["_"]:
                h = zlib.crc32(w.encode("utf-8","replace")); out[i, h % self.dim] += 1 if h & 1 << 30 else -1
        out[(out == 0).all(1), 0] = 1
        return out / np.linalg.norm(out, axis=1, keepdims=True)
