"""Where in a book's documents the answers of questions stand, and which passages have them: whatever the chunks are.

Gold of a question -> stretches of documents' texts. A passage has one when it holds half of it or more, or when half
of the passage or more lies inside it (a page, a whole document): chunk sizes compare fairly, as what is found are
stretches of the documents, each counted once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

from openbook.bench.questions import Gold, Question
from openbook.documents import Documents
from openbook.types import Chunk, Document

HALF = 0.5


@dataclass(frozen=True, slots=True)
class Stretch:
    """document.text[start:end] of the document of that id."""

    document_id: str
    start: int
    end: int
    whole: bool = False  # of a gold that names the document alone

    def is_in(self, chunk: Chunk) -> bool:
        """Whether a chunk has it, as this module says it."""
        if chunk.document_id != self.document_id:
            return False
        shared = min(chunk.end, self.end) - max(chunk.start, self.start)
        return shared > 0 and shared >= HALF * min(self.end - self.start, chunk.end - chunk.start)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The stretches of each question's golds, and what could not be found."""

    stretches: Mapping[str, Mapping[int, tuple[Stretch, ...]]]  # question's id -> gold's number -> where it stands
    missing: tuple[str, ...] = ()  # a line for each gold that stands nowhere


def documents_of(kept: Documents) -> dict[str, tuple[Document, list[str]]]:
    """The documents of a book by id, each with all its sources: what `resolve` looks in."""
    sources: dict[str, list[str]] = {}
    for source, document_id in kept.sources().items():
        sources.setdefault(document_id, []).append(source)
    return {name: (document, sources.get(name, [])) for name, document in kept.all()}


def resolve(questions: Iterable[Question], documents: Mapping[str, tuple[Document, Sequence[str]]]) -> Resolved:
    """Find every gold; `documents` are those of a book by id, each with its sources.

    A gold's source is a document's when it is one of its sources or the end of one, from a '/' on; where there is none,
    when it is its title, or its file's name without the suffix, as SQuAD names its articles. Of several such documents
    all are looked at.
    """
    by_name: dict[str, list[str]] = {}
    by_title: dict[str, list[str]] = {}
    for document_id, (document, sources) in documents.items():
        by_title.setdefault(document.title, []).append(document_id)
        for source in sources:
            by_title.setdefault(PurePath(source).stem, []).append(document_id)
            for name in _names(source):
                by_name.setdefault(name, []).append(document_id)
    found: dict[str, dict[int, tuple[Stretch, ...]]] = {}
    missing = []
    for question in questions:
        golds = {}
        for number, gold in enumerate(question.gold):
            ids = by_name.get(gold.source.replace("\\", "/")) or by_title.get(gold.source, [])
            stretches = tuple(one for name in dict.fromkeys(ids) for one in _stretches(gold, name, documents[name][0]))
            if not stretches:
                missing.append(f"{question.id}: {_said(gold)} {'is not in it' if ids else 'is no document here'}")
            else:
                golds[number] = stretches
        found[question.id] = golds
    return Resolved(found, tuple(missing))


def _names(source: str) -> list[str]:
    """'/a/b.txt' -> itself, 'a/b.txt', 'b.txt'."""
    parts = source.replace("\\", "/").split("/")
    return list(dict.fromkeys([source, *("/".join(parts[index:]) for index in range(len(parts)))]))


def _said(gold: Gold) -> str:
    what = gold.quote and f"{gold.quote[:40]!r}" or gold.place or (f"{gold.start}-{gold.end}" if gold.end else "")
    return f"{gold.source}, {what}," if what else gold.source


def _stretches(gold: Gold, document_id: str, document: Document) -> list[Stretch]:
    size = len(document.text)
    if not (gold.quote.strip() or gold.place or gold.end):
        return [Stretch(document_id, 0, size, whole=True)] if size else []
    if gold.quote.strip():
        spans = [match.span() for match in _pattern(gold.quote).finditer(document.text)]
    elif gold.place:
        spans = _of_place(gold.place, document)
    else:
        spans = [(gold.start, gold.end)] if gold.end <= size else []
    return [Stretch(document_id, start, end) for start, end in spans]


@lru_cache(maxsize=4096)
def _pattern(quote: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(map(re.escape, quote.split())), re.IGNORECASE)


def _of_place(place: str, document: Document) -> list[tuple[int, int]]:
    """From each mark or heading of that name to the next."""
    wanted = "".join(place.split()).casefold()
    for marks in (document.marks, document.headings):
        starts = [offset for offset, _ in marks]
        spans = [
            (offset, starts[after] if (after := bisect_right(starts, offset)) < len(starts) else len(document.text))
            for offset, label in marks
            if "".join(label.split()).casefold() == wanted
        ]
        if spans:
            return spans
    return []


def units(chunks: Sequence[Chunk], golds: Sequence[Sequence[Stretch]]) -> tuple[list[str], dict[str, int]]:
    """What is judged, best first, and which of it is right: for the measures of `ranking`.

    Where golds are whole documents, documents are judged, each at its best chunk's rank, as BEIR judges them. Else each
    passage: one that brings golds not seen before stands for these, one that has only golds seen before for nothing.
    """
    if golds and all(one.whole for stretches in golds for one in stretches):
        return (
            list(dict.fromkeys(chunk.document_id for chunk in chunks)),
            {one.document_id: 1 for stretches in golds for one in stretches},
        )
    found: list[str] = []
    seen: set[int] = set()
    for chunk in chunks:
        has = {number for number, stretches in enumerate(golds) if any(one.is_in(chunk) for one in stretches)}
        found += [f"gold {number}" for number in sorted(has - seen)]
        found += [] if has else [f"{chunk.document_id}:{chunk.start}-{chunk.end}"]
        seen |= has
    return found, {f"gold {number}": 1 for number in range(len(golds))}
