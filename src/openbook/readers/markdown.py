"""Markdown as it is written, its headings as marks and its front matter's title as title."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from openbook.readers.files import read_text
from openbook.readers.headings import Heading, heading_marks
from openbook.types import Document

FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\n(?=\w[\w -]*[:=])(.*?\n)(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
TITLE = re.compile(r"""^title[ \t]*[:=][ \t]*(["']?)(.+?)\1[ \t]*$""", re.MULTILINE | re.IGNORECASE)
ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
CLOSING = re.compile(r"(?:^|(?<=[ \t]))#+$")
SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
FENCE = re.compile(r" {0,3}(?:>[ ]?|[-*+] +|\d+[.)] +)*(`{3,}|~{3,})(.*)$")
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
        headings = list(_headings(text, front.end() if front else 0))
        titled = TITLE.search(front[2]) if front else None
        first = next((words for _, level, words in headings if level == 1), "")
        yield Document(text, str(path), titled[2] if titled else first, headings=heading_marks(headings))


def _headings(text: str, begin: int) -> Iterator[Heading]:
    """Headings outside of code blocks and comments."""
    fence, comment, before, before_at, offset = "", False, "", begin, begin
    for line in text[begin:].split("\n"):
        at, offset = offset, offset + len(line) + 1
        if fence or comment:
            fence = "" if fence and _closes(line, fence) else fence
            comment = comment and "-->" not in line
            before = ""
            continue
        fence, comment = _opens(line)
        if found := ATX.match(line):
            if words := plain(CLOSING.sub("", line[found.end() : found.end() + LONGEST].strip())):
                yield at, len(found[1]), words
            line = ""
        elif (found := SETEXT.match(line)) and not NOT_A_TITLE.match(before):
            yield before_at, 1 if found[1][0] == "=" else 2, plain(before)
            line = ""
        before, before_at = line, at


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
