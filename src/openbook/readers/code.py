"""Source code as it is, its functions and classes as headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from openbook.readers.files import read_text
from openbook.readers.headings import Heading, heading_marks
from openbook.readers.strings import one_line
from openbook.types import Document

# What stands at the beginning of a line and names something, for each family of languages; a group is the heading.
# No two ways to match the same characters: a file made to harm would try them all.
PYTHON = r"((?:async[ \t]def|def|class)[ \t]+\w+)"
SCRIPT = r"""
    (?:(?:export|default|declare|abstract)[ \t]+)*+
    (   (?:async[ \t]+)?(?:function\*?|class|interface|enum|namespace|type)[ \t]+[\w$]+
      | (?:const|let|var)[ \t]+[\w$]++(?=[ \t]*+=[ \t]*+(?:async\b|function\b|[\w$]*+[ \t]*+=>|\([^()\n]*+\)[ \t]*+=>))
    )"""
CURLY = r"""
    (?:(?:public|private|protected|internal|static|final|abstract|sealed|export|typedef|inline|partial)[ \t]+)*+
    ((?:class|struct|interface|enum|record|namespace|union|message|service)[ \t]+\w+)
  | ([A-Za-z_][\w \t*&:<>,~]*+)\([^;{}()]*+(?:\([^;{}()]*+\)[^;{}()]*+)*+\)[^;{}()]{0,60}+\{"""
GO = r"((?:func(?:[ \t]*\([^()\n]*+\))?|type)[ \t]+\w+)"
RUST = r"""
    (?:pub(?:\([^()\n]*+\))?[ \t]+)?(?:(?:async|unsafe|const)[ \t]+)*+
    ((?:fn|struct|enum|trait|mod|union)[ \t]+\w+ | impl\b[^{\n]*+)"""
RUBY = r"((?:def|class|module)[ \t]+[\w.:?!]+)"
SHELL = r"((?:function[ \t]+[\w-]++|[\w-]++[ \t]*+\(\)))"
PHP = r"(?:(?:abstract|final)[ \t]+)?((?:function|class|interface|trait|enum)[ \t]+\w+)"
SQL = r"""
    (create[ \t]+(?:or[ \t]+replace[ \t]+)?(?:(?:temp|temporary|unique|materialized|global)[ \t]+)*+
    (?:table|view|function|procedure|trigger|index|type)[ \t]+(?:if[ \t]+not[ \t]+exists[ \t]+)?[\w."`]+)"""
SECTIONS = r"\[\[?([^\[\]\n]{1,80})\]\]?[ \t]*$"
OTHER = r"""
    (?:(?:public|private|internal|local|open|data|sealed|abstract|override|async)[ \t]+)*+
    \(?((?:function|func|fun|def|defn|defun|defmodule|sub|class|module|struct|object|trait|interface|proc)
    [ \t]+[\w.:!?-]+)
"""

FAMILIES = {
    PYTHON: "py pyi pyw pyx",
    SCRIPT: "js mjs cjs jsx ts mts cts tsx vue svelte",
    CURLY: "java c h cc cpp cxx hh hpp hxx cs m mm proto glsl cu",
    GO: "go",
    RUST: "rs",
    RUBY: "rb rake",
    SHELL: "sh bash zsh ksh",
    PHP: "php",
    SQL: "sql",
    SECTIONS: "toml ini cfg conf",
    OTHER: "kt kts scala swift dart lua pl pm jl ex exs clj el lisp scm groovy gradle pas vb bas ps1 tcl nim zig",
    "": "css scss less yaml yml properties env bat cmd tf hcl cmake mk graphql asm r hs ml mli erl f90 diff patch",
}
"""Language family -> suffixes; '' has no headings. Another language is another word here and in SUFFIXES."""

PATTERNS = {
    f".{suffix}": re.compile(
        f"^(?:{pattern})", re.MULTILINE | re.VERBOSE | (re.IGNORECASE if pattern == SQL else re.NOFLAG)
    )
    for pattern, suffixes in FAMILIES.items()
    for suffix in suffixes.split()
    if pattern
}
NAME = re.compile(r"[\w:~]+\s*$")  # of a function, before its bracket
NO_NAME = frozenset({"if", "for", "while", "switch", "catch", "return", "else", "do"})


@dataclass(frozen=True, slots=True)
class Code:
    """The document's text is the file's, character for character, but for its line ends; all of it is code."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        text = read_text(path)
        headings = heading_marks(list(_headings(text, path.suffix.lower())), titled=False)
        yield Document(text, str(path), headings=headings, parts=((0, "code"),))


def _headings(text: str, suffix: str) -> Iterator[Heading]:
    """Functions and classes that lie in nothing else."""
    pattern = PATTERNS.get(suffix)
    for found in pattern.finditer(text) if pattern else ():
        words = found[found.lastindex or 0]
        if found.lastindex == 2:
            name = NAME.search(words)
            words = name[0].strip() if name else ""
        if words and words not in NO_NAME:
            yield found.start(), 1, one_line(words)
