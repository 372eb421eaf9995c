"""What is wrong with a question that a model wrote, as far as words tell: no model and no search is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from openbook.bench.drafting import MOST_WORDS, Draft
from openbook.judging import contains, f1, plain, refuses
from openbook.languages import foreign_language
from openbook.rewriters.standing import NAMELESS
from openbook.supporting import stems

# Why a question is not kept; the order is that of the tests.
FORM, COPIED, LONG, CLOSED = "no question and answer", "answer not in the text", "long answer", "yes or no"
ALONE, ITSELF, LANGUAGE = "does not stand alone", "says its answer", "another language"
READER, MEMORY, DOUBLED, COMMON = (
    "reader answers otherwise",
    "known without the text",
    "asked already",
    "said too often",
)
ANSWERED = "answered after all"

# Words by which a question points at the text it was made from, English and German.
AT_TEXT = re.compile(
    r"\b(?:this|these|those|here|above|below|following|aforementioned|former|latter"
    r"|(?:mentioned|described|given|provided|shown|listed|stated|discussed) (?:in|by|here|above|below|text)"
    r"|the (?:\w+ )?(?:text|passage|paragraph|excerpt|snippet|sentence|section|heading|author|speaker|article)s?"
    r"|dies(?:e[mnrs]?)?|hier|obige[mnrs]?|oben|unten|folgende[mnrs]?|genannte[mnrs]?|erwähnte[mnrs]?"
    r"|(?:der|die|das|dem|den|des|im) (?:\w+ )?(?:Text|Textes|Abschnitt|Abschnitts|Absatz|Satz|Passage|Überschrift)"
    r"|we|our|ours|us|wir|uns|unsere?[mnrs]?)\b",
    re.IGNORECASE,
)
PRONOUNS_OF_BOTH = """
it its itself they them their theirs he him his himself she her hers
er ihn ihm sein seine seinen seinem seiner sie ihr ihre ihren ihrem ihrer es
"""
PRONOUNS = frozenset(PRONOUNS_OF_BOTH.split())
ASKING = frozenset({"wohin", "woher", "wozu", "worauf", "worin", "womit", "wodurch", "weshalb", "wofür"})
# 'Does it ...?', 'Ist es ...?': half of the guesses are right.
YES_OR_NO = re.compile(
    r"^(?:is|are|was|were|do|does|did|can|could|will|would|shall|should|may|might|must|has|have|had|am"
    r"|ist|sind|war|waren|kann|können|muss|müssen|darf|dürfen|soll|sollen|wird|werden|hat|haben|gibt)\b"
    r"(?!.*\b(?:or|oder)\b)",
    re.IGNORECASE,
)
YES = frozenset({"yes", "no", "ja", "nein", "true or false"})
WORD = re.compile(r"[^\W_]+(?:[._'’-][^\W_]+)*")
NAME = re.compile(r"\w[._:/-]\w|\d|[a-z][A-Z]|[A-Z]{2}")  # within a word: 'rest.port', 'KM20', 'TopicName', 'SSL'
ALL_NOUNS = frozenset({"de"})  # have a capital letter, so that it makes no name
FEWEST_NAMING = 2  # words that name something
SAID = 0.5  # of the answer's words stand in the question: it says it, or asks nothing
SAME = 0.8  # of the words of two questions
LIKE = 0.5  # f1 of two answers that say the same
WORDY = 3.0  # so many times the answer's words, and a sentence more: a reader that copies all has found nothing
SENTENCE = 25


def fault(draft: Draft, text: str, about: str, language: str = "") -> str:
    """Why the words of a question and its answer cannot stay; '' when nothing is wrong."""
    if not draft.question.endswith("?") or not plain(draft.answer):
        return FORM
    if not stands_in(draft.answer, text):
        return COPIED
    if len(draft.answer.split()) > MOST_WORDS:
        return LONG
    if plain(draft.answer) in YES:
        return CLOSED
    if says_answer(draft):
        return ITSELF
    return fault_of_question(draft.question, about, language)


def fault_of_question(question: str, about: str, language: str = "") -> str:
    """Why a question cannot stay, whatever its answer is."""
    if not question.endswith("?"):
        return FORM
    if YES_OR_NO.match(question):
        return CLOSED
    if not stands_alone(question, about, language):
        return ALONE
    if language and foreign_language(question, {language: 1}):
        return LANGUAGE
    return ""


def stands_alone(question: str, about: str = "", language: str = "") -> bool:
    """Whether a question points at nothing outside of it, and names something: a name, or a word of the heading.

    >>> stands_alone("What is the name of the new program?", "Tutorial > Line Split")
    False
    >>> stands_alone("What does the line split program read?", "Tutorial > Line Split")
    True
    """
    if AT_TEXT.search(question) or "{{" in question:  # of a page whose template was never filled in
        return False
    words = WORD.findall(question)
    naming = [number for number, word in enumerate(words) if word.casefold() not in NAMELESS | PRONOUNS | ASKING]
    names = [number for number in naming if _is_name(words[number], number, about, language)]
    pronoun = next((number for number, word in enumerate(words) if word.casefold() in PRONOUNS), len(words))
    before = [number for number in naming if number < pronoun]
    return bool(names) and len(naming) >= FEWEST_NAMING and (len(before) >= FEWEST_NAMING or names[0] < pronoun)


def _is_name(word: str, number: int, about: str, language: str) -> bool:
    """Whether a word of a question, its first one is number 0, tells one thing from others."""
    if NAME.search(word):
        return True
    heading = set(stems(about))
    if len(word) > 2 and not heading.isdisjoint(stems(word)):
        return True
    return number > 0 and word[0].isupper() and (language not in ALL_NOUNS or not heading)


def says_answer(draft: Draft) -> bool:
    """Whether a question holds its answer, or most of the words that make it.

    >>> says_answer(Draft("What is the password of the private key?", "the password of the key"))
    True
    """
    if f" {plain(draft.answer)} " in f" {plain(draft.question)} ":
        return True
    answer = [stem for word in WORD.findall(draft.answer) if word.casefold() not in NAMELESS for stem in stems(word)]
    asked = set(stems(draft.question))
    return bool(answer) and sum(stem in asked for stem in answer) > SAID * len(answer)


def right(said: str, answer: str) -> bool:
    """Whether what a reader said is the answer, in about as many words.

    >>> [right(said, "25 Euro") for said in ("25 Euro deposit", "Not in the text.", "25 dollars or a Euro")]
    [True, False, False]
    """
    if refuses(said):
        return False
    if len(said.split()) > WORDY * len(answer.split()) + SENTENCE:
        return False
    short = plain(said)
    return bool(contains(said, [answer]) or (short and contains(answer, [said])) or f1(said, [answer]) >= LIKE)


def doubled(question: str, others: Sequence[str]) -> bool:
    """Whether one of the others asks the same in nearly the same words."""
    words = set(plain(question).split())
    return any(len(words & other) >= SAME * len(words | other) for other in (set(plain(one).split()) for one in others))


def overlap(question: str, text: str) -> float:
    """The share of the words of a question, those that name nothing aside, that stand in a text: 0 to 1.

    >>> overlap("Why should the machine not be descaled with vinegar?", "Vinegar damages the seals of the machine.")
    0.6666666666666666
    """
    asked = [stem for word in WORD.findall(question) if word.casefold() not in NAMELESS for stem in stems(word)]
    held = set(stems(text))
    return sum(stem in held for stem in asked) / len(asked) if asked else 0.0


def stands_in(answer: str, text: str) -> bool:
    """Whether the words of an answer stand in a text one after the other, white space and case aside."""
    said = r"\s+".join(map(re.escape, answer.split()))
    return bool(re.search(rf"(?<!\w){said}(?!\w)", text, re.IGNORECASE))
