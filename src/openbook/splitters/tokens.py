"""Chunks of at most `size` tokens, counted as the book's embedder counts them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from openbook.splitters.cuts import best_end, check_sizes, next_start, places, skip
from openbook.types import Chunk, Document

SMALLEST = 10  # tokens

STRETCH = 5000  # characters that are taken into tokens at a time, so that memory does not grow with the text

# A token is 4 or 5 characters of English. What is far longer is no word but encoded bytes, which are one token to some
# embedders however long they are.
LONGEST = 20


@dataclass(frozen=True, slots=True)
class Tokens:
    """At most `size` tokens in a chunk, at most `overlap` of them again in the next; cut where a reader would pause."""

    VERSION: ClassVar[int] = 1

    spans: Callable[[str], Sequence[tuple[int, int]]]  # Embedder.tokens
    size: int = 200
    overlap: int = 0

    def __post_init__(self) -> None:
        check_sizes("tokens", self.size, self.overlap, SMALLEST, "tokens")

    def __call__(self, document: Document, document_id: str) -> Iterator[Chunk]:
        text = document.text
        place = places(document) if document.places else None
        tokens = _Tokens(text, self.spans)
        start, done = skip(text, 0), 0
        while start < len(text):
            limit = min(tokens.after(start, self.size), start + self.size * LONGEST)
            end = self._fitting(text, start, best_end(text, start, limit - start, done), done)
            piece = text[start:end].rstrip()
            done = start + len(piece)
            yield Chunk(document_id, start, done, piece, place(start, done) if place else "")
            following = skip(text, end)
            if self.overlap and following < len(text):
                start = next_start(text, start, done, done - tokens.before(done, self.overlap))
            else:
                start = following

    def _fitting(self, text: str, start: int, end: int, done: int) -> int:
        """`end`, or before it where a word is cut: a part of a word may be more tokens than it was of the whole."""
        if (start == 0 or text[start - 1].isspace()) and (end >= len(text) or text[end].isspace()):
            return end
        while len(spans := self.spans(text[start:end])) > self.size and end > done + 1:
            end = max(done + 1, min(end - 1, start + spans[self.size][0]))
        return end


@dataclass(slots=True)
class _Tokens:
    """Where the tokens of a text begin, found out stretch by stretch."""

    text: str
    spans: Callable[[str], Sequence[tuple[int, int]]]
    starts: list[int] = field(default_factory=list)
    read: int = 0  # characters of the text that `starts` knows of

    def after(self, start: int, count: int) -> int:
        """Where the token begins that has `count` tokens between `start` and it, or the end of the text."""
        index = bisect_left(self.starts, start) + count
        while index >= len(self.starts) and self.read < len(self.text):
            # One chunk back stays known, for an overlap.
            del self.starts[: max(0, bisect_left(self.starts, start) - count)]
            self._read_on()
            index = bisect_left(self.starts, start) + count
        return self.starts[index] if index < len(self.starts) else len(self.text)

    def before(self, end: int, count: int) -> int:
        """Where the earliest of the last `count` tokens before `end` begins."""
        return self.starts[max(0, bisect_left(self.starts, end) - count)]

    def _read_on(self) -> None:
        stop = min(self.read + STRETCH, len(self.text))
        if stop < len(self.text):
            # No word is cut, and so no token, unless the stretch is one word.
            space = max(self.text.rfind(" ", self.read + 1, stop), self.text.rfind("\n", self.read + 1, stop))
            stop = space if space > 0 else stop
        self.starts += [self.read + start for start, _ in self.spans(self.text[self.read : stop])]
        self.read = stop
