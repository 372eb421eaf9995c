"""Where in a book's documents the answers of questions stand, and which passages have them: whatever the chunks are.

Gold of a question -> stretches of documents' texts. A passage has one when it holds half of it or more, or when half
of the passage or more lies inside it (a page, a whole document). Each gold alone is enough, so a question is answered
by the first passage that has any: the best a search can do is 1 by each measure, whatever the chunks are and however
they overlap. Why: docs/decisions/0027-gold.md.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

from openbook.bench.questions import Gold, Question
from openbook.bench.ranking import Relevant, family, measure
from openbook.documents import Documents
from openbook.types import Chunk, Document, Passage

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
        if chunk.document_id != self.document_id or self.whole:
            return chunk.document_id == self.document_id
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
        spans = [match.span() for match in pattern(gold.quote).finditer(document.text)]
    elif gold.place:
        spans = _of_place(gold.place, document)
    else:
        spans = [(gold.start, gold.end)] if gold.end <= size else []
    return [Stretch(document_id, start, end) for start, end in spans]


@lru_cache(maxsize=4096)
def pattern(quote: str) -> re.Pattern[str]:
    """Where a quote stands: its words, but for white space and case."""
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


def score(
    name: str, chunks: Sequence[Chunk], golds: Sequence[Sequence[Stretch]], also: Sequence[Sequence[Chunk]] = ()
) -> float:
    """A measure of `ranking`, by its name, of what was found for one question; the rest as in `units`."""
    return of_units(name, *units(chunks, golds, also))


def of_units(name: str, ranking: Sequence[str], relevant: Relevant) -> float:
    """The same where units are there already."""
    if family(name) == "precision":  # the share of passages that have a gold, though one of them would be enough
        relevant = {**relevant, **{one: 1 for one in ranking if one.startswith(AGAIN)}}
    return measure(name)(ranking, relevant)


AGAIN = "again "


def units(
    chunks: Sequence[Chunk], golds: Sequence[Sequence[Stretch]], also: Sequence[Sequence[Chunk]] = ()
) -> tuple[list[str], dict[str, int]]:
    """What is judged, best first, and which of it is right: for the measures of `ranking`.

    Where golds are whole documents, documents are judged, each at its best chunk's rank, as BEIR judges them: all are
    wanted. Else passages, of which the first that has a gold is right. `also[i]` are places where the text of chunks[i]
    stands too.
    """
    places = (
        [(chunk, *others) for chunk, others in zip(chunks, also, strict=True)] if also else [(one,) for one in chunks]
    )
    if golds and all(one.whole for stretches in golds for one in stretches):
        names = {one.document_id: f"gold {number}" for number, found in enumerate(golds) for one in found}
        documents = dict.fromkeys([one.document_id for found in places for one in found])
        ranking = list(dict.fromkeys(names.get(name, name) for name in documents))
        return ranking, dict.fromkeys(names.values(), 1)
    ranking = [f"wrong {number}" for number in range(1, len(places) + 1)]
    right = [number for number, found in enumerate(places) if has_gold(found, golds)]
    for number in right:
        ranking[number] = "gold" if number == right[0] else f"{AGAIN}{number}"
    return ranking, {"gold": 1} if golds else {}


def has_gold(places: Iterable[Chunk], golds: Sequence[Sequence[Stretch]]) -> bool:
    """Whether a passage that stands at these places answers a question with these golds."""
    return any(one.is_in(place) for place in places for stretches in golds for one in stretches)


def elsewhere(passage: Passage, ids: Mapping[str, str], text_of: Callable[[str], str]) -> list[Chunk]:
    """Where a passage stands in other documents, when it stands for equal ones of these; `ids` are by source.

    Without a length where a document says it in nearly the same words: then it counts only for whole documents.
    """
    others = dict.fromkeys(ids[source] for source in passage.sources if source in ids)
    others.pop(passage.chunk.document_id, None)
    found = []
    for document_id in others:
        start = text_of(document_id).find(passage.chunk.text)
        place = (start, start + len(passage.chunk.text)) if start >= 0 else (0, 0)
        found.append(Chunk(document_id, *place, ""))
    return found
