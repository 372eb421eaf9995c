"""The table of a comparison: while it runs, with conditions, with prices, with what each row costs."""

from __future__ import annotations

from typing import Any

import pytest

from boards import answered, kept, questions
from openbook.app.cli import run
from openbook.bench.board import Board, board, numbered
from openbook.bench.constraints import constraints
from openbook.bench.results import Results
from openbook.bench.running import results_path
from openbook.bench.scoring import Scorer
from openbook.errors import BookError

ASKED = questions(12)


def right(count: int) -> list[Any]:
    """Answers to all questions, the first so many of them right."""
    return [answered(one, right=number < count) for number, one in enumerate(ASKED)]


def shown(headline: str = "", against: int = 1, fit: str = "") -> Board:
    with Results(results_path()) as results:
        return board(Scorer(results, results.run("")), headline, against, constraints(fit))


def test_rows_that_are_done_are_tested_and_the_others_shown_by_what_they_have() -> None:
    kept([right(12), right(0), right(12)[:5] + [None] * 7, [None] * 12], ASKED)
    found = shown()
    assert found.questions == 12
    states = {line.trial.number: (line.state, line.asked, line.tested) for line in found.lines}
    assert states == {1: ("done", 12, True), 2: ("done", 12, True), 3: ("running", 5, False), 4: ("waiting", 0, False)}
    assert found.verdict.startswith("So far: row 1 is better than every other one")
    assert found.unfinished == "2 of 4 rows are not done: row 3 was asked 5 of 12 questions; row 4 is not begun."
    running = next(line for line in found.lines if line.trial.number == 3)
    assert (running.p, running.best, running.front, running.means["clean"]) == (None, False, None, 1.0)
    assert [line.trial.number for line in found.lines] == [1, 2, 3, 4]


def test_while_no_two_rows_are_done_those_begun_are_tested_over_the_questions_they_share() -> None:
    kept([right(12), right(3)[:6] + [None] * 6], ASKED)
    found = shown()
    assert found.questions == 6
    assert {line.trial.number: line.means["clean"] for line in found.lines} == {1: 1.0, 2: 0.5}
    assert found.lines[1].difference == -0.5


def test_rows_asked_block_by_block_are_compared_though_some_are_a_block_ahead() -> None:
    kept([right(12), right(12), *[right(5)[:10] + [None] * 2] * 5], ASKED)
    found = shown()
    assert found.questions == 10
    assert all(line.tested for line in found.lines)
    assert found.unfinished == ("5 of 7 rows are not done: rows 3 to 7 were asked 10 of 12 questions.")


def test_rows_that_share_no_question_are_no_error() -> None:
    kept([right(12)[:3] + [None] * 9, [None] * 9 + right(12)[9:]], ASKED)
    found = shown()
    assert (found.questions, found.verdict) == (0, "No question was judged in every row yet.")
    assert [line.difference for line in found.lines] == [0.0, None]
    with pytest.raises(BookError, match="has no best row"):
        found.best()


def test_nothing_asked_yet_is_no_error() -> None:
    kept([[None] * 12, [None] * 12], ASKED)
    assert shown().unfinished == "2 of 2 rows are not done: rows 1 and 2 are not begun."


def test_a_baseline_that_is_not_begun_leaves_the_rest_compared() -> None:
    kept([[None] * 12, right(12), right(0)], ASKED)
    found = shown()
    assert found.verdict.startswith("So far: row 2 is better")
    assert {line.p for line in found.lines} == {None}


def test_rows_dropped_by_a_race_are_not_unfinished() -> None:
    kept([right(12), right(11), right(0)[:4] + [None] * 8], ASKED, dropped={"3": 4})
    found = shown()
    assert found.questions == 12
    assert found.unfinished == "Dropped as losing: row 3 after 4 questions."
    assert found.lines[-1].state == "dropped"
    assert found.lines[-1].difference == -1.0  # over the four
    assert not found.verdict.startswith("So far")


def test_against_a_baseline_that_was_dropped_only_the_questions_it_was_asked_count() -> None:
    kept([right(0)[:4] + [None] * 8, right(12), right(11)], ASKED, dropped={"1": 4})
    found = shown()
    assert (found.questions, found.paired) == (12, 4)
    assert "Differences and p are over the 4 questions that the baseline was asked too." in found.unfinished


def test_a_race_that_leaves_one_row_has_a_winner_and_does_not_call_it_better() -> None:
    kept([right(12), right(0)[:4] + [None] * 8, right(1)[:6] + [None] * 6], ASKED, dropped={"2": 4, "3": 6})
    assert shown().verdict == (
        "Row 1 won the race: by these questions no other row would have caught up. Whether it is better by more than "
        "luck, a race does not say."
    )
    assert [line.state for line in shown().lines] == ["done", "dropped", "dropped"]
    assert shown("nDCG@10").verdict.startswith("One recipe, 12 questions")  # which it did not race by


def test_a_winner_is_compared_with_the_baseline_which_a_race_keeps() -> None:
    kept([right(0), right(12), right(1)[:6] + [None] * 6], ASKED, dropped={"3": 6})
    assert shown().verdict == (
        "Row 2 won the race: by these questions no other row would have caught up. It is better than the baseline, "
        "row 1, by more than luck (12 questions); whether than those that were dropped, a race does not say."
    )
    kept([right(11), right(12), right(1)[:6] + [None] * 6], ASKED, dropped={"3": 6})
    assert shown().verdict.startswith("No difference found between these 2 recipes")
    kept([right(0), right(12), right(1), right(0)[:6] + [None] * 6], ASKED, dropped={"4": 6})
    assert shown().verdict.startswith("Row 2 is better than every other one that the race left, by more than luck")
    kept([right(0), right(12), right(12), right(0)[:6] + [None] * 6], ASKED, dropped={"4": 6})
    assert shown().verdict.endswith("; the others that the race left are worse than the best.")


def test_conditions_leave_rows_out_with_the_reason_and_the_verdict_speaks_of_the_rest() -> None:
    kept([right(12), right(6), right(0)], ASKED)  # 500 MB, 1 GB, 1.5 GB
    found = shown(fit="ram>600MB, recall@5>0.5")
    assert [line.trial.number for line in found.fitting] == [2, 3]
    assert found.lines[-1].misfits == ("ram is 500 MB",)
    assert found.verdict.startswith("2 of 3 recipes fit ram > 600 MB, recall@5 > 50.0 %. Of these: ")
    assert found.lines[0].difference == -0.5  # still to the baseline, which does not fit
    assert shown(fit="ram<100MB").verdict == "No recipe fits ram < 100 MB."
    assert shown(fit="ram<600MB").verdict == "Of 3 recipes one fits ram < 600 MB: row 1."
    assert shown(fit="recall@3>0").fitting  # a measure that is not in the table


def test_the_front_is_of_quality_seconds_of_an_answer_and_memory() -> None:
    slow = [answered(one, seconds=9.0) for one in ASKED]
    kept([slow, right(6), right(6), right(12)], ASKED, measured=[{}, {}, {}, {"peak_bytes": 400e6}])
    assert {line.trial.number: line.front for line in shown().lines} == {1: False, 2: False, 3: False, 4: True}


def test_what_a_paid_model_costs_is_told_from_its_tokens() -> None:
    paid = {"model": "claude-haiku-5-5", "remote": "api.anthropic.com"}
    kept([right(12), right(12), right(12)], ASKED, measured=[paid, {}, {"remote": "nowhere.example"}])
    lines = {line.trial.number: line for line in shown().lines}
    assert lines[1].quantities["cost"] == pytest.approx((1000 * 0.10 + 20 * 0.50) / 1e6)
    assert lines[2].quantities["cost"] == 0.0  # of this machine
    assert "cost" not in lines[3].quantities  # no price is known
    assert [line.trial.number for line in shown(fit="cost<0.01").fitting] == [1, 2]


def test_citations_are_judged_both_ways() -> None:
    both = [answered(one, passages=[["0123456789abcdef", 0, 100, 1.0]] * 2, cited=[1]) for one in ASKED]
    none = [answered(one, cited=[2]) for one in ASKED]
    kept([both, none], ASKED)
    lines = {line.trial.number: line.means for line in shown().lines}
    assert (lines[1]["cited"], lines[1]["cited_recall"]) == (1.0, 0.5)
    assert (lines[2]["cited"], lines[2]["cited_recall"]) == (0.0, 0.0)
    assert lines[1]["ended"] == 1.0


def test_speeds_on_a_busy_machine_are_said_to_be() -> None:
    busy = [answered(one, others=0.9) for one in ASKED]
    kept([busy, right(12)], ASKED)
    lines = {line.trial.number: line for line in shown().lines}
    assert lines[1].spoiled == {"first_token", "answer", "tokens_per_second"}  # the search was quiet
    assert (lines[1].noisy, lines[2].noisy) == (True, False)


def test_an_index_that_was_made_on_a_busy_machine_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    row = kept([right(12), right(12)], ASKED)
    with Results(results_path()) as results:
        results.note(row.trials[0].index_key, {"others": 0.6, "load": 0.0, "peak_bytes": 1e9})
        results.note(row.trials[1].index_key, {"others": 0.02, "load": 99.0, "peak_bytes": 1e9})
    lines = {line.trial.number: line for line in shown().lines}
    assert lines[1].spoiled == {"index"}  # its memory is what it is
    assert not lines[2].spoiled
    assert run(["compare", "show", "--wide"]) == 0
    said = capsys.readouterr().out
    assert "~5.0 s" in said
    assert "~ measured while the machine was busy." in said


def test_rows_are_numbered_as_one_says_them() -> None:
    kept([right(12) for _ in range(7)], ASKED)
    lines = sorted(shown().lines, key=lambda line: line.trial.number)
    assert numbered(lines) == "Rows 1 to 7"
    assert numbered(lines[:1]) == "Row 1"
    assert numbered([lines[5], lines[1], lines[2]]) == "Rows 6, 2 and 3"
    assert numbered([lines[0], *lines[3:]]) == "Rows 1 and 4 to 7"
