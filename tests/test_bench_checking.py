"""A set of questions is checked before anything is compared with it, and the best recipe becomes a book's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts import LIGHT, Write
from openbook import Book
from openbook.app.cli import run
from openbook.bench.checking import check_questions
from openbook.bench.questions import Gold, Question
from openbook.bench.results import Results, RunRow, TrialRow
from openbook.bench.running import results_path


@pytest.fixture
def book(tmp_path: Path, write: Write) -> Book:
    text = "And Jonah was in the belly of the fish three days. Noah made the ark of gopher wood."
    book = Book.open(tmp_path / "book", LIGHT, create=True)
    book.add([write("kjv.txt", text)])
    return book


def said(questions: list[Question], book: Book | None = None) -> list[str]:
    return [f"{one.question}: {one.said}" for one in check_questions(questions, book)]


FISH = Question("fish", "How long was he in the fish?", ("three days",), (Gold("kjv.txt", "in the belly"),))


def test_each_fault_of_a_question_is_named(book: Book) -> None:
    found = said([
        FISH,
        Question("twice", "How long was he in that fish?", ("three days",), (Gold("kjv.txt", "in the belly"),)),
        Question("nothing", "Who was the captain of it?"),
        Question("itself", "Was the ark of gopher wood?", ("gopher wood",)),
        Question("short", "Who?", ("Jonah",)),
        Question("lost", "Where did Jonah flee to then?", ("Tarshish",), (Gold("kjv.txt", "to Tarshish"),)),
    ], book)  # fmt: skip
    for line in (
        "twice: asks what fish asks",
        "nothing: has neither answers nor gold, so nothing of it can be judged",
        "itself: says its answer itself: 'gopher wood'",
        "short: is very short: 'Who?'",
        "lost: gold kjv.txt, 'to Tarshish', is not in it",
        "lost: none of its answers stands in the documents word for word: 'Tarshish'",
        ": 100% are found by their words alone: too easy to tell searches apart.",
        ": Every question has an answer: an invented one is never caught. Add some without.",
    ):
        assert line in found
    assert not any(line.startswith("fish:") for line in found)


def test_a_set_without_gold_or_answers_is_said() -> None:
    found = said(
        [Question("a", "Who fled to Tarshish?", ("Jonah",)), Question("b", "Who is Zorro the king?", answerable=False)]
    )
    assert [line for line in found if "gold" in line] == [
        ": No question has gold: only answers can be judged, not what a search finds."
    ]
    assert "2 questions for answers: differences below about" in found[-1]
    assert "1 question for answers: differences below" in said([Question("a", "Who fled to Tarshish?", ("Jonah",))])[-1]


def test_what_is_too_few_counts_the_questions_that_a_measure_judges() -> None:
    gold = (Gold("kjv.txt", "in the belly"),)
    found = [Question(f"g{n}", f"Question {n} of {n * n}?", ("three days",), gold) for n in range(40)]
    silent = [Question(f"u{n}", f"No answer {n} of {n * n}?", answerable=False) for n in range(20)]
    assert said([*found, *silent])[-1] == (
        ": 40 questions for a search, 60 questions for answers: differences below about 14 and 11 points are not found."
    )
    silent *= 4  # 120 for answers are enough
    assert ": 40 questions for a search: differences below about 14 points are not found." in said([*found, *silent])


def test_check_and_import_are_commands(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write("q.csv", "question,answer\nWho fled to Tarshish?,Jonah\nWho?,Jonah\n")
    out = tmp_path / "q.jsonl"
    assert run(["questions", "import", str(table), "-o", str(out)]) == 0
    assert run(["questions", "import", str(table), "-o", str(out)]) == 1
    assert run(["questions", "check", str(out), "--json"]) == 1
    shown = capsys.readouterr()
    assert "is there already" in shown.err
    assert json.loads(shown.out.splitlines()[1])["questions"] == 2


def kept(recipe: dict[str, str]) -> None:
    trial = TrialRow(1, {}, recipe, "i", "s", "")
    with Results(results_path()) as results:
        results.begin(RunRow("sweep", "2026-01-01", {"headline": "clean", "answers": False, "k": 5}, [], {}, (trial,)))


@pytest.mark.parametrize("step", ["retriever=bm25", "splitter=chars(size=40)"])
def test_the_recipe_of_a_row_becomes_the_books(book: Book, step: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, _, spec = step.partition("=")
    kept(book.recipe.with_step(name, spec).to_dict())
    assert run(["use", ":1", "-b", str(book.folder)]) == 0
    with Book.open(book.folder) as again:
        assert again.recipe.to_dict()[name] == spec
        assert (max(len(chunk.text) for chunk in again.store.chunks()) <= 40) is ("40" in spec)
        assert again.search("gopher wood")
    assert ("Rebuilt" in capsys.readouterr().out) is ("40" in spec)


@pytest.mark.parametrize("row", ["3", "sweep", "sweep:9", "none:1", ":x"])
def test_a_row_that_is_none_is_said_in_one_line(book: Book, row: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept(book.recipe.to_dict())
    assert run(["use", row, "-b", str(book.folder)]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
