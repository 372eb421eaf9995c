"""Builds the graph of a BERT that embeds texts, in float or with 8-bit weights and activations.

    ids -> embed -> n x (attention -> feed forward) -> mean over tokens -> length 1
                         |  |            |  |
                         matrix products in int8: activations in 256 steps, weights in 255 steps per row

A few channels of the activations are 20 times larger than the rest. One step size for all would leave little of the
small ones, so each channel is divided by a factor that the weights are multiplied with (SmoothQuant, arXiv 2211.10438).
Where single tokens stick out instead, no factor helps: these activations have no range but are rounded as they come, 32
numbers of one token at a time (inference.py asks OpenVINO to). The same input gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbook.inference import Ids, op, openvino

SMOOTH = 0.8  # share of the difficulty moved from activations to weights; docs/decisions/0001-embedding-runtime.md

ROWS = 8192  # rounded at a time, so that a large vocabulary does not take its size in memory once more

Array = NDArray[np.float32]
Tensors = dict[str, Array]
"""By the names that Hugging Face's BertModel gives them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of one model."""

    name: str
    layers: int
    heads: int
    width: int
    padding: int  # the token that stands for nothing


@dataclass
class Range:
    """What one activation was seen to be, channel by channel."""

    low: Array
    high: Array

    def widen(self, values: Array) -> None:
        """Take in the values of one more text."""
        self.low, self.high = np.minimum(self.low, values.min(axis=0)), np.maximum(self.high, values.max(axis=0))


@dataclass
class Graph:
    """In int8, or in float with every activation as one more output."""

    shape: Shape
    tensors: Tensors
    ranges: dict[str, Range] | None = None  # None: float. An activation without a range is rounded as it comes

    def __post_init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def model(self) -> Any:
        """int32 ids of shape (texts, tokens), padded, to unit vectors of shape (texts, width)."""
        width, heads = self.shape.width, self.shape.heads
        ids = op.parameter(openvino.PartialShape([-1, -1]), openvino.Type.i32, name="ids")
        mask = op.not_equal(ids, integer(self.shape.padding))
        shape = op.shape_of(ids, "i32")
        x = self._embeddings(ids, shape)
        # Added to the scores of padding; the softmax makes 0 of it. Small enough for 16-bit floats.
        bias = op.select(mask, number(0), number(-10000))
        bias = op.unsqueeze(bias, integer([1, 2]))
        by_head = op.concat([shape, integer([heads, width // heads])], 0)
        for layer in range(self.shape.layers):
            x = self._attention(x, f"encoder.layer.{layer}.", by_head, bias)
            x = self._feed_forward(x, f"encoder.layer.{layer}.")
        x = op.reshape(x, op.concat([shape, integer([width])], 0), False)
        present = op.unsqueeze(op.convert(mask, "f32"), integer(2))
        # The sum points where the mean does.
        pooled = op.reduce_sum(op.multiply(x, present), integer(1), False)
        unit = op.normalize_l2(pooled, integer([1]), 1e-12, "max")
        return openvino.Model([op.result(unit), *map(op.result, self.seen.values())], [ids], self.shape.name)

    def _embeddings(self, ids: Any, shape: Any) -> Any:
        words = self.tensors["embeddings.word_embeddings.weight"]
        # Every text is the first of a pair, so its token type is always 0.
        places = self.tensors["embeddings.position_embeddings.weight"]
        places = places + self.tensors["embeddings.token_type_embeddings.weight"][0]
        length = op.gather(shape, integer([1]), integer(0))
        place = op.slice(number(places), integer([0]), length, integer([1]), integer([0]))
        x = op.add(op.gather(self._weight(words), ids, integer(0)), place)
        # From here on one row is one token: FakeQuantize takes a range for each channel on axis 1 only.
        return self._norm(op.reshape(x, integer([-1, self.shape.width]), False), "embeddings.LayerNorm")

    def _attention(self, x: Any, layer: str, by_head: Any, bias: Any) -> Any:
        def heads(name: str) -> Any:
            y = self._linear(x, f"{layer}attention.self.{name}", f"{layer}in", "query", "key", "value")
            return op.transpose(op.reshape(y, by_head, False), integer([0, 2, 1, 3]))

        query, key, value = heads("query"), heads("key"), heads("value")
        scale = number(1 / np.sqrt(self.shape.width / self.shape.heads))
        context = op.scaled_dot_product_attention(query, key, value, bias, scale)
        context = op.reshape(op.transpose(context, integer([0, 2, 1, 3])), integer([-1, self.shape.width]), False)
        y = self._linear(context, f"{layer}attention.output.dense", f"{layer}context")
        return self._norm(op.add(x, y), f"{layer}attention.output.LayerNorm")

    def _feed_forward(self, x: Any, layer: str) -> Any:
        y = op.gelu(self._linear(x, f"{layer}intermediate.dense", f"{layer}middle"), "erf")
        y = self._linear(y, f"{layer}output.dense", f"{layer}gelu")
        return self._norm(op.add(x, y), f"{layer}output.LayerNorm")

    def _norm(self, x: Any, name: str) -> Any:
        y = op.mvn(x, integer([-1]), True, 1e-12, "inside_sqrt")
        return op.add(op.multiply(y, number(self.tensors[f"{name}.weight"])), number(self.tensors[f"{name}.bias"]))

    def _linear(self, x: Any, name: str, activation: str, *sharing: str) -> Any:
        """Multiply and add the bias. `sharing` names the products that read this activation, so share its factors."""
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        if self.ranges is None:
            self.seen[activation] = x
        elif activation in self.ranges:
            together = [self.tensors[f"{name.rpartition('.')[0]}.{one}.weight"] for one in sharing] or [weight]
            x, factors = quantised(x, self.ranges[activation], np.concatenate(together))
            weight = weight * factors
        return op.add(op.matmul(x, self._weight(weight), False, True), number(bias))

    def _weight(self, weight: Array) -> Any:
        if self.ranges is None:
            return number(weight)
        rounded, steps = in_steps(weight)
        return op.multiply(op.convert(op.constant(rounded), "f32"), number(steps))


def in_steps(weight: Array) -> tuple[NDArray[np.int8], Array]:
    """Rows in 255 steps from -127 to 127, and the size of each row's step."""
    rounded = np.empty(weight.shape, np.int8)
    steps = np.empty((len(weight), 1), np.float32)
    for start in range(0, len(weight), ROWS):
        rows = weight[start : start + ROWS]
        steps[start : start + ROWS] = np.abs(rows).max(axis=1, keepdims=True) / np.float32(127)
        rounded[start : start + ROWS] = np.rint(rows / steps[start : start + ROWS])
    return rounded, steps


def number(values: Any) -> Any:
    """A constant of 32-bit floats."""
    return op.constant(np.asarray(values, np.float32))


def integer(values: Any) -> Any:
    """A constant of 32-bit integers."""
    return op.constant(np.asarray(values, np.int32))


def quantised(x: Any, seen: Range, weight: Array) -> tuple[Any, Array]:
    """Activations in 256 steps after division by a factor for each channel, and these factors."""
    size = np.maximum(np.abs(seen.low), np.abs(seen.high))
    factors = np.maximum(size, 1e-3) ** SMOOTH / np.maximum(np.abs(weight).max(axis=0), 1e-3) ** (1 - SMOOTH)
    # Powers of 2 ** (1/8), in 64 bits, so that the last bit of another machine's arithmetic does not make another file.
    factors = np.exp2(np.rint(np.log2(factors.astype(np.float64)) * 8) / 8).astype(np.float32)
    low, high = min(float((seen.low / factors).min()), 0.0), max(float((seen.high / factors).max()), 0.0)
    step = float(f"{(high - low) / 255:.2e}")
    low = -round(-low / step) * step  # 0 must be one of the steps
    high = low + 255 * step
    return op.fake_quantize(x, number(low * factors), number(high * factors), number(low), number(high), 256), factors


def read_safetensors(path: Path) -> Tensors:
    """The 32-bit tensors of a file, by name."""
    # Mapped, so that of a large file of another model only the header is read.
    content = np.memmap(path, np.uint8, "r")
    size = int.from_bytes(content[:8].tobytes(), "little")
    tensors = {}
    for name, entry in json.loads(content[8 : 8 + size].tobytes()).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            values = np.frombuffer(content[8 + size + start : 8 + size + end], np.float32)
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def observed(shape: Shape, tensors: Tensors, rows: Sequence[Ids]) -> dict[str, Range]:
    """The ranges of all activations of the float graph, over texts that are tokens already."""
    # Only the words that occur: a vocabulary can be ten times the rest of the network.
    words = "embeddings.word_embeddings.weight"
    used = np.unique(np.concatenate([np.array(row, np.int32) for row in rows]))
    graph = Graph(replace(shape, padding=-1), {**tensors, words: tensors[words][used]})
    model = graph.model()
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1})
    ranges: dict[str, Range] = {}
    for row in rows:
        result = compiled([np.searchsorted(used, row).astype(np.int32)[None]])
        for index, name in enumerate(graph.seen, 1):
            values = result[index]
            ranges.setdefault(name, Range(values.min(axis=0), values.max(axis=0))).widen(values)
    return ranges
