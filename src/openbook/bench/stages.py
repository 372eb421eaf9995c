"""One stage of a comparison, in a process of its own so that its memory can be told: index, search or answer.

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
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from openbook.asking import last_answer
from openbook.bench.gold import elsewhere
from openbook.bench.memory import Watch
from openbook.bench.results import Results
from openbook.book import Book
from openbook.errors import OpenbookError
from openbook.recipe import Recipe
from openbook.types import Answer, Message, Passage, Progress

Say = Callable[..., None]


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
    load = _load()

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
    return {"chunks": chunks, "seconds": seconds, "size_bytes": size_bytes, "load": load}


def _search(task: Mapping[str, Any], results: Results, say: Say) -> dict[str, Any]:
    with Book.open(task["folder"], Recipe.from_dict(task["recipe"])) as book:
        span = _spans(book)
        for number, question in enumerate(task["questions"]):
            say(step="search", done=number, total=len(task["questions"]))
            load = _load()
            passages, timing = book.retrieve(question["text"], task["k"])
            value = {
                "passages": [span(passage) for passage in passages],
                "seconds": timing.retrieve,
                "embed_seconds": timing.embed,
                "cold": number == 0,  # the embedder and the index were loaded for it
                "load": load,
            }
            results.add(task["key"], question["key"], value)
    return {}


def _answer(task: Mapping[str, Any], results: Results, say: Say) -> dict[str, Any]:
    answered = any("error" not in value for value in results.of(task["key"]).values())
    with Book.open(task["folder"], Recipe.from_dict(task["recipe"])) as book:
        span = _spans(book)
        for number, question in enumerate(task["questions"]):
            say(step="answer", done=number, total=len(task["questions"]))
            load = _load()
            try:
                answer = _asked(book, question, task["max_tokens"])
                value, answered = _told(answer, span) | {"cold": number == 0, "load": load}, True
            except OpenbookError as error:
                if not answered:
                    raise  # the model is missing, or no question can be asked: say it before an hour has gone by
                value = {"error": " ".join(str(error).split())}
            results.add(task["key"], question["key"], value)
        return {"model": book.llm.name, "remote": book.llm.remote}


def _asked(book: Book, question: Mapping[str, Any], max_tokens: int) -> Answer:
    history = [Message(turn["role"], turn["content"]) for turn in question["history"]]
    return last_answer(book.stream(question["text"], max_tokens=max_tokens, history=history))


def _told(answer: Answer, span: Callable[[Passage], list[Any]]) -> dict[str, Any]:
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


def _spans(book: Book) -> Callable[[Passage], list[Any]]:
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


def _load() -> float:
    """Processes that wanted a core in the last minute, before this work began to count among them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


STAGES: Mapping[str, Callable[[Mapping[str, Any], Results, Say], dict[str, Any]]] = {
    "index": _index,
    "search": _search,
    "answer": _answer,
}

if __name__ == "__main__":
    main()
