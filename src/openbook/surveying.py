"""A question put to every chunk: which of them say something about it, and what.

passage + question --> P(Yes), P(No) --yes--> the same prompt goes on: what does it say? --beside the passage--> Answer

For "list all" and "how many", which no search for the nearest passages can answer.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event

from openbook.calling import Call, Caller
from openbook.completing import complete, in_order
from openbook.errors import ModelError
from openbook.types import LLM, Message, Report
from openbook.whole import NOTHING, SENTENCE_TOKENS, Checker, Note, Readable, Whole, documents_of, pieces, room, written

SYSTEM = "You read a text and say what it tells about a question. Be brief."
ASK = "Does the text say something that answers the question, or a part of it? Answer Yes or No."
# "Answer the question from this text" gives sentences of the question's own words, of any text: decision 19.
TELL = "What does the text say about it? Answer in one short sentence."
TELL_OR_NOT = f"{TELL} If it says nothing about it, write only: {NOTHING}"
CHOICES = ("Yes", "No")


@dataclass
class Surveyor:
    """Asks about one passage after the other."""

    llm: LLM
    question: str
    chooses: bool = field(default=True, init=False)  # the model tells how likely a yes is

    def messages(self, text: str, task: str) -> list[Message]:
        """What stays the same comes first, so that the second question of a passage costs no reading."""
        asked = f"Question: {' '.join(self.question.split())}"
        return [Message("system", SYSTEM), Message("user", f"Text:\n{text}\n\n{asked}\n\n{task}")]

    def __call__(self, call: Call, stop: Event) -> tuple[bool, str, bool]:
        """Whether a passage says something about the question, what, and whether that was cut off at its longest.

        A passage that is judged to say nothing is not asked further.
        """
        messages = call.messages
        if self._says_nothing(messages) or stop.is_set():
            return False, "", False
        if self.chooses:
            messages = [*messages, Message("assistant", "Yes."), Message("user", TELL)]
        else:
            head = messages[-1].content.removesuffix(ASK)
            messages = [messages[0], Message("user", head + TELL_OR_NOT)]
        text, usage = complete(self.llm, messages, call.max_tokens)
        return not text.startswith(NOTHING[:-1]), text, usage.stopped == "length"

    def _says_nothing(self, messages: Sequence[Message]) -> bool:
        if not self.chooses:
            return False
        try:
            yes, no = self.llm.choose(messages, CHOICES)
        except ModelError:  # a service that gives no probabilities; one that is gone says so again when it must write
            self.chooses = False
            return False
        return no >= yes


def survey(read: Readable, question: str, *, report: Report | None = None) -> Whole:
    """What every chunk of documents says about a question: a sentence each, those that say the same as one.

    Raises:
        BookError: These documents have no text.
        ModelError: The model is missing or failed; what it said before is remembered.
    """
    started = time.perf_counter()
    surveyor = Surveyor(read.llm, question)
    most = room(read.llm, [*surveyor.messages("", ASK), Message("user", TELL_OR_NOT)], SENTENCE_TOKENS)
    passages, _ = pieces(read.passages(), read.llm, most)
    then = TELL + TELL_OR_NOT
    calls = [
        Call(surveyor.messages(passage.chunk.indexed.strip(), ASK), SENTENCE_TOKENS, then=then) for passage in passages
    ]

    def ask(numbers: list[int]) -> Generator[tuple[bool, str, bool]]:
        return in_order(surveyor, [calls[number] for number in numbers], read.llm.parallel)

    caller, checker = Caller(read.llm, read.remembered, report), Checker(passages)
    notes: list[Note] = []
    with closing(caller.in_order(calls, ask, "read", "passages")) as answers:
        for number, (says, text, cut) in enumerate(answers):
            notes += checker.notes(text, [number], 1, cut=cut) if says else []
    about = len({number for note in notes for number in note.passages})
    prompt = read.llm.render(calls[-1].messages)
    answer = written(question, checker.merged(notes), passages, read.llm, prompt, time.perf_counter() - started)
    return Whole(answer, documents_of(passages), len(passages), about, checker.dropped, caller.made, caller.known)
