"""HTML as text a person would copy from the page: no navigation, a line for each block, table rows on one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from selectolax.lexbor import LexborHTMLParser, LexborNode

from openbook.errors import ReadError
from openbook.readers.files import read_text, shown
from openbook.readers.headings import Heading, heading_marks
from openbook.types import Document

DECLARED = re.compile(
    rb"""(?:<meta[^>]{0,200}?charset|<\?xml[^>]{0,100}?encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE
)

# Kafka's documentation, for one, keeps whole pages in a script that is a template.
TEMPLATE = re.compile(r"text/(?:x-)?(?:\w+-)*(?:handlebars|template|mustache|html|tmpl)[\w-]*$", re.IGNORECASE)

# fmt: off
PRUNED = frozenset({
    "style", "nav", "noscript", "template", "svg", "math", "iframe", "object", "embed", "canvas", "audio", "video",
    "select", "button", "input", "textarea", "title", "datalist", "dialog",
})
BLOCKS = frozenset({
    "address", "article", "aside", "body", "caption", "center", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hgroup", "html", "legend", "li", "main", "menu", "section",
    "summary", "tbody", "tfoot", "thead", "tr",
})
PARAGRAPHS = frozenset({
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "pre", "blockquote", "hr", "figure",
    "article", "section",
})
# fmt: on
LEVELS = {f"h{level}": level for level in range(1, 7)}
LAYOUT = "table, h1, h2, h3, h4, h5, h6, pre"  # a table row that holds one of these lays out a page: it is no row

SPACE = re.compile(r"[ \t\n\r\f\v\xa0\u2002-\u200a\u202f]+")
INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]+")
CELL = " | "


@dataclass(frozen=True, slots=True)
class Html:
    """Text of a page's body; its headings are marks."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        yield read_page(read_text(path, DECLARED), path)


def read_page(html: str, path: Path) -> Document:
    """The document of a page, however it was stored. Raises: ReadError, when it has no text."""
    page = LexborHTMLParser(html)
    text, headings = page_text(page)
    if not text:
        raise ReadError(
            f"{shown(path)} has no text in it. If a script makes the page, print it to a PDF from a browser."
        )
    title = _one_line(page.css_first("title")) or next((words for _, level, words in headings if level == 1), "")
    return Document(text, str(path), title, headings=heading_marks(headings))


def page_text(page: LexborHTMLParser) -> tuple[str, list[Heading]]:
    """Text of a page's body, '' when it has none, and the headings in it."""
    writer = _Writer()
    if page.root is not None:
        _write(page.root, writer)
    return writer.text(), writer.headings


@dataclass(slots=True)
class _Writer:
    """Collects text with as many line ends and spaces as are wanted between two pieces, never more."""

    headings: list[Heading] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    lines: int = 0  # line ends wanted before the next piece
    space: bool = False  # a space wanted before the next piece
    cell: bool = False  # the next piece begins another cell of a row
    bullet: bool = False  # the next piece begins a point of a list
    rows: int = 0  # rows we are in: a row stays on one line, whatever its cells are made of
    pres: int = 0

    def want(self, lines: int) -> None:
        if self.rows:
            self.space = True
        else:
            self.lines = max(self.lines, lines)

    def add(self, words: str) -> None:
        words = INVISIBLE.sub("", words)
        if self.pres and not self.rows:
            kept = words.rstrip("\n")
            self._put(kept)
            self.lines += len(words) - len(kept)
            return
        words = SPACE.sub(" ", words)
        self.space = self.space or words.startswith(" ")
        if words.strip(" "):
            self._put(words.strip(" "))
            self.space = words.endswith(" ")

    def _put(self, words: str) -> None:
        if not words:
            return
        if self.bullet:
            words, self.bullet = "- " + words, False
        between = "\n" * self.lines if self.lines else CELL if self.cell else " " if self.space else ""
        if self.length and between:
            self.pieces.append(between)
            self.length += len(between)
        self.pieces.append(words)
        self.length += len(words)
        self.lines, self.space, self.cell = 0, False, False

    def start(self) -> int:
        """Where the next piece will begin."""
        return self.length + self.lines if self.length else 0

    def text(self) -> str:
        return "".join(self.pieces).rstrip()


def _write(root: LexborNode, writer: _Writer) -> None:
    """Write a tree. Walks with a stack of its own: pages nest deeper than Python may call itself."""
    stack: list[tuple[LexborNode, bool]] = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        tag = node.tag or ""
        if leaving:
            _leave(node, tag, writer)
        elif tag == "-text":
            writer.add(node.text_content or "")
        elif tag == "script":
            stack += _template(node)
        elif tag and tag not in PRUNED and not _hidden(node):
            _enter(node, tag, writer)
            stack.append((node, True))
            stack += [(child, False) for child in _children(node)]


def _children(node: LexborNode) -> list[LexborNode]:
    """Last child first, as a stack wants them."""
    children = []
    child = node.last_child
    while child is not None:
        children.append(child)
        child = child.prev
    return children


def _template(script: LexborNode) -> list[tuple[LexborNode, bool]]:
    if not TEMPLATE.match(script.attributes.get("type") or ""):
        return []
    body = LexborHTMLParser(script.text()).body
    return [(body, False)] if body is not None else []


def _hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    return "hidden" in attributes or attributes.get("role") == "navigation"


def _enter(node: LexborNode, tag: str, writer: _Writer) -> None:
    writer.want(_lines(node, tag))
    if tag == "tr" and node.css_first(LAYOUT) is None:
        writer.rows += 1
    elif tag in {"td", "th"}:
        _enter_cell(node, writer)
    elif tag == "pre":
        writer.pres += 1
    elif tag == "li" and not writer.rows:
        writer.bullet = True
    elif tag == "br":
        writer.want(1)
    elif tag in LEVELS and (words := _one_line(node)) and not writer.rows:
        writer.headings.append((writer.start(), LEVELS[tag], words))


def _enter_cell(node: LexborNode, writer: _Writer) -> None:
    if writer.rows:
        writer.cell = not writer.lines
    else:
        writer.want(1)


def _leave(node: LexborNode, tag: str, writer: _Writer) -> None:
    if tag == "tr" and node.css_first(LAYOUT) is None:
        writer.rows -= 1
        writer.cell = False
    elif tag == "pre":
        writer.pres -= 1
    writer.bullet = writer.bullet and tag != "li"
    writer.want(_lines(node, tag))


def _lines(node: LexborNode, tag: str) -> int:
    if tag in {"p", "ul", "ol"} and node.parent is not None and node.parent.tag == "li":
        return 1
    return 2 if tag in PARAGRAPHS else 1 if tag in BLOCKS else 0


def _one_line(node: LexborNode | None) -> str:
    if node is None:
        return ""
    return SPACE.sub(" ", INVISIBLE.sub("", node.text())).strip(" ¶")
