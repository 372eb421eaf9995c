"""Comparisons for tests of what is shown of them: written as a run leaves them, with no model and no search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openbook.bench.questions import question_of
from openbook.bench.results import Results, RunRow, TrialRow
from openbook.bench.running import key_of, results_path
from openbook.recipe import Recipe

DOCUMENT = "0123456789abcdef"


def questions(count: int) -> list[dict[str, Any]]:
    """So many questions with an answer and a gold each."""
    return [
        {
            "id": f"q{number}",
            "question": f"Who fled in verse {number}?",
            "answers": [f"Jonah {number}"],
            "gold": [{"source": "docs/jonah.txt", "quote": f"Jonah {number} fled"}],
        }
        for number in range(count)
    ]


def answered(question: Mapping[str, Any], *, right: bool = True, **more: Any) -> dict[str, Any]:
    """What a stage keeps of one answer."""
    said = (question.get("answers") or ["Not in these documents."])[0] if right else "Noah"
    return {
        "text": f"{said} [1].",
        "passages": [[DOCUMENT, 0, 100, 1.0], [DOCUMENT, 500, 600, 0.5]],
        "cited": [1],
        "stopped": "end",
        "prompt": "",
        "first_token_seconds": 1.0,
        "seconds": 2.0,
        "prompt_tokens": 1000,
        "cached_tokens": 0,
        "answer_tokens": 20,
        "cold": False,
        "load": 0.0,
    } | more


def kept(
    rows: Sequence[Sequence[Mapping[str, Any] | None]],
    asked: Sequence[Mapping[str, Any]],
    *,
    name: str = "run",
    recipes: Sequence[Mapping[str, str]] = (),
    measured: Sequence[Mapping[str, Any]] = (),
    **settings: Any,
) -> RunRow:
    """A run whose row `i` gave rows[i][q] to question q; None was not asked yet. `measured` is of the answers."""
    base = Recipe().to_dict()
    given = recipes or [{"splitter": f"chars(size={100 * number})"} for number in range(1, len(rows) + 1)]
    trials = tuple(
        TrialRow(number, dict(varied), base | dict(varied), f"i{name}{number}", f"s{name}{number}", f"a{name}{number}")
        for number, varied in enumerate(given, 1)
    )
    said = {"headline": "clean", "answers": True, "k": 10, "documents": ["/home/somebody/secret/docs/*.txt"]}
    gold = {str(one["id"]): [[[DOCUMENT, 10, 60, False]]] for one in asked if one.get("gold")}
    run = RunRow(name, "2026-11-23T10:00:00+00:00", said | settings, [dict(one) for one in asked], gold, trials)
    with Results(results_path()) as results:
        results.begin(run)
        for number, (trial, answers) in enumerate(zip(trials, rows, strict=True)):
            for question, answer in zip(asked, answers, strict=True):
                if answer is not None:
                    key = key_of(question_of(dict(question), ""))
                    passages = [[DOCUMENT, 200, 300, 2.0], [DOCUMENT, 0, 100, 1.0]]
                    search = {"passages": passages, "seconds": 0.01 * (number + 1), "cold": False, "load": 0.0}
                    results.add(trial.search_key, key, search)
                    results.add(trial.answer_key, key, answer)
            results.note(trial.index_key, {"chunks": 10, "seconds": 5.0, "size_bytes": 2_000_000})
            results.note(trial.answer_key, {"model": "quote", "remote": "", "peak_bytes": 500e6 * (number + 1)})
            if measured:
                results.note(trial.answer_key, measured[number])
    return run
