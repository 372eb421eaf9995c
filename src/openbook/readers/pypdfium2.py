"""PDF by PDFium, the reader of Chrome: fast, right with columns, keeps the rows of a table together."""

from __future__ import annotations

import ctypes
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from math import hypot, isfinite, sqrt
from pathlib import Path
from threading import Lock
from typing import ClassVar

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as c  # type: ignore[import-untyped]

from openbook.readers.files import alive
from openbook.readers.ocr import OcrError, Tesseract
from openbook.readers.pdf_headings import LONGEST, MOST_BOOKMARKS, Bookmark, Look
from openbook.readers.pdf_pages import ABOUT, Page, check_count, check_pdf, damaged, encrypted, failed, to_document
from openbook.readers.strings import one_line
from openbook.types import Document, Unread

# It warns of bookmarks in a circle and of forms that only Adobe shows; both are dealt with here.
logging.getLogger("pypdfium2").setLevel(logging.ERROR)

ONE_AT_A_TIME = Lock()  # PDFium is not thread-safe, not even for two different files

FAILURES = (pypdfium2.PdfiumError, ValueError, AssertionError, OverflowError)
BOLD = re.compile(rb"bold|black|heavy|demi|(?:CM|SF)[A-Z]*BX", re.IGNORECASE)  # in a font's name; weights often lie
NAME_BYTES = 64

FEW_LETTERS = 100  # a page number, a scanner's advertisement
SOME = 0.1  # share of a page without letters that pictures cover, to call it scanned
MOST = 0.8  # and of a page with few
DPI = 300
MOST_PIXELS = 20_000_000  # A3 at 300 dpi; grey, so 20 MB

LONGEST_SIDE = 20_000  # pixels
MANY_OBJECTS = 100  # on a page without letters: they are drawn, or have no Unicode
NO_LETTER = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]")  # what letters are without a Unicode table

FIELD_TYPES = {c.FPDF_FORMFIELD_TEXTFIELD, c.FPDF_FORMFIELD_COMBOBOX, c.FPDF_FORMFIELD_LISTBOX}
NOTES = {c.FPDF_ANNOT_TEXT, c.FPDF_ANNOT_FREETEXT}


@dataclass(frozen=True, slots=True)
class Pypdfium2:
    """Text of each page in reading order, with what its form fields and notes say."""

    VERSION: ClassVar[int] = 2

    ocr: bool = True  # of scanned pages, where tesseract is installed
    ocr_language: str = ""  # as tesseract names it, 'deu+fra'; '': up to three that are installed

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        check_pdf(path)
        with ONE_AT_A_TIME:
            content = _read(path)
        pages, why_not = content.pages, ""
        if any(page.scanned for page in pages):
            if self.ocr:
                pages, why_not = _recognize(path, pages, self.ocr_language)
            else:
                why_not = "Turn the reader's option ocr on, then add it again."
        yield from to_document(path, pages, content.about, content.bookmarks, why_not)
        if content.form == c.FORMTYPE_XFA_FULL:
            yield Unread(f"{path}#form", "is a form that only Adobe's programs show. Print it to a PDF there.")


@dataclass(frozen=True, slots=True)
class _Content:
    pages: list[Page]
    about: dict[str, str]
    bookmarks: list[Bookmark]
    form: int  # one of PDFium's FORMTYPE_...


def _open(path: Path) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if error.err_code in {c.FPDF_ERR_PASSWORD, c.FPDF_ERR_SECURITY}:
            raise encrypted(path) from error
        raise damaged(path, error) from error


def _read(path: Path) -> _Content:
    with closing(_open(path)) as file:
        check_count(path, len(file))
        form = file.get_formtype()
        if form != c.FORMTYPE_NONE:
            file.init_forms()  # runs no script: this PDFium has no JavaScript
        pages: list[Page] = []
        for index in range(len(file)):
            if index % 100 == 0:
                alive()
            pages.append(_page(file, index))
        about = {name: file.get_metadata_value(name) for name in ABOUT}
        return _Content(pages, about, _bookmarks(file), form)


def _page(file: pypdfium2.PdfDocument, index: int) -> Page:
    try:
        with closing(file[index]) as page, closing(page.get_textpage()) as letters:
            text: str = letters.get_text_range(errors="replace")
            if 2 * len(NO_LETTER.findall(text)) > len(text):
                text = ""
            return Page(
                text,
                _looks(letters, text),
                notes="\n".join(_annotations(file, page)),
                scanned=_is_scanned(page, text),
            )
    except FAILURES as error:
        return failed(error)


def _looks(letters: pypdfium2.PdfTextPage, text: str) -> list[Look | None]:
    """How each line looks. Asks for a few letters of a line only: a call for every letter takes longer than reading."""
    # PDFium counts in its own letters: those it made up have no place in the text, and UTF-16 has two for some.
    same = letters.count_chars() == len(text)
    if not same and not text.isascii() and max(text) > "\uffff":
        return []
    looks: list[Look | None] = []
    at = 0
    for line in text.split("\n"):
        words = line.strip()
        if not words:
            looks.append(None)
        else:
            first = at + len(line) - len(line.lstrip())
            last = first + len(words) - 1
            if not same:
                first, last = (c.FPDFText_GetCharIndexFromTextIndex(letters, index) for index in (first, last))
            looks.append(_look(letters, first, last))
        at += len(line) + 1
    return looks


def _look(letters: pypdfium2.PdfTextPage, first: int, last: int) -> Look:
    """How a line looks; of a long one, which is no heading, only its size."""
    size, top, left = _size(letters, first)
    if last - first > LONGEST:
        return Look(size, False, top, left)
    # A large first letter or a small raised last one says nothing about the line.
    middle = sorted((size, _size(letters, (first + last) // 2)[0], _size(letters, last)[0]))[1]
    return Look(min(size, middle), _bold(letters, first) and _bold(letters, last), top, left)


def _size(letters: pypdfium2.PdfTextPage, index: int) -> tuple[float, float, float]:
    """Size of a letter as printed, and where its base line begins: above the page's lower edge, from its left one."""
    matrix = c.FS_MATRIX()
    if not c.FPDFText_GetMatrix(letters, index, matrix):
        return 0.0, 0.0, 0.0
    size = c.FPDFText_GetFontSize(letters, index) * hypot(matrix.c, matrix.d)
    return (size, matrix.f, matrix.e) if isfinite(size + matrix.f + matrix.e) else (0.0, 0.0, 0.0)


def _bold(letters: pypdfium2.PdfTextPage, index: int) -> bool:
    name = ctypes.create_string_buffer(NAME_BYTES)
    return c.FPDFText_GetFontInfo(letters, index, name, NAME_BYTES, None) > 0 and bool(BOLD.search(name.raw))


def _annotations(file: pypdfium2.PdfDocument, page: pypdfium2.PdfPage) -> list[str]:
    """'Name: value' of each form field that is filled in, and what notes on the page say."""
    lines: list[str] = []
    for index in range(c.FPDFPage_GetAnnotCount(page)):
        annotation = c.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        kind = c.FPDFAnnot_GetSubtype(annotation)
        if kind == c.FPDF_ANNOT_WIDGET and file.formenv:
            lines += _field(file.formenv, annotation)
        elif kind in NOTES:
            lines += [one_line(_string(c.FPDFAnnot_GetStringValue, annotation, b"Contents"))]
        c.FPDFPage_CloseAnnot(annotation)
    return [line for line in lines if line]


def _field(form: object, annotation: object) -> list[str]:
    kind = c.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in FIELD_TYPES:
        value = _string(c.FPDFAnnot_GetFormFieldValue, form, annotation)
    elif kind in {c.FPDF_FORMFIELD_CHECKBOX, c.FPDF_FORMFIELD_RADIOBUTTON} and c.FPDFAnnot_IsChecked(form, annotation):
        value = _string(c.FPDFAnnot_GetFormFieldExportValue, form, annotation) or "yes"
    else:
        return []
    name = _string(c.FPDFAnnot_GetFormFieldAlternateName, form, annotation) or _string(
        c.FPDFAnnot_GetFormFieldName, form, annotation
    )
    value = one_line(value)
    is_path = "[" in name  # 'form[0].page[0].f1_01[0]' says nothing
    return [f"{name}: {value}" if name and not is_path else value] if value else []


def _string(get, *arguments: object) -> str:  # type: ignore[no-untyped-def]
    """A string of PDFium, which is asked twice: how long it is, and what it is."""
    size = get(*arguments, None, 0)
    buffer = (c.FPDF_WCHAR * (size // 2 + 1))()
    get(*arguments, buffer, size)
    return bytes(buffer)[: max(size - 2, 0)].decode("utf-16-le", "replace")


def _is_scanned(page: pypdfium2.PdfPage, text: str) -> bool:
    """Whether only a picture of the page can be read."""
    letters = len(text.strip())
    if letters >= FEW_LETTERS:
        return False
    if not letters and c.FPDFPage_CountObjects(page) >= MANY_OBJECTS:
        return True
    width, height = page.get_size()
    covered = 0.0
    for one in page.get_objects([c.FPDF_PAGEOBJ_IMAGE, c.FPDF_PAGEOBJ_FORM], max_depth=3):
        if one.level == 0 and (one.type == c.FPDF_PAGEOBJ_IMAGE or _has_picture(page, one)):
            left, bottom, right, top = one.get_bounds()
            covered += max(min(right, width) - max(left, 0), 0) * max(min(top, height) - max(bottom, 0), 0)
    enough: bool = covered >= (MOST if letters else SOME) * width * height
    return enough


def _has_picture(page: pypdfium2.PdfPage, form: pypdfium2.PdfObject) -> bool:
    """Whether a group of objects holds a picture. A picture in it is placed in the group's own measure."""
    return any(page.get_objects([c.FPDF_PAGEOBJ_IMAGE], max_depth=3, form=form, level=1))


def _bookmarks(file: pypdfium2.PdfDocument) -> list[Bookmark]:
    found: list[Bookmark] = []
    for mark in islice(file.get_toc(), MOST_BOOKMARKS):
        try:
            target, words = mark.get_dest(), mark.get_title()
            page = target.get_index() if target else None
            if page is not None:
                found.append(Bookmark(page, mark.level + 1, words, _height(target)))
        except FAILURES:
            continue
    return found


def _height(target: pypdfium2.PdfDest) -> float | None:
    mode, places = target.get_view()
    if mode == c.PDFDEST_VIEW_XYZ and len(places) > 1:
        return float(places[1])
    if mode in {c.PDFDEST_VIEW_FITH, c.PDFDEST_VIEW_FITBH} and places:
        return float(places[0])
    return None


def _recognize(path: Path, pages: Sequence[Page], language: str) -> tuple[list[Page], str]:
    """The pages, with text in place of pictures, and why there is none where there is none."""
    try:
        tesseract = Tesseract.find(language)
    except OcrError as error:
        return list(pages), str(error)
    read = list(pages)
    for index, page in enumerate(pages):
        if page.scanned:
            read[index] = _recognized(path, index, page, tesseract)
            alive()
    return read, ""


def _recognized(path: Path, index: int, page: Page, tesseract: Tesseract) -> Page:
    try:
        text = tesseract(_picture(path, index))
    except OcrError as error:
        # Few letters on a picture are its caption, which is read.
        return replace(page, scanned=False, problem="" if page.text.strip() else f"is a picture: {error}")
    except FAILURES as error:
        return replace(failed(error), notes=page.notes)
    return replace(page, text=text or page.text, looks=(), scanned=False, recognized=True)


def _picture(path: Path, index: int) -> bytes:
    """A page as a PGM picture. Opens the file again, so that other threads may read while tesseract does."""
    with ONE_AT_A_TIME, closing(_open(path)) as file, closing(file[index]) as page:
        width, height = page.get_size()
        scale = min(DPI / 72, sqrt(MOST_PIXELS / max(width * height, 1)), LONGEST_SIDE / max(width, height, 1))
        with closing(page.render(scale=scale, grayscale=True)) as bitmap:
            rows = memoryview(bitmap.buffer).cast("B")
            step, wide = bitmap.stride, bitmap.width
            grey = b"".join(rows[row * step : row * step + wide] for row in range(bitmap.height))
            return b"P5 %d %d 255\n" % (wide, bitmap.height) + grey
