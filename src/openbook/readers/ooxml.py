"""What Word's, PowerPoint's and Excel's packages share: relations between parts, properties, charts, diagrams."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

from openbook.errors import ReadError
from openbook.readers.blocks import Blocks
from openbook.readers.fields import iso_date
from openbook.readers.files import shown
from openbook.readers.packages import damaged, member, package, xml
from openbook.readers.safe_xml import Element
from openbook.readers.strings import number, one_line
from openbook.types import Field, Unread

# 'Strict' files use other names for the same things.
STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
TRANSITIONAL = rb"http://schemas.openxmlformats.org/\1/2006/"

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
D = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"

CHART, DIAGRAM = C + "chart", D + "relIds"
REFERENCES = (CHART, DIAGRAM)

POOR_TITLE = re.compile(
    r"(?:microsoft |slide |untitled|powerpoint|word document|document\d*$|presentation\d*$|folie \d)"
    r"|.*\.(?:docx?|dotx?|pptx?|xlsx?|od[tps]|rtf|indd)$",
    re.IGNORECASE,
)
PROGRAMS = frozenset({"python-docx", "openpyxl", "apache poi", "unknown", "administrator", "microsoft office user"})
TEMPLATES = frozenset({"2013-12-23", "2013-01-27"})  # of python-docx and python-pptx: the day their templates were made
FIRST_YEAR = "1981"  # what is older is a clock that was not set


@dataclass(frozen=True, slots=True)
class Relation:
    """A link from one part of a package to another part, or out of the package (such an address is never opened)."""

    kind: str  # the last word of its type: 'image', 'footnotes', 'slideLayout'
    target: str  # a member's name; '' when it lies outside


@dataclass(slots=True)
class Parts:
    """The parts of a package, by name."""

    archive: ZipFile
    path: Path
    known: dict[str, dict[str, Relation]] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)  # part -> what is wrong with it

    def needed(self, name: str) -> Element | None:
        """The parsed part; None when there is no such part.

        Raises:
            ReadError: It is damaged.
        """
        content = member(self.archive, name, self.path)
        return xml(STRICT.sub(TRANSITIONAL, content), self.path, name) if content else None

    def root(self, name: str) -> Element | None:
        """As `needed`, but a damaged part is noted, and None: it costs what it says only."""
        try:
            return self.needed(name)
        except ReadError as error:
            self.damaged[name] = str(error).removeprefix(shown(self.path)).strip()
            return None

    def unread(self) -> Iterator[Unread]:
        """The parts that were looked for and are damaged."""
        for name, reason in self.damaged.items():
            yield Unread(f"{self.path}#{name}", reason)

    def relations(self, name: str) -> dict[str, Relation]:
        """What a part links to, by id; of the package itself for ''."""
        if name not in self.known:
            folder, _, base = name.rpartition("/")
            root = self.root(posixpath.join(folder, "_rels", f"{base}.rels"))
            self.known[name] = (
                {}
                if root is None
                else {
                    one.get("Id", ""): Relation(one.get("Type", "").rpartition("/")[2], _target(one, folder))
                    for one in root.iterchildren("{*}Relationship")
                }
            )
        return self.known[name]

    def related(self, name: str, kind: str) -> list[str]:
        """The names of the parts of one kind that a part links to."""
        return [one.target for one in self.relations(name).values() if one.kind == kind and one.target]

    def main(self, usual: str) -> str:
        """The name of the part that the package is about."""
        return next(iter(self.related("", "officeDocument")), usual)

    def properties(self) -> tuple[str, dict[str, Field]]:
        """Title and fields, as far as a person gave them."""
        name = next(iter(self.related("", "core-properties")), "docProps/core.xml")
        root = self.root(name)
        return ("", {}) if root is None else described(root)


@contextmanager
def parts_of(path: Path) -> Generator[Parts, None, None]:
    """The parts of a file.

    Raises:
        ReadError: As `package`, or a part is no XML.
    """
    with package(path) as archive:
        try:
            yield Parts(archive, path)
        except RecursionError as error:
            raise damaged(path, "its parts are nested too deep") from error


def described(root: Element) -> tuple[str, dict[str, Field]]:
    """Title and fields of core properties, or of an Open Document's meta.xml, which uses the same names."""
    found: dict[str, str] = {}
    for node in root.iter("{*}*"):
        name, words = node.tag.rpartition("}")[2], one_line(node.text or "")
        found[name] = f"{found[name]}, {words}" if name == "keyword" and name in found else found.get(name) or words
    title = found.get("title", "")
    author = found.get("creator", "") or found.get("initial-creator", "")
    fields: dict[str, Field] = {
        "author": "" if author.lower() in PROGRAMS else author,
        "date": next(filter(None, map(real_date, (found.get(name, "") for name in DATES))), ""),
        "subject": found.get("subject", ""),
        "keywords": found.get("keywords", "") or found.get("keyword", ""),
    }
    return "" if POOR_TITLE.match(title) else title, {name: value for name, value in fields.items() if value}


DATES = ("modified", "date", "created", "creation-date")  # what was saved last is what is read


def real_date(words: str) -> str:
    """The day in ISO 8601, or '' when it is none or no program's clock can have shown it.

    >>> real_date("2024-05-06T07:08:09Z"), real_date("1601-01-01T00:00:00Z"), real_date("soon")
    ('2024-05-06', '', '')
    """
    day = iso_date(words)
    return "" if day < FIRST_YEAR or day in TEMPLATES else day


def write_graphic(reference: Element, part: str, parts: Parts, blocks: Blocks) -> None:
    """What a reference in a part, one of REFERENCES, shows: a chart or a diagram."""
    is_chart = reference.tag == CHART
    relation = parts.relations(part).get(reference.get(R + ("id" if is_chart else "dm"), ""))
    root = parts.root(relation.target) if relation and relation.target else None
    if root is not None:
        (write_chart if is_chart else write_diagram)(root, blocks)


def write_chart(root: Element, blocks: Blocks) -> None:
    """A chart's title, and its numbers as a table: a row for each category, a column for each series."""
    title = root.find(f".//{C}chart/{C}title")
    if title is not None:
        blocks.paragraph("".join(node.text or "" for node in title.iter(A + "t")))
    names: list[str] = []
    columns: list[dict[int, str]] = []
    categories: dict[int, str] = {}
    for series in root.iter(C + "ser"):
        names.append(" ".join(_points(series.find(C + "tx")).values()))
        columns.append(_points(_first(series, "val", "yVal")))
        categories |= _points(_first(series, "cat", "xVal"))
    indexes = sorted(categories.keys() | {index for column in columns for index in column})
    if indexes:
        rows = [[categories.get(index, ""), *(column.get(index, "") for column in columns)] for index in indexes]
        blocks.table([["", *names], *rows])


def write_diagram(root: Element, blocks: Blocks) -> None:
    """The words of a diagram ('SmartArt'), one item each."""
    for point in root.iter(D + "pt"):
        words = " ".join("".join(t.text or "" for t in p.iter(A + "t")) for p in point.iter(A + "p"))
        if point.get("type", "node") != "pres":
            blocks.item(words)


def chosen(alternatives: Element) -> list[Element]:
    """The children of the first alternative with words: programs write new things twice, for older programs too."""
    for one in alternatives.iterchildren(MC + "Choice", MC + "Fallback"):
        if one.getnext() is None or any(node.text or len(node.attrib) for node in one.iter("{*}t", *REFERENCES)):
            return list(one)
    return []


def _number(words: str) -> str:
    try:
        return number(float(words))
    except ValueError:
        return words


def _first(node: Element, *names: str) -> Element | None:
    return next((found for name in names if (found := node.find(C + name)) is not None), None)


def _points(node: Element | None) -> dict[int, str]:
    """The values a chart remembers of its cells, by index."""
    if node is None:
        return {}
    found: dict[int, str] = {}
    for point in node.iter(C + "pt"):
        index, value = point.get("idx", ""), point.findtext(C + "v", "")
        if index.isdecimal() and value:
            found[int(index)] = f"{found[int(index)]} {value}" if int(index) in found else _number(value)
    return found or dict(enumerate(node.itertext(C + "v")))


def _target(relation: Element, folder: str) -> str:
    if relation.get("TargetMode") == "External":
        return ""
    target: str = relation.get("Target", "")
    return target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
