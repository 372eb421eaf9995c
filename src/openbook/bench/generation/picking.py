"""Words of a text that a question can be asked for: names, numbers, conditions and reasons, found by their form.

A small model that is asked for a question and its answer takes the answer badly: half a clause, or the thing itself.
Nor does it mind an answer that it is given. But what has begun with "Which setting " it ends by describing a setting:
so each form says how a question for it begins, and a reader tells whether the two fit.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random

from openbook.bench.generation.spans import Span, is_sentence
from openbook.refiners.stretches import sentences
from openbook.supporting import stems
from openbook.types import Document, label_at

UNITS = (
    r"%|percent|[kKMGT]i?B|ms|(?:milli|micro|nano)?seconds?|minutes?|hours?|days?|weeks?|months?|years?|bytes?|bits?"
)
GERMAN_UNITS = r"Prozent|Sekunden|Minuten|Stunden|Tagen?|Wochen|Monaten?|Jahren?|Ellen|Euro"
CLAUSE = r" (?P<answer>[^.;:,()\n|]{12,80})(?=[.;:,(\n]|$)"
FORMS = {
    # Not '3.' of a list, '14:12' of a verse, '[0,...]', '>=2.4', 'KIP-98'; nor a version, which is the next.
    "number": re.compile(
        rf"(?<![\w.,/:=<>\[|$#-])\d+(?:[.,]\d+)?(?: ?(?:{UNITS}|{GERMAN_UNITS})(?!\w))?(?![\w\]/:-]|[.,]\S)"
    ),
    "version": re.compile(r"(?<![\w.,/:=<>\[|$#-])\d+(?:\.\d+){2,}(?![\w\]/:-]|[.,]\S)"),
    # 'max.message.bytes', '--verify', 'kafka-acls.sh'
    "option": re.compile(r"(?<![\w./#-])(?:--[a-z][\w-]+|[A-Za-z_][\w-]*(?:[._][\w-]+)+)(?![\w/(#-])"),
    "default": re.compile(
        r"^Default: \| (?P<answer>(?!null\b|none\b|false\b|true\b|\"\"|\[)[^\s|]+)", re.MULTILINE | re.IGNORECASE
    ),
    "reason": re.compile(rf"\b(?:because|so that|in order to|weil|damit|auf daß){CLAUSE}"),
    "condition": re.compile(rf"\b(?:as soon as|only if|only when|nur wenn|falls|sobald){CLAUSE}"),
    "until": re.compile(rf"\b(?:until|so lange bis){CLAUSE}"),
    "class": re.compile(r"(?<![\w./#-])(?:[a-z]+[A-Z]\w+|[A-Z][a-z0-9]+[A-Z]\w*)(?![\w/(#.-])"),
    "name": re.compile(r"(?<=[a-zäöüß,;] )[A-Z][\w-]+(?: [A-Z][\w-]+)*(?!['’\w-])"),
}
# Where every noun has a capital letter: what a preposition without an article stands before.
NAME_AMONG_NOUNS = re.compile(r"\b(?:aus|von|mit|bei|nach|zu|an|in) (?P<answer>[A-ZÄÖÜ][\w-]{2,})(?!['’\w-])")
ALL_NOUNS = frozenset({"de"})
HEADED = re.compile(r"(?:.* > )?(?P<answer>[A-Za-z_][\w-]*(?:[._][\w-]+)+)")  # a section on one option
LISTED = frozenset({"default"})  # in tables; the others in sentences
TELLING = ("number", "version", "option", "reason", "condition", "until")
PLAIN = ("class", "name")  # where there is none of these
WHOLE = frozenset({"reason", "condition", "until", "default"})  # forms that are not one of several

# One of several: 'such as Scribe and Apache Flume'. A question for one of them has two answers.
AND_BEFORE = re.compile(r"(?:\b(?:and|or|und|oder|to|bis)|/|&)[\s\"“„'`(]+$")
AND_AFTER = re.compile(r"[\s\"”“'`)]*(?:,\s*[\w\"“`']+(?=,| and| or| und| oder)|(?:and|or|und|oder|to|bis)\b|/|&)")
LIST_NUMBER = re.compile(r"[ \t]*\d+[.)](?=\s|$)")
SHORTEST = 4  # characters of a name: not 'e.g'
COMMON = 8  # times that a name stands in its document: 'Kafka' in Kafka's says nothing

BEGINS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "number": "How many|How long|How much|How large|How often|By how much|What percentage of|What is the",
        "version": "Which version|In which version|Since which version|From which version|Up to which version",
        "option": "Which setting|Which option|Which property|Which parameter|Which file|Which command|Which class",
        "headed": "Which setting|Which option|Which property|Which parameter",
        "default": "What is the default",
        "reason": "Why",
        "condition": "When|In which case|Under which condition",
        "until": "Until when|How long",
        "class": "Which class|Which interface|Which method|Which type|Which function|Which setting",
        "name": "Which|Who|Where|What is the name of",
    },
    "de": {
        "number": "Wie viele|Wie viel|Wie lange|Wie groß|Wie oft|Wie hoch|Wie alt",
        "version": "Welche Version|In welcher Version|Seit welcher Version",
        "option": "Welche Einstellung|Welche Option|Welche Datei|Welcher Parameter|Welcher Befehl",
        "headed": "Welche Einstellung|Welche Option|Welcher Parameter",
        "default": "Was ist die Voreinstellung",
        "reason": "Warum|Wozu",
        "condition": "Wann|In welchem Fall|Unter welcher Bedingung",
        "until": "Bis wann|Wie lange",
        "class": "Welche Klasse|Welche Methode|Welche Schnittstelle|Welcher Typ",
        "name": "Wer|Wen|Wem|Wo|Wohin|Woher|Von wem|Zu wem|Bei wem|Welche|Welcher|Welches",
    },
}
"""By the language of the text; a question in another begins as it likes."""


@dataclass(frozen=True, slots=True)
class Pick:
    """An answer and the sentence that it stands in: document.text[start:end]."""

    answer: str
    start: int
    end: int
    begins: tuple[str, ...] = ()  # a question for it begins with one of these; (): as it likes


def pick(document: Document, span: Span) -> Pick | None:
    """An answer that stands once in a span and not in its heading, always the same; None when nothing has the form."""
    telling: list[Pick] = []
    plain: list[Pick] = []
    for start, end in sentences(document, span.start, span.end):
        sentence, kind = document.text[start:end], label_at(document.parts, start)
        if kind == "code" or "{{" in sentence:  # a page whose template was never filled in
            continue
        if kind == "table":
            # With what stands over it: 'Default: | 2' alone is the same in other tables. Not with what stands below it:
            # the same setting is told with more lines elsewhere.
            telling += [
                replace(one, start=span.start, end=start + document.text[start:end].index(one.answer) + len(one.answer))
                for one in _of(LISTED, document, span, start, end)
            ]
        elif is_sentence(sentence):
            telling += [*_headed(document, span, start, end), *_of(TELLING, document, span, start, end)]
            found = _of(PLAIN, document, span, start, end)
            plain += [one for one in found if _tells_apart(one.answer, document.text)]
    # Drawn by what the span says: whatever else is in the book, it is asked the same.
    return Random(span.text).choice(telling or plain) if telling or plain else None


def _of(forms: Collection[str], document: Document, span: Span, start: int, end: int) -> Iterator[Pick]:
    """What has one of the forms in the sentence document.text[start:end]."""
    sentence = document.text[start:end]
    for form in forms:
        pattern = NAME_AMONG_NOUNS if form == "name" and document.language in ALL_NOUNS else FORMS[form]
        for match in pattern.finditer(sentence):
            group = "answer" if "answer" in match.re.groupindex else 0
            said = " ".join(match[group].split())
            several = AND_BEFORE.search(sentence, 0, match.start()) or AND_AFTER.match(sentence, match.end())
            listed = LIST_NUMBER.match(sentence, sentence.rfind("\n", 0, match.start()) + 1)
            if several and form not in WHOLE or listed and listed.end() > match.end():
                continue
            if (said[0].isdigit() or len(said) >= SHORTEST) and _asks(said, span):
                yield Pick(said, start, end, begins(document, form))


def _headed(document: Document, span: Span, start: int, end: int) -> list[Pick]:
    """Of a section that is headed by an option's name, the name: from there to the end of its first sentence."""
    match = HEADED.fullmatch(span.about)
    at = span.text.find(match["answer"]) if match else -1
    if match is None or at < 0 or span.text[at + len(match["answer"]) : start - span.start].strip():
        return []
    return [Pick(match["answer"], span.start + at, end, begins(document, "headed"))]


def begins(document: Document, form: str) -> tuple[str, ...]:
    """How a question for a form begins in a document's language."""
    return tuple(filter(None, BEGINS.get(document.language, {}).get(form, "").split("|")))


def _tells_apart(name: str, text: str) -> bool:
    """Whether a word tells one thing in a document: not what it is all about, nor a plain word with a capital."""
    return text.count(name) <= COMMON and name.lower() not in text


def _asks(answer: str, span: Span) -> bool:
    return span.text.count(answer) <= 1 and not set(stems(answer)) <= set(stems(span.about))
