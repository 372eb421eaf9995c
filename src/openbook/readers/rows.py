"""JSONL and CSV, one document a row, read as a stream: a file may be larger than memory."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from openbook.errors import ReadError
from openbook.readers.fields import put_scalar
from openbook.readers.files import SAMPLE, empty, encoding_of, opened, shown
from openbook.readers.strings import one_line, safe
from openbook.readers.unique import Names
from openbook.types import Document, Field, Unread

IDS = ("_id", "id")
TEXTS = ("text", "content", "contents", "body", "passage", "document", "page_content")
TITLES = ("title", "headline", "subject", "name")
SAID = frozenset({*TEXTS, *TITLES})  # in a document's text and title already
METADATA = frozenset({"metadata", "meta"})
MOST_FIELDS = 50
MOST_UNREAD = 20  # rows; more, and the file is not what it seems
TABLES = frozenset({".csv", ".tsv"})
DELIMITERS = ",;\t|"
TRIED = 20  # rows a delimiter is judged by
SAID_DELIMITER = re.compile(r"\ufeff?\"?sep=([^\"\r\n])\"?\r?\n", re.IGNORECASE)  # a first line that Excel understands
LONGEST_CELL = 1 << 30

Row = tuple[int, Mapping[str, Any]]
"""The line it begins in, counted from 1, and its fields."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A row's `text` (or `content`, `body`, ...) is the document; without one, all fields as 'name: value' lines.

    `_id` or `id` goes into the source, as in `corpus.jsonl#17`, else the line's number does; the second row of an id
    becomes `#17~2`. A row without any text is left out, as an empty line is. In CSV a wider row after an empty line is
    the header of what follows: exports of banks begin with lines about the account.
    """

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        encoding = encoding_of(path)
        is_table = path.suffix.lower() in TABLES
        with (
            opened(path) as binary,
            TextIOWrapper(binary, encoding, "replace", newline="" if is_table else None) as file,
        ):
            yield from documents(_table(file, path) if is_table else _objects(file, path), path)


def documents(rows: Iterable[Row | Unread], path: Path) -> Iterator[Document | Unread]:
    """A document for each row that has text; then the rows that could not be read.

    Raises:
        ReadError: There is no document, or too many rows could not be read.
    """
    names = Names()
    found = False
    unread: list[Unread] = []
    for one in rows:
        if isinstance(one, Unread):
            unread.append(one)
            if len(unread) > MOST_UNREAD:
                raise ReadError(f"{shown(path)} {one.reason} So it is with {MOST_UNREAD} rows before it.")
            continue
        line, row = one
        cells = {_folded(name): value for name, value in row.items()}
        title = _first(cells, TITLES)
        text = _first(cells, TEXTS) or (title if _has(cells, TEXTS) else _all_fields(row))
        if text and not text.isspace():
            found = True
            source = f"{path}#{names.unique(_id(cells) or str(line))}"
            yield Document(text, source, one_line(title), fields=row_fields(cells))
    if not found:
        raise ReadError(f"{shown(path)} {unread[0].reason}") if unread else empty(path)
    yield from unread


@lru_cache(maxsize=4096)
def _folded(name: str) -> str:
    return safe(name).strip().casefold()


def row_fields(cells: Mapping[str, Any]) -> dict[str, Field]:
    """What is known of a row beside its text: its short values, and those of an object 'metadata' in it."""
    fields: dict[str, Field] = {}
    for name, value in cells.items():
        if name in SAID or len(fields) == MOST_FIELDS:
            continue
        if name in METADATA and isinstance(value, dict):
            for inner, one in islice(value.items(), MOST_FIELDS):
                put_scalar(fields, inner, one)
        elif value is not None:
            put_scalar(fields, name, value)
    return fields


def _objects(file: Iterable[str], path: Path) -> Iterator[Row | Unread]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.strip())
        except json.JSONDecodeError as error:
            yield _bad(path, number, f"is not JSON ({error.msg} at character {error.colno})")
        except (ValueError, RecursionError) as error:
            yield _bad(path, number, f"is not JSON that can be read ({error})")
        else:
            is_object = isinstance(row, dict)
            reason = f"is a JSON {type(row).__name__}, not an object such as {{'text': '...'}}"
            yield (number, row) if is_object else _bad(path, number, reason)


def _table(file: TextIOWrapper, path: Path) -> Iterator[Row | Unread]:
    csv.field_size_limit(LONGEST_CELL)
    sample = file.read(SAMPLE)
    file.seek(0)
    said = SAID_DELIMITER.match(sample)
    if said:
        next(file)
    delimiter = said[1] if said else _delimiter(sample, path)
    rows = csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
    header: list[str] | None = None
    first = 2 if said else 1
    begins = title_line = first
    alone = after_empty = False  # whether the header has no row, and an empty line came just before
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            bad = _bad(path, begins, f"cannot be read as CSV ({error})", 'A quote inside a quoted cell is written "".')
            raise ReadError(f"{shown(path)} {bad.reason}") from error
        if cells is None:
            return
        if not any(cells):
            after_empty = True
        elif header is None or (after_empty and any(cells[len(header) :])):
            if header and alone:  # a title, no header
                yield title_line, {"text": " ".join(header)}
            header, title_line, alone, after_empty = _header(cells), begins, True, False
        else:
            alone = after_empty = False
            if any(cells[len(header) :]):
                reason = f"has {len(cells)} cells, the header has {len(header)}"
                yield _bad(path, begins, reason, "Quote a cell that holds the delimiter.")
            else:
                yield begins, dict(zip(header, cells, strict=False))
        begins = first + rows.line_num


def _delimiter(sample: str, path: Path) -> str:
    """The delimiter that gives the same number of cells in most of the first rows, and more than one."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    lines = sample.splitlines(keepends=True)
    lines = lines[:-1] if len(lines) > 1 and len(sample) == SAMPLE else lines  # the last may be cut

    def steady(delimiter: str) -> tuple[float, int]:
        widths = [len(cells) for cells in islice(csv.reader(lines, delimiter=delimiter), TRIED) if cells]
        usual = max(set(widths), key=widths.count, default=1)
        return (widths.count(usual) / len(widths), usual) if usual > 1 else (0.0, 0)

    return max(DELIMITERS, key=steady)


def _header(cells: list[str]) -> list[str]:
    """A name for each column: an empty or repeated one is numbered."""
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = cell.strip() or f"column {number}"
        names.append(f"{name} {number}" if name in names else name)
    return names


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first of these fields that has characters in it, or ''."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value and not value.isspace():
            return safe(value)
    return ""


def _has(fields: Mapping[str, Any], names: Iterable[str]) -> bool:
    return any(isinstance(fields.get(name), str) for name in names)


def _all_fields(row: Mapping[str, Any]) -> str:
    lines = []
    for name, value in row.items():
        if value not in (None, "", [], {}):
            words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines.append(f"{safe(name)}: {safe(words)}")
    return "\n".join(lines)


def _id(fields: Mapping[str, Any]) -> str:
    for name in IDS:
        value = fields.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return one_line(str(value))
    return ""


def _bad(path: Path, line: int, reason: str, advice: str = "Correct or delete that line.") -> Unread:
    return Unread(f"{path}#{line}", f"line {line} {reason}. {advice}")
