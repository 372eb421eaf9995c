"""What a file is, by its first bytes: for files whose suffix says nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from zipfile import ZipFile

from openbook.readers.files import SAMPLE
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
