"""PDF in pure Python: for where PDFium does not run; slower, and it takes the rows of a table apart."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import pypdf
from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError
from pypdf.generic import Destination

from openbook.readers.files import opened
from openbook.readers.pdf_headings import MOST_BOOKMARKS, Bookmark
from openbook.readers.pdf_pages import (
    ABOUT,
    HYPHEN,
    Page,
    check_count,
    check_pdf,
    damaged,
    encrypted,
    failed,
    to_document,
)
from openbook.types import Document, Unread

# What pypdf lets through, besides its own errors, from files that are not as the standard says (seen in 7.1).
FAILURES = (
    PyPdfError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
    NotImplementedError,
    OSError,
)

# It says at length of each flaw of a file that it can read it in spite of it.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

LINE_END_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\xad\u2010]\n[ \t]*(?=\w)")


@dataclass(frozen=True, slots=True)
class Pypdf:
    """Text of each page, bookmarks as headings. Scanned pages are not recognized."""

    VERSION: ClassVar[int] = 2

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        check_pdf(path)
        with opened(path) as binary:
            try:
                file = pypdf.PdfReader(binary)
                if file.is_encrypted and not file.decrypt(""):
                    raise encrypted(path)
                count = len(file.pages)
            except (FileNotDecryptedError, DependencyError) as error:
                raise encrypted(path) from error
            except FAILURES as error:
                raise damaged(path, error) from error
            check_count(path, count)
            pages = [_page(file, index) for index in range(count)]
            about, bookmarks = _about(file), _bookmarks(file)
        yield from to_document(path, pages, about, bookmarks)


def _page(file: pypdf.PdfReader, index: int) -> Page:
    try:
        return Page(LINE_END_HYPHEN.sub(HYPHEN, file.pages[index].extract_text()))
    except FAILURES as error:
        return failed(error)


def _about(file: pypdf.PdfReader) -> dict[str, str]:
    try:
        known = file.metadata
        return {name: str(known[f"/{name}"]) for name in ABOUT if f"/{name}" in known} if known else {}
    except FAILURES:
        return {}


def _bookmarks(file: pypdf.PdfReader) -> list[Bookmark]:
    found: list[Bookmark] = []
    try:
        for level, mark in islice(_flat(file.outline), MOST_BOOKMARKS):
            page = file.get_destination_page_number(mark)
            if page is not None:
                found.append(Bookmark(page, level, str(mark.title or "")))
    except FAILURES:
        return []
    return found


def _flat(outline: object, level: int = 1) -> Iterator[tuple[int, Destination]]:
    """Bookmarks in order with their levels; pypdf gives those under one as a list after it."""
    for one in outline if isinstance(outline, list) else ():
        if isinstance(one, Destination):
            yield level, one
        else:
            yield from _flat(one, level + 1)
