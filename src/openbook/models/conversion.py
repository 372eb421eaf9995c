"""Turns a pulled file into what runs here, for models whose file does not run as it is.

Each converter is a module with `convert(source, target_folder)`. Its name is the folder's: another form, another name.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from openbook.errors import ModelError
from openbook.models.catalogue import Model

CONVERTERS: Mapping[str, str] = {"e5-small-1": "openbook.models.e5_small"}
ORIGINAL = ("model.safetensors", "tokenizer.json")  # what a folder from Hugging Face holds
SOURCE = "source.json"  # in the folder: what it was made of


def originals(wanted: Model, folder: Path) -> list[Path]:
    """Folders that may hold the original weights: this one and those in it. The converter says which of them does.

    A folder with the file of the catalogue is none: that file is checked by its sha256 and wins.
    """
    if not folder.is_dir() or any(folder.rglob(wanted.file)):
        return []
    found = sorted(path.parent for path in folder.rglob(ORIGINAL[0]))
    return [path for path in found if all((path / name).is_file() for name in ORIGINAL)]


def converted(wanted: Model, source: Path, working: Path) -> Path:
    """A new folder in `working` with the converted form of a file, or of a folder, on the disk to the last byte.

    Raises:
        SourceError: The source is another model, or damaged.
        ModelError: There is no room, or the converter is not known.
    """
    if wanted.converter not in CONVERTERS:
        raise ModelError(f"No converter is called {wanted.converter!r}. Known: {', '.join(CONVERTERS)}.")
    target = working / "converted"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    importlib.import_module(CONVERTERS[wanted.converter]).convert(source, target)
    weights = source / ORIGINAL[0] if source.is_dir() else source
    with weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    (target / SOURCE).write_text(json.dumps({"sha256": sha256}), "utf-8")
    for path in target.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    return target


def source_sha256(folder: Path) -> str:
    """Of the weights that a converted folder was made of.

    Raises:
        ModelError: The folder does not say it.
    """
    try:
        return str(json.loads((folder / SOURCE).read_text("utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} is damaged ({error}). Remove it and pull the model again.") from error
