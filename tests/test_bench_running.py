"""A comparison is run once, goes on where it was stopped, and is shown without asking anything again."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts import Write
from openbook.app.cli import run
from openbook.bench.board import board
from openbook.bench.results import Results
from openbook.bench.running import Runner, results_path
from openbook.bench.scoring import Scorer
from openbook.bench.sweep import read_sweep
from openbook.errors import BookError

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
    assert "splitter=chars(size=200) retriever=bm25" in shown
    assert run(["compare", "show", "sweep", "--by", "nDCG@3", "--against", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["headline"] == "nDCG@3"
    assert [row["p"] for row in said["rows"] if row["row"] == 2] == [None]
    page = sweep.parent / "page.html"
    assert run(["compare", "report", "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<details>") == len(QUESTIONS) + 1
    assert text.count("<svg") == 4
    assert "How long was Jonah in the fish?" in text
    assert not re.search(r"https?://|src=|href=", text)  # it opens without a network


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"docs"', '"nowhere"', "nowhere"),
        ('"questions.jsonl"', '"none.jsonl"', "Cannot read the questions"),
        ('"chars(size=60)"', '"chars(sise=60)"', "Did you mean 'size'"),
        ('llm = "quote"', "llm = \"llamacpp(model='none.gguf')\"", "none.gguf"),
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
    with pytest.raises(BookError, match=r"^1 golds of [^\n]+ are not in the documents, such as barley: ruth\.txt"):
        Runner(read_sweep(sweep), "run")


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
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)
    shutil.rmtree(openbook_home)
    fresh = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)
    means = [{row["row"]: row["means"] for row in one["rows"]} for one in (done, fresh)]
    assert means[0] == means[1]
