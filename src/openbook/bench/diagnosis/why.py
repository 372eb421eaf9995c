"""Which step lost a question, as far as what a comparison kept tells: nothing is searched, no model is called.

right? --no--> was it shown to the model? --yes--> format | model | question
                      |
                      no--> in the row's documents? --> where in the search? --> budget | rewriting | rank | search
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from openbook import judging, registry
from openbook.bench.diagnosis.speaking import piece, spoken, twins
from openbook.bench.diagnosis.targets import Target, Text, stem, stems, targets
from openbook.bench.gold import HALF, Stretch, has_gold
from openbook.bench.questions import Question, key_of
from openbook.bench.results import RunRow, TrialRow, index_folder
from openbook.bench.scoring import Scorer, chunks_of, places_of
from openbook.recipe import Spec
from openbook.stores.flat import STOP_WORDS
from openbook.text import beginning
from openbook.types import Chunk

STEPS = (
    "reading",
    "cleaning",
    "splitting",
    "rewriting",
    "search",
    "rank",
    "refiners",
    "budget",
    "format",
    "model",
    "question",
    "unanswerable",
    "failed",
)
"""What may lose a question, in the order of the line; the last three: the question or its gold is at fault, it has no
answer and was answered, the model's call failed."""

LONG_ENOUGH = 5  # letters: of less, such as a number, nothing is another form
SHORT = 60  # characters of what is quoted
OTHER_WORDS = 0.75  # of the words that are expected: it may be right, said otherwise
POLAR = frozenset({"yes", "no", "ja", "nein", "true", "false"})  # they need not stand in the text that says so


def lost(scorer: Scorer, trial: TrialRow, question: Question) -> str:
    """The step of STEPS that lost a question to a row; '' when none did, or it was not asked or cannot be judged.

    Takes under a millisecond, but cannot tell as much as `Tracer.why`, which searches again: 'search' may then turn
    out to be splitting or a refiner.
    """
    case = Case(scorer, trial, question)
    if case.right is not False:
        return ""
    if "error" in case.answer:
        return "failed"
    if not question.answerable:
        return "format" if misspoken(case) else "unanswerable"
    if case.shown:
        return said_wrong(case)
    if question.gold and not case.targets:
        return unread(case)
    return not_shown(case)


@dataclass(frozen=True)
class Case:
    """One question to one row, and what was kept of it."""

    scorer: Scorer
    trial: TrialRow
    question: Question
    text_of: Callable[[int, Stretch], Text] | None = None
    """The text around a gold's stretch, from the documents; without it what the gold quotes."""

    @cached_property
    def answer(self) -> dict[str, Any]:
        """What the answer stage kept; empty where no answers were asked for, or not yet."""
        return self.scorer.answer(self.trial, key_of(self.question)) if self.trial.answer_key else {}

    @cached_property
    def found(self) -> list[list[Chunk]] | None:
        """What the search stage found, best first, each where it stands; None where it was not asked yet."""
        kept = self.scorer.found(self.trial, key_of(self.question))
        return places_of(kept["passages"]) if kept else None

    @cached_property
    def golds(self) -> list[list[Stretch]]:
        """The stretches of each gold, those of documents only that this row has read."""
        known = _ids(self.trial.index_key) if _readings(self.scorer.run) > 1 else None
        kept = self.scorer.run.gold.get(self.question.id, [])
        found = [[Stretch(*one) for one in stretches] for stretches in kept]
        return [[one for one in stretches if known is None or one.document_id in known] for stretches in found]

    @cached_property
    def targets(self) -> list[Target]:
        """What must be found; where only the search is judged, the golds as the measures take them."""
        question = self.question if self.trial.answer_key else replace(self.question, answers=())
        return targets(question, self.golds, self.text_of or self._quoted)

    def _quoted(self, number: int, stretch: Stretch) -> Text:
        quote = self.question.gold[number].quote if number < len(self.question.gold) else ""
        return (quote if len(quote) == stretch.end - stretch.start else ""), stretch.start

    @cached_property
    def take(self) -> int:
        """How many passages the row's prompt takes."""
        return passages_of(self.trial.recipe["prompt"])

    @cached_property
    def right(self) -> bool | None:
        """Whether the answer is clean, or without answers the gold among what the prompt takes; None: not judged."""
        if self.trial.answer_key and not self.answer:
            return None
        if self.answer and ("error" in self.answer or self.question.answers or not self.question.answerable):
            return "error" not in self.answer and bool(judging.clean(self.text, self.question.answers))
        if not self.question.gold or self.found is None:
            return None
        # By the measures' own rule: whatever is shown in their columns as found was found.
        shown = places_of(self.answer["passages"]) if self.answer else self.found[: self.take]
        return any(has_gold(places, self.golds) for places in shown)

    @property
    def text(self) -> str:
        """The model's words."""
        return str(self.answer.get("text", ""))

    @cached_property
    def shown(self) -> int:
        """The number of the first passage in the prompt that can answer; 0: none, or no model was asked."""
        if self.question.gold:
            return rank_of(self.targets, places_of(self.answer.get("passages", [])))
        return int(bool(judging.contains(self.prompt, self.question.answers)))

    @property
    def prompt(self) -> str:
        """What the model was sent, without the question."""
        return str(self.answer.get("prompt", "")).replace(self.question.text, " ")

    @cached_property
    def rank(self) -> int:
        """Where in the search that was kept the first passage stands that can answer; 0: nowhere."""
        return rank_of(self.targets, self.found or [])


def rank_of(wanted: Sequence[Target], passages: Sequence[Sequence[Chunk]]) -> int:
    """The number of the first passage that can answer in one of the places where it stands, from 1; 0: none does."""
    found = (any(one.is_in(place) for one in wanted for place in places) for places in passages)
    return next((number for number, can in enumerate(found, 1) if can), 0)


@lru_cache(maxsize=256)
def passages_of(prompt: str) -> int:
    """How many passages a prompt takes, by its spec."""
    return int(registry.make("prompt", Spec.parse(prompt)).passages)


def _readings(run: RunRow) -> int:
    return len({(trial.recipe["reader"], trial.recipe["cleaners"]) for trial in run.trials})


def _ids(key: str) -> frozenset[str] | None:
    """Ids of the documents that an index was made of; None when it is gone."""
    path = index_folder(key) / "documents.db"
    return _ids_in(path, path.stat().st_mtime_ns) if path.exists() else None


@lru_cache(maxsize=64)
def _ids_in(path: Path, stamp: int) -> frozenset[str]:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            return frozenset(str(name) for (name,) in db.execute("SELECT id FROM documents"))
    except sqlite3.Error:  # damaged: opening it as a book says so
        return frozenset()


# What is at fault, step by step.


def unread(case: Case) -> str:
    """Of a gold that other rows' documents hold: 'cleaning' where one with the same reader has it, else 'reading'."""
    own, run = case.trial.recipe, case.scorer.run
    with_it = [other for other in run.trials if any(Case(case.scorer, other, case.question).golds)]
    return "cleaning" if any(other.recipe["reader"] == own["reader"] for other in with_it) else "reading"


def not_shown(case: Case) -> str:
    """Of what could answer and was not shown: where it was left."""
    cut = " cut after" in " ".join(case.answer.get("left_out", []))
    if any(_cut_off(target, case) for target in case.targets):
        return "budget" if cut else "splitting"
    if case.answer and 0 < case.rank <= case.take:
        if case.answer["left_out"]:
            return "budget"
        return "rewriting" if case.answer["searched"] else "refiners"
    return "rank" if case.rank else "search"


def _cut_off(target: Target, case: Case) -> bool:
    """Whether a passage was shown that ends or begins between what tells of the answer and the answer."""
    passages = chunks_of(case.answer.get("passages", []))
    return target.answer is not None and any(target.share(chunk) >= HALF for chunk in passages)


def said_wrong(case: Case) -> str:
    """Of a question whose gold the model was shown: 'format', 'question', 'splitting' or 'model'."""
    if misspoken(case):
        return "format"
    if not doubted(case):
        return "model"
    # A gold that is a whole document was found, but another part of it.
    return "splitting" if any(one.answer is None and one.stretch.whole for one in case.targets) else "question"


def misspoken(case: Case) -> str:
    """What shows that the model was spoken to in a wrong format, in a line; '' where nothing does."""
    if found := piece(case.text):
        return f"the answer has {found!r} in it, a piece of a chat format"
    how = spoken(case.trial.recipe["llm"])
    if how is None:
        return ""
    if not how.fits:
        fitting = [one for one in twins(case.scorer.run, case.trial) if _fits(one)]
        right = next((one for one in fitting if Case(case.scorer, one, case.question).right), None)
        if right is not None:
            own = spoken(right.recipe["llm"])
            return f"row {right.number}, the same but for the format ({own.used if own else ''}), has it right"
        if not any(Case(case.scorer, one, case.question).right is False for one in fitting):
            return "the model's file says another format, and no row tells what the model makes of that one"
    elif how.guessed and case.answer.get("stopped") == "length":
        return "how to speak to it is a guess, and the answer did not end by itself"
    return ""


def _fits(trial: TrialRow) -> bool:
    how = spoken(trial.recipe["llm"])
    return how is not None and how.fits


def doubted(case: Case) -> str:
    """Why what was expected may be at fault, not what was said, in a line; '' where nothing tells so."""
    expected = case.question.answers
    if not expected or judging.refuses(case.text):
        return ""
    said, wanted = stems(case.text), [_stems(one) for one in expected]
    for one, words in zip(expected, wanted, strict=True):
        if words and len("".join(words)) >= LONG_ENOUGH and len(words & said) >= OTHER_WORDS * len(words):
            return f"it may be right in other words than {one!r}"
    if POLAR & {judging.plain(one) for one in expected} or judging.contains(case.prompt, expected):
        return ""
    there = stems(case.prompt)
    if not any(len(words & there) >= OTHER_WORDS * len(words) for words in wanted if words):
        return f"what is expected ({beginning(expected[0], SHORT)!r}) does not stand in what the model was shown"
    return ""


def _stems(text: str) -> set[str]:
    """The stems of an expected answer's words but for stop words."""
    return {stem(word) for word in judging.plain(text).split() if word not in STOP_WORDS}
