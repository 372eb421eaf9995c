"""Many calls of one model: at once where it can, in order always, and stopped when nobody reads on."""

from __future__ import annotations

import os
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from openbook.completing import choose_all, complete, complete_all
from openbook.errors import ModelError
from openbook.llms.llamacpp import LlamaCpp
from openbook.llms.quote import Quote
from openbook.types import Message, Stream, Thought, Usage
from processes import PATIENCE, left, line_of, running, until


@dataclass(frozen=True)
class Slow(Quote):
    """Says its question, word by word; remembers what was begun and left."""

    slots: int = 1
    fails: str = "\0"  # on a question with it
    waits: Callable[[Slow, str], object] = lambda llm, asked: None  # before each word; given what was asked
    begun: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # before the end
    most: list[int] = field(default_factory=lambda: [0, 0])  # streams now, and at most so far
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def parallel(self) -> int:
        return self.slots

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        asked = messages[-1].content
        with self.lock:
            self.begun.append(asked)
            self.most[0] += 1
            self.most[1] = max(self.most)
        try:
            yield Thought("hm")
            for word in (grammar + asked).split():
                self.waits(self, asked)
                if self.fails in asked:
                    raise ModelError(f"{asked} failed.")
                yield word + " "
            yield Usage(answer_tokens=len(asked.split()))
        except GeneratorExit:
            self.left.append(asked)
            raise
        finally:
            with self.lock:
                self.most[0] -= 1

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        return [len(messages[-1].content) / 100, 0.0]


def questions(*texts: str) -> list[list[Message]]:
    return [[Message("user", text)] for text in texts]


@pytest.fixture(autouse=True)
def threads_end() -> Iterator[None]:
    before = threading.active_count()
    yield
    until(lambda: threading.active_count() <= before)  # another test's timer may end


@pytest.mark.parametrize("slots", [1, 3, 20])
def test_answers_come_in_order_as_many_at_once_as_the_model_takes(slots: int) -> None:
    def together(llm: Slow, _: str) -> None:
        until(lambda: llm.most[1] >= min(slots, 2))

    llm = Slow(slots=slots, waits=together)
    asked = ["a b c d e", "f", "g h", "i", "j k", "l", "m", "n"]
    found = list(complete_all(llm, questions(*asked), 50))
    assert [text for text, _ in found] == asked
    assert [usage.answer_tokens for _, usage in found] == [len(text.split()) for text in asked]
    assert llm.most[0] == 0
    assert llm.most[1] <= slots


def test_each_may_have_a_grammar_of_its_own() -> None:
    llm = Slow(slots=2)
    assert [text for text, _ in complete_all(llm, questions("a", "b"), 50, ["x", "y"])] == ["xa", "yb"]
    assert [text for text, _ in complete_all(llm, questions("a", "b"), 50, "z")] == ["za", "zb"]


def test_nothing_asked_is_nothing_answered() -> None:
    assert list(complete_all(Slow(slots=3), [], 50)) == []


def test_an_answer_is_given_before_those_after_it_are_there() -> None:
    given = threading.Event()
    llm = Slow(slots=2, waits=lambda llm, asked: asked == "a" or given.wait(PATIENCE))
    with closing(complete_all(llm, questions("a", *["b c"] * 3), 50)) as found:
        assert next(found)[0] == "a"
        given.set()


def test_the_first_error_stops_the_others_at_once() -> None:
    def all_at_once(llm: Slow, asked: str) -> None:
        until(lambda: llm.most[1] == 3)
        time.sleep(0.01)

    llm = Slow(slots=3, fails="bad", waits=all_at_once)
    long = " ".join("x" * 10_000)
    with pytest.raises(ModelError, match=r"^bad failed\.$"):
        list(complete_all(llm, questions(long, long, "bad", long, long), 1000))
    until(lambda: llm.left == [long, long])
    assert len(llm.begun) == 3


def test_closing_leaves_the_streams_that_go_on() -> None:
    never = threading.Event()
    llm = Slow(slots=3, waits=lambda llm, asked: asked == "a" or never.wait(0.01))
    long = " ".join("x" * 10_000)
    found = complete_all(llm, questions("a", long, long, long, long), 1000)
    next(found)
    found.close()
    until(lambda: llm.most[0] == 0)
    assert set(llm.left) == {long}
    assert len(llm.begun) <= 4


def test_choices_come_in_order_too() -> None:
    found = list(choose_all(Slow(slots=3), questions(*("x" * n for n in range(1, 9))), ["Yes", "No"]))
    assert [yes for yes, _ in found] == [n / 100 for n in range(1, 9)]


def test_what_cannot_choose_says_so_from_any_thread() -> None:
    class Mute(Slow):
        choose = Quote.choose

    with pytest.raises(ModelError, match="cannot choose"):
        list(choose_all(Mute(slots=3), questions("a", "b", "c"), ["Yes", "No"]))


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.slow
def test_ctrl_c_ends_a_program_at_once_although_a_model_says_nothing() -> None:
    program = textwrap.dedent("""
        import time
        from openbook.completing import complete_all
        from openbook.types import Message
        from test_completing import Slow
        def silent(llm, asked):
            print("asked", flush=True)
            time.sleep(600)
        try:
            list(complete_all(Slow(slots=2, waits=silent), [[Message("user", "a")]] * 4, 9))
        except KeyboardInterrupt:
            print("stopped", flush=True)
    """)
    with running("-c", program) as process:
        assert [line_of(process), line_of(process)] == ["asked", "asked"]
        process.send_signal(signal.SIGINT)
        assert line_of(process) == "stopped"
        assert process.wait(PATIENCE) == 0


@pytest.fixture(scope="module")
def weighed(weights: Path) -> Iterator[LlamaCpp]:
    llm = LlamaCpp(str(weights), context=1024, parallel=4)
    yield llm
    llm.close()


ASKED = questions(*(f"Write about the number {number}." for number in range(8)))


@pytest.mark.models
class TestLlamaCpp:
    @pytest.fixture(autouse=True)
    def threads_end(self) -> None:
        """The model's own are kept."""

    def test_slots_answer_as_one_after_the_other_does(self, weighed: LlamaCpp) -> None:
        together = [text for text, _ in complete_all(weighed, ASKED, 12)]
        alone = [complete(weighed, messages, 12)[0] for messages in ASKED]
        # Which are computed together is chance, and may change the last bits of a number: now and then a word.
        assert sum(one == other for one, other in zip(together, alone, strict=True)) >= 6

    def test_leaving_frees_the_slots(self, weighed: LlamaCpp) -> None:
        with closing(complete_all(weighed, ASKED, 900, ['root ::= "a"', *[""] * 7])) as found:
            assert next(found)[0] == "a"
        assert weighed.client.server is not None
        assert max(left(weighed.client.server.url(), weighed.client.server.api_key)) < 800
        assert complete(weighed, ASKED[0], 4)[0]
