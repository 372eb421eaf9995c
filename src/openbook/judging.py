"""How good an answer is, told without a judge: right, refusing, cited where the answer stands.

Words are compared as SQuAD compares them: without case, punctuation and English articles. `exact` and `f1` equal those
of its evaluation script (version 2.0; benchmarks/squad_metrics.py), but that citations such as [1] are taken out first
and that, where nothing is expected, a refusal in words is as right as saying nothing. Rajpurkar et al., SQuAD: 100,000+
Questions for Machine Comprehension of Text, 2016.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from openbook.prompts.citations import CITATION, is_refusal

T = TypeVar("T")

PUNCTUATION = str.maketrans("", "", string.punctuation)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

# How models say that they cannot answer, in words of their own, English and German.
REFUSING = re.compile(
    r"not (?:\w+ ){0,3}(?:in|by|from) (?:the|these|this|any)(?: \w+){0,2} (?:document|passage|text|context|page)s?\b"
    r"|(?:do|does|did|is|are|was|were)(?: not|n't)(?: \w+){0,2} (?:say|state|mention|specif|provide|contain|hold|give|"
    r"include|answer|clear|known|indicate)\w*"
    r"|no (?:\w+ )?(?:information|mention|answer|indication)\b"
    r"|(?:cannot|can't|can not|could not|unable to)(?: be)? (?:answer|determin|find|tell|found)\w*"
    r"|(?:nicht|kein\w*) (?:\w+ ){0,3}(?:erwähnt|angegeben|genannt|enthalten|beantwort\w*|information\w*"
    r"|angabe\w*|hervor)",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """As SQuAD's script compares texts.

    >>> plain("The  Ark, (of Noah). [1]")
    'ark of noah'
    """
    text = CITATION.sub(" ", text).lower().translate(PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact(answer: str, expected: Sequence[str]) -> float:
    """1 when the answer is one of the expected; without any expected, when it is a refusal or empty."""
    if not expected:
        return float(is_refusal(answer) or not plain(answer))
    return float(plain(answer) in _wanted(expected))


def _wanted(expected: Sequence[str]) -> list[str]:
    """The expected answers as they are compared; one that is an article alone is none, as in SQuAD's script."""
    return [words for one in expected if (words := plain(one))] or [""]


def f1(answer: str, expected: Sequence[str]) -> float:
    """The harmonic mean of precision and recall of the answer's words, by the expected one it fits best: 0 to 1."""
    if not expected:
        return exact(answer, expected)
    return max(_f1(plain(answer).split(), one.split()) for one in _wanted(expected))


def _f1(said: list[str], wanted: list[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted))


def contains(answer: str, expected: Sequence[str]) -> float:
    """1 when the words of one of the expected stand in the answer, one after the other.

    >>> contains("It was in 1997 [2].", ["1997"]), contains("It was in 19971.", ["1997"])
    (1.0, 0.0)
    """
    said = f" {plain(answer)} "
    return float(any(f" {plain(one)} " in said for one in expected if plain(one)))


def refuses(answer: str) -> bool:
    """Whether an answer says, alone or beside something else, that the documents do not answer.

    >>> [refuses(one) for one in ("Not in these documents.", "The passages do not mention it.", "He did not flee.")]
    [True, True, False]
    """
    return is_refusal(answer) or bool(REFUSING.search(answer))


def clean(answer: str, expected: Sequence[str]) -> float:
    """1 for an answer that is right and does not also say that there is none; without any expected, for a refusal."""
    if not expected:
        return float(refuses(answer))
    return float(contains(answer, expected) and not refuses(answer))


def numbers(answer: str, expected: Sequence[str]) -> float | None:
    """1 when the numbers of one of the expected, years and days included, are all in the answer; None: none has any.

    >>> numbers("It cost $1,200 in 1997 [3].", ["1200 dollars"]), numbers("12 men", ["twelve"])
    (1.0, None)
    """
    wanted = [found for one in expected if (found := _numbers(one))]
    if not wanted:
        return None
    said = _numbers(CITATION.sub(" ", answer))
    return float(any(found <= said for found in wanted))


def _numbers(text: str) -> set[str]:
    return {re.sub(r"[.,](?=\d{3}\b)", "", one).rstrip(".,").replace(",", ".") for one in NUMBER.findall(text)}


def cited_precision(cited: Collection[int], passages: Sequence[T], holds: Callable[[T], bool]) -> float:
    """The share of the cited passages, numbered from 1, that hold the answer; 0 when none is cited."""
    return sum(holds(passages[number - 1]) for number in cited) / len(cited) if cited else 0.0


def cited_recall(cited: Collection[int], passages: Sequence[T], holds: Callable[[T], bool]) -> float | None:
    """The share of the shown passages with the answer that are cited; None when none was shown."""
    shown = {number for number, passage in enumerate(passages, 1) if holds(passage)}
    return len(shown & set(cited)) / len(shown) if shown else None
