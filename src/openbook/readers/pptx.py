"""PowerPoint files (pptx, pptm, ppsx), read from their XML: slide by slide, shapes from top to bottom.

Not by python-pptx, for the reasons given in docx.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from openbook.readers.blocks import Blocks
from openbook.readers.numbering import counted
from openbook.readers.omml import M, linear
from openbook.readers.ooxml import MC, REFERENCES, A, Parts, R, chosen, parts_of, write_graphic
from openbook.readers.packages import damaged
from openbook.readers.safe_xml import Element
from openbook.readers.strings import whole
from openbook.types import Document, Unread

P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
TITLES = frozenset({"title", "ctrTitle"})
REPEATED = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})  # date, footer and number, the same on every slide
BULLETED = frozenset({"body", "obj", "", "half", "quarter", "tbl"})  # placeholders that take the master's bullets
SAME_LINE = 20  # shapes whose tops differ by less than this part of the slide's height stand beside each other
HEIGHT = 6_858_000  # of a slide that does not say, in EMU
FARTHEST = 10**11  # EMU: what is farther out is no place

Place = tuple[float, float]
"""Top and left, in EMU; what says neither stays where the file has it."""


@dataclass(frozen=True, slots=True)
class Pptx:
    """Slides as marks, their titles as headings; notes and comments follow their slide."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        blocks = Blocks()
        with parts_of(path) as parts:
            name = parts.main("ppt/presentation.xml")
            root = parts.needed(name)
            if root is None:
                raise damaged(path, "it has no presentation in it")
            size = root.find(P + "sldSz")
            height = whole(None if size is None else size.get("cy"), HEIGHT, most=FARTHEST)
            relations = parts.relations(name)
            slides = [relations.get(one.get(R + "id", "")) for one in root.iterfind(f"{P}sldIdLst/{P}sldId")]
            for number, relation in enumerate(slides, 1):
                blocks.place(f"slide {number}")
                if relation and relation.target:
                    _Slide(parts, relation.target, blocks, height).write()
            title, fields = parts.properties()
        yield from parts.unread()
        yield blocks.document(path, title or _only_title(blocks), fields)


@dataclass(slots=True)
class _Slide:
    parts: Parts
    name: str
    blocks: Blocks
    height: int
    layouts: list[Element] = field(default_factory=list)  # its layout and its master: they say what a slide does not

    def write(self) -> None:
        root = self.parts.root(self.name)
        tree = None if root is None else root.find(f"{P}cSld/{P}spTree")
        if tree is None:
            return
        for layout in self.parts.related(self.name, "slideLayout")[:1]:
            names = [layout, *self.parts.related(layout, "slideMaster")[:1]]
            self.layouts = [found for one in names if (found := self.parts.root(one)) is not None]
        shapes = list(_shapes(tree))
        titles = [shape for shape in shapes if _kind(shape) in TITLES]
        for shape in titles:
            self.blocks.heading(" ".join(words for words, _ in _paragraphs(shape)), 1)
        self._shapes(shape for shape in shapes if shape not in titles)
        self._notes()

    def _notes(self) -> None:
        for name in self.parts.related(self.name, "notesSlide")[:1]:
            notes = self.parts.root(name)
            for shape in [] if notes is None else notes.iter(P + "sp"):
                if _kind(shape) == "body":
                    self._text(shape, bulleted=False)
        for name in self.parts.related(self.name, "comments"):
            comments = self.parts.root(name)
            for one in [] if comments is None else comments.iter(P + "text", A + "p"):
                self.blocks.item("".join(one.itertext()))

    def _shapes(self, shapes: Iterable[Element]) -> None:
        """In reading order: those that stand beside each other from left to right."""
        placed: list[tuple[float, float, Element]] = []
        last: Place = (0, 0)
        for shape in shapes:
            last = self._place(shape) or last
            placed.append((*last, shape))
        placed.sort(key=lambda one: one[0])
        line, begins = 0, float("-inf")
        lines: list[tuple[int, float, Element]] = []
        for top, left, shape in placed:
            if top - begins > self.height / SAME_LINE:
                line, begins = line + 1, top
            lines.append((line, left, shape))
        for _, _, shape in sorted(lines, key=lambda one: one[:2]):
            self._shape(shape)

    def _shape(self, shape: Element) -> None:
        table = shape.find(f"{A}graphic/{A}graphicData/{A}tbl")
        if _kind(shape) in REPEATED:
            return
        if shape.tag == P + "grpSp":
            self._shapes(_shapes(shape))
        elif table is not None:
            self.blocks.table(_rows(table))
        elif shape.tag == P + "graphicFrame":
            for reference in shape.iter(*REFERENCES):
                write_graphic(reference, self.name, self.parts, self.blocks)
        else:
            self._text(shape, bulleted=_kind(shape) in BULLETED)

    def _text(self, shape: Element, *, bulleted: bool) -> None:
        counts: dict[int, int] = {}
        for words, properties in _paragraphs(shape):
            level = whole(None if properties is None else properties.get("lvl"))
            bullet = self._bullet(shape, properties, level) if words.strip() else None
            counts = {one: count for one, count in counts.items() if one <= level}
            if bullet is not None and bullet.tag == A + "buAutoNum":
                counts[level] = counts.get(level, whole(bullet.get("startAt"), 1) - 1) + 1
                self.blocks.item(words, _numbered(counts[level], bullet.get("type", "")))
            elif bullet is not None and bullet.tag != A + "buNone" and (bulleted or bullet.getparent() is properties):
                self.blocks.item(words)
            else:
                self.blocks.paragraph(words)

    def _bullet(self, shape: Element, properties: Element | None, level: int) -> Element | None:
        """What says how a paragraph begins: itself, its shape, the layout's or the master's like shape, the master."""
        level_name = f"{A}lvl{level + 1}pPr"
        styles = [] if properties is None else [properties]
        alike = [one for layout in self.layouts if (one := _like(shape, layout)) is not None]
        for one in (shape, *alike):
            styles += one.iterfind(f"{{*}}txBody/{A}lstStyle/{level_name}")
        if shape.find(".//" + P + "ph") is not None:
            styles += [one for root in self.layouts for one in root.iterfind(f"{P}txStyles/{P}bodyStyle/{level_name}")]
        signs = (A + "buNone", A + "buChar", A + "buAutoNum", A + "buBlip")
        return next((sign for style in styles for sign in style.iterchildren(*signs)), None)

    def _place(self, shape: Element) -> Place | None:
        """Top and left, as the shape says it or the placeholder it fills."""
        like = (_like(shape, layout) for layout in self.layouts) if _kind(shape) != "none" else ()
        for one in (shape, *like):
            found = None if one is None else next(one.iter(A + "off"), None) if one.tag != P + "graphicFrame" else None
            if one is not None and one.tag == P + "graphicFrame":
                found = one.find(f"{P}xfrm/{A}off")
            if found is not None:
                return _emu(found.get("y")), _emu(found.get("x"))
        return None


def _shapes(tree: Element) -> Iterator[Element]:
    for node in tree.iterchildren("*"):
        if node.tag == MC + "AlternateContent":
            yield from chosen(node)
        elif node.tag not in {P + "nvGrpSpPr", P + "grpSpPr", P + "extLst"}:
            yield node


def _placeholder(shape: Element) -> Element | None:
    """What names the placeholder that a shape fills; not that of a shape inside it."""
    if shape.tag == P + "grpSp":
        return None
    return next((one for one in shape.iter(P + "ph")), None)


def _kind(shape: Element) -> str:
    """The kind of placeholder that a shape fills: 'title', 'body', '' for any content; 'none' when it fills none."""
    found = _placeholder(shape)
    return "none" if found is None else found.get("type", "")


def _like(shape: Element, layout: Element) -> Element | None:
    """The shape of a layout or master that this one takes after."""
    own = _placeholder(shape)
    if own is None:
        return None
    others = [(one, found) for one in layout.iter(P + "sp") if (found := _placeholder(one)) is not None]
    kinds = {own.get("type", "body")} | ({"body", "obj"} if own.get("type", "obj") in {"body", "obj"} else set())
    index = own.get("idx")
    same = [one for one, found in others if index is not None and found.get("idx") == index]
    return next(iter([*same, *(one for one, found in others if found.get("type", "obj") in kinds)]), None)


def _paragraphs(shape: Element) -> Iterator[tuple[str, Element | None]]:
    """The words and properties of each paragraph, of text in whatever shape, also one we do not know."""
    for paragraph in shape.iter(A + "p"):
        yield _words(paragraph), paragraph.find(A + "pPr")


def _words(node: Element) -> str:
    words = ""
    for child in chosen(node) if node.tag == MC + "AlternateContent" else node.iterchildren("*"):
        if child.tag == A + "t":
            words += child.text or ""
        elif child.tag == A + "br":
            words += "\n"
        elif child.tag == M + "oMath":
            words += linear(child)
        else:
            words += _words(child)
    return words


def _rows(table: Element) -> Iterator[list[str]]:
    """Cells that another one covers are empty: each value is there once."""
    for row in table.iterchildren(A + "tr"):
        yield [
            ""
            if cell.get("hMerge") in {"1", "true"} or cell.get("vMerge") in {"1", "true"}
            else " ".join(words for words, _ in _paragraphs(cell))
            for cell in row.iterchildren(A + "tc")
        ]


FORMS = {"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman"}
AUTO = re.compile(r"(alphaLc|alphaUc|romanLc|romanUc|)\w*?(ParenBoth|ParenR|Period|Plain|)$")
ENDS = {"ParenBoth": "({}) ", "ParenR": "{}) ", "Plain": "{} "}


def _numbered(count: int, kind: str) -> str:
    """A count as 'arabicPeriod', 'alphaLcParenR' and the like show it."""
    found = AUTO.match(kind)
    form, end = (found[1], found[2]) if found else ("", "")
    return ENDS.get(end, "{}. ").format(counted(count, FORMS.get(form, "decimal")))


def _only_title(blocks: Blocks) -> str:
    """The title of the first slide."""
    return blocks.headings[0][2] if blocks.headings and blocks.headings[0][0] == 0 else ""


def _emu(words: str | None) -> float:
    return float(whole(words, least=-FARTHEST, most=FARTHEST))
