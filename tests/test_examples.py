"""The example questions can be asked as they are: whoever edits a decision learns of a gold that is lost by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbook.bench.checking import check_questions
from openbook.bench.gold import resolve
from openbook.bench.questions import read_questions
from openbook.bench.sweep import read_sweep
from openbook.types import Document

EXAMPLES = Path(__file__).parents[1] / "examples"
DECISIONS = EXAMPLES.parent / "docs" / "decisions"

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="not a checkout")


def test_each_gold_of_the_example_stands_in_one_decision() -> None:
    questions = read_questions(EXAMPLES / "docs-questions.jsonl")
    documents = {
        path.name: (Document(path.read_text("utf-8"), str(path)), [str(path)]) for path in DECISIONS.glob("*.md")
    }
    found = resolve(questions, documents)
    assert not found.missing  # correct examples/docs-questions.jsonl beside the decision
    assert all(len(stretches) == 1 for golds in found.stretches.values() for stretches in golds.values())


def test_the_questions_are_fit_to_compare_with() -> None:
    questions = read_questions(EXAMPLES / "docs-questions.jsonl")
    assert not [one for one in check_questions(questions) if one.question]
    assert sum(not one.answerable for one in questions) * 5 == len(questions)


@pytest.mark.parametrize("name", ["search.toml", "models.toml"])
def test_a_sweep_of_the_examples_says_what_it_compares(name: str) -> None:
    sweep = read_sweep(EXAMPLES / name)
    assert sweep.questions.is_file()
    assert [Path(one) for one in sweep.documents] == [DECISIONS]
