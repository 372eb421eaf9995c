"""How likely each of some choices is as the beginning of an answer, by a model's probabilities of its first token."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from openbook.errors import ModelError


def chances(first: Iterable[tuple[str, float]], choices: Sequence[str]) -> list[float]:
    """The probability of each choice, 0 to 1, given the likeliest first tokens and their natural logarithms.

    A token counts for a choice that it begins, or that it is followed by more than a letter or digit; its case and
    the white space around it are set aside, as they depend on what stands before it. A token that begins two choices
    counts for neither.

    >>> chances([("Yes", math.log(0.5)), (" yes,", math.log(0.2)), ("No", math.log(0.1)), ("I", -9.0)], ["yes", "no"])
    [0.7, 0.1]

    Raises:
        ModelError: One choice begins another, or what is likely begins more than one: the first token cannot tell.
    """
    words = [choice.strip().casefold() for choice in choices]
    _refuse_alike(words)
    found, unclear = [0.0] * len(words), 0.0
    for token, logarithm in first:
        said = token.strip().casefold()
        meant = [index for index, word in enumerate(words) if said and _begins(said, word)]
        if len(meant) == 1:
            found[meant[0]] += math.exp(logarithm)
        elif meant:
            unclear += math.exp(logarithm)
    if unclear > sum(found):
        raise _alike(choices)
    return [round(min(probability, 1.0), 9) for probability in found]


def _begins(said: str, word: str) -> bool:
    return word.startswith(said) or (said.startswith(word) and not said[len(word)].isalnum())


def _refuse_alike(words: list[str]) -> None:
    for index, word in enumerate(words):
        if not word or any(other.startswith(word) for other in words[:index] + words[index + 1 :]):
            raise _alike(words)


def _alike(choices: Sequence[str]) -> ModelError:
    shown = ", ".join(map(repr, choices))
    return ModelError(f"The first token cannot tell {shown[:200]} apart. Give choices that begin with other letters.")
