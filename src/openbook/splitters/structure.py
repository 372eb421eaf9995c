"""Chunks that follow a document's own structure: headings, paragraphs, items, verses, table rows, code, mail parts.

sections --tiny ones joined--> regions --filled with whole blocks, at most `size`--> chunks, each with its context
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile
from textwrap import shorten
from typing import ClassVar

from openbook.splitters.cuts import SMALLEST, best_end, check_sizes, places, skip
from openbook.types import Chunk, Document, Marks

# How full a chunk must be, in hundredths of `size`, to be ended before a table or code, and before an item or verse.
PART_FROM = 50
BLOCK_FROM = 70

# Sections are joined up to this many hundredths of `size`, as a page of one-line sections would else be a chunk for
# each. Measured in decision 0006.
TINY = 100

# In a mail, words of someone else or of nobody: never in a chunk with the writer's own. A page's quotes are part of it.
APART = frozenset({"quote", "signature"})
MAIL = "from"  # the field that a mail has
ITEM = re.compile(r"\n(?= {0,3}(?:[-*•]|\d{1,3}[.)]) )")
SIGNS = "#>*=_- \t"  # what Markdown writes before a heading's words

LONGEST_CONTEXT = 120  # characters of title and headings: they are in the embedder's window with the text
LONGEST_COLUMNS = 160  # characters of a table's column names


@dataclass(frozen=True, slots=True)
class Structure:
    r"""At most `size` characters in a chunk, whole blocks of one section; small neighbours are together.

    With `context`, 'Title > Heading' and a split table's column names are found and embedded with a chunk that does
    not have them in its text.

    >>> page = Document("Sea\n\nWhales\n\nBlue.\n\nGrey.", "a.md", "Sea", headings=((0, "Sea"), (5, "Whales")))
    >>> [(chunk.context, chunk.text) for chunk in Structure(size=24)(page, "")]
    [('', 'Sea\n\nWhales\n\nBlue.'), ('Sea > Whales', 'Grey.')]
    """

    VERSION: ClassVar[int] = 1

    size: int = 500
    context: bool = True

    def __post_init__(self) -> None:
        check_sizes("structure", self.size, 0, SMALLEST, "characters")

    def __call__(self, document: Document, document_id: str) -> Iterator[Chunk]:
        text = document.text
        place = places(document) if document.places else None
        layout = _Layout.of(document)
        for begin, stop in pairwise(_regions(document, self.size)):
            start = layout.first(begin, stop, self.size)
            while start < stop:
                end = self._end(layout, start, stop)
                piece = text[start:end].rstrip()
                done = start + len(piece)
                context = _context(document, layout, start, done) if self.context else ""
                yield Chunk(document_id, start, done, piece, place(start, done) if place else "", context)
                start = layout.first(end, stop, self.size)

    def _end(self, layout: _Layout, start: int, stop: int) -> int:
        """Where a chunk from `start` ends: at most `size` away, and not after `stop`."""
        limit = start + self.size
        if limit >= stop:
            return stop
        floor = start + self.size * BLOCK_FROM // 100
        begin, kind = layout.part(limit)
        if kind in {"table", "code"}:
            if begin >= start + self.size * PART_FROM // 100:
                return begin
            end = layout.line_end(kind, max(start, begin), floor, limit)
            if begin > start and end <= layout.names_end(begin):  # column names alone are no beginning of a table
                return begin
            if end:
                return end
        elif layout.text.find("\n\n", floor, limit + 2) < 0 and (block := layout.block(floor, limit)):
            return block
        return best_end(layout.text, start, self.size, start)


def _regions(document: Document, size: int) -> list[int]:
    """Where sections, quotes and signatures begin, and the end of the text: what no chunk reaches across.

    Sections are joined while they are tiny together; one that is a heading alone is joined with what follows. Where a
    text has pages, its headings are guessed from large type: they are context, but end no chunk.
    """
    text = document.text
    apart = _apart(document.parts) if MAIL in document.fields else set()
    titles = set() if document.marks else {offset for offset, _ in document.headings}
    cuts = sorted({0, len(text), *apart, *titles})
    alone = {here for here, following in pairwise(cuts) if here in titles and "\n" not in text[here:following].strip()}
    sections = [here for before, here in pairwise(cuts) if here in apart or before not in alone]
    kept = [0]
    for here, following in pairwise([*sections, len(text)]):
        if here in apart or following - kept[-1] > size * TINY // 100:
            kept.append(here)
    return kept if kept[-1] == len(text) else [*kept, len(text)]


def _apart(parts: Marks) -> set[int]:
    """Where a quote or a signature begins or ends."""
    kinds = [("", 0), *((kind, offset) for offset, kind in parts)]
    return {
        offset
        for (before, _), (kind, offset) in pairwise(kinds)
        if kind != before and APART.intersection((kind, before))
    }


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the parts and blocks of a text begin."""

    text: str
    parts: Marks
    offsets: list[int]  # of the parts
    blocks: list[int]  # list items, verses, pages

    @classmethod
    def of(cls, document: Document) -> _Layout:
        text = document.text
        items = (found.end() for found in ITEM.finditer(text))
        marks = (offset for offset, _ in document.marks if offset and text[offset - 1] == "\n")
        return cls(text, document.parts, [offset for offset, _ in document.parts], sorted({*items, *marks}))

    def part(self, offset: int) -> tuple[int, str]:
        """Where the part that holds at an offset begins, and its kind."""
        index = bisect_right(self.offsets, offset)
        return self.parts[index - 1] if index else (0, "text")

    def first(self, offset: int, stop: int, size: int) -> int:
        """Where a chunk begins that has the first word from `offset` on; code keeps its indentation."""
        start = skip(self.text, offset)
        if start < stop and self.parts and self.part(start)[1] == "code":
            line = self.text.rfind("\n", max(offset, start - size // 4), start)
            return line + 1 if line >= 0 else start
        return start

    def block(self, floor: int, limit: int) -> int:
        """Where the last block begins between the two, or 0."""
        index = bisect_right(self.blocks, limit + 1)
        return self.blocks[index - 1] if index and self.blocks[index - 1] > floor else 0

    def line_end(self, kind: str, begin: int, floor: int, limit: int) -> int:
        """The best line end of a table or of code after `begin`, or 0."""
        last = self.text.rfind("\n", begin + 1, limit + 1)
        empty = self.text.rfind("\n\n", max(begin + 1, floor), limit + 2) if kind == "code" else 0
        return max(empty if empty > 0 else last, 0)

    def names_end(self, begin: int) -> int:
        """Where the first line of a part ends: of a table, the names of its columns."""
        end = self.text.find("\n", begin)
        return end if end >= 0 else len(self.text)

    def columns(self, start: int) -> str:
        """The column names of the table that a chunk begins inside of, or ''."""
        begin, kind = self.part(start)
        if kind != "table" or (end := self.names_end(begin)) >= start:
            return ""
        return shorten(self.text[begin:end], LONGEST_COLUMNS, placeholder=" …")


def _context(document: Document, layout: _Layout, start: int, end: int) -> str:
    """Title, headings and column names that hold for text[start:end] and are not in it."""
    path = _path(document.headings, start, end)
    title = " ".join(document.title.split())
    opening = document.text[start : start + len(SIGNS) + len(title)].lstrip(SIGNS).casefold()
    if title and title.casefold() not in {one.casefold() for one in path} and not opening.startswith(title.casefold()):
        path = [title, *path]
    while len(path) > 2 and len(" > ".join(path)) > LONGEST_CONTEXT:
        del path[1]
    room = LONGEST_CONTEXT // max(1, len(path))
    label = " > ".join(path)
    if len(label) > LONGEST_CONTEXT:
        label = " > ".join(shorten(one, room, placeholder=" …") for one in path)
    return "\n".join(part for part in (label, layout.columns(start)) if part)


def _path(headings: Marks, start: int, end: int) -> list[str]:
    """The headings under which all of a chunk lies, but for those that are in it."""
    if not headings:
        return []
    first = bisect_right(headings, start, key=lambda mark: mark[0]) - 1
    last = bisect_left(headings, end, key=lambda mark: mark[0])
    paths = [label.split(" > ") for _, label in headings[max(first, 0) : last]] if first >= 0 else []
    if not paths:
        return []
    if headings[first][0] == start:
        paths[0] = paths[0][:-1]
    return [names[0] for names in takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))]
