"""The pieces that llama.cpp allocates for a model, each in bytes, and how it divides them with a graphics card.

Every number is what its log says, to a percent: src/llama-kv-cache.cpp, ggml/src/ggml-cpu/repack.cpp, and for the work
space what its graph allocator finds for networks of many shapes. See docs/decisions/0015-fit.md.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from openbook.models.gguf import Array, Header
from openbook.models.network import Layer, Network
from openbook.models.tensors import BLOCKS, Tensor

BATCH = 512  # tokens of a prompt that are worked on at once (n_ubatch)
CELLS = 256  # the cache grows in such steps
F32, F16 = 4, 2  # bytes

EMBEDDINGS = "token_embd.weight"
LOOKED_UP = ("token_embd", "per_layer_token_embd")  # one row for a token: they stay in RAM

# Types whose matrices llama.cpp copies into an order that its kernels read faster, where rows come in eights; which of
# them depends on the processor that the build is for.
REPACKED: Mapping[str, frozenset[str]] = {
    "x86": frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"}),
    "arm": frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4"}),
}
REPACKED_ROWS = 8


# Values that one core multiplies in a second while it decodes: types with blocks of 256 (Q4_K), and all others. From
# the decoding of three models on two cores with AVX2; with many cores memory is the limit, and these say little.
K_RATE, RATE = 22e9, 10e9


@dataclass(frozen=True, slots=True)
class Place:
    """What belongs together on one device: a layer, or what stands after the last of them."""

    weights: int  # all but the experts
    experts: int
    repacked: int  # of both, what is copied in RAM
    cache: int


@dataclass(frozen=True)
class Parts:
    """What a model needs in bytes, at a context and with a cache of some type, for conversations at once."""

    header: Header
    network: Network
    context: int
    cache_type: str
    parallel: int
    places: tuple[Place, ...] = field(init=False)  # the layers, then the output
    embeddings: int = field(init=False)  # weights that stay in RAM
    read: int = field(init=False)  # bytes of weights that one token of an answer needs
    work: float = field(init=False)  # seconds of one core that it needs besides
    largest: int = field(init=False)  # bytes of the largest tensor in a layer

    def __post_init__(self) -> None:
        count = len(self.network.layers)
        found = [[0, 0, 0] for _ in range(count + 1)]
        embeddings, read, work = 0, 0, 0.0
        shape = self.network
        for one in self.header.tensors:
            if one.name.startswith(LOOKED_UP):
                embeddings += one.size_bytes
                continue
            at = found[one.layer if 0 <= one.layer < count else count]
            at[one.expert] += one.size_bytes
            at[2] += one.size_bytes if _is_repacked(one) else 0
            used = min(shape.experts_used, shape.experts) / shape.experts if one.expert and shape.experts else 1
            read += round(one.size_bytes * used)
            work += used * seconds(one)
        caches = [self.cache(layer) for layer in shape.layers] + [0]
        places = tuple(Place(sizes[0], sizes[1], sizes[2], cache) for sizes, cache in zip(found, caches, strict=True))
        object.__setattr__(self, "places", places)
        object.__setattr__(self, "embeddings", embeddings)
        output = [one for one in self.header.tensors if one.name == EMBEDDINGS and self.tied]
        object.__setattr__(self, "read", read + self.tied)
        object.__setattr__(self, "work", work + sum(map(seconds, output)))
        largest = max((one.size_bytes for one in self.header.tensors if one.layer >= 0), default=0)
        object.__setattr__(self, "largest", largest)

    @property
    def tied(self) -> int:
        """Bytes of the tokens' embeddings where they are the output too, else 0."""
        if any(one.name == "output.weight" for one in self.header.tensors):
            return 0
        return sum(one.size_bytes for one in self.header.tensors if one.name == EMBEDDINGS)

    @property
    def entries(self) -> int:
        """Tokens and merges of the tokenizer."""
        merges = self.header.metadata.get("tokenizer.ggml.merges")
        return self.header.vocabulary + (merges.count if isinstance(merges, Array) else 0)

    def cache(self, layer: Layer) -> int:
        """Bytes that one layer keeps of all conversations."""
        per_block, block_bytes = BLOCKS[self.cache_type.upper()]
        token = (layer.keys + layer.values) * block_bytes // per_block
        return self.parallel * (self._cells(layer.window) * token + layer.state_bytes)

    def buffers(self, where: Literal["ram", "card", "beside"]) -> int:
        """Bytes of work space: in RAM without a card; with one, there, and in RAM beside it.

        What lives at once in the busiest place of a layer, which cells a token may look at, and the scores of the
        tokens that may come next. The busiest place is the middle of the layer, seldom its attention.
        """
        shape = self.network
        width, inner = shape.width, shape.feed_forward
        outputs = shape.experts_used * width if shape.experts else 0
        busiest = max(3 * inner + 5 * width, 2 * shape.heads + 5 * width, 2 * outputs + inner + 2 * width)
        floats = {"ram": busiest, "card": busiest - width, "beside": 4 * width}[where]
        masks = sum(self._cells(window) for window in {layer.window for layer in shape.layers if layer.keys})
        scores = 0 if where == "card" else F32 * shape.vocabulary * self.parallel
        return self._batch * (F32 * max(0, floats) + F16 * masks) + scores

    def split(self, room: int) -> tuple[int, int]:
        """How many layers go on a card with so many bytes, and of those, how many leave their experts in RAM.

        As llama.cpp's common/fit.cpp: as many layers as go there, from the last; of a mixture of experts first all
        layers without their experts, then as many experts as go.
        """
        most = len(self.places)
        if not any(place.experts for place in self.places) or self.vram(most, 0) <= room:
            return max((n for n in range(1, most + 1) if self.vram(n, 0) <= room), default=0), 0
        layers = max((n for n in range(1, most + 1) if self.vram(n, n) <= room), default=0)
        return layers, min((n for n in range(layers + 1) if self.vram(layers, n) <= room), default=0)

    def vram(self, layers: int, ram_experts: int) -> int:
        """Bytes on the card with the last so many layers there, so many of them without their experts."""
        card = self.places[len(self.places) - layers :]
        experts = sorted(place.experts for place in card)[: max(0, layers - ram_experts)]
        # A prompt is worked on there, so the weights of the other layers are copied there for it, one after the other.
        copied = self.largest if layers < len(self.places) or ram_experts else 0
        weights = sum(place.weights + place.cache for place in card) + sum(experts) + self.tied
        return weights + self.buffers("card") + copied

    @property
    def _batch(self) -> int:
        return min(BATCH, padded(self.context * self.parallel))

    def _cells(self, window: int) -> int:
        cells = padded(self.context)
        return min(cells, padded(window + self._batch)) if window else cells


def seconds(tensor: Tensor) -> float:
    """Of one core, to multiply it with the vector of one token."""
    return tensor.values / (K_RATE if tensor.type.endswith("_K") else RATE)


def padded(tokens: int) -> int:
    """Cells of a cache for so many tokens."""
    return -(-tokens // CELLS) * CELLS


def _is_repacked(tensor: Tensor) -> bool:
    kinds = REPACKED["arm" if platform.machine().lower() in {"arm64", "aarch64"} else "x86"]
    return tensor.type in kinds and len(tensor.shape) >= 2 and tensor.shape[1] % REPACKED_ROWS == 0
