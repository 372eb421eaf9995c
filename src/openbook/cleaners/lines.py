"""Paragraphs whose lines were broken to fit a page or a mail, on one line again.

Two signs are trusted. A paragraph is wrapped when no line had room for the first word of the next: then all its lines
are joined. Else only two lines of which the upper is long and ends in the middle of a sentence, and the lower begins
with a small letter. Code, tables, lists, verse, addresses and headings show neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from openbook.types import Document, Edit

# A line end in the middle of a sentence, or so it seems; begins with '\n', which the engine searches for quickly.
CONTINUED = re.compile(r"\n(?<=[^\W_]\n|[,;]\n)[ \t]*(?=[^\W\d_A-Z])")
NOT_PROSE = re.compile(
    r"""[{}<>=|\\`\t] | \b_\w | \S[ ]{3,}\S | [^.?!:\s"')][ ]{2,}\S | :: | ;$      # code, columns
    | ^[ \t]*(?:[-*+•·▪◦‣⁃–—>#%@$]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxlc]{2,5})[.)][ \t])  # list, quoted mail""",
    re.VERBOSE | re.MULTILINE,
)
INDENT = re.compile(r"[ \t]*")
BLANK = re.compile(r"\n[ \t]*(?=\n)")
NARROWEST = 50  # characters: verse and addresses are narrower
SHORTEST = 40  # a line that a program ended because a word of ten characters did not fit in the narrowest
WIDEST = 200  # a line this long was not broken by a program that breaks lines
LONG = 60  # the upper of two lines that are joined without the help of their paragraph


class Line(NamedTuple):
    """A line in a text, white space around it left out."""

    start: int
    end: int
    indent: int

    @property
    def right(self) -> int:
        """How far to the right it goes."""
        return self.indent + self.end - self.start


def broken_lines(document: Document) -> list[Edit]:
    """Line breaks inside paragraphs, each a space."""
    text = document.text
    if "\n" not in text or not CONTINUED.search(text):
        return []
    headings = {offset for offset, _ in document.headings}
    starts = headings | {offset for marks in (document.marks, document.parts) for offset, _ in marks}
    edits = []
    for begin, end in _prose(document):
        for lines in _paragraphs(text, begin, end):
            edits += [
                Edit(upper.end, lower.start, " ", "line break")
                for upper, lower in _joints(text, lines)
                if lower.start not in starts and upper.start not in headings
            ]
    return edits


def _prose(document: Document) -> Iterator[tuple[int, int]]:
    """Stretches that are neither code nor table nor signature."""
    begin, kind = 0, "text"
    for offset, label in (*document.parts, (len(document.text), "")):
        if kind in {"text", "quote"} and begin < offset:
            yield begin, offset
        begin, kind = offset, label


def _paragraphs(text: str, begin: int, end: int) -> Iterator[list[Line]]:
    """Lines without a blank one between them, where at least one long one seems to go on in the next."""
    at = done = begin
    while found := CONTINUED.search(text, at, end):
        if found.start() - text.rfind("\n", begin, found.start()) <= SHORTEST:
            at = found.start() + 1
            continue
        blank = text.rfind("\n\n", done, found.start())
        first = done if blank < 0 else blank + 2
        last = text.find("\n\n", found.start(), end)
        last = end if last < 0 else last
        lines: list[Line] = []
        for line in text[first:last].split("\n"):
            if stripped := line.strip(" \t"):
                indent = line.index(stripped)
                lines.append(Line(first + indent, first + indent + len(stripped), indent))
            elif lines:
                yield lines
                lines = []
            first += len(line) + 1
        if lines:
            yield lines
        at = done = last


def _joints(text: str, lines: list[Line]) -> Iterator[tuple[Line, Line]]:
    """Neighbouring lines that are one."""
    if len(lines) < 2:
        return
    if _wrapped(text, lines):
        yield from pairwise(lines)
        return
    length = 0  # of the upper line with all that was joined to it
    for upper, lower in pairwise(lines):
        length += upper.end - upper.start
        goes_on = text[lower.start].islower() and (text[upper.end - 1].isalpha() or text[upper.end - 1] in ",;")
        if goes_on and length >= LONG and upper.indent == lower.indent and _is_prose(text, upper, lower):
            yield upper, lower
        else:
            length = 0


def _wrapped(text: str, lines: list[Line]) -> bool:
    """Whether a program broke these lines: none had room for the first word of the next."""
    width = max(line.right for line in lines)
    if not NARROWEST <= width <= WIDEST or any(line.indent != lines[-1].indent for line in lines[1:]):
        return False
    small = 0
    for upper, lower in pairwise(lines):
        space = text.find(" ", lower.start, lower.end)
        if upper.right + 1 + (space if space > 0 else lower.end) - lower.start <= width:
            return False
        small += text[lower.start].islower()
    # In verse each line begins with a capital.
    return 2 * small >= len(lines) - 1 and _is_prose(text, lines[0], lines[-1])


def _is_prose(text: str, first: Line, last: Line) -> bool:
    return not NOT_PROSE.search(text, first.start - first.indent, last.end)
