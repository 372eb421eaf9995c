"""`compare show`, `compare list`, `report` and `use`: what people and programs see of a comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boards import answered, kept, questions
from contracts import Write
from openbook.app.cli import run
from openbook.app.show_board import instead
from openbook.bench.board import board as shown
from openbook.bench.results import Results
from openbook.bench.running import results_path
from openbook.bench.scoring import Scorer
from openbook.book import Book
from openbook.home import books_folder
from openbook.recipe import Recipe

ASKED = questions(10)
Said = pytest.CaptureFixture[str]


def compared(*right: int, name: str = "run", **settings: Any) -> None:
    """A run whose rows have so many right answers; they split otherwise and need 0.5, 1, 1.5, ... GB."""
    rows = [[answered(one, right=at < count) for at, one in enumerate(ASKED)] for count in right]
    recipes = [
        {"splitter": f"chars(size={100 * number})", "embedder": "hashed", "store": "flat", "llm": "quote"}
        for number in range(1, len(right) + 1)
    ]
    kept(rows, ASKED, name=name, recipes=recipes, **settings)


@pytest.fixture
def book(write: Write) -> Path:
    recipe = Recipe.from_dict({"embedder": "hashed", "store": "flat", "llm": "quote", "splitter": "chars(size=300)"})
    with Book.open(books_folder() / "tales", recipe, create=True) as made:
        made.add([str(write("jonah.txt", "And Jonah was in the fish three days."))])
    return books_folder() / "tales"


def test_the_table_says_what_differs_and_leaves_out_what_does_not(capsys: Said) -> None:
    compared(9, 5, 2)
    assert run(["compare", "show"]) == 0
    said = capsys.readouterr().out
    heads = said.splitlines()[0].split()
    assert heads[:3] == ["row", "clean", "contains"]
    assert heads[-1] == "size"
    assert "embedder" not in heads  # it is the same in all
    assert "recall@5" not in heads
    assert "Equal in all rows:" in said
    assert max(map(len, said.splitlines()[:4])) <= 100
    assert "* cannot be told from the best. + no other row is better in quality, speed and memory." in said


def test_long_options_are_letters_with_a_legend(capsys: Said) -> None:
    rows = [[answered(one, right=at < 5) for at, one in enumerate(ASKED)] for _ in range(2)]
    names = [f"qwen2.5-coder-with-a-very-long-name-{size}-instruct-q4_k_m.gguf" for size in ("0.5b", "1.5b")]
    kept(
        rows,
        ASKED,
        recipes=[{"llm": f"llamacpp(model={name!r})", "splitter": f"chars(size={len(name)})"} for name in names],
    )
    assert run(["compare", "show"]) == 0
    said = capsys.readouterr().out
    assert f"model A: {names[0]}\nmodel B: {names[1]}\n" in said
    assert max(map(len, said.split("\n\n")[0].splitlines())) <= 100
    assert run(["compare", "show", "--wide"]) == 0
    assert "model A:" not in capsys.readouterr().out


def test_rows_that_do_not_fit_are_listed_with_the_reason(capsys: Said) -> None:
    compared(9, 5, 2)
    assert run(["compare", "show", "--fit", "ram<1.2GB"]) == 0
    said = capsys.readouterr().out
    assert "Row 3 does not fit: ram is 1.5 GB.\n" in said
    assert "2 of 3 recipes fit ram < 1.2 GB." in said
    assert run(["compare", "show", "--fit", "ram<1MB"]) == 0
    assert "No recipe fits ram < 1 MB." in capsys.readouterr().out
    assert run(["compare", "show", "--fit", "ram<8"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert run(["compare", "show", "--fit", "ram<1.2GB", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(row["row"], row["misfits"]) for row in told["rows"]][-1] == (3, ["ram is 1.5 GB"])
    assert [row["front"] for row in told["rows"]] == [True, False, None]


def test_prices_stand_in_the_table_only_where_something_was_paid(capsys: Said) -> None:
    compared(9, 5)
    assert run(["compare", "show", "--wide"]) == 0
    assert "$/1000" not in capsys.readouterr().out
    compared(9, 5, name="paid", measured=[{"model": "claude-haiku-5-5", "remote": "api.anthropic.com"}, {}])
    assert run(["compare", "show"]) == 0
    said = capsys.readouterr().out
    assert "$/1000" in said
    assert "0.11" in said  # 1,000 tokens of 0.10, 20 of 0.50 a million, a thousand times


def test_comparisons_are_listed(capsys: Said) -> None:
    assert run(["compare", "list"]) == 0
    assert "Nothing was compared yet." in capsys.readouterr().out
    compared(9, 5, 2)
    compared(9, name="other")
    assert run(["compare", "list", "--json"]) == 0
    first, last = json.loads(capsys.readouterr().out)
    assert (first["name"], first["rows"], first["done"], first["questions"]) == ("run", 3, 3, 10)
    assert last["name"] == "other"
    assert run(["compare", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split("  ")[0] == "name"


def test_the_winner_becomes_the_recipe_of_a_book(book: Path, capsys: Said) -> None:
    compared(0, 10, 0)
    assert run(["use", "run", "-b", "tales"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("Row 2. Row 2 is better than every other one")
    assert "Rebuilt: 1 chunk." in said.out
    with Book.open(book) as opened:
        assert str(opened.recipe.splitter) == "chars(size=200)"
    assert run(["use", ":3", "-b", "tales", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["row"], told["why"], told["rebuilt"], told["recipe"]["splitter"]) == (3, "", 1, "chars(size=300)")


def test_of_rows_that_cannot_be_told_apart_the_best_is_taken_and_said(book: Path, capsys: Said) -> None:
    compared(8, 9, 8)
    assert run(["use", "-b", "tales"]) == 0
    err = capsys.readouterr().err
    assert "Rows 2, 1 and 3 cannot be told apart: row 2 is taken, which has the highest clean.\n" in err
    assert (
        err.splitlines()[1]
        == "Of these row 1 is the smallest (memory 500 MB and not 1.0 GB): openbook use run:1 -b tales"
    )
    assert run(["use", "run", "-b", "tales", "--fit", "ram<600MB", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["row"] == 1


def test_the_fastest_and_the_smallest_of_equals_are_named_once(book: Path, capsys: Said) -> None:
    rows = [[answered(one, right=at < 8, seconds=seconds) for at, one in enumerate(ASKED)] for seconds in (9.0, 2.0)]
    kept(rows, ASKED, name="two words", measured=[{"peak_bytes": 9e9}, {"peak_bytes": 1e9}])
    with Results(results_path()) as results:
        said = instead(shown(Scorer(results, results.run(""))), book)
    assert said == (
        "Of these row 2 is the fastest (answer 2.0 s and not 9.0 s) and the smallest (memory 1.0 GB and not 9.0 GB): "
        "openbook use 'two words:2' -b tales"
    )
    kept(rows[:1] * 2, ASKED, measured=[{"peak_bytes": 1e9}, {"peak_bytes": 1e9 + 1}])
    with Results(results_path()) as results:
        assert instead(shown(Scorer(results, results.run("run"))), book) == ""


def test_what_is_no_file_is_said_with_what_there_is(
    write: Write, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*arguments: str) -> str:
        assert run(["compare", *arguments]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("openbook: ")

    monkeypatch.chdir(tmp_path)
    for word in ("none", "none.toml"):
        assert said(word) == (
            f"Cannot read {word}: there is no such file. Write one with: openbook compare init -b BOOK"
        )
    compared(9, 5, name="sea")
    assert said("sea") == (
        "Cannot read sea: there is no such file. A comparison is called so: openbook compare show sea."
    )
    assert said("seas.toml") == (
        "Cannot read seas.toml: there is no such file. Did you mean 'sea'? Runs: sea. "
        "Their tables: openbook compare show RUN"
    )
    write("sea.toml", 'documents = ["docs"]\nquestions = "q.jsonl"')
    write("other.toml", "[project]")
    assert said("sea").endswith("openbook compare show sea, and sea.toml runs it again.")
    assert said("seas.toml") == (
        "Cannot read seas.toml: there is no such file. Did you mean 'sea.toml'? Sweeps: sea.toml."
    )
    assert said("show", "sea.toml") == "No comparison is called 'sea.toml'. Did you mean 'sea'? Runs: sea."
    for number in range(12):
        compared(9, name=f"run{number}")
    assert "Runs: 3 older ones, run2, run3, " in said("show", "nowhere")
    assert run(["compare", "shwo"]) == 2
    assert "Did you mean 'show'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["use", "run:9"], "has no row 9, but 1 to 2."),
        (["use", "nothing"], "No comparison is called 'nothing'. Runs: run."),
        (["use", "run:1", "--fit", "ram<1GB"], "names the row itself"),
        (["use", "run", "--fit", "ram<1MB"], "has no best row. No recipe fits ram < 1 MB."),
        (["report", "nothing"], "No comparison is called 'nothing'. Runs: run."),
        (["report", "-o", "/nowhere/at/all.html"], "Cannot write /nowhere/at/all.html: No such file or directory."),
        (["report", "-o", "-", "--json"], "-o - writes none"),
        (["report", "--by", "claen"], "Did you mean 'clean'"),
        (["use", ":²"], "No comparison is called ':²'."),
        (["report", "\udced"], "No comparison is called '\\udced'."),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(book: Path, capsys: Said, arguments: list[str], said: str) -> None:
    compared(9, 5)
    capsys.readouterr()
    assert run([*arguments, *(["-b", "tales"] if arguments[0] == "use" else [])]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_measures_of_answers_are_refused_where_none_were_asked_for(capsys: Said) -> None:
    compared(9, 5, answers=False, headline="MRR@10")
    for arguments in (["--by", "clean"], ["--fit", "clean>30%"]):
        assert run(["compare", "show", *arguments]) == 1
        assert "run asked for no answers, and clean judges answers: [run] answers." in capsys.readouterr().err


def test_a_book_read_otherwise_is_said_to_be(book: Path, capsys: Said) -> None:
    rows = [[answered(one) for one in ASKED]]
    recipe = {"splitter": "chars(size=300)", "embedder": "hashed", "store": "flat", "cleaners": "", "llm": "quote"}
    kept(rows, ASKED, recipes=[recipe])
    assert run(["use", ":1", "-b", "tales"]) == 0
    assert "read with another cleaners: this holds from the next add on" in capsys.readouterr().err


def test_the_page_is_written_where_it_is_wanted(tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    compared(9, 5, name="a/../b")
    monkeypatch.chdir(tmp_path)
    assert run(["report"]) == 0
    assert capsys.readouterr().out == "a-..-b.html\n"
    assert run(["report", "-o", "page.html", "--without-texts", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert told == {"path": "page.html", "size_bytes": len(text.encode())}
    assert "Who fled" not in text
    assert run(["report", "-o", "-", "--without-texts"]) == 0
    assert capsys.readouterr().out == text
    assert not Path("-").exists()
