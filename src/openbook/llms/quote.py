"""No model: says the passages. The whole line runs without any weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from openbook.errors import ModelError, SpecError
from openbook.prompts.citations import REFUSAL
from openbook.types import Message, Stream, Usage

WORD = re.compile(r"\s*\S+\s*")


@dataclass(frozen=True)
class Quote:
    r"""Answers with the beginning of the first passages, each with its number.

    >>> "".join(map(str, list(Quote().stream([Message("user", "[1] a.txt\nHe fled.\n\nQuestion: Who?")], 50))[:-1]))
    'He fled. [1]'
    """

    VERSION: ClassVar[int] = 1

    passages: int = 2
    characters: int = 200  # of each passage, to the end of a word

    def __post_init__(self) -> None:
        if self.passages < 1 or self.characters < 1:
            raise SpecError(f"quote(passages={self.passages}, characters={self.characters}): write numbers from 1 on.")

    @property
    def name(self) -> str:
        return "quote"

    @property
    def context(self) -> int:
        return 1_000_000

    @property
    def remote(self) -> str:
        return ""

    @property
    def parallel(self) -> int:
        return 1

    @property
    def format(self) -> str:
        return ""

    def prepare(self) -> None:
        return

    def count(self, text: str) -> int:
        return len(text.split())

    def render(self, messages: Sequence[Message]) -> str:
        return "\n\n".join(f"{message.role}: {message.content}" for message in messages)

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        asked = next((message.content for message in reversed(messages) if message.role == "user"), "")
        quoted = [f"{self._begin(text)} [{number}]" for number, text in _passages(asked) if text.strip()]
        words = WORD.findall("\n".join(quoted[: self.passages]) or REFUSAL)
        yield from words[:max_tokens]
        cut = len(words) > max_tokens
        yield Usage(self.count(self.render(messages)), min(len(words), max_tokens), stopped="length" if cut else "end")

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        raise ModelError("quote is no model, so it cannot choose. Name a model, such as --set llm=llamacpp.")

    def close(self) -> None:
        return

    def _begin(self, text: str) -> str:
        text = " ".join(text.split())
        if len(text) <= self.characters:
            return text
        return text[: self.characters + 1].rsplit(" ", 1)[0][: self.characters] + " ..."


def _passages(asked: str) -> list[tuple[int, str]]:
    """Number and text of each passage, [1] first, in a message as `cited` writes it.

    That is '[3] place', text, '[2] place', text, '[1] place', text, 'Question: ...'. A line of a passage may look like
    a place too: only the number that must come next is one.
    """
    body = re.split(r"^Question: ", asked, flags=re.MULTILINE)
    rest = "Question: ".join(body[:-1]) if len(body) > 1 else asked
    if not (first := re.match(r"\[(\d+)\] [^\n]*\n", rest)):
        return []
    found: list[tuple[int, str]] = []
    number, rest = int(first[1]), rest[first.end() :]
    while place := re.search(rf"^\[{number - 1}\] [^\n]*\n", rest, re.MULTILINE):
        found.append((number, rest[: place.start()]))
        number, rest = number - 1, rest[place.end() :]
    return [(number, rest), *reversed(found)]
