"""The Bible and Kafka questions, asked end to end: right, cited right, refused when there is no answer.

    python benchmarks/answers.py --data ../shared/data --out answers.jsonl
    python benchmarks/answers.py --read answers.jsonl --verdicts verdicts.json

The first form makes two books with the default recipe (the Bible of the package, Kafka's HTML pages), asks every
question, and writes each answer with what can be judged without reading: was a passage with the answer shown, does the
answer cite one, does it refuse. Whether an answer is right is decided by reading it: `--verdicts` is a JSON object of
question id -> true or false that a person wrote, and the second form prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from index_bible import spans
from measure import machine, table

from openbook import Answer, Book, Recipe, registry
from openbook.demo import kjv
from openbook.prompts.citations import is_refusal
from openbook.types import LLM, Chunk

Holds = Callable[[Chunk], bool]
"""Whether a chunk holds the answer, or most of it."""


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def bible(data: Path, text: Path) -> Iterator[tuple[str, str, list[str], Holds | None]]:
    """(id, question, answers, which chunks hold it) of the Bible set; None: no chunk does."""
    verses = spans(str(text))
    answers = {one["_id"]: one["answers"] for one in lines(data / "bible-kjv" / "queries.jsonl")}
    for one in lines(data / "bible-kjv" / "gold.jsonl"):
        wanted = [verses[verse.replace(" ", "")] for verse in one["verses"]]
        yield (
            one["query_id"],
            one["question"],
            answers[one["query_id"]],
            lambda chunk, wanted=wanted: any(chunk.start < end and start < chunk.end for start, end in wanted),  # type: ignore[misc]
        )
    for one in lines(data / "bible-kjv" / "unanswerable.jsonl"):
        yield one["_id"], one["text"], [], None


def kafka(data: Path) -> Iterator[tuple[str, str, list[str], Holds | None]]:
    """As `bible`, for the documentation of Kafka: a chunk holds the answer when it has half of a gold quote."""
    for one in lines(data / "kafka-docs" / "gold.jsonl"):
        quotes = [" ".join(gold["quote"].split()) for gold in one["gold"]]
        yield (
            one["query_id"],
            one["question"],
            [one["answer"]],
            lambda chunk, quotes=quotes: any(  # type: ignore[misc]
                share(quote, " ".join(chunk.text.split())) >= 0.5 for quote in quotes
            ),
        )
    for one in lines(data / "kafka-docs" / "unanswerable.jsonl"):
        yield one["_id"], one["text"], [], None


def share(quote: str, text: str) -> float:
    """The longest beginning or end of a quote that a text has, as a share of the quote."""
    if quote in text:
        return 1.0
    for size in range(len(quote) - 1, 0, -1):
        if text.endswith(quote[:size]) or text.startswith(quote[-size:]):
            return size / len(quote)
    return 0.0


def judged(name: str, answer: Answer, expected: list[str], holds: Holds | None) -> dict[str, Any]:
    """What can be said of an answer without reading it."""
    shown = [n for n, passage in enumerate(answer.passages, 1) if holds and holds(passage.chunk)]
    return {
        "id": name,
        "question": answer.question,
        "expected": expected,
        "answer": answer.text,
        "cited": list(answer.cited),
        "invented": list(answer.invented),
        "answerable": holds is not None,
        "shown": shown,
        "cited_right": bool(set(shown) & set(answer.cited)),
        "refused": is_refusal(answer.text),
        "first_token": answer.timing.first_token,
        "total": answer.timing.total,
        "prompt_tokens": answer.timing.usage.prompt_tokens,
        "answer_tokens": answer.timing.usage.answer_tokens,
        "model": answer.model,
    }


def ask_all(data: Path, recipe: Recipe, folder: Path) -> Iterator[dict[str, Any]]:
    """Make both books and ask every question."""
    text = kjv(folder)
    books = (
        ("bible", [text], list(bible(data, text))),
        ("kafka", sorted((data / "kafka-docs" / "source").rglob("*.html")), list(kafka(data))),
    )
    for name, files, questions in books:
        with Book.open(folder / name, recipe, create=True) as book:
            book.add(files)
            for id_, question, expected, holds in questions:
                yield judged(id_, book.ask(question), expected, holds)


def rows(found: Sequence[dict[str, Any]], verdicts: dict[str, bool]) -> list[list[object]]:
    """The table: one line for each set."""
    columns = "set, questions, passage shown, right, cited right, refused wrongly, unanswerable refused, invented [n]"
    shown: list[list[object]] = [[*columns.split(", "), "first word s (p50)", "prompt tokens (p50)"]]
    for name in ("kjv", "kafka"):
        mine = [one for one in found if one["id"].startswith(name)]
        can = [one for one in mine if one["answerable"]]
        cannot = [one for one in mine if not one["answerable"]]
        right = sum(verdicts.get(one["id"], False) for one in can)
        shown.append(
            [
                {"kjv": "Bible", "kafka": "Kafka"}[name],
                f"{len(can)} + {len(cannot)}",
                f"{sum(bool(one['shown']) for one in can)}/{len(can)}",
                f"{right}/{len(can)}" if verdicts else "not read",
                f"{sum(one['cited_right'] for one in can)}/{len(can)}",
                f"{sum(one['refused'] for one in can)}/{len(can)}",
                f"{sum(one['refused'] for one in cannot)}/{len(cannot)}",
                sum(bool(one["invented"]) for one in mine),
                f"{statistics.median(one['first_token'] for one in mine):.1f}",
                f"{statistics.median(one['prompt_tokens'] for one in mine):.0f}",
            ]
        )
    return shown


def main() -> None:
    """Ask, or print the table of what was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--set", action="append", default=[], metavar="STEP=SPEC", help="as openbook add --set")
    parser.add_argument("--out", type=Path, default=Path("answers.jsonl"))
    parser.add_argument("--read", type=Path, help="print the table of a file that --out wrote")
    parser.add_argument("--verdicts", type=Path, help="JSON object: question id -> whether the answer is right")
    args = parser.parse_args()
    verdicts = json.loads(args.verdicts.read_text("utf-8")) if args.verdicts else {}
    if args.read:
        print(table(rows(lines(args.read), verdicts)))
        return
    recipe = Recipe()
    for choice in args.set:
        step, _, spec = choice.partition("=")
        recipe = recipe.with_step(step, spec)
    llm: LLM = registry.make("llm", recipe.llm)
    llm.prepare()  # a model that is missing is named now, not after the books are made
    llm.close()
    print(f"Machine: {machine()}\n")
    with tempfile.TemporaryDirectory() as temporary, args.out.open("w", encoding="utf-8") as out:
        for one in ask_all(args.data, recipe, Path(temporary)):
            out.write(json.dumps(one, ensure_ascii=False) + "\n")
            out.flush()
    print(table(rows(lines(args.out), verdicts)))


if __name__ == "__main__":
    main()
