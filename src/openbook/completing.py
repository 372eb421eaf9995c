"""A model's whole answers where nobody reads along: refiners, rewriting, summaries."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from queue import SimpleQueue
from threading import Event, Lock, Thread
from time import monotonic
from typing import TypeVar

from openbook.types import LLM, Message, Usage

T = TypeVar("T")
R = TypeVar("R")

END_SECONDS = 2.0  # until a thread is left alone whose model says nothing: it ends when that does, or when it is closed


def complete(llm: LLM, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> tuple[str, Usage]:
    """The answer without what was thought before it, and what it took.

    Raises:
        ModelError: As `LLM.stream`.
    """
    return _complete(llm, messages, max_tokens, grammar, Event())


def complete_all(
    llm: LLM, conversations: Sequence[Sequence[Message]], max_tokens: int, grammar: str | Sequence[str] = ""
) -> Generator[tuple[str, Usage]]:
    """As `complete` of each, in their order, `llm.parallel` at a time.

    Each is given as soon as it and all before it are there. The first error stops the others. Closing it, or Ctrl-C,
    leaves the streams that go on, which stops the model. `grammar` may be one for each.

    Raises:
        ModelError: As `LLM.stream`, the first that happened.
    """
    grammars = [grammar] * len(conversations) if isinstance(grammar, str) else grammar

    def answer(number: int, stop: Event) -> tuple[str, Usage]:
        return _complete(llm, conversations[number], max_tokens, grammars[number], stop)

    return in_order(answer, range(len(conversations)), llm.parallel)


def choose_all(llm: LLM, conversations: Sequence[Sequence[Message]], choices: Sequence[str]) -> Generator[list[float]]:
    """As `LLM.choose` of each, as `complete_all` does it.

    Raises:
        ModelError: As `LLM.choose`.
    """
    return in_order(lambda messages, _: llm.choose(messages, choices), conversations, llm.parallel)


def _complete(llm: LLM, messages: Sequence[Message], max_tokens: int, grammar: str, stop: Event) -> tuple[str, Usage]:
    words, usage = [], Usage()
    with closing(llm.stream(messages, max_tokens, grammar)) as stream:
        for part in stream:
            if stop.is_set():
                break
            if isinstance(part, str):
                words.append(part)
            elif isinstance(part, Usage):
                usage = part
    return "".join(words).strip(), usage


def in_order(work: Callable[[T, Event], R], tasks: Sequence[T], workers: int) -> Generator[R]:
    """What some work makes of each task, in the order of the tasks, done by so many threads.

    The work may look at the event and end early when it is set: nobody wants its result any more. One worker is the
    thread that asks, so that Ctrl-C is heard inside of the work.
    """
    if workers == 1 or len(tasks) == 1:
        for task in tasks:
            yield work(task, Event())
        return
    stop, lock = Event(), Lock()
    outcomes: SimpleQueue[tuple[int, R | BaseException]] = SimpleQueue()
    left = iter([(number, partial(work, task, stop)) for number, task in enumerate(tasks)])

    def run() -> None:
        while not stop.is_set():
            with lock:
                job = next(left, None)
            if job is None:
                return
            number, work = job
            try:
                outcomes.put((number, work()))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the results are read
                outcomes.put((number, error))
                stop.set()  # after it was said: what others leave unfinished from now on comes behind it

    # Daemons: a program that is told to end does not wait for a server that says nothing.
    threads = [Thread(target=run, daemon=True) for _ in range(min(workers, len(tasks)))]
    for thread in threads:
        thread.start()
    try:
        yield from _sorted(outcomes, len(tasks))
    finally:
        stop.set()
        end = monotonic() + END_SECONDS
        for thread in threads:
            thread.join(max(0.0, end - monotonic()))


def _sorted(outcomes: SimpleQueue[tuple[int, R | BaseException]], count: int) -> Iterator[R]:
    """Results by their number, each as soon as it and all before it are there; the first error is raised."""
    done: dict[int, R] = {}
    for wanted in range(count):
        while wanted not in done:
            number, outcome = outcomes.get()
            if isinstance(outcome, BaseException):
                raise outcome
            done[number] = outcome
        yield done.pop(wanted)
