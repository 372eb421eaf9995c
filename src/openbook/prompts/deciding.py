"""How a model is spoken to, and who said so: the user, the file, the catalogue, the file's name, or nobody.

named by the user > chat template of the file > catalogue > name of the file > plain

The user comes first: a file may carry a template that is broken or another model's, and then somebody must win over it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openbook.errors import ModelError
from openbook.home import absolute
from openbook.models.gguf import Header
from openbook.prompts import formats, template
from openbook.prompts.formats import FORMATS, PLAIN, Format
from openbook.recipe import did_you_mean
from openbook.types import Message

SUFFIXES = (".jinja", ".jinja2", ".j2", ".json")
MAX_FILE = 32 << 20  # bytes; a tokenizer_config.json has some 50,000
PROBE = (
    Message("system", "Be brief."),
    Message("user", "Who built the ark?"),
    Message("assistant", "Noah."),
    Message("user", "Why?"),
)


@dataclass(frozen=True, slots=True)
class Decided:
    """One way to speak to one model: a Jinja template, or a row of the known formats."""

    jinja: str  # '' where a row is used
    row: Format | None  # with a template: the row that writes the same, if one does
    bos: str  # the file's first and last token, as characters
    eos: str
    adds_bos: bool  # the tokenizer puts `bos` before a text by itself
    origin: str  # who said so, in a line for people
    guessed: bool = False  # by a name, or not at all: worth a warning

    @property
    def name(self) -> str:
        """The name of the format, '' for a template that writes none of the known ones."""
        return self.row.name if self.row else ""

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings at which an answer is over, beside the tokens that the file itself names."""
        return formats.stops(self.row, eos=self.eos) if self.row else ()

    def render(self, messages: Sequence[Message], *, thinking: bool = False) -> str:
        """The exact characters to send, without the first token where the tokenizer adds it.

        Raises:
            ModelError: The template is broken, or does more than a template should.
        """
        if self.jinja:
            marks = self.row.marks if self.row else ()
            text = template.render(self.jinja, messages, bos=self.bos, eos=self.eos, thinking=thinking, marks=marks)
            return text.removeprefix(self.bos) if self.adds_bos else text
        row = self.row or PLAIN
        # A row's first token is left to the tokenizer, which knows whether this model has one.
        return formats.render(row, messages, bos=self.bos, eos=self.eos).removeprefix(self.bos or row.bos)


def decide(header: Header, *, named: str = "", catalogue: str = "") -> Decided:
    """How to speak to the model of a file.

    `named` is what the user says, '' for nothing: a name of FORMATS, or a path to a Jinja file or a
    tokenizer_config.json; `catalogue` is what the model's row in the catalogue says, a name of FORMATS or ''.

    Raises:
        ModelError: There is no such format or file, or no template in it.
    """
    if named:
        return _named(header, named)
    if header.chat_template.strip():
        return _by_template(header, header.chat_template, "chat template of the file")
    if catalogue:
        return _by_row(header, _row(catalogue), f"{catalogue}, by the catalogue")
    for name, what in ((header.path.stem, "name of the file"), (header.name, "name in the file")):
        if row := formats.looks_like(name):
            return _by_row(header, row, f"looks like {row.name}, by the {what}", guessed=True)
    return _by_row(header, PLAIN, "plain: the file has no chat template, and its name tells of none", guessed=True)


def _by_row(header: Header, row: Format, origin: str, *, guessed: bool = False) -> Decided:
    return Decided("", row, header.bos, header.eos, header.adds_bos, origin, guessed)


def _by_template(header: Header, jinja: str, origin: str) -> Decided:
    row = _same(header, jinja)
    says = f"{origin}: {row.name}" if row else origin
    return Decided(jinja, row, header.bos, header.eos, header.adds_bos, says)


def _same(header: Header, jinja: str) -> Format | None:
    """The row that writes what a template writes, if there is one: it knows what ends an answer."""
    try:
        text = template.render(jinja, PROBE, bos=header.bos, eos=header.eos)
    except ModelError:
        return None  # who asks something is told
    for row in FORMATS.values():
        written = formats.render(row, PROBE, bos=header.bos, eos=header.eos)
        first = header.bos or row.bos
        if written.removeprefix(first) == text.removeprefix(first):
            return row
    return None


def _row(name: str) -> Format:
    if name not in FORMATS:
        raise ModelError(
            f"No chat format is called {name!r}.{did_you_mean(name, list(FORMATS))} Known: {', '.join(FORMATS)},"
            " or a path to a .jinja file or a tokenizer_config.json."
        )
    return FORMATS[name]


def find_named(named: str) -> Format | str:
    """What the user means: a row of the known formats, or the Jinja in a file.

    Raises:
        ModelError: There is no such format or file, or no template in it.
    """
    path = absolute(named)
    if named in FORMATS or not (path.is_file() or named.endswith(SUFFIXES)):
        return _row(named)
    return read_template(path)


def _named(header: Header, named: str) -> Decided:
    found = find_named(named)
    if isinstance(found, Format):
        return _by_row(header, found, f"{named}, named by you")
    return _by_template(header, found, f"{absolute(named).name}, named by you")


def read_template(path: Path) -> str:
    """The chat template in a Jinja file, or in a tokenizer_config.json or the chat_template.jinja beside it.

    Raises:
        ModelError: There is none, or the file cannot be read.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise ModelError(f"{path} is no chat template: it is larger than {MAX_FILE >> 20} MB.")
        text = path.read_text("utf-8")
        beside = path.with_name("chat_template.jinja")
        if path.suffix == ".json":
            text = _in_config(path, text) or (beside.read_text("utf-8") if beside.is_file() else "")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is no chat template: it is not text in UTF-8.") from error
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror or error}. Check the path.") from error
    if not text.strip():
        raise ModelError(f"{path} holds no chat template. Name the chat_template.jinja of the model, or a format.")
    return text


def _in_config(path: Path, text: str) -> str:
    """`chat_template` of a tokenizer_config.json: a text, or several by name of which one is the 'default'."""
    try:
        config: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {str(error)[:100]}. Name a tokenizer_config.json.") from error
    found = config.get("chat_template") if isinstance(config, dict) else None
    if isinstance(found, list):
        by_name = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = by_name.get("default")
    return found if isinstance(found, str) else ""
