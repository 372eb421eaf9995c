"""Markdown as it is written, its headings as marks and its front matter's title as title."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from openbook.readers.fields import put_scalar
from openbook.readers.files import read_text
from openbook.readers.headings import Heading, heading_marks
from openbook.types import Document, Field, Marks

FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\n(?=\w[\w -]*[:=])(.*?\n)(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
SCALAR = re.compile(
    r"""^(\w[\w -]{0,40}?)(?::[ \t]|[ \t]*=)[ \t]*(?!&|\*|[|>][-+]?[ \t]*$)(.+?)[ \t]*$""", re.MULTILINE
)
ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
CLOSING = re.compile(r"(?:^|(?<=[ \t]))#+$")
SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
FENCE = re.compile(r" {0,3}(?:>[ ]?|[-*+] +|\d+[.)] +)*(`{3,}|~{3,})(.*)$")
RULE = " \t|:-"  # all that stands in the line under the names of a table's columns
NOT_A_TITLE = re.compile(r"\s{4}|\s*(?:$|[>|#]|[-*+] |\d+[.)] )")  # what a Setext underline cannot make a heading of

LONGEST = 500  # characters of a heading that are looked at: a line of a million brackets is no heading
LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
MARKUP = re.compile(r"\s*\{#[^}]*\}\s*$|<[^>]*>|[`*]+|(?<!\w)_+|_+(?!\w)|\\(?=\W)")


@dataclass(frozen=True, slots=True)
class Markdown:
    """The document's text is the file's, character for character, but for its line ends.

    So an offset in the document is a place in the file. Signs such as `##` and `|` stay: they are few, models know
    them, and a table or code block without them says less.
    """

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        text = read_text(path)
        front = FRONT.match(text)
        fields = front_fields(front[2]) if front else {}
        title = str(fields.pop("title", ""))
        headings, parts = scan(text, front.end() if front else 0)
        first = next((words for _, level, words in headings if level == 1), "")
        yield Document(text, str(path), title or first, headings=heading_marks(headings), parts=parts, fields=fields)


def front_fields(front: str) -> dict[str, Field]:
    r"""The plain values of a front matter, in YAML or TOML; what is nested is left out.

    >>> front_fields("title: 'Fish'\ndate: 2023-05-17\ntags: [sea, net]\nby:\n  name: Ann")
    {'title': 'Fish', 'date': '2023-05-17', 'tags': 'sea, net'}
    """
    fields: dict[str, Field] = {}
    for name, value in SCALAR.findall(front):
        if value.startswith("[") and value.endswith("]"):
            value = ", ".join(_unquoted(one.strip()) for one in value[1:-1].split(",") if one.strip())
        if name.casefold() == "title":
            fields.setdefault("title", _unquoted(value))
        else:
            put_scalar(fields, name, _unquoted(value))
    return fields


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def scan(text: str, begin: int = 0) -> tuple[list[Heading], Marks]:
    """Headings outside of code blocks and comments; parts that are code or tables."""
    headings: list[Heading] = []
    parts: list[tuple[int, str]] = []
    fence, comment, table, before, before_at, offset = "", False, False, "", begin, begin
    for line in text[begin:].split("\n"):
        at, offset = offset, offset + len(line) + 1
        if fence or comment:
            if fence and _closes(line, fence):
                fence = ""
                parts.append((offset, "text"))
            comment = comment and "-->" not in line
            before = ""
            continue
        if table and "|" not in line:
            table = False
            parts.append((at, "text"))
        fence, comment = _opens(line)
        if fence:
            parts.append((at, "code"))
        elif found := ATX.match(line):
            if words := plain(CLOSING.sub("", line[found.end() : found.end() + LONGEST].strip())):
                headings.append((at, len(found[1]), words))
            line = ""
        elif (found := SETEXT.match(line)) and not NOT_A_TITLE.match(before):
            headings.append((before_at, 1 if found[1][0] == "=" else 2, plain(before)))
            line = ""
        elif not table and "|" in before and "|" in line and "-" in line and not line.strip(RULE):
            table = True
            parts.append((before_at, "table"))
        before, before_at = line, at
    return headings, _useful(parts, text)


def _useful(parts: list[tuple[int, str]], text: str) -> Marks:
    """Without a text part of white space between two others, or after the last."""
    useful = []
    for (offset, kind), (end, _) in pairwise([*parts, (len(text), "")]):
        if offset < end and (kind != "text" or not text[offset:end].isspace()):
            useful.append((offset, kind))
    return tuple(useful)


def _opens(line: str) -> tuple[str, bool]:
    """The fence of a code block that this line begins, and whether it begins a comment."""
    found = FENCE.match(line)
    fence = found[1] if found and not (found[1][0] == "`" and "`" in found[2]) else ""
    return fence, not fence and "-->" not in line.rpartition("<!--")[2] and line.lstrip().startswith("<!--")


def _closes(line: str, fence: str) -> bool:
    signs = line.lstrip(" >").rstrip()
    return len(signs) >= len(fence) and not signs.strip(fence[0])


def plain(words: str) -> str:
    """A heading without links and emphasis.

    >>> plain("**The** [log](log.md) of `snake_case` {#log}")
    'The log of snake_case'
    """
    return MARKUP.sub("", LINK.sub(r"\1", words[:LONGEST])).strip()
