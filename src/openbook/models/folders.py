"""The folder of a model that is several files: one named by its path, or one of Hugging Face's cache. Never downloads.

~/.cache/huggingface/hub/models--ORG--NAME/refs/main -> a revision
                                           snapshots/<revision>/ the files
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from openbook.errors import ModelError
from openbook.home import absolute

NAME = re.compile(r"[\w.-]+/[\w.-]+")


def find_folder(model: str) -> Path:
    """The folder of a model: a path, or 'organisation/name' as on Hugging Face.

    Raises:
        ModelError: It is not on this machine; says how to get it.
    """
    folder = absolute(model)
    if folder.is_dir():
        return folder
    if not NAME.fullmatch(model) or model.startswith("."):
        raise ModelError(f"No folder {model}. Name one that holds a model, or a model of huggingface.co: org/name.")
    if cached := _cached(hub_cache() / f"models--{model.replace('/', '--')}"):
        return cached
    raise ModelError(
        f"{model} is neither a folder nor in {hub_cache()}. Get it with: "
        f"pip install huggingface_hub && hf download {model}"
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
