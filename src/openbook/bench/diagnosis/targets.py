"""What a passage must hold so that a question can be answered from it: the sentence of its gold with the answer.

A gold may be a word, a page or a whole document, so that half of it was found does not say that the answer was. Where
one of the expected answers stands in a gold, the sentence around it is the target; where one stands beside it, as a
quote is often of the words before the answer, the target is from one to the other; else the gold itself is.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from openbook.bench.gold import HALF, Stretch
from openbook.bench.questions import Question
from openbook.text import sentence_ends
from openbook.types import Chunk

LONGEST = 200  # characters on each side of an answer that are its sentence: tables and code have no full stops
MOST = 20  # places of one gold in which its answers stand: of a whole document there may be thousands
SHORTEST, ENDING = 4, 2  # letters: 'cost' and 'costs', 'Calvinist' and 'Calvinism' are one
BESIDE = 300  # characters from a gold to an answer that stands beside it
NEARLY_ALL = 0.75  # of a sentence: a cut in its last words loses nothing
ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True, slots=True)
class Target:
    """document.text[start:end] of a gold's document: a sentence with an answer, or the gold where none holds one."""

    stretch: Stretch  # of the gold
    gold: int  # its number among the question's, from 0
    start: int
    end: int
    answer: tuple[int, int] | None = None  # where in the document's text an expected answer stands

    def is_in(self, chunk: Chunk) -> bool:
        """Whether a chunk can answer: it has the answer and half of its sentence, or has the gold as `gold` says it."""
        if self.answer is None:
            return self.stretch.is_in(chunk)
        return self._holds_answer(chunk) and self._shared(chunk) >= HALF * min(
            self.end - self.start, chunk.end - chunk.start
        )

    def is_whole_in(self, chunk: Chunk) -> bool:
        """Whether a chunk holds all of it but for some words at its ends."""
        holds = self.answer is None or self._holds_answer(chunk)
        return holds and self.share(chunk) >= NEARLY_ALL

    def share(self, chunk: Chunk) -> float:
        """How much of it a chunk holds: 0 to 1."""
        return self._shared(chunk) / (self.end - self.start)

    def _holds_answer(self, chunk: Chunk) -> bool:
        assert self.answer is not None
        return (
            chunk.document_id == self.stretch.document_id
            and chunk.start <= self.answer[0]
            and self.answer[1] <= chunk.end
        )

    def _shared(self, chunk: Chunk) -> int:
        if chunk.document_id != self.stretch.document_id:
            return 0
        return max(0, min(chunk.end, self.end) - max(chunk.start, self.start))


Text: TypeAlias = tuple[str, int]
"""Text of a document, or of a part of it, and where in the document it begins."""


def targets(
    question: Question, golds: Sequence[Sequence[Stretch]], text_of: Callable[[int, Stretch], Text]
) -> list[Target]:
    """The targets of a question; `text_of` gives the text around the n-th gold's stretch, '' where it is not known."""
    return [
        target
        for number, stretches in enumerate(golds)
        for stretch in stretches
        for target in _of_stretch(question, number, stretch, *text_of(number, stretch))
    ]


def _of_stretch(question: Question, number: int, stretch: Stretch, text: str, begin: int) -> list[Target]:
    first, last = stretch.start - begin, stretch.end - begin
    inside = text[first:last]
    spans = list(places(inside, question.answers))
    ends = list(sentence_ends(inside)) if spans else []
    found = {}
    for start, end in spans[:MOST]:
        begins, ended = sentence(inside, ends, start, end)
        answer = (stretch.start + start, stretch.start + end)
        found[answer] = Target(stretch, number, stretch.start + begins, stretch.start + ended, answer)
    if found:
        return list(found.values())
    before = max(0, first - BESIDE)
    near = [] if stretch.whole else list(places(text[before : last + BESIDE], question.answers))
    if not near:
        return [Target(stretch, number, stretch.start, stretch.end)]
    spans = [(begin + before + start, begin + before + end) for start, end in near]
    answer = min(spans, key=lambda one: max(stretch.start - one[1], one[0] - stretch.end))
    return [Target(stretch, number, min(stretch.start, answer[0]), max(stretch.end, answer[1]), answer)]


def sentence(text: str, ends: Sequence[int], start: int, end: int) -> tuple[int, int]:
    """Where the sentences around text[start:end] begin and end; `ends` are the ends of all."""
    before, after = bisect_right(ends, start), bisect_left(ends, end)
    first = ends[before - 1] if before else 0
    last = ends[after] if after < len(ends) else len(text)
    first, last = max(first, start - LONGEST), min(last, end + LONGEST)
    said = text[first:last]
    return first + len(said) - len(said.lstrip()), last - (len(said) - len(said.rstrip()))


def places(text: str, answers: Sequence[str]) -> Iterator[tuple[int, int]]:
    r"""Where one of the answers stands in a text, as `judging.contains` compares: but for case, punctuation, articles.

    >>> list(places("It took the three days, and  Three\nDays more.", ["three days"]))
    [(12, 22), (29, 39)]
    """
    for answer in answers:
        pattern = _pattern(answer)
        if pattern is not None:
            yield from (found.span() for found in pattern.finditer(text))


@lru_cache(maxsize=4096)
def _pattern(answer: str) -> re.Pattern[str] | None:
    words = [word for word in re.findall(r"\w+", answer) if word.lower() not in ARTICLES]
    if not words:
        return None
    between = r"[^\w]*(?:\b(?:an?|the)\b[^\w]*)?"
    return re.compile(rf"(?<!\w){between.join(map(re.escape, words))}(?!\w)", re.IGNORECASE)


def stems(text: str) -> set[str]:
    """The words of a text without what may be endings; numbers as they are.

    >>> sorted(stems("Calvinism costs 1,200")), sorted(stems("a Calvinist cost"))
    (['1', '200', 'calvini', 'cost'], ['a', 'calvini', 'cost'])
    """
    return {stem(word) for word in re.findall(r"\w+", text.casefold())}


def stem(word: str) -> str:
    """A word without its last letters, as far as four are left."""
    return word if word.isdigit() else word[: max(SHORTEST, len(word) - ENDING)]
