"""Open Document texts, presentations and drawings (odt, odp, odg), read from their XML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from zipfile import ZipFile

from openbook.errors import ReadError
from openbook.readers.blocks import CELL, Blocks
from openbook.readers.files import shown
from openbook.readers.numbering import counted
from openbook.readers.odf_package import open_document, properties
from openbook.readers.packages import damaged, member, xml
from openbook.readers.safe_xml import Element
from openbook.readers.strings import one_line, whole
from openbook.types import Document, Unread

NAMES = "{urn:oasis:names:tc:opendocument:xmlns:"
OFFICE, TEXT, TABLE, DRAW = (f"{NAMES}{name}:1.0}}" for name in ("office", "text", "table", "drawing"))
STYLE, SHOW, SVG = f"{NAMES}style:1.0}}", f"{NAMES}presentation:1.0}}", f"{NAMES}svg-compatible:1.0}}"
XLINK = "{http://www.w3.org/1999/xlink}"
DC = "{http://purl.org/dc/elements/1.1/}"

LEFT_OUT = frozenset(
    {
        TEXT + "tracked-changes",
        TEXT + "ruby-text",
        TEXT + "note-citation",
        TEXT + "sequence-decls",
        TEXT + "variable-decls",
        TEXT + "user-field-decls",
        OFFICE + "forms",
        OFFICE + "event-listeners",
        TABLE + "table-column",
        TABLE + "shapes",
        SVG + "title",
        SVG + "desc",
    }
)
DRAWN = frozenset({DRAW + name for name in ("frame", "g", "custom-shape", "rect", "ellipse", "line", "a", "text-box")})
REPEATED = frozenset({"footer", "header", "date-time", "page-number", "page"})
ROWS = frozenset({TABLE + name for name in ("table-header-rows", "table-rows", "table-row-group")})
FORMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
LENGTH = re.compile(r"(-?[\d.]+)(cm|mm|in|pt|pc|px)?$")
UNITS = {"cm": 1.0, "mm": 0.1, "in": 2.54, "pt": 2.54 / 72, "pc": 2.54 / 6, "px": 2.54 / 96}
SAME_LINE = 1.0  # cm: shapes whose tops differ by less stand beside each other
MOST_REPEATS = 1000  # of a row or cell that is there once and says how often it stands


@dataclass(frozen=True, slots=True)
class Odf:
    """Body in order, without what was deleted; then notes and comments. Slides are marks, their titles headings."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        with open_document(path) as archive:
            root = _content(archive, "content.xml", path)
            body = None if root is None else root.find(OFFICE + "body")
            if root is None or body is None:
                raise damaged(path, "it has no body")
            styles = [one for one in (root, self._styles(archive, path)) if one is not None]
            text = _Text(archive, path, _parents(styles), _lists(styles))
            try:
                for kind in body.iterchildren("*"):
                    text.write(kind)
                text.write_notes()
            except RecursionError as error:
                raise damaged(path, "its parts are nested too deep") from error
            title, fields = properties(archive, path)
        yield from text.unread
        yield text.blocks.document(path, title or text.title, fields)

    def _styles(self, archive: ZipFile, path: Path) -> Element | None:
        with suppress(ReadError):  # without them only the numbers of lists are lost
            return _content(archive, "styles.xml", path)
        return None


@dataclass(slots=True)
class _Text:
    """The text as far as it was read."""

    archive: ZipFile
    path: Path
    parents: dict[str, str]  # style -> the style it is made from
    lists: dict[str, dict[int, Element]]  # list style -> level -> how it is counted
    blocks: Blocks = field(default_factory=Blocks)
    title: str = ""
    notes: dict[str, list[Element]] = field(default_factory=lambda: {"footnote": [], "endnote": []})
    comments: list[Element] = field(default_factory=list)
    counts: dict[tuple[str, int], int] = field(default_factory=dict)
    pages: int = 0
    unread: list[Unread] = field(default_factory=list)

    def write(self, container: Element) -> None:
        """Everything in a body, section, cell, text box or note."""
        for node in container.iterchildren("*"):
            self._block(node)

    def write_notes(self) -> None:
        """Footnotes, endnotes, comments."""
        for notes in list(self.notes.values()):
            for number, note in enumerate(notes, 1):
                self.blocks.item(self._inside(note), f"{number}. ")
            self.blocks.end()
        for comment in self.comments:
            author = one_line(comment.findtext(DC + "creator", ""))
            words = " ".join("".join(self._words(one, [])) for one in comment.iter(TEXT + "p"))
            self.blocks.item(f"{author}: {words}" if author and words.strip() else words)

    def _block(self, node: Element) -> None:
        if node.tag in {TEXT + "h", TEXT + "p"}:
            self._paragraph(node)
        elif node.tag == TEXT + "list":
            self._list(node, node.get(TEXT + "style-name", ""), 1)
        elif node.tag == TABLE + "table":
            self._table(node)
        elif node.tag == DRAW + "page":
            self._page(node)
        elif node.tag == OFFICE + "annotation":
            self.comments.append(node)
        elif node.tag == DRAW + "frame":
            self._frame(node)
        elif node.tag not in LEFT_OUT:
            self.write(node)

    def _paragraph(self, node: Element, sign: str = "") -> None:
        drawn: list[Element] = []
        words = "".join(self._words(node, drawn))
        ancestry = set(self._ancestry(node.get(TEXT + "style-name", "")))
        if "Title" in ancestry and words.strip():
            self.title = self.title or one_line(words)
            self.blocks.heading(words, 1)
        elif node.tag == TEXT + "h":
            self.blocks.heading(words, 1 + whole(node.get(TEXT + "outline-level"), 1))
        elif "Preformatted_20_Text" in ancestry:
            self.blocks.code(words)
        elif sign:
            self.blocks.item(words, sign)
        else:
            self.blocks.paragraph(words)
        for one in drawn:
            self._block(one)

    def _ancestry(self, style: str) -> Iterator[str]:
        seen: set[str] = set()
        while style and style not in seen:
            seen.add(style)
            yield style
            style = self.parents.get(style, "")

    def _words(self, node: Element, drawn: list[Element]) -> Iterator[str]:
        """The words of a paragraph; what is drawn in it, its notes and its comments are put aside."""
        yield one_break(node.text)
        for child in node.iterchildren("*"):
            if child.tag == TEXT + "s":
                yield " " * whole(child.get(TEXT + "c"), 1)
            elif child.tag == TEXT + "tab":
                yield "\t"
            elif child.tag == TEXT + "line-break":
                yield "\n"
            elif child.tag == TEXT + "note":
                body = child.find(TEXT + "note-body")
                if body is not None:
                    self.notes.setdefault(child.get(TEXT + "note-class", "footnote"), []).append(body)
            elif child.tag == OFFICE + "annotation":
                self.comments.append(child)
            elif child.tag in DRAWN:
                drawn.append(child)
            elif child.tag not in LEFT_OUT:
                yield from self._words(child, drawn)
            yield one_break(child.tail)

    def _list(self, node: Element, style: str, level: int) -> None:
        if node.get(TEXT + "continue-numbering") != "true":
            self.counts[style, level] = 0
        form = self.lists.get(style, {}).get(level)
        for item in node.iterchildren(TEXT + "list-item", TEXT + "list-header"):
            sign = self._sign(item, form, style, level) if item.tag == TEXT + "list-item" else ""
            for child in item.iterchildren("*"):
                if child.tag == TEXT + "list":
                    self._list(child, child.get(TEXT + "style-name") or style, level + 1)
                elif child.tag in {TEXT + "h", TEXT + "p"}:
                    self._paragraph(child, sign)
                    sign = ""
                else:
                    self._block(child)

    def _sign(self, item: Element, form: Element | None, style: str, level: int) -> str:
        kind = "" if form is None else form.get(STYLE + "num-format", "")
        if form is None or form.tag != TEXT + "list-level-style-number" or not kind:
            return "- "
        start = whole(form.get(TEXT + "start-value"), 1)
        before = self.counts.get((style, level), 0)
        count = whole(item.get(TEXT + "start-value"), before + 1 if before else start)
        self.counts[style, level] = count
        end = form.get(STYLE + "num-suffix", "")
        return f"{form.get(STYLE + 'num-prefix', '')}{counted(count, FORMS.get(kind, 'decimal'))}{end} "

    def _inside(self, container: Element) -> str:
        """The words of a cell or note, on one line."""
        outer, self.blocks = self.blocks, Blocks()
        try:
            self.write(container)
            return one_line(self.blocks.text.replace(CELL, ", ") if self.blocks.parts else self.blocks.text)
        finally:
            self.blocks = outer

    def _table(self, node: Element) -> None:
        rows: list[list[str]] = []
        for row in _rows(node):
            cells: list[str] = []
            for cell in row.iterchildren(TABLE + "table-cell", TABLE + "covered-table-cell"):
                words = "" if cell.tag == TABLE + "covered-table-cell" else self._inside(cell)
                cells += [words] * _repeats(cell, "columns")
            while cells and not cells[-1] and len(cells) > max((len(one) for one in rows), default=0) > 0:
                cells.pop()
            rows += [cells] * (_repeats(row, "rows") if any(cells) else 1)
        self.blocks.table(rows)

    def _page(self, node: Element) -> None:
        self.pages += 1
        is_slide = node.getparent().tag == OFFICE + "presentation"
        self.blocks.place(f"{'slide' if is_slide else 'page'} {self.pages}")
        shapes = [one for one in node.iterchildren("*") if one.get(SHOW + "class") not in REPEATED]
        notes = [one for one in shapes if one.tag == SHOW + "notes"]
        titles = [one for one in shapes if one.get(SHOW + "class") == "title"]
        for title in titles:
            self.blocks.heading(" ".join("".join(self._words(one, [])) for one in title.iter(TEXT + "p")), 1)
        for one in _in_order(one for one in shapes if one not in notes and one not in titles):
            self._block(one)
        for note in notes:
            for one in note.iterchildren("*"):
                if one.get(SHOW + "class") not in REPEATED:
                    self._block(one)

    def _frame(self, node: Element) -> None:
        """A frame holds the same thing in several forms, the best first: text, table, or an object."""
        for child in node.iterchildren("*"):
            if child.tag == DRAW + "object" and child.get(XLINK + "href"):
                self._object(child.get(XLINK + "href").removeprefix("./"))
            elif child.tag in {DRAW + "text-box", TABLE + "table", DRAW + "object"}:
                self._block(child) if child.tag == TABLE + "table" else self.write(child)
            else:
                continue
            return

    def _object(self, name: str) -> None:
        """A formula in its program's own notation, or a chart's title and numbers."""
        try:
            root = _content(self.archive, f"{name}/content.xml", self.path)
        except ReadError as error:
            self.unread.append(Unread(f"{self.path}#{name}", str(error).removeprefix(shown(self.path)).strip()))
            return
        if root is None:
            return
        for node in root.iter("{*}annotation"):
            self.blocks.paragraph(node.text or "")
        if (body := root.find(OFFICE + "body")) is not None:
            self.write(body)


def one_break(words: str | None) -> str:
    """Characters as Open Documents mean them: line ends and several spaces are one space."""
    return re.sub(r"[ \t\r\n]+", " ", words or "")


def _content(archive: ZipFile, name: str, path: Path) -> Element | None:
    content = member(archive, name, path)
    return xml(content, path, name) if content else None


def _parents(roots: Iterable[Element]) -> dict[str, str]:
    return {
        one.get(STYLE + "name", ""): one.get(STYLE + "parent-style-name", "")
        for root in roots
        for one in root.iter(STYLE + "style")
        if one.get(STYLE + "family") == "paragraph"
    }


def _lists(roots: Iterable[Element]) -> dict[str, dict[int, Element]]:
    return {
        one.get(STYLE + "name", ""): {whole(level.get(TEXT + "level"), 1): level for level in one.iterchildren("*")}
        for root in roots
        for one in root.iter(TEXT + "list-style")
    }


def _rows(table: Element) -> Iterator[Element]:
    for node in table.iterchildren("*"):
        if node.tag == TABLE + "table-row":
            yield node
        elif node.tag in ROWS:
            yield from _rows(node)


def _repeats(node: Element, what: str) -> int:
    return min(MOST_REPEATS, max(1, whole(node.get(f"{TABLE}number-{what}-repeated"), 1)))


def _in_order(shapes: Iterable[Element]) -> list[Element]:
    """From top to bottom; those that stand beside each other from left to right."""
    placed = sorted(((_cm(one.get(SVG + "y")), one) for one in shapes), key=lambda pair: pair[0])
    lines: list[tuple[float, float, Element]] = []
    begins = float("-inf")
    for top, shape in placed:
        begins = top if top - begins > SAME_LINE else begins
        lines.append((begins, _cm(shape.get(SVG + "x")), shape))
    return [shape for _, _, shape in sorted(lines, key=lambda one: one[:2])]


def _cm(words: str | None) -> float:
    found = LENGTH.match(words or "")
    try:
        return float(found[1]) * UNITS[found[2] or "px"] if found else 0.0
    except ValueError:
        return 0.0
