"""Makes of a network that gives one vector for each token one that gives a unit vector for each text."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from openbook.errors import SpecError
from openbook.inference import op, openvino

PADDING = -1  # no token has this number: which one pads does not matter to the network then

Pooling = Literal["mean", "cls", "last"]

TOKENS = ("token_embeddings", "last_hidden_state")  # outputs with one vector for each token
SENTENCE = "sentence_embedding"  # an output that is pooled already


def is_pooled(model: Any) -> bool:
    """Whether the network has an output that needs no pooling."""
    return any(_named(one, SENTENCE) or _rank(one) == 2 for one in model.outputs)


def embedding_network(model: Any, pooling: Pooling | None) -> Any:
    """int32 ids of shape (texts, tokens), padded with -1, to unit vectors of shape (texts, dim).

    With `pooling` the tokens' vectors are pooled; None takes what the network itself makes of them.

    Raises:
        SpecError: The network wants an input, or gives an output, that is not a text embedder's.
    """
    ids = op.parameter(openvino.PartialShape([-1, -1]), openvino.Type.i32, name="ids")
    mask = op.greater(ids, _integer(PADDING))
    real = op.maximum(ids, _integer(0))
    zeros = op.subtract(real, real)
    places = op.subtract(op.cum_sum(op.add(zeros, _integer(1)), _integer(1)), _integer(1))
    given = {"input_ids": real, "attention_mask": mask, "token_type_ids": zeros, "position_ids": places}
    for parameter in model.get_parameters():
        _replace(parameter, given)
    vectors = _tokens(model, ids, mask, pooling) if pooling else _sentence(model)
    # Length 1 here, whatever the model's own last step is.
    unit = op.normalize_l2(op.convert(vectors, "f32"), _integer([1]), 1e-12, "max")
    return openvino.Model([op.result(unit)], [ids], "embedder")


def _replace(parameter: Any, given: dict[str, Any]) -> None:
    """Put what is computed from the ids in the place of an input."""
    names = parameter.output(0).get_names() | {parameter.get_friendly_name()}
    name = next((name for name in given if name in names), None)
    if name is None:
        raise SpecError(f"The network wants {min(names)!r}, which no text gives it. Known: {', '.join(given)}.")
    value = op.convert(given[name], parameter.get_element_type())
    for target in parameter.output(0).get_target_inputs():
        target.replace_source_output(value.output(0))


def _tokens(model: Any, ids: Any, mask: Any, pooling: Pooling) -> Any:
    ranked = [one for one in model.outputs if _rank(one) == 3]
    chosen = [one for name in TOKENS for one in ranked if _named(one, name)] or ranked
    if not chosen:
        raise SpecError("The network gives no vector for each token, so there is nothing to pool. Use pooling='auto'.")
    tokens = _source(chosen[0])
    if pooling == "cls":
        return op.gather(tokens, _integer(0), _integer(1))
    if pooling == "last":
        count = op.reduce_sum(op.convert(mask, "i32"), _integer(1), False)
        return op.gather(tokens, op.subtract(count, _integer(1)), _integer(1), 1)
    # The sum points where the mean does.
    present = op.unsqueeze(op.convert_like(mask, tokens), _integer(2))
    return op.reduce_sum(op.multiply(tokens, present), _integer(1), False)


def _sentence(model: Any) -> Any:
    pooled = [one for one in model.outputs if _rank(one) == 2]
    chosen = [one for one in pooled if _named(one, SENTENCE)] or pooled
    if not chosen:
        raise SpecError("The network does not pool its tokens. Say how: pooling='mean', 'cls' or 'last'.")
    return _source(chosen[0])


def _source(output: Any) -> Any:
    """What an output of the network shows."""
    return output.get_node().input(0).get_source_output()


def _rank(output: Any) -> int:
    """Of an output's shape; 0 where the network does not say it."""
    rank = output.partial_shape.rank
    return int(rank.get_length()) if rank.is_static else 0


def _named(output: Any, name: str) -> bool:
    return name in output.get_names()


def _integer(values: Any) -> Any:
    return op.constant(np.asarray(values, np.int32))
