"""passages + question -> messages that ask for an answer out of the passages alone, with citations.

What stays the same comes first, then what was said before, then the passages, then the question: a server that keeps
what it has read begins where two prompts differ. The best passage, [1], stands last: a small model believes most what
it read last (decision 0003).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from openbook.errors import SpecError
from openbook.prompts.citations import REFUSAL, without_citations
from openbook.types import Message, Passage

SYSTEM = f"""\
Answer the question from the numbered passages alone, in one or two short sentences. \
After each sentence write the number of the passage it is from, such as [1]. \
If the passages do not hold the answer, write only: {REFUSAL}"""

# The end of a prompt counts most to a small model. That it may refuse is not said here again: it would then refuse what
# it was shown (decision 0003).
REMINDER = "Answer in one short sentence, and after it the number of the passage that says so, such as [1]."


@dataclass(frozen=True)
class Cited:
    """Numbered passages, then the question; answers cite [n] or say REFUSAL.

    >>> Cited().messages("Who fled?", [])[1].content.splitlines()[:3]
    ['(no passages)', '', 'Question: Who fled?']
    """

    VERSION: ClassVar[int] = 1

    # Of 3 passages the default model finds the answer more often than of 5, and begins 40 % sooner: decision 0003.
    passages: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.passages <= 99:
            raise SpecError(f"cited(passages={self.passages}): write a number from 1 to 99.")

    def messages(self, question: str, passages: Sequence[Passage], history: Sequence[Message] = ()) -> list[Message]:
        shown = [
            f"[{number}] {_head(passage)}\n{passage.chunk.text.strip()}" for number, passage in enumerate(passages, 1)
        ]
        shown = shown[::-1] or ["(no passages)"]
        return [
            *_before(history),
            Message("user", "\n\n".join([*shown, f"Question: {' '.join(question.split())}", REMINDER])),
        ]


def _before(history: Sequence[Message]) -> list[Message]:
    """Instructions, and what was said before: old numbers would be copied, and point at other passages now."""
    remembered = "".join(f"\n\n{one.content}" for one in history if one.role == "system")
    said = [one for one in history if one.role != "system"]
    return [
        Message("system", SYSTEM + remembered),
        *(Message(one.role, without_citations(one.content)) if one.role == "assistant" else one for one in said),
    ]


def _head(passage: Passage) -> str:
    """Where a passage is from: the file's name without its folders, or a mail's subject and day; and the place."""
    name = passage.source.replace("\\", "/").rsplit("/", 1)[-1]
    day = str(passage.fields.get("date", ""))[:10]
    names = (passage.title, day) if "#" in name and passage.title else (name,)
    return " ".join(", ".join(filter(None, (*names, passage.chunk.place))).split())
