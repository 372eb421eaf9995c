"""The default reader: picks the one made for a file, and reads with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from openbook.readers import HOLD_FILES, SUFFIXES, in_maildir
from openbook.readers.check import checked
from openbook.readers.limits import Inside
from openbook.readers.sniffing import is_html, sniff
from openbook.registry import load
from openbook.types import Document, Reader, Unread

OLD_OFFICE = frozenset({".xls", ".doc"})  # banks and shops give pages such names, for Excel and Word to open


@dataclass(frozen=True, slots=True)
class Auto:
    """The default reader: each file by the reader made for it."""

    # The sum of the readers' versions: what any of them reads otherwise, this one does too. A test compares.
    VERSION: ClassVar[int] = 27

    pdf: Literal["pypdfium2", "pypdf"] = "pypdfium2"
    ocr: bool = True  # of a PDF's scanned pages, by pypdfium2 and where tesseract is installed
    _inside: Inside = field(default=Inside(), repr=False, compare=False)  # where the files lie that it is given

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        # The suffix of a mail in a Maildir is the end of a host's name, and may be anything.
        name = "" if in_maildir(path) else SUFFIXES.get(path.suffix.lower(), "")
        name = "html" if path.suffix.lower() in OLD_OFFICE and is_html(path) else name or sniff(path)
        yield from checked(self._reader(name)(path), path, is_mail=name in HOLD_FILES)

    def _reader(self, name: str) -> Reader:
        name = self.pdf if name == "pdf" else name
        cls: type[Any] = load("reader", name)
        # What lies in a mail or an archive is read as this reader reads, with its options.
        options = {"_auto": self} if name in HOLD_FILES else {"ocr": self.ocr} if name == "pypdfium2" else {}
        reader: Reader = cls(**options)
        return reader

    @property
    def inside(self) -> Inside:
        """Where the files lie that it is given."""
        return self._inside
