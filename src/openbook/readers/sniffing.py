"""What a file is, by its first bytes, where its suffix says nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from zipfile import ZipFile

from openbook.errors import ReadError
from openbook.readers import REFUSED, SUFFIXES, in_maildir
from openbook.readers.files import BOMS, SAMPLE, check_text, opened, shown
from openbook.readers.packages import DAMAGE

MIMETYPES = {
    "application/epub+zip": ".epub",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.oasis.opendocument.presentation": ".odp",
    "application/vnd.oasis.opendocument.graphics": ".odg",
}
FOLDERS = {"word/": ".docx", "xl/": ".xlsx", "ppt/": ".pptx"}  # in a package of Microsoft's
LONGEST_MIMETYPE = 100
HTML = re.compile(rb"<!doctype html|<html", re.IGNORECASE)
XML = re.compile(rb"<\?xml[ \t]|<!DOCTYPE[ \t]")
MAILBOX = re.compile(rb"From [^\n]*\d\d:\d\d[^\n]*\r?\n>?[!-9;-~]+:")
HEAD_FIELD = re.compile(
    rb"(received|return-path|delivered-to|from|to|subject|date|message-id|mime-version|dkim-signature):", re.IGNORECASE
)
FIELD_NAME = re.compile(rb"[!-9;-~]+:|[ \t]|>?From ")


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


def is_html(path: Path) -> bool:
    """Whether a file begins as a web page does.

    Raises:
        ReadError: It cannot be opened.
    """
    with opened(path) as file:
        head = file.read(SAMPLE)
    return not head.startswith(b"PK") and suffix_of(head, path) == ".html"  # what is packed need not be opened


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


def suffix_of(head: bytes, path: Path) -> str:
    """The suffix a file would have by its beginning, such as '.pdf'; '' where it may be text or is not known.

    `head` are its first bytes, SAMPLE of them if it has as many.
    """
    start = head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"%PDF-"):
        return ".pdf"
    if start.startswith(b"{\\rtf"):
        return ".rtf"
    if head.startswith(b"PK\3\4"):
        return _packed(path)
    if HTML.match(start):
        return ".html"
    if XML.match(start):
        return ".html" if HTML.search(start) else ".svg" if b"<svg" in start else ".xml"
    if start.startswith(b"%!PS"):
        return ".ps"
    return _json(head)


def _packed(path: Path) -> str:
    try:
        with ZipFile(path) as archive:
            names = archive.NameToInfo
            if "mimetype" in names:
                with archive.open("mimetype") as member:
                    return MIMETYPES.get(member.read(LONGEST_MIMETYPE).decode("ascii", "replace").strip(), "")
            if "[Content_Types].xml" in names:
                return next(
                    (suffix for folder, suffix in FOLDERS.items() if any(n.startswith(folder) for n in names)), ""
                )
    except (*DAMAGE, OSError):
        pass
    return ".zip"


def _json(head: bytes) -> str:
    """Whether these bytes are JSON, or lines of it. Those that only look so, as '[1] a note' does, are text."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith((b"{", b"[")):
        return ""
    first, _, rest = start.partition(b"\n")
    if first.startswith(b"{") and rest.lstrip().startswith(b"{") and _is_json(first):
        return ".jsonl"
    if len(head) < SAMPLE:
        return ".json" if _is_json(start) else ""
    return ".json" if re.match(rb"\[\s*\{\s*\"|\{\s*\"[^\"\n]*\"\s*:", start) else ""


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True
