"""The user's own catalogue.toml: a row put in or taken out, every other character left as it was."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path

from filelock import FileLock

from openbook.errors import ModelError
from openbook.home import models_folder
from openbook.models.catalogue import KINDS, HuggingFace, Model, Part, Wheels, read_catalogue

HEAD = "# Models of your own: the form is that of docs/models.md. `openbook models pull hf:...` adds rows here.\n"
TABLE = re.compile(r"^[ \t]*\[\[[ \t]*model[ \t]*\]\]", re.MULTILINE)


def path() -> Path:
    """Where it is; it need not be there."""
    return models_folder() / "catalogue.toml"


def put(model: Model) -> None:
    """Add a row, or replace the one of that name.

    Raises:
        ModelError: The file cannot be read or written, or is written so that a row cannot be told from the others.
    """
    with _changing() as rows:
        rows[:] = [row for row in rows if _name(row) != model.name]
        end = "" if not rows or rows[-1].endswith("\n\n") else "\n" if rows[-1].endswith("\n") else "\n\n"
        rows.append(end + _written(model))


def take_out(name: str) -> None:
    """Remove the row of that name, if it is there.

    Raises:
        ModelError: As for `put`.
    """
    with _changing() as rows:
        rows[:] = [row for row in rows if _name(row) != name]


@contextmanager
def adopting() -> Generator[None]:
    """From looking whether a file is known to putting it in: one at a time, so that no file gets two names."""
    with _alone(".adopting.lock"):
        yield


@contextmanager
def _changing() -> Generator[list[str]]:
    """The file cut before each [[model]]: what is in the list at the end is written, in one step."""
    with _alone(".catalogue.lock"):
        before = path().read_bytes().decode("utf-8") if path().is_file() else HEAD
        rows = _rows(before)
        yield rows
        after = "".join(rows)
        if after != before:
            _replace(after)


@contextmanager
def _alone(lock: str) -> Generator[None]:
    try:
        models_folder().mkdir(parents=True, exist_ok=True)
        with FileLock(models_folder() / lock):
            yield
    except OSError as error:
        raise ModelError(f"Cannot write {path()}: {error.strerror or error}. Or set OPENBOOK_HOME.") from error


def _replace(content: str) -> None:
    """The file anew in one step, if it can be read again."""
    new = path().with_name(".catalogue.new")
    with new.open("w", encoding="utf-8", newline="") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    read_catalogue(new)
    new.replace(path())


def _rows(text: str) -> list[str]:
    """What is before the first [[model]], then a row each; a comment right before one belongs to it."""
    cuts = [*(_comment_start(text, found.start()) for found in TABLE.finditer(text)), len(text)]
    rows = [text[start:end] for start, end in pairwise(cuts)]
    if any(_name(row) is None for row in rows):
        raise ModelError(f"{path()} has a row that cannot be told from the next. Begin each with a line [[model]].")
    return [text[: cuts[0]], *rows]


def _comment_start(text: str, at: int) -> int:
    while at > 0:
        line = text.rfind("\n", 0, at - 1) + 1
        if not text[line:at].lstrip().startswith("#"):
            break
        at = line
    return at


def _name(row: str) -> str | None:
    try:
        models = tomllib.loads(row).get("model", [{}])
    except tomllib.TOMLDecodeError:
        return None
    return str(models[0].get("name", ""))


def _written(model: Model) -> str:
    """A row as TOML, without what is as it is by default."""
    lines = ["[[model]]", *_pairs(model)]
    for source in model.sources:
        kind = next(name for name, cls in KINDS.items() if isinstance(source, cls))
        lines += ["", "[[model.sources]]", f'from = "{kind}"', *_pairs(source)]
    for part in model.parts:
        lines += ["", "[[model.parts]]", *_pairs(part)]
    return "\n".join(lines) + "\n"


def _pairs(row: Model | HuggingFace | Wheels | Part) -> list[str]:
    pairs = []
    for part in fields(row):
        value = getattr(row, part.name)
        if isinstance(value, tuple) or (part.default is not MISSING and value == part.default):
            continue
        # JSON's strings and numbers are TOML's, but for a character that TOML does not allow as it is.
        written = f"{value:_}" if type(value) is int else json.dumps(value, ensure_ascii=False).replace("\x7f", "")
        pairs.append(f"{part.name} = {written}")
    return pairs
