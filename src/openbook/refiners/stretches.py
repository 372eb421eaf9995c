"""Stretches of a document: where one may begin and end, and the passage that it makes."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from openbook.text import sentence_ends
from openbook.types import Document, Passage, label_at

BY_LINE = frozenset({"table", "code"})  # parts that have rows and lines, not sentences
LOOK = 40  # characters around a stretch that tell whether a full stop at its edge ends a sentence
LINE_END = re.compile(r"\n")
WORD_END = re.compile(r"(?<=\S)(?=\s)")


def stretch(passage: Passage, document: Document, start: int, end: int) -> Passage:
    """The passage with document.text[start:end] for its text, and the place of that."""
    text = document.text[start:end]
    return replace(
        passage, chunk=replace(passage.chunk, start=start, end=end, text=text, place=document.place(start, end))
    )


def documents(passages: Sequence[Passage], look: Callable[[Passage], Document]) -> list[Document]:
    """The document of each passage, read once: a long one costs as much as its passages' vectors."""
    read = {passage.chunk.document_id: passage for passage in passages}
    found = {name: look(passage) for name, passage in read.items()}
    return [found[passage.chunk.document_id] for passage in passages]


def ends(document: Document, start: int, stop: int) -> list[int]:
    """Offsets from `start` to `stop` after which a stretch may end, rising.

    Ends of sentences, and of lines in tables and code; where there are none ends of lines, and else of words.
    """
    text = document.text
    begin = max(0, start - LOOK)
    found = [
        at
        for end in sentence_ends(text[begin : stop + LOOK])
        if start <= (at := begin + end) <= stop and not _by_line(document, at)
    ]
    lines = [line.start() for line in LINE_END.finditer(text, start, stop)]
    rows = [at for at in lines if _by_line(document, at)]
    return sorted({*found, *rows}) or lines or [word.start() for word in WORD_END.finditer(text, start, stop)]


def sentences(document: Document, start: int, end: int) -> list[tuple[int, int]]:
    """The sentences of text[start:end] as (start, end), without white space around; a table or code is one of them."""
    found = (start + at for at in sentence_ends(document.text[start:end]))
    cuts = {start, end, *(at for at in found if not _by_line(document, at)), *_edges(document, start, end)}
    return [span for first, last in pairwise(sorted(cuts)) if (span := stripped(document, first, last))]


def sentences_of(
    passages: Sequence[Passage], look: Callable[[Passage], Document]
) -> tuple[list[Document], list[list[tuple[int, int]]]]:
    """The document of each passage, and the sentences of the passage in it."""
    read = documents(passages, look)
    return read, [
        sentences(document, passage.chunk.start, passage.chunk.end)
        for passage, document in zip(passages, read, strict=True)
    ]


def stripped(document: Document, start: int, end: int) -> tuple[int, int] | None:
    """The stretch without white space around it, but for the indentation of code; None when nothing else is there."""
    text = document.text[start:end]
    if not text.strip():
        return None
    lead = len(text) - len(text.lstrip())
    if _kind(document, start + lead) == "code":
        lead = text.rfind("\n", 0, lead) + 1
    return start + lead, start + len(text.rstrip())


def _kind(document: Document, offset: int) -> str:
    return label_at(document.parts, offset)


def _by_line(document: Document, offset: int) -> bool:
    """Whether the characters before and after an offset are of one table, or of the same code."""
    if _kind(document, offset) not in BY_LINE:
        return False
    index = bisect_right(document.parts, offset, key=lambda part: part[0])
    return document.parts[index - 1][0] < offset


def _edges(document: Document, start: int, end: int) -> Iterator[int]:
    """Where tables and code begin and end in text[start:end]."""
    parts = document.parts
    first = bisect_left(parts, start, key=lambda part: part[0])
    last = bisect_left(parts, end, key=lambda part: part[0])
    for index in range(first, last):
        kinds = {parts[index][1], parts[index - 1][1] if index else ""}
        if kinds & BY_LINE:
            yield parts[index][0]
