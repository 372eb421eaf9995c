"""A sweep says which recipes are compared, and what is wrong with it is said before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts import Write
from openbook.bench.scoring import OF_ANSWERS
from openbook.bench.sweep import ANSWER_MEASURES, Sweep, read_sweep
from openbook.errors import SpecError

BEGIN = """
documents = ["kafka/*.html"]
questions = "questions.jsonl"
"""


def sweep(write: Write, text: str) -> Sweep:
    return read_sweep(write("sweeps/sweep.toml", BEGIN + text))


def labels(write: Write, text: str) -> list[str]:
    return [trial.label for trial in sweep(write, text).trials]


VARY = """
[vary]
splitter = ["chars(size=500)", "chars(size=1000)"]
retriever = ["bm25", "dense", "hybrid"]
"""


def test_a_grid_is_every_combination_once_the_baseline_first(write: Write) -> None:
    found = labels(write, 'baseline = { retriever = "hybrid" }' + VARY)
    assert len(found) == len(set(found)) == 6
    assert found[0] == "retriever=hybrid splitter=chars(size=500)"


def test_one_at_a_time_changes_one_step_of_the_baseline(write: Write) -> None:
    found = sweep(write, VARY + '[run]\nmode = "one-at-a-time"').trials
    assert [trial.label for trial in found] == [
        "splitter=chars(size=500) retriever=bm25",
        "splitter=chars(size=1000) retriever=bm25",
        "splitter=chars(size=500) retriever=dense",
        "splitter=chars(size=500) retriever=hybrid",
    ]


def test_random_recipes_are_the_same_each_time_and_differ(write: Write) -> None:
    text = VARY + '[run]\nmode = "random(n=4)"\nseed = {}'
    first = labels(write, text.format(3))
    assert first == labels(write, text.format(3))
    assert 4 <= len(set(first)) == len(first) <= 5  # and the baseline
    assert len({tuple(labels(write, text.format(seed))) for seed in range(5)}) > 1
    assert len(labels(write, VARY + '[run]\nmode = "random(n=99)"')) == 6


def test_what_all_have_in_common_is_in_every_recipe(write: Write) -> None:
    found = sweep(write, '[recipe]\nllm = "quote"\nembedder = "hashed"' + VARY)
    assert {str(trial.recipe.llm) for trial in found.trials} == {"quote"}
    assert found.trials[0].recipe.to_dict()["splitter"] == "chars(size=500)"


def test_a_sweep_without_variation_is_one_recipe(write: Write) -> None:
    assert labels(write, "") == ["default"]


def test_paths_count_from_the_folder_of_the_file(write: Write, tmp_path: Path) -> None:
    found = sweep(write, "")
    assert found.documents == (str(tmp_path / "sweeps" / "kafka" / "*.html"),)
    assert found.questions == tmp_path / "sweeps" / "questions.jsonl"


def test_documents_are_known_by_their_whole_paths(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was read is kept by these names: "docs" of one folder was taken for "docs" of another.
    write("a/sweep.toml", 'documents = ["../b/docs"]\nquestions = "q.jsonl"')
    monkeypatch.chdir(tmp_path / "a")
    assert read_sweep(Path("sweep.toml")).documents == (str(tmp_path / "b" / "docs"),)


def test_every_measure_of_answers_may_decide() -> None:
    assert set(ANSWER_MEASURES) == set(OF_ANSWERS)


@pytest.mark.parametrize(
    ("run", "headline"),
    [("", "clean"), ("answers = false", "nDCG@10"), ("answers = false\nk = 5", "nDCG@5"), ('headline = "f1"', "f1")],
)
def test_the_headline_is_what_can_be_measured(write: Write, run: str, headline: str) -> None:
    assert sweep(write, f"[run]\n{run}").headline == headline


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = ", "is not TOML"),
        ("x = " + "[" * 5000, "is not TOML"),
        ("question = 'x'", "Did you mean 'questions'"),
        ("[vary]\nspliter = ['chars']", "Did you mean 'splitter'"),
        ("[vary]\nsplitter = 'chars'", "is a list of specs"),
        ("[vary]\nsplitter = ['chars(sise=3)']", "Did you mean 'size'"),
        ("[vary]\nsplitter = ['chars(size=-3)']", "splitter=chars(size=-3)"),
        ("[vary]\nembedder = ['minilmm']", "Did you mean 'minilm'"),
        ("vary = 3", "is no table"),
        ("[run]\nmode = 'gird'", "Did you mean 'grid'"),
        ("[run]\nmode = 'random'", "Modes: grid"),
        ("[run]\nmode = 'random(n=0)'", "1 or more"),
        ("[run]\nmode = 'grid('", "is not a component"),
        ("[run]\nminute = 60", "no key of [run] is called 'minute'. Did you mean 'minutes'"),
        ("[run]\nminutes = '60'", "minutes = '60' must be like 60."),
        ("[run]\nminutes = -1", "is no time"),
        ("[run]\nmode = 'race(risk=2)'", "risk = 2 is none"),
        ("[run]\nmode = 'race(n=2)'", "Modes: grid"),
        ("[run]\nk = 0", "1 or more"),
        ("[run]\nheadline = 'claen'", "Did you mean 'clean'"),
        ("[run]\nheadline = 'recall@50'", "needs k = 50"),
        ("[run]\nheadline = 'nDCG'", "Did you mean 'nDCG@10'"),
        ("[run]\nanswers = false\nheadline = 'clean'", "needs answers = true"),
        ("[vary]\nretriever = [" + ",".join(f"'hybrid(weight=0.{n:03})'" for n in range(120)) + "]\nsplitter = ["
         + ",".join(f"'chars(size={n})'" for n in range(100, 220)) + "]", "14,400 recipes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_with_the_file(write: Write, text: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        sweep(write, text)
    assert said in str(error.value)
    assert "sweep.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_documents_and_questions_must_be_named(write: Write) -> None:
    nul = 'documents = ["a"]\nquestions = "q\\u0000"'
    for text in ("", nul, 'documents = []\nquestions = "q"', 'documents = ["a"]', 'documents = ["a"]\nquestions = 3'):
        with pytest.raises(SpecError, match=r"^[^\n]+such as"):
            read_sweep(write("sweep.toml", text))
    with pytest.raises(SpecError, match="Cannot read"):
        read_sweep(Path("none.toml"))
