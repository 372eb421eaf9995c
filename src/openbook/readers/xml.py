"""XML: paragraphs of documents (DocBook, TEI, JATS and the like), 'name: value' lines of data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.entities import html5
from itertools import islice
from pathlib import Path
from typing import ClassVar

from lxml import etree  # type: ignore[import-untyped]  # ty: ignore[missing-module-member]

from openbook.errors import ReadError
from openbook.readers.blocks import Blocks
from openbook.readers.files import check_text, read_bytes, shown
from openbook.readers.html import html_page
from openbook.readers.safe_xml import Element, parsed
from openbook.readers.strings import one_line
from openbook.types import Document

ENTITY = re.compile(r"&\w{1,40};")
LARGEST_RECORD = 60  # elements
LARGEST_BYTES = 64 << 20  # parsed, a file takes ten times its size

# fmt: off
SECTIONS = frozenset({
    "book", "part", "chapter", "section", "sect1", "sect2", "sect3", "sect4", "sect5", "article", "appendix", "preface",
    "sec", "div", "div1", "div2", "div3", "front", "topic", "refsect1", "refsect2", "glossary", "info", "bookinfo",
    "articleinfo", "chapterinfo", "sectioninfo",
})
HEADINGS = frozenset({"title", "head"})
PROSE = frozenset({"p", "para", "simpara", "title", "head", "subtitle", "l", "ab", "note", "text", "abstract"})
PARAGRAPHS = frozenset({"p", "para", "simpara", "l", "ab"})  # with one of these, a file is a document, else data
LISTED = frozenset({"li", "item", "listitem", "list-item"})
CODE = frozenset({"programlisting", "screen", "literallayout", "code", "pre", "codeblock", "synopsis"})
ROWS = frozenset({"row", "tr"})
AROUND_ROWS = frozenset({"thead", "tbody", "tfoot", "tgroup"})
# fmt: on


@dataclass(frozen=True, slots=True)
class Xml:
    """No entity is expanded, and nothing outside of the file is looked at."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        root = _root(path)
        name = _name(root)
        if name == "svg":
            raise ReadError(f"{shown(path)} is a drawing (SVG). Save it as PDF, or leave it out.")
        if name == "html":
            page = html_page(etree.tostring(root, encoding="unicode", method="html"))
            blocks = Blocks()
            blocks.extend(page.text, page.parts, page.headings)
            yield blocks.document(path, page.title, page.fields)
            return
        writer = _Writer(is_prose=any(_name(node) in PARAGRAPHS for node in root.iter()))
        _write(root, writer)
        writer.end()
        yield writer.blocks.document(path, writer.title)


def _root(path: Path) -> Element:
    content = read_bytes(path, LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise ReadError(
            f"{shown(path)} holds more XML than the {LARGEST_BYTES >> 20} MB read at once. Save it in smaller files."
        )
    if not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        check_text(content, path)
    try:
        return parsed(content)
    except ValueError as error:
        raise ReadError(
            f"{shown(path)} is not well-formed XML ({error}). Correct it, or end its name in .txt to read it as it is."
        ) from error


@dataclass(slots=True)
class _Writer:
    """Blocks, and the lines that are to become the next one."""

    is_prose: bool
    blocks: Blocks = field(default_factory=Blocks)
    lines: list[str] = field(default_factory=list)
    title: str = ""
    level: int = 0  # sections we are in
    listed: int = 0  # points of a list we are in
    fresh: bool = False  # the point has no words yet

    def row(self, cells: list[str]) -> None:
        self._flush()
        self.blocks.row(cells)

    def end(self) -> None:
        """What comes next is a block of its own."""
        self._flush()
        self.blocks.end()

    def _flush(self) -> None:
        self.blocks.paragraph("\n".join(self.lines))
        self.lines.clear()


def _write(root: Element, writer: _Writer) -> None:
    """Write a tree. Walks with a stack of its own: files nest deeper than Python may call itself."""
    stack: list[tuple[Element, bool]] = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        name = _name(node)
        if not name:
            continue  # an entity, which stands for nothing here
        if leaving:
            _leave(name, writer)
        elif name in CODE and writer.is_prose:
            writer.end()
            writer.blocks.code(_text(node))
        elif name in ROWS and len(node) and writer.is_prose:
            _write_row(node, writer)
        elif not len(node) or _is_mixed(node):
            _write_leaf(node, name, writer)
        elif _is_record(node) and not writer.is_prose:
            _write_record(node, writer)
        else:
            _enter(name, writer)
            stack.append((node, True))
            stack += [(child, False) for child in reversed(node)]


def _enter(name: str, writer: _Writer) -> None:
    writer.level += name in SECTIONS
    if name in LISTED:
        writer.listed += 1
        writer.fresh = True
    elif name not in AROUND_ROWS:
        writer.end()


def _leave(name: str, writer: _Writer) -> None:
    writer.level -= name in SECTIONS
    if name in LISTED:
        writer.listed -= 1
    elif name not in AROUND_ROWS and not writer.listed:
        writer.end()


def _write_leaf(node: Element, name: str, writer: _Writer) -> None:
    words = one_line(_text(node))
    parent = node.getparent()
    if name in LISTED and words:
        writer.lines.append(f"- {words}")
    elif writer.listed and words:
        if writer.fresh:
            writer.lines.append(f"- {words}")
        else:
            writer.lines[-1:] = [f"{writer.lines[-1]} {words}" if writer.lines else words]
        writer.fresh = False
    elif writer.is_prose and name in HEADINGS and words and (parent is None or _name(parent) in SECTIONS):
        writer.title = writer.title or words
        writer.end()
        writer.blocks.heading(words, max(1, writer.level))
    elif (writer.is_prose and name in PROSE) or (len(node) and _is_mixed(node)):
        writer.end()
        writer.blocks.paragraph(words)
    else:
        writer.lines += _named(node, name, words)


def _named(node: Element, name: str, words: str) -> Iterator[str]:
    """An element without others in it: 'price: 12', 'size: width 3, height 4'."""
    said = ", ".join(f"{_plain(key)} {value}" for key, value in node.attrib.items())
    if words or said:
        yield f"{name}: {words or said}"


def _is_record(node: Element) -> bool:
    """Whether an element is one of many that hold a few values each."""
    return (
        any(not len(child) for child in node)
        and sum(1 for _ in islice(node.iter(), LARGEST_RECORD + 1)) <= LARGEST_RECORD
    )


def _write_record(record: Element, writer: _Writer) -> None:
    """A record is one block, a line for each value."""
    writer.end()
    for key, value in record.attrib.items():
        writer.lines.append(f"{_plain(key)}: {value}")
    stack: list[tuple[Element, str]] = [(child, "") for child in reversed(record)]
    while stack:
        node, above = stack.pop()
        name = _name(node)
        if not name:
            continue
        if not len(node) or _is_mixed(node):
            writer.lines += _named(node, above + name, one_line(_text(node)))
        else:
            stack += [(child, f"{above}{name}.") for child in reversed(node)]
    writer.end()


def _write_row(row: Element, writer: _Writer) -> None:
    """A row of a table is a line; the rows of one table are one block."""
    writer.row([_text(cell) for cell in row])


def _is_mixed(node: Element) -> bool:
    """Whether words stand between its elements, so that all of it is one paragraph."""
    return bool((node.text and node.text.strip()) or any(child.tail and child.tail.strip() for child in node))


def _text(node: Element) -> str:
    """All words in an element. An entity is read where HTML knows it; what a file defines itself is left out."""
    return "".join(
        html5.get(piece[1:], "") if piece.startswith("&") and ENTITY.fullmatch(piece) else piece
        for piece in node.itertext()
    )


def _name(node: Element) -> str:
    return _plain(node.tag) if isinstance(node.tag, str) else ""


def _plain(name: str) -> str:
    return name.rpartition("}")[2]
