"""The pages of a PDF into one document, whatever library read them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from os import SEEK_END
from pathlib import Path

from openbook.errors import ReadError
from openbook.readers.fields import iso_date
from openbook.readers.files import opened, read_bytes, shown
from openbook.readers.headings import heading_marks
from openbook.readers.pdf_headings import Bookmark, Look, from_bookmarks, from_looks
from openbook.readers.strings import one_line, reason, safe
from openbook.types import Document, Field, Unread

MOST_PAGES = 200_000  # a file may claim any number in three bytes; the longest real ones have some 50,000
ABOUT = ("Title", "Author", "Subject", "Keywords", "CreationDate")  # what a file says of itself
PAGE_BREAK = "\n\n"
HYPHEN = "\ufffe"  # what a reader puts for a hyphen and the line break after it
BROKEN = re.compile(rf"(?<!\w)(\w++){HYPHEN}(\w+)")
LOOSE = re.compile(rf"{HYPHEN}[^\S\n]*")
WORD = re.compile(r"\w+(?:-\w+)*")
HEAD = 1024  # bytes in which '%PDF-' must stand
TAIL = 4096  # and '%%EOF': mail programs and servers add some
LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
INVISIBLE = dict.fromkeys("\xad\u200b\ufeff")
CONTROL = dict.fromkeys(chr(code) for code in (*range(1, 32), *range(127, 160)) if chr(code) not in "\t\n\r")
CLEANED = str.maketrans(LIGATURES | INVISIBLE | CONTROL)
POOR = re.compile(
    r"\W*(?:untitled|anonymous|unknown|unspecified|none|user|admin(?:istrator)?|owner)\W*$", re.IGNORECASE
)
POOR_TITLE = re.compile(
    r"untitled|anonymous|unknown|microsoft |slide |\.(?:docx?|od[pst]|indd|pptx?|xlsx?|tex|dvi|pdf|qxd|rtf)\b",
    re.IGNORECASE,
)
FILE_NAME = re.compile(r"\S*(?:_|\d{4})\S*")  # 'HHS2022B', 'sample_pdf'
DATE = re.compile(r"(?:D:)?((?:19|20)\d\d)-?(\d\d)-?(\d\d)")
REPAIR = "Get it again, or try to repair it with: qpdf in.pdf out.pdf"


@dataclass(frozen=True, slots=True)
class Page:
    """What a library reads from one page. `looks` has one entry for each line of the text, or is empty."""

    text: str = ""
    looks: Sequence[Look | None] = ()
    problem: str = ""  # why it could not be read, and the next step
    notes: str = ""  # what form fields and notes on the page say, after its text
    scanned: bool = False  # a picture without text
    recognized: bool = False  # the text is what OCR saw in the picture, '' when it saw none


def check_pdf(path: Path) -> None:
    """Raises: ReadError, when there is no such file or its beginning is not a PDF's."""
    if b"%PDF-" not in read_bytes(path, HEAD):
        raise ReadError(f"{shown(path)} is not a PDF, only named like one. Give it the suffix of what it is.")


def check_count(path: Path, count: int) -> None:
    """Raises: ReadError, when no honest file has so many pages."""
    if count > MOST_PAGES:
        raise ReadError(f"{shown(path)} claims {count:,} pages; at most {MOST_PAGES:,} are read. Split it.")


def encrypted(path: Path) -> ReadError:
    """What to raise for a PDF that opens with a password only."""
    return ReadError(
        f"{shown(path)} is encrypted. Remove its password, for example with: qpdf --password=... --decrypt"
    )


def damaged(path: Path, error: object) -> ReadError:
    """What to raise for a PDF that the library cannot open."""
    return ReadError(f"{shown(path)} is damaged ({reason(error)}). {REPAIR}")


def failed(error: object) -> Page:
    """A page that the library cannot read."""
    return Page(problem=f"cannot be read ({reason(error)}). {REPAIR}")


def to_document(
    path: Path,
    pages: Sequence[Page],
    about: Mapping[str, str | None],
    bookmarks: Sequence[Bookmark] = (),
    no_ocr: str = "",
) -> Iterator[Document | Unread]:
    """One document; page n begins at its mark 'page n'. Then the pages that could not be read.

    `about` has what the file says of itself, by the names in ABOUT. `no_ocr` says why scanned pages were not
    recognized, and the next step.

    Raises:
        ReadError: No page has text.
    """
    cleaned = [_clean(page) for page in pages]
    texts = join_words([text for text, _ in cleaned])
    if not all(texts) and _is_cut(path):
        missing = failed("it is empty, and the file ends in the middle")
        pages = [
            page if text or page.problem or page.scanned else missing for page, text in zip(pages, texts, strict=True)
        ]
    if not any(texts):
        raise _nothing(path, pages, no_ocr)
    marks: list[tuple[int, str]] = []
    starts: list[int] = []  # of every page, as headings count from there
    offset = 0
    for number, text in enumerate(texts, 1):
        starts.append(offset)
        if text:
            marks.append((offset, f"page {number}"))
            offset += len(text) + len(PAGE_BREAK)
    looks = [lines for _, lines in cleaned]
    found = from_bookmarks(bookmarks, texts, looks) or from_looks(texts, looks)
    whole = PAGE_BREAK.join(filter(None, texts))
    headings = [(starts[page] + at, level, words) for page, at, level, words in found if starts[page] + at < len(whole)]
    headings.sort(key=lambda heading: heading[0])
    recognized = sum(page.recognized and bool(text) for page, text in zip(pages, texts, strict=True))
    fields = _fields(about) | ({"ocr_pages": recognized} if recognized else {})
    title = _title(about.get("Title"))
    yield Document(whole, str(path), title, tuple(marks), heading_marks(headings), fields=fields)
    yield from _unread(path, pages, no_ocr)


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


def ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as a person says them.

    >>> ranges([1, 3, 4, 5, 9])
    '1, 3-5, 9'
    """
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _clean(page: Page) -> tuple[str, Sequence[Look | None]]:
    """Text without blanks around it and at line ends, and the looks of the lines that are left."""
    lines = [line.rstrip() for line in safe(page.text).translate(CLEANED).split("\n")]
    first = next((index for index, line in enumerate(lines) if line), len(lines))
    last = next((index for index in range(len(lines), first, -1) if lines[index - 1]), first)
    looks = page.looks[first:last] if len(page.looks) == len(lines) else ()
    text = "\n".join(lines[first:last]).lstrip()
    if not page.notes:
        return text, looks
    notes = safe(page.notes).translate(CLEANED).strip()
    both = f"{text}\n\n{notes}" if text and notes else text or notes
    return both, [*looks, *[None] * (both.count("\n") + 1 - len(looks))] if looks else ()


def _is_cut(path: Path) -> bool:
    """Whether the end of the file is missing. A library may find its pages all the same, and nothing on them."""
    with opened(path) as file:
        file.seek(-min(TAIL, file.seek(0, SEEK_END)), SEEK_END)
        return b"%%EOF" not in file.read()


def _nothing(path: Path, pages: Sequence[Page], no_ocr: str) -> ReadError:
    problems = [(number, page.problem) for number, page in enumerate(pages, 1) if page.problem]
    if problems:
        number, problem = problems[0]
        return ReadError(f"{shown(path)} has no text on any of its {len(pages)} pages: page {number} {problem}")
    if any(page.scanned for page in pages):
        return ReadError(f"{shown(path)}: {_scanned(pages, no_ocr)}")
    nor = ", nor do its pictures show any" if any(page.recognized for page in pages) else ""
    return ReadError(f"{shown(path)} has no text on any of its {len(pages)} pages{nor}. Leave it out.")


def _scanned(pages: Sequence[Page], no_ocr: str) -> str:
    numbers = [number for number, page in enumerate(pages, 1) if page.scanned]
    are, which = ("is a scanned picture", "page") if len(numbers) == 1 else ("are scanned pictures", "pages")
    of = f"{len(numbers)} of {len(pages)} pages" if len(pages) > 1 else "its only page"
    return f"{of} {are} without text ({which} {ranges(numbers)}). {no_ocr}"


def _unread(path: Path, pages: Sequence[Page], no_ocr: str) -> Iterator[Unread]:
    """One for all scanned pages, one for each run of pages that failed alike: a cut file may lack thousands."""
    if any(page.scanned for page in pages):
        yield Unread(f"{path}#scanned pages", _scanned(pages, no_ocr))
    for problem, run in groupby(enumerate(pages, 1), key=lambda pair: pair[1].problem):
        numbers = [number for number, _ in run]
        if problem:
            yield Unread(f"{path}#page {ranges(numbers)}", problem)


def _fields(about: Mapping[str, str | None]) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for name in ABOUT[1:4]:
        words = _words(about.get(name))
        if any(letter.isalpha() for letter in words) and not POOR.match(words):
            fields[name.lower()] = words
    if day := _day(about.get("CreationDate")):
        fields["date"] = day
    return fields


def _day(stamp: str | None) -> str:
    """The day of a time as PDF writes it, D:20240822125427+02'00'; '' when it is none."""
    found = DATE.match((stamp or "").strip())
    return iso_date("-".join(found.groups())) if found else ""


def _title(title: str | None) -> str:
    title = _words(title)
    is_number = not any(letter.isalpha() for letter in title)  # such as the filing number of a yearly report
    return "" if len(title) < 3 or is_number or POOR_TITLE.search(title) or FILE_NAME.fullmatch(title) else title


def _words(value: str | None) -> str:
    return one_line(value or "")
