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
# Of code and columns. Each alternative begins with a fixed character, so the engine skips the others: 5 times as quick.
SIGNS = re.compile(
    r"""[{}<>=|\\`\t] | _(?<!\w_)\w | :: | ;$ | [ ]{2}(?<=[^.?!:\s"')][ ]{2})[ ]*\S | [ ]{3}(?<=\S[ ]{3})[ ]*\S""",
    re.VERBOSE | re.MULTILINE,
)
# A point of a list, a line of a quoted mail.
POINT = r"[ \t]*(?:[-*+•·▪◦‣⁃–—>#%@$]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxlc]{2,5})[.)][ \t])"
FIRST_POINT, LATER_POINT = re.compile(POINT), re.compile(rf"\n{POINT}")
LABEL = re.compile(r"[a-z][\w.-]{0,30}:(?:[ \t]|//)")  # 'version: 1', 'anna: ok', 'https://': one a line is a list
NARROWEST = 50  # characters: verse and addresses are narrower
SHORTEST = 40  # a line that a program ended because a word of ten characters did not fit in the narrowest
WIDEST = 200  # a line this long was not broken by a program that breaks lines
LONG = 60  # the upper of two lines that are joined without the help of their paragraph


class Line(NamedTuple):
    """A line in a text, white space around it left out."""

    start: int
    end: int
    indent: int
    right: int  # how far to the right it goes: with its indent


def broken_lines(document: Document) -> list[Edit]:
    """Line breaks inside paragraphs, each a space, but for those at a hyphen. On its own result it finds nothing."""
    text = document.text
    if "\n" not in text or not CONTINUED.search(text):
        return []
    headings = {offset for offset, _ in document.headings}
    starts = headings.union(offset for marks in (document.marks, document.parts) for offset, _ in marks)
    breaks = [
        joint
        for begin, end in _prose(document)
        for paragraph in _paragraphs(text, begin, end)
        for lines in (_between(paragraph, starts, headings) if starts else [paragraph])
        for joint in _joints(text, lines)
    ]
    return [
        Edit(end, start, glue, "line break")
        for end, start in sorted(breaks)
        if (glue := _glue(text, end, start)) is not None
    ]


def _glue(text: str, end: int, start: int) -> str | None:
    """What goes between two lines: nothing after the hyphen of a compound; None: the word may be cut here."""
    if text[end - 1] != "-" or not text[end - 2].isalnum() or not text[start].isalnum():
        return " "
    return None if text[end - 2].isalpha() and text[start].islower() else ""


def _between(lines: list[Line], starts: set[int], headings: set[int]) -> Iterator[list[Line]]:
    """Lines that nothing marked stands between; a heading is alone."""
    group: list[Line] = []
    for line in lines:
        if group and (line.start in starts or group[-1].start in headings):
            yield group
            group = []
        group.append(line)
    yield group


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
                indent = 0 if line[0] == stripped[0] else line.index(stripped)
                right = indent + len(stripped)
                lines.append(Line(first + indent, first + right, indent, right))
            elif lines:
                yield lines
                lines = []
            first += len(line) + 1
        if lines:
            yield lines
        at = done = last


def _joints(text: str, lines: list[Line]) -> Iterator[tuple[int, int]]:
    """End of a line and start of the next, where both are one."""
    while len(lines) > 1:
        if _wrapped(text, lines):
            yield from ((upper.end, lower.start) for upper, lower in pairwise(lines))
            return
        joined = [lines[0]]
        last = lines[0]  # of those joined to one
        for lower in lines[1:]:
            upper = joined[-1]
            if text[lower.start].islower() and _goes_on(text, upper, last, lower):
                yield last.end, lower.start
                joined[-1] = Line(upper.start, lower.end, upper.indent, upper.right + 1 + lower.end - lower.start)
            else:
                joined.append(lower)
            last = lower
        if len(joined) == len(lines):
            return
        lines = joined  # what is left is looked at as if it had been so from the beginning


def _goes_on(text: str, upper: Line, last: Line, lower: Line) -> bool:
    """Whether the upper line, which may be several joined, ends in the middle of a sentence; the lower begins small."""
    return (
        upper.right - upper.indent >= LONG
        and upper.indent == lower.indent
        and not LABEL.match(text, lower.start)
        and text.find(" ", upper.start, upper.end) >= 0
        and ((end := text[last.end - 1]).isalpha() or end in ",;")
        and _is_prose(text, last if last is upper else lower, lower)  # one that was joined is known to be
    )


def _wrapped(text: str, lines: list[Line]) -> bool:
    """Whether a program broke these lines: none had room for the first word of the next."""
    width = max(line.right for line in lines)
    if not NARROWEST <= width <= WIDEST:
        return False
    small, before, indent = 0, lines[0].right, lines[-1].indent
    words = sum(text.find(" ", line.start, line.end) < 0 for line in lines[:-1])  # lines of one: paths, keys, addresses
    if 2 * words >= len(lines) or sum(LABEL.match(text, line.start) is not None for line in lines) > 1:
        return False
    for start, end, column, right in lines[1:]:
        space = text.find(" ", start, end)
        if before + 1 + (space if space > 0 else end) - start <= width or column != indent:
            return False
        small += text[start].islower()
        before = right
    if 3 * small < len(lines) - 1:  # in verse each line begins with a capital; in German, one in two
        return False
    return _is_prose(text, lines[0], lines[-1])


def _is_prose(text: str, first: Line, last: Line) -> bool:
    begin, end = first.start - first.indent, last.end
    return not (
        FIRST_POINT.match(text, begin, end) or SIGNS.search(text, begin, end) or LATER_POINT.search(text, begin, end)
    )
