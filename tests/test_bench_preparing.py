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


GRID = """
documents = ["docs"]
questions = "questions.jsonl"
[recipe]
store = "flat"
llm = "quote"
[vary]
retriever = ["dense", "bm25"]
embedder = ["hashed", "hashed(dim=64)"]
[run]
"""


def rows(tmp_path: Path, text: str) -> tuple[list[str], str]:
    """The labels of what is run, and what is said of the others."""
    (tmp_path / "sweep.toml").write_text(text, encoding="utf-8")
    (tmp_path / "questions.jsonl").write_text(
        json.dumps(QUESTION | {"gold": [{"source": "ruth.txt"}]}), encoding="utf-8"
    )
    found = prepare(read_sweep(tmp_path / "sweep.toml"), tmp_path / "home", None)
    assert [one.number for one in found.trials] == [*range(1, len(found.trials) + 1)]
    return [one.label for one in found.trials], found.alike


@pytest.mark.usefixtures("sweep")
def test_recipes_that_differ_only_in_what_has_no_effect_are_run_once(tmp_path: Path) -> None:
    labels, said = rows(tmp_path, GRID)
    assert labels == [
        "retriever=dense embedder=hashed",
        "retriever=dense embedder=hashed(dim=64)",
        "retriever=bm25 embedder=hashed",
    ]
    assert said == (
        "1 of 4 recipes does the same as another and is left out, such as embedder=hashed(dim=64) for embedder=hashed, "
        "where retriever=bm25."
    )
    labels, said = rows(tmp_path, GRID.replace('llm = "quote"', 'llm = "quote"\nrefiners = "diverse"'))
    assert (len(labels), said) == (4, "")  # it asks the embedder
    only = GRID.replace("[run]", 'llm = ["quote", "quote(passages=1)"]\n[run]\nanswers = false')
    labels, said = rows(tmp_path, only)
    assert len(labels) == 3
    assert said.startswith("5 of 8 recipes do the same as another and are left out, such as llm=quote(passages=1) for")
    assert said.endswith("llm=quote, as no answers are asked for.")


@pytest.mark.usefixtures("sweep")
@pytest.mark.parametrize(
    ("retrievers", "mode", "count"), [('["bm25", "dense"]', 'mode = "one-at-a-time"', 3), ('["bm25"]', "", 2)]
)
def test_recipes_that_are_named_one_by_one_are_all_run(tmp_path: Path, retrievers: str, mode: str, count: int) -> None:
    labels, said = rows(tmp_path, GRID.replace('["dense", "bm25"]', retrievers) + mode)
    assert (len(labels), said) == (count, "")
    assert "retriever=bm25 embedder=hashed(dim=64)" in labels


@pytest.mark.usefixtures("sweep")
def test_an_embedder_that_has_chunks_cut_again_has_an_effect_on_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = property(lambda self: 3 if self.dim == 64 else 0)  # words; documents have five
    monkeypatch.setattr("openbook.embedders.hashed.Hashed.window", window)
    labels, said = rows(tmp_path, GRID)
    assert (len(labels), said) == (4, "")
