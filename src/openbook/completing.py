"""A model's whole answer where nobody reads along: refiners, rewriting, summaries."""

from __future__ import annotations

from collections.abc import Sequence

from openbook.types import LLM, Message, Usage


def complete(llm: LLM, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> tuple[str, Usage]:
    """The answer without what was thought before it, and what it took.

    Raises:
        ModelError: As `LLM.stream`.
    """
    words, usage = [], Usage()
    for part in llm.stream(messages, max_tokens, grammar):
        if isinstance(part, str):
            words.append(part)
        elif isinstance(part, Usage):
            usage = part
    return "".join(words).strip(), usage
