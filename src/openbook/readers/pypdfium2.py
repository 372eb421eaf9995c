"""PDF by PDFium, the reader of Chrome: fast, right with columns, keeps the rows of a table together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import ClassVar

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw  # type: ignore[import-untyped]

from openbook.readers.pages import check_pdf, damaged, encrypted, to_document
from openbook.types import Document

ONE_AT_A_TIME = Lock()  # PDFium is not thread-safe, not even for two different files


@dataclass(frozen=True, slots=True)
class Pypdfium2:
    """Text of each page in reading order; a page that fails is left out and logged."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        check_pdf(path)
        with ONE_AT_A_TIME:
            pages, title = _read(path)
        yield to_document(path, pages, title)


def _read(path: Path) -> tuple[list[str | None], str]:
    try:
        file = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if error.err_code in {pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY}:
            raise encrypted(path) from error
        raise damaged(path, str(error)) from error
    with closing(file):
        return [_page(file, index) for index in range(len(file))], file.get_metadata_value("Title")


def _page(file: pypdfium2.PdfDocument, index: int) -> str | None:
    try:
        with closing(file[index]) as page, closing(page.get_textpage()) as text:
            characters: str = text.get_text_range(errors="replace")
            return characters
    except (pypdfium2.PdfiumError, ValueError):
        return None
