"""A network that reads question and passage together, by OpenVINO on the processor: one number for each pair.

question + passage --tokens, question whole, passage cut at the window--> rows --batches by length--> logits --> 0 to 1
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from openbook.errors import ModelError, one_line
from openbook.inference import Network, openvino
from openbook.models.folders import NETWORKS
from openbook.text import well_formed

if TYPE_CHECKING:
    from numpy.typing import NDArray


def network_file(folder: Path, file: str = "") -> Path | None:
    """The network of a folder that OpenVINO can run: `file`, or the first of NETWORKS; None when there is none.

    Raises:
        ModelError: `file` is not there.
    """
    if file and not (folder / file).is_file():
        known = ", ".join(sorted(path.relative_to(folder).as_posix() for path in _all_networks(folder))) or "none"
        raise ModelError(f"{folder} has no file {file}. Networks there: {known}.")
    return next((folder / name for name in ([file] if file else NETWORKS) if (folder / name).is_file()), None)


def _all_networks(folder: Path) -> list[Path]:
    return [path for pattern in ("*.onnx", "*.xml", "*/*.onnx", "*/*.xml") for path in folder.glob(pattern)]


class Pairs:
    """A loaded cross-encoder; any number of threads may call it."""

    def __init__(self, folder: Path, network: Path, window: int, threads: int) -> None:
        """Load it.

        Raises:
            ModelError: A file is missing or broken, or the network is no cross-encoder.
        """
        words = folder / "tokenizer.json"
        if not words.is_file():
            raise ModelError(f"{folder} has no tokenizer.json. Download the whole model.")
        try:
            self._tokenizer = Tokenizer.from_file(str(words))
            model = openvino.Core().read_model(network)
        except Exception as error:  # tokenizers raises plain Exception, openvino RuntimeError
            raise ModelError(f"{network.name} or tokenizer.json of {folder} is broken: {one_line(error)}") from error
        self._inputs = [port.any_name for port in model.inputs]
        if unknown := set(self._inputs) - {"input_ids", "attention_mask", "token_type_ids"}:
            raise ModelError(f"{network} wants {', '.join(sorted(unknown))}, which no cross-encoder does.")
        labels = model.outputs[0].get_partial_shape()
        if (
            labels.rank.is_dynamic
            or labels.rank.get_length() != 2
            or (labels[1].is_static and labels[1].get_length() > 2)
        ):
            raise ModelError(f"{network} gives {labels} numbers a pair instead of one score: it is no cross-encoder.")
        # A passage that says '[SEP]' must not be read as the end of a passage.
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._window = min(window, longest(folder))
        self._padding = _padding(folder)
        self._network = Network(model, threads)

    def __call__(self, question: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """How well each text answers the question, 0 to 1, in order."""
        rows = self._rows(question, texts)
        scores = np.empty(len(rows))

        def work(batch: list[int]) -> None:
            scores[batch] = probabilities(self._network(*self._batch([rows[index] for index in batch])))

        self._network.by_length([len(row) for row in rows], work)
        return scores

    def _rows(self, question: str, texts: Sequence[str]) -> list[Encoding]:
        room = self._window - self._tokenizer.num_special_tokens_to_add(is_pair=True)
        asked, *passages = self._tokenizer.encode_batch(
            [well_formed(text) for text in (question, *texts)], add_special_tokens=False
        )
        asked.truncate(room // 2)  # no question is that long but one that was pasted by mistake
        for passage in passages:
            passage.truncate(max(room - len(asked), 0))
        return [self._tokenizer.post_process(asked, passage) for passage in passages]

    def _batch(self, rows: Sequence[Encoding]) -> list[NDArray[np.int64]]:
        """The network's inputs in its own order, each of shape (rows, longest)."""
        shape = len(rows), max(map(len, rows))
        made = {"input_ids": np.full(shape, self._padding), "attention_mask": np.zeros(shape, np.int64)}
        made["token_type_ids"] = np.zeros(shape, np.int64)
        for line, row in enumerate(rows):
            made["input_ids"][line, : len(row)] = row.ids
            made["attention_mask"][line, : len(row)] = 1
            made["token_type_ids"][line, : len(row)] = row.type_ids
        return [made[name] for name in self._inputs]


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Of one label its sigmoid, of two (no, yes) the softmax's second: shape (rows, 1 or 2) -> (rows,).

    >>> probabilities(np.array([[0.0], [2.0]])).round(3).tolist(), probabilities(np.array([[1.0, 1.0]])).tolist()
    ([0.5, 0.881], [0.5])
    """
    logits = np.asarray(logits, np.float64)
    margin = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    return np.asarray(1 / (1 + np.exp(-np.clip(margin, -700, 700))))


def longest(folder: Path) -> int:
    """Tokens of a pair that the model was made for, as its own files say.

    RoBERTa and its relatives count positions from 2 on: of 514 they can use 512.
    """
    config = settings(folder / "config.json")
    positions = config.get("max_position_embeddings") or 512  # null where the model knows no end
    if "roberta" in str(config.get("model_type", "")):
        positions -= 2
    # Where no limit was set, the file says 10^30.
    return int(min(positions, settings(folder / "tokenizer_config.json").get("model_max_length") or positions))


def _padding(folder: Path) -> int:
    return int(settings(folder / "config.json").get("pad_token_id") or 0)


def settings(path: Path) -> Mapping[str, Any]:
    """A JSON file of settings; a missing one sets nothing.

    Raises:
        ModelError: It is not JSON.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ModelError(f"{path} is broken: {one_line(error)}. Download it again.") from error
    return found if isinstance(found, dict) else {}
