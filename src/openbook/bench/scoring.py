"""From what a comparison kept to numbers for each question: no model is called, nothing is searched.

Measures of the search: any that `ranking.measure` knows. Measures of answers: those of `judging`, by the names below.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from openbook import judging
from openbook.bench.gold import Stretch, has_gold, of_units, units
from openbook.bench.judge import BESIDE, Agreement, agreement, judge_key
from openbook.bench.quantities import SPEEDS
from openbook.bench.questions import Question, key_of, question_of
from openbook.bench.quiet import Timed, is_noisy, timed
from openbook.bench.ranking import depth, measure
from openbook.bench.results import Results, RunRow, TrialRow
from openbook.costing import of_answer
from openbook.errors import BookError
from openbook.types import Chunk, Usage

SEARCH = ("recall@1", "recall@5", "MRR@10", "nDCG@10")
ANSWERS = ("clean", "contains", "f1", "cited", "cited_recall", "refused", "ended")

Scores = dict[str, float]
"""Question's id -> its score; questions that a measure does not judge are left out."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer and what it can be judged by."""

    question: Question
    value: Mapping[str, Any]
    golds: Sequence[Sequence[Stretch]]
    verdict: float | None = None  # of the model that judges, if there is one: 1 for right

    @property
    def text(self) -> str:
        """The model's words; '' where it failed."""
        return str(self.value.get("text", ""))

    def cited(self) -> float | None:
        """The share of the cited passages that hold the answer; None without gold."""
        return self._cited(judging.cited_precision)

    def cited_recall(self) -> float | None:
        """The share of the passages with the answer that are cited; None without gold, or where none was shown."""
        return self._cited(judging.cited_recall)

    def _cited(
        self, judge: Callable[[Collection[int], Sequence[bool], Callable[[bool], bool]], float | None]
    ) -> float | None:
        if not self.golds:
            return None
        right = holding(self.value.get("passages", []), self.golds)
        return judge(self.value.get("cited", []), right, bool)


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
    "cited_recall": Judged.cited_recall,
    "refused": _refused,
    "ended": lambda one: float(one.value.get("stopped") == "end"),
    "judged": lambda one: one.verdict if "text" in one.value else 0.0,
}


class Scorer:
    """Scores of one run's rows, by what is kept when it is first asked for."""

    def __init__(self, results: Results, run: RunRow) -> None:
        self._results, self.run = results, run
        self._kept: dict[str, dict[str, dict[str, Any]]] = {}
        self._scores: dict[tuple[int, str], Scores] = {}
        self._judged: dict[str, dict[str, tuple[list[str], dict[str, int]]]] = {}

    def of(self, key: str) -> dict[str, dict[str, Any]]:
        """What a stage gave, by question; nothing where the stage is none ('')."""
        if key not in self._kept:
            self._kept[key] = self._results.of(key) if key else {}
        return self._kept[key]

    @cached_property
    def questions(self) -> list[Question]:
        """Of the run, in the order of their file."""
        return [question_of(table) for table in self.run.questions]

    def golds(self, question: Question) -> list[list[Stretch]]:
        """Where the golds of a question stand, without those that stand nowhere."""
        return [[Stretch(*one) for one in stretches] for stretches in self.run.gold.get(question.id, []) if stretches]

    def holding(self, question: Question, spans: Sequence[Sequence[Any]]) -> list[bool]:
        """Of each kept passage whether it holds an answer of the question."""
        return holding(spans, self.golds(question))

    def scores(self, trial: TrialRow, name: str) -> Scores:
        """One measure of one row, by question; of questions that were not asked yet there is none.

        Raises:
            BookError: No measure has that name, or it judges answers and the run asked for none.
        """
        if (trial.number, name) not in self._scores:
            if name == "judged" and not self.run.settings.get("judged_by"):
                raise BookError(f"No model judged the answers of {self.run.name}. Name one in its sweep: [run] judge.")
            judge = OF_ANSWERS.get(name)
            if judge and not self.run.settings["answers"]:
                raise BookError(f"{self.run.name} asked for no answers, and {name} judges answers: [run] answers.")
            self._scores[trial.number, name] = self._answers(trial, judge) if judge else self._searched(trial, name)
        return self._scores[trial.number, name]

    @cached_property
    def agreements(self) -> tuple[Agreement, ...]:
        """How often the model that judges agrees with measures that need none, over the answers of all rows."""
        if not self.run.settings.get("judged_by"):
            return ()
        judged = {trial.number: self.scores(trial, "judged") for trial in self.run.trials}
        pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in BESIDE}
        for trial in self.run.trials:
            for name, found in pairs.items():
                other = self.scores(trial, name)
                found += [(score, other[one]) for one, score in judged[trial.number].items() if one in other]
        return tuple(agreement(name, found) for name, found in pairs.items() if found)

    def _answers(self, trial: TrialRow, judge: Callable[[Judged], float | None]) -> Scores:
        kept, by = self.of(trial.answer_key), self.run.settings.get("judged_by")
        said = self.of(judge_key(by, trial.answer_key)) if by and trial.answer_key else {}
        verdicts = {key: float(value["right"]) for key, value in said.items()}
        found = {
            one.id: judge(Judged(one, kept[key], self.golds(one), verdicts.get(key)))
            for one in self.questions
            if (key := key_of(one)) in kept
        }
        return {name: score for name, score in found.items() if score is not None}

    def _searched(self, trial: TrialRow, name: str) -> Scores:
        measure(name, list(OF_ANSWERS))  # it is one, or says so
        k = self.run.settings["k"]
        if depth(name) > k:
            raise BookError(f"{name} looks at {depth(name)} passages, but {self.run.name} searched for {k}: [run] k.")
        return {one: of_units(name, *found) for one, found in self._units(trial.search_key).items()}

    def _units(self, key: str) -> dict[str, tuple[list[str], dict[str, int]]]:
        """What is judged of each question with gold that was searched for: made once for all measures."""
        if key not in self._judged:
            kept, self._judged[key] = self.of(key), {}
            for one in self.questions:
                golds = self.golds(one)
                if golds and (name := key_of(one)) in kept:
                    spans = kept[name]["passages"]
                    self._judged[key][one.id] = units(chunks_of(spans), golds, _also(spans))
        return self._judged[key]

    def answer(self, trial: TrialRow, key: str) -> dict[str, Any]:
        """What a row answered to the question of that key; empty where it was not asked."""
        return self.of(trial.answer_key).get(key, {})

    def found(self, trial: TrialRow, key: str) -> dict[str, Any]:
        """What a row found for the question of that key; empty where it was not searched for."""
        return self._results.one(trial.search_key, key)

    def failures(self, trial: TrialRow) -> list[str]:
        """Why answers of a row failed, a line for each."""
        kept = self.of(trial.answer_key)
        found = (kept.get(key_of(one), {}).get("error") for one in self.questions)
        return [why for why in found if why]

    def done(self, trial: TrialRow, name: str) -> int:
        """How many questions a row was asked that a measure of that name needs."""
        kept = self.of(trial.answer_key if name in OF_ANSWERS else trial.search_key)
        return sum(key_of(one) in kept for one in self.questions)

    def speeds(self, trial: TrialRow) -> dict[str, list[float]]:
        """Seconds and rates of warm questions, in no order: by the names of `quantities.SPEEDS`.

        Of those asked while the machine was quiet, where there are some.
        """
        searched, answered = (self._timed(trial, kind).values for kind in ("search", "answer"))
        return {
            "search": [one["seconds"] for one in searched],
            "first_token": [one["first_token_seconds"] for one in answered],
            "answer": [one["seconds"] for one in answered],
            "tokens_per_second": [
                one["answer_tokens"] / (one["seconds"] - one["first_token_seconds"])
                for one in answered
                if one["answer_tokens"] > 1 and one["seconds"] > one["first_token_seconds"]
            ],
        }

    def noisy(self, trial: TrialRow) -> frozenset[str]:
        """Names of the speeds of a row that could only be measured while other work kept the cores busy."""
        found = {name for kind, names in SPEEDS.items() if self._timed(trial, kind).noisy for name in names}
        # An index is made once: its seconds are not measured again. Memory is what it is, whatever else runs.
        return frozenset(found | ({"index"} if is_noisy(self.measured(trial)["index"]) else set()))

    def _timed(self, trial: TrialRow, kind: str) -> Timed:
        key = {"search": trial.search_key, "answer": trial.answer_key}[kind]
        return timed(list(self.of(key).values()), self._results.measured(key)) if key else Timed((), noisy=False)

    def _answered(self, trial: TrialRow) -> list[dict[str, Any]]:
        return [one for one in self.of(trial.answer_key).values() if "text" in one]

    def quantities(self, trial: TrialRow) -> dict[str, float]:
        """What a row costs, by the names of `quantities.QUANTITIES`; what is not known is left out."""
        speeds, measured = self.speeds(trial), self.measured(trial)
        found: dict[str, float | None] = {name: statistics.median(of) for name, of in speeds.items() if of}
        if len(speeds["search"]) > 1:
            found["search_p95"] = statistics.quantiles(speeds["search"], n=20, method="inclusive")[-1]
        index, used = measured["index"], measured["answer" if trial.answer_key else "search"]
        found |= {"index": index.get("seconds"), "index_ram": index.get("peak_bytes"), "disk": index.get("size_bytes")}
        found |= {"ram": used.get("peak_bytes"), "vram": used.get("vram_bytes")}
        texts = [str(one["text"]) for one in self._answered(trial)]
        found["length"] = statistics.median([len(text.split()) for text in texts]) if texts else None
        found["cost"] = self._dollars(trial, measured["answer"])
        return {name: float(value) for name, value in found.items() if value is not None}

    def _dollars(self, trial: TrialRow, measured: Mapping[str, Any]) -> float | None:
        """For one question, the mean, by the prices of the day; what a rewriter or an embedder takes is not in it."""
        if "remote" not in measured:  # noted when a stage ends
            return None
        if not measured["remote"]:
            return 0.0
        day = date.fromisoformat(self.run.made[:10])
        paid = [of_answer(measured["remote"], measured["model"], _usage(one), day) for one in self._answered(trial)]
        known = [dollars for dollars in paid if dollars is not None]
        return statistics.fmean(known) if known and len(known) == len(paid) else None

    def measured(self, trial: TrialRow) -> dict[str, dict[str, Any]]:
        """Of each stage as a whole: chunks, seconds, bytes on the disk, memory."""
        keys = {"index": trial.index_key, "search": trial.search_key, "answer": trial.answer_key}
        return {stage: self._results.measured(key) if key else {} for stage, key in keys.items()}


def _usage(value: Mapping[str, Any]) -> Usage:
    prompt, answer, cached = (int(value.get(f"{kind}_tokens") or 0) for kind in ("prompt", "answer", "cached"))
    return Usage(prompt, answer, cached)


def chunks_of(spans: Sequence[Sequence[Any]]) -> list[Chunk]:
    """The chunks of kept passages, without their texts, in their order."""
    return [Chunk(str(document), int(start), int(end), "") for document, start, end, *_ in spans]


def _also(spans: Sequence[Sequence[Any]]) -> list[list[Chunk]]:
    """Where each of them stands too, for which it was shown once; empty when none does."""
    if all(len(span) < 5 for span in spans):
        return []
    return [chunks_of(span[4]) if len(span) > 4 else [] for span in spans]


def holding(spans: Sequence[Sequence[Any]], golds: Sequence[Sequence[Stretch]]) -> list[bool]:
    """Of each kept passage whether it has one of the golds, where it stands or in other places."""
    return [has_gold(found, golds) for found in places_of(spans)]


def places_of(spans: Sequence[Sequence[Any]]) -> list[list[Chunk]]:
    """Of each kept passage its chunk, and where it stands too: without their texts."""
    return [[chunk, *others] for chunk, others in zip(chunks_of(spans), _also(spans) or [[]] * len(spans), strict=True)]
