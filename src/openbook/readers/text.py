"""Plain text, as it is in the file; verses of a Bible, chapters and underlined headings become marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from openbook.readers.files import read_text
from openbook.readers.headings import Heading, heading_marks
from openbook.readers.verses import verse_marks
from openbook.types import Document, Marks

# A line of its own between blank lines, such as 'CHAPTER I', 'Chapter 12. Loomings', 'PART TWO', '3. Kapitel'.
CHAPTER = re.compile(
    r"""(?:\A|(?<=\n\n))[ \t]*
    (?P<words>
        (?:(?P<part>part|book|volume|teil|buch|band)|chapter|kapitel|chapitre|cap[ií]tulo)[ ]+
        (?:\d{1,3}|[ivxlc]{1,8}|one|two|three|four|five|six|seven|eight|nine|ten)
        (?:[.:—–-][^\n]{0,70})?
      | \d{1,3}\.[ ]kapitel(?:[.:—–-][^\n]{0,70})?
    )[ \t]*(?=\n[ \t]*\n|\n?\Z)""",
    re.IGNORECASE | re.VERBOSE,
)
UNDERLINED = re.compile(
    r"(?:\A|(?<=\n\n))(?P<words>\w[^\n]{0,79})\n(?P<line>(?P<sign>[=~^-])(?P=sign){2,})[ \t]*(?=\n[ \t]*\n|\n?\Z)"
)
MOST_UNEVEN = 2  # characters an underline may be longer or shorter than its words; a table's rule is not a heading


@dataclass(frozen=True, slots=True)
class Text:
    """The document's text is the file's, character for character, but for its line ends."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        text = read_text(path)
        verses = verse_marks(text)
        yield Document(text, str(path), marks=verses, headings=() if verses else chapter_marks(text))


def chapter_marks(text: str) -> Marks:
    r"""Marks for chapters or underlined headings, where there are two of them at least.

    >>> chapter_marks("PART I\n\nCHAPTER I\n\nCall me Ishmael.\n\nCHAPTER II\n\nI stuffed a shirt.")
    ((0, 'PART I'), (8, 'PART I > CHAPTER I'), (37, 'PART I > CHAPTER II'))
    """
    if len(chapters := _chapters(text)) > 1:
        return heading_marks(chapters, titled=False)
    return heading_marks(underlined) if len(underlined := _underlined(text)) > 1 else ()


def _chapters(text: str) -> list[Heading]:
    kept: list[Heading] = []
    run: list[Heading] = []  # headings with nothing but white space between them
    matches = list(CHAPTER.finditer(text))
    for this, following in pairwise([*matches, None]):
        assert this is not None
        run.append((this.start("words"), 1 if this["part"] else 2, this["words"].rstrip(" \t.:")))
        if following is None or text[this.end() : following.start()].strip():
            # 'CHAPTER I' right above 'CHAPTER II' is a table of contents; only 'PART I' may stand above 'CHAPTER I'.
            if [level for _, level, _ in run] in ([1], [2], [1, 2]):
                kept += run
            run = []
    return kept


def _underlined(text: str) -> list[Heading]:
    levels: dict[str, int] = {}  # the sign first used is the highest heading, as in reStructuredText
    return [
        (found.start(), levels.setdefault(found["sign"], len(levels) + 1), found["words"].strip())
        for found in UNDERLINED.finditer(text)
        if abs(len(found["line"]) - len(found["words"].rstrip())) <= MOST_UNEVEN
    ]
