"""A comparison is run once, goes on where it was stopped, and is shown without asking anything again."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from contracts import Write
from openbook.app.cli import run
from openbook.bench.board import board
from openbook.bench.pacing import Clock
from openbook.bench.results import Results, RunRow
from openbook.bench.running import Runner, key_of, results_path
from openbook.bench.scoring import Scorer
from openbook.bench.sweep import read_sweep
from openbook.bench.telling import Teller
from openbook.book import Book
from openbook.errors import BookError
from processes import running

STORIES = {
    "jonah.txt": "Now the LORD had prepared a great fish to swallow up Jonah. And Jonah was in the fish three days.",
    "ruth.txt": "And Ruth gleaned in the field of Boaz until even. It was about an ephah of barley.",
    "ark.txt": "Noah made the ark of gopher wood. Two of every sort went in unto Noah into the ark.",
}
QUESTIONS = [
    {"id": "fish", "question": "How long was Jonah in the fish?", "answers": ["three days"],
     "gold": [{"source": "jonah.txt", "quote": "Jonah was in the fish three days"}]},
    {"id": "wood", "question": "Of what wood is the ark?", "answers": ["gopher wood"],
     "gold": [{"source": "ark.txt", "quote": "ark of gopher wood"}]},
    {"id": "barley", "question": "How much barley did Ruth glean?", "answers": ["an ephah"],
     "gold": [{"source": "ruth.txt", "quote": "an ephah of barley"}]},
    {"id": "none", "question": "What is the capital of Mongolia?", "answerable": False},
]  # fmt: skip
SWEEP = """
documents = ["docs"]
questions = "questions.jsonl"
[recipe]
embedder = "hashed"
store = "flat"
llm = "quote"
[vary]
splitter = ["chars(size=60)", "chars(size=200)"]
retriever = ["bm25", "dense"]
"""


@pytest.fixture
def sweep(write: Write) -> Path:
    for name, text in STORIES.items():
        write(f"docs/{name}", text)
    write("questions.jsonl", "".join(json.dumps(one) + "\n" for one in QUESTIONS))
    write("plain.jsonl", '{"question": "Who fled?"}')
    return write("sweep.toml", SWEEP)


@pytest.mark.slow
def test_every_recipe_is_measured_and_a_second_run_does_nothing_again(sweep: Path) -> None:
    runner = Runner(read_sweep(sweep), "first")
    assert runner.plan().indexes == 2
    assert runner.plan().searches == runner.plan().answers == 4 * len(QUESTIONS)
    runner.run()
    again = Runner(read_sweep(sweep), "second")
    plan = again.plan()
    assert (plan.indexes, plan.searches, plan.answers) == (0, 0, 0)
    again.run()
    with Results(results_path()) as results:
        assert results.runs() == ["first", "second"]
        found = board(Scorer(results, results.run("second")))
    assert found.questions == len(QUESTIONS)
    assert {line.trial.number for line in found.lines} == {1, 2, 3, 4}
    assert found.verdict.startswith("No difference found")
    best = found.lines[0]
    assert best.means["clean"] == best.means["refused"] == 1.0  # without a word of the question quote says so
    assert best.means["recall@5"] == 1.0
    assert best.measured["index"]["chunks"] > 0
    assert best.measured["search"]["peak_bytes"] > 10e6


@pytest.mark.slow
def test_only_what_a_changed_step_needs_is_done_again(sweep: Path) -> None:
    Runner(read_sweep(sweep), "run").run()
    sweep.write_text(SWEEP.replace('llm = "quote"', 'llm = "quote(passages=1)"'), encoding="utf-8")
    plan = Runner(read_sweep(sweep), "run").plan()
    assert (plan.indexes, plan.searches, plan.answers) == (0, 0, 16)
    sweep.write_text(SWEEP.replace('"dense"', '"hybrid"'), encoding="utf-8")
    plan = Runner(read_sweep(sweep), "run").plan()
    assert (plan.indexes, plan.searches, plan.answers) == (0, 8, 8)


@pytest.mark.slow
def test_a_changed_document_is_indexed_again(sweep: Path) -> None:
    Runner(read_sweep(sweep), "run").run()
    (sweep.parent / "docs" / "new.txt").write_text("Another story.", encoding="utf-8")
    assert Runner(read_sweep(sweep), "run").plan().indexes == 2


@pytest.mark.slow
def test_the_table_is_shown_by_any_measure(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(sweep), "--dry-run"]) == 0
    assert "4 recipes, 4 questions. Still to do: 2 indexes, 16 searches, 16 answers." in capsys.readouterr().out
    assert run(["compare", str(sweep)]) == 0
    shown = capsys.readouterr().out
    assert "No difference found between these 4 recipes with 4 questions" in shown
    assert re.search(r"^1.* 60 +bm25$", shown, re.MULTILINE)
    assert run(["compare", "show", "sweep", "--by", "nDCG@3", "--against", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["headline"] == "nDCG@3"
    assert [row["p"] for row in said["rows"] if row["row"] == 2] == [None]
    page = sweep.parent / "page.html"
    assert run(["report", "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<details>") == len(QUESTIONS) + 4  # and recipes
    assert "How long was Jonah in the fish?" in text
    assert not re.search(r"https?://|src=|href=\"[^#]", text)  # it opens without a network


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"docs"', '"nowhere"', "nowhere"),
        ('"questions.jsonl"', '"none.jsonl"', "Cannot read the questions"),
        ('"chars(size=60)"', '"chars(sise=60)"', "Did you mean 'size'"),
        ('llm = "quote"', "llm = \"llamacpp(model='none.gguf')\"", "none.gguf"),
        ('"questions.jsonl"', '"plain.jsonl"', "has answers, by which clean judges"),
        (
            'questions = "questions.jsonl"',
            'questions = "plain.jsonl"\nrun = {answers = false}',
            "has gold, by which nDCG",
        ),
    ],
)
def test_a_bad_sweep_is_said_in_one_line_before_anything_starts(
    sweep: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    sweep.write_text(SWEEP.replace(old, new), encoding="utf-8")
    assert run(["compare", str(sweep)]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not list(results_path().parent.glob("indexes/*"))


def test_gold_that_is_not_in_the_documents_is_said_first(sweep: Path) -> None:
    (sweep.parent / "docs" / "ruth.txt").write_text("And Ruth gleaned.", encoding="utf-8")
    with pytest.raises(
        BookError, match=r"^1 gold of [^\n]+ cannot be found in the documents, such as barley: ruth\.txt"
    ):
        Runner(read_sweep(sweep), "run")


def kept(sweep: Path, answers: dict[str, dict[str, str]]) -> RunRow:
    """A run of one recipe whose model has given these answers, by question."""
    runner = Runner(read_sweep(sweep), "run")
    row = RunRow("run", "2026", {"headline": "clean", "answers": True, "k": 5},
                 [one.to_dict() for one in runner.questions], {}, tuple(runner._trials[:1]))  # fmt: skip
    with Results(results_path()) as results:
        results.begin(row)
        for one in runner.questions:
            if one.id in answers:
                results.add(row.trials[0].answer_key, key_of(one), {"cold": True, **answers[one.id]})
    return row


@pytest.mark.slow
def test_what_a_library_prints_disturbs_no_stage(
    sweep: Path, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sweep.write_text(SWEEP.partition("[vary]")[0] + "[run]\nanswers = false\n", encoding="utf-8")
    write("loud/sitecustomize.py", "print('Loading weights', flush=True)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "loud"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr("openbook.bench.quiet.others_now", lambda: 3.0)
    row = Runner(read_sweep(sweep), "run").run()
    with Results(results_path()) as results:
        assert len(results.of(row.trials[0].search_key)) == len(QUESTIONS)


def test_half_of_a_pair_of_utf_16_is_kept_as_a_question_mark_in_answers_and_names(sweep: Path) -> None:
    row = kept(sweep, {"fish": {"text": "three \ud83d days"}})
    runner = Runner(read_sweep(sweep), "run \udcff")
    with Results(results_path()) as results:
        assert results.of(row.trials[0].answer_key)[key_of(runner.questions[0])]["text"] == "three ? days"
        results.begin(RunRow(runner.name, "2027", row.settings, row.questions, {}, row.trials))
        assert results.run("run \udcff").name == results.run("").name == "run ?"


def test_rows_that_were_done_before_are_told_once_and_as_done(sweep: Path) -> None:
    row, told = (
        kept(sweep, {one: {"text": "three days"} for one in ("fish", "wood", "barley", "none")}),
        list[list[str]](),
    )
    with Results(results_path()) as results:
        runner = Runner(read_sweep(sweep), "run")
        row = RunRow("run", "2026", row.settings, row.questions, {}, tuple(runner._trials))
        teller = Teller(lambda states, _: told.append([one.state for one in states]), row, results, "answer",
                        lambda key: len(runner._left(results, key)), {}, Clock())  # fmt: skip
        teller.tell(row.trials[1], "answering")
        teller.tell(row.trials[0])
    assert told == [["done", "answering", "waiting", "waiting"]]


def test_an_answer_that_failed_is_wrong_and_said_and_asked_again(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = kept(sweep, {"fish": {"text": "three days"}, "wood": {"error": "The service is busy."}})
    runner = Runner(read_sweep(sweep), "run")
    with Results(results_path()) as results:
        scorer = Scorer(results, row)
        assert scorer.scores(row.trials[0], "refused") == {"fish": 1.0, "wood": 0.0}
        left = runner._left(results, row.trials[0].answer_key)
    assert [one.id for one in left] == ["wood", "barley", "none"]
    assert run(["compare", "show"]) == 0
    said = capsys.readouterr()
    assert "1 answer failed and counted as wrong" in said.err
    assert "The first: The service is busy." in said.err
    assert "2 questions, judged by clean" in said.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "9"], "has no row 9, but row 1 alone."),
        (["--by", "claen"], "Did you mean 'clean'"),
        (["--by", "recall@50"], "recall@50 looks at 50 passages, but run searched for 5"),
    ],
)
def test_what_a_comparison_cannot_show_is_said_in_one_line(
    sweep: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    kept(sweep, {"fish": {"text": "three days"}})
    assert run(["compare", "show", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_folders_of_one_name_are_kept_apart(sweep: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sweep.parent)
    Runner(read_sweep(Path("sweep.toml")), "here")
    other = write("other/docs/one.txt", "The harbour was built in 1911.").parent.parent
    write("other/questions.jsonl", '{"question": "When was it built?", "answers": ["1911"]}')
    write("other/sweep.toml", SWEEP)
    monkeypatch.chdir(other)
    runner = Runner(read_sweep(Path("sweep.toml")), "there")
    (folder,) = runner._ready.base.values()
    with Book.open(folder) as book:
        assert len(book.documents) == 1


def test_stopping_a_comparison_says_that_it_goes_on(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "run", stopped)
    assert run(["compare", str(sweep)]) == 130
    assert capsys.readouterr().err.endswith("Stopped. The same command goes on where it stopped.\n")


WRITES = """
CREATE TABLE written (key TEXT, question TEXT);
CREATE TRIGGER of_results AFTER INSERT ON results BEGIN INSERT INTO written VALUES (new.key, new.question); END;
CREATE TRIGGER of_stages AFTER INSERT ON stages BEGIN INSERT INTO written VALUES (new.key, ''); END;
"""  # kept by SQLite itself: what is written a second time replaces the first, and would not be seen


@pytest.mark.slow
def test_two_comparisons_at_once_do_each_stage_once(sweep: Path, openbook_home: Path) -> None:
    with Results(results_path()), closing(sqlite3.connect(results_path())) as database:
        database.executescript(WRITES)
    command = ["-m", "openbook", "compare", sweep, "--json", "--name"]
    with running(*command, "one") as one, running(*command, "two") as two:
        said = [json.loads(process.communicate()[0]) for process in (one, two)]
    with Results(results_path()) as results, closing(sqlite3.connect(results_path())) as database:
        trials = results.run("one").trials
        asked = database.execute("SELECT key, question FROM written WHERE question != ''").fetchall()
        noted = [key for (key,) in database.execute("SELECT key FROM written WHERE question = ''")]
    assert len(set(asked)) == len(asked) == 8 * len(QUESTIONS)  # four searches, and four that answer
    assert {key for key, _ in asked} == {key for trial in trials for key in (trial.search_key, trial.answer_key)}
    assert [noted.count(key) for key in {trial.index_key for trial in trials}] == [1, 1]
    assert promised(said[0]) == promised(said[1])


def promised(said: dict[str, Any]) -> dict[int, Any]:
    """Of each row what two comparisons of the same share; the later one may have timed noisy speeds anew."""
    found = {}
    for row in said["rows"]:
        index = {name: row["quantities"][name] for name in ("index", "disk", "index_ram")}
        same = {name: row[name] for name in ("recipe", "varied", "state", "asked", "means", "interval", "p", "best")}
        found[row["row"]] = same | {"index": index}
    return found


@pytest.mark.slow
def test_what_was_said_before_a_question_is_part_of_it(sweep: Path, write: Write) -> None:
    turns = [{"speaker": "user", "text": "I like Boaz."}, {"speaker": "assistant", "text": "Good."}]
    question = {"question": "Who gleaned in his field?", "answers": ["Ruth"], "history": turns}
    write("questions.jsonl", json.dumps(question) + "\n")
    sweep.write_text(SWEEP.split("[vary]")[0] + 'rewriter = "previous"\n', encoding="utf-8")
    row = Runner(read_sweep(sweep), "run").run()
    with Results(results_path()) as results:
        (answer,) = results.of(row.trials[0].answer_key).values()
    assert "Boaz" in answer["searched"] + answer["prompt"]


def test_a_home_that_is_none_is_said_in_one_line(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("OPENBOOK_HOME", str(tmp_path / "file" / "home"))
    for arguments in (["compare", str(sweep)], ["compare", "show"], ["add", "-b", "new", str(sweep)]):
        assert run(arguments) == 1
        error = capsys.readouterr().err
        assert "Not a directory" in error
        assert len(error.splitlines()) == 1


def test_a_comparison_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["compare", "show"], "Nothing was compared yet"),
        (["compare", "none.toml"], "Cannot read"),
    ):
        assert run(arguments) == 1
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_numbers(sweep: Path, openbook_home: Path) -> None:
    command = [sys.executable, "-m", "openbook.app.cli", "compare", str(sweep), "--json"]
    command[1:3] = ["-c", "from openbook.app.cli import main; main()"]
    environment = {**os.environ, "OPENBOOK_HOME": str(openbook_home)}
    for seconds in (1.0, 2.0, 3.0):
        with running(*command[1:], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            time.sleep(seconds)
    done = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)
    shutil.rmtree(openbook_home)
    fresh = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)
    means = [{row["row"]: row["means"] for row in one["rows"]} for one in (done, fresh)]
    assert means[0] == means[1]
