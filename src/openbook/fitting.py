"""Chunks that fit into their embedder's window: what a splitter by characters cannot know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from openbook.types import Chunk, Document, Embedder, Splitter


def fitting(splitter: Splitter, embedder: Embedder) -> Splitter:
    """The splitter, its chunks cut in halves, at a space near the middle, until each fits.

    500 characters of English are some 110 tokens of MiniLM's 510, of Korean up to 794. The vector of a text that does
    not fit would be the mean of two; a chunk that is cut is found by what it says.
    """

    def split(document: Document, document_id: str) -> Iterator[Chunk]:
        for chunk in splitter(document, document_id):
            yield from _cut(chunk, document, embedder)

    return split


def _cut(chunk: Chunk, document: Document, embedder: Embedder) -> Iterator[Chunk]:
    if _fits(chunk.indexed, embedder) or len(chunk.text) == 1:
        yield chunk
        return
    text, middle = chunk.text, len(chunk.text) // 2
    space = max(text.rfind(" ", 1, middle), text.rfind("\n", 1, middle))
    at = space if space > middle // 2 else middle
    for start, end in ((0, at), (at, len(text))):
        part = text[start:end]
        start += len(part) - len(part.lstrip())
        part = part.strip()
        if part:
            begins, ends = chunk.start + start, chunk.start + start + len(part)
            place = document.place(begins, ends)
            yield from _cut(replace(chunk, start=begins, end=ends, text=part, place=place), document, embedder)


def _fits(text: str, embedder: Embedder) -> bool:
    # A token of ASCII is a character or more; another letter may be taken apart into several.
    if not embedder.window or (len(text) <= embedder.window and text.isascii()):
        return True
    return len(embedder.tokens(text)) <= embedder.window
