"""Reads an answer: which passages it cites, and whether it says that the documents do not answer."""

from __future__ import annotations

import re

REFUSAL = "Not in these documents."
"""What a model is told to say, in every language, when the passages do not hold the answer."""

CITATION = re.compile(r"\[\s*(\d{1,4}(?:\s*(?:[,;&]|-|–|and|und)\s*\d{1,4})*)\s*\]")
RANGE = re.compile(r"(\d+)(?:\s*[-–]\s*(\d+))?")
LONGEST_RANGE = 20  # [1-3] is a range of passages; [1990-2020] is a stretch of years


def citations(text: str) -> tuple[int, ...]:
    """The numbers a text cites, each once, in the order of their first mention.

    >>> citations("He fled [2]. The fish [1, 3][2] held him [4-6]. See [a], [0] and x[12].")
    (2, 1, 3, 4, 5, 6, 12)
    """
    numbers: dict[int, None] = {}
    for group in CITATION.findall(text):
        for first, last in RANGE.findall(group):
            start, end = int(first), int(last or first)
            span = range(start, end + 1) if start <= end < start + LONGEST_RANGE else (start, end)
            numbers.update(dict.fromkeys(number for number in span if number > 0))
    return tuple(numbers)


def split_citations(text: str, passages: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The cited numbers that exist, and those that do not, when there are so many passages.

    >>> split_citations("Three days [1], says Matthew [7].", 5)
    ((1,), (7,))
    """
    numbers = citations(text)
    return tuple(n for n in numbers if n <= passages), tuple(n for n in numbers if n > passages)


def without_citations(text: str) -> str:
    """The words alone, of an answer whose passages are no longer there to be looked up.

    >>> without_citations("He fled [2]. The fish held him [1, 3][2].")
    'He fled. The fish held him.'
    """
    return re.sub(rf"[ \t]*{CITATION.pattern}", "", text).strip()


def is_refusal(text: str) -> bool:
    """Whether an answer says only that the documents do not hold it, citations and punctuation aside.

    >>> [is_refusal(text) for text in ("Not in these documents.", " not in these documents [1]", "He is not here.")]
    [True, True, False]
    """
    return _words(CITATION.sub("", text)) == _words(REFUSAL)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
