"""A conversation with a book: what was said before is remembered, and kept on disk.

question + memory --Book--> Answer --> chats/NAME.jsonl --> memory: the last turns, and a summary of the others
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from openbook.asking import MAX_ANSWER_TOKENS, Memory, Part, last_answer
from openbook.chats import Kept, Turn
from openbook.completing import complete
from openbook.errors import BookError
from openbook.prompts.budget import SPARE
from openbook.prompts.citations import without_citations
from openbook.text import beginning
from openbook.types import LLM, Answer, Message

SUMMARY = """\
Write down in a few short sentences what this conversation has said: who and what it is about, the names and numbers, \
what was asked and what was answered. Add nothing that is not said there."""
SUMMARY_TOKENS = 160
REMEMBERED = "What was said before, in short:"
SHOWN = 600  # characters of a question or an answer that a summary is made from; fewer, where that is too much
LEAST_SHOWN = 60


class Ask(Protocol):
    """Answers one question of a conversation."""

    def __call__(self, question: str, where: str, max_tokens: int, memory: Memory) -> Generator[Part]:
        """As `Book.stream`."""


class Chat:
    """One conversation, which other processes cannot go on with until it is closed."""

    def __init__(self, book: Path, name: str, *, ask: Ask, llm: Callable[[], LLM]) -> None:
        """The conversation of that name about the book in a folder, a new one where there is none; '' is a new one.

        Raises:
            BookError: Not a name, another process has it open, or its file is damaged.
        """
        self._kept = Kept(book, name)
        self._ask, self._llm = ask, llm

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others go on with it."""
        self._kept.close()

    @property
    def name(self) -> str:
        """What it is kept as; '' before the first answer of a new one."""
        return self._kept.name

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What was said, oldest first."""
        return self._kept.state.turns

    @property
    def summary(self) -> str:
        """What the model remembers of the turns that are no longer shown to it word for word."""
        return self._kept.state.summary

    def stream(self, question: str, *, where: str = "", max_tokens: int = MAX_ANSWER_TOKENS) -> Generator[Part]:
        """As `Book.stream`, with what was said before. The turn is kept when the Answer comes, not before.

        Raises:
            BookError, ModelError: As `Book.stream`; the conversation goes on as if this was not asked.
        """
        return self._stream(question, where, max_tokens, self.turns, again=False)

    def ask(self, question: str, *, where: str = "", max_tokens: int = MAX_ANSWER_TOKENS) -> Answer:
        """The Answer that `stream` ends with."""
        return last_answer(self.stream(question, where=where, max_tokens=max_tokens))

    def retry(self, *, where: str = "", max_tokens: int = MAX_ANSWER_TOKENS) -> Generator[Part]:
        """Ask the last question once more, perhaps of another model: the new answer takes the place of the old one.

        Raises:
            BookError: Nothing was asked yet; or as `stream`.
        """
        if not self.turns:
            raise BookError("Nothing was asked yet, so there is nothing to ask again.")
        *before, last = self.turns
        return self._stream(last.question, where, max_tokens, tuple(before), again=True)

    def forget(self) -> None:
        """Take the conversation off the disk and begin a new one."""
        self._kept.delete()

    def _stream(
        self, question: str, where: str, max_tokens: int, before: tuple[Turn, ...], *, again: bool
    ) -> Generator[Part]:
        self._kept.refuse_closed()
        memory = Memory(self._history(before), lambda turns: self._shorten(before, turns))
        for part in self._ask(question, where, max_tokens, memory):
            if isinstance(part, Answer):
                answer = replace(part, left_out=(*self._left_out(), *part.left_out))
                self._kept.add(Turn.of(answer, datetime.now().astimezone()), again=again)
                yield answer
            else:
                yield part

    def _history(self, turns: Sequence[Turn]) -> list[Message]:
        """The questions as they stand alone, so that a later one that refers to them can be understood by them."""
        state = self._kept.state
        history = [Message("system", f"{REMEMBERED} {state.summary}")] if state.summarised else []
        for turn in turns[state.summarised :]:
            history += [Message("user", turn.searched or turn.question), Message("assistant", turn.answer)]
        return history

    def _shorten(self, turns: tuple[Turn, ...], count: int) -> list[Message]:
        """The history, once the first `count` turns that are word for word in it have gone into the summary.

        At least half of them go, so that the beginning of the prompt, which the model's server keeps, stays the same
        for some turns; the last one never, as the next question is most likely about it.
        """
        state = self._kept.state
        shown = len(turns) - state.summarised
        if (going := min(max(count, shown // 2), shown - 1)) > 0:
            end = state.summarised + going
            self._kept.summarise(self._summary(turns[state.summarised : end], state.summary), end)
        return self._history(turns)

    def _summary(self, turns: Sequence[Turn], summary: str) -> str:
        """Of some turns, and of what was remembered before; turns too many for one prompt go in one half first."""
        llm, characters = self._llm(), SHOWN
        tokens = min(SUMMARY_TOKENS, llm.context // 4)
        while True:
            before = [f"Before: {summary}"] if summary else []
            said = [
                f"User: {beginning(turn.searched or turn.question, characters)}\n"
                f"Assistant: {beginning(without_citations(turn.answer), characters)}"
                for turn in turns
            ]
            messages = [Message("system", SUMMARY), Message("user", "\n\n".join([*before, *said]))]
            if llm.count(llm.render(messages)) + tokens + SPARE <= llm.context or (
                characters <= LEAST_SHOWN and len(turns) == 1
            ):
                return complete(llm, messages, tokens)[0]
            if characters <= LEAST_SHOWN:
                half = len(turns) // 2
                return self._summary(turns[half:], self._summary(turns[:half], summary))
            characters //= 2

    def _left_out(self) -> list[str]:
        count = self._kept.state.summarised
        if not count:
            return []
        return [f"the first {'turn is' if count == 1 else f'{count} turns are'} remembered as a summary"]
