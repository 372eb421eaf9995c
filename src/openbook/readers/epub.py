"""EPUB: the chapters in reading order, their titles from the table of contents where they have none of their own."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote
from zipfile import ZipFile

from openbook.errors import ReadError
from openbook.readers.blocks import Blocks
from openbook.readers.fields import iso_language, put, put_date
from openbook.readers.files import SAMPLE, decode, shown
from openbook.readers.headings import Heading
from openbook.readers.html import DECLARED, Page, html_page
from openbook.readers.packages import damaged, member, package, xml
from openbook.readers.safe_xml import Element
from openbook.readers.strings import one_line
from openbook.types import Document, Field, Unread

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
# These only hide fonts, so that they are not taken out of the book; the text is plain.
FONTS_HIDDEN = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
NCX = "application/x-dtbncx+xml"
TYPE = "{http://www.idpf.org/2007/ops}type"
MOST_ENTRIES = 5000


@dataclass(frozen=True, slots=True)
class Epub:
    """One document a book; its chapters and their sections are headings."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        with package(path) as archive:
            _check_plain(archive, path)
            book = _book(archive, path)
            blocks = Blocks()
            above = 0  # depth in the table of contents of the chapter we are in
            for name in book.chapters:
                try:
                    page = _page(archive, name, path)
                except ReadError as error:
                    yield Unread(f"{path}#{name}", str(error))
                    continue
                if page.text:
                    headings, above = _headings(page, book.contents.get(name, []), above)
                    blocks.extend(page.text, page.parts, headings)
        if not blocks.length:
            raise ReadError(f"{shown(path)} has no text in it: its pages are pictures. Read them with OCR, as a PDF.")
        yield replace(blocks.document(path, book.title, book.fields), language=book.language)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the table of contents."""

    name: str  # of the member it leads to
    depth: int  # from 1
    title: str


@dataclass(frozen=True, slots=True)
class Book:
    """What the package says of itself: names of members in reading order, and its metadata."""

    chapters: list[str]
    contents: dict[str, list[Entry]]  # by the member they lead to
    title: str = ""
    fields: dict[str, Field] = field(default_factory=dict)
    language: str = ""


def _check_plain(archive: ZipFile, path: Path) -> None:
    content = member(archive, ENCRYPTION, path)
    if content and any(
        one.get("Algorithm") not in FONTS_HIDDEN
        for data in xml(content, path, ENCRYPTION).iter("{*}EncryptedData")
        for one in data.findall("{*}EncryptionMethod")
    ):
        raise ReadError(
            f"{shown(path)} is protected against copying (DRM). Get it without, for example from its seller."
        )


def _book(archive: ZipFile, path: Path) -> Book:
    content = member(archive, CONTAINER, path)
    found = xml(content, path, CONTAINER).find(".//{*}rootfile[@full-path]") if content else None
    names = [name for name in archive.namelist() if name.lower().endswith(".opf")]
    name = found.get("full-path") if found is not None else names[0] if names else ""
    content = member(archive, name, path)
    if not content:
        raise damaged(path, "no list of its chapters")
    root = xml(content, path, name)
    items = {item.get("id"): item for item in root.iterfind(".//{*}manifest/{*}item[@href]")}
    spine = [items.get(one.get("idref")) for one in root.iterfind(".//{*}spine/{*}itemref")]
    chapters = dict.fromkeys(_member(name, item.get("href")) for item in spine if item is not None)
    if not chapters:
        raise damaged(path, "no chapters")
    contents: list[Entry] = []
    for item in items.values():
        is_nav = "nav" in (item.get("properties") or "").split()
        if is_nav or (item.get("media-type") == NCX and not contents):
            target = _member(name, item.get("href"))
            contents = _contents(archive, target, path) or contents
            if is_nav:
                chapters.pop(target, None)
    by_chapter: dict[str, list[Entry]] = {}
    for entry in contents:
        by_chapter.setdefault(entry.name, []).append(entry)
    return Book(list(chapters), by_chapter, *_metadata(root))


def _member(base: str, link: str) -> str:
    """The name of the member that a link in another one leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(link.partition("#")[0])))


def _metadata(root: Element) -> tuple[str, dict[str, Field], str]:
    """Title, fields and language."""
    said: dict[str, list[str]] = {}
    for one in root.iterfind(".//{http://purl.org/dc/elements/1.1/}*"):
        if words := one_line("".join(one.itertext())):
            said.setdefault(one.tag.rpartition("}")[2].lower(), []).append(words)
    fields: dict[str, Field] = {}
    put(fields, "author", ", ".join(said.get("creator", [])))
    put(fields, "publisher", said.get("publisher", [""])[0])
    put_date(fields, said.get("date", [""])[0])
    return said.get("title", [""])[0], fields, iso_language(said.get("language", [""])[0])


def _contents(archive: ZipFile, name: str, path: Path) -> list[Entry]:
    """The lines of a table of contents; none when it cannot be read: the chapters still can."""
    try:
        root = xml(member(archive, name, path), path, name)
    except ReadError:
        return []
    entries = []
    # Points of an NCX lie in one another, as do the lists of a nav: how many there are above is the depth.
    for point in root.iter("{*}navPoint"):
        words, content = point.find("{*}navLabel/{*}text"), point.find("{*}content[@src]")
        if words is not None and content is not None:
            depth = 1 + sum(1 for _ in point.iterancestors("{*}navPoint"))
            entries.append((content.get("src"), depth, words))
    for nav in root.iter("{*}nav"):
        if nav.get(TYPE, "toc") == "toc":
            links = nav.iter("{*}a")
            entries += [(link.get("href") or "", sum(1 for _ in link.iterancestors("{*}ol")), link) for link in links]
    return [
        Entry(_member(name, link), max(1, depth), title)
        for link, depth, words in entries[:MOST_ENTRIES]
        if (title := one_line("".join(words.itertext())))
    ]


def _page(archive: ZipFile, name: str, path: Path) -> Page:
    if name not in archive.NameToInfo:
        raise damaged(path, f"{name} is missing")
    content = member(archive, name, path)
    declared = DECLARED.search(content[:SAMPLE])
    return html_page(decode(content, path, declared[1].decode("ascii", "replace") if declared else ""))


def _headings(page: Page, entries: list[Entry], above: int) -> tuple[list[Heading], int]:
    """The headings of a chapter at the depths of the table of contents, and the depth of the last of its lines.

    A line that none of the chapter's headings says is looked for as a paragraph; the first of them is put at the
    chapter's beginning if it is nowhere.
    """
    placed: list[Heading] = []
    taken: set[int] = set()
    for number, entry in enumerate(entries):
        said = _key(entry.title)
        after = placed[-1][0] if placed else -1
        own = next((at for at, _, words in page.headings if at > after and _key(words) == said), -1)
        at = own if own >= 0 else _paragraph(page.text, entry.title, after + 1)
        if at < 0 and number == 0:
            at = 0
        if at >= 0:
            placed.append((at, entry.depth, entry.title))
            taken.add(at)
    merged: list[Heading] = []
    depth, level = above, 0
    for at, own_level, words, is_placed in sorted(
        [(*one, True) for one in placed] + [(*one, False) for one in page.headings if one[0] not in taken]
    ):
        if is_placed:
            merged.append((at, own_level, words))
            depth = own_level
            level = next((level for begin, level, _ in page.headings if begin == at), 0)
        else:
            level = level or own_level - 1
            merged.append((at, depth + max(1, own_level - level), words))
    return merged, depth


def _key(words: str) -> str:
    return "".join(words.split()).casefold()


def _paragraph(text: str, words: str, start: int) -> int:
    """Where a paragraph of exactly these words begins, or -1."""
    at = text.find(words, start)
    while at >= 0:
        end = at + len(words)
        if (at == 0 or text[at - 1] == "\n") and (end == len(text) or text[end] == "\n"):
            return at
        at = text.find(words, at + 1)
    return -1
