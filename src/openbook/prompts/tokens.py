"""Looks at a rendered prompt as the model gets it: as tokens. What is wrong there cannot be seen in its characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from openbook.models.gguf import Header
from openbook.prompts.deciding import PROBE, Decided

Tokenize = Callable[[str], Sequence[str]]
"""The pieces of a text's tokens, with what the tokenizer puts at its ends; control tokens are read as such."""

MARK = re.compile(r"<[|｜][^<>\s]{1,60}>|<[^<>\s]{1,60}[|｜]>|</?[a-z_:]{1,20}>|\[\|\w{1,30}\|\]")
BEGINNING = 4  # tokens in which a second first one is a mistake; Llama 2 has one before each question


def check(tokenize: Tokenize, decided: Decided, header: Header) -> list[str]:
    """What is wrong with a chat of two questions, a line each; nothing is empty.

    Raises:
        ModelError: The template is broken, or the tokenizer failed.
    """
    prompt = decided.render(PROBE)
    pieces = list(tokenize(prompt))
    marks = [mark for mark in dict.fromkeys(MARK.findall(prompt)) if _count(tokenize, mark, header) > 1]
    return [
        *_beginning(pieces, header),
        *_missing(prompt),
        *_end(prompt, decided, marks),
    ]


def _beginning(pieces: Sequence[str], header: Header) -> list[str]:
    bos = header.bos
    if not bos or pieces[:BEGINNING].count(bos) < 2:
        return []
    return [f"The prompt begins with {bos} more than once: the tokenizer puts one before it, and the template too."]


def _missing(prompt: str) -> list[str]:
    lost = [turn.content for turn in PROBE if turn.content not in prompt]
    return [f"The format leaves out what was said: {', '.join(map(repr, lost))}."] if lost else []


def _end(prompt: str, decided: Decided, marks: Sequence[str]) -> list[str]:
    """Whether there is a token that ends an answer, as the model must write it by itself."""
    answer, question = PROBE[2].content, PROBE[3].content
    between = prompt.partition(answer)[2].rpartition(question)[0]
    end = MARK.match(between.lstrip())
    if end is None and not decided.stop:
        return ["Nothing stands after an answer by which the model could end it: it will go on as the user."]
    if end is None or end[0] not in marks:
        return []
    others = [mark for mark in marks if mark != end[0]]
    also = f" (so do {', '.join(others)})" if others else ""
    return [
        f"{end[0]}, which ends an answer, is no token of this model but several characters to it{also}: "
        "it was taught another format."
    ]


def _count(tokenize: Tokenize, mark: str, header: Header) -> int:
    pieces = list(tokenize(mark))
    return len(pieces) - (header.adds_bos and pieces[:1] == [header.bos] and mark != header.bos)
