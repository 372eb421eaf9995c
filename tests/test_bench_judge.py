"""A model may judge answers: beside the measures that need none, and with how far it agrees with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from contracts import Write
from openbook.app.cli import run
from openbook.bench.judge import GRAMMAR, agreement, gold_text, judge_key, judged_by, messages, prompt, tasks, verdict
from openbook.bench.results import Results
from openbook.bench.running import Runner, key_of, results_path
from openbook.bench.scoring import Scorer
from openbook.bench.sweep import read_sweep
from openbook.errors import OpenbookError
from openbook.recipe import digest
from openbook.types import LLM, Message, Stream, Usage


class Says:
    """A model that says one thing, and notes what it was asked."""

    name, context, remote, parallel = "says", 4096, "", 1

    def __init__(self, *words: str) -> None:
        self.words, self.asked = words, list[tuple[Sequence[Message], str]]()

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        self.asked.append((messages, grammar))
        yield from self.words
        yield Usage(1, 1)


@pytest.mark.parametrize(
    ("words", "right"), [(["Yes"], True), (["No"], False), ([" yes", "."], True), (["Maybe, yes"], False), ([], False)]
)
def test_only_yes_is_right(words: list[str], right: bool) -> None:
    llm = Says(*words)
    assert verdict(cast("LLM", llm), [Message("user", "?")])[0] is right
    assert llm.asked[0][1] == GRAMMAR


def test_the_judge_is_asked_in_these_words() -> None:
    system, asked = messages(
        "Who fled?", ["Jonah", "the prophet"], "But Jonah rose up to flee", "It was {Jonah} [1].\n"
    )
    assert system.content.startswith("You grade the answer of a student. Compare it")
    assert asked.content == (
        "Question: Who fled?\nRight answer: Jonah | the prophet\nFrom the documents: But Jonah rose up to flee\n"
        "Answer of the student: It was {Jonah} [1].\nIs the answer of the student right, Yes or No?"
    )
    assert "Right answer" not in messages("Who fled?", [], "But Jonah rose", "He")[1].content
    system, asked = messages("Who fled {answer}?", [], "", "Nobody says.")
    assert "cannot be answered" in system.content
    assert asked.content.splitlines()[0] == "Question: Who fled {answer}?"


def test_the_prompt_of_a_version_never_changes() -> None:
    assert digest(prompt(1)) == "ec4a948f439170aa"


def test_the_gold_is_shown_with_words_around_it() -> None:
    text = "a" * 500 + " Jonah\nrose " + "b" * 5000
    shown = gold_text([["gone", 0, 3], ["d", 501, 511]], {"d": text})
    assert "Jonah rose" in shown
    assert len(shown) < 320
    assert len(gold_text([["d", 0, 5000]], {"d": text})) <= 700
    assert gold_text([], {}) == ""


def test_agreement_is_told_apart_from_chance() -> None:
    # sklearn.metrics.cohen_kappa_score of the same: 0.4, and 0 where one of both says always the same.
    pairs = [(1.0, 1.0)] * 20 + [(1.0, 0.0)] * 5 + [(0.0, 1.0)] * 10 + [(0.0, 0.0)] * 15
    found = agreement("clean", pairs)
    assert (found.share, found.only_judge, found.only_measure) == (0.7, 5, 10)
    assert found.kappa == pytest.approx(0.4)
    assert agreement("clean", [(1, 1), (1, 0)]).kappa == pytest.approx(0.0)
    assert agreement("clean", [(1, 1)] * 3).kappa == 1.0
    assert agreement("clean", []).answers == 0


def test_another_judge_or_prompt_judges_anew() -> None:
    by = judged_by("quote")
    assert judge_key(by, "a") != judge_key(by, "b")
    assert judge_key(by, "a") != judge_key({**by, "prompt": 2}, "a")
    assert judge_key(by, "a") != judge_key(judged_by("quote(passages=1)"), "a")


SWEEP = """
documents = ["docs"]
questions = "questions.jsonl"
[recipe]
embedder = "hashed"
store = "flat"
llm = "quote"
[vary]
retriever = ["bm25", "dense"]
[run]
judge = "quote"
"""
QUESTIONS = [
    {"id": "fish", "question": "How long was Jonah in the fish?", "answers": ["three days"],
     "gold": [{"source": "jonah.txt", "quote": "Jonah was in the fish three days"}]},
    {"id": "none", "question": "What is the capital of Mongolia?", "answerable": False},
]  # fmt: skip


@pytest.fixture
def sweep(write: Write) -> Path:
    write("docs/jonah.txt", "And Jonah was in the fish three days.")
    write("questions.jsonl", "".join(json.dumps(one) + "\n" for one in QUESTIONS))
    return write("sweep.toml", SWEEP)


@pytest.mark.slow
def test_answers_are_judged_once_and_how_far_is_shown(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(sweep), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["measure"] for one in said["judge"]["agreements"]] == ["clean", "contains"]
    assert said["judge"]["prompt"] == prompt(1)
    assert all("judged" in row["means"] for row in said["rows"])
    assert run(["compare", "show", "--by", "judged"]) == 0
    assert "judged: by quote, prompt 1; agrees with clean on " in capsys.readouterr().out
    with Results(results_path()) as results:
        row = results.run("")
        assert not list(tasks(row, results))
        trial, first = row.trials[0], key_of(Runner(read_sweep(sweep), "again").questions[0])
        answer = results.one(trial.answer_key, first)
        results.add(trial.answer_key, first, answer | {"text": "It was answered anew."})
        left = list(tasks(row, results))
        assert [(one.number, [part["key"] for part in task["questions"]]) for one, _, task in left] == [(1, [first])]


def test_what_the_judge_said_is_a_measure(sweep: Path) -> None:
    runner = Runner(read_sweep(sweep), "run")
    with Results(results_path()) as results:
        row = runner._begun(results)
        results.begin(row)
        fish, none = map(key_of, runner.questions)
        answers = row.trials[0].answer_key
        results.add(answers, fish, {"text": "three days", "cold": True})
        results.add(answers, none, {"error": "The service is busy."})
        assert Scorer(results, row).scores(row.trials[0], "judged") == {"none": 0.0}  # a failure is wrong
        results.add(judge_key(row.settings["judged_by"], answers), fish, {"right": True})
        scorer = Scorer(results, row)
        assert scorer.scores(row.trials[0], "judged") == {"fish": 1.0, "none": 0.0}
        assert [(one.measure, one.answers, one.share) for one in scorer.agreements] == [
            ("clean", 2, 1.0),
            ("contains", 1, 1.0),
        ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('judge = "quote"', 'judge = "qoute"', "No model is called 'qoute'"),
        ('judge = "quote"', "judge = \"llamacpp(model='none.gguf')\"", "none.gguf"),
        ('judge = "quote"', 'judge = "llamacpp(temperature=0.5)"', "a judge takes 0"),
        ('judge = "quote"', 'judge = "quote"\nanswers = false', "needs answers = true"),
        ('judge = "quote"', 'headline = "judged"', "needs one"),
        ('judge = "quote"', 'judge = "quote"\nheadline = "judged"\nmode = "race"', "drops rows before it judges"),
    ],
)
def test_a_judge_that_cannot_judge_is_said_before_anything_starts(sweep: Path, old: str, new: str, said: str) -> None:
    sweep.write_text(SWEEP.replace(old, new), encoding="utf-8")
    with pytest.raises(OpenbookError, match=r"^[^\n]+$") as error:
        Runner(read_sweep(sweep), "run")
    assert said in str(error.value)
    assert not list(results_path().parent.glob("indexes/*"))


def test_by_judged_without_a_judge_is_said(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep.write_text(SWEEP.replace('judge = "quote"', ""), encoding="utf-8")
    runner = Runner(read_sweep(sweep), "run")
    with Results(results_path()) as results:
        results.begin(runner._begun(results))
    assert run(["compare", "show", "--by", "judged"]) == 1
    assert "No model judged the answers of run." in capsys.readouterr().err
