"""HTML as text a person would copy from the page: no navigation, a line for each block, table rows on one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeAlias

from selectolax.lexbor import LexborHTMLParser, LexborNode

from openbook.errors import ReadError
from openbook.readers.fields import put, put_date
from openbook.readers.files import read_text, shown
from openbook.readers.headings import Heading, heading_marks
from openbook.readers.html_writer import MOST_SPAN, SPACE, Row, Writer
from openbook.readers.strings import UNSEEN, whole
from openbook.types import Document, Field, Marks

DECLARED = re.compile(
    rb"""(?:<meta[^>]{0,200}?charset|<\?xml[^>]{0,100}?encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE
)

# Kafka's documentation, for one, keeps whole pages in a script that is a template.
TEMPLATE = re.compile(r"text/(?:x-)?(?:\w+-)*(?:handlebars|template|mustache|html|tmpl)[\w-]*$", re.IGNORECASE)

# XHTML may say <title/> or <a id="x"/>, which HTML takes for a beginning: a <title/> would swallow the page.
XHTML = re.compile(r"\s*(?:<\?xml|<!DOCTYPE[^>]{0,60}XHTML|<html[^>]{0,200}1999/xhtml)", re.IGNORECASE)
CLOSED = re.compile(r"<(?!(?:br|hr|img|meta|link|input|col|wbr|area|base|source|track|embed|param)\b)(\w+)([^<>]*)/>")

DATES = ("article:published_time", "date", "dc.date", "dcterms.date", "dcterms.created", "pubdate", "citation_date")
AUTHORS = ("author", "dc.creator", "citation_author")
DESCRIPTIONS = ("description", "og:description", "dc.description")

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
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "caption", "pre", "blockquote", "hr", "figure",
    "article", "section",
})
# fmt: on
LEVELS = {f"h{level}": level for level in range(1, 7)}
LAYOUT = "table, h1, h2, h3, h4, h5, h6, pre"  # a table row that holds one of these lays out a page: it is no row

PLAIN = frozenset({"a", "b", "code", "em", "i", "span", "strong", "sub", "sup", "small", "u", "tt", "kbd", "font"})
OWN_PARTS = frozenset({"pre", "blockquote"})
LISTS = frozenset({"ul", "ol", "li"})
Attributes: TypeAlias = Mapping[str, str | None]

LONGEST_ROW = 1000  # characters of a row that holds another table, to be one line all the same
DEEPEST_LIST = 8  # levels that are indented


@dataclass(frozen=True, slots=True)
class Html:
    """Text of a page's body; its headings are marks."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        yield read_page(read_text(path, DECLARED), path)


def read_page(markup: str, path: Path) -> Document:
    """The document of a page, however it was stored. Raises: ReadError, when it has no text."""
    page = html_page(markup)
    if not page.text:
        raise ReadError(
            f"{shown(path)} has no text in it. If a script makes the page, print it to a PDF from a browser."
        )
    headings = heading_marks(page.headings)
    return Document(page.text, str(path), page.title, headings=headings, parts=page.parts, fields=page.fields)


@dataclass(frozen=True, slots=True)
class Page:
    """What a page of HTML says. Its text may be ''."""

    text: str
    title: str = ""
    headings: tuple[Heading, ...] = ()
    parts: Marks = ()
    fields: Mapping[str, Field] = field(default_factory=dict)


def html_page(markup: str) -> Page:
    """Text, headings and metadata of a page, whole or a piece of one, as of a mail or a chapter."""
    if XHTML.match(markup):
        markup = CLOSED.sub(r"<\1\2></\1>", markup)
    tree = LexborHTMLParser(markup)
    text, headings, parts = _read(tree)
    title = _one_line(tree.css_first("title")) or next((words for _, level, words in headings if level == 1), "")
    return Page(text, title, tuple(headings), parts, _fields(tree))


def page_text(page: LexborHTMLParser) -> tuple[str, list[Heading]]:
    """Text of a page's body, '' when it has none, and the headings in it."""
    text, headings, _ = _read(page)
    return text, headings


def _read(page: LexborHTMLParser) -> tuple[str, list[Heading], Marks]:
    writer = Writer()
    if page.root is not None:
        _write(page.root, writer)
    text = "".join(writer.pieces).rstrip()
    return text, [heading for heading in writer.headings if heading[0] < len(text)], writer.marks(len(text))


def _fields(tree: LexborHTMLParser) -> dict[str, Field]:
    metas: dict[str, str] = {}
    for node in tree.css("meta[content]"):
        attributes = node.attributes
        name = attributes.get("name") or attributes.get("property") or ""
        metas.setdefault(name.lower(), attributes.get("content") or "")
    fields: dict[str, Field] = {}
    put(fields, "author", next((metas[name] for name in AUTHORS if metas.get(name)), ""))
    put_date(fields, next((metas[name] for name in DATES if metas.get(name)), ""))
    put(fields, "description", next((metas[name] for name in DESCRIPTIONS if metas.get(name)), ""))
    return fields


def _write(root: LexborNode, writer: Writer) -> None:
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
        elif tag and tag not in PRUNED and not _hidden(attributes := node.attributes):
            _enter(node, tag, attributes, writer)
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


def _hidden(attributes: Attributes) -> bool:
    return "hidden" in attributes or attributes.get("role") == "navigation"


def _enter(node: LexborNode, tag: str, attributes: Attributes, writer: Writer) -> None:
    if tag in PLAIN:
        return
    writer.want(2 if tag == "dt" and _follows_definition(node) else _lines(node, tag, writer))
    if tag in {"td", "th"}:
        _enter_cell(attributes, writer)
    elif tag == "tr":
        _enter_row(node, writer)
    elif tag == "table":
        _enter_table(writer)
    elif tag == "br":
        writer.want(1)
    elif tag in LEVELS:
        _enter_heading(node, tag, writer)
    elif tag in OWN_PARTS:
        _enter_part(tag, writer)
    elif tag in LISTS:
        _enter_list(tag, attributes, writer)


def _enter_heading(node: LexborNode, tag: str, writer: Writer) -> None:
    if writer.row is None and (words := _one_line(node)):
        writer.headings.append((writer.start(), LEVELS[tag], words))


def _enter_table(writer: Writer) -> None:
    if writer.row is not None:
        writer.inner += 1
        return
    writer.spans.clear()
    writer.headed = writer.named = False


def _enter_row(node: LexborNode, writer: Writer) -> None:
    if writer.row is not None or (node.css_first(LAYOUT) is not None and not (writer.named and _is_short(node))):
        return
    if not writer.headed:
        writer.part, writer.headed = "table", True
        writer.named = node.css_first("th") is not None
    writer.row = Row()


def _is_short(row: LexborNode) -> bool:
    """Whether a row with a table or code in it can be said in one line."""
    return len(row.text()) < LONGEST_ROW and all("\n" not in code.text().strip() for code in row.css("pre"))


def _enter_cell(attributes: Attributes, writer: Writer) -> None:
    if writer.row is None or writer.inner:
        writer.want(1)
        return
    wide, high = (whole(attributes.get("colspan"), 1), whole(attributes.get("rowspan"), 1)) if attributes else (1, 1)
    writer.row.cells.append(([], min(wide, MOST_SPAN), min(high, MOST_SPAN)))
    writer.space = False


def _enter_part(tag: str, writer: Writer) -> None:
    if tag == "pre":
        writer.pres += 1
        if writer.row is None:
            writer.part = "code"
    else:
        writer.quotes += 1
        writer.part = "quote"


def _enter_list(tag: str, attributes: Attributes, writer: Writer) -> None:
    if tag == "ul":
        writer.lists.append(-1)
    elif tag == "ol":
        writer.lists.append(whole(attributes.get("start"), 1))
    elif writer.row is None:
        writer.bullet = _bullet(attributes, writer)


def _bullet(attributes: Attributes, writer: Writer) -> str:
    depth = min(len(writer.lists), DEEPEST_LIST)
    indent = "  " * (depth - 1)
    number = writer.lists[-1] if writer.lists else -1
    if number < 0:
        return f"{indent}- "
    number = whole(attributes.get("value"), number)
    writer.lists[-1] = number + 1
    return f"{indent}{number}. "


def _leave(node: LexborNode, tag: str, writer: Writer) -> None:
    if tag in PLAIN:
        return
    if tag == "tr":
        writer.end_row()
    elif tag == "table":
        writer.end_table()
    elif tag == "pre":
        writer.pres -= 1
        writer.end_part()
    elif tag == "blockquote":
        writer.quotes -= 1
        writer.end_part()
    elif tag in {"ul", "ol"}:
        writer.lists.pop()
    elif tag == "li":
        writer.bullet = ""
    writer.want(_lines(node, tag, writer))


def _lines(node: LexborNode, tag: str, writer: Writer) -> int:
    if writer.lists and (tag in LISTS or (tag == "p" and node.parent is not None and node.parent.tag == "li")):
        return 1
    return 2 if tag in PARAGRAPHS else 1 if tag in BLOCKS else 0


def _follows_definition(term: LexborNode) -> bool:
    before = term.prev
    while before is not None and before.tag == "-text":
        before = before.prev
    return before is not None and before.tag == "dd"


def _one_line(node: LexborNode | None) -> str:
    if node is None:
        return ""
    return SPACE.sub(" ", UNSEEN.sub("", node.text())).strip(" ¶")
