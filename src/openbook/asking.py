"""From the passages found for a question to an Answer: what Book.stream and Book.ask run after the search.

question + passages + history --prompt--> messages --llm--> thoughts, words --> Answer, citations resolved
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from openbook.prompts.citations import split_citations
from openbook.types import LLM, Answer, Message, Passage, Prompt, Thought, Timing, Usage


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what was found for it."""

    question: str
    passages: tuple[Passage, ...]
    timing: Timing  # of the search
    started: float  # time.perf_counter() at the question
    history: Sequence[Message] = ()  # what was said before
    searched: str = ""  # what was searched for, where that is not the question


def stream(asked: Asked, prompt: Prompt, llm: LLM, max_tokens: int) -> Iterator[str | Thought | Answer]:
    """Thoughts and words as they come, then the Answer.

    Raises:
        ModelError: The model is missing or failed.
    """
    messages = prompt.messages(asked.question, asked.passages, asked.history)
    words: list[str] = []
    thoughts: list[str] = []
    first, usage = 0.0, Usage()
    for part in llm.stream(messages, max_tokens):
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
    cited, invented = split_citations(text, len(asked.passages))
    yield Answer(
        asked.question,
        text,
        asked.passages,
        llm.render(messages),
        llm.name,
        replace(asked.timing, first_token=first, total=time.perf_counter() - asked.started, usage=usage),
        {number: asked.passages[number - 1] for number in cited},
        invented,
        thought="".join(thoughts).strip(),
        remote=llm.remote,
        searched=asked.searched,
    )
