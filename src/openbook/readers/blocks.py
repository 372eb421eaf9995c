"""Headings, paragraphs, list items and table rows into one document's text, with the marks they stand at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from openbook.errors import ReadError
from openbook.readers.files import shown
from openbook.readers.headings import Heading, heading_marks
from openbook.readers.strings import clean, one_line
from openbook.types import Document, Field, Marks

CELL = " | "  # between the cells of a row
SPACES = re.compile("[ \xa0\u2002-\u200a\u202f]+")


@dataclass(slots=True)
class Blocks:
    """Blocks in reading order: an empty line between two, none between the items of a list or the rows of a table."""

    pieces: list[str] = field(default_factory=list)
    marks: list[tuple[int, str]] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    parts: list[tuple[int, str]] = field(default_factory=list)
    length: int = 0
    tight: Literal["", "item", "row", "code"] = ""  # what the last block is one of several of
    label: str = ""  # of the place that the next block begins
    name: str = ""  # of that place

    @property
    def text(self) -> str:
        """What was put together so far."""
        return "".join(self.pieces)

    def place(self, label: str, name: str = "") -> None:
        """The next block is the first of a page, slide or sheet; a name, which the text does not say, is a heading."""
        self.label, self.name, self.tight = label, one_line(name), ""

    def heading(self, words: str, level: int) -> None:
        """A heading, 1 the highest; an empty one is left out."""
        if words := one_line(words):
            self.headings.append((self._put(words), level, words))

    def paragraph(self, words: str) -> None:
        """A paragraph; its line breaks are kept."""
        lines = [SPACES.sub(" ", line).strip(" ") for line in clean(words).split("\n")]
        if words := "\n".join(lines).strip():
            self._put(words)

    def item(self, words: str, sign: str = "- ") -> None:
        """A point of a list, on a line of its own."""
        if words := one_line(words):
            self._put(sign + words, tight="item")

    def code(self, lines: str) -> None:
        """A line of code, or several; the next one follows right below it."""
        lines = clean(lines).rstrip()
        if self.tight != "code":
            lines = lines.lstrip("\n")
        if lines or self.tight == "code":
            self._put(lines, "code", tight="code")

    def row(self, cells: Sequence[str]) -> None:
        """A row of a table, below the one before it. One without any words is left out, empty cells are kept."""
        cells = [one_line(cell) for cell in cells]
        if any(cells):
            self._put(CELL.join(cells).strip(" "), "table", tight="row")

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """A table of its own, its column names first."""
        self.end()
        for row in rows:
            self.row(row)
        self.end()

    def end(self) -> None:
        """End a list, table or block of code: the next one is another."""
        self.tight = ""

    def extend(self, text: str, parts: Marks = (), headings: Iterable[Heading] = ()) -> None:
        """A text with marks of its own, such as a page of a book or a table's cell."""
        if text.strip():
            begins = parts[0][1] if parts and parts[0][0] == 0 else "text"
            start = self._put(text, begins)
            self.parts += [(start + offset, part) for offset, part in parts if offset]
            self.headings += [(start + offset, level, words) for offset, level, words in headings]

    def document(self, path: Path, title: str = "", fields: Mapping[str, Field] | None = None) -> Document:
        """All blocks as one document; without a title, a first heading that is the only one of its level is the title.

        Raises:
            ReadError: There are no blocks.
        """
        text = self.text.rstrip()
        if not text:
            raise ReadError(
                f"{shown(path)} has no text in it, at most pictures or embedded files. "
                "Save what it shows as a PDF or as files of their own, and add those."
            )
        if not title and self.headings and text.startswith(self.headings[0][2]):
            _, top, words = self.headings[0]
            title = words if [level for _, level, _ in self.headings if level <= top] == [top] else ""
        headings = heading_marks(self.headings)
        return Document(text, str(path), one_line(title), tuple(self.marks), headings, tuple(self.parts), fields or {})

    def _put(self, block: str, part: str = "text", tight: Literal["", "item", "row", "code"] = "") -> int:
        """Append a block; the offset it begins at."""
        goes_on = bool(tight) and tight == self.tight
        between = "" if not self.pieces else "\n" if goes_on else "\n\n"
        start = self.length + len(between)
        if self.label:
            self.marks.append((start, self.label))
            self.headings += [(start, 1, self.name)] if self.name else []
            self.label = self.name = ""
        # Two tables are two parts; code after code is one, with an empty line in it.
        if part != (self.parts[-1][1] if self.parts else "text") or (part == "table" and not goes_on):
            self.parts.append((start, part))
        self.pieces += [between, block]
        self.length = start + len(block)
        self.tight = tight
        return start
