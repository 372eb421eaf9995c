"""The text of a page of HTML, put together piece by piece as its elements begin and end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from openbook.readers.blocks import CELL
from openbook.readers.headings import Heading
from openbook.readers.strings import UNSEEN
from openbook.types import Marks

SPACE = re.compile(r"[ \t\n\r\f\v\xa0\u2002-\u200a\u202f]+")
MOST_SPAN = 100  # columns or rows a cell may span
LONGEST_REPEATED = 40  # characters of a cell that is said again in each row it spans


@dataclass(slots=True)
class Writer:
    """Collects text with as many line ends and spaces as are wanted between two pieces, never more."""

    headings: list[Heading] = field(default_factory=list)
    parts: list[tuple[int, str]] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    lines: int = 0  # line ends wanted before the next piece
    space: bool = False  # a space wanted before the next piece
    part: str = ""  # the next piece begins a part of that kind
    bullet: str = ""  # what stands before the next piece: '- ', '2. '
    lists: list[int] = field(default_factory=list)  # the number of the next point of each list we are in, -1: bullets
    row: Row | None = None  # the row we are in: it stays on one line, whatever its cells are made of
    spans: dict[int, tuple[int, str]] = field(default_factory=dict)  # column -> rows still spanned, words
    headed: bool = True  # the table we are in has its first row
    named: bool = False  # and it names the columns
    inner: int = 0  # tables we are in, inside of a row
    pres: int = 0
    quotes: int = 0

    def want(self, lines: int) -> None:
        if self.row is not None:
            self.space = True
        else:
            self.lines = max(self.lines, lines)

    def add(self, words: str) -> None:
        if not self.pres and words.isspace():
            self.space = True
            return
        words = UNSEEN.sub("", words)
        if self.pres and self.row is None:
            words = words.replace("\r", "\n")
            kept = words.rstrip("\n")
            self._put(kept)
            self.lines += len(words) - len(kept)
            return
        words = SPACE.sub(" ", words)
        self.space = self.space or words.startswith(" ")
        if words.strip(" "):
            self._put(words.strip(" "))
            self.space = words.endswith(" ")

    def _put(self, words: str) -> None:
        if not words:
            return
        if self.row is not None:
            self.row.add(words, self.space)
            self.space = False
            return
        if self.length:
            between = "\n" * self.lines if self.lines else " " if self.space else ""
            self.pieces.append(between)
            self.length += len(between)
        if self.part:
            self.parts.append((self.length, self.part))
            self.part = ""
        if self.bullet:
            words, self.bullet = self.bullet + words, ""
        self.pieces.append(words)
        self.length += len(words)
        self.lines, self.space = 0, False

    def start(self) -> int:
        """Where the next piece will begin."""
        return self.length + self.lines if self.length else 0

    def end_part(self) -> None:
        self.part = "quote" if self.quotes else "text"

    def end_table(self) -> None:
        if self.inner:
            self.inner -= 1
        else:
            self.end_part()

    def end_row(self) -> None:
        """Write the row we were in, unless all its cells are empty."""
        if self.inner:
            return
        row, self.row = self.row, None
        self.space = False
        if row is not None:
            columns = row.filled(self.spans)
            if row.said:
                self._put(CELL.join(columns).strip())

    def marks(self, length: int) -> Marks:
        """The parts that begin before `length`; text goes on where it was text."""
        kept: list[tuple[int, str]] = []
        for offset, kind in self.parts:
            if offset < length and kind != ("text" if not kept else kept[-1][1] if kind != "table" else ""):
                kept.append((offset, kind))
        return tuple(kept)


@dataclass(slots=True)
class Row:
    """The cells of a table's row; those that a cell above spans are put between them."""

    cells: list[tuple[list[str], int, int]] = field(default_factory=list)  # pieces, columns and rows spanned
    said: bool = False

    def add(self, words: str, space: bool) -> None:
        if not self.cells:
            self.cells.append(([], 1, 1))
        pieces = self.cells[-1][0]
        pieces.append(f" {words}" if space and pieces else words)
        self.said = True

    def filled(self, spans: dict[int, tuple[int, str]]) -> list[str]:
        """The words of each column; `spans` is brought up to date."""
        columns: list[str] = []
        for pieces, wide, rows in self.cells:
            _fill(columns, spans)
            words = "".join(pieces)
            for _ in range(wide):
                if rows > 1 and len(columns) < MOST_SPAN:
                    spans[len(columns)] = (rows - 1, words if len(words) <= LONGEST_REPEATED else "")
                columns.append(words)
                words = ""
        _fill(columns, spans)
        return columns


def _fill(columns: list[str], spans: dict[int, tuple[int, str]]) -> None:
    """Add the cells from above that come next."""
    while len(columns) in spans:
        rows, words = spans.pop(len(columns))
        if rows > 1:
            spans[len(columns)] = (rows - 1, words)
        columns.append(words)
