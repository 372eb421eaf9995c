"""Where a model of Hugging Face lies on this machine. Nothing is downloaded here."""

from __future__ import annotations

import os
from pathlib import Path

from openbook.errors import ModelError
from openbook.home import absolute
from openbook.models.identity import identity
from openbook.recipe import digest

SETTINGS = frozenset({
    "modules.json", "config.json", "config_sentence_transformers.json", "sentence_bert_config.json", "tokenizer.json",
    "vocab.txt",
})  # fmt: skip
WEIGHTS = (".safetensors", ".bin")  # where there is one of the first kind, the others hold the same
OTHERS = frozenset({"onnx", "openvino"})  # folders of the same weights for other libraries


def folder(model: str, library: str) -> Path:
    """The folder of a model: a path, or a name on the Hugging Face hub that was downloaded before.

    Raises:
        ModelError: It is not on this machine; says how to get it.
    """
    path = absolute(model)
    if path.is_dir():
        return path
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model:
        raise ModelError(f"There is no folder {path} with a model. Check the path.")
    names = [model] if "/" in model else [f"{library}/{model}"]
    for name in names:
        kept = cache() / f"models--{name.replace('/', '--')}"
        try:
            snapshot = kept / "snapshots" / (kept / "refs" / "main").read_text(encoding="ascii").strip()
        except OSError:
            continue
        if snapshot.is_dir():
            return snapshot
    raise ModelError(
        f"{model} is no folder, and not in the cache of Hugging Face ({cache()}). Download it once with: "
        f"hf download {names[-1]}"
    )


def cache() -> Path:
    """Where huggingface_hub keeps what it downloads, by the variables it knows."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return absolute(named)
    if named := os.environ.get("HF_HOME"):
        return absolute(named) / "hub"
    return absolute(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def identity_of(folder: Path) -> str:
    """16 hex digits that differ between models; what is not weights, tokenizer or settings does not count."""
    files = [path for path in sorted(folder.rglob("*")) if not OTHERS & set(path.relative_to(folder).parts)]
    weights = next((found for suffix in WEIGHTS if (found := [path for path in files if path.suffix == suffix])), [])
    chosen = [path for path in files if path.name in SETTINGS or path in weights]
    return digest(*((path.relative_to(folder).as_posix(), identity(path)) for path in chosen))
