"""No rewriting: in a conversation too, what was typed is what is searched for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from openbook.types import Message


@dataclass(frozen=True, slots=True)
class Nothing:
    """The question itself."""

    VERSION: ClassVar[int] = 1

    def __call__(self, question: str, history: Sequence[Message]) -> tuple[str, ...]:
        return (question,)
