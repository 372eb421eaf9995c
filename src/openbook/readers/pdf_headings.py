"""Headings of a PDF, which has none: from its bookmarks, else from the lines that look like headings."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from openbook.readers.strings import one_line

PageHeading: TypeAlias = tuple[int, int, int, str]
"""Page counted from 0, offset in its text, level (1 is the highest), words."""

LARGER = 1.08  # times the body's size, for what is no sentence either: a fraction larger than rounding
LARGE = 1.2  # times the body's size, for any short line
LONGEST = 120  # characters of a line
MOST_LINES = 3  # of a heading; more in large type are a quotation
DEEPEST = 4
MOST_BOOKMARKS = 20_000  # of a document that are read
FEWEST = 2  # bookmarks; many a program writes one, with the file's name
RUNNING = 3  # pages with the same words at the same height: a running head
SAME_HEIGHT = 10.0  # points
LEADING = 1.6  # times the size: the most from a heading's line to its next
PARTS, CAPITALS = 5, 2  # kinds of a bold line, see `_kind`
COLUMN_HEAD = 5  # times the size: from the last line of a column's head up to the first of the next; a page is more
INDENT = 12.0  # points, the most from the left edge of the text to a heading's
FEWEST_CAPITALS = 6  # characters; fewer are an abbreviation
LONG_LINE = 40  # characters of a line that shows where the text's left edge is
BODY = 0.25  # share of the text in one size from which on it is no emphasis
MOSTLY_BOLD = 0.3  # share of the text above which bold says nothing

WORDS = re.compile(r"\w+")
DIGITS = re.compile(r"\d+")
CONTINUED = re.compile(r"\W*\b(?:continued|cont\.|fortsetzung)\W*$")
PAGE_NAME = re.compile(r"(?:page|seite|slide|folie)?\s*\W*\d*\W*|\S+\.(?:pdf|docx?|html?|pptx?)", re.IGNORECASE)
PART = re.compile(r"(?:part|book|volume|teil|band)\s+(?:\d{1,2}|[IVX]{1,5})\b", re.IGNORECASE)
ITEM = re.compile(
    r"(?:item|chapter|article|appendix|annex|kapitel|artikel|anhang|abschnitt|section)\s+(?:\d{1,3}[A-Z]?|[IVXA-H]{1,5})\b",
    re.IGNORECASE,
)
NOTE = re.compile(r"(?:note|anmerkung)\s+\d{1,3}\b", re.IGNORECASE)
DECIMAL = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+(?=[^\W\d])")
# '..... 17' and 'Risk factors 17' in a table of contents, 'Total $ 1,250', 'Yes ☒ No ☐', a point of a list.
NO_HEADING = re.compile(
    r"(?:\.\s?){4,}|\s(?!(?:19|20)\d\d$)\d{1,4}$|[$€£¥]\s?\d|\d,\d{3}\b|[☐☑☒□]|^[^\w(\[\"'“„«「『【《§¿¡]"
)
SENTENCE = re.compile(r"[.,;]$")


class Look(NamedTuple):
    """How a line looks."""

    size: float  # points as printed, of its middle letter by size
    bold: bool  # from its first letter to its last
    top: float  # points above the page's lower edge
    left: float  # points from its left edge


class Bookmark(NamedTuple):
    """An entry of a PDF's outline."""

    page: int  # counted from 0
    level: int  # 1 is the highest
    words: str
    top: float | None = None  # where on the page, points above its lower edge


def from_bookmarks(
    bookmarks: Sequence[Bookmark], pages: Sequence[str], looks: Sequence[Sequence[Look | None]]
) -> list[PageHeading]:
    """Each bookmark where its words are found on its page, else at its height, else at the page's beginning."""
    headings: list[PageHeading] = []
    for mark in bookmarks:
        words = one_line(mark.words)
        if 0 <= mark.page < len(pages) and not PAGE_NAME.fullmatch(words):
            at = _find(words, pages[mark.page])
            if at < 0:
                at = _at_height(mark.top, pages[mark.page], looks[mark.page])
            headings.append((mark.page, at, mark.level, words))
    return headings if len(headings) >= FEWEST else []


def _find(title: str, page: str) -> int:
    """Where a title stands on a page, at a line's beginning if it does; -1 where it does not."""
    words = [re.escape(word) for word in WORDS.findall(title[: 2 * LONGEST])]
    for tried in (words, words[1:] if words[0].isdigit() else []) if words else ():
        pattern = r"\W+".join(tried)
        found = pattern and (
            re.search(rf"^[^\w\n]*({pattern})\b", page, re.IGNORECASE | re.MULTILINE)
            or re.search(rf"\b({pattern})\b", page, re.IGNORECASE)
        )
        if found:
            return found.start(1)
    return -1


def _at_height(top: float | None, page: str, looks: Sequence[Look | None]) -> int:
    """The offset of the highest line that is not above `top`."""
    best, offset, at = 0.0, 0, 0
    if top is None or not looks:
        return 0
    for line, look in zip(page.split("\n"), looks, strict=False):
        if look and best < look.top <= top + look.size / 2:
            best, at = look.top, offset
        offset += len(line) + 1
    return at


class _Style(NamedTuple):
    """Sorts the higher heading first when sorted downwards."""

    size: float
    kind: int  # see `_kind`; larger lines differ by their size, so of them only parts have one
    bold: bool


@dataclass(slots=True)
class _Group:
    """Lines that are one heading."""

    page: int
    offset: int
    style: _Style
    top: float  # of its first line
    bottom: float  # the top of its last line
    last: int  # number of its last line
    lines: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        return " ".join(self.lines).rstrip(" :")


def from_looks(pages: Sequence[str], looks: Sequence[Sequence[Look | None]]) -> list[PageHeading]:
    """Short lines larger than the body, and bold ones of its size; levels by size.

    Left out: running heads, what a title page alone shows, the heads of tables.
    """
    sizes, bold = _sizes(pages, looks)
    if not sizes:
        return []
    body = sizes.most_common(1)[0][0]
    often = {size for size, letters in sizes.items() if letters >= BODY * sizes.total()}
    groups = [
        group
        for number, page in enumerate(pages)
        if len(looks[number]) == page.count("\n") + 1
        for group in _groups(number, page.split("\n"), looks[number], _Body(body, often, bold))
        if len(group.lines) <= MOST_LINES and len(group.words) <= 2 * LONGEST
    ]
    groups = _without_running_heads(groups, len(pages))
    if len(pages) > MOST_LINES:
        groups = _without_title_page(groups, body)
    levels = {
        style: min(rank, DEEPEST) for rank, style in enumerate(sorted({g.style for g in groups}, reverse=True), 1)
    }
    return [(group.page, group.offset, levels[group.style], group.words) for group in groups]


class _Body(NamedTuple):
    """How the text is set that headings stand out from."""

    size: float  # of most letters
    sizes: set[float]  # of many: an annex may be set larger than the rest
    bold: bool  # whether bold lines stand out

    def of_page(self, lines: Sequence[str], looks: Sequence[Look | None]) -> float:
        """That of many in which most letters of a page are."""
        sizes, _ = _sizes(["\n".join(lines)], [looks])
        return max(self.sizes & sizes.keys(), key=lambda size: sizes[size], default=self.size)


def _sizes(pages: Sequence[str], looks: Sequence[Sequence[Look | None]]) -> tuple[Counter[float], bool]:
    """How many letters are set in which size, and whether bold lines stand out."""
    letters: Counter[float] = Counter()
    bold = 0
    for page, lines in zip(pages, looks, strict=True):
        for line, look in zip(page.split("\n"), lines, strict=False):
            if look:
                letters[_half(look.size)] += len(line)
                bold += len(line) * look.bold
    return letters, bold < MOSTLY_BOLD * letters.total()


def _groups(number: int, lines: Sequence[str], looks: Sequence[Look | None], body: _Body) -> Iterator[_Group]:
    """Lines of one page that look like headings, those of one heading together."""
    size = body.of_page(lines, looks)
    edges = {look.left for line, look in zip(lines, looks, strict=True) if look and len(line) >= LONG_LINE}
    styles = [_style(line.strip(), look, body, size) if look else None for line, look in zip(lines, looks, strict=True)]
    group: _Group | None = None
    offset = 0
    for index, (line, look, style) in enumerate(zip(lines, looks, styles, strict=True)):
        if look and style and not _in_table(index, looks, styles, size, edges):
            if group is not None and _goes_on(group, index, style, look):
                group.lines.append(line.strip())
                group.bottom, group.last = look.top, index
            else:
                if group is not None:
                    yield group
                begin = offset + len(line) - len(line.lstrip())
                group = _Group(number, begin, style, look.top, look.top, index, [line.strip()])
        offset += len(line) + 1
    if group is not None:
        yield group


def _goes_on(group: _Group, index: int, style: _Style, look: Look) -> bool:
    return (
        group.last == index - 1
        and (group.style.size, group.style.bold) == (style.size, style.bold)
        and style.kind <= CAPITALS
        and 0 < group.bottom - look.top < LEADING * look.size
    )


def _style(line: str, look: Look, body: _Body, around: float) -> _Style | None:
    """The style of a line that may be a heading, on a page mostly set in the size `around`."""
    if len(line) > LONGEST or not _plausible(line):
        return None
    larger = _Style(_half(look.size), PARTS if PART.match(line) else 0, look.bold)
    if look.size >= LARGE * around:
        return larger
    kind = _kind(line)
    if line[0].islower() or (kind <= CAPITALS and SENTENCE.search(line)):
        return None
    if look.size >= LARGER * around:
        return larger
    return _Style(body.size, kind, True) if body.bold and look.bold and _half(look.size) >= around else None


def _plausible(line: str) -> bool:
    """Whether a line is mostly words, and no entry of a list or a table of contents."""
    if PART.fullmatch(line) or ITEM.fullmatch(line):
        return True
    letters = sum(map(str.isalpha, line))
    return letters >= 2 and 2 * letters >= len(line.replace(" ", "")) and not NO_HEADING.search(line)


def _in_table(
    index: int, looks: Sequence[Look | None], styles: Sequence[_Style | None], around: float, edges: set[float]
) -> bool:
    """Whether a line stands beside another, or above or amid the columns of a table."""
    look, style = looks[index], styles[index]
    before, after = (looks[near] if 0 <= near < len(looks) else None for near in (index - 1, index + 1))
    if look is None or style is None:
        return True
    if any(other and abs(other.top - look.top) < look.size / 3 for other in (before, after)):
        return True
    if look.size >= LARGE * around or style.kind > CAPITALS:
        return False
    if after and (after.top > look.top or (after.bold and not styles[index + 1])):
        return True
    if before and 0 < look.top - before.top < COLUMN_HEAD * look.size:
        return True
    # A centred line in capitals or in larger type is a title; another one is the head of a column.
    in_capitals = style.kind == CAPITALS or look.size >= LARGER * around
    return not in_capitals and not any(abs(look.left - edge) <= INDENT for edge in edges)


def _kind(line: str) -> int:
    """5 'Part II', 4 'Item 7' and '1 Whales', 3 'Note 2' and '1.1 Blue whales', 2 'WHALES', 1 'Whales'."""
    if PART.match(line):
        return PARTS
    if ITEM.match(line):
        return 4
    if NOTE.match(line):
        return 3
    if found := DECIMAL.match(line):
        return 3 if "." in found[1] else 4
    return CAPITALS if line.isupper() and len(line) >= FEWEST_CAPITALS else 1


def _without_running_heads(groups: list[_Group], page_count: int) -> list[_Group]:
    heights: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    anywhere: defaultdict[str, set[int]] = defaultdict(set)
    for group in groups:
        heights[_repeated(group), round(group.top / SAME_HEIGHT)].add(group.page)
        anywhere[_repeated(group)].add(group.page)
    often = max(RUNNING, page_count / 2)
    return [
        group
        for group in groups
        if len(heights[_repeated(group), round(group.top / SAME_HEIGHT)]) < RUNNING
        and len(anywhere[_repeated(group)]) < often
    ]


def _repeated(group: _Group) -> str:
    """What a running head has in common on its pages."""
    return CONTINUED.sub("", DIGITS.sub("0", group.words.lower()))


def _without_title_page(groups: list[_Group], body: float) -> list[_Group]:
    """Without sizes that only the first page shows, and then without that page's other bold lines."""
    later = {group.style.size for group in groups if group.page}
    if all(group.style.size in later for group in groups):
        return groups
    return [
        group
        for group in groups
        if group.page or (group.style.size in later and (group.style.size > body or group.style.kind > CAPITALS))
    ]


def _half(size: float) -> float:
    """To half a point: what one style is set in varies by rounding."""
    return round(2 * size) / 2
