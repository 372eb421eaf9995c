"""Picks the reader by a file's suffix, and by its first bytes where the suffix says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from openbook.errors import ReadError
from openbook.readers import HOLD_FILES, NOT_YET, SUFFIXES, in_maildir
from openbook.readers.budget import Inside
from openbook.readers.files import BOMS, SAMPLE, check_text, opened, shown
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
    VERSION: ClassVar[int] = 11

    pdf: Literal["pypdfium2", "pypdf"] = "pypdfium2"
    _inside: Inside = field(default=Inside(), repr=False, compare=False)  # where the files lie that it is given

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        # The suffix of a mail in a Maildir is the end of a host's name, and may be anything.
        name = "" if in_maildir(path) else SUFFIXES.get(path.suffix.lower(), "")
        name = name or sniff(path)
        cls = load("reader", self.pdf if name == "pdf" else name)
        # What lies in a mail or an archive is read as this reader reads, with its options.
        reader: Reader = cls(_auto=self) if name in HOLD_FILES else cls()
        yield from reader(path)

    @property
    def inside(self) -> Inside:
        """Where the files lie that it is given."""
        return self._inside


def sniff(path: Path) -> str:
    """The reader for a file whose suffix is not in the table: 'pdf', 'html', 'mbox', 'mail' or 'text'.

    A mail has two fields that only mails have in its head, or one where it lies in a Maildir's `cur` or `new`.

    Raises:
        ReadError: It is none of them.
    """
    with opened(path) as file:
        head = file.read(SAMPLE)
    if head.startswith(b"%PDF-"):
        return "pdf"
    if head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html")):
        return "html"
    if MAILBOX.match(head):
        return "mbox"
    if len(mail_fields(head)) >= (1 if in_maildir(path) else 2):
        return "mail"
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
    known = ", ".join(sorted(SUFFIXES))
    raise ReadError(f"{shown(path)} cannot be read: no reader for files {kind}. Known: {known} and any plain text.")


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
