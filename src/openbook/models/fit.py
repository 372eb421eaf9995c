"""Whether a model fits a machine: arithmetic on its header and a Machine, as llama.cpp would allocate.

weights (mapped from the file) + copies of some in another order + cache of keys and values + work space + program

Each part is what llama.cpp's log says it allocates; benchmarks/fit.py compares the sum with the memory that a child
really takes. See docs/decisions/0015-fit.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from typing import Any

from openbook.errors import ModelError, SpecError
from openbook.machine import Machine, cores, memory, this_machine
from openbook.models.catalogue import readable
from openbook.models.gguf import Header
from openbook.models.network import network
from openbook.models.parts import CELLS, K_RATE, Parts, padded
from openbook.models.tensors import BLOCKS
from openbook.recipe import did_you_mean

# What the cache of keys and values may be kept in, as llama.cpp names it.
CACHE_TYPES = ("f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
MOST_TOKENS = 1 << 20  # of context, for a model that does not say how many it was trained for

# The server's process before it has a model (Python, llama.cpp's library, its HTTP server), and its tokenizer: each
# token and each merge costs two or three small allocations. Measured: 98,000 of both 35 MB, 303,000 of both 75 MB.
PROGRAM_BYTES = 38_000_000
TOKEN_BYTES = 200

# For a model that is not here: numbers in the cache for each token, and bytes of work space, of a model of 1e9
# parameters; both grow with the width of a network, so with the root of its size. Of 14 published networks of 0.1 to
# 70e9 parameters the cache is 0.4 to 1.8 times of this, of one 3.7 times; without grouped heads (LLaMA 1) 5 to 7 times.
CACHE_VALUES = 20_000
BUFFER_BYTES = 60_000_000
USUAL_ENTRIES = 300_000  # tokens and merges
USUAL_LAYERS = 30

# Left free on a graphics card: llama.cpp's `fit_params_target`.
VRAM_MARGIN = 1 << 30

# What a layer costs while decoding, however small it is: threads wait for each other some twenty times in it.
LAYER_SECONDS = 0.3e-3


@dataclass(frozen=True, slots=True)
class Fit:
    """What a model takes. Memory in bytes."""

    context: int  # tokens of each conversation
    parallel: int  # conversations at once
    cache_type: str
    layers: int  # the output counts as one, as it does for llama.cpp's n_gpu_layers
    gpu_layers: int  # of them on the graphics card
    ram_experts: int  # of those, how many keep their experts in RAM
    weights: int  # in RAM, mapped from the file: shared by all who run it
    repacked: int  # of them copied; the originals are given back when memory is short
    cache: int  # in RAM: what was read so far
    buffers: int  # in RAM: work space
    runtime: int  # in RAM: program and tokenizer
    vram: int  # weights, cache and buffers on the graphics card
    read: int  # bytes of weights that each token of an answer needs
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
    parts = Parts(header, network(header), context, cache_type, parallel)
    most = len(parts.places)
    room = machine.vram_free_bytes - VRAM_MARGIN
    if machine.vram_bytes <= 0:
        gpu_layers, experts = 0, 0
    elif gpu_layers < 0:
        gpu_layers, experts = parts.split(room)
    else:
        gpu_layers, experts = min(gpu_layers, most), 0
    ram, card = parts.places[: most - gpu_layers], parts.places[most - gpu_layers :]
    # Those of the last of them, in llama.cpp; here the largest, where they differ.
    kept = sorted(place.experts for place in card)[gpu_layers - experts :]
    return Fit(
        context,
        parallel,
        cache_type,
        most,
        gpu_layers,
        experts,
        weights=parts.embeddings + sum(place.weights + place.experts for place in ram) + sum(kept),
        # With a graphics card, large prompts are worked on there: weights stay in the order of the file.
        repacked=0 if gpu_layers else sum(place.repacked for place in ram),
        cache=sum(place.cache for place in ram),
        buffers=parts.buffers("beside" if gpu_layers else "ram"),
        runtime=PROGRAM_BYTES + TOKEN_BYTES * parts.entries,
        vram=parts.vram(gpu_layers, experts) if gpu_layers else 0,
        read=parts.read,
        tokens_per_second=0.0 if gpu_layers else _speed(parts.read, parts.work, most - 1, machine),
    )


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
    cache = CACHE_VALUES * sqrt(parameters / 1e9) * padded(context) * parallel * block_bytes / per_block
    return Fit(
        context,
        parallel,
        cache_type,
        layers=0,
        gpu_layers=0,
        ram_experts=0,
        weights=size_bytes,
        repacked=0,
        cache=round(cache),
        buffers=round(BUFFER_BYTES * sqrt(parameters / 1e9)),
        runtime=PROGRAM_BYTES + TOKEN_BYTES * USUAL_ENTRIES,
        vram=0,
        read=size_bytes,
        tokens_per_second=_speed(size_bytes, parameters / K_RATE, USUAL_LAYERS, machine),
        estimated=True,
    )


def refuse_too_large(header: Header, settings: Mapping[str, Any]) -> None:
    """Refuse before loading what cannot be loaded here; what would only be slow is not refused.

    `settings` are those of the child's first line.

    Raises:
        ModelError: The model takes more memory than the machine has, swap included.
    """
    total, free, swap = memory()
    sized = partial(
        fit,
        header,
        context=int(settings["context"]),
        cache_type=_said_type(settings),
        parallel=int(settings.get("parallel", 1)),
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


def _speed(read: int, work: float, layers: int, machine: Machine) -> float:
    """Tokens a second, 0 when it is not known: memory or cores, whichever takes longer, and a bit for each layer."""
    if not machine.bandwidth:
        return 0.0
    return 1 / (max(read / machine.bandwidth, work / machine.cores) + LAYER_SECONDS * layers)


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
