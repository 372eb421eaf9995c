"""From what a comparison kept to numbers for each question: no model is called, nothing is searched.

Measures of the search: any that `ranking.measure` knows. Measures of answers: those of `judging`, by the names below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from openbook import judging
from openbook.bench.gold import Stretch, units
from openbook.bench.questions import Question, key_of, question_of
from openbook.bench.quiet import Timed, timed
from openbook.bench.ranking import depth, measure
from openbook.bench.results import Results, RunRow, TrialRow
from openbook.errors import BookError
from openbook.types import Chunk, Passage

SEARCH = ("recall@1", "recall@5", "MRR@10", "nDCG@10")
ANSWERS = ("clean", "contains", "f1", "cited", "refused")

Scores = dict[str, float]
"""Question's id -> its score; questions that a measure does not judge are left out."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer and what it can be judged by."""

    question: Question
    value: Mapping[str, Any]
    golds: Sequence[Sequence[Stretch]]

    @property
    def text(self) -> str:
        """The model's words; '' where it failed."""
        return str(self.value.get("text", ""))

    def cited(self) -> float | None:
        """The share of the cited passages that hold the answer; None without gold."""
        if not self.golds:
            return None
        passages = [Passage(chunk, 0.0, "") for chunk in _chunks(self.value.get("passages", []))]
        return judging.cited_precision(
            self.value.get("cited", []),
            passages,
            lambda one: any(stretch.is_in(one.chunk) for stretches in self.golds for stretch in stretches),
        )


def _with_answers(judge: Callable[[str, Sequence[str]], float | None]) -> Callable[[Judged], float | None]:
    """Of questions with answers to compare with."""
    return lambda one: judge(one.text, one.question.answers) if one.question.answers else None


def _clean(one: Judged) -> float | None:
    if one.question.answerable and not one.question.answers:
        return None
    return judging.clean(one.text, one.question.answers)


def _refused(one: Judged) -> float | None:
    """1: said that there is no answer where there is none, or answered where there is one. What failed did neither."""
    return float("text" in one.value and judging.refuses(one.text) != one.question.answerable)


OF_ANSWERS: Mapping[str, Callable[[Judged], float | None]] = {
    "clean": _clean,
    "contains": _with_answers(judging.contains),
    "exact": _with_answers(judging.exact),
    "f1": _with_answers(judging.f1),
    "numbers": _with_answers(judging.numbers),
    "cited": Judged.cited,
    "refused": _refused,
    "ended": lambda one: float(one.value.get("stopped") == "end"),
}


class Scorer:
    """Scores of one run's rows."""

    def __init__(self, results: Results, run: RunRow) -> None:
        self._results, self.run = results, run

    @cached_property
    def questions(self) -> list[Question]:
        """Of the run, in the order of their file."""
        return [question_of(table) for table in self.run.questions]

    def _golds(self, question: Question) -> list[list[Stretch]]:
        return [[Stretch(*one) for one in stretches] for stretches in self.run.gold.get(question.id, []) if stretches]

    def scores(self, trial: TrialRow, name: str) -> Scores:
        """One measure of one row, by question; of questions that were not asked yet there is none.

        Raises:
            BookError: No measure has that name.
        """
        judge = OF_ANSWERS.get(name)
        if judge is None:
            return self._searched(trial, name)
        kept = self._results.of(trial.answer_key) if trial.answer_key else {}
        found = {
            one.id: judge(Judged(one, kept[key], self._golds(one)))
            for one in self.questions
            if (key := key_of(one)) in kept
        }
        return {name: score for name, score in found.items() if score is not None}

    def _searched(self, trial: TrialRow, name: str) -> Scores:
        score, kept, k = measure(name, list(OF_ANSWERS)), self._results.of(trial.search_key), self.run.settings["k"]
        if depth(name) > k:
            raise BookError(f"{name} looks at {depth(name)} passages, but {self.run.name} searched for {k}: [run] k.")
        found = {}
        for one in self.questions:
            golds = self._golds(one)
            if golds and (key := key_of(one)) in kept:
                found[one.id] = score(*units(_chunks(kept[key]["passages"]), golds))
        return found

    def answer(self, trial: TrialRow, key: str) -> dict[str, Any]:
        """What a row answered to the question of that key; empty where it was not asked."""
        return self._results.one(trial.answer_key, key)

    def failures(self, trial: TrialRow) -> list[str]:
        """Why answers of a row failed, a line for each."""
        kept = self._results.of(trial.answer_key) if trial.answer_key else {}
        found = (kept.get(key_of(one), {}).get("error") for one in self.questions)
        return [why for why in found if why]

    def speeds(self, trial: TrialRow) -> dict[str, list[float]]:
        """Seconds and rates of warm questions, of the quiet ones where there are some, in no order: 'search', 'first_token', 'tokens_per_second'."""
        searched, answered = (self._timed(trial, kind).values for kind in ("search", "answer"))
        return {
            "search": [one["seconds"] for one in searched],
            "first_token": [one["first_token_seconds"] for one in answered],
            "tokens_per_second": [
                one["answer_tokens"] / (one["seconds"] - one["first_token_seconds"])
                for one in answered
                if one["answer_tokens"] > 1 and one["seconds"] > one["first_token_seconds"]
            ],
        }

    def noisy(self, trial: TrialRow) -> bool:
        """Whether the speeds of a row could only be measured while other work kept the cores busy."""
        return any(self._timed(trial, kind).noisy for kind in ("search", "answer"))

    def _timed(self, trial: TrialRow, kind: str) -> Timed:
        key = {"search": trial.search_key, "answer": trial.answer_key}[kind]
        return (
            timed(list(self._results.of(key).values()), self._results.measured(key)) if key else Timed((), noisy=False)
        )

    def measured(self, trial: TrialRow) -> dict[str, dict[str, Any]]:
        """Of each stage as a whole: chunks, seconds, bytes on the disk, memory."""
        keys = {"index": trial.index_key, "search": trial.search_key, "answer": trial.answer_key}
        return {stage: self._results.measured(key) if key else {} for stage, key in keys.items()}


def _chunks(spans: Sequence[Sequence[Any]]) -> list[Chunk]:
    return [Chunk(str(document), int(start), int(end), "") for document, start, end, *_ in spans]
