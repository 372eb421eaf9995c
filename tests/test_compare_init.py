"""A first sweep for a book is written, and can be run as it is."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contracts import Write
from openbook.app.cli import cli
from openbook.bench.starting import Start, covering
from openbook.bench.sweep import read_sweep
from openbook.book import Book
from openbook.errors import BookError
from openbook.recipe import Recipe, Spec

RECIPE = Recipe().with_step("embedder", "hashed(dim=64)").with_step("store", "flat").with_step("llm", "quote")
QUESTION = '{"question": "Who fled?", "answers": ["Jonah"], "gold": [{"source": "a.txt"}]}\n'


@pytest.fixture
def book(write: Write, tmp_path: Path) -> Book:
    write("texts/a.txt", "Jonah fled to Tarshish.")
    write("texts/old/b.txt", "Ruth stayed with Naomi.")
    with Book.open(tmp_path / "book", RECIPE, create=True) as found:
        found.add([tmp_path / "texts"])
        return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_a_first_sweep_can_be_run_as_it_is(book: Book, write: Write, tmp_path: Path) -> None:
    questions, sweep = write("questions.jsonl", QUESTION), tmp_path / "sweep.toml"
    result = run("compare", "init", "-b", str(book.folder), "--questions", str(questions), "-o", str(sweep))
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{sweep}\n"
    found = read_sweep(sweep)
    assert found.trials[0].recipe == RECIPE  # the baseline is what the book does now
    assert len(found.trials) == 6
    assert run("compare", str(sweep), "--dry-run").exit_code == 0
    assert "6 recipes, 1 question." in run("compare", str(sweep), "--dry-run").output


def test_the_books_folder_is_named_where_all_of_it_is_in_the_book(book: Book, write: Write, tmp_path: Path) -> None:
    assert covering(book) == [str(tmp_path / "texts")]
    write("texts/old/c.txt", "Not in the book.")
    assert covering(book) == [str(tmp_path / "texts/a.txt"), str(tmp_path / "texts/old/b.txt")]


def test_a_book_whose_files_are_gone_is_said(book: Book, tmp_path: Path) -> None:
    for path in (tmp_path / "texts").rglob("*.txt"):
        path.unlink()
    with pytest.raises(BookError, match="is where it was"):
        Start(book, tmp_path / "questions.jsonl", tmp_path / "sweep.toml").search()


@pytest.mark.parametrize(
    ("own", "other"),
    [("structure(size=500)", "structure(size=1000)"), ("chars(size=1000)", "chars(size=500)")],
)
def test_chunks_of_twice_or_half_the_size_are_tried(book: Book, tmp_path: Path, own: str, other: str) -> None:
    book.rebuild(RECIPE.with_step("splitter", own))
    text = Start(book, tmp_path / "questions.jsonl", tmp_path / "sweep.toml").search()
    assert tomllib.loads(text)["vary"]["splitter"] == [own, other]


def test_a_path_of_any_name_is_written_so_that_it_is_read_again(write: Write, tmp_path: Path) -> None:
    write('odd "na\\me" é/a.txt', "Jonah fled.")
    with Book.open(tmp_path / "book", RECIPE, create=True) as book:
        book.add([tmp_path / 'odd "na\\me" é'])
        text = Start(book, tmp_path / "questions.jsonl", tmp_path / "sweep.toml").search()
    assert tomllib.loads(text)["documents"] == ['odd "na\\me" é']


def test_models_are_compared_where_there_are_two(book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Start(book, tmp_path / "questions.jsonl", tmp_path / "sweep.toml")
    with pytest.raises(BookError, match="There is one model on this machine"):
        start.models()
    two = [Spec("quote"), Spec("llamacpp", {"model": "smollm2-135m"})]
    monkeypatch.setattr("openbook.bench.starting._models", lambda own: two)
    table = tomllib.loads(start.models())
    assert table["vary"]["llm"] == ["quote", "llamacpp(model='smollm2-135m')"]
    assert table["run"]["answers"] is True


def test_programs_are_told_where_the_sweep_is(book: Book, tmp_path: Path) -> None:
    sweep, questions = tmp_path / "sweep.toml", tmp_path / "questions.jsonl"
    result = run("compare", "init", "-b", str(book.folder), "-o", str(sweep), "--questions", str(questions), "--json")
    assert json.loads(result.stdout) == {"file": str(sweep), "questions": str(questions), "questions_there": False}
    assert sweep.exists()


def test_a_file_that_is_there_is_not_written_over(book: Book, write: Write) -> None:
    sweep = write("sweep.toml", "mine")
    result = run("compare", "init", "-b", str(book.folder), "-o", str(sweep))
    assert result.exit_code == 1
    assert str(result.exception) == f"{sweep} is there already. Name another file: -o FILE"
    assert sweep.read_text() == "mine"
