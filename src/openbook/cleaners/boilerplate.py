"""Takes away what a page says besides its text: running heads and feet, page numbers, cookie banners, menus.

Only what is certain. The first of equal heads stays, so no word is lost from a document; every removal has a reason.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import ClassVar, NamedTuple

from openbook.text import settled
from openbook.types import Document, Edit, label_at

PAGE = re.compile(r"page (\d{1,9})")
NUMBER = re.compile(r"\d{1,6}")
ROMAN = re.compile(r"[ivxl]{1,8}")
LONGEST = 150  # characters of a running head
IN_STEP = 3  # pages on which a line counts along with the pages
IN_A_ROW = 5  # pages one after the other (or every other page) that begin with the same line
SHARE = 0.5  # of all pages, at least 3 of them
FARTHEST = 1000  # a number farther from the page's is a year or an amount
KINDS = ("number", "step", "same")
PAGE_WORD = re.compile(r"\b(?:pages?|seite|p|of|von|s)\b", re.IGNORECASE)

# fmt: off
COOKIES = re.compile(
    r"""\b(?:(?:we|this\s(?:web)?site)\s(?:also\s)?uses?\s(?:\w+\s){0,2}cookies
    |(?:wir|diese\s(?:web)?seite|diese\swebsite)\s(?:verwende[nt]|nutz(?:en|t))\s(?:\w+\s){0,2}cookies)\b""",
    re.IGNORECASE | re.VERBOSE,
)
CONSENT = re.compile(
    r"""\b(?:you\s(?:agree|accept|consent)|by\s(?:continuing|using|clicking)|continuing\sto\suse|accept\s(?:all|cookies)
    |cookie\s(?:settings|preferences)|stimmen\ssie|sind\ssie\sdamit\seinverstanden|cookies\s(?:akzeptieren|zu)
    |to\s(?:give|offer|ensure|improve|enhance|provide|personali[sz]e)\s(?:\w+\s){0,6}(?:experience|site|website|services)
    |um\s(?:\w+\s){0,8}(?:erlebnis|nutzererfahrung|nutzererlebnis|website|webseite|seite|dienste)\s(?:\w+\s){0,4}zu
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
BUTTON = re.compile(
    r"""(?:[\W_]*+(?:accept|reject|decline|allow|deny|manage|got\sit|ok|okay|i\sagree|agree|learn\smore|more\sinformation
    |save|customi[sz]e|alle|akzeptieren|ablehnen|einstellungen|zustimmen|cookies?|settings|preferences|all|only
    |necessary|essential|and|und|close|x|privacy\spolicy)\b)++[\W_]*+""",
    re.IGNORECASE | re.VERBOSE,
)
MENU = re.compile(
    r"""(?:skip|jump)\sto\s(?:the\s)?(?:main\s)?(?:content|navigation|search|menu)
    | (?:back|return)\sto\s(?:the\s)?top | toggle\s(?:the\s)?(?:navigation|menu|search|sidebar)
    | zum\sinhalt(?:\sspringen)? | nach\soben
    | share\s(?:this|on|via)(?:\s(?:page|post|article|story|facebook|twitter|linkedin))?
    | (?:open|close)\s(?:the\s)?(?:menu|navigation|sidebar)""",
    re.IGNORECASE | re.VERBOSE,
)
LINK = re.compile(
    r"""(?:previous|prev|next|home|up|index|contents|print|top|search|menu|log\s?in|sign\s?(?:in|up)|register|subscribe
    |share|tweet|e-?mail|facebook|twitter|linkedin|reddit|contact(?:\sus)?|about(?:\sus)?|privacy(?:\spolicy)?|imprint
    |impressum|datenschutz|kontakt|startseite|zurück|weiter|terms(?:\sof\s(?:use|service))?|sitemap|help|modules|genindex)""",
    re.IGNORECASE | re.VERBOSE,
)
# fmt: on
BETWEEN = re.compile(r"\s*(?:[|·•»«>/<→←]+\s*)+")
LINE = re.compile(r"[^\n]+")
ABOUT_COOKIES = 12  # a text with the word more often is about them
LONGEST_BANNER = 800
EDGE = 6000  # characters at the beginning and the end of a text where banners and menus are looked for


class Line(NamedTuple):
    """A line that is at the edge of a page, and the page's number."""

    start: int
    end: int
    page: int


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """Running heads and page numbers where pages are marked; elsewhere cookie banners and menus."""

    VERSION: ClassVar[int] = 1

    def __call__(self, document: Document) -> Sequence[Edit]:
        return settled(document, page_edges if _pages(document) else page_furniture)


def _pages(document: Document) -> list[tuple[int, int, int]]:
    """Start, end and number of each page."""
    return [
        (start, end, int(found[1]))
        for (start, label), (end, _) in pairwise((*document.marks, (len(document.text), "")))
        if (found := PAGE.fullmatch(label))
    ]


def page_edges(document: Document) -> list[Edit]:
    """The outermost line of pages, where it is a running head or foot or a page number."""
    text, pages = document.text, _pages(document)
    tops, feet = [], []
    for start, end, number in pages:
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        line_end, line_start = text.find("\n", start, end), text.rfind("\n", start, end) + 1
        if line_end > 0:  # a page of one line keeps it
            tops.append(Line(start, line_end, number))
            feet.append(Line(line_start, end, number))
    edits = []
    for line, reason in _running(text, tops, "running head", len(pages)):
        edits.append(Edit(line.start, line.end + 1, "", reason))
    for line, reason in _running(text, feet, "running foot", len(pages)):
        edits.append(Edit(line.start - 1, line.end, "", reason))
    edits.sort(key=lambda edit: edit.start)
    # Of a page of two lines only the upper one goes in this round.
    return [edit for before, edit in pairwise([Edit(0, 0, "", ""), *edits]) if before.end <= edit.start]


def _running(text: str, lines: list[Line], reason: str, pages: int) -> Iterator[tuple[Line, str]]:
    """Those lines that many pages have at this edge."""
    alike: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        words = " ".join(text[line.start : line.end].split())
        if 0 < len(words) <= LONGEST:
            for key in _keys(words, line.page):
                alike[key].append(line)
    at_top = reason == "running head"  # at the bottom, empty forms of a long table are alike on some pages in a row
    gone: set[Line] = set()
    for (kind, _), same in sorted(alike.items(), key=lambda one: KINDS.index(one[0][0])):
        left = [line for line in same if line not in gone]
        if kind != "same" and _in_a_row(left) >= IN_STEP:
            found = left if kind == "number" else left[1:]
        elif kind == "same" and (len(left) >= max(3, SHARE * pages) or (at_top and _in_a_row(left) >= IN_A_ROW)):
            found = left[1:]
        else:
            continue
        gone.update(found)
        yield from ((line, "page number" if kind == "number" else reason) for line in found)


def _keys(words: str, page: int) -> Iterator[tuple[str, str]]:
    """What a line would have in common with its like on other pages: itself, or all but a number that counts along."""
    if ROMAN.fullmatch(words.lower()):
        yield "number", f"{_roman(words.lower()) - page} roman"
        return
    for number in NUMBER.finditer(words):
        step = int(number[0]) - page
        rest = f"{words[: number.start()]}#{step}{words[number.end() :]}"
        if abs(step) <= FARTHEST:
            yield ("step" if PAGE_WORD.sub("", words).strip("0123456789|/.,:;()[]-–— ") else "number"), rest
    if any(map(str.isalpha, words)):
        yield "same", words


def _in_a_row(lines: list[Line]) -> int:
    """How many of them are on pages one after the other, or every other page."""
    longest = count = len(lines[:1])
    for before, line in pairwise(lines):
        count = count + 1 if line.page - before.page <= 2 else 1
        longest = max(longest, count)
    return longest


def _roman(words: str) -> int:
    values = [{"i": 1, "v": 5, "x": 10, "l": 50}[sign] for sign in words]
    return sum(-one if one < following else one for one, following in pairwise([*values, 0]))


def page_furniture(document: Document) -> list[Edit]:
    """Cookie banners and menus that the reader could not know by their tags, near the beginning and the end."""
    text = document.text
    headings = {offset for offset, _ in document.headings}
    lines = [
        line
        for line in _edge_lines(text)
        if line.start() not in headings and label_at(document.parts, line.start()) in {"", "text"}
    ]
    cookies = _banners(text, lines)
    edits: list[Edit] = []
    for line in lines:
        if line in cookies or _is_menu(line[0]):
            start, end = line.start(), line.end() + 1
            if end > len(text):  # the last line goes with the line end before it
                start, end = max(start - 1, edits[-1].end if edits else 0), len(text)
            edits.append(Edit(start, end, "", "cookie banner" if line in cookies else "menu"))
    return edits


def _edge_lines(text: str) -> Iterator[re.Match[str]]:
    if len(text) <= 2 * EDGE:
        yield from LINE.finditer(text)
        return
    yield from LINE.finditer(text, 0, text.rfind("\n", 0, EDGE) + 1)
    last = text.find("\n", len(text) - EDGE)
    if last >= 0:
        yield from LINE.finditer(text, last)


def _banners(text: str, lines: list[re.Match[str]]) -> set[re.Match[str]]:
    """Lines that say the page uses cookies and ask to agree, and the buttons below."""
    if "ookie" not in text or text.lower().count("cookie") > ABOUT_COOKIES:
        return set()
    found: set[re.Match[str]] = set()
    for index, line in enumerate(lines):
        below = lines[index : index + 4]
        if len(line[0]) <= LONGEST_BANNER and COOKIES.search(line[0]):
            buttons = list(takewhile(lambda one: len(one[0]) <= LONGEST and BUTTON.fullmatch(one[0]), below[1:]))
            if buttons or CONSENT.search(line[0]):
                found.update([line, *buttons])
    return found


def _is_menu(line: str) -> bool:
    words = line.strip(" \t-*•|»›")
    if not words or len(words) > LONGEST:
        return False
    if MENU.fullmatch(words):
        return True
    links = BETWEEN.split(words)
    return len(links) > 1 and all(LINK.fullmatch(link) for link in links)
