"""The text around a hit, as one passage with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from openbook.errors import SpecError
from openbook.refiners.stretches import ends, stretch, stripped
from openbook.types import Document, Passage


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Widens a passage, to both sides alike, up to `size` characters, to where sentences begin and end.

    Passages of one document that then overlap or touch are one, at the best one's rank, which may be longer than
    `size`. Only as many hits are widened as it takes to make k passages; the others are left out.
    """

    VERSION: ClassVar[int] = 1

    document: Callable[[Passage], Document]
    size: int = 1000

    def __post_init__(self) -> None:
        if self.size < 1:
            raise SpecError(f"neighbours(size={self.size}): size must be 1 or more characters, such as 1000.")

    def __call__(self, question: str, passages: list[Passage], k: int) -> list[Passage]:
        documents: dict[str, Document] = {}
        kept: list[Passage] = []
        for hit in passages:
            name = hit.chunk.document_id
            if name not in documents:
                documents[name] = self.document(hit)
            joined = _joined(self._widened(hit, documents[name]), kept, documents[name])
            if len(joined) > k:
                break
            kept = joined
        return kept

    def _widened(self, hit: Passage, document: Document) -> Passage:
        start, end, last = hit.chunk.start, hit.chunk.end, len(document.text)
        room = self.size - (end - start)
        if room <= 0:
            return hit
        before = min(start, max(room // 2, room - (last - end)))
        after = min(last - end, room - before)
        begin = start - before
        if begin > 0:
            begin = next(iter(ends(document, begin, start)), start)
        stop = end + after
        if stop < last:
            stop = next(reversed(ends(document, end, stop)), end)
        around = stripped(document, begin, stop) or (start, end)
        return stretch(hit, document, min(start, around[0]), max(end, around[1]))


def _joined(hit: Passage, kept: list[Passage], document: Document) -> list[Passage]:
    """The passages and a hit of lower rank, which joins those that it overlaps or touches."""
    near = [one for one in kept if _touch(one, hit, document)]
    if not near:
        return [*kept, hit]
    best = near[0]
    every = [*near, hit]
    whole = stretch(best, document, min(one.chunk.start for one in every), max(one.chunk.end for one in every))
    whole = replace(whole, sources=tuple(dict.fromkeys(source for one in every for source in one.sources)))
    return [whole if one is best else one for one in kept if one is best or one not in near]


def _touch(one: Passage, other: Passage, document: Document) -> bool:
    if one.chunk.document_id != other.chunk.document_id:
        return False
    first, second = sorted((one.chunk, other.chunk), key=lambda chunk: chunk.start)
    return not document.text[first.end : second.start].strip()
