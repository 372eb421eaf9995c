"""Spreadsheets (xlsx, xlsm, xlsb, xls, ods) by calamine: a line for each row, a table for each block of rows."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import ClassVar, TypeAlias
from zipfile import ZipFile

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from openbook.errors import ReadError
from openbook.readers.blocks import Blocks
from openbook.readers.files import opened, read_bytes, shown
from openbook.readers.odf_package import open_document, properties
from openbook.readers.ole import check_chains
from openbook.readers.ooxml import CHART, A, Parts, R, write_graphic
from openbook.readers.packages import DAMAGE, OLE, damaged, encrypted, package
from openbook.readers.safe_xml import Element
from openbook.readers.strings import number, one_line, reason
from openbook.types import Document, Field, Unread

S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
XDR = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
T = "{http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments}"

# A cell with something in it, and its place; a cell that only has a colour is not in the way.
FILLED = re.compile(rb"""<(?:\w+:)?c\s[^>]*?\br=["']([A-Z]{1,3})(\d{1,7})["'][^>]*(?<!/)>\s*<(?!/)""")
MOST_CELLS = 16_000_000  # of the smallest rectangle around all cells: calamine holds all of it, 32 bytes a cell
OLD = frozenset({".xls", ".xlt"})
UNNAMED = re.compile(
    r"(?:sheet|worksheet|tabelle|feuil|hoja|foglio|planilha|blad|ark|лист|シート)\s*\d*$", re.IGNORECASE
)
SAVE = "Open it in its program and save it anew."
NEARER = "Delete those far out, and add it again."
BLOCK = 1 << 22
LONGEST_TAG = 1 << 10

Cell: TypeAlias = "int | float | str | bool | time | date | datetime | timedelta"
Rows: TypeAlias = "list[list[Cell]]"


@dataclass(frozen=True, slots=True)
class Sheets:
    """Sheets as marks, hidden ones too; then each sheet's charts and comments. Formulas give the value last saved."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        head = read_bytes(path, len(OLE))
        blocks, unread = Blocks(), list[Unread]()
        title, fields = "", dict[str, Field]()
        if head == OLE and path.suffix.lower() in OLD:
            check_chains(path)
            with _workbook(path) as workbook:
                unread += _write(workbook, path, _Extras(), blocks)
        elif path.suffix.lower() in {".ods", ".ots"}:
            with open_document(path) as archive:
                title, fields = properties(archive, path)
            with _workbook(path) as workbook:
                unread += _write(workbook, path, _Extras(), blocks)
        else:
            with package(path) as archive:
                parts = Parts(archive, path)
                title, fields = parts.properties()
                with _workbook(path, renamed=path.suffix.lower() in OLD) as workbook:
                    unread += _write(workbook, path, _extras(parts), blocks)
                unread += parts.unread()
        yield from unread
        if unread and not blocks.pieces:
            raise ReadError(f"{shown(path)} has no sheet that can be read. The first one {unread[0].reason}")
        yield blocks.document(path, title, fields)


@dataclass(slots=True)
class _Extras:
    """What a sheet of xlsx has besides cells, by the sheet's name."""

    archive: ZipFile | None = None
    members: dict[str, str] = field(default_factory=dict)
    parts: Parts | None = None

    def far(self, sheet: str) -> str:
        """Why a sheet is not opened: its cells lie so far from each other that holding it takes all memory."""
        name = self.members.get(sheet, "")
        if self.archive is None or name not in self.archive.NameToInfo or name.endswith(".bin"):
            return ""
        try:
            rows, column = _extent(self.archive, name)
        except DAMAGE as error:
            return f"is damaged ({reason(error)}). {SAVE}"
        if rows * _index(column) <= MOST_CELLS:
            return ""
        return f"has cells as far out as {column}{rows}, with little between. {NEARER}"

    def write(self, sheet: str, blocks: Blocks) -> None:
        name = self.members.get(sheet, "")
        if self.parts is None or not name:
            return
        for drawing in self.parts.related(name, "drawing"):
            _write_drawing(self.parts, drawing, blocks)
        for one in [*self.parts.related(name, "comments"), *self.parts.related(name, "threadedComment")]:
            root = self.parts.root(one)
            for comment in [] if root is None else root.iter(S + "comment", T + "threadedComment"):
                author, words = self._author(comment, root), "".join(comment.itertext(S + "t", T + "text"))
                if not author.startswith("tc="):  # the copy of a thread for older programs
                    blocks.item(f"{comment.get('ref', '')}, {author}: {words}")
        blocks.end()

    def _author(self, comment: Element, root: Element) -> str:
        if comment.tag == S + "comment":
            authors = [one_line(one.text or "") for one in root.iter(S + "author")]
            index = comment.get("authorId", "")
            return authors[int(index)] if index.isdecimal() and len(index) < 6 and int(index) < len(authors) else ""
        return self._people().get(comment.get("personId", ""), "")

    def _people(self) -> dict[str, str]:
        assert self.parts is not None
        found = {}
        for name in self.parts.related(self.parts.main("xl/workbook.xml"), "person"):
            root = self.parts.root(name)
            for one in [] if root is None else root.iter(T + "person"):
                found[one.get("id", "")] = one_line(one.get("displayName", ""))
        return found


def _extras(parts: Parts) -> _Extras:
    name = parts.main("xl/workbook.xml")
    if name.endswith(".bin"):
        return _Extras()
    root, relations = parts.root(name), parts.relations(name)
    members: dict[str, str] = {}
    for sheet in [] if root is None else root.iter(S + "sheet"):
        relation = relations.get(sheet.get(R + "id", ""))
        members[sheet.get("name", "")] = relation.target if relation else ""
    return _Extras(parts.archive, members, parts)


@contextmanager
def _workbook(path: Path, *, renamed: bool = False) -> Generator[CalamineWorkbook, None, None]:
    with opened(path) as file:
        try:
            with _no_panic():
                workbook = CalamineWorkbook.from_filelike(file) if renamed else CalamineWorkbook.from_path(path)
        except PasswordError as error:
            raise encrypted(path) from error
        except (CalamineError, ValueError) as error:
            if "password" in str(error).lower():
                raise encrypted(path) from error
            if "limit" in str(error).lower():
                raise ReadError(f"{shown(path)} has cells too far from each other ({error}). {NEARER}") from error
            raise damaged(path, error) from error
        with workbook:
            yield workbook


@contextmanager
def _no_panic() -> Generator[None, None, None]:
    """Calamine's Rust panics on some damaged files; that comes as no Exception, and its class has no public name.

    Raises:
        ValueError: It did.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise ValueError(str(error)) from error
        raise


def _write(workbook: CalamineWorkbook, path: Path, extras: _Extras, blocks: Blocks) -> Iterator[Unread]:
    for sheet in workbook.sheet_names:
        source = f"{path}#sheet {one_line(sheet)}"
        blocks.place(f"sheet {one_line(sheet)}", "" if UNNAMED.match(sheet) else sheet)
        if why := extras.far(sheet):
            yield Unread(source, why)
            continue
        try:
            with _no_panic():
                rows = workbook.get_sheet_by_name(sheet).iter_rows()
        except (CalamineError, ValueError) as error:
            yield Unread(source, f"is damaged ({reason(error)}). {SAVE}")
            continue
        _write_rows(rows, blocks)
        extras.write(sheet, blocks)


def _write_rows(rows: Iterable[list[Cell]], blocks: Blocks) -> None:
    """Rows between empty rows are a table; a block that begins with numbers goes on with the one before it."""
    table: Rows = []
    block: Rows = []
    for row in rows:
        if any(cell not in ("", None) for cell in row):
            block.append(row)
        elif block:
            table = _joined(table, block, blocks)
            block = []
    if block:
        table = _joined(table, block, blocks)
    _write_table(table, blocks)


def _joined(table: Rows, block: Rows, blocks: Blocks) -> Rows:
    """The table to go on with: this one and the block, or the block alone when it has column names of its own."""
    goes_on = any(not isinstance(cell, str) for cell in block[0])
    if goes_on and _columns(block) <= _columns(table):
        return table + block
    _write_table(table, blocks)
    return block


def _write_table(rows: Rows, blocks: Blocks) -> None:
    """Words alone in the first column above a table are its caption. Columns without anything are left out."""
    columns = sorted(_columns(rows))
    while rows and len(columns) > 1 and not any(rows[0][column] != "" for column in columns[1:]):
        blocks.paragraph(_cell(rows[0][columns[0]]))
        rows = rows[1:]
        columns = sorted(_columns(rows))
    if len(rows) == len(columns) == 1:
        blocks.paragraph(_cell(rows[0][columns[0]]))
    else:
        blocks.table([_cell(row[column]) for column in columns] for row in rows)


def _columns(rows: Rows) -> set[int]:
    """The columns that have something in them."""
    left = set(range(max(map(len, rows), default=0)))
    found: set[int] = set()
    for row in rows:
        new = {column for column in left if row[column] != ""}
        found |= new
        left -= new
        if not left:
            break
    return found


def _cell(value: Cell) -> str:
    """A value as the sheet would show it, without a format.

    >>> _cell(3.0), _cell(0.1 + 0.2), _cell(True), _cell(datetime(2024, 5, 6)), _cell(datetime(2024, 5, 6, 7, 8))
    ('3', '0.3', 'TRUE', '2024-05-06', '2024-05-06 07:08')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return (
            str(value.date())
            if value.time() == time()
            else value.isoformat(" ", "minutes" if not value.second else "seconds")
        )
    if isinstance(value, time):
        return value.isoformat("seconds")
    return number(value) if isinstance(value, int | float) else str(value).partition(".")[0]


def _extent(archive: ZipFile, name: str) -> tuple[int, str]:
    """The last row and the last column that have something in them."""
    rows, columns, rest = 0, {b"A"}, b""
    with archive.open(name) as file:
        while block := file.read(BLOCK):
            block = rest + block
            found = FILLED.findall(block)
            columns |= {column for column, _ in found}
            rows = max([rows, *(int(row) for _, row in found)])
            rest = block[-LONGEST_TAG:]
    return rows, max(columns, key=lambda letters: (len(letters), letters)).decode()


def _index(letters: str) -> int:
    """The number of a column.

    >>> _index("A"), _index("XFD")
    (1, 16384)
    """
    index = 0
    for letter in letters:
        index = 26 * index + ord(letter) - ord("A") + 1
    return index


def _write_drawing(parts: Parts, name: str, blocks: Blocks) -> None:
    """Charts, and the words of text boxes."""
    root = parts.root(name)
    for node in [] if root is None else root.iter(CHART, XDR + "txBody"):
        if node.tag == CHART:
            write_graphic(node, name, parts, blocks)
        else:
            for paragraph in node.iter(A + "p"):
                blocks.paragraph("".join(one.text or "" for one in paragraph.iter(A + "t")))
