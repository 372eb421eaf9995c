"""Reads a file that lies in another one, under the name a person knows it by."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from openbook.errors import OpenbookError, ReadError
from openbook.readers.auto import Auto
from openbook.readers.limits import ExhaustedError, Inside, TooDeepError
from openbook.types import Document, Unread

UNSAFE = re.compile(r"[^\w .,()\[\]+=@&#~-]")
LONGEST_NAME = 60  # characters of a temporary file's name: 240 bytes at most, and file systems take 255


def read_inside(
    auto: Auto, inside: Inside, name: str, blocks: Iterable[bytes], source: str
) -> Iterator[Document | Unread]:
    """Unpack one file into a folder of its own, read it, and give what is in it as part of `source`.

    Its bytes come in blocks: only what cannot be held against it (a full disk) is raised while they are written.

    Raises:
        ExhaustedError: Of the budget around this file; it ends the file that was opened first.
    """
    with tempfile.TemporaryDirectory(prefix="openbook-") as folder:
        path = Path(folder) / file_name(name)
        try:
            _write(path, blocks)
            for part in replace(auto, _inside=inside)(path):
                yield _renamed(part, path, source)
        except ExhaustedError as error:
            if inside.budget:
                raise
            yield Unread(source, _said(error, path, source))
        except TooDeepError as error:
            if not (inside.budget and inside.budget.told):
                yield Unread(source, _said(error, path, source))
            if inside.budget:
                inside.budget.told = True
        except OpenbookError as error:  # a library that is not installed is a SpecError
            yield Unread(source, _said(error, path, source))


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for block in blocks:
            try:
                file.write(block)
            except OSError as error:
                raise ReadError(
                    f"{path} could not be unpacked: {error.strerror or error}. Free some space in {path.parent.parent} "
                    "or set TMPDIR to another folder."
                ) from error


def _renamed(part: Document | Unread, path: Path, source: str) -> Document | Unread:
    renamed = source + part.source.removeprefix(str(path))
    if isinstance(part, Unread):
        return Unread(renamed, part.reason.replace(str(path), source))
    return replace(part, source=renamed)


def _said(error: OpenbookError, path: Path, source: str) -> str:
    return str(error).replace(str(path), source)


def file_name(name: str) -> str:
    """The last part of a name, as every file system takes it.

    >>> file_name("../a/b:c.PDF")
    'b_c.PDF'
    """
    last = UNSAFE.sub("_", re.split(r"[/\\]", name)[-1]).strip(" .") or "file"
    stem, dot, suffix = last.rpartition(".")
    if not dot or len(suffix) > LONGEST_NAME // 2:
        return last[:LONGEST_NAME]
    return f"{stem[: LONGEST_NAME - len(suffix) - 1]}.{suffix}"
