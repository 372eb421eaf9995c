"""What a search of a comparison looks for when something was said before, and what its key depends on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts import Write
from openbook.bench.preparing import Prepared, prepare
from openbook.bench.results import TrialRow
from openbook.bench.stages import _searched, _spans
from openbook.bench.sweep import read_sweep
from openbook.book import Book
from openbook.recipe import Recipe

SWEEP = """
documents = ["docs"]
questions = "questions.jsonl"
[recipe]
embedder = "hashed"
store = "flat"
llm = "quote"
retriever = "bm25"
[vary]
rewriter = ["none", "previous", "followup"]
"""
TURNS = [{"speaker": "user", "text": "Tell me of Boaz."}, {"speaker": "assistant", "text": "He was of Bethlehem."}]
QUESTION = {"id": "1", "question": "Who gleaned?", "answers": ["Ruth"]}


@pytest.fixture
def sweep(write: Write) -> Path:
    write("docs/ruth.txt", "And Ruth gleaned until even.")
    write("docs/boaz.txt", "And Boaz came from Bethlehem.")
    return write("sweep.toml", SWEEP)


def prepared(sweep: Path, folder: Path, **more: object) -> Prepared:
    (sweep.parent / "questions.jsonl").write_text(json.dumps(QUESTION | more) + "\n", encoding="utf-8")
    return prepare(read_sweep(sweep), folder, None)


def keys(rows: Prepared) -> list[str]:
    return [one.search_key for one in rows.trials]


def test_what_was_said_before_is_part_of_a_search_only_where_it_is_looked_at(sweep: Path, tmp_path: Path) -> None:
    alone, said = prepared(sweep, tmp_path / "home"), prepared(sweep, tmp_path / "home", history=TURNS)
    assert len({*keys(alone)}) == 1
    none, previous, followup = keys(said)
    assert none == keys(alone)[0]
    assert previous == followup != none
    assert [one.index_key for one in said.trials] == [one.index_key for one in alone.trials]


def test_a_search_adds_the_question_before_it(sweep: Path, tmp_path: Path) -> None:
    rows = prepared(sweep, tmp_path / "home", history=TURNS)
    history = [{"role": turn["speaker"], "content": turn["text"]} for turn in TURNS]

    def found(row: TrialRow) -> int:
        recipe = Recipe.from_dict(row.recipe)
        with Book.open(rows.documents(recipe)) as book:
            book.recipe = book.recipe.with_step("rewriter", row.recipe["rewriter"]).with_step("retriever", "bm25")
            return len(_searched(book, {"text": "Who gleaned?", "history": history}, 5, _spans(book))["passages"])

    assert [found(row) for row in rows.trials] == [1, 2, 2]
