"""Which of some texts say what a sentence says, as far as words can tell: a citation that no model has to make.

sentence, texts --words weighed by their rarity among the texts--> the texts that together hold most of that weight
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from math import log

from openbook.prompts.citations import CITATION
from openbook.text import sentence_ends

WORD = re.compile(r"[^\W_]+")
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff]")
LEAD = re.compile(r"^(?:[-*•–.,;:#>\s]+|\d{1,3}[.)](?:\s+|(?=[^\W\d])))+")
# What small models put before a fact that they were asked for.
OPENING = re.compile(
    r"^(?:the|this) (?:most important (?:fact|point)[^,.:]{0,40}|text|passage) (?:is|says|states|tells(?: us)?) that ",
    re.IGNORECASE,
)
STEM = 5  # letters of a word that are compared, so that its endings do not count: 'prayed', 'prayer'

# Of the weight of a sentence's words: docs/decisions/0019-whole-documents.md says how these were found.
LEAST = 0.4  # that the texts cited must hold
MORE = 0.15  # that each text after the first must add
MOST_TEXTS = 3
SHORTEST = 3  # words of a sentence
ALIKE = 0.7  # of the words of two sentences together, that both must hold to say the same


class Texts:
    """The texts that sentences are held against."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = [frozenset(stems(text)) for text in texts]
        self._found_in = Counter(word for words in self._words for word in words)

    def support(self, sentence: str, among: Collection[int]) -> tuple[int, ...]:
        """The numbers of at most three texts that say it, rising; none when they hold too little of its words.

        >>> texts = Texts(["Jonah fled to Tarshish.", "A storm rose.", "He slept in the ship."])
        >>> texts.support("Jonah slept in a ship to Tarshish.", range(3)), texts.support("Whales sing.", range(3))
        ((0, 2), ())
        """
        words = set(stems(sentence))
        whole, missing, chosen = self._weight(words), words, list[int]()
        while len(chosen) < min(MOST_TEXTS, len(among)):
            best = max(among, key=lambda number: (self._weight(missing & self._words[number]), -number))
            if self._weight(missing & self._words[best]) < MORE * whole:
                break
            chosen.append(best)
            missing = missing - self._words[best]
        held = whole - self._weight(missing)
        return tuple(sorted(chosen)) if whole and held >= LEAST * whole else ()

    def alike(self, sentence: str, other: str) -> bool:
        """Whether two sentences say the same."""
        one, two = set(stems(sentence)), set(stems(other))
        return self._weight(one & two) >= ALIKE * self._weight(one | two)

    def _weight(self, words: Collection[str]) -> float:
        """How much words tell: those that most texts hold hardly anything, those that none holds most."""
        return sum(log((len(self._words) + 1) / (self._found_in[word] + 0.5)) for word in words)


def stems(text: str) -> Iterator[str]:
    """The beginnings of a text's words, in lower case; of scripts without spaces between words each character.

    >>> list(stems("Jonah prayed: 3 days. 鱼游"))
    ['jonah', 'praye', '3', 'days', '鱼', '游']
    """
    for word in WORD.findall(text.casefold()):
        yield from word if UNSPACED.match(word) else (word[:STEM],)


def sentences(text: str) -> list[str]:
    r"""What a model wrote, a sentence each: without marks of lists, citations, headings, or what is not a sentence.

    >>> sentences("Here is a summary:\n1. Jonah fled away [2]. A storm rose,\n- He fell asleep.")
    ['Jonah fled away.', 'A storm rose.', 'He fell asleep.']
    """
    found = []
    for line in CITATION.sub("", text).splitlines():
        if line.rstrip(" *_").endswith(":"):
            continue
        for start, end in pairwise([0, *sentence_ends(line), len(line)]):
            words = " ".join(LEAD.sub("", line[start:end].replace("**", "")).split()).rstrip(" ,;:-–")
            words = OPENING.sub("", re.sub(r"\s+(?=[.,;!?])", "", words))
            words = words[:1].upper() + words[1:]
            if len(list(stems(words))) >= SHORTEST:
                found.append(words if words[-1] in ".!?…。！？\"'”’)" else f"{words}.")
    return found
