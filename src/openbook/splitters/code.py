"""Chunks of source code in any language: whole lines, cut between definitions, each told where it belongs.

class Lance:
    def add(self, chunks):
        ...                    context of a chunk that begins here: 'class Lance > def add(self, chunks)'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from textwrap import shorten
from typing import ClassVar

from openbook.splitters.cuts import SMALLEST, best_end, check_sizes, places, skip
from openbook.types import Chunk, Document

LINE_FROM = 40  # how full a chunk must be, in hundredths of `size`, to be ended before a line

TAB = 8  # columns
DEEPEST = 3  # enclosing lines in the context, the innermost ones
LONGEST = 80  # characters of each

LINE = re.compile(r"[^\n]+")

# A line that closes what an earlier one began, or goes on with it.
GOES_ON = re.compile(r"\s*(?:[\])}.,:?|&+]|(?:end|else|elif|elsif|except|finally|catch|rescue|fi|done|esac)\b)")

# A comment or decorator belongs to what follows.
COMMENT = re.compile(r"\s*(?:#(?!\s*(?:define|if|include)\b)|//|/?\*|--|;|@)")
DEFINITION = re.compile(
    r"\s*(?!(?:if|for|foreach|while|switch|catch|return|else|elif|with|try|do|using|match|unless|until|when|new)\b)"
    r"(?:(?:[\w<>,()\[\]]+ ){0,5}(?:class|def|func|function|fn|fun|interface|struct|enum|union|trait|impl|protocol|"
    r"extension|module|namespace|record|object|type|macro|proc|sub)\b"
    r"|[\w<>\[\],*&:~ ]+\([^;={}]*\)[^;=]*$)"  # int main(void) {
)


@dataclass(frozen=True, slots=True)
class Code:
    r"""At most `size` characters of whole lines, ended before the least indented line, best after an empty one.

    The lines of the class and function that a chunk begins inside of are its context.

    >>> fish = "class Fish:\n    def swim(self):\n        self.x += 1\n\n    def eat(self):\n        self.fed = True\n"
    >>> [(chunk.context, chunk.text) for chunk in Code(size=60)(Document(fish, "fish.py"), "")][1]
    ('class Fish', '    def eat(self):\n        self.fed = True')
    """

    VERSION: ClassVar[int] = 1

    size: int = 1000

    def __post_init__(self) -> None:
        check_sizes("code", self.size, 0, SMALLEST, "characters")

    def __call__(self, document: Document, document_id: str) -> Iterator[Chunk]:
        text = document.text
        place = places(document) if document.places else None
        lines = _lines(text)
        around = _Enclosing(text, lines)
        first = 0  # of the lines that are not in a chunk yet
        while first < len(lines):
            start, context = lines[first].start, around.context(first)
            last = self._last(lines, first)
            for begin, end in self._spans(text, start, lines[last].end):
                yield Chunk(document_id, begin, end, text[begin:end], place(begin, end) if place else "", context)
            first = last + 1

    def _last(self, lines: list[_Line], first: int) -> int:
        """The line that a chunk from line `first` ends with; that line itself where it fills a chunk alone."""
        floor, limit = lines[first].start + self.size * LINE_FROM // 100, lines[first].start + self.size
        following = first + 1
        while following < len(lines) and lines[following].end <= limit:
            following += 1
        if following == len(lines):
            return following - 1
        best = following
        for index in range(following, first, -1):
            if lines[index].start < floor:
                break
            if lines[index].rank < lines[best].rank:
                best = index
        return best - 1

    def _spans(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The lines as one span; a line longer than `size` in several."""
        while end - start > self.size:
            start = skip(text, start)
            cut = best_end(text, start, min(self.size, end - start), start)
            yield start, start + len(text[start:cut].rstrip())
            start = skip(text, cut)
        if start < end:
            yield start, end


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that is not empty."""

    start: int
    end: int  # of its last word
    indent: int
    rank: tuple[bool, int, bool]  # how bad it is to cut before it: it goes on, its indentation, no empty line above


def _lines(text: str) -> list[_Line]:
    lines: list[_Line] = []
    end, comment = 0, False  # of the line before
    for found in LINE.finditer(text):
        words = found[0].strip()
        if not words:
            continue
        start = found.start()
        indent = len(found[0][: found[0].find(words[0])].expandtabs(TAB))
        goes_on = GOES_ON.match(words) is not None
        close = text.count("\n", end, start) < 2
        lines.append(_Line(start, start + len(found[0].rstrip()), indent, (goes_on or comment, indent, close)))
        end, comment = lines[-1].end, COMMENT.match(words) is not None
    return lines


@dataclass(slots=True)
class _Enclosing:
    """The definitions that lines lie in; asked for lines that rise."""

    text: str
    lines: list[_Line]
    seen: int = 0
    above: list[tuple[int, str]] = field(default_factory=list)  # indentation and words, outermost first

    def context(self, index: int) -> str:
        """The enclosing definitions of a line, the innermost last."""
        for line in self.lines[self.seen : index]:
            words = self.text[line.start : line.end].strip()
            if GOES_ON.match(words) or COMMENT.match(words):
                continue
            while self.above and self.above[-1][0] >= line.indent:
                self.above.pop()
            self.above.append((line.indent, words))
        self.seen = index
        around = [words for indent, words in self.above if indent < self.lines[index].indent]
        named = [shorten(words.rstrip(" :{"), LONGEST, placeholder=" …") for words in around if DEFINITION.match(words)]
        return " > ".join(named[-DEEPEST:])
