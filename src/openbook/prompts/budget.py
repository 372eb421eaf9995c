"""What enters a prompt where not everything fits, counted by the model's own tokenizer; what is left out is said.

room = the model's context - room for the answer
left out, until the prompt fits: the oldest turns, the last passages, what is remembered of earlier turns, the end of
the best passage. Never: the instructions, the question.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from openbook.errors import TooLongError
from openbook.types import LLM, Message, Passage, Prompt

SPARE = 8  # tokens that a server may add at the ends of a prompt
LEAST_CUT = 40  # characters of a passage: less of it says nothing


@dataclass(frozen=True, slots=True)
class Fitted:
    """Messages that fit, and what they hold."""

    messages: list[Message]
    passages: tuple[Passage, ...]  # those shown, best first; one that stands alone may be cut
    max_tokens: int  # of the answer
    turns: int = 0  # of the history, oldest first, that are left out
    left_out: tuple[str, ...] = ()  # a line for each kind of thing


def fit(
    question: str, passages: Sequence[Passage], history: Sequence[Message], prompt: Prompt, llm: LLM, max_tokens: int
) -> Fitted:
    """The messages for a question, with as much of the history and as many passages as the model's context holds.

    An answer may take half of the context at most. Where the characters alone prove that all fits, nothing is counted.

    Raises:
        TooLongError: The question and the instructions alone are too long.
        ModelError: The model's tokenizer cannot be asked.
    """
    answer = min(max_tokens, llm.context // 2)
    room = llm.context - answer
    best_first = tuple(passages)
    remembered, said = _split(history)

    def messages(shown: Sequence[Passage], history: Sequence[Message]) -> list[Message]:
        return prompt.messages(question, shown, history)

    def fits(shown: Sequence[Passage], history: Sequence[Message]) -> bool:
        return _tokens(messages(shown, history), llm, room) <= room

    lines = [] if answer == max_tokens else [f"the answer has room for {answer:,} tokens, not {max_tokens:,}"]
    if fits(best_first, history):
        return Fitted(messages(best_first, history), best_first, answer, 0, tuple(lines))
    why = f"the prompt has room for {room:,} tokens"
    turns = _starts(said)
    dropped = _first(len(turns), lambda count: fits(best_first, [*remembered, *said[_after(turns, count, said) :]]))
    kept = said[_after(turns, dropped, said) :]
    if dropped:
        lines.append(f"{_turns(dropped, len(turns), summarised=bool(remembered))} left out: {why}")
    history = [*remembered, *kept]
    shown = best_first
    if not fits(shown, history):
        fewer = _first(len(shown) - 1, lambda count: fits(shown[: len(shown) - count], history))
        shown = shown[: len(shown) - fewer]
        if fewer:
            lines.append(f"{fewer} of {len(best_first)} passages were left out: {why}")
    if remembered and not fits(shown, history):
        history = kept
        lines.append(f"what is remembered of earlier turns was left out: {why}")
    if shown and not fits(shown, history):
        shown, line = _cut(shown[0], lambda one: fits(one, history))
        lines.append(f"{line}: {why}")
    if not shown and not fits(shown, history):
        tokens = _tokens(messages((), ()), llm, 0)
        raise TooLongError(
            f"The question and the instructions have {tokens:,} tokens; with {answer:,} for the answer that is more "
            f"than the {llm.context:,} of {llm.name}. Ask a shorter question, or allow more: llamacpp(context=...)."
        )
    return Fitted(messages(shown, history), shown, answer, dropped, tuple(lines))


def _tokens(messages: Sequence[Message], llm: LLM, room: int) -> int:
    """Of the rendered prompt; not counted, and too many perhaps, where even so they are within the room."""
    rendered = llm.render(messages)
    # A token is a byte at least.
    most = len(rendered.encode("utf-8", "replace")) + SPARE
    return most if most <= room else llm.count(rendered) + SPARE


def _first(count: int, true: Callable[[int], bool]) -> int:
    """The least number from 0 to count for which something is true that stays true once it is; count if it never is."""
    return bisect_left(range(count), True, key=true)


def _split(history: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """What is remembered of earlier turns, and the turns themselves."""
    first = 1 if history and history[0].role == "system" else 0
    return list(history[:first]), list(history[first:])


def _starts(said: Sequence[Message]) -> list[int]:
    return [index for index, message in enumerate(said) if message.role == "user"]


def _after(turns: Sequence[int], count: int, said: Sequence[Message]) -> int:
    """Where the turns begin that come after so many."""
    return turns[count] if count < len(turns) else len(said) if count else 0


def _turns(count: int, total: int, *, summarised: bool) -> str:
    """Which turns were left out, the oldest that are not in the summary.

    >>> _turns(1, 4, summarised=False), _turns(4, 4, summarised=False), _turns(1, 2, summarised=True)
    ('the first turn of the conversation was', 'all 4 turns of the conversation were', 'the turn after the summary was')
    """
    which = "after the summary" if summarised else "of the conversation"
    if count == 1:
        return f"the {'' if summarised else 'first '}turn {which} was"
    return f"{'all' if count == total else 'the first'} {count} turns {which} were"


def _cut(passage: Passage, fits: Callable[[Sequence[Passage]], bool]) -> tuple[tuple[Passage, ...], str]:
    """The beginning of a passage, to the end of a word, as long as fits; none where that says nothing."""
    text = passage.chunk.text
    away = _first(len(text), lambda count: fits((_shortened(passage, len(text) - count),)))
    beginning = _shortened(passage, len(text) - away)
    if len(beginning.chunk.text) < LEAST_CUT:
        return (), "the passages were left out"
    return (beginning,), f"passage [1] was cut after {len(beginning.chunk.text):,} of {len(text):,} characters"


def _shortened(passage: Passage, characters: int) -> Passage:
    chunk = passage.chunk
    text = chunk.text[:characters]
    if characters < len(chunk.text) and " " in text and not chunk.text[characters].isspace():
        text = text.rsplit(" ", 1)[0]
    text = text.rstrip()
    return replace(passage, chunk=replace(chunk, text=text, end=chunk.start + len(text)))
