"""Any sentence embedder in ONNX or OpenVINO form, from a folder laid out as sentence-transformers has it.

config.json, tokenizer.json                     the model
onnx/model.onnx or openvino/openvino_model.xml  its network
modules.json, 1_Pooling/config.json             which tokens make the vector
sentence_bert_config.json                       how many tokens it takes
config_sentence_transformers.json               what goes before a question and before a document
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tokenizers import Tokenizer

from openbook.embedders.encoder import Encoder
from openbook.embedders.pooling import PADDING, Pooling, embedding_network, is_pooled
from openbook.errors import SpecError
from openbook.inference import openvino
from openbook.models.folders import NETWORKS, find_folder
from openbook.types import Kind

if TYPE_CHECKING:
    from openbook.types import Vectors

AUTO = "auto"
POOLINGS: Mapping[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "mean": "mean",  # newer folders: "pooling_mode": "mean"
    "cls": "cls",
    "lasttoken": "last",
}
STEPS = frozenset({"Transformer", "Pooling", "Normalize"})  # of modules.json that are done here
# Their positions are counted from the padding token's number on.
COUNTED_FROM_PADDING = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet"})
MOST_TOKENS = 1 << 20  # tokenizers without a limit say 10 ** 30


@dataclass
class Onnx:
    """Embeds with the model in a folder, or with one that Hugging Face's cache on this machine holds."""

    model: str = ""  # a folder, or owner/name
    file: str = ""  # the network in it, where there are several; '': the first of the usual names
    pooling: Literal["auto", "mean", "cls", "last"] = "auto"
    query: str = AUTO  # what goes before a question; 'auto': what the model's folder says
    document: str = AUTO
    max_tokens: int = 0  # of one window; 0: what the folder says
    threads: int = 0  # 0: one for each core this process may use

    VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name, value in (("max_tokens", self.max_tokens), ("threads", self.threads)):
            if value < 0:
                raise SpecError(f"{name} must be 0 (found out by itself) or more, not {value}.")

    @property
    def dim(self) -> int:
        return self._encoder.dim

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def window(self) -> int:
        return self._encoder.room(*self._prefixes.values())

    @property
    def languages(self) -> frozenset[str]:
        return frozenset()

    @property
    def remote(self) -> str:
        return ""

    def tokens(self, text: str) -> list[tuple[int, int]]:
        return self._encoder.tokens(text)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        return self._encoder.embed(texts, self._prefixes[kind])

    @cached_property
    def _folder(self) -> Path:
        if not self.model:
            raise SpecError("onnx needs a model: onnx(model='FOLDER') or onnx(model='owner/name').")
        return find_folder(self.model)

    @cached_property
    def _network_file(self) -> Path:
        names = [self.file] if self.file else NETWORKS
        for name in names:
            if (self._folder / name).is_file():
                return self._folder / name
        raise SpecError(f"{self._folder} holds no {' or '.join(names)}. Name the network's file: onnx(file=...)")

    @cached_property
    def _prefixes(self) -> Mapping[Kind, str]:
        query, document = prompts(self._folder)
        return {
            "query": query if self.query == AUTO else self.query,
            "document": document if self.document == AUTO else self.document,
        }

    @cached_property
    def _encoder(self) -> Encoder:
        words = self._folder / "tokenizer.json"
        if not words.is_file():
            raise SpecError(f"{self._folder} holds no tokenizer.json, which splits texts into tokens. Get it as well.")
        try:
            model = openvino.Core().read_model(self._network_file)
        except RuntimeError as error:  # with a trace of its own over many lines
            raise SpecError(f"Cannot read {self._network_file}: it is no whole network. Download it again.") from error
        network = embedding_network(model, self._pooling(model))
        return Encoder(
            network=lambda: network,
            tokenizer=lambda: _whole(words),
            dim=network.output(0).partial_shape[1].get_length(),
            window=self.max_tokens or window(self._folder),
            padding=PADDING,
            threads=self.threads,
            again=f"Download it again: {self._folder}",
        )

    def _pooling(self, model: Any) -> Pooling | None:
        if self.pooling != "auto":
            return self.pooling
        return None if is_pooled(model) else pooling(self._folder)

    @cached_property
    def _fingerprint(self) -> str:
        """Of all files that can change a vector, and of the options that do."""
        file = self._network_file
        # Weights of a large ONNX network lie beside it: model.onnx_data, model.onnx.data, model.onnx_data_1.
        parts = [file.with_suffix(".bin"), *sorted(file.parent.glob(f"{escape(file.name)}*"))]
        parts += [self._folder / name for name in ("tokenizer.json", "modules.json", "1_Pooling/config.json")]
        options = self.pooling, self.max_tokens or window(self._folder), sorted(self._prefixes.items())
        changes = hashlib.sha256(repr((self.VERSION, options)).encode())
        for path in parts:
            if path.is_file():
                with path.open("rb") as content:
                    changes.update(hashlib.file_digest(content, "sha256").digest())
        return f"onnx-{changes.hexdigest()[:24]}"


def _whole(path: Path) -> Tokenizer:
    """The tokenizer of a file, which may cut off or pad; here it must not."""
    words = Tokenizer.from_file(str(path))
    words.no_truncation()
    words.no_padding()
    return words


def pooling(folder: Path) -> Pooling:
    """What the folder says makes a text's vector.

    Raises:
        SpecError: It says nothing, or something else than is known here.
    """
    steps = _read(folder / "modules.json", [])
    others = [one["type"].rpartition(".")[2] for one in steps if one["type"].rpartition(".")[2] not in STEPS]
    if others:
        raise SpecError(f"{folder} wants a step {others[0]!r} after its network, which is not known here.")
    path = folder / next((one["path"] for one in steps if one["type"].endswith("Pooling")), "1_Pooling")
    said = _read(path / "config.json", {})
    ways = [way for key, way in POOLINGS.items() if said.get(key) or said.get("pooling_mode") == key]
    if len(ways) != 1:
        raise SpecError(
            f"{path / 'config.json'} does not say one way to pool. Say it: pooling='mean', 'cls' or 'last'."
        )
    return ways[0]


def prompts(folder: Path) -> tuple[str, str]:
    """What the folder says goes before a question and before a document."""
    said = _read(folder / "config_sentence_transformers.json", {})
    known = said.get("prompts") or {}
    default = known.get(said.get("default_prompt_name") or "", "")
    document = next((known[name] for name in ("document", "passage", "corpus") if known.get(name)), default)
    return known.get("query") or default, document


def window(folder: Path) -> int:
    """Tokens that the model takes in, those that mark begin and end among them.

    Raises:
        SpecError: The folder does not say it.
    """
    if tokens := _read(folder / "sentence_bert_config.json", {}).get("max_seq_length"):
        return int(tokens)
    config = _read(folder / "config.json", {})
    tokens = config.get("max_position_embeddings") or 0  # null where the model knows no end
    if tokens and config.get("model_type") in COUNTED_FROM_PADDING:
        tokens -= config.get("pad_token_id", 1) + 1
    said = _read(folder / "tokenizer_config.json", {}).get("model_max_length") or tokens
    tokens = int(min(said, tokens) if tokens else said)
    if not 0 < tokens < MOST_TOKENS:
        raise SpecError(f"{folder} does not say how many tokens the model takes. Say it: max_tokens=512")
    return tokens


def _read(path: Path, otherwise: Any) -> Any:
    """The content of a JSON file, or another where there is no such file."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return otherwise
    except (OSError, ValueError) as error:
        raise SpecError(f"Cannot read {path}: {error}. Download the model again.") from error
    if not isinstance(content, type(otherwise)):
        raise SpecError(f"{path} does not hold what it should. Download the model again.")
    return content
