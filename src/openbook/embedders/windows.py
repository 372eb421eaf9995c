"""Texts longer than a model's window: cut where tokens end, and joined again as the mean of their vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from openbook.errors import TooLongError

if TYPE_CHECKING:
    from openbook.types import Vectors

Spans = Callable[[str], Sequence[tuple[int, int]]]
"""Embedder.tokens."""

SHORTEST = 32  # characters: a model that finds those too long means something else


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


def in_halves(texts: list[str], embed: Callable[[list[str]], Vectors]) -> Vectors:
    """The vectors of texts; what `embed` finds too long, many texts or one, goes to it in halves.

    Raises:
        TooLongError: Of a text of SHORTEST characters or fewer.
    """
    try:
        return embed(texts)
    except TooLongError:
        if len(texts) == 1 and len(texts[0]) <= SHORTEST:
            raise
    if len(texts) > 1:
        middle = len(texts) // 2
        return np.concatenate([in_halves(texts[:middle], embed), in_halves(texts[middle:], embed)])
    middle = len(texts[0]) // 2
    return in_halves([texts[0][:middle]], embed) + in_halves([texts[0][middle:]], embed)


def unit(vectors: Vectors) -> Vectors:
    """Rows of length 1; one of nothing but zeros, of a text without any word, becomes (1, 0, 0, ...)."""
    rows = np.array(vectors, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows[lengths[:, 0] == 0, :1] = 1
    lengths[lengths == 0] = 1
    rows /= lengths
    return rows
