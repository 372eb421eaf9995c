"""What of each prompt of a conversation a local model's server had read before, rewriting and answering.

    python benchmarks/chat_cache.py BOOK "llamacpp()" "llamacpp(cache_mb=0)" "llamacpp(cache_mb=0, parallel=2)"

BOOK is a folder that holds Jonah, such as the demo's. The table is in docs/decisions/0018-conversations.md.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from openbook import Book, Recipe
from openbook.llms.llamacpp import LlamaCpp
from openbook.types import Message, Stream, Usage

QUESTIONS = (
    "Who was swallowed by a great fish?",
    "How long was he inside?",
    "And what did he do after that?",
    "Did the king of that city believe him?",
    "What did he say about it?",
    "And the people there?",
    "Why was he angry?",
    "What grew over him?",
    "What ate it?",
    "And what did God say then?",
)
stream = LlamaCpp.stream


def watched(model: LlamaCpp, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
    """As the model's own; prints what each call took."""
    began, first = time.perf_counter(), 0.0
    kind = "rewrite" if messages[0].content.startswith("Write the user's last message") else "answer"
    for part in stream(model, messages, max_tokens, grammar):
        first = first or time.perf_counter() - began
        if isinstance(part, Usage):
            print(f"{kind:8} {part.cached_tokens:4} of {part.prompt_tokens:4} tokens read before, {first:6.2f} s")
        yield part


def main(folder: str, specs: Sequence[str]) -> None:
    """One conversation with each model."""
    LlamaCpp.stream = watched  # type: ignore[method-assign, assignment]
    with Book.open(folder) as book:
        recipe = book.recipe.to_dict()
    for spec in specs:
        print(f"\n{spec}, load {os.getloadavg()[0]:.1f}")
        with Book.open(folder, Recipe.from_dict({**recipe, "llm": spec})) as book, book.chat() as chat:
            book.llm.count("loads it")
            for question in QUESTIONS:
                chat.ask(question)
            chat.forget()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
