"""A follow-up question written by the model so that it stands alone; and the question before it, as a second search.

How much each part gains: docs/decisions/0018-conversations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from openbook.completing import complete
from openbook.errors import SpecError, TooLongError
from openbook.phrases import phrases
from openbook.prompts.citations import is_refusal, without_citations
from openbook.rewriters.previous import joined, plain, turns
from openbook.rewriters.standing import stands_alone
from openbook.text import beginning
from openbook.types import LLM, Message

SYSTEM = """\
Write the user's last message as one question that can be understood without the conversation: put names in the place \
of words such as it, they, he, there, this, and say what it is about if it does not. Keep its own words and its \
language. If it is about something new, repeat it. Never answer it."""

# (what was said, the last message, how it stands alone). Among them a topic that changes, a few words without a verb,
# and another language: without such examples the small model answers, or drags the old topic along. The last one counts
# most: with a plain "When was he born?" in its place, "And what did he do after that?" was repeated as it is.
EXAMPLES = (
    (
        (
            ("I bought a used car in Texas.", "You must register the car within 30 days."),
            ("What does it cost?", "About 50 dollars."),
        ),
        "license plates",
        "What about license plates for a used car in Texas?",
    ),
    (
        (("What is aspirin?", "Aspirin is a drug against pain and fever."),),
        "Anything special for my 3 year old child?",
        "Is there anything special about aspirin for my 3 year old child?",
    ),
    (
        (("What is aspirin?", "Aspirin is a drug against pain and fever."),),
        "Who won the World Cup in 2014?",
        "Who won the World Cup in 2014?",
    ),
    (
        (("Wo liegt der Bodensee?", "Er liegt zwischen Deutschland, Österreich und der Schweiz."),),
        "Und wie tief ist er?",
        "Wie tief ist der Bodensee?",
    ),
    (
        (
            ("Who wrote Hamlet?", "Hamlet was written by William Shakespeare around 1600."),
            ("Where did William Shakespeare live?", "In Stratford and in London."),
        ),
        "And what did he write after that?",
        "What did William Shakespeare write after Hamlet?",
    ),
)

QUESTION, ANSWER = 200, 160  # characters shown of what was said before: what it is about stands at the beginning
TOKENS = 64  # of a rewritten question, at most
LONGEST = 3  # times the question, and so many characters more: what is longer is an answer
MORE = 120


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Searches for the question as it stands alone, and for it together with the question before it.

    Raises:
        ModelError: The model is missing or failed.
    """

    VERSION: ClassVar[int] = 1

    llm: LLM
    turns: int = 2  # last turns that the model reads

    def __post_init__(self) -> None:
        if self.turns < 1:
            raise SpecError(f"followup(turns={self.turns}): turns must be 1 or more, such as 2.")

    def __call__(self, question: str, history: Sequence[Message]) -> tuple[str, ...]:
        said = turns(history)
        if not said:
            return (question,)
        written = question if stands_alone(question) else self._fitting(question, said[-self.turns :])
        return written, joined(said[-1][0], question)

    def _fitting(self, question: str, said: Sequence[tuple[str, str]]) -> str:
        """By as many of the last turns as a small context has room for; by none it stays as it is."""
        for first in range(len(said)):
            with suppress(TooLongError):
                return self._written(question, said[first:])
        return question

    def _written(self, question: str, said: Sequence[tuple[str, str]]) -> str:
        messages = [Message("system", SYSTEM)]
        for before, last, alone in EXAMPLES:
            messages += [Message("user", _shown(before, last)), Message("assistant", alone)]
        text, usage = complete(self.llm, [*messages, Message("user", _shown(said, question))], TOKENS)
        return _checked(text, question) if usage.stopped != "length" else question


def _shown(said: Sequence[tuple[str, str]], question: str) -> str:
    lines = [
        f"User: {beginning(asked, QUESTION)}\nAssistant: {beginning(without_citations(answer), ANSWER)}"
        for asked, answer in said
    ]
    return "\n".join(lines) + f"\n\nLast message: {' '.join(question.split())}"


def _checked(text: str, question: str) -> str:
    """What the model wrote, or the question itself where that cannot be a question of the same kind."""
    lines = text.strip().splitlines()
    line = lines[0].strip().strip("\"'“”„«»").removeprefix("Last message:").strip() if lines else ""
    if not any(map(str.isalnum, line)) or is_refusal(line) or len(line) > LONGEST * len(question) + MORE:
        return question
    return line if phrases(question) else plain(line)
