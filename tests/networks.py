"""GGUF files of published networks, without their weights: sparse files whose headers are right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openbook.models.gguf import Header, read_header
from openbook.models.tensors import TYPES, tensor
from test_models import array, gguf, scalar

NUMBERS = {name: number for number, (name, _, _) in TYPES.items()}
U32, F32, TEXT = 4, 6, 8


@dataclass(frozen=True)
class Published:
    """A network as its makers describe it."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    key_heads: int
    vocabulary: int
    context: int
    architecture: str = "llama"
    head_width: int = 0  # 0: width / heads
    tied: bool = False  # the tokens' embeddings are the output too
    experts: int = 0
    experts_used: int = 0
    keys: dict[str, int] = field(default_factory=dict)  # more of the architecture's own

    def tensors(self, kind: str) -> Iterator[tuple[str, tuple[int, ...], str]]:
        """Name, shape and type of each, every matrix of one kind."""
        head = self.head_width or self.width // self.heads
        yield "token_embd.weight", (self.width, self.vocabulary), kind
        yield "output_norm.weight", (self.width,), "F32"
        if not self.tied:
            yield "output.weight", (self.width, self.vocabulary), kind
        for layer in range(self.layers):
            name = f"blk.{layer}."
            yield f"{name}attn_norm.weight", (self.width,), "F32"
            yield f"{name}attn_q.weight", (self.width, head * self.heads), kind
            yield f"{name}attn_k.weight", (self.width, head * self.key_heads), kind
            yield f"{name}attn_v.weight", (self.width, head * self.key_heads), kind
            yield f"{name}attn_output.weight", (head * self.heads, self.width), kind
            yield f"{name}ffn_norm.weight", (self.width,), "F32"
            if self.architecture.startswith("qwen3"):
                yield f"{name}attn_q_norm.weight", (head,), "F32"
                yield f"{name}attn_k_norm.weight", (head,), "F32"
            if self.architecture in {"gemma2", "gemma3"}:
                yield f"{name}post_attention_norm.weight", (self.width,), "F32"
                yield f"{name}post_ffw_norm.weight", (self.width,), "F32"
            if self.architecture == "gemma3":
                yield f"{name}attn_q_norm.weight", (head,), "F32"
                yield f"{name}attn_k_norm.weight", (head,), "F32"
            if self.experts:
                yield f"{name}ffn_gate_inp.weight", (self.width, self.experts), "F32"
                yield f"{name}ffn_gate_exps.weight", (self.width, self.feed_forward, self.experts), kind
                yield f"{name}ffn_down_exps.weight", (self.feed_forward, self.width, self.experts), kind
                yield f"{name}ffn_up_exps.weight", (self.width, self.feed_forward, self.experts), kind
            else:
                yield f"{name}ffn_gate.weight", (self.width, self.feed_forward), kind
                yield f"{name}ffn_down.weight", (self.feed_forward, self.width), kind
                yield f"{name}ffn_up.weight", (self.width, self.feed_forward), kind

    def write(self, path: Path, kind: str = "Q4_0", *, tokens: int = 300) -> Path:
        """A file that takes no room: its weights are a hole. llama.cpp wants all tokens, which takes a second."""
        start, tensors = 0, []
        for name, shape, type_name in self.tensors(kind):
            one = tensor(name, NUMBERS[type_name], shape, start)
            tensors.append((name, shape, NUMBERS[type_name], start))
            start += -(-one.size_bytes // 32) * 32
        content = gguf(self._keys(tokens), tensors)
        path.write_bytes(content)
        with path.open("r+b") as file:
            file.truncate(len(content) + start)
        return path

    def header(self, folder: Path, kind: str = "Q4_0") -> Header:
        """The header of such a file."""
        return read_header(self.write(folder / f"{self.architecture}-{kind}.gguf", kind))

    def _keys(self, tokens: int) -> list[bytes]:
        numbers: dict[str, Any] = {
            "block_count": self.layers,
            "context_length": self.context,
            "embedding_length": self.width,
            "feed_forward_length": self.feed_forward,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.key_heads,
            "vocab_size": self.vocabulary,
            **({"attention.key_length": self.head_width} if self.head_width else {}),
            **({"attention.value_length": self.head_width} if self.head_width else {}),
            **({"expert_count": self.experts, "expert_used_count": self.experts_used} if self.experts else {}),
            **({"expert_feed_forward_length": self.feed_forward} if self.experts else {}),
            **self.keys,
        }
        return [
            scalar("general.architecture", TEXT, self.architecture),
            *(scalar(f"{self.architecture}.{key}", U32, number) for key, number in numbers.items()),
            scalar(f"{self.architecture}.attention.layer_norm_rms_epsilon", F32, 1e-5),
            scalar("tokenizer.ggml.model", TEXT, "llama"),
            array("tokenizer.ggml.tokens", TEXT, [f"<{number}>" for number in range(tokens)]),
            array("tokenizer.ggml.scores", F32, [0.0] * tokens),
            array("tokenizer.ggml.token_type", 5, [1] * tokens),
            scalar("tokenizer.ggml.bos_token_id", U32, 1),
            scalar("tokenizer.ggml.eos_token_id", U32, 2),
            scalar("tokenizer.ggml.unknown_token_id", U32, 0),
        ]


# The papers and config.json files of each.
TINY = Published(2, 256, 512, 4, 2, 300, 2048)  # of no one's
LLAMA_7B = Published(32, 4096, 11008, 32, 32, 32000, 2048)
LLAMA_30B = Published(60, 6656, 17920, 52, 52, 32000, 2048)
LLAMA_65B = Published(80, 8192, 22016, 64, 64, 32000, 2048)
LLAMA_3_8B = Published(32, 4096, 14336, 32, 8, 128256, 8192)
LLAMA_2_70B = Published(80, 8192, 28672, 64, 8, 32000, 4096)
MIXTRAL_8X7B = Published(32, 4096, 14336, 32, 8, 32000, 32768, experts=8, experts_used=2)
QWEN3_30B_A3B = Published(
    48, 2048, 768, 32, 4, 151936, 40960, architecture="qwen3moe", head_width=128, experts=128, experts_used=8
)
QWEN3_06B = Published(28, 1024, 3072, 16, 8, 151936, 40960, architecture="qwen3", head_width=128, tied=True)
GEMMA_3_4B = Published(
    34, 2560, 10240, 8, 4, 262208, 131072, architecture="gemma3", head_width=256, tied=True,
    keys={"attention.sliding_window": 1024},
)  # fmt: skip
