"""What a long work with a model would come to: done with one that says nothing, and what it is asked is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from openbook.costing import Forecast, tokens
from openbook.errors import ModelError
from openbook.prices import price
from openbook.remembering import Remembered
from openbook.types import LLM, Message, Stream, Usage
from openbook.whole import Readable, Whole


@dataclass
class Silent:
    """In the place of a model: nothing is loaded or sent."""

    llm: LLM
    calls: int = 0
    prompt_tokens: int = 0  # about
    answer_tokens: int = 0  # at most
    longest: int = 0  # tokens of one prompt
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.llm.name

    @property
    def context(self) -> int:
        return self.llm.context

    @property
    def remote(self) -> str:
        return self.llm.remote

    @property
    def parallel(self) -> int:
        return 1

    @property
    def format(self) -> str:
        return ""

    def prepare(self) -> None:
        return

    def count(self, text: str) -> int:
        return tokens(self.llm, text)

    def render(self, messages: Sequence[Message]) -> str:
        return ""

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        sent = self.count("".join(message.content for message in messages))
        with self._lock:
            self.calls += 1
            self.prompt_tokens += sent
            self.answer_tokens += max_tokens
            self.longest = max(self.longest, sent)
        yield Usage(sent, stopped="end")

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        raise ModelError("Nothing is asked here.")  # then everything is asked in words: as often, and a bit more

    def close(self) -> None:
        return


def rehearse(read: Readable, work: Callable[[Readable], Whole], today: date) -> tuple[int, Forecast]:
    """How many prompts a work sends, and what they come to; without those that merge what it wrote.

    What an earlier run has been told already counts too.
    """
    with TemporaryDirectory() as folder:
        silent = Silent(read.llm)
        work(replace(read, llm=silent, remembered=Remembered(Path(folder), "")))
    paid = price(silent.remote, silent.name, silent.longest, today)
    return silent.calls, Forecast(silent.name, silent.remote, silent.prompt_tokens, silent.answer_tokens, paid)
