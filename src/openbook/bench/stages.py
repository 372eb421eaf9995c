"""One stage of a comparison, in a process of its own so that its memory can be told: index, search, answer or speeds.

stdin:  one line of JSON, the task; then nothing, but it stays open as long as the parent lives
stdout: lines of JSON: {"step", "done", "total"} on the way, {"error"} at a failure; results go into the file of results

`python -m openbook.bench.stages`
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from openbook import registry
from openbook.asking import last_answer
from openbook.bench.gold import elsewhere
from openbook.bench.judge import judge
from openbook.bench.memory import Watch
from openbook.bench.preparing import unasking
from openbook.bench.quiet import Others, load
from openbook.bench.results import Results
from openbook.book import Book
from openbook.errors import OpenbookError
from openbook.recipe import Recipe
from openbook.types import Answer, Message, Passage, Progress

Say = Callable[..., None]
Span = Callable[[Passage], list[Any]]
SPEEDS = ("seconds", "embed_seconds", "first_token_seconds", "answer_tokens")  # of a value, what is no result


def main() -> None:
    """Do the task and end."""
    task = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(**what: object) -> None:
        print(json.dumps(what), flush=True)  # noqa: T201 - the parent reads it

    try:
        with Watch() as watch, Results(Path(task["results"])) as results:
            measured = STAGES[task["kind"]](task, results, say)
            peak = watch.peak
            before = results.measured(task["key"])
            held = {
                "peak_bytes": peak.total,
                "anonymous_bytes": peak.anonymous,
                "mapped_bytes": peak.mapped,
                "largest_bytes": peak.largest,
                **({"vram_bytes": peak.vram} if peak.vram else {}),
            }
            most = {name: max(value, before.get(name, 0)) for name, value in held.items()}
            results.note(task["key"], {**measured, **most})
    except OpenbookError as error:
        say(error=" ".join(str(error).split()))
        sys.exit(1)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _index(task: Mapping[str, Any], results: Results, say: Say) -> dict[str, Any]:
    """A book with the documents of another one, by another recipe; under its name only when it is whole."""
    folder, recipe = Path(task["folder"]), Recipe.from_dict(task["recipe"])
    making = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    before, busy = load(), Others()

    def report(progress: Progress) -> None:
        say(step=progress.step, done=progress.done, total=progress.total)

    with Book.open(making, recipe, create=True) as book:
        with (
            closing(sqlite3.connect(Path(task["documents"]) / "documents.db")) as source,
            closing(sqlite3.connect(making / "documents.db")) as target,
        ):
            source.backup(target)
        began = time.perf_counter()
        chunks = book.rebuild(recipe, report=report)
        seconds = time.perf_counter() - began
    size_bytes = sum(path.stat().st_size for path in making.glob("store-*/**/*") if path.is_file())
    making.replace(folder)
    return {"chunks": chunks, "seconds": seconds, "size_bytes": size_bytes, "load": before, "others": busy.share()}


def _search(task: Mapping[str, Any], results: Results, say: Say) -> dict[str, Any]:
    with Book.open(task["folder"], Recipe.from_dict(task["recipe"])) as book:
        span = _spans(book)
        for number, question, others in _questions(task, say, "search"):
            value = _searched(book, question, task["k"], span)
            results.add(task["key"], question["key"], value | {"cold": number == 0, **others()})
    return {}


def _answer(task: Mapping[str, Any], results: Results, say: Say) -> dict[str, Any]:
    answered = any("error" not in value for value in results.of(task["key"]).values())
    with Book.open(task["folder"], Recipe.from_dict(task["recipe"])) as book:
        span = _spans(book)
        for number, question, others in _questions(task, say, "answer"):
            try:
                answer = _asked(book, question, task["max_tokens"])
                value, answered = _told(answer, span) | {"cold": number == 0, **others()}, True
            except OpenbookError as error:
                if not answered:
                    raise  # the model is missing, or no question can be asked: say it before an hour has gone by
                value = {"error": " ".join(str(error).split())}
            results.add(task["key"], question["key"], value)
        return {"model": book.llm.name, "remote": book.llm.remote}


def _speeds(task: Mapping[str, Any], results: Results, say: Say) -> dict[str, Any]:
    """How long a few questions take that were asked before: what was found and answered then is kept as it is."""
    found = []
    with Book.open(task["folder"], Recipe.from_dict(task["recipe"])) as book:
        span = _spans(book)
        for number, question, others in _questions(task, say, "timing"):
            if task["of"] == "search":
                value = _searched(book, question, task["k"], span)
            else:
                value = _told(_asked(book, question, task["max_tokens"] if number else 1), span)
            if number:  # the first loads the model and the index
                kept = {name: value[name] for name in SPEEDS if name in value}
                found.append({**kept, "cold": False, **others()})
    return {"speeds": found}


def _questions(
    task: Mapping[str, Any], say: Say, step: str
) -> Iterator[tuple[int, Mapping[str, Any], Callable[[], dict[str, Any]]]]:
    """Number, question, and what tells when it is done how busy the machine was; as long as there is time."""
    busy, seconds = Others(), 0.0
    for number, question in enumerate(task["questions"]):
        began = time.time()
        until = task.get("until")
        if until is not None and began + seconds / 2 > until:  # as often a little too late as too early
            return
        say(step=step, done=number, total=len(task["questions"]))
        before = load()
        busy.look()

        def others(before: float = before) -> dict[str, Any]:
            return {"load": before, "others": busy.share()}

        yield number, question, others
        seconds = time.time() - began


def _searched(book: Book, question: Mapping[str, Any], k: int, span: Span) -> dict[str, Any]:
    rewriter = unasking(book.recipe)
    said = _history(question)
    wanted = [question["text"]]
    if said and rewriter is not None:
        wanted = list(registry.make("rewriter", rewriter)(question["text"], said))
    passages, timing = book.retrieve(wanted[0], k, also=wanted[1:])
    return {
        "passages": [span(passage) for passage in passages],
        "seconds": timing.retrieve,
        "embed_seconds": timing.embed,
    }


def _history(question: Mapping[str, Any]) -> list[Message]:
    return [Message(turn["role"], turn["content"]) for turn in question["history"]]


def _asked(book: Book, question: Mapping[str, Any], max_tokens: int) -> Answer:
    return last_answer(book.stream(question["text"], max_tokens=max_tokens, history=_history(question)))


def _told(answer: Answer, span: Span) -> dict[str, Any]:
    timing, usage = answer.timing, answer.timing.usage
    return {
        "text": answer.text,
        "passages": [span(passage) for passage in answer.passages],
        "cited": list(answer.cited),
        "invented": list(answer.invented),
        "searched": answer.searched,
        "left_out": list(answer.left_out),
        "prompt": answer.prompt,
        "stopped": usage.stopped,
        "retrieve_seconds": timing.retrieve,
        "first_token_seconds": timing.first_token,
        "seconds": timing.total,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "answer_tokens": usage.answer_tokens,
    }


def _spans(book: Book) -> Span:
    """What is kept of a passage: document, start, end, score; where it stands too, if it was shown once for several."""
    ids = book.documents.sources()

    def text_of(document_id: str) -> str:
        document = book.documents.get(document_id)
        return document.text if document else ""

    def span(passage: Passage) -> list[Any]:
        chunk, others = passage.chunk, elsewhere(passage, ids, text_of)
        also = [[[one.document_id, one.start, one.end] for one in others]] if others else []
        return [chunk.document_id, chunk.start, chunk.end, round(passage.score, 6), *also]

    return span


STAGES: Mapping[str, Callable[[Mapping[str, Any], Results, Say], dict[str, Any]]] = {
    "index": _index,
    "search": _search,
    "answer": _answer,
    "speeds": _speeds,
    "judge": judge,
}

if __name__ == "__main__":
    main()
