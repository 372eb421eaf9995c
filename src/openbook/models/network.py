"""What the numbers of a GGUF header mean for memory: what each layer keeps of a token, and of a conversation.

The names of keys and the habits of each architecture: src/llama-hparams.cpp and src/llama-model.cpp of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from openbook.models.gguf import Header

F32 = 4  # bytes

# Every how many layers one looks at the whole text, the others at a window only, where the file does not say it.
# Another architecture with a window is counted without it: too much rather than too little.
PATTERNS: Mapping[str, int] = {
    "gemma2": 2, "gpt-oss": 2, "cohere2": 4, "exaone4": 4, "llama4": 4, "olmo2": 4, "afmoe": 4, "smallthinker": 4,
    "gemma3n": 5, "gemma3": 6, "gemma-embedding": 6,
}  # fmt: skip
# Layers with a state of fixed size in place of a cache that grows: all of them,
RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
# beside a cache in the same layer,
BOTH = frozenset({"falcon-h1"})
# or all but every so many-th, where `full_attention_interval` does not say it. Other hybrids give a layer without
# attention 0 heads of keys.
INTERVALS: Mapping[str, int] = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4}


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer keeps."""

    keys: int  # numbers for each token, 0 for a layer without attention
    values: int
    window: int  # tokens that it looks back; 0: all
    state_bytes: int  # for each conversation, however long


@dataclass(frozen=True, slots=True)
class Network:
    """The shape of a model. What the file does not say is 0."""

    layers: tuple[Layer, ...]
    width: int  # numbers that stand for a token between two layers
    heads: int  # numbers of the queries of a token
    feed_forward: int  # width inside a layer, of all experts that work on a token together
    experts: int  # 0: it has none
    experts_used: int  # for a token
    vocabulary: int


def network(header: Header) -> Network:
    """Read it from the header; a file without these keys, such as a tokenizer alone, has no layers."""
    count = int(header.number("block_count"))
    # A count that the tensors do not bear out is a damaged header's.
    count = min(count, 1 + max((one.layer for one in header.tensors), default=-1)) if header.tensors else 0
    width = int(header.number("embedding_length"))
    heads = _each(header, "attention.head_count", count)
    key_heads = _each(header, "attention.head_count_kv", count) or heads
    per_head = width // max(heads, default=1) if max(heads, default=0) else 0
    keys = int(header.number("attention.key_length")) or per_head
    values = int(header.number("attention.value_length")) or per_head
    # DeepSeek's latent attention: one head of keys for all, and the values are a part of it.
    latent = header.number("attention.key_length_mla") > 0
    windows, recurrent = _windows(header, count), _recurrent(header, key_heads)
    both = header.architecture in BOTH
    state = _state_bytes(header, width) if any(recurrent) or both else 0
    layers = tuple(
        Layer(
            keys=0 if recurrent[index] else key_heads[index] * keys if not latent else keys,
            values=0 if recurrent[index] or latent else key_heads[index] * values,
            window=windows[index],
            state_bytes=state if recurrent[index] or both else 0,
        )
        for index in range(count)
    )
    experts, used = int(header.number("expert_count")), int(header.number("expert_used_count"))
    dense = max(header.numbers("feed_forward_length"), default=0)
    sparse = used * int(header.number("expert_feed_forward_length") or dense)
    sparse += int(header.number("expert_shared_feed_forward_length"))
    return Network(
        layers,
        width,
        heads=max(heads, default=0) * keys,
        feed_forward=sparse if experts else dense,
        experts=experts,
        experts_used=used,
        vocabulary=header.vocabulary,
    )


def _each(header: Header, key: str, count: int) -> tuple[int, ...]:
    """A number for each layer; () if not said."""
    values = header.numbers(key)
    if not values:
        return ()
    return (values * count)[:count] if len(values) == 1 else (values + (values[-1],) * count)[:count]


def _windows(header: Header, count: int) -> tuple[int, ...]:
    window = int(header.number("attention.sliding_window"))
    said = header.numbers("attention.sliding_window_pattern")
    if not window:
        return (0,) * count
    if len(said) >= count:
        return tuple(window if one else 0 for one in said[:count])
    every = said[0] if len(said) == 1 else PATTERNS.get(header.architecture, 1)
    return tuple(window if every > 1 and index % every < every - 1 else 0 for index in range(count))


def _recurrent(header: Header, key_heads: tuple[int, ...]) -> tuple[bool, ...]:
    if header.architecture in RECURRENT or not key_heads:
        return (True,) * max(len(key_heads), int(header.number("block_count")))
    every = int(header.number("full_attention_interval")) or INTERVALS.get(header.architecture, 0)
    if every:
        return tuple((index + 1) % every != 0 for index in range(len(key_heads)))
    return tuple(heads == 0 for heads in key_heads)


def _state_bytes(header: Header, width: int) -> int:
    """Of one layer, as llama_hparams::n_embd_r and n_embd_s count it."""
    if taps := int(header.number("shortconv.l_cache")):
        return F32 * width * (taps - 1)
    if head := int(header.number("wkv.head_size")):
        return F32 * width * (head + int(header.number("token_shift_count") or 2))
    inner, state = int(header.number("ssm.inner_size")), int(header.number("ssm.state_size"))
    taps, groups = int(header.number("ssm.conv_kernel")), int(header.number("ssm.group_count"))
    return F32 * (max(0, taps - 1) * (inner + 2 * groups * state) + state * inner)
