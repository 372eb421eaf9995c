"""What there is to know of a model on this machine: its header in words a person may read, its sha256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openbook.errors import ModelError
from openbook.models.catalogue import Model, catalogue
from openbook.models.gguf import Header, read_header
from openbook.models.listing import find
from openbook.models.network import Network, network
from openbook.models.tensors import Share
from openbook.models.transfer import PIECE, Meter
from openbook.types import Report

SOURCES = ("organization", "author", "quantized_by", "repo_url", "url", "source.url", "source.huggingface.repository")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a GGUF file says of itself. What it does not say is '' or 0."""

    name: str
    path: Path
    size_bytes: int
    architecture: str
    parameters: int  # counted from the tensors
    active_parameters: int  # of them that work on one token: fewer in a mixture of experts
    called: str  # how big the file says it is: '1.5B'
    quantisation: str
    bits: float  # for each parameter
    types: Mapping[str, Share]
    context: int  # tokens it was trained for
    stretched: str  # how it reaches beyond that: 'yarn, 4 times'
    network: Network
    tokenizer: str
    adds_bos: bool
    special: Mapping[str, str]  # tokens by what they are for
    template: str
    template_names: tuple[str, ...]  # of further templates in the file
    licence: str
    origin: Mapping[str, str]  # who made it, of what: 'base model', 'organization', 'url'


def facts(name: str) -> Facts:
    """Read the header of a model: a name in the catalogue, a path, or the name of a file in the models folder.

    Raises:
        ModelError: It is not here, or not a GGUF file that could be loaded.
    """
    return describe(read_header(gguf_file(name)))


def gguf_file(name: str) -> Path:
    """The GGUF file of a model that is here.

    Raises:
        ModelError: It is not here, or is kept in another form.
    """
    path = find(name)
    if path.is_dir():
        raise ModelError(f"{name} is no GGUF file: it is kept in the form that runs here, in {path}")
    return path


def describe(header: Header) -> Facts:
    """The facts of a header."""
    shape = network(header)
    return Facts(
        name=header.name,
        path=header.path,
        size_bytes=header.size_bytes,
        architecture=header.architecture,
        parameters=header.parameters,
        active_parameters=_active(header, shape),
        called=_text(header, "general.size_label"),
        quantisation=header.quantisation,
        bits=header.bits,
        types=header.shares,
        context=header.context_length,
        stretched=_stretched(header),
        network=shape,
        tokenizer=", ".join(filter(None, (_text(header, f"tokenizer.ggml.{key}") for key in ("model", "pre")))),
        adds_bos=header.adds_bos,
        special=header.special,
        template=header.chat_template,
        template_names=tuple(
            key.removeprefix("tokenizer.chat_template.")
            for key in header.metadata
            if key.startswith("tokenizer.chat_template.")
        ),
        licence=header.licence or _text(header, "general.license.name"),
        origin=_origin(header),
    )


def sha256(path: Path, report: Report | None = None) -> str:
    """The sha256 of a file; `report` is told the bytes read so far.

    Raises:
        ModelError: It cannot be read.
    """
    found = hashlib.sha256()
    try:
        meter = Meter(report, path.stat().st_size, step="verify")
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                found.update(piece)
                meter(file.tell())
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror or error}. Check the path.") from error
    return found.hexdigest()


def known_as(digest: str) -> Model | None:
    """The model of the catalogue whose file has this sha256; None for a stranger."""
    return next((model for model in catalogue().values() if model.sha256 == digest), None)


def _active(header: Header, shape: Network) -> int:
    if not shape.experts:
        return header.parameters
    return sum(
        one.values * min(shape.experts_used, shape.experts) // shape.experts if one.expert else one.values
        for one in header.tensors
    )


def _stretched(header: Header) -> str:
    kind = header.metadata.get(f"{header.architecture}.rope.scaling.type")
    factor = header.number("rope.scaling.factor")
    if not isinstance(kind, str) or kind == "none":
        return ""
    return f"{kind}, {factor:g} times" if factor else kind


def _origin(header: Header) -> dict[str, str]:
    """Who made it and of what."""
    found = {}
    for number in range(int(_count(header, "general.base_model.count"))):
        name = _text(header, f"general.base_model.{number}.name")
        where = _text(header, f"general.base_model.{number}.repo_url")
        if name or where:
            found[f"base model {number + 1}" if number else "base model"] = " ".join(filter(None, (name, where)))
    for key in SOURCES:
        if said := _text(header, f"general.{key}"):
            found[key.replace("_", " ")] = said
    return found


def _count(header: Header, key: str) -> int:
    value = header.metadata.get(key)
    return min(value, 16) if isinstance(value, int) else 0


def _text(header: Header, key: str) -> str:
    value = header.metadata.get(key)
    return value if isinstance(value, str) else ""
