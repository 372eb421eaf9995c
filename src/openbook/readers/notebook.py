"""Jupyter notebooks: text cells with their headings, code cells as code, what they printed in short."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from openbook.errors import ReadError
from openbook.readers.blocks import Blocks
from openbook.readers.fields import put
from openbook.readers.files import shown
from openbook.readers.json import read_json
from openbook.readers.markdown import scan
from openbook.readers.strings import safe
from openbook.types import Document, Field

LONGEST_OUTPUT = 1000  # characters: the beginning of a log says what it is
TERMINAL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\0-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Notebook:
    """One document a notebook; pictures are left out."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        notebook = read_json(path)
        blocks = Blocks()
        for cell in _cells(notebook, path):
            kind, source = cell.get("cell_type"), _joined(cell.get("source", cell.get("input")))
            if kind == "code":
                blocks.end()
                blocks.code(source)
                for output in _list(cell.get("outputs")):
                    blocks.extend(_output(output))
            elif kind == "heading":
                level = cell.get("level")
                blocks.heading(source, level if isinstance(level, int) and level > 0 else 1)
            else:
                text = safe(source).strip("\n").rstrip()
                headings, parts = scan(text)
                blocks.extend(text, parts, headings)
        metadata = notebook.get("metadata")
        said = metadata if isinstance(metadata, dict) else {}
        fields: dict[str, Field] = {}
        put(fields, "author", ", ".join(str(one.get("name") or "") for one in _list(said.get("authors"))))
        first = next((words for _, level, words in blocks.headings if level == 1), "")
        title = said.get("title")
        yield blocks.document(path, title if isinstance(title, str) else first, fields)


def _cells(notebook: object, path: Path) -> list[Mapping[str, Any]]:
    if isinstance(notebook, dict):
        cells = notebook.get("cells")
        if isinstance(cells, list):
            return _list(cells)
        sheets = _list(notebook.get("worksheets"))  # before 2015
        if sheets:
            return [cell for sheet in sheets for cell in _list(sheet.get("cells"))]
    raise ReadError(f"{shown(path)} has no cells: it is no Jupyter notebook. Give it the suffix of what it is.")


def _list(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _joined(lines: object) -> str:
    if isinstance(lines, list):
        return "".join(line for line in lines if isinstance(line, str))
    return lines if isinstance(lines, str) else ""


def _output(output: Mapping[str, Any]) -> str:
    data = output.get("data")
    shown_as = data if isinstance(data, dict) else output
    text = _joined(output.get("text")) or _joined(shown_as.get("text/plain"))
    if output.get("output_type") == "error" or output.get("output_type") == "pyerr":
        text = f"{output.get('ename')}: {output.get('evalue')}"
    text = safe(TERMINAL.sub("", text)).strip()
    if len(text) <= LONGEST_OUTPUT:
        return text
    cut = text[:LONGEST_OUTPUT]
    return (cut.rpartition("\n")[0] or cut) + " …"
