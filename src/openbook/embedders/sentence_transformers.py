"""Any model of the sentence-transformers library, by torch, on a GPU where there is one; no network."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from openbook import registry
from openbook.embedders.windows import embed_whole
from openbook.errors import ModelError, SpecError, one_line
from openbook.models.folders import find_folder, folder_identity
from openbook.recipe import digest
from openbook.text import well_formed
from openbook.types import Kind, Vectors

ENDLESS = 1_000_000  # tokens: what tokenizers say that know no end


@dataclass
class SentenceTransformers:
    """A folder, or a name on the Hugging Face hub that was downloaded before. Code that comes with a model never runs.

    Prefixes are those the model's own settings name (its prompts), unless others are given.
    """

    VERSION: ClassVar[int] = 1

    model: str = "all-MiniLM-L6-v2"
    device: str = ""  # 'cpu', 'cuda:1', 'mps'; '': the library chooses, a GPU first
    document_prefix: str = ""
    query_prefix: str = ""
    batch: int = 32  # texts at a time

    # One at a time: the tokenizer cannot serve two, and torch uses all cores or the GPU for one already.
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        registry.need("embedder", "sentence-transformers", "sentence_transformers")
        if self.batch < 1:
            raise SpecError(f"sentence-transformers(batch={self.batch}): write 1 or more.")

    @property
    def dim(self) -> int:
        return int(self.loaded.get_embedding_dimension())

    @property
    def fingerprint(self) -> str:
        made_of = (
            folder_identity(find_folder(self.model, "sentence-transformers")),
            self.document_prefix,
            self.query_prefix,
        )
        return f"sentence-transformers-{self.VERSION}-{digest(*made_of)}"

    @property
    def window(self) -> int:
        longest = self.loaded.get_max_seq_length()
        if not longest or longest >= ENDLESS:
            return 0
        prefixes = (len(self.tokens(self._prefix(kind))) for kind in ("document", "query"))
        return int(longest) - int(self.loaded.tokenizer.num_special_tokens_to_add()) - max(prefixes)

    @property
    def languages(self) -> frozenset[str]:
        return frozenset()

    @property
    def remote(self) -> str:
        return ""

    @property
    def loaded(self) -> Any:
        """The library's own object; loading takes seconds. Raises: ModelError, when it cannot be loaded."""
        with self._lock:
            if self._loaded is None:
                os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
                library: Any = importlib.import_module("sentence_transformers")  # takes seconds
                where = find_folder(self.model, "sentence-transformers")
                try:
                    self._loaded = library.SentenceTransformer(
                        str(where), device=self.device or None, trust_remote_code=False, local_files_only=True
                    )
                except (OSError, ValueError, LookupError, RuntimeError, TypeError) as error:
                    raise ModelError(
                        f"{self.model} could not be loaded by sentence-transformers: {one_line(error)}. Check {where}"
                    ) from error
            return self._loaded

    def tokens(self, text: str) -> list[tuple[int, int]]:
        with self._lock:
            made = self.loaded.tokenizer(
                well_formed(text),
                add_special_tokens=False,
                return_offsets_mapping=True,
                truncation=False,
                verbose=False,
            )
        return [(int(start), int(end)) for start, end in made["offset_mapping"]]

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), np.float32)
        encode = self.loaded.encode_query if kind == "query" else self.loaded.encode_document

        def embed(parts: list[str]) -> Vectors:
            with self._lock:
                made = encode(
                    [well_formed(part) for part in parts],
                    prompt=self._prefix(kind),  # by the library: some models leave it out of the mean
                    batch_size=self.batch,
                    show_progress_bar=False,
                    convert_to_numpy=True,
                )
            return np.asarray(made, np.float32)

        return embed_whole(texts, self.window, self.tokens, embed)

    def _prefix(self, kind: Kind) -> str:
        given = self.query_prefix if kind == "query" else self.document_prefix
        if given:
            return given
        prompts: dict[str, str] = self.loaded.prompts
        names = ("query",) if kind == "query" else ("document", "passage", "corpus")
        return next((prompts[name] for name in names if prompts.get(name)), "")
