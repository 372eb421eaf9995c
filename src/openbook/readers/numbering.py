"""The numbers and bullets of Word's lists, which the file names by rule and counts nowhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from openbook.readers.safe_xml import Element
from openbook.readers.strings import whole

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
VAL = W + "val"
MOST_LEVELS = 9
COUNTED = re.compile(r"%([1-9])")
_HUNDREDS = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
)
ROMAN = (*_HUNDREDS, (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))


@dataclass(frozen=True, slots=True)
class Level:
    """How one level of a list is counted."""

    form: str = "decimal"  # 'bullet', 'lowerLetter', 'upperRoman', ...
    words: str = "%1."  # '%1.%2)': the counts of levels 1 and 2
    start: int = 1
    style: str = ""  # the paragraph style that stands for this level


@dataclass(slots=True)
class Numbering:
    """Counts the points of all lists of a document, in reading order."""

    levels: dict[str, dict[int, Level]]  # of an abstract list
    lists: dict[str, str]  # list -> the abstract list it counts with
    starts: dict[str, dict[int, int]]  # list -> level -> where it starts anew
    counts: dict[str, list[int | None]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def sign(self, name: str, level: int) -> str:
        """What stands before the next point of a list: '- ', '3. ', 'b) ', or '' when that is nothing."""
        abstract = self.lists.get(name, "")
        levels = self.levels.get(abstract)
        if levels is None or level not in levels:
            return "- "
        if levels[level].form == "bullet":
            return "- "
        counts = self.counts.setdefault(abstract, [None] * MOST_LEVELS)
        if name not in self.used:
            self.used.add(name)
            for one, start in self.starts.get(name, {}).items():
                counts[one] = start - 1
        before = counts[level]
        counts[level] = levels[level].start if before is None else before + 1
        counts[level + 1 :] = [None] * (MOST_LEVELS - level - 1)

        def count_of(found: re.Match[str]) -> str:
            index = int(found[1]) - 1
            one = levels.get(index, Level())
            count = counts[index]
            return counted(one.start if count is None else count, one.form)

        words = COUNTED.sub(count_of, levels[level].words).strip()
        return f"{words} " if words else ""

    def level_of(self, name: str, style: str) -> int:
        """The level of a list that a paragraph style stands for."""
        levels = self.levels.get(self.lists.get(name, ""), {})
        return next((index for index, level in levels.items() if level.style == style), 0)


def numbering(root: Element | None) -> Numbering:
    """The lists of word/numbering.xml."""
    levels: dict[str, dict[int, Level]] = {}
    lists: dict[str, str] = {}
    starts: dict[str, dict[int, int]] = {}
    links: dict[str, str] = {}  # a list style -> the abstract list that has its levels
    borrowed: dict[str, str] = {}  # an abstract list -> the list style it borrows its levels from
    for one in [] if root is None else root.iterchildren(W + "abstractNum"):
        name = one.get(W + "abstractNumId", "")
        levels[name] = {whole(level.get(W + "ilvl")): _level(level) for level in one.iterchildren(W + "lvl")}
        links[value(one, "styleLink")] = name
        borrowed[name] = value(one, "numStyleLink")
    for name, style in borrowed.items():
        if style:
            levels[name] = levels.get(links.get(style, ""), {})
    for one in [] if root is None else root.iterchildren(W + "num"):
        name = one.get(W + "numId", "")
        lists[name] = value(one, "abstractNumId")
        starts[name] = {
            whole(override.get(W + "ilvl")): whole(value(override, "startOverride"))
            for override in one.iterchildren(W + "lvlOverride")
            if value(override, "startOverride")
        }
    return Numbering(levels, lists, starts)


def counted(count: int, form: str) -> str:
    """A count as a list shows it.

    >>> counted(3, "decimal"), counted(28, "lowerLetter"), counted(14, "upperRoman"), counted(7, "decimalZero")
    ('3', 'bb', 'XIV', '07')
    """
    if form in {"lowerLetter", "upperLetter"} and count > 0:
        words = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 % 10 + 1)
    elif form in {"lowerRoman", "upperRoman"} and 0 < count < 4000:
        words = roman(count)
    elif form == "none":
        words = ""
    else:
        words = f"{count:02}" if form == "decimalZero" else str(count)
    return words.upper() if form.startswith("upper") else words


def roman(count: int) -> str:
    """A count in Roman letters."""
    words = ""
    for amount, letters in ROMAN:
        words += letters * (count // amount)
        count %= amount
    return words


def value(node: Element | None, name: str) -> str:
    """The value of a child such as <w:start w:val="1"/>, or ''."""
    child = None if node is None else node.find(W + name)
    return "" if child is None else child.get(VAL, "")


def _level(node: Element) -> Level:
    start = value(node, "start")
    return Level(
        value(node, "numFmt") or "decimal", value(node, "lvlText"), whole(start) if start else 1, value(node, "pStyle")
    )
