"""Picks the reader by a file's suffix, and by its first bytes where the suffix says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from openbook.errors import ReadError
from openbook.readers import HOLD_FILES, REFUSED, SUFFIXES, in_maildir
from openbook.readers.budget import Inside
from openbook.readers.check import checked
from openbook.readers.files import BOMS, SAMPLE, check_text, opened, shown
from openbook.readers.kinds import suffix_of
from openbook.registry import load
from openbook.types import Document, Reader, Unread

MAILBOX = re.compile(rb"From [^\n]*\d\d:\d\d[^\n]*\r?\n>?[!-9;-~]+:")
HEAD_FIELD = re.compile(
    rb"(received|return-path|delivered-to|from|to|subject|date|message-id|mime-version|dkim-signature):", re.IGNORECASE
)
FIELD_NAME = re.compile(rb"[!-9;-~]+:|[ \t]|>?From ")


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
        name = name or sniff(path)
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


def sniff(path: Path) -> str:
    """The reader for a file whose suffix is not in the table, by what is in it.

    A mail has two fields that only mails have in its head, or one where it lies in a Maildir's `cur` or `new`.

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
    if MAILBOX.match(head):
        return "mbox"
    if len(mail_fields(head)) >= (1 if in_maildir(path) else 2):
        return "mail"
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


def mail_fields(head: bytes) -> set[bytes]:
    r"""Names of the fields that begin a mail and stand at the beginning of these bytes; none when they are no head.

    >>> sorted(mail_fields(b"From: a@b.example\nSubject: Fish\n\nDate: no field of the head"))
    [b'from', b'subject']
    """
    found: set[bytes] = set()
    for line in head.lstrip(b"\xef\xbb\xbf").splitlines():
        if not line.strip() or not FIELD_NAME.match(line):
            return found if not line.strip() else set()
        if match := HEAD_FIELD.match(line):
            found.add(match[1].lower())
    return found
