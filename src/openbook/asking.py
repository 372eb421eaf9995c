"""From a question and its passages to an answer: what Book.stream runs after the search.

question, passages, what was said before --prompt, budget--> messages --render, stream--> words --citations--> Answer
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from openbook.prompts.budget import Fitted, fit
from openbook.prompts.citations import split_citations
from openbook.types import LLM, Answer, Message, Passage, Prompt, Searched, Thought, Timing, Usage

MAX_ANSWER_TOKENS = 512

Part: TypeAlias = Searched | tuple[Passage, ...] | str | Thought | Answer
"""Of an answer as it comes: Searched where a question was rewritten, the passages, thoughts and words, the Answer."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What was said before a question."""

    history: Sequence[Message] = ()  # as `Prompt.messages` takes it
    shorten: Callable[[int], Sequence[Message]] | None = None
    """Gives a shorter history, where so many of its first turns do not fit; None: they are left out."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what was found for it."""

    question: str
    passages: tuple[Passage, ...]
    timing: Timing  # of the search
    started: float  # time.perf_counter() at the question
    memory: Memory = Memory()
    searched: str = ""  # the question as it stands alone, where that is not the question itself


def stream(asked: Asked, prompt: Prompt, llm: LLM, max_tokens: int) -> Iterator[str | Thought | Answer]:
    """Thoughts and words as they come, then the Answer.

    Raises:
        ModelError: The model is missing or failed; TooLongError where the question alone does not fit.
    """
    fitted = _fitted(asked, prompt, llm, max_tokens)
    words: list[str] = []
    thoughts: list[str] = []
    first, usage = 0.0, Usage()
    for part in llm.stream(fitted.messages, fitted.max_tokens):
        if isinstance(part, Usage):
            usage = part
            continue
        if isinstance(part, Thought):
            thoughts.append(part.text)
        else:
            first = first or time.perf_counter() - asked.started
            words.append(part)
        yield part
    text = "".join(words).strip()
    cited, invented = split_citations(text, len(fitted.passages))
    yield Answer(
        asked.question,
        text,
        fitted.passages,
        llm.render(fitted.messages),
        llm.name,
        replace(asked.timing, first_token=first, total=time.perf_counter() - asked.started, usage=usage),
        {number: fitted.passages[number - 1] for number in cited},
        invented,
        thought="".join(thoughts).strip(),
        remote=llm.remote,
        searched=asked.searched,
        left_out=fitted.left_out,
    )


def last_answer(parts: Iterator[Part]) -> Answer:
    """The Answer that a stream ends with."""
    for part in parts:
        if isinstance(part, Answer):
            return part
    raise AssertionError("a stream ends with an Answer")


def _fitted(asked: Asked, prompt: Prompt, llm: LLM, max_tokens: int) -> Fitted:
    question, memory = asked.searched or asked.question, asked.memory
    fitted = fit(question, asked.passages, memory.history, prompt, llm, max_tokens)
    if fitted.turns and memory.shorten:
        shorter = memory.shorten(fitted.turns)
        fitted = fit(question, asked.passages, shorter, prompt, llm, max_tokens)
    return fitted
