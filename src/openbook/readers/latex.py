"""LaTeX as it is written; its sections are headings, listings are code. Nothing is run or included."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from openbook.readers.fields import put
from openbook.readers.files import read_text
from openbook.readers.headings import Heading, heading_marks
from openbook.readers.strings import one_line
from openbook.types import Document, Field

LEVELS = {name: level for level, name in enumerate(("part", "chapter", "section", "subsection", "subsubsection"), 1)}
BRACES = r"\{((?:[^{}]|\{[^{}]*+\})*+)\}"  # with one pair inside at most
HEADING = re.compile(rf"^[ \t]*\\({'|'.join(LEVELS)})\*?(?:\[[^\]\n]*+\])?{BRACES}", re.MULTILINE)
SAID = re.compile(rf"\\(title|author){BRACES}")
LISTING = re.compile(r"^[ \t]*\\(begin|end)\{(?:verbatim|lstlisting|minted|Verbatim)\*?\}", re.MULTILINE)
COMMAND = re.compile(r"\\(?:thanks|footnote|label|inst)\{[^{}]*+\}|\\[A-Za-z]+\*?|[{}~$]|\\\\")


@dataclass(frozen=True, slots=True)
class Latex:
    """The document's text is the file's, character for character, but for its line ends."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        text = read_text(path)
        headings: list[Heading] = [
            (found.start(), LEVELS[found[1]], words) for found in HEADING.finditer(text) if (words := _plain(found[2]))
        ]
        said = {name: _plain(words) for name, words in SAID.findall(text)}
        fields: dict[str, Field] = {}
        put(fields, "author", said.get("author"))
        parts = tuple((one.start(), "code" if one[1] == "begin" else "text") for one in LISTING.finditer(text))
        marks = heading_marks(headings, titled=False)
        yield Document(text, str(path), said.get("title", ""), headings=marks, parts=parts, fields=fields)


def _plain(words: str) -> str:
    r"""Words without commands.

    >>> _plain(r"The \emph{deep} sea\label{sea} \\ and $x$")
    'The deep sea and x'
    """
    return one_line(COMMAND.sub(" ", words)).replace(" ,", ",")
