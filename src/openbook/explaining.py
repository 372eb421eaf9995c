"""Why a search showed what it showed, and at which step a passage was lost: what `openbook explain` runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

from openbook.documents import DamagedError
from openbook.phrases import unquoted
from openbook.searching import Search, Step
from openbook.types import Chunk, Document, Passage

DEPTH = 100  # passages of each list that are looked at
FARTHEST = 10_000  # to that rank a passage is looked for on each side
LIKELY = 200  # chunks with the words of a text: their documents are read first to find it
OTHERS = 3  # of each side's best that are not shown

Span: TypeAlias = tuple[str, int, int]
"""Id of a document, and from where to where in its text."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Where a passage stands in one list."""

    rank: int  # from 1
    score: float


@dataclass(frozen=True, slots=True)
class Row:
    """One passage and what each list thought of it; a list that does not have it is left out."""

    passage: Passage
    ranks: dict[str, Rank]  # 'dense' and 'bm25', then the steps of the recipe
    shown: int = 0  # its number among what is shown, from 1; 0: it is not


@dataclass(frozen=True, slots=True)
class Wanted:
    """What became of a passage that should be found."""

    text: str
    verdict: str  # where it was lost, and what may help
    row: Row | None = None  # the chunk that holds most of it; None: no document has it


@dataclass(frozen=True, slots=True)
class Explanation:
    """One search, step by step."""

    question: str
    language: str  # of a question in another language than the documents', else ''
    steps: tuple[Step, ...]
    rows: tuple[Row, ...]  # what is shown, then the best of each side that are not
    wanted: Wanted | None = None


def explain(search: Search, k: int, text: str = "") -> Explanation:
    """Run the search with every list kept; with `text`, find out where the passage that holds it was lost."""
    steps = search.steps(k)
    lists = _sides(search, DEPTH)
    for step in steps:
        lists[step.name] = step.passages
    lists[steps[0].name] = search.steps(k, at_least=DEPTH, refined=False)[0].passages
    shown = steps[-1].passages[:k]
    others: dict[Chunk, Passage] = {}
    for side in ("dense", "bm25"):
        best = [one for one in lists[side][:OTHERS] if not any(_overlap(one.chunk, other.chunk) for other in shown)]
        others |= {one.chunk: one for one in best}
    rows = [_row(one, lists, shown) for one in (*shown, *search.with_origins(list(others.values())))]
    wanted = _wanted(text, search, lists, steps, k) if text.strip() else None
    return Explanation(search.question, search.language, tuple(steps), tuple(rows), wanted)


def _sides(search: Search, depth: int) -> dict[str, Sequence[Passage]]:
    """What each side alone finds."""
    vector = search.embed(search.question)
    return {
        "dense": search.store.nearest(vector, depth, within=search.within, exact=True),
        "bm25": search.match(depth),
    }


def _row(passage: Passage, lists: dict[str, Sequence[Passage]], shown: Sequence[Passage]) -> Row:
    ranks = {name: rank for name, passages in lists.items() if (rank := _rank(passages, passage.chunk))}
    number = _rank(shown, passage.chunk)
    return Row(passage, ranks, number.rank if number else 0)


def _rank(passages: Iterable[Passage], chunk: Chunk) -> Rank | None:
    for number, passage in enumerate(passages, 1):
        if _overlap(passage.chunk, chunk):  # a refiner may have made it longer or shorter
            return Rank(number, passage.score)
    return None


def _overlap(one: Chunk, other: Chunk) -> bool:
    """Whether they share more than the overlap of neighbours: half of the shorter."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    return one.document_id == other.document_id and 2 * shared > min(one.end - one.start, other.end - other.start)


def _wanted(text: str, search: Search, lists: dict[str, Sequence[Passage]], steps: list[Step], k: int) -> Wanted:
    pattern = re.compile(r"\s+".join(map(re.escape, text.split())), re.IGNORECASE)
    shown = steps[-1].passages[:k]
    near = chain(shown, lists[steps[0].name], lists["dense"], lists["bm25"])  # it may stand in several places
    found = _among(pattern, near) or _holding(pattern, text, search)
    if found is None:
        return Wanted(
            text, "No document holds this text: it was not read, or stands there otherwise. See: openbook read"
        )
    document_id, start, end = found
    held = [chunk for chunk, _ in search.store.vectors([document_id]) if chunk.start < end and start < chunk.end]
    if not held:
        return Wanted(text, "Its document holds it, but no chunk does. See: openbook check")
    chunk = max(held, key=lambda one: min(one.end, end) - max(one.start, start))
    [passage] = search.with_origins([Passage(chunk, 0.0, "")]) or [Passage(chunk, 0.0, "")]
    sides = _sides(search, FARTHEST)
    row = _row(passage, lists, shown)
    far = {side: rank for side, found in sides.items() if (rank := _rank(found, chunk))}
    split = "" if chunk.start <= start and end <= chunk.end else f" It is split between {len(held)} chunks."
    if search.within is not None and document_id not in search.within:
        return Wanted(text, f"Its document does not fit the condition.{split}", row)
    if number := next((number for number, one in enumerate(shown, 1) if _covers(one.chunk, found)), 0):
        return Wanted(text, f"Shown as [{number}].", replace(row, shown=number))
    cut = next((step.name for step in steps[1:] if not any(_covers(one.chunk, found) for one in step.passages)), "")
    if row.shown and cut and not split:
        return Wanted(text, f"Cut off by {cut}: the rest of its passage is shown as [{row.shown}].", row)
    # A retriever may have a side's name: its rank, perhaps of an index, is not that among all vectors.
    verdict = _verdict(row, steps, k, _both(far, sides) + "." + _better(far, k))
    return Wanted(text, verdict + split, replace(row, ranks=far | row.ranks))


def _among(pattern: re.Pattern[str], passages: Iterable[Passage]) -> Span | None:
    """The first passage's span that has the text."""
    for passage in passages:
        if match := pattern.search(passage.chunk.text):
            begin = passage.chunk.start
            return passage.chunk.document_id, begin + match.start(), begin + match.end()
    return None


def _covers(chunk: Chunk, span: Span) -> bool:
    document_id, start, end = span
    return chunk.document_id == document_id and chunk.start <= start and end <= chunk.end


def _holding(pattern: re.Pattern[str], text: str, search: Search) -> Span | None:
    """Where in the documents the text stands."""
    likely = dict.fromkeys(one.chunk.document_id for one in search.store.match(unquoted(text), LIKELY))
    for document_id in chain(likely, search.documents.ids() - likely.keys()):
        document = _document(search, document_id)
        if document and (match := pattern.search(document.text)):
            return document_id, match.start(), match.end()
    return None


def _document(search: Search, document_id: str) -> Document | None:
    try:
        return search.documents.get(document_id)
    except DamagedError:
        return None


def _verdict(row: Row, steps: list[Step], k: int, why: str) -> str:
    """Where a chunk was lost, in one line; `why` is what each side says when the retriever lost it."""
    retriever, last = steps[0], steps[-1]
    if row.shown:
        return f"Shown as [{row.shown}]."
    first = row.ranks.get(retriever.name)
    if first is None:
        return f"Not among the first {DEPTH} of {retriever.name}: {why}"
    if first.rank > len(retriever.passages):
        went = f"the first {len(retriever.passages)} went on"
        return f"Number {first.rank} of {retriever.name}; {went}: {why}"
    for before, step in zip(steps, steps[1:], strict=False):
        if step.name not in row.ranks:
            return f"Number {row.ranks[before.name].rank} after {before.name}, dropped by {step.name}."
    rank = row.ranks[last.name].rank
    return f"Number {rank} after {last.name}, and {k} are shown. Show it with: -k {rank}"


def _both(ranks: Mapping[str, Rank], sides: dict[str, Sequence[Passage]]) -> str:
    """What each side thinks of a chunk."""
    said = []
    for side, how in (("dense", "meaning"), ("bm25", "words")):
        if side in ranks:
            said.append(f"number {ranks[side].rank} by {how}")
        else:
            said.append(f"beyond {FARTHEST:,} by {how}" if len(sides[side]) == FARTHEST else f"not found by {how}")
    return ", ".join(said)


def _better(ranks: Mapping[str, Rank], k: int) -> str:
    """What would have shown it."""
    for side in ("dense", "bm25"):
        if side in ranks and ranks[side].rank <= k:
            return f" Try: --set retriever={side}"
    return ""
