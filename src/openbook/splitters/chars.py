"""Chunks of at most `size` characters, cut where a reader would pause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from openbook.splitters.cuts import SMALLEST, best_end, check_sizes, next_start, places, skip
from openbook.types import Chunk, Document


@dataclass(frozen=True, slots=True)
class Chars:
    """At most `size` characters in a chunk, the last `overlap` of them again at the beginning of the next.

    Chunks are filled well (about nine tenths on prose), so a book has few of them. No word is cut unless it is
    longer than `size`. An overlap begins at a sentence or a word and is between 3/4 of `overlap` and `overlap` long,
    shorter only where no word begins there.

    >>> [chunk.text for chunk in Chars(size=20)(Document("One fish swims. Two fishes swim.", "fish.txt"), "")]
    ['One fish swims.', 'Two fishes swim.']
    """

    VERSION: ClassVar[int] = 1

    size: int = 500
    overlap: int = 0

    def __post_init__(self) -> None:
        check_sizes("chars", self.size, self.overlap, SMALLEST, "characters")

    def __call__(self, document: Document, document_id: str) -> Iterator[Chunk]:
        text = document.text
        overlap, place = self.overlap, places(document) if document.places else None
        start, done = skip(text, 0), 0  # every character before `done` is in a chunk, or white space
        while start < len(text):
            end = best_end(text, start, self.size, done)
            piece = text[start:end].rstrip()
            done = start + len(piece)
            yield Chunk(document_id, start, done, piece, place(start, done) if place else "")
            following = skip(text, end)
            start = next_start(text, start, done, overlap) if overlap and following < len(text) else following
