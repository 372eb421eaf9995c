"""From a question to an answer: what Book.stream runs.

question --rewrite, search--> passages --prompt, budget--> messages --render, stream--> words --citations--> Answer
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from openbook.errors import BookError
from openbook.prompts.budget import Fitted, fit
from openbook.prompts.citations import split_citations
from openbook.types import LLM, Answer, Message, Passage, Prompt, Rewriter, Searched, Thought, Timing, Usage

MAX_ANSWER_TOKENS = 512

Part: TypeAlias = Searched | tuple[Passage, ...] | str | Thought | Answer
"""Of an answer as it comes: Searched where a question was rewritten, the passages, thoughts and words, the Answer."""

Retrieved: TypeAlias = tuple[list[Passage], Timing]
"""Passages, best first, and the seconds it took."""


class Retrieve(Protocol):
    """Finds k passages; what is found for other questions is put together with it."""

    def __call__(self, question: str, k: int, *, also: Sequence[str]) -> Retrieved:
        """As `Book.retrieve`."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What was said before a question."""

    history: Sequence[Message] = ()  # as `Prompt.messages` takes it
    shorten: Callable[[int], Sequence[Message]] | None = None
    """Gives a shorter history, where so many of its first turns do not fit; None: they are left out."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what went before it, and then with what was found for it."""

    question: str
    memory: Memory = Memory()
    searched: str = ""  # the question as it stands alone, where that is not the question itself
    passages: tuple[Passage, ...] = ()
    timing: Timing = Timing()  # of the search
    started: float = field(default_factory=time.perf_counter)


def answer(
    asked: Asked,
    prompt: Prompt,
    llm: LLM,
    max_tokens: int,
    rewriter: Callable[[], Rewriter],
    retrieve: Retrieve,
) -> Generator[Part]:
    """Rewrite, search, answer.

    Raises:
        BookError: As `retrieve`; or no token is allowed.
        ModelError: The model is missing or failed; TooLongError where the question alone does not fit.
    """
    if max_tokens < 1:
        raise BookError(f"An answer cannot have {max_tokens} tokens. Allow 1 or more.")
    llm.prepare()
    wanted: Sequence[str] = (asked.question,)
    if asked.memory.history and asked.question.strip():
        wanted = rewriter()(asked.question, asked.memory.history)
    alone, *also = wanted
    if alone != asked.question:
        yield Searched(alone)
        asked = replace(asked, searched=alone)
    found, timing = retrieve(alone, prompt.passages, also=also)
    yield tuple(found)
    yield from _stream(replace(asked, passages=tuple(found), timing=timing), prompt, llm, max_tokens)


def _stream(asked: Asked, prompt: Prompt, llm: LLM, max_tokens: int) -> Iterator[str | Thought | Answer]:
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
