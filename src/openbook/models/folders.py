"""Models that are folders: one named by its path, or one in Hugging Face's cache on this machine. Never downloads.

~/.cache/huggingface/hub/models--OWNER--NAME/refs/main -> a revision
                                             snapshots/<revision>/ the files
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from openbook.errors import ModelError
from openbook.home import absolute
from openbook.models.identity import identity
from openbook.recipe import digest

# Where a folder keeps a network that OpenVINO can run, the quickest to load first.
NETWORKS = ("openvino/openvino_model.xml", "openvino_model.xml", "onnx/model.onnx", "model.onnx")

NAME = re.compile(r"[\w.-]+/[\w.-]+")
SETTINGS = frozenset({
    "modules.json", "config.json", "config_sentence_transformers.json", "sentence_bert_config.json", "tokenizer.json",
    "vocab.txt",
})  # fmt: skip
WEIGHTS = (".safetensors", ".bin")  # where there is one of the first kind, the others hold the same
OTHERS = frozenset({"onnx", "openvino"})  # folders of the same weights for other libraries


def find_folder(model: str, owner: str = "") -> Path:
    """The folder of a model: a path, or 'owner/name' as on the hub; `owner` is that of a name alone.

    Raises:
        ModelError: It is not on this machine; says how to get it.
    """
    folder = absolute(model)
    if model and folder.is_dir():
        return folder
    name = model if "/" in model or not owner else f"{owner}/{model}"
    if not NAME.fullmatch(name) or name.startswith("."):
        raise ModelError(
            f"There is no folder {model!r}. Name one that holds a model, or a model as on the hub: owner/name"
        )
    if cached := _cached(hub_cache() / f"models--{name.replace('/', '--')}"):
        return cached
    raise ModelError(
        f"{model} is neither a folder nor in the cache of Hugging Face ({hub_cache()}). Get it with: "
        f"pip install huggingface_hub && hf download {name}"
    )


def hub_cache() -> Path:
    """Where Hugging Face's libraries keep what they download."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return absolute(named)
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return absolute(home) / "hub"


def _cached(folder: Path) -> Path | None:
    """The revision called main, or the last one that was downloaded."""
    main = folder / "refs" / "main"
    if main.is_file():
        snapshot = folder / "snapshots" / main.read_text(encoding="utf-8").strip()
        if snapshot.is_dir():
            return snapshot
    snapshots = [one for one in folder.glob("snapshots/*") if one.is_dir()]
    return max(snapshots, key=lambda one: one.stat().st_mtime, default=None)


def folder_identity(folder: Path) -> str:
    """16 hex digits that differ between models; what is not weights, tokenizer or settings does not count."""
    files = [path for path in sorted(folder.rglob("*")) if not OTHERS & set(path.relative_to(folder).parts)]
    weights = next((found for suffix in WEIGHTS if (found := [path for path in files if path.suffix == suffix])), [])
    chosen = [path for path in files if path.name in SETTINGS or path in weights]
    return digest(*((path.relative_to(folder).as_posix(), identity(path)) for path in chosen))
