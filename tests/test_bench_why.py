"""Of a question that a row got wrong, the step that lost it is told from what the comparison kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from openbook.bench.diagnosis.why import STEPS, lost
from openbook.bench.questions import key_of, question_of
from openbook.bench.results import Results, RunRow, TrialRow
from openbook.bench.running import results_path
from openbook.bench.scoring import Scorer
from openbook.recipe import Recipe

TEXT = "The harbour of Quill was built in 1911. It was wrecked by a storm in 1968, and the ferry stopped."
GOLD = {"source": "quill.txt", "quote": "The harbour of Quill was built in 1911."}
ASKED = {"id": "built", "question": "When was the harbour built?", "answers": ["1911"], "gold": [GOLD]}
NO_ANSWER = {"id": "mayor", "question": "Who is the mayor of Quill?", "answerable": False}
THERE, ELSEWHERE = ["quill", 0, 40], ["quill", 40, 97]
PROMPT = f"user: [1] quill.txt\n{TEXT}\n\nQuestion: When was the harbour built?"

Ask = Callable[..., str]
"""The step that lost a question whose answer and search are given; `recipes` are the rows, the first is asked about."""


def said(text: str, *passages: list[Any], prompt: str = PROMPT, **others: object) -> dict[str, Any]:
    kept = {"text": text, "passages": passages, "prompt": prompt, "left_out": [], "searched": "", "stopped": "end"}
    return {**kept, **others}


@pytest.fixture
def ask() -> Ask:
    def ask(
        *answers: dict[str, Any],
        found: tuple[list[Any], ...] = (),
        question: dict[str, Any] = ASKED,
        recipes: tuple[dict[str, str], ...] = ({},),
        gold: list[Any] | None = None,
    ) -> str:
        rows = [Recipe.from_dict({"llm": "quote", **one}).to_dict() for one in recipes]
        trials = tuple(
            TrialRow(n, {}, recipe, f"index{n}", f"search{n}", f"answer{n}" if answers else "")
            for n, recipe in enumerate(rows, 1)
        )
        asked, stretches = question_of(question), [[["quill", 0, 39, False]]] if gold is None else gold
        settings = {"headline": "clean", "answers": bool(answers), "k": 10}
        run = RunRow("run", "2026", settings, [question], {asked.id: stretches if asked.gold else []}, trials)
        with Results(results_path()) as results:
            results.begin(run)
            for trial in trials:
                results.add(trial.search_key, key_of(asked), {"passages": found})
            for trial, answer in zip(trials, answers, strict=False):
                results.add(trial.answer_key, key_of(asked), answer)
            return lost(Scorer(results, results.run("run")), trials[0], asked)

    return ask


def test_what_is_right_was_not_lost(ask: Ask) -> None:
    assert ask(said("In 1911 [1].", THERE), found=(THERE,)) == ""


def test_shown_and_answered_otherwise_is_the_model(ask: Ask) -> None:
    assert ask(said("In 1968 [1].", THERE), found=(THERE,)) == "model"


def test_found_behind_what_the_prompt_takes_is_rank(ask: Ask) -> None:
    found = (*[ELSEWHERE] * 4, THERE)
    assert ask(said("In 1968 [1].", ELSEWHERE), found=found) == "rank"
    assert ask(found=found) == "rank"  # of a search alone too


def test_a_passage_that_was_shown_for_its_copy_too_was_found(ask: Ask) -> None:
    copy = ["other", 100, 140, 1.0, [["quill", 0, 40]]]
    assert ask(said("In 1968 [1].", copy), found=(copy,)) == "model"
    assert ask(found=(copy,)) == ""


def test_not_found_is_search(ask: Ask) -> None:
    assert ask(said("In 1968 [1].", ELSEWHERE), found=(ELSEWHERE,)) == "search"


def test_found_and_left_out_of_the_prompt_is_budget(ask: Ask) -> None:
    left_out = ["1 of 2 passages were left out: the prompt has room for 100 tokens"]
    assert ask(said("In 1968 [1].", ELSEWHERE, left_out=left_out), found=(ELSEWHERE, THERE)) == "budget"


def test_found_for_the_question_but_not_for_the_rewritten_one_is_rewriting(ask: Ask) -> None:
    assert ask(said("In 1968 [1].", ELSEWHERE, searched="When did it stop?"), found=(THERE,)) == "rewriting"


def test_a_chunk_that_ends_before_the_answer_is_splitting(ask: Ask) -> None:
    assert ask(said("It says not.", ["quill", 0, 30], prompt=TEXT[:30]), found=(["quill", 0, 30],)) == "splitting"


def test_an_invented_answer_is_unanswerable(ask: Ask) -> None:
    assert ask(said("Jory Tamsin [1].", THERE), question=NO_ANSWER) == "unanswerable"
    assert ask(said("Not in these documents.", THERE), question=NO_ANSWER) == ""


@pytest.mark.parametrize("text", ["In 1968.<|im_end|>\n<|im_start|>user", "In 1968.\nUSER: When?", "[INST] In 1968"])
def test_pieces_of_a_chat_format_in_the_answer_are_the_formats_fault(ask: Ask, text: str) -> None:
    assert ask(said(text, THERE), found=(THERE,)) == "format"


def test_right_in_other_words_is_the_questions_fault(ask: Ask) -> None:
    question = {**ASKED, "answers": ["in the year 1911, before the war"]}
    assert ask(said("Before the war, in 1911 [1].", THERE), found=(THERE,), question=question) == "question"


def test_another_form_of_the_word_is_the_questions_fault_and_another_number_is_not(ask: Ask) -> None:
    assert ask(said("By Calvinism.", THERE), found=(THERE,), question={**ASKED, "answers": ["Calvinist"]}) == "question"
    assert ask(said("In 19110.", THERE), found=(THERE,)) == "model"


def test_an_answer_that_is_not_in_its_gold_is_the_questions_fault(ask: Ask) -> None:
    question = {**ASKED, "answers": ["Ambrose Fenn"]}
    assert ask(said("In 1911 [1].", THERE), found=(THERE,), question=question) == "question"


def test_a_gold_that_only_another_reader_or_cleaner_kept_is_told_apart(ask: Ask) -> None:
    """Its own index holds none of the gold's documents; the other row's index is gone, so all is taken to be there."""
    from openbook.bench.results import index_folder
    from openbook.documents import Documents

    (folder := index_folder("index1")).mkdir(parents=True)
    Documents(folder / "documents.db").close()
    answer = said("In 1968 [1].", ELSEWHERE)
    assert ask(answer, found=(ELSEWHERE,), recipes=({"reader": "auto"}, {"reader": "pypdf"})) == "reading"
    assert ask(answer, found=(ELSEWHERE,), recipes=({"cleaners": "repair"}, {"cleaners": "none"})) == "cleaning"


def test_a_call_that_failed_is_told(ask: Ask) -> None:
    assert ask({"error": "The service is busy."}, found=(THERE,)) == "failed"
    assert "failed" in STEPS


def test_a_question_that_was_not_asked_yet_or_cannot_be_judged_is_not_lost(ask: Ask) -> None:
    assert ask(question={"id": "plain", "question": "Who fled?"}) == ""


def test_without_gold_what_the_prompt_says_decides(ask: Ask) -> None:
    question = {key: value for key, value in ASKED.items() if key != "gold"}
    assert ask(said("In 1968.", THERE), found=(THERE,), question=question) == "model"
    assert ask(said("In 1968.", ELSEWHERE, prompt=TEXT[40:]), found=(ELSEWHERE,), question=question) == "search"


def test_it_is_cheap_enough_for_every_answer_of_a_page(ask: Ask) -> None:
    ask(said("In 1968 [1].", THERE), found=(THERE,))
    asked = question_of(ASKED)
    with Results(results_path()) as results:
        scorer = Scorer(results, results.run("run"))
        lost(scorer, scorer.run.trials[0], asked)
        began = time.process_time()
        for _ in range(1000):
            lost(scorer, scorer.run.trials[0], asked)
    assert time.process_time() - began < 10  # measured: 0.1
