"""What models behind a service have in common: tokens without a tokenizer, and answers that are none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openbook.errors import ModelError, TooLongError
from openbook.text import well_formed
from openbook.types import Message, Stream, Thought, Usage

# Against Qwen's tokenizer (median of 2,000 characters): English .96 to 1.19 of the tokens, German .93, Python 1.14,
# Chinese 1.28; a page of links .54.
CHARACTERS_PER_TOKEN = 4
WIDE = re.compile(r"[\u0800-\U0010ffff]")  # Chinese, Japanese, Korean, Hindi, ...: about a token each


def about(text: str) -> int:
    """Tokens of a text, about, from its characters: the service has the tokenizer.

    >>> about("Who was swallowed by a great fish?"), about("谁被大鱼吞了？"), about("")
    (9, 7, 0)
    """
    wide = len(WIDE.findall(text))
    return wide + -(-(len(text) - wide) // CHARACTERS_PER_TOKEN)


def refuse_too_long(name: str, tokens: int, max_tokens: int, context: int) -> None:
    """Raises: TooLongError, when a prompt and its answer have no room: some servers cut off its beginning silently."""
    if tokens + max_tokens > context:
        raise TooLongError(
            f"The prompt has about {tokens} tokens; with {max_tokens} for the answer that is more than the {context} "
            f"of {name}. Take fewer passages, or say how many tokens the model really takes: context=..."
        )


def checked(parts: Iterable[str | Thought | Usage], name: str, max_tokens: int) -> Stream:
    """The parts as they come. Raises: ModelError, when no word was among them."""
    silent = True
    for part in parts:
        if isinstance(part, str):
            silent = False
        elif isinstance(part, Usage) and silent:
            if part.stopped == "length":
                raise ModelError(
                    f"{name} thought for all of {max_tokens} tokens and said nothing. Allow more: --max-tokens N"
                )
            raise ModelError(f"{name} answered with nothing. Ask again, or ask otherwise.")
        yield part


def withheld(name: str, reason: str) -> ModelError:
    """The service took the answer back, or gave none, by its own rules."""
    return ModelError(f"{name} gave no answer: its service withheld it ({reason}). Ask otherwise, or name another.")


def told(messages: Sequence[Message]) -> tuple[str, list[Message]]:
    """What the system says, and the turns, for services that take them apart and refuse a turn without text.

    An answer that was left at once is such a turn. A text may hold half of a UTF-16 pair, which no request can.

    >>> told([Message("system", "Be brief."), Message("user", "Who fled?"), Message("assistant", " ")])
    ('Be brief.', [Message(role='user', content='Who fled?')])
    """
    said = [Message(one.role, well_formed(one.content)) for one in messages if one.content.strip()]
    system = "\n\n".join(one.content for one in said if one.role == "system")
    return system, [one for one in said if one.role != "system"]


def without(body: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """A request without some of its fields."""
    return {name: value for name, value in body.items() if name not in names}
