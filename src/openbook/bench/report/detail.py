"""What one row did for one question: found at which rank, shown, cited, answered."""

from __future__ import annotations

from dataclasses import dataclass

from openbook.bench.questions import Question, key_of
from openbook.bench.results import TrialRow
from openbook.bench.scoring import Scorer


@dataclass(frozen=True, slots=True)
class Detail:
    """One row's way with one question."""

    asked: bool
    text: str = ""  # of the answer
    error: str = ""  # why there is none
    found: int = 0  # rank of the first passage of the search that holds the answer, from 1; 0: none does
    searched: int = 0  # passages
    shown: int = 0  # the same of the passages that the model was shown, in their order
    right: tuple[int, ...] = ()  # numbers of cited passages that hold the answer
    wrong: tuple[int, ...] = ()  # and of those that do not
    stopped: bool = False  # at max_tokens


def detail(scorer: Scorer, trial: TrialRow, question: Question) -> Detail:
    """Of a question that was not asked, or only searched for, what there is."""
    key = key_of(question)
    searched, answer = scorer.of(trial.search_key).get(key), scorer.answer(trial, key)
    if searched is None and not answer:
        return Detail(asked=False)
    found = scorer.holding(question, (searched or {}).get("passages", []))
    shown = scorer.holding(question, answer.get("passages", []))
    cited = [number for number in answer.get("cited", []) if 0 < number <= len(shown)]
    return Detail(
        asked=True,
        text=str(answer.get("text", "")),
        error=str(answer.get("error", "")),
        found=_first(found),
        searched=len(found),
        shown=_first(shown),
        right=tuple(number for number in cited if shown[number - 1]),
        wrong=tuple(number for number in cited if not shown[number - 1]),
        stopped=answer.get("stopped") == "length",
    )


def _first(holds: list[bool]) -> int:
    return holds.index(True) + 1 if True in holds else 0
