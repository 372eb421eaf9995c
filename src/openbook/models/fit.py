"""Whether a model fits a machine: arithmetic on its header and a Machine, as llama.cpp would allocate.

weights (mapped from the file) + copies of some in another order + cache of keys and values + work space + program

Each part is what llama.cpp's log says it allocates; benchmarks/fit.py compares the sum with the memory that a child
really takes. See docs/decisions/0015-fit.md.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from typing import Any

from openbook.errors import ModelError, SpecError
from openbook.machine import Machine, cores, memory, this_machine
from openbook.models.catalogue import readable
from openbook.models.gguf import Array, Header
from openbook.models.network import Layer, Network, network
from openbook.models.tensors import BLOCKS, Tensor
from openbook.recipe import did_you_mean

# What the cache of keys and values may be kept in, as llama.cpp names it.
CACHE_TYPES = ("f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")

EMBEDDINGS = "token_embd.weight"
LOOKED_UP = ("token_embd", "per_layer_token_embd")  # one row for a token: they stay in RAM

BATCH = 512  # tokens of a prompt that are worked on at once (n_ubatch)
CELLS = 256  # the cache grows in such steps
MOST_TOKENS = 1 << 20  # of context, for a model that does not say how many it was trained for

# Types whose matrices llama.cpp copies into an order that its kernels read faster, where rows come in eights.
# ggml/src/ggml-cpu/repack.cpp; which of them depends on the processor the build is for.
REPACKED: Mapping[str, frozenset[str]] = {
    "x86": frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"}),
    "arm": frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4"}),
}
REPACKED_ROWS = 8

# The server's process before it has a model (Python, llama.cpp's library, its HTTP server), and its tokenizer: each
# token and each merge costs two or three small allocations. Measured: 98,000 of both 35 MB, 303,000 of both 75 MB.
PROGRAM_BYTES = 38_000_000
TOKEN_BYTES = 200

# For a model that is not here: numbers in the cache for each token, and bytes of work space, of a model of 1e9
# parameters; both grow with the width of a network, so with the root of its size. Of eleven published networks of 0.1
# to 70e9 parameters, the cache is between 0.4 and 2.5 times of this.
CACHE_VALUES = 20_000
BUFFER_BYTES = 60_000_000
USUAL_ENTRIES = 300_000  # tokens and merges
USUAL_LAYERS = 30

# Left free on a graphics card: llama.cpp's `fit_params_target`.
VRAM_MARGIN = 1 << 30

# How fast weights are read while decoding, as a part of what memory gives; and what a layer costs however small it is:
# threads wait for each other some twenty times in it.
DECODING = 0.8
LAYER_SECONDS = 0.3e-3


@dataclass(frozen=True, slots=True)
class Fit:
    """What a model takes. Memory in bytes."""

    context: int  # tokens of each conversation
    parallel: int  # conversations at once
    cache_type: str
    layers: int  # the output counts as one, as it does for llama.cpp's n_gpu_layers
    gpu_layers: int  # of them on the graphics card
    weights: int  # in RAM, mapped from the file: shared by all who run it
    repacked: int  # of them copied; the originals are given back when memory is short
    cache: int  # in RAM: what was read so far
    buffers: int  # in RAM: work space
    runtime: int  # in RAM: program and tokenizer
    vram: int  # weights, cache and buffers on the graphics card
    tokens_per_second: float  # of an answer, after a short prompt; 0: not known
    estimated: bool = False  # from the size and the parameters alone: the file is not here

    @property
    def needed(self) -> int:
        """Bytes of RAM without which it does not run well."""
        return self.weights + self.cache + self.buffers + self.runtime

    @property
    def peak(self) -> int:
        """Bytes of RAM that the process shows at most (VmHWM): copied weights count twice while there is room."""
        return self.needed + self.repacked


def check_cache_type(name: str) -> str:
    """The name, when it is one.

    Raises:
        SpecError: There is no such type.
    """
    if name not in CACHE_TYPES:
        raise SpecError(
            f"No cache type is called {name!r}.{did_you_mean(name, list(CACHE_TYPES))} Known: {', '.join(CACHE_TYPES)}."
        )
    return name


def fit(
    header: Header,
    machine: Machine,
    *,
    context: int,
    cache_type: str = "f16",
    parallel: int = 1,
    gpu_layers: int = -1,
) -> Fit:
    """What the model takes on a machine; `gpu_layers` -1: as many as the graphics memory that is free holds."""
    check_cache_type(cache_type)
    model = _Model(header, network(header), context, cache_type, parallel)
    most = len(model.network.layers) + 1
    if gpu_layers < 0:
        room = machine.vram_free_bytes - VRAM_MARGIN
        gpu_layers = sum(size <= room for size in model.vram()[1:])
    return model.on(machine, min(gpu_layers, most))


def largest(sized: Callable[[int], Fit], machine: Machine, trained: int) -> int:
    """Tokens of context with which a model still fits the machine's memory, at most those it was trained for.

    In steps of 256; 0: it does not fit at all. `sized` says what it takes with so many.
    """
    most = trained or MOST_TOKENS
    low, high = 0, -(-most // CELLS)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sized(middle * CELLS).needed <= machine.ram_bytes else (low, middle - 1)
    return min(low * CELLS, most)


def estimate(
    size_bytes: int, parameters: int, machine: Machine, *, context: int, cache_type: str = "f16", parallel: int = 1
) -> Fit:
    """What a model may take that is not here: right about its weights, the rest is what models of its size take."""
    check_cache_type(cache_type)
    per_block, block_bytes = BLOCKS[cache_type.upper()]
    cache = CACHE_VALUES * sqrt(parameters / 1e9) * _padded(context) * parallel * block_bytes / per_block
    return Fit(
        context,
        parallel,
        cache_type,
        layers=0,
        gpu_layers=0,
        weights=size_bytes,
        repacked=0,
        cache=round(cache),
        buffers=round(BUFFER_BYTES * sqrt(parameters / 1e9)),
        runtime=PROGRAM_BYTES + TOKEN_BYTES * USUAL_ENTRIES,
        vram=0,
        tokens_per_second=_speed(size_bytes, USUAL_LAYERS, machine),
        estimated=True,
    )


def refuse_too_large(header: Header, settings: Mapping[str, Any]) -> None:
    """Refuse before loading what cannot be loaded here; what would only be slow is not refused.

    `settings` are those of the child's first line.

    Raises:
        ModelError: The model takes more memory than the machine has, swap included.
    """
    total, free, swap = memory()
    parallel = max(1, int(settings.get("parallel", 1)))
    sized = partial(
        fit,
        header,
        # llama.cpp divides its context among the slots.
        context=-(-int(settings["context"]) // parallel),
        cache_type=_said_type(settings),
        parallel=parallel,
        gpu_layers=int(settings.get("gpu_layers", -1)),
    )
    # What fits without a graphics card needs no look for one, which costs up to a second.
    if not total or sized(Machine(cores(), total, free)).needed <= total + swap:
        return
    if (needed := sized(this_machine(probe=False)).needed) > total + swap:
        raise ModelError(
            f"{header.path.name} takes about {readable(needed)} with {settings['context']} tokens of context; "
            f"this machine has {readable(total)}, {readable(free)} of it free. "
            f"Choose a smaller quantisation, context or model; see: openbook models fit {header.path}"
        )


def _said_type(settings: Mapping[str, Any]) -> str:
    said = str(settings.get("cache_type") or "f16").lower()
    return said if said in CACHE_TYPES else "f16"


@dataclass(frozen=True, slots=True)
class _Model:
    header: Header
    network: Network
    context: int
    cache_type: str
    parallel: int

    def on(self, machine: Machine, gpu_layers: int) -> Fit:
        count = len(self.network.layers)
        first = count + 1 - gpu_layers  # layers from here on are on the card, the output last of all
        gpu = machine.vram_bytes > 0 and gpu_layers > 0
        ram = [one for one in self.header.tensors if not gpu or self.place(one) < first]
        if not gpu:
            gpu_layers, first = 0, count + 1
        return Fit(
            self.context,
            self.parallel,
            self.cache_type,
            count + 1,
            gpu_layers,
            weights=sum(one.size_bytes for one in ram),
            # With a graphics card, large prompts are worked on there: weights stay in the order of the file.
            repacked=0 if gpu else sum(one.size_bytes for one in ram if _is_repacked(one)),
            cache=sum(self.cache(layer) for layer in self.network.layers[: max(0, first)]),
            buffers=self.buffers() // (2 if gpu and first <= 0 else 1),
            runtime=PROGRAM_BYTES + TOKEN_BYTES * _vocabulary_entries(self.header),
            vram=self.vram()[gpu_layers] if gpu else 0,
            tokens_per_second=0.0 if gpu else self.speed(machine),
        )

    def place(self, tensor: Tensor) -> int:
        """The layer a tensor goes with: -1 for the tokens' embeddings, which stay in RAM, the last for the output."""
        if tensor.layer >= 0:
            return tensor.layer
        return -1 if tensor.name.startswith(LOOKED_UP) else len(self.network.layers)

    def cache(self, layer: Layer) -> int:
        """Bytes that one layer keeps of all conversations."""
        cells = _padded(self.context)
        if layer.window:
            cells = min(cells, _padded(layer.window + self.batch))
        per_block, block_bytes = BLOCKS[self.cache_type.upper()]
        token = (layer.keys + layer.values) * block_bytes // per_block
        return self.parallel * (cells * token + layer.state_bytes)

    @property
    def batch(self) -> int:
        """Tokens worked on at once."""
        return min(BATCH, _padded(self.context * self.parallel))

    def buffers(self) -> int:
        """Bytes of work space.

        What lives at once in the busiest place of a layer, which cells a token may look at, and the scores of all
        tokens for the one that comes next.
        """
        shape = self.network
        token = 3 * shape.feed_forward + 5 * shape.width
        masks = {layer.window for layer in shape.layers if layer.keys}
        seen = sum(min(_padded(self.context), _padded(window + self.batch) if window else 1 << 62) for window in masks)
        return self.batch * (4 * token + 2 * seen) + 4 * shape.vocabulary * self.parallel

    def vram(self) -> list[int]:
        """Bytes on the graphics card with 0, 1, 2 ... layers on it: the output first, then the layers from the last."""
        count = len(self.network.layers)
        weights = [0] * (count + 1)
        for one in self.header.tensors:
            if 0 <= (place := self.place(one)) <= count:
                weights[place] += one.size_bytes
            elif self.tied and one.name == EMBEDDINGS:
                weights[count] += one.size_bytes
        found = [self.buffers()]
        for place in range(count, -1, -1):
            cache = self.cache(self.network.layers[place]) if place < count else 0
            found.append(found[-1] + weights[place] + cache)
        return found

    @property
    def tied(self) -> bool:
        """Whether the tokens' embeddings are the output too."""
        return not any(one.name == "output.weight" for one in self.header.tensors)

    def speed(self, machine: Machine) -> float:
        """Tokens of an answer in a second; 0 when it is not known."""
        return _speed(sum(map(self.read, self.header.tensors)), len(self.network.layers), machine)

    def read(self, tensor: Tensor) -> int:
        """Bytes of a tensor that are read for one token."""
        if tensor.expert and self.network.experts:
            return tensor.size_bytes * min(self.network.experts_used, self.network.experts) // self.network.experts
        if self.place(tensor) >= 0:
            return tensor.size_bytes
        # One row of the embeddings is looked up, but where the file has no output of its own, they are that too.
        return tensor.size_bytes if self.tied and tensor.name == EMBEDDINGS else 0


def _speed(read: int, layers: int, machine: Machine) -> float:
    """Tokens a second when so many bytes are read for each; 0 when it is not known how fast."""
    return 1 / (read / (DECODING * machine.bandwidth) + LAYER_SECONDS * layers) if machine.bandwidth else 0.0


def _padded(tokens: int) -> int:
    return -(-tokens // CELLS) * CELLS


def _is_repacked(tensor: Tensor) -> bool:
    kinds = REPACKED["arm" if platform.machine().lower() in {"arm64", "aarch64"} else "x86"]
    return (
        tensor.type in kinds
        and len(tensor.shape) >= 2
        and tensor.shape[1] % REPACKED_ROWS == 0
        and not tensor.name.startswith(LOOKED_UP)
    )


def _vocabulary_entries(header: Header) -> int:
    merges = header.metadata.get("tokenizer.ggml.merges")
    return header.vocabulary + (merges.count if isinstance(merges, Array) else 0)


def named_machine(machine: Machine, ram_bytes: int, vram_bytes: int) -> Machine:
    """Another machine, all of whose memory is free; its speed is not known."""
    return replace(
        machine,
        ram_bytes=ram_bytes or machine.ram_bytes,
        ram_free_bytes=ram_bytes or machine.ram_free_bytes,
        swap_bytes=0,
        vram_bytes=vram_bytes,
        vram_free_bytes=vram_bytes,
        bandwidth=0.0,
    )
