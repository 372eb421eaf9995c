"""The tensors of a GGUF file, as its header lists them: name, type, shape, bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Types of tensors, by number: name, values in a block, bytes of a block.
TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}  # fmt: skip
# A type newer than this table: no type packs more than 8 values into a byte, so its size is never guessed too high.
DENSEST = (8, 1)

BLOCKS: Mapping[str, tuple[int, int]] = {name: (values, size) for name, values, size in TYPES.values()}

LAYER = re.compile(r"blk\.(\d{1,9})\.")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor. `shape` begins with the length of a row, as ggml writes it."""

    name: str
    type: str
    shape: tuple[int, ...]
    start: int  # from where the weights begin
    size_bytes: int
    layer: int  # the number of the layer it belongs to; -1 for what stands before and after the layers

    @property
    def values(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)

    @property
    def expert(self) -> bool:
        """Whether it holds the experts of a layer, of which a token uses a few."""
        return "_exps." in self.name


@dataclass(frozen=True, slots=True)
class Share:
    """What the tensors of one type come to."""

    tensors: int
    values: int
    size_bytes: int


def tensor(name: str, kind: int, shape: tuple[int, ...], start: int) -> Tensor:
    """The tensor of a header's line; `kind` is ggml's number of its type."""
    type_name, per_block, block_bytes = TYPES.get(kind, (f"type {kind}", *DENSEST))
    found = LAYER.match(name)
    layer = int(found[1]) if found else -1
    return Tensor(name, type_name, shape, start, math.prod(shape) // per_block * block_bytes, layer)


def shares(tensors: Iterable[Tensor]) -> dict[str, Share]:
    """By type, the one with the most bytes first."""
    found: dict[str, Share] = {}
    for one in tensors:
        had = found.get(one.type, Share(0, 0, 0))
        found[one.type] = Share(had.tensors + 1, had.values + one.values, had.size_bytes + one.size_bytes)
    return dict(sorted(found.items(), key=lambda pair: -pair[1].size_bytes))
