"""RTF: paragraphs, headings by their style, table rows on one line; letters of every code page."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from openbook.errors import ReadError
from openbook.readers.blocks import Blocks
from openbook.readers.fields import put, put_date
from openbook.readers.files import empty, read_bytes, shown
from openbook.readers.headings import STYLES
from openbook.readers.strings import one_line
from openbook.types import Document, Field

TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z'])|([{}])|[\r\n\0]+|([^\\{}\r\n\0]+)|\\"
)
MANY_LINES = re.compile(r"\n{3,}")
HEADING_STYLE = re.compile(rf"{STYLES} (\d)\b", re.IGNORECASE)
DEEPEST = 9  # level of a heading; what is deeper is text

# What is no part of the text. Unknown groups that begin with \* are left out, too.
SKIPPED = frozenset({
    "colortbl", "pict", "nonshppict", "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr",
    "footerf", "ftnsep", "ftnsepc", "ftncn", "aftnsep", "aftnsepc", "aftncn", "tc", "tcn", "xe", "rxe", "private",
    "template", "filetbl", "revtbl", "listtable", "listoverridetable", "rsidtbl", "operator", "company", "manager",
    "category", "keywords", "doccomm", "comment", "hlinkbase", "revtim", "printim", "buptim", "atnid", "atnauthor",
})  # fmt: skip
COLLECTED = frozenset(
    {"title", "author", "subject", "creatim", "fonttbl", "stylesheet", "listtext", "pntext", "footnote"}
)
BREAKS = frozenset({"par", "sect", "page", "column"})
CHARACTERS = {
    "line": "\n", "tab": "\t", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“",
    "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ", "qmspace": " ", "nestcell": " ", "nestrow": " ",
}  # fmt: skip
SYMBOLS = {"~": " ", "_": "-", "\t": "\t"}
CODE_PAGES = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "cp950", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
    254: "cp437", 255: "cp850", 0: "cp1252",
}  # fmt: skip
"""Of a font's character set; others are in the document's own code page."""
SETS = {"ansi": "cp1252", "mac": "mac_roman", "pc": "cp437", "pca": "cp850"}


@dataclass(frozen=True, slots=True)
class Rtf:
    """One document; its heads, feet and comments are left out."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        content = read_bytes(path).decode("latin-1").removeprefix("\xef\xbb\xbf").lstrip()
        if not content.startswith("{\\rtf"):
            raise ReadError(f"{shown(path)} is not RTF, only named like one. Give it the suffix of what it is.")
        parser = _Parser()
        parser.read(content)
        if not parser.blocks.pieces:
            raise empty(path)
        yield parser.blocks.document(path, parser.said.get("title", ""), parser.fields())


def rich_text(content: str) -> str:
    """The words of RTF, where only these are wanted."""
    parser = _Parser()
    parser.read(content)
    return parser.blocks.text.strip()


@dataclass(slots=True)
class _State:
    """What a group inherits from the one around it, and forgets at its end."""

    target: str = ""  # '' is the text, 'skip' nothing, others are kept by name
    hidden: bool = False
    font: int = -1
    after_unicode: int = 1  # characters that stand for a \u in readers that do not know it
    style: int = 0
    outline: int = 0  # level of a heading, 0 is text
    in_table: bool = False


@dataclass(slots=True)
class _Parser:
    """One pass over the tokens."""

    blocks: Blocks = field(default_factory=Blocks)
    said: dict[str, str] = field(default_factory=dict)
    state: _State = field(default_factory=_State)
    stack: list[_State] = field(default_factory=list)
    code_page: str = "cp1252"
    fonts: dict[int, str] = field(default_factory=dict)
    levels: dict[int, int] = field(default_factory=dict)  # style -> level of a heading
    raw: bytearray = field(default_factory=bytearray)  # letters in the code page of the font
    skip: int = 0  # characters still to skip after a \u
    starred: bool = False  # the group began with \*
    words: list[str] = field(default_factory=list)  # of the paragraph or cell
    collected: list[str] = field(default_factory=list)  # of a group that is kept by name
    notes: list[str] = field(default_factory=list)  # at the foot of the page
    bullet: str = ""
    cells: list[str] = field(default_factory=list)

    def read(self, content: str) -> None:
        at = 0
        while found := TOKEN.match(content, at):
            at = found.end()
            word, number, code, symbol, brace, words = found.groups()
            if words is not None:
                self._raw(words.encode("latin-1"))
            elif code is not None:
                self._raw(bytes.fromhex(code))
            elif brace is not None:
                self._brace(brace)
            elif word is not None:
                if word == "bin":
                    at += max(0, int(number or 0))
                else:
                    self._word(word, int(number) if number else None)
            elif symbol is not None:
                self._symbol(symbol)
        self._paragraph()
        self._row()

    def fields(self) -> dict[str, Field]:
        fields: dict[str, Field] = {}
        put(fields, "author", self.said.get("author"))
        put(fields, "subject", self.said.get("subject"))
        put_date(fields, self.said.get("creatim"))
        return fields

    def _raw(self, letters: bytes) -> None:
        if self.skip:
            letters, self.skip = letters[self.skip :], max(0, self.skip - len(letters))
        self.starred = False
        if self.state.target != "skip":
            self.raw += letters

    def _flush(self) -> None:
        """Decode the letters that wait for it."""
        if self.raw:
            page = self.fonts.get(self.state.font, self.code_page)
            letters, self.raw = bytes(self.raw), bytearray()
            self._add(letters.decode(page, "replace"))

    def _add(self, words: str) -> None:
        if self.state.target == "":
            if not self.state.hidden:
                self.words.append(words)
        elif self.state.target != "skip":
            self.collected.append(words)

    def _brace(self, brace: str) -> None:
        self._flush()
        self.skip, self.starred = 0, False
        if brace == "{":
            self.stack.append(replace(self.state))
        elif self.stack:
            inner, self.state = self.state, self.stack.pop()
            if inner.target in COLLECTED:
                self._collected(inner)

    def _collected(self, inner: _State) -> None:
        """Keep what a group said that has ended, or one in it."""
        if inner.target == "stylesheet":
            if found := HEADING_STYLE.match("".join(self.collected).strip()):
                self.levels[inner.style] = int(found[1])
            elif inner.outline:
                self.levels[inner.style] = inner.outline
        elif inner.target == self.state.target:
            return  # the whole of it comes later
        elif inner.target in {"listtext", "pntext"}:
            number = "".join(self.collected).strip()
            self.bullet = f"{number} " if any(sign.isdigit() for sign in number) else "- "
        elif inner.target == "footnote":
            self.notes.append(one_line("".join(self.collected)))
        elif inner.target != "fonttbl":
            self.said.setdefault(inner.target, one_line("".join(self.collected)))
        self.collected = []

    def _symbol(self, symbol: str) -> None:
        if symbol in "\\{}":
            self._raw(symbol.encode())  # it may be the second byte of a letter
            return
        self._flush()
        if self.skip:
            self.skip -= 1
        elif symbol == "*":
            self.starred = True
        elif symbol in "\r\n":
            self._paragraph()
        elif symbol in SYMBOLS:
            self._add(SYMBOLS[symbol])

    def _word(self, word: str, number: int | None) -> None:
        self._flush()
        if self.skip:
            self.skip -= 1
            return
        if self._begins_group(word) or self.state.target == "skip":
            return
        if word in CHARACTERS:
            self._add(CHARACTERS[word])
        elif word == "u" and number is not None:
            self._add(chr(number % 0x10000))
            self.skip = self.state.after_unicode
        elif self.state.target == "":
            self._in_text(word)
        self._property(word, number)

    def _begins_group(self, word: str) -> bool:
        """Whether this word says what the group is for."""
        starred, self.starred = self.starred, False
        if self.state.target == "skip":
            return True
        if word in SKIPPED or (starred and word not in COLLECTED):
            self.state.target = "skip"
        elif word in COLLECTED:
            self.state.target = word
            self.collected = []
        else:
            return False
        return True

    def _in_text(self, word: str) -> None:
        if word in BREAKS:
            self._paragraph()
        elif word == "cell":
            self.cells.append("".join(self.words))
            self.words, self.bullet = [], ""
        elif word == "row":
            self._row()

    def _property(self, word: str, number: int | None) -> None:
        state = self.state
        if word == "f":
            state.font = number or 0
        elif word == "uc":
            state.after_unicode = min(max(0, number or 0), 8)
        elif word in {"v", "deleted"}:
            state.hidden = number != 0
        elif word == "plain":
            state.hidden = False
        elif word == "pard":
            state.style, state.outline, state.in_table = 0, 0, False
        elif word == "s":
            state.style = number or 0
        elif word == "outlinelevel":
            state.outline = (number or 0) + 1
        elif word == "intbl":
            state.in_table = True
        else:
            self._encoding(word, number)

    def _encoding(self, word: str, number: int | None) -> None:
        if word in SETS:
            self.code_page = SETS[word]
        elif word == "ansicpg":
            self.code_page = _page(number)
        elif self.state.target == "fonttbl":
            if word == "fcharset" and number in CODE_PAGES:
                self.fonts[self.state.font] = CODE_PAGES[number]
            elif word == "cpg":
                self.fonts[self.state.font] = _page(number)
        elif self.state.target == "creatim" and word in {"yr", "mo", "dy"}:
            self.collected.append(f"{number or 0:04}" if word == "yr" else f"-{number or 0:02}")

    def _paragraph(self) -> None:
        """End a paragraph of the text, or one inside of a cell."""
        self._flush()
        if self.state.in_table or self.cells:
            self.words.append(" ")
            return
        words = MANY_LINES.sub("\n\n", "\n".join(" ".join(line.split()) for line in "".join(self.words).split("\n")))
        bullet, self.words, self.bullet = self.bullet, [], ""
        level = self.state.outline or self.levels.get(self.state.style, 0)
        if 0 < level <= DEEPEST:
            self.blocks.heading(words, level)
        elif bullet:
            self.blocks.item(words, bullet)
        else:
            self.blocks.paragraph(words)
        self._notes()

    def _notes(self) -> None:
        notes, self.notes = self.notes, []
        for note in notes:
            self.blocks.paragraph(note)

    def _row(self) -> None:
        cells, self.cells = self.cells, []
        rest, self.words = "".join(self.words), []
        if rest.strip():
            cells.append(rest)
        self.blocks.row(cells)
        self._notes()


def _page(number: int | None) -> str:
    """Python's name of a code page; Western European for one it does not know."""
    name = "utf-8" if number == 65001 else f"cp{number}"
    try:
        codecs.lookup(name)
    except LookupError:
        return "cp1252"
    return name
