"""Many calls of one model for one long work: what is known from an earlier run is not asked, the rest is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from openbook.completing import complete_all
from openbook.remembering import Remembered
from openbook.types import LLM, Message, Progress, Report

T = TypeVar("T")

FIRST_CALLS, FIRST_SECONDS = 2, 4.0  # of each slot, after which what is left is told


@dataclass(frozen=True, slots=True)
class Call:
    """One thing asked of a model."""

    messages: list[Message]
    max_tokens: int
    grammar: str = ""
    then: str = ""  # what may be asked after it, in the same conversation
    weight: int = 1  # of what is counted while it goes on, such as passages

    @property
    def words(self) -> str:
        """All that an answer depends on."""
        return repr((self.messages, self.max_tokens, self.grammar, self.then))

    @property
    def characters(self) -> int:
        """What a model has to read, about."""
        return sum(len(message.content) for message in self.messages)


@dataclass
class Caller:
    """Asks one model. What it counts is of all calls so far."""

    llm: LLM
    remembered: Remembered
    report: Report | None = None
    made: int = field(default=0, init=False)  # calls, those included that an earlier run had made:
    known: int = field(default=0, init=False)
    _told: bool = field(default=False, init=False)

    def texts(self, calls: Sequence[Call], step: str, unit: str) -> Generator[tuple[str, bool]]:
        """What the model answers to each, in order, and whether the answer was cut off at its longest.

        Raises:
            ModelError: As `LLM.stream`. What was answered before is remembered.
        """

        def ask(numbers: list[int]) -> Generator[tuple[str, bool]]:
            some = [calls[number] for number in numbers]
            longest = max((call.max_tokens for call in some), default=1)
            answers = complete_all(self.llm, [call.messages for call in some], longest, [call.grammar for call in some])
            with closing(answers):
                for text, usage in answers:
                    yield text, usage.stopped == "length"

        return self.in_order(calls, ask, step, unit)

    def in_order(
        self, calls: Sequence[Call], ask: Callable[[list[int]], Generator[T]], step: str, unit: str
    ) -> Generator[T]:
        """The answer to each, in order; `ask` gives those of the calls, by number, that no earlier run has made."""
        total, done = sum(call.weight for call in calls), 0
        left, read, fresh = sum(call.characters for call in calls), 0, 0
        began = time.monotonic()
        with closing(self.remembered.in_order([call.words for call in calls], ask)) as answers:
            for call, (answer, was_known) in zip(calls, answers, strict=True):
                self.made, self.known = self.made + 1, self.known + was_known
                done, left = done + call.weight, left - call.characters
                if not was_known:
                    fresh, read = fresh + 1, read + call.characters
                passed = time.monotonic() - began
                if self.report:
                    seconds = passed / read * left if read else None
                    if (
                        seconds
                        and not self._told
                        and fresh >= FIRST_CALLS * self.llm.parallel
                        and passed >= FIRST_SECONDS
                    ):
                        self._told = True
                        self.report(Progress("estimate", done, total, unit, seconds))
                    self.report(Progress(step, done, total, unit, seconds))
                yield answer
