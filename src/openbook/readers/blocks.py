"""Headings, paragraphs, list items and table rows into one document's text, with the marks they stand at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from openbook.errors import ReadError
from openbook.readers.files import safe, shown
from openbook.readers.headings import Heading, heading_marks
from openbook.types import Document, Field

CELL = " | "
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u2060-\u2064\ufeff]+"
)  # control characters, soft hyphens, ...
SPACES = re.compile("[ \xa0\u2002-\u200a\u202f]+")

Part = Literal["text", "table", "code"]


@dataclass(slots=True)
class Blocks:
    """Blocks in reading order: an empty line between two, none between the items of a list or the rows of a table."""

    pieces: list[str] = field(default_factory=list)
    marks: list[tuple[int, str]] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    parts: list[tuple[int, str]] = field(default_factory=list)
    length: int = 0
    tight: str = ""  # what the last block is one of several of
    label: str = ""  # of the place that the next block begins
    name: str = ""  # of that place

    def place(self, label: str, name: str = "") -> None:
        """The next block is the first of a page, slide or sheet; a name, which the text does not say, is a heading."""
        self.label, self.name, self.tight = label, one_line(name), ""

    def heading(self, words: str, level: int) -> None:
        """A heading, 1 the highest; an empty one is left out."""
        words = one_line(words)
        if words:
            self.headings.append((self._put(words, "text"), level, words))

    def text(self, words: str) -> None:
        """A paragraph; its line breaks are kept."""
        lines = [SPACES.sub(" ", line).strip(" ") for line in clean(words).split("\n")]
        self._put("\n".join(lines).strip(), "text")

    def item(self, words: str, sign: str = "- ") -> None:
        """A point of a list, on a line of its own."""
        words = one_line(words)
        if words:
            self._put(sign + words, "text", tight="item")

    def code(self, line: str) -> None:
        """A line of code, or several; the next one follows right below it."""
        line = clean(line).rstrip()
        if line.strip() or self.tight == "code":
            self._put(line, "code", tight="code")

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """A table, its column names first. Rows without any words are left out, empty cells are kept."""
        self.tight = ""
        for row in rows:
            cells = [" ".join(cell.split()) for cell in row]
            if any(cells):
                self._put(clean(CELL.join(cells)).strip(" "), "table", tight="table")
        self.tight = ""

    def add(self, other: Blocks) -> None:
        """Blocks collected elsewhere, such as in a table's cell."""
        if not other.pieces:
            return
        start = self._put("".join(other.pieces), "text")
        self.headings += [(start + offset, level, words) for offset, level, words in other.headings]
        self.parts += [(start + offset, part) for offset, part in other.parts]

    def document(self, path: Path, title: str = "", fields: Mapping[str, Field] | None = None) -> Document:
        """All blocks as one document; without a title, a first heading that is the only one of its level is the title.

        Raises:
            ReadError: There are no blocks.
        """
        text = "".join(self.pieces).rstrip()
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

    def _put(self, block: str, part: Part, tight: str = "") -> int:
        """Append a block; the offset it begins at."""
        if not block and not tight:
            return self.length
        between = "" if not self.pieces else "\n" if tight and tight == self.tight else "\n\n"
        start = self.length + len(between)
        if self.label:
            self.marks.append((start, self.label))
            self.headings += [(start, 1, self.name)] if self.name else []
            self.label = self.name = ""
        is_next = part == (self.parts[-1][1] if self.parts else "text") and (part == "text" or tight == self.tight)
        if not is_next:
            self.parts.append((start, part))
        self.pieces += [between, block]
        self.length = start + len(block)
        self.tight = tight
        return start


def clean(words: str) -> str:
    """Words without characters that nobody sees."""
    return UNSEEN.sub("", safe(words.replace("\v", "\n").replace("\f", "\n")))


def one_line(words: str) -> str:
    r"""Words on one line.

    >>> one_line(" a\n\u00a0b ")
    'a b'
    """
    return " ".join(clean(words).split())


def number(value: float) -> str:
    """A number without the noise of its binary form.

    >>> number(0.1 + 0.2), number(12.0), number(1e300), number(7)
    ('0.3', '12', '1e+300', '7')
    """
    return str(value) if isinstance(value, int) else f"{value:.15g}"
