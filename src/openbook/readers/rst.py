"""reStructuredText as it is written; underlined titles are headings, literal blocks are code. Nothing is included."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from openbook.readers.fields import iso_date, put
from openbook.readers.files import read_text
from openbook.readers.headings import Heading, heading_marks
from openbook.types import Document, Field, Marks

RULE = re.compile(r"([=\-`:.'\"~^_*+#])\1+[ \t]*$")
CODE = re.compile(
    r"[ \t]*\.\. (?:code-block|code|sourcecode|highlight|parsed-literal|doctest|testcode|prompt)::(?: |$)"
)
FIELD = re.compile(r":(author|authors|date|organization|version):[ \t]+(\S.*)$", re.IGNORECASE)
ROLE = re.compile(r":[\w:+-]+:`([^`<]*?)(?: <[^`]*>)?`|``([^`]*)``|`([^`<]+?)(?: <[^`]*>)?`_*|\*{1,2}([^*]+)\*{1,2}")
NEAR_TOP = 40  # lines in which the fields of a document are looked for


@dataclass(frozen=True, slots=True)
class Rst:
    """The document's text is the file's, character for character, but for its line ends."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        text = read_text(path)
        lines = text.split("\n")
        headings, parts = _scan(lines)
        title = headings[0][2] if headings and text[: headings[0][0]].count("\n") < NEAR_TOP else ""
        yield Document(
            text, str(path), title, headings=heading_marks(headings), parts=parts, fields=_fields(lines[:NEAR_TOP])
        )


def _fields(lines: list[str]) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for line in lines:
        if found := FIELD.match(line):
            name = found[1].lower().replace("authors", "author")
            put(fields, name, iso_date(found[2]) if name == "date" else found[2])
    return fields


def _scan(lines: list[str]) -> tuple[list[Heading], Marks]:
    headings: list[Heading] = []
    parts: list[tuple[int, str]] = []
    levels: dict[str, int] = {}  # the sign first used is the highest heading
    literal = -1  # the indentation of the line that begins a literal block, while we are in it
    offset = 0
    for number, line in enumerate(lines):
        at, offset = offset, offset + len(line) + 1
        indent = len(line) - len(line.lstrip())
        if literal >= 0 and line.strip():
            if indent > literal:
                if not parts or parts[-1][1] != "code":
                    parts.append((at, "code"))
                continue
            literal = -1
            if parts and parts[-1][1] == "code":
                parts.append((at, "text"))
        if literal < 0 and (CODE.match(line) or _announces(line)):
            literal = indent
        elif (rule := RULE.match(line)) and (style := _style(lines, number, rule[1])):
            begins = at - len(lines[number - 1]) - 1
            level = levels.setdefault(style, len(levels) + 1)
            headings.append((begins, level, ROLE.sub(r"\1\2\3\4", lines[number - 1].strip())))
    return headings, tuple(parts)


def _announces(line: str) -> bool:
    """Whether a literal block follows: the paragraph ends with '::' and is no directive."""
    return line.rstrip().endswith("::") and not line.lstrip().startswith(".. ")


def _style(lines: list[str], number: int, sign: str) -> str:
    """What the rule at this line makes of the line above: '=' or, with a rule above that too, '=='; '' is nothing."""
    above = lines[number - 1] if number else ""
    width = len(lines[number].rstrip())
    if not above.strip() or RULE.match(above) or width < len(above.strip()):
        return ""
    before = lines[number - 2].rstrip() if number > 1 else ""
    if before == lines[number].rstrip():
        return sign * 2
    # Right below other words it would be the second line of a paragraph, or a row of a table.
    return sign if not before and not above.startswith((" ", "\t")) else ""
