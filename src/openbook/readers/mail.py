"""One mail in a file: eml, Apple's emlx, and the files of a Maildir, which have no suffix.

`auto` knows those of a Maildir by where they lie (`cur` or `new`, a name that begins with the time) and by a field of a
mail at their beginning; any other file without a known suffix is a mail when it begins with two such fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from openbook.errors import ReadError
from openbook.readers.auto import Auto
from openbook.readers.files import read_bytes, shown
from openbook.readers.mail_documents import documents
from openbook.readers.mime import LARGEST, NoMailError, letter_of
from openbook.types import Document, Unread

EMLX = re.compile(rb"\s*(\d{1,10})\s*\r?\n")  # the number of the mail's bytes; a list of Apple's follows them


@dataclass(frozen=True, slots=True)
class Mail:
    """The mail, then each attachment that is of a kind we read, then each mail attached to it."""

    VERSION: ClassVar[int] = 1

    _auto: Auto = field(default=Auto(), repr=False, compare=False)

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        content = read_bytes(path, LARGEST + 1)
        if path.suffix.lower() == ".emlx" and (found := EMLX.match(content)):
            content = content[found.end() : found.end() + int(found[1])]
        try:
            letter = letter_of(content)
        except NoMailError as error:
            raise ReadError(f"{shown(path)} {error}") from error
        yield from documents(letter, str(path), self._auto, alone=True)
