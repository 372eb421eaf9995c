"""The pages of a PDF into one document, whatever library read them."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from openbook.errors import ReadError
from openbook.readers.files import opened, safe, shown
from openbook.types import Document

LOG = logging.getLogger(__name__)

PAGE_BREAK = "\n\n"
HYPHEN = "\ufffe"  # what a reader puts for a hyphen and the line break after it
BROKEN = re.compile(rf"(?<!\w)(\w++){HYPHEN}(\w+)")
LOOSE = re.compile(rf"{HYPHEN}\s*")
WORD = re.compile(r"\w+(?:-\w+)*")
HEAD = 1024  # bytes in which '%PDF-' must stand
LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\xad": None, "\u200b": None}
)
POOR_TITLE = re.compile(
    r"untitled|anonymous|unknown|microsoft |slide |\.(?:docx?|od[pst]|indd|pptx?|xlsx?|tex|dvi|pdf|qxd|rtf)\b",
    re.IGNORECASE,
)


def check_pdf(path: Path) -> None:
    """Raises: ReadError, when there is no such file or its beginning is not a PDF's."""
    with opened(path) as file:
        head = file.read(HEAD)
    if not head:
        raise ReadError(f"{shown(path)} is empty. Leave it out, or get it again.")
    if b"%PDF-" not in head:
        raise ReadError(f"{shown(path)} is not a PDF, only named like one. Give it the suffix of what it is.")


def encrypted(path: Path) -> ReadError:
    """What to raise for a PDF that opens with a password only."""
    return ReadError(
        f"{shown(path)} is encrypted. Remove its password, for example with: qpdf --password=... --decrypt"
    )


def damaged(path: Path, reason: str) -> ReadError:
    """What to raise for a PDF that the library cannot open."""
    reason = " ".join(reason.split()).rstrip(".") or "no reason given"
    return ReadError(
        f"{shown(path)} is damaged ({reason}). Get it again, or try to repair it with: qpdf in.pdf out.pdf"
    )


def to_document(path: Path, pages: Sequence[str | None], title: str | None) -> Document:
    """One document; page n begins at its mark 'page n'. None is a page that could not be read.

    Raises:
        ReadError: No page has text.
    """
    failed = [number for number, page in enumerate(pages, 1) if page is None]
    texts = [_clean(page or "") for page in pages]
    if not any(texts):
        if pages and len(failed) == len(pages):
            raise damaged(path, f"none of its {len(pages)} pages can be read")
        raise ReadError(
            f"{shown(path)} has no text on any of its {len(pages)} pages; a scanner gives such pictures. "
            "Put text behind them with: ocrmypdf in.pdf out.pdf"
        )
    if failed:
        LOG.warning("%s: these pages cannot be read and are left out: %s", shown(path), ", ".join(map(str, failed)))
    marks: list[tuple[int, str]] = []
    parts: list[str] = []
    offset = 0
    for number, text in enumerate(join_words(texts), 1):
        if text:
            marks.append((offset, f"page {number}"))
            parts.append(text)
            offset += len(text) + len(PAGE_BREAK)
    return Document(PAGE_BREAK.join(parts), str(path), _title(title), tuple(marks))


def join_words(pages: Sequence[str]) -> list[str]:
    r"""Put words together that a line break cut: as the document writes them elsewhere, else without the hyphen.

    >>> join_words(["long\ufffeterm and inter\ufffenational, covid\ufffe19", "a long-term plan"])
    ['long-term and international, covid-19', 'a long-term plan']
    """
    if not any(HYPHEN in page for page in pages):
        return list(pages)
    words: Counter[str] = Counter()
    for page in pages:
        words.update(WORD.findall(BROKEN.sub(" ", page).lower()))

    def joined(found: re.Match[str]) -> str:
        first, second = found[1], found[2]
        whole, hyphenated = words[(first + second).lower()], words[f"{first}-{second}".lower()]
        keep = hyphenated > whole or (hyphenated == whole and not (first[-1].isalpha() and second[0].islower()))
        return f"{first}-{second}" if keep else first + second

    return [LOOSE.sub("-", BROKEN.sub(joined, page)) for page in pages]


def _clean(page: str) -> str:
    lines = safe(page).translate(LIGATURES).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def _title(title: str | None) -> str:
    title = " ".join(safe(title or "").split())
    is_number = not any(letter.isalpha() for letter in title)  # such as the filing number of a yearly report
    return "" if len(title) < 3 or is_number or POOR_TITLE.search(title) else title
