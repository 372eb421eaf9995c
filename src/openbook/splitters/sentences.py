"""Chunks of whole sentences."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from openbook.splitters.cuts import PARAGRAPH_FROM, SMALLEST, before_heading, best_end, check_sizes, places, skip
from openbook.text import sentence_ends
from openbook.types import Chunk, Document


@dataclass(frozen=True, slots=True)
class Sentences:
    """As many whole sentences as `size` characters hold, of one paragraph where it fills half of that.

    A sentence longer than `size`, such as a transcript without full stops, is cut at a line or a word.

    >>> document = Document("Dr. No swims. He swims well. Nobody sees it.", "no.txt")
    >>> [chunk.text for chunk in Sentences(size=30)(document, "")]
    ['Dr. No swims. He swims well.', 'Nobody sees it.']
    """

    VERSION: ClassVar[int] = 1

    size: int = 500

    def __post_init__(self) -> None:
        check_sizes("sentences", self.size, 0, SMALLEST, "characters")

    def __call__(self, document: Document, document_id: str) -> Iterator[Chunk]:
        text = document.text
        ends, place = list(sentence_ends(text)), places(document) if document.places else None
        start = skip(text, 0)
        while start < len(text):
            end = self._end(text, start, ends)
            piece = text[start:end].rstrip()
            done = start + len(piece)
            yield Chunk(document_id, start, done, piece, place(start, done) if place else "")
            start = skip(text, end)

    def _end(self, text: str, start: int, ends: list[int]) -> int:
        limit = start + self.size
        if limit >= len(text):
            return len(text)
        floor = start + self.size * PARAGRAPH_FROM // 100
        paragraph = text.rfind("\n\n", floor, limit + 2)
        if paragraph > 0:
            return before_heading(text, paragraph, floor)
        index = bisect_right(ends, limit)
        if index and ends[index - 1] > start:
            return ends[index - 1]
        return best_end(text, start, self.size, start)
