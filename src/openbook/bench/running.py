"""Runs a sweep: every stage once, whatever recipes share it; what is there already is not done again.

documents --read once--> base book --for each splitter, embedder, store--> index --for each search--> passages
                                                                              --for each prompt, llm--> answers

A grid goes row by row. A race, and a run that has so many minutes, goes block by block of questions: every row is
asked the same ones, and is done at the same time or dropped.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from openbook.bench import judge, quiet
from openbook.bench.forecasting import Forecast, Forecaster
from openbook.bench.pacing import Clock, Pace, block, pace
from openbook.bench.preparing import prepare
from openbook.bench.provenance import made_with
from openbook.bench.questions import Question, key_of
from openbook.bench.racing import race, shuffled
from openbook.bench.results import BASELINE, Results, RunRow, TrialRow, index_folder, results_path
from openbook.bench.scoring import Scorer
from openbook.bench.sweep import ANSWER_MEASURES, Sweep
from openbook.bench.telling import DOING, Teller, Watch, keys_of
from openbook.errors import BookError
from openbook.home import comparisons_folder
from openbook.lock import locked
from openbook.models.catalogue import readable
from openbook.recipe import Recipe
from openbook.text import count, well_formed
from openbook.types import Progress, Report

__all__ = ["Plan", "Runner", "key_of", "results_path"]

LEAST_BYTES = 20_000_000  # for the results
AGAIN = 8  # questions asked once more where speeds were noisy
LATE = 0.05  # of the minutes: an index that takes longer than they are is given up


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep comes to before it starts."""

    trials: int
    questions: int
    indexes: int  # to be made
    searches: int  # questions to be searched for, over all recipes
    answers: int  # questions to be answered by a model


class TimeUpError(Exception):
    """The minutes are over."""


@dataclass
class Runner:
    """One sweep, ready to run. When it is made, documents are read and golds found: what is wrong is said first."""

    sweep: Sweep
    name: str
    report: Report | None = None
    watch: Watch | None = None
    note: Callable[[str], None] = lambda _: None  # what the user should know, a line each

    def __post_init__(self) -> None:
        self.name = well_formed(self.name)  # of a file whose name is no UTF-8
        self._clock = Clock(self.sweep.run.minutes)
        self._folder = comparisons_folder()
        self._ready = prepare(self.sweep, self._folder, self.report)
        self.questions, self._trials = self._ready.questions, self._ready.trials
        if self._ready.alike:
            self.note(self._ready.alike)
        self._paces: dict[str, Pace] = {}  # by the key of a stage
        self._decides = "answer" if self.sweep.headline in ANSWER_MEASURES else "search"  # what the headline judges

    @property
    def recipes(self) -> list[Recipe]:
        """Of the rows, in their order."""
        return [Recipe.from_dict(one.recipe) for one in self._trials]

    def plan(self) -> Plan:
        """What is still to do."""
        with Results(results_path()) as results:
            searches = {one.search_key: one for one in self._trials}
            answers = {one.answer_key: one for one in self._trials if one.answer_key}
            return Plan(
                len(self._trials),
                len(self.questions),
                len(self._missing()),
                sum(len(self._left(results, key)) for key in searches),
                sum(len(self._left(results, key)) for key in answers),
            )

    def forecast(self) -> Forecast:
        """How long that takes, and what it needs."""
        with Results(results_path()) as results:
            left = {
                kind: {
                    key: (one, len(self._left(results, key))) for one in self._trials for key in keys_of(one, [kind])
                }
                for kind in ("search", "answer")
            }
            wanted = {kind: {key: one for key, one in rows.items() if one[1]} for kind, rows in left.items()}
            run = self.sweep.run
            found = Forecaster(results, self._ready)
            return found.forecast(list(self._missing().values()), wanted, k=run.k, max_tokens=run.max_tokens)

    def run(self) -> RunRow:
        """Do what is still to do; stopped at any moment, it goes on where it was.

        Raises:
            BookError, ModelError: A stage failed; what was done before is kept.
        """
        with Results(results_path()) as results:
            row = self._begun(results)
            self._refuse_full_disk(results)
            results.begin(row)
            self._teller = Teller(
                self.watch,
                row,
                results,
                self._decides,
                lambda key: len(self._left(results, key)),
                self._paces,
                self._clock,
            )
            try:
                self._rows(row, results)
                for trial, key, task in judge.tasks(row, results):
                    with self._alone(key):
                        self._child(results, trial, "judge", key, task | {"until": self._clock.deadline})
                    self._teller.tell(trial)
                self._again(row, results)
            except TimeUpError:
                self._say_left(row, results)
        return row

    def _begun(self, results: Results) -> RunRow:
        """The run, as it is kept."""
        ready, run = self._ready, self.sweep.run
        if unread := [Path(one).name for one in ready.unread]:
            some = f"{', '.join(unread[:3])}{', ...' if len(unread) > 3 else ''}"
            self.note(
                f"{len(unread):,} of {ready.files:,} files could not be read: {some}. See why with: openbook read FILE"
            )
        settings = {
            **asdict(run),
            "headline": self.sweep.headline,
            "documents": list(self.sweep.documents),
            "unread": list(ready.unread),
            **({"judged_by": judge.judged_by(run.judge)} if run.judge else {}),
            "sweep": self.sweep.text,
            "made_with": made_with(results, self._trials, run.seed, self.report),
        }
        return RunRow(
            self.name,
            datetime.now(UTC).isoformat(timespec="seconds"),
            settings,
            [one.to_dict() for one in self.questions],
            ready.gold,
            tuple(self._trials),
        )

    def _refuse_full_disk(self, results: Results) -> None:
        """Raises: BookError, when there is less space than the indexes that are to be made need."""
        missing = self._missing()
        needed = Forecaster(results, self._ready).disk_bytes(list(missing.values())) if missing else 0
        free = shutil.disk_usage(self._folder).free
        if free < needed + LEAST_BYTES:
            raise BookError(
                f"The disk of {self._folder} has {readable(free)} free, and this needs about "
                f"{readable(needed + LEAST_BYTES)}. Free some space, or set OPENBOOK_HOME to another disk."
            )

    # In which order.

    def _rows(self, row: RunRow, results: Results) -> None:
        run = self.sweep.run
        if not run.minutes and run.risk is None:
            for trial in self._trials:
                self._make_index(results, trial)
                self._ask(results, trial, ("search", "answer"), self.questions)
            return
        order = shuffled(self.questions, run.seed)
        kinds = [("search", "answer")] if self._decides == "answer" else [("search",), ("answer",)]
        asked = -1
        try:
            while len(trials := self._indexed(row, results)) > asked:  # what time is left makes further indexes
                asked = len(trials)
                if run.risk is not None:
                    trials = self._raced(row, results, trials, run.risk)
                for each in kinds:
                    self._in_blocks(results, trials, each, order)
        except TimeUpError:
            self._say_left_out(row)
            raise
        self._say_left_out(row)

    def _raced(self, row: RunRow, results: Results, trials: Sequence[TrialRow], risk: float) -> list[TrialRow]:
        """The rows that a race leaves; what it drops, and after how many questions, goes into the run's settings."""
        judged = [one for one in self.questions if self._decides == "answer" or any(row.gold[one.id])]
        order = shuffled(judged, self.sweep.run.seed)
        asked = [0] * len(trials)

        def ask(number: int, count: int) -> list[float]:
            trial = trials[number]
            self._ask(results, trial, (self._decides,), order[asked[number] : count])
            asked[number] = count
            scores = Scorer(results, row).scores(trial, self.sweep.headline)
            return [scores.get(one.id, 0.0) for one in order[:count]]  # one that is not judged makes no difference

        left = list(trials)
        baseline = [number for number, trial in enumerate(trials) if trial.number == BASELINE]
        for raced in race(len(trials), len(order), ask, risk, keep=baseline):
            left = [trials[number] for number in raced.left]
            dropped = {str(trials[number].number): count for number, count in raced.dropped.items()}
            if dropped != row.settings.get("dropped"):
                row.settings["dropped"] = dropped
                results.settle(self.name, row.settings)
            for number in raced.dropped:
                self._teller.tell(trials[number], "dropped")
        return left

    def _in_blocks(
        self, results: Results, trials: Sequence[TrialRow], kinds: Sequence[str], order: Sequence[Question]
    ) -> None:
        """Ask every row the same questions, a block at a time; all at once where there is no hurry."""
        begun = 0
        while begun < len(order) and trials:
            count = len(order) - begun
            if self.sweep.run.minutes:
                left = [(key, self._left(results, key, order[begun:])) for one in trials for key in keys_of(one, kinds)]
                if not any(questions for _, questions in left):
                    return
                count = block(
                    [self._pace(results, key) for key, questions in left if questions], self._clock.left, count
                )
            for trial in trials:
                self._ask(results, trial, kinds, order[begun : begun + count])
            begun += count

    def _ask(self, results: Results, trial: TrialRow, kinds: Sequence[str], questions: Sequence[Question]) -> None:
        run = self.sweep.run
        for kind in kinds:
            for key in keys_of(trial, [kind]):
                self._stage(results, trial, kind, key, questions, k=run.k, max_tokens=run.max_tokens)

    # How long it takes.

    def _indexed(self, row: RunRow, results: Results) -> list[TrialRow]:
        """The rows that have an index, once all were made for which there is time.

        Raises:
            BookError: Not even one can be made in time.
        """
        missing = self._missing()
        if missing and self.sweep.run.minutes:
            self._make_what_fits(results, missing, again="left_out" in row.settings)
        else:
            for trial in missing.values():
                self._make_index(results, trial)
        there = [one for one in self._trials if index_folder(one.index_key).exists()]
        out = [one.number for one in self._trials if one not in there]
        if out != row.settings.get("left_out", []):
            row.settings["left_out"] = out
            results.settle(self.name, row.settings)
        return there

    def _say_left_out(self, row: RunRow) -> None:
        if out := row.settings.get("left_out"):
            self.note(f"There was no time to make the indexes of {_rows(out)}. The same command goes on.")

    def _make_what_fits(self, results: Results, missing: Mapping[str, TrialRow], *, again: bool) -> None:
        expected = Forecaster(results, self._ready).index_seconds(list(missing.values()))
        there = len({one.index_key for one in self._trials}) - len(missing)
        seconds, total, least = self._clock.left, sum(expected.values()), min(expected.values())
        given = f"{self.sweep.run.minutes:g} of [run] minutes"
        if least > seconds:
            if there:
                return
            raise BookError(f"Even one index takes about {_minutes(least)}, more than the {given}. Allow more.")
        order = list(missing)
        if total > seconds:
            if not again:
                self.note(f"The indexes alone take about {_minutes(total)}, more than the {given}: some wait.")
            order.sort(key=expected.__getitem__)
            seconds = max(seconds / 2, least)  # the other half is for the questions of the rows that have theirs
        for key in order:
            if expected[key] <= seconds:
                began = time.monotonic()
                self._make_index(results, missing[key])
                seconds -= time.monotonic() - began

    def _pace(self, results: Results, key: str) -> Pace:
        """Of a stage: as measured in this run, or by the questions it was asked before."""
        if key not in self._paces:
            seconds = [value["seconds"] for value in results.of(key).values() if "seconds" in value]
            if not seconds:
                return Pace()
            self._paces[key] = Pace(each=median(seconds))
        return self._paces[key]

    def _say_left(self, row: RunRow, results: Results) -> None:
        """What there was no time for."""
        out = {*row.settings.get("left_out", ()), *map(int, row.settings.get("dropped", {}))}
        left = [self._left(results, self._key(one)) for one in self._trials if one.number not in out]
        missing = {key_of(one) for questions in left for one in questions}
        common = f"{len(self.questions) - len(missing):,} of {len(self.questions):,} questions"
        self.note(f"Time is up: {common} were asked of every row. The same command goes on.")

    # Speeds that other work disturbed.

    def _again(self, row: RunRow, results: Results) -> None:
        """Time rows anew whose speeds are noisy, a few questions of each, while the machine is quiet."""
        stages = {
            key: (trial, kind)
            for trial in self._trials
            if str(trial.number) not in row.settings.get("dropped", {})
            for kind in ("search", "answer")
            for key in keys_of(trial, [kind])
        }
        noisy = [key for key in stages if self._noisy(results, key)]
        for place, key in enumerate(noisy):
            trial, kind = stages[key]
            with self._alone(key):
                if not self._noisy(results, key):
                    continue  # another comparison has timed it while this one waited
                if (busy := quiet.others_now()) > quiet.NOISY_SHARE:
                    rows = sorted({stages[one][0].number for one in noisy[place:]})
                    self.note(
                        f"Other work keeps {busy:.0%} of the cores busy: the speeds of {_rows(rows)} are "
                        "noisy. The same command measures them again when the machine is quiet."
                    )
                    return
                if self._clock.left < self._pace(results, key).seconds(AGAIN):
                    raise TimeUpError
                known = results.done(key)
                options = {
                    "of": kind,
                    "questions": [_task(one) for one in self.questions if key_of(one) in known][:AGAIN],
                    "k": self.sweep.run.k,
                    "max_tokens": self.sweep.run.max_tokens,
                }
                self._child(results, trial, "speeds", key, options)
            self._teller.tell(trial)

    def _noisy(self, results: Results, key: str) -> bool:
        return quiet.timed([*results.of(key).values()], results.measured(key)).noisy

    # Stages.

    def _missing(self) -> dict[str, TrialRow]:
        """A row for each index that is still to be made, by its key."""
        return {one.index_key: one for one in self._trials if not index_folder(one.index_key).exists()}

    def _key(self, trial: TrialRow) -> str:
        """Of the stage that the headline judges."""
        return trial.answer_key if self._decides == "answer" else trial.search_key

    def _make_index(self, results: Results, trial: TrialRow) -> None:
        folder = index_folder(trial.index_key)
        if folder.exists():
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        with self._alone(trial.index_key):  # another comparison may be making the same one
            if not folder.exists():
                documents = str(self._ready.documents(Recipe.from_dict(trial.recipe)))
                self._child(results, trial, "index", trial.index_key, {"documents": documents})

    def _stage(
        self, results: Results, trial: TrialRow, kind: str, key: str, questions: Sequence[Question], **options: int
    ) -> None:
        """Raises: TimeUpError, when there is no time for all of them."""
        if not self._left(results, key, questions):
            self._teller.tell(trial)
            return
        if self._clock.left <= self._pace(results, key).start:
            raise TimeUpError
        with self._alone(key):
            left = [_task(one) for one in self._left(results, key, questions)]
            if left:
                self._child(results, trial, kind, key, {"questions": left, "until": self._clock.deadline, **options})
        if self._clock.left <= 0 and self._left(results, key, questions):
            raise TimeUpError
        self._teller.tell(trial)

    def _alone(self, key: str) -> AbstractContextManager[None]:
        """While it is entered no other comparison does the stage of that key."""
        guard = self._folder / "guards" / key
        guard.mkdir(parents=True, exist_ok=True)
        return locked(guard, self.report)

    def _left(self, results: Results, key: str, questions: Sequence[Question] | None = None) -> list[Question]:
        """Questions that were not asked yet, or that failed: a service may be there again."""
        done = results.done(key)
        wanted = self.questions if questions is None else questions
        return list({key: one for one in wanted if (key := key_of(one)) not in done}.values())

    def _child(self, results: Results, trial: TrialRow, kind: str, key: str, options: Mapping[str, Any]) -> None:
        """Run one stage in a process of its own.

        Raises:
            BookError: It failed; says why.
            TimeUpError: An index takes far longer than there is time.
        """
        folder = index_folder(trial.index_key)
        task = {"kind": kind, "key": key, "results": str(results_path()), "folder": str(folder), "recipe": trial.recipe}
        began, starts, failure = time.monotonic(), list[float](), ""
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "openbook.bench.stages"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps({**task, **options}) + "\n")
                process.stdin.flush()
                for line in process.stdout:
                    if not line.startswith("{"):
                        continue  # what some library has to say
                    said = json.loads(line)
                    failure = said.get("error", failure)
                    if "step" in said:
                        starts.append(time.monotonic())
                        part = said["done"] / said["total"] if kind == "index" and said["total"] else 0.0
                        self._teller.tell(trial, DOING[kind], part)
                        self._report(trial, kind, said)
                    if kind == "index" and self._clock.left < -LATE * 60 * self.sweep.run.minutes:
                        raise TimeUpError
                code = process.wait()
            except BaseException:
                process.kill()
                raise
        if code:
            what = failure or f"its process ended with {code}; is there enough memory and disk?"
            raise BookError(f"Row {trial.number} ({trial.label}), {kind}: {what}")
        if kind in {"search", "answer"} and (found := pace(began, starts, time.monotonic())):
            self._paces[key] = found

    # What is said meanwhile.

    def _report(self, trial: TrialRow, kind: str, said: Mapping[str, Any]) -> None:
        if self.report:
            label = f"{trial.number}/{len(self._trials)} {said['step']}"
            self.report(Progress(label, said["done"], said["total"], "chunks" if kind == "index" else "questions"))


def _task(question: Question) -> dict[str, Any]:
    """As a stage is told of it."""
    history = [asdict(turn) for turn in question.history]
    return {"key": key_of(question), "text": question.text, "history": history}


def _rows(numbers: Sequence[int]) -> str:
    return f"row{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _minutes(seconds: float) -> str:
    return count(math.ceil(seconds / 60), "minute")
