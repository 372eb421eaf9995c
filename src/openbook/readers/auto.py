"""Picks the reader by a file's suffix, and by its first bytes where the suffix says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from openbook.errors import ReadError
from openbook.readers import NOT_YET, REFUSED, SUFFIXES
from openbook.readers.check import checked
from openbook.readers.files import BOMS, SAMPLE, check_text, opened, shown
from openbook.readers.kinds import suffix_of
from openbook.registry import load
from openbook.types import Document, Reader, Unread


@dataclass(frozen=True, slots=True)
class Auto:
    """The default reader: each file by the reader made for it."""

    # The sum of the readers' versions: what any of them reads otherwise, this one does too. A test compares.
    VERSION: ClassVar[int] = 22

    pdf: Literal["pypdfium2", "pypdf"] = "pypdfium2"
    ocr: bool = True  # of a PDF's scanned pages, by pypdfium2 and where tesseract is installed

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        name = SUFFIXES.get(path.suffix.lower()) or sniff(path)
        yield from checked(self._reader(name)(path), path, is_mail=name in {"mail", "mbox", "msg"})

    def _reader(self, name: str) -> Reader:
        name = self.pdf if name == "pdf" else name
        options = {"ocr": self.ocr} if name == "pypdfium2" else {}
        reader: Reader = load("reader", name)(**options)
        return reader


def sniff(path: Path) -> str:
    """The reader for a file whose suffix is not in the table, by what is in it.

    Raises:
        ReadError: There is none for it.
    """
    with opened(path) as file:
        head = file.read(SAMPLE)
    suffix = suffix_of(head, path)
    if reason := REFUSED.get(path.suffix.lower()) or REFUSED.get(suffix):
        raise ReadError(f"{shown(path)} is not read: {reason}.")
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if path.suffix.lower() not in NOT_YET:
        if any(head.startswith(bom) for bom, _ in BOMS):
            return "text"
        try:
            check_text(head, path)
        except ReadError:
            pass
        else:
            return "text"
    kind = f"with the suffix {path.suffix!r}" if path.suffix else "without a suffix that are not text"
    known = ", ".join(sorted(suffix for suffix, name in SUFFIXES.items() if name != "code"))
    raise ReadError(
        f"{shown(path)} cannot be read: no reader for files {kind}. Known: {known}, source code and any plain text."
    )
