"""What is here: from a name to a file on this machine, and the table `openbook models` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openbook.errors import ModelError
from openbook.home import models_folder
from openbook.models.catalogue import SPLIT, Model, catalogue, readable
from openbook.models.gguf import read_header
from openbook.models.transfer import size_of
from openbook.recipe import did_you_mean


@dataclass(frozen=True, slots=True)
class Row:
    """One model, in the catalogue or lying in the models folder. What is not known is '' or 0."""

    name: str
    kind: str  # 'llm', 'embedder'
    here: bool
    size_bytes: int
    parameters: int
    quantisation: str
    licence: str
    purpose: str  # of a file that is no model: what is wrong with it
    path: Path | None = None  # of the file, where it is here
    pulled_bytes: int = 0  # of one that is half pulled
    context: int = 0  # tokens it was trained for


def place(model: Model) -> Path:
    """Where a model's file belongs, or the folder it is converted into; it need not be there."""
    return models_folder() / (model.converter or model.file)


def working_folder(model: Model) -> Path:
    """Where a pull keeps what it has so far."""
    return models_folder() / ".pulling" / model.name


def record_of(path: Path) -> Path:
    """Where is written what a file that openbook made was made from."""
    return path.with_name(f".{path.name}.json")


def is_here(model: Model) -> bool:
    """Whether the model can be used: it is bundled, or its file is there and whole.

    Only the size is looked at: the sha256 was checked before the file got its name, as was a folder.
    """
    if model.converter:
        return place(model).is_dir()
    return model.bundled or not missing(model)


def missing(model: Model) -> list[Model]:
    """The files of a model that are not there or not whole, each as a model of its own."""
    return [piece for piece in model.pieces if size_of(models_folder() / piece.file) != piece.size_bytes]


def pulled_bytes(model: Model) -> int:
    """Bytes that are here of a model that is not yet whole; of a half pulled file by the source that has given most."""
    whole = model.size_bytes - sum(piece.size_bytes for piece in missing(model))
    return whole + max((size_of(part) for part in working_folder(model).glob("*.part")), default=0)


def find(name: str) -> Path:
    """The file of a model: a name in the catalogue, a path, or a file in the models folder, with or without '.gguf'.

    Raises:
        ModelError: There is none; says what to run to get it.
    """
    known = catalogue()
    if name in known:
        return _found(known[name])
    bare = bool(name) and name == Path(name).name
    in_folder = [models_folder() / name, models_folder() / f"{name}.gguf"] if bare else []
    for path in (_expanded(name), *in_folder):
        if path is not None and _is_file(path):
            return path
    if (path := strangers(known).get(name)) is not None:
        return path  # no file: who reads it says what it is
    if name.startswith("hf:"):
        raise ModelError(f"{name} is not a name. Get it, and its name, with: openbook models pull {name}")
    if name.endswith(".gguf") or "/" in name or "\\" in name:
        raise ModelError(f"No model file {name}, and none in {models_folder()}. Check the path.")
    raise ModelError(
        f"No model is called {name!r}.{did_you_mean(name, [*known, *strangers(known)])}"
        f" Known: {', '.join(known)}, or a path to a .gguf file."
    )


def _found(model: Model) -> Path:
    if model.bundled:
        raise ModelError(f"{model.name} is part of openbook and has no file of its own. Use it as {model.kind}.")
    if is_here(model):
        return place(model)
    what = f"{readable(model.size_bytes)}, {model.licence}"
    if done := pulled_bytes(model):
        raise ModelError(
            f"{model.name} is only half here, {readable(done)} of {what}. Go on with: openbook models pull {model.name}"
        )
    if not model.parts and (size := size_of(place(model))):
        raise ModelError(
            f"{place(model)} has {size:,} bytes, not {model.size_bytes:,}."
            f" Get it again ({what}) with: openbook models pull {model.name}"
        )
    raise ModelError(f"{model.name} is not here. Get it ({what}) with: openbook models pull {model.name}")


def _expanded(name: str) -> Path | None:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # '~nobody'
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for a file
        return False


def rows() -> list[Row]:
    """Every model of the catalogue, then the GGUF files in the models folder that it does not know, by name."""
    known = catalogue()
    return [_row(model) for model in known.values()] + [_stranger(path) for path in strangers(known).values()]


def strangers(known: Mapping[str, Model]) -> dict[str, Path]:
    """By name without '.gguf', files in the models folder that the catalogue does not know; of a split model one."""
    files = {piece.file for model in known.values() for piece in model.pieces}
    found = sorted(path for path in models_folder().glob("*.gguf") if path.name not in files)
    split = {path: SPLIT.search(path.name) for path in found}
    return {path.stem: path for path, named in split.items() if named is None or int(named[1]) == 1}


def _row(model: Model) -> Row:
    here = is_here(model)
    return Row(
        model.name,
        model.kind,
        here,
        model.size_bytes,
        model.parameters,
        model.quantisation,
        model.licence,
        model.purpose,
        place(model) if here and not model.bundled else None,
        0 if here else pulled_bytes(model),
        model.context,
    )


def _stranger(path: Path) -> Row:
    try:
        header = read_header(path)
    except ModelError as error:
        return Row(path.name, "llm", False, size_of(path), 0, "", "", str(error), path)
    return Row(
        path.name,
        "llm",
        True,
        header.size_bytes,
        header.parameters,
        header.quantisation,
        header.licence,
        header.name or header.architecture,
        path,
        context=header.context_length,
    )
