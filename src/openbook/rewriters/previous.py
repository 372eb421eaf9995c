"""A follow-up question searched with the one before it: no model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from openbook.phrases import unquoted
from openbook.types import Message


@dataclass(frozen=True, slots=True)
class Previous:
    """The question itself, and as a second search the question before it with it."""

    VERSION: ClassVar[int] = 1

    def __call__(self, question: str, history: Sequence[Message]) -> tuple[str, ...]:
        said = turns(history)
        return (question, joined(said[-1][0], question)) if said else (question,)


def turns(history: Sequence[Message]) -> list[tuple[str, str]]:
    """(question, answer) of each turn, oldest first; an answer that is not there is ''."""
    found: list[tuple[str, str]] = []
    for message in history:
        if message.role == "user":
            found.append((message.content, ""))
        elif message.role == "assistant" and found:
            found[-1] = (found[-1][0], message.content)
    return found


def joined(before: str, question: str) -> str:
    """Two questions as one text; what was quoted before need not be in what is found now."""
    return f"{plain(before)}\n{question}"


def plain(text: str) -> str:
    """The words without double quotes, in one line."""
    return " ".join(unquoted(text).split())
