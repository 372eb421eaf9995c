"""Texts longer than a model's window: cut where tokens end, and joined again as the mean of their vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from openbook.types import Vectors

Spans = Callable[[str], Sequence[tuple[int, int]]]
"""Embedder.tokens."""


def embed_whole(texts: Sequence[str], window: int, tokens: Spans, embed: Callable[[list[str]], Vectors]) -> Vectors:
    """The vectors of texts, rows of length 1, made by an `embed` that takes texts of at most `window` tokens."""
    parts = [cut(text, window, tokens) for text in texts]
    vectors = embed([part for some in parts for part in some])
    starts = np.cumsum([0, *map(len, parts)])[:-1]
    return unit(np.add.reduceat(unit(vectors), starts, axis=0)) if len(texts) else vectors


def cut(text: str, window: int, tokens: Spans) -> list[str]:
    """As few parts as possible, as equal as possible, so that their plain mean is fair; a window of 0 has no end.

    >>> cut("one two three", 2, lambda text: [(0, 3), (4, 7), (8, 13)])
    ['one two ', 'three']
    """
    # A token is a byte at least, so most texts need no counting.
    if not window or len(text.encode("utf-8", "replace")) <= window or len(spans := tokens(text)) <= window:
        return [text]
    count = -(-len(spans) // window)
    size = -(-len(spans) // count)
    bounds = [0, *(spans[at][0] for at in range(size, len(spans), size)), len(text)]
    return [text[start:end] for start, end in zip(bounds, bounds[1:], strict=False) if start < end]


def unit(vectors: Vectors) -> Vectors:
    """Rows of length 1; one of nothing but zeros, of a text without any word, becomes (1, 0, 0, ...)."""
    rows = np.array(vectors, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows[lengths[:, 0] == 0, :1] = 1
    lengths[lengths == 0] = 1
    rows /= lengths
    return rows
