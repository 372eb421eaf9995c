"""Word files (docx, docm, dotx), read from their XML: as a person reads them, with headings, lists and tables.

Not by python-docx: its paragraphs lack text boxes, insertions and formulas, it refuses docm and 'strict' files, and it
loads every picture. What it has besides, an object for each run, is not needed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from openbook.readers.blocks import CELL, Blocks
from openbook.readers.headings import STYLES
from openbook.readers.numbering import VAL, Numbering, W, numbering, value
from openbook.readers.omml import M, linear
from openbook.readers.ooxml import MC, REFERENCES, Parts, chosen, parts_of, write_graphic
from openbook.readers.packages import damaged
from openbook.readers.safe_xml import Element
from openbook.readers.strings import one_line, whole
from openbook.types import Document, Unread

HEADING = re.compile(rf"{STYLES}\s*([1-9])$", re.IGNORECASE)
TITLE = re.compile(r"(?:document )?title$|titel$", re.IGNORECASE)
CODE = re.compile(
    r"(?:source |program ?)?code(?: block)?$|html preformatted$|preformatted text$|verbatim$", re.IGNORECASE
)
MONOSPACED = re.compile(
    r"courier|consolas|menlo|monaco|lucida console|.*\bmono\b|source code pro|fira code", re.IGNORECASE
)
BODY = 9  # the outline level of what is no heading

# fmt: off
LEFT_OUT = frozenset(W + name for name in (
    "pPr", "rPr", "sdtPr", "sdtEndPr", "tcPr", "del", "moveFrom", "delText", "instrText", "delInstrText", "rt",
))
# fmt: on
SIGNS = {W + "tab": "\t", W + "ptab": "\t", W + "br": "\n", W + "cr": "\n", W + "noBreakHyphen": "-"}
DRAWN = frozenset({W + "drawing", W + "pict", W + "object", W + "tbl"})
NOTES = {W + "footnoteReference": "footnotes", W + "endnoteReference": "endnotes"}
WIDE = 1000  # characters from which on a row that holds a table or a heading is the layout of a page, not a row


@dataclass(frozen=True, slots=True)
class Docx:
    """Body in order, with what was inserted and without what was deleted; then notes and comments."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        with parts_of(path) as parts:
            name = parts.main("word/document.xml")
            root = parts.needed(name)
            body = None if root is None else root.find(W + "body")
            if body is None:
                raise damaged(path, "it has no text part of Word's")
            title, fields = parts.properties()
            text = _Text(parts, name, _styles(parts, name), numbering(_related(parts, name, "numbering")))
            text.write(body)
            text.write_notes()
        yield from parts.unread()
        yield text.blocks.document(path, title or text.title, fields)


@dataclass(slots=True)
class _Style:
    name: str = ""
    level: int = 0  # of a heading, else 0
    numbered: tuple[str, str] = ("", "")  # list and level, as written
    monospaced: bool = False
    is_code: bool = False


@dataclass(slots=True)
class _Text:
    """The text as far as it was read."""

    parts: Parts
    part: str
    styles: dict[str, _Style]
    numbering: Numbering
    blocks: Blocks = field(default_factory=Blocks)
    title: str = ""
    notes: dict[str, list[str]] = field(default_factory=dict)  # kind -> ids, in order of the text

    def write(self, container: Element) -> None:
        """Everything in a body, cell, text box or note."""
        for node in container.iterchildren("*"):
            if node.tag == W + "p":
                self._paragraph(node)
            elif node.tag == W + "tbl":
                self._table(node)
            elif node.tag == MC + "AlternateContent":
                for one in chosen(node):
                    self.write(one)
            elif node.tag == W + "sdt" and node.find(f"{W}sdtPr/{W}showingPlcHdr") is not None:
                continue  # 'Click here to enter text'
            elif node.tag not in LEFT_OUT:
                self.write(node)

    def write_notes(self) -> None:
        """Footnotes and endnotes in order of the text, then the comments."""
        for kind, ids in list(self.notes.items()):
            found = {one.get(W + "id"): one for one in self._children_of(kind)}
            for number, one in enumerate(ids, 1):
                if one in found:
                    self.blocks.item(self._inside(found[one]), f"{number}. ")
            self.blocks.end()
        for comment in self._children_of("comments"):
            author, words = comment.get(W + "author", ""), self._inside(comment)
            self.blocks.item(f"{author}: {words}" if author and words else words)

    def _children_of(self, kind: str) -> list[Element]:
        root = _related(self.parts, self.part, kind)
        return [] if root is None else list(root.iterchildren("*"))

    def _inside(self, container: Element) -> str:
        """The words of a cell or note, on one line."""
        return one_line(self._apart(container).text)

    def _apart(self, container: Element) -> Blocks:
        outer, self.blocks = self.blocks, Blocks()
        try:
            self.write(container)
            return self.blocks
        finally:
            self.blocks = outer

    def _paragraph(self, node: Element) -> None:
        drawn: list[Element] = []
        words = "".join(self._words(node, drawn))
        properties = node.find(W + "pPr")
        name = value(properties, "pStyle")
        style = self.styles.get(name) or self.styles.get("", _Style())
        level = _outline(properties) or style.level
        if not words.strip() and not style.is_code:
            pass
        elif level and level <= BODY:
            words = self._sign(properties, name, style) + words
            if TITLE.match(style.name):
                self.title = self.title or one_line(words)
            self.blocks.heading(words, level)
        elif style.is_code:
            self.blocks.code(words)
        elif _listed(properties, style)[0] not in {"", "0"}:
            sign = self._sign(properties, name, style)
            self.blocks.item(words, sign) if sign else self.blocks.paragraph(words)
        elif self._is_monospaced(node, style):
            self.blocks.code(words)
        else:
            self.blocks.paragraph(words)
        for one in drawn:
            self._drawn(one)

    def _words(self, node: Element, drawn: list[Element]) -> Iterator[str]:
        """The words of a paragraph; what is drawn in it, such as a text box, is put aside."""
        for child in chosen(node) if node.tag == MC + "AlternateContent" else node.iterchildren("*"):
            if child.tag == W + "t":
                yield child.text or ""
            elif child.tag in SIGNS:
                yield SIGNS[child.tag]
            elif child.tag == M + "oMath":
                yield linear(child)
            elif child.tag in DRAWN:
                drawn.append(child)
            elif child.tag in NOTES:
                self.notes.setdefault(NOTES[child.tag], []).append(child.get(W + "id", ""))
            elif child.tag not in LEFT_OUT:
                yield from self._words(child, drawn)

    def _drawn(self, node: Element) -> None:
        if node.tag == W + "tbl":
            self._table(node)
        elif node.tag == W + "txbxContent":
            self.write(node)
        elif node.tag in REFERENCES:
            write_graphic(node, self.part, self.parts, self.blocks)
        else:
            for child in chosen(node) if node.tag == MC + "AlternateContent" else node.iterchildren("*"):
                self._drawn(child)

    def _sign(self, properties: Element | None, name: str, style: _Style) -> str:
        """The number or bullet before a paragraph."""
        listed, level = _listed(properties, style)
        if listed in {"", "0"}:
            return ""
        index = int(level) if level.isdecimal() and len(level) == 1 else self.numbering.level_of(listed, name)
        return self.numbering.sign(listed, min(index, 8))

    def _is_monospaced(self, node: Element, style: _Style) -> bool:
        runs = [run for run in node.iter(W + "r") if run.find(W + "t") is not None]
        fonts = [run.find(f"{W}rPr/{W}rFonts") for run in runs]
        names = ["" if font is None else font.get(W + "ascii", "") for font in fonts]
        return bool(runs) and all(MONOSPACED.match(name) if name else style.monospaced for name in names)

    def _table(self, node: Element) -> None:
        rows: list[list[Blocks]] = []
        wide = False
        for row in _inner(node, W + "tr"):
            if row.find(f"{W}trPr/{W}del") is not None:
                continue
            cells: list[Blocks] = [Blocks() for _ in range(_count(row.find(f"{W}trPr/{W}gridBefore")))]
            for cell in _inner(row, W + "tc"):
                merged = cell.find(f"{W}tcPr/{W}vMerge")
                is_below = merged is not None and merged.get(VAL, "continue") == "continue"
                cells.append(Blocks() if is_below else self._apart(cell))
                cells += [Blocks() for _ in range(_count(cell.find(f"{W}tcPr/{W}gridSpan")) - 1)]
            rows.append(cells)
            is_layout = any(one.headings or any(part == "table" for _, part in one.parts) for one in cells)
            wide = wide or (is_layout and sum(one.length for one in cells) > WIDE)
        if wide or sum(len(cells) for cells in rows) == 1:
            for one in (one for cells in rows for one in cells):
                self.blocks.extend(one.text, tuple(one.parts), one.headings)
        else:
            self.blocks.table([_cell(one) for one in cells] for cells in rows)


def _cell(blocks: Blocks) -> str:
    """A cell's words; the cells of a table inside it are not cells of the row."""
    return blocks.text.replace(CELL, ", ") if any(part == "table" for _, part in blocks.parts) else blocks.text


def _inner(node: Element, tag: str) -> Iterator[Element]:
    """Rows of a table or cells of a row, also those inside content controls and insertions."""
    for child in node.iterchildren("*"):
        if child.tag == tag:
            yield child
        elif child.tag not in LEFT_OUT and child.tag not in {
            W + "tr",
            W + "tc",
            W + "tblPr",
            W + "trPr",
            W + "tblGrid",
        }:
            yield from _inner(child, tag)


def _count(node: Element | None) -> int:
    """Columns that a cell covers or that a row leaves free."""
    return 0 if node is None else min(whole(node.get(VAL)), 63)  # Word's limit


def _listed(properties: Element | None, style: _Style) -> tuple[str, str]:
    """The list and level that a paragraph names, or its style."""
    own = None if properties is None else properties.find(W + "numPr")
    if own is None:
        return style.numbered
    return value(own, "numId") or style.numbered[0], value(own, "ilvl") or style.numbered[1]


def _outline(properties: Element | None) -> int:
    """The level of a heading, 1 being left for the title; 0 when the paragraph does not say it is one."""
    words = value(properties, "outlineLvl")
    return int(words) + 2 if words.isdecimal() and len(words) == 1 and int(words) < BODY else 0


def _related(parts: Parts, name: str, kind: str) -> Element | None:
    return next((root for one in parts.related(name, kind) if (root := parts.root(one)) is not None), None)


def _styles(parts: Parts, name: str) -> dict[str, _Style]:
    """The paragraph styles by id, each with what it inherits; '' is the one of paragraphs that name none."""
    root = _related(parts, name, "styles")
    nodes = {} if root is None else {node.get(W + "styleId", ""): node for node in root.iterchildren(W + "style")}
    styles = {one: _style(one, nodes) for one, node in nodes.items() if node.get(W + "type") == "paragraph"}
    default = next((one for one in styles if nodes[one].get(W + "default") in {"1", "true", "on"}), "")
    return {"": styles.get(default, _Style()), **styles}


def _style(name: str, nodes: dict[str, Element]) -> _Style:
    style = _Style(value(nodes[name], "name"))
    seen: set[str] = set()
    while name in nodes and name not in seen:
        seen.add(name)
        node = nodes[name]
        properties = node.find(W + "pPr")
        called = value(node, "name")
        found = HEADING.match(called) or HEADING.match(name)
        level = int(found[1]) + 1 if found else 1 if TITLE.match(called) else 0
        style.level = style.level or _outline(properties) or level
        own = None if properties is None else properties.find(W + "numPr")
        if own is not None and not style.numbered[0]:
            style.numbered = value(own, "numId"), style.numbered[1] or value(own, "ilvl")
        font = node.find(f"{W}rPr/{W}rFonts")
        style.monospaced = style.monospaced or bool(font is not None and MONOSPACED.match(font.get(W + "ascii", "")))
        style.is_code = style.is_code or bool(CODE.match(called))
        name = value(node, "basedOn")
    return style
