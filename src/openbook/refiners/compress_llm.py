"""The sentences that matter, as the model picks them.

The book's model reads all passages for that before it reads what is left of them, so the first word comes later, not
sooner. `compress` takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from openbook.completing import complete
from openbook.errors import SpecError
from openbook.prompts.citations import split_citations
from openbook.refiners.stretches import sentences_of, stretch
from openbook.types import LLM, Document, Message, Passage

SYSTEM = """\
You are given numbered sentences and a question. Write the numbers of the sentences that are needed to answer it, \
such as [3][4], and nothing else."""
TOKENS = 6  # of one number in brackets, at most


@dataclass(frozen=True, slots=True)
class CompressLLM:
    """Of each passage the stretch from the first to the last sentence that the model picks.

    Passages of which it picks none are left out; when it picks none at all, all passages stay as they are.

    Raises:
        ModelError: The model is missing or failed.
    """

    VERSION: ClassVar[int] = 1

    llm: LLM
    document: Callable[[Passage], Document]
    most: int = 5  # sentences it may pick

    def __post_init__(self) -> None:
        if self.most < 1:
            raise SpecError(f"compress-llm(most={self.most}): most must be 1 or more, such as 5.")

    def __call__(self, question: str, passages: list[Passage], k: int) -> list[Passage]:
        shown = passages[:k]
        read, spans = sentences_of(shown, self.document)
        texts = [document.text[start:end] for document, of in zip(read, spans, strict=True) for start, end in of]
        if len(texts) < 2:
            return shown
        picked = self._picked(question, texts)
        numbers = iter(range(1, len(texts) + 1))
        kept = [[span for span, number in zip(of, numbers, strict=False) if number in picked] for of in spans]
        if not any(kept):
            return shown
        return [
            stretch(passage, document, of[0][0], of[-1][1])
            for passage, document, of in zip(shown, read, kept, strict=True)
            if of
        ]

    def _picked(self, question: str, texts: list[str]) -> set[int]:
        numbered = "\n".join(f"[{number}] {' '.join(text.split())}" for number, text in enumerate(texts, 1))
        messages = [Message("system", SYSTEM), Message("user", f"{numbered}\n\nQuestion: {' '.join(question.split())}")]
        grammar = f'root ::= number{{1,{self.most}}}\nnumber ::= "[" [1-9] [0-9]? [0-9]? "]"'
        text, _ = complete(self.llm, messages, TOKENS * self.most, grammar)
        return set(split_citations(text, len(texts))[0][: self.most])
