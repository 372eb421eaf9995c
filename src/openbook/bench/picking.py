"""Words of a text that a question can be asked for: names, numbers, conditions and reasons, found by their form.

A small model that is asked for a question and its answer takes the answer badly: half a clause, or the thing itself.
Given the answer it writes the question well, and whether the two fit a reader can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from openbook.bench.spans import Span, is_sentence
from openbook.refiners.stretches import sentences
from openbook.supporting import stems
from openbook.types import Document, label_at

UNITS = (
    r"%|percent|[kKMGT]i?B|ms|(?:milli|micro|nano)?seconds?|minutes?|hours?|days?|weeks?|months?|years?|bytes?|bits?"
)
GERMAN_UNITS = r"Prozent|Sekunden|Minuten|Stunden|Tagen?|Wochen|Monaten?|Jahren?|Ellen|Euro"
# Not '3.' of a list, '14:12' of a verse, '[0,...]', '>=2.4', 'KIP-98'.
NUMBER = re.compile(
    rf"(?<![\w.,/:=<>\[|$#-])\d+(?:[.,]\d+)*(?: ?(?:{UNITS}|{GERMAN_UNITS})(?!\w))?(?![\w\]/:-]|[.,]\S)"
)
# 'max.message.bytes', '--verify', 'kafka-acls.sh'
OPTION = re.compile(r"(?<![\w./#-])(?:--[a-z][\w-]+|[A-Za-z_][\w-]*(?:[._][\w-]+)+)(?![\w/(#-])")
DEFAULT = re.compile(r"^Default: \| (?P<answer>(?!null\b|none\b|false\b|true\b|\"\"|\[)[^\s|]+)", re.MULTILINE)
REASON = re.compile(
    r"\b(?:because|so that|in order to|unless|until|as soon as|only if|only when|weil|damit|falls|sobald|auf daß)"
    r" (?P<answer>[^.;:,()\n|]{12,80})(?=[.;:,(\n]|$)"
)
CAMEL = re.compile(r"(?<![\w./#-])(?:[a-z]+[A-Z]\w+|[A-Z][a-z0-9]+[A-Z]\w*)(?![\w/(#.-])")
QUOTED = re.compile(r"[\"“„](?P<answer>[^\"“”„\n]{3,40})[\"”“](?!\w)")
NAME = re.compile(r"(?<=[a-zäöüß,;] )[A-Z][\w-]+(?: [A-Z][\w-]+)*(?!['’\w-])")
# Where every noun has a capital letter: what a preposition without an article stands before.
NAME_AMONG_NOUNS = re.compile(r"\b(?:aus|von|mit|bei|nach|zu|an|in) (?P<answer>[A-ZÄÖÜ][\w-]{2,})(?!['’\w-])")
ALL_NOUNS = frozenset({"de"})
HEADED = re.compile(r"(?:.* > )?(?P<answer>[A-Za-z_][\w-]*(?:[._][\w-]+)+)")  # a section on one option
# One of several: 'such as Scribe and Apache Flume'. A question for one of them has two answers.
AND_BEFORE = re.compile(r"(?:\b(?:and|or|und|oder|to|bis)|/|&)[\s\"“„'`(]+$")
AND_AFTER = re.compile(r"[\s\"”“'`)]*(?:,\s*[\w\"“`]+\b(?=,| and| or| und| oder)|(?:and|or|und|oder|to|bis)\b|/|&)")
SHORTEST = 4  # characters of a name: not 'e.g'
TELLING, PLAIN = (NUMBER, OPTION, DEFAULT, REASON), (CAMEL, QUOTED)
COMMON = 8  # times that a name stands in its document: 'Kafka' in Kafka's says nothing


@dataclass(frozen=True, slots=True)
class Pick:
    """An answer and the sentence that it stands in: document.text[start:end]."""

    answer: str
    start: int
    end: int


def pick(document: Document, span: Span) -> Pick | None:
    """An answer that stands once in a span and not in its heading, always the same; None when nothing has the form."""
    telling: list[Pick] = []
    plain: list[Pick] = []
    for start, end in sentences(document, span.start, span.end):
        sentence = document.text[start:end]
        kind = label_at(document.parts, start)
        if (
            kind == "code"
            or "{{" in sentence
            or not (DEFAULT.search(sentence) if kind == "table" else is_sentence(sentence))
        ):
            continue
        forms = (DEFAULT,) if kind == "table" else TELLING
        telling += [Pick(one, start, end) for one in _found(sentence, forms) if _asks(one, span)]
        if kind != "table":
            names = (*PLAIN, NAME_AMONG_NOUNS if document.language in ALL_NOUNS else NAME)
            telling += _headed(span, start, end)
            plain += [
                Pick(one, start, end)
                for one in _found(sentence, names)
                if _asks(one, span) and _names(one, document.text)
            ]
    # Drawn by what the span says: whatever else is in the book, it is asked the same.
    return Random(span.text).choice(telling or plain) if telling or plain else None


def _headed(span: Span, start: int, end: int) -> list[Pick]:
    """Of a section that is headed by an option's name, the name: from there to the end of its first sentence."""
    match = HEADED.fullmatch(span.about)
    at = span.text.find(match["answer"]) if match else -1
    between = span.text[at + len(match["answer"]) : start - span.start] if match and at >= 0 else "x"
    return [Pick(match["answer"], span.start + at, end)] if match and not between.strip() else []


def _found(sentence: str, forms: tuple[re.Pattern[str], ...]) -> Iterator[str]:
    for form in forms:
        for match in form.finditer(sentence):
            said = " ".join((match.groupdict().get("answer") or match[0]).split())
            alone = not (AND_BEFORE.search(sentence, 0, match.start()) or AND_AFTER.match(sentence, match.end()))
            if (alone or form in {REASON, DEFAULT}) and (said[0].isdigit() or len(said) >= SHORTEST):
                yield said


def _names(name: str, text: str) -> bool:
    """Whether a word tells one thing in a document: not what it is all about, nor a plain word with a capital."""
    return text.count(name) <= COMMON and name.lower() not in text


def _asks(answer: str, span: Span) -> bool:
    return span.text.count(answer) <= 1 and not set(stems(answer)) <= set(stems(span.about))
