"""Stretches of a book's documents that questions can be asked about, spread over them by length.

seed --> points, evenly over all characters --> the section around a point --sentences, packed--> the one with the point
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

from openbook.documents import Documents
from openbook.refiners.stretches import sentences
from openbook.supporting import stems
from openbook.text import sentence_ends
from openbook.types import Document, label_at

SIZE = 600  # characters of a span, about: some 140 tokens, which are said to a model two or three times
FEWEST = 120  # of a span
SECTION = 8192  # of a section looked at at once: a document without headings may have millions
FEWEST_WORDS = 7  # of the one sentence that a span must have: tables of contents have none
LONG_SENTENCE = 40  # words: a longer one is a list or a table
PROSE = 0.4  # of a span's characters at least are not code
GOLDEN = (5**0.5 - 1) / 2
# Of as many points as spans fit into the documents, a few are looked at more: then hardly any was missed.
ROUNDS, MORE = 3, 20
SEEDS = 2**32  # larger ones would leave no digits for the points
WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Span:
    """document.text[start:end], a few sentences of one section."""

    document_id: str
    start: int
    end: int
    text: str
    about: str  # 'Title > Heading > Heading', what the text stands under
    sentence: tuple[int, int]  # of the document's text: what a question shall be about


def spans(documents: Documents, seed: int) -> Iterator[Span]:
    """Spans, each once, until about all were given. Of any beginning of them a document has its share by length.

    The points are multiples of the golden ratio: however many are taken, they lie evenly (Weyl 1916; Knuth 6.4).
    """
    sizes = sorted(documents.sizes().items())
    ends = list(accumulate(size for _, size in sizes))
    total = ends[-1] if ends else 0
    given: set[tuple[str, int]] = set()
    first = seed % SEEDS * GOLDEN * GOLDEN
    for number in range(ROUNDS * ceil(total / SIZE) + (MORE if total else 0)):
        point = min(total - 1, int(((first + number * GOLDEN) % 1.0) * total))
        index = bisect_right(ends, point)
        document_id, size = sizes[index]
        document = documents.get(document_id)
        if document is None:
            continue
        span = _around(document_id, document, point - (ends[index] - size))
        if span and (span.document_id, span.start) not in given and fit(document, span):
            given.add((span.document_id, span.start))
            yield span


def _around(document_id: str, document: Document, offset: int) -> Span | None:
    """The span that a character lies in: the same for all of its characters."""
    start, end = _section(document, offset)
    found = sentences(document, start, end)
    if not found:
        return None
    size = (found[-1][1] - found[0][0]) / ceil((found[-1][1] - found[0][0]) / SIZE)
    first = last = found[0]
    for sentence in found:
        if sentence[1] - first[0] > size and sentence[0] - first[0] >= size / 2:
            if offset < sentence[0]:
                break
            first = sentence
        last = sentence
    text = document.text[first[0] : last[1]]
    heading = label_at(document.headings, first[0])
    about = " > ".join(dict.fromkeys(filter(None, [document.title, *heading.split(" > ")])))
    inside = [one for one in found if first[0] <= one[0] and one[1] <= last[1]]
    telling = max(inside, key=lambda one: _tells(document.text[one[0] : one[1]], about))
    return Span(document_id, first[0], last[1], text, about, telling)


def _section(document: Document, offset: int) -> tuple[int, int]:
    """Between two headings, in steps of SECTION characters that end with a line."""
    starts = [at for at, _ in document.headings]
    index = bisect_right(starts, offset)
    first = starts[index - 1] if index else 0
    end = starts[index] if index < len(starts) else len(document.text)
    step = (offset - first) // SECTION
    edges = [_line(document.text, first + (step + more) * SECTION, first, end) for more in (-1, 0, 1, 2)]
    place = max(1, bisect_right(edges, offset))
    return edges[place - 1], edges[place] if place < len(edges) else end


def _line(text: str, at: int, first: int, end: int) -> int:
    """The beginning of the line after an offset, if one begins soon; no less than `first`, no more than `end`."""
    if at <= first or at >= end:
        return max(first, min(at, end))
    found = text.find("\n", at, min(end, at + SECTION // 4))
    return found + 1 if found >= 0 else at


def fit(document: Document, span: Span) -> bool:
    """Whether a question can be asked about it: it has a sentence, and is not for the most part code."""
    if len(span.text) < FEWEST:
        return False
    code = sum(
        1
        for at in range(span.start, span.end, 8)  # every eighth character tells as much
        if label_at(document.parts, at) == "code"
    )
    if code * 8 > (1 - PROSE) * len(span.text):
        return False
    starts = [0, *sentence_ends(span.text)]
    ends = [*starts[1:], len(span.text)]
    return any(is_sentence(span.text[start:end]) for start, end in zip(starts, ends, strict=True))


def _tells(text: str, about: str) -> float:
    """How much a sentence tells beside its heading: long ones of many words tell most, up to a length."""
    if not is_sentence(text):
        return -1.0 / len(text)
    told = len(set(stems(text)) - set(stems(about)))
    return told if len(text.split()) <= LONG_SENTENCE else told / 2


def is_sentence(text: str) -> bool:
    """Whether a text has as many words as a sentence, and its end."""
    return len(WORD.findall(text)) >= FEWEST_WORDS and text.rstrip().rstrip("\"'”’)»").endswith(
        (".", "!", "?", "。", ";")
    )
