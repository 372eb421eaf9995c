"""Static models of the model2vec library: a text is the mean of the vectors of its pieces of words."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from openbook import registry
from openbook.embedders.windows import unit
from openbook.errors import ModelError, one_line
from openbook.models.folders import find_folder, folder_identity
from openbook.text import well_formed
from openbook.types import Kind, Vectors


@dataclass
class Model2Vec:
    """A folder, or a name on the Hugging Face hub that was downloaded before. Texts of any length are taken whole."""

    VERSION: ClassVar[int] = 1

    model: str = "minishlab/potion-base-8M"

    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        registry.need("embedder", "model2vec", "model2vec")

    @property
    def dim(self) -> int:
        return int(self.loaded.dim)

    @property
    def fingerprint(self) -> str:
        return f"model2vec-{self.VERSION}-{folder_identity(find_folder(self.model, 'minishlab'))}"

    @property
    def window(self) -> int:
        return 0

    @property
    def languages(self) -> frozenset[str]:
        return frozenset(self.loaded.language or ())

    @property
    def remote(self) -> str:
        return ""

    @property
    def loaded(self) -> Any:
        """The library's own object. Raises: ModelError, when it cannot be loaded."""
        with self._lock:
            if self._loaded is None:
                os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
                library: Any = importlib.import_module("model2vec")
                where = find_folder(self.model, "minishlab")
                try:
                    self._loaded = library.StaticModel.from_pretrained(where, max_length=None, force_download=False)
                except (OSError, ValueError, LookupError) as error:
                    raise ModelError(
                        f"{self.model} could not be loaded by model2vec: {one_line(error)}. Check {where}"
                    ) from error
            return self._loaded

    def tokens(self, text: str) -> list[tuple[int, int]]:
        encoding = self.loaded.tokenizer.encode(well_formed(text), add_special_tokens=False)
        return list(encoding.offsets)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), np.float32)
        with self._lock:  # the tokenizer cannot serve two
            made = self.loaded.encode([well_formed(text) for text in texts], max_length=None, use_multiprocessing=False)
        return unit(np.asarray(made, np.float32))
