"""PDF in pure Python: for where PDFium does not run; slower, and it takes the rows of a table apart."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pypdf
from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

from openbook.readers.files import opened
from openbook.readers.pages import HYPHEN, check_pdf, damaged, encrypted, to_document
from openbook.types import Document

# What pypdf lets through, besides its own errors, from files that are not as the standard says (seen in 7.1).
FAILURES = (PyPdfError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, OSError)

# It warns of each flaw of a file that it can read in spite of it.
logging.getLogger("pypdf").setLevel(logging.ERROR)

LINE_END_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\xad\u2010]\n[ \t]*(?=\w)")


@dataclass(frozen=True, slots=True)
class Pypdf:
    """Text of each page; a page that fails is left out and logged."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
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
                raise damaged(path, str(error)) from error
            pages = [_page(file, index) for index in range(count)]
            title = _title(file)
        yield to_document(path, pages, title)


def _page(file: pypdf.PdfReader, index: int) -> str | None:
    try:
        return LINE_END_HYPHEN.sub(HYPHEN, file.pages[index].extract_text())
    except FAILURES:
        return None


def _title(file: pypdf.PdfReader) -> str | None:
    try:
        return file.metadata.title if file.metadata else None
    except FAILURES:
        return None
