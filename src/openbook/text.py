"""What cleaning and splitting both know about characters."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from openbook.types import Document, Edit, Marks


def apply(document: Document, edits: Sequence[Edit]) -> Document:
    """The document with its text edited, and every mark at the character it stood at.

    A mark inside an edit moves to the edit's beginning. Marks that then stand at one place, or at the end of the text,
    hold of no character: of each kind the last one at a place is kept.

    >>> edited = apply(Document("one  two", "a.txt", marks=((5, "page 2"),)), [Edit(3, 5, " ", "spaces")])
    >>> edited.text, edited.marks
    ('one two', ((4, 'page 2'),))

    Raises:
        ValueError: Edits overlap, fall, or lie outside of the text.
    """
    if not edits:
        return document
    pieces: list[str] = []
    done = 0
    for edit in edits:
        if not done <= edit.start <= edit.end <= len(document.text):
            raise ValueError(f"{edit} overlaps the edit before it or lies outside of the text.")
        pieces += [document.text[done : edit.start], edit.text]
        done = edit.end
    text = "".join([*pieces, document.text[done:]])
    starts = [edit.start for edit in edits]
    grown = [0, *accumulate(len(edit.text) - (edit.end - edit.start) for edit in edits)]

    def moved(marks: Marks) -> Marks:
        found: dict[int, str] = {}
        for offset, label in marks:
            index = bisect_right(starts, offset)  # edits that begin at or before the mark
            if index and offset < edits[index - 1].end:
                at = edits[index - 1].start + grown[index - 1]
            else:
                at = offset + grown[index]
            if at < len(text):
                found[at] = label
        return tuple(found.items())

    return replace(
        document, text=text, marks=moved(document.marks), headings=moved(document.headings), parts=moved(document.parts)
    )


def well_formed(text: str) -> str:
    """The text with '?' for halves of UTF-16 pairs: a terminal or a file's name makes them of bytes it cannot read.

    No file, database or server takes them. As long as before, so that offsets stay.
    """
    return text.encode("utf-8", "replace").decode("utf-8")
