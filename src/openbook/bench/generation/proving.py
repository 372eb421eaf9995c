"""What is wrong with a question that a model wrote, as far as words tell: no model and no search is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from openbook.bench.generation.drafting import SUBJECTS
from openbook.bench.questions import alike
from openbook.judging import contains, f1, plain, refuses
from openbook.languages import foreign_language
from openbook.rewriters.standing import NAMELESS
from openbook.supporting import stems

# Why a question is not kept; the order is that of the tests.
FORM, CLOSED, ALONE = "no question", "yes or no", "does not stand alone"
ITSELF, LANGUAGE, DOUBLED = "says its answer", "another language", "asked already"
READER, MEMORY, COMMON = "reader answers otherwise", "known without the text", "said too often"
ANSWERED, ECHO = "answered after all", "repeats an example"

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
EXPLETIVE = re.compile(r"\bit(?= takes? )|(?<=dauert )es\b|(?<=gibt )es\b", re.IGNORECASE)
ASKING = frozenset({"wohin", "woher", "wozu", "worauf", "worin", "womit", "wodurch", "weshalb", "wofür"})
# 'Does it ...?', 'Ist es ...?': half of the guesses are right.
YES_OR_NO = re.compile(
    r"^(?:is|are|was|were|do|does|did|can|could|will|would|shall|should|may|might|must|has|have|had|am"
    r"|ist|sind|war|waren|kann|können|muss|müssen|darf|dürfen|soll|sollen|wird|werden|hat|haben|gibt)\b"
    r"(?!.*\b(?:or|oder)\b)",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\W_]+(?:[._'’-][^\W_]+)*")
NAME = re.compile(r"\w[._:/-]\w|\d|[a-z][A-Z]|[A-Z]{2}")  # within a word: 'rest.port', 'KM20', 'TopicName', 'SSL'
FEWEST_NAMING = 2  # words that name something
SAID = 0.5  # of the answer's words stand in the question: it says it, or asks nothing
LIKE = 0.5  # f1 of two answers that say the same
WORDY = 3.0  # so many times the answer's words, and a sentence more: a reader that copies all has found nothing
SENTENCE = 25


def fault(question: str, about: str, language: str = "", answer: str = "") -> str:
    """Why the words of a question cannot stay; '' when nothing is wrong."""
    if not question.endswith("?"):
        return FORM
    if answer and says_answer(question, answer):
        return ITSELF
    if YES_OR_NO.match(question):
        return CLOSED
    if not stands_alone(question, about):
        return ALONE
    if language and foreign_language(question, {language: 1}):
        return LANGUAGE
    return ""


def stands_alone(question: str, about: str = "") -> bool:
    """Whether a question points at nothing outside of it, and names something: a name, or a word of the heading.

    >>> stands_alone("What is the name of the new program?", "Tutorial > Line Split")
    False
    >>> stands_alone("What does the line split program read?", "Tutorial > Line Split")
    True
    """
    question = EXPLETIVE.sub("", question)
    if re.search(r"\bX\b", question):  # the thing itself was not named
        return False
    if AT_TEXT.search(question) or "{{" in question:  # of a page whose template was never filled in
        return False
    words = WORD.findall(question)
    naming = [number for number, word in enumerate(words) if word.casefold() not in NAMELESS | PRONOUNS | ASKING]
    names = [number for number in naming if _is_name(words[number], number, about)]
    pronoun = next((number for number, word in enumerate(words) if word.casefold() in PRONOUNS), len(words))
    before = [number for number in naming if number < pronoun]
    return bool(names) and len(naming) >= FEWEST_NAMING and (len(before) >= FEWEST_NAMING or names[0] < pronoun)


def _is_name(word: str, number: int, about: str) -> bool:
    """Whether a word of a question, its first one is number 0, tells one thing from others."""
    if NAME.search(word):
        return True
    heading = set(stems(about))
    if len(word) > 2 and not heading.isdisjoint(stems(word)):
        return True
    return number > 0 and word[0].isupper()  # in German a noun at least


def says_answer(question: str, answer: str) -> bool:
    """Whether a question holds its answer, or most of the words that make it.

    >>> says_answer("What is the password of the private key?", "the password of the key")
    True
    """
    if f" {plain(answer)} " in f" {plain(question)} ":
        return True
    if " " not in answer:  # 'Which setting holds the password of the key?' does not say 'ssl.key.password'
        return False
    words = [stem for word in WORD.findall(answer) if word.casefold() not in NAMELESS for stem in stems(word)]
    asked = set(stems(question))
    return bool(words) and sum(stem in asked for stem in words) > SAID * len(words)


def right(said: str, answer: str) -> bool:
    """Whether what a reader said is the answer, in about as many words.

    >>> [right(said, "25 Euro") for said in ("A deposit of 25 Euro", "Not in the text.", "Some dollars")]
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
    return any(alike(words, set(plain(one).split())) for one in others)


def echoes(question: str, text: str) -> bool:
    """Whether a question is about what the examples are about that the model was shown, and its text is not.

    >>> echoes("In which folder does the broker keep its snapshots?", "The broker keeps what it was sent.")
    True
    """
    return not (set(stems(question)) & set(stems(SUBJECTS))) <= set(stems(text))


def overlap(question: str, text: str) -> float:
    """The share of the words of a question, those that name nothing aside, that stand in a text: 0 to 1.

    >>> overlap("Why should the machine not be descaled with vinegar?", "Vinegar damages the seals of the machine.")
    0.6666666666666666
    """
    asked = [stem for word in WORD.findall(question) if word.casefold() not in NAMELESS for stem in stems(word)]
    held = set(stems(text))
    return sum(stem in held for stem in asked) / len(asked) if asked else 0.0
