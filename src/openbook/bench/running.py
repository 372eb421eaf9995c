"""Runs a sweep: every stage once, whatever recipes share it; what is there already is not done again.

documents --read once--> base book --for each splitter, embedder, store--> index --for each search--> passages
                                                                              --for each prompt, llm--> answers
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openbook import registry
from openbook.bench.gold import documents_of, resolve
from openbook.bench.questions import Question, read_questions
from openbook.bench.results import Results, RunRow, TrialRow
from openbook.bench.sweep import Sweep, Trial
from openbook.book import Book
from openbook.errors import BookError
from openbook.home import home
from openbook.lock import locked
from openbook.manifest import MADE_OF, READING
from openbook.recipe import STEPS, Recipe, Spec, digest
from openbook.remembering import fingerprint
from openbook.types import Progress, Report

FOLDER = "comparisons"
INDEXED = (*READING, *MADE_OF)  # what an index depends on
ANSWERED = ("prompt", "llm", "rewriter")  # and what a search does not
LIGHT = {"embedder": "hashed(dim=64)", "store": "flat", "splitter": "chars(size=2000)"}  # of the book that is only read


def results_path() -> Path:
    """Where all comparisons of this home are kept."""
    return home() / FOLDER / "results.db"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep comes to before it starts."""

    trials: int
    questions: int
    indexes: int  # to be made
    searches: int  # questions to be searched for, over all recipes
    answers: int  # questions to be answered by a model


@dataclass
class Runner:
    """One sweep, ready to run. When it is made, documents are read and golds found: what is wrong is said first."""

    sweep: Sweep
    name: str
    report: Report | None = None

    def __post_init__(self) -> None:
        self.questions = read_questions(self.sweep.questions)
        self._folder = home() / FOLDER
        self._refuse_unjudged()
        self._refuse_missing()
        self._base = self._read()
        self._gold = self._found()
        self._trials = [self._row(number, trial) for number, trial in enumerate(self.sweep.trials, 1)]

    def plan(self) -> Plan:
        """What is still to do."""
        with Results(results_path()) as results:
            indexes = {one.index_key for one in self._trials if not self._index(one.index_key).exists()}
            searches = {one.search_key: one for one in self._trials}
            answers = {one.answer_key: one for one in self._trials if one.answer_key}
            return Plan(
                len(self._trials),
                len(self.questions),
                len(indexes),
                sum(len(self._left(results, key)) for key in searches),
                sum(len(self._left(results, key)) for key in answers),
            )

    def run(self) -> RunRow:
        """Do what is still to do; stopped at any moment, it goes on where it was.

        Raises:
            BookError, ModelError: A stage failed; what was done before is kept.
        """
        settings = {**asdict(self.sweep.run), "headline": self.sweep.headline, "documents": list(self.sweep.documents)}
        row = RunRow(
            self.name,
            datetime.now(UTC).isoformat(timespec="seconds"),
            settings,
            [one.to_dict() for one in self.questions],
            self._gold,
            tuple(self._trials),
        )
        with Results(results_path()) as results:
            results.begin(row)
            for trial in self._trials:
                self._make_index(results, trial)
                self._stage(results, trial, "search", trial.search_key, k=self.sweep.run.k)
                if trial.answer_key:
                    self._stage(results, trial, "answer", trial.answer_key, max_tokens=self.sweep.run.max_tokens)
        return row

    # Once for all recipes.

    def _refuse_unjudged(self) -> None:
        """Raises: BookError, when no question has what the headline is judged by."""
        headline = self.sweep.headline
        if "@" in headline or headline in {"cited", "cited_recall"}:
            needed, judged = "gold", any(one.gold for one in self.questions)
        elif headline in {"refused", "ended"}:
            return
        else:
            needed, judged = "answers", any(one.answers or not one.answerable for one in self.questions)
        if not judged:
            raise BookError(
                f"No question of {self.sweep.questions} has {needed}, by which {headline} judges. Add some."
            )

    def _refuse_missing(self) -> None:
        """Raises: ModelError, when a model is not here; before documents are read, which may take long."""
        for trial in self.sweep.trials:
            registry.make("embedder", trial.recipe.embedder).fingerprint  # noqa: B018 - it is found or not
            for step in STEPS:
                if step not in INDEXED and (step not in ANSWERED or self.sweep.run.answers):
                    for spec in trial.recipe.specs(step):
                        _identity(step, spec, trial.recipe)

    def _read(self) -> dict[str, Path]:
        """Reader and cleaners -> the folder of a book with the documents as they read them."""
        found: dict[str, Path] = {}
        for trial in self.sweep.trials:
            recipe = trial.recipe
            read_by = registry.fingerprint_of(recipe, READING)
            if read_by in found:
                continue
            folder = self._folder / "documents" / digest(read_by, list(self.sweep.documents))
            for step, spec in LIGHT.items():
                recipe = recipe.with_step(step, spec)
            with Book.open(folder, recipe, create=True) as book:
                added = book.add(self.sweep.documents, report=self.report)
                if not len(book.documents):
                    why = f", such as {added.failed[0].path}: {added.failed[0].reason}" if added.failed else ""
                    raise BookError(f"No document could be read{why}. Check: documents = {list(self.sweep.documents)}")
            found[read_by] = folder
        return found

    def _documents(self, recipe: Recipe) -> Path:
        return self._base[registry.fingerprint_of(recipe, READING)]

    def _found(self) -> dict[str, list[list[list[Any]]]]:
        """Where the golds stand, in the documents as any of the readers reads them."""
        gold: dict[str, list[list[list[Any]]]] = {one.id: [[] for _ in one.gold] for one in self.questions}
        lost: set[str] | None = None
        for folder in self._base.values():
            with Book.open(folder) as book:
                documents = documents_of(book.documents)
            found = resolve(self.questions, documents)
            lost = set(found.missing) if lost is None else lost & set(found.missing)
            for question in self.questions:
                for number, stretches in found.stretches[question.id].items():
                    gold[question.id][number] += [[one.document_id, one.start, one.end, one.whole] for one in stretches]
        if lost:
            first = min(lost)
            raise BookError(
                f"{len(lost)} golds of {self.sweep.questions} are not in the documents, such as {first}. Correct them, "
                "or see what was read with: openbook read FILE"
            )
        return gold

    # Keys.

    def _row(self, number: int, trial: Trial) -> TrialRow:
        recipe = trial.recipe
        index = digest(
            self._contents(self._documents(recipe)),
            *(registry.fingerprint(step, spec) for step in MADE_OF for spec in recipe.specs(step)),
            registry.make("embedder", recipe.embedder).fingerprint,
        )
        steps = [step for step in STEPS if step not in INDEXED]
        searched = [
            _identity(step, spec, recipe) for step in steps if step not in ANSWERED for spec in recipe.specs(step)
        ]
        search = digest("search", index, searched, self.sweep.run.k)
        answer = ""
        if self.sweep.run.answers:
            asked = [_identity(step, spec, recipe) for step in steps for spec in recipe.specs(step)]
            answer = digest("answer", index, asked, self.sweep.run.max_tokens)
        return TrialRow(number, dict(trial.varied), recipe.to_dict(), index, search, answer)

    def _contents(self, folder: Path) -> str:
        with Book.open(folder) as book:
            return digest(sorted(book.documents.sources().items()))

    def _index(self, key: str) -> Path:
        return self._folder / "indexes" / key

    # Stages.

    def _make_index(self, results: Results, trial: TrialRow) -> None:
        folder = self._index(trial.index_key)
        if folder.exists():
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        with self._alone(trial.index_key):  # another comparison may be making the same one
            if not folder.exists():
                documents = str(self._documents(Recipe.from_dict(trial.recipe)))
                self._child(trial, "index", trial.index_key, {"documents": documents})

    def _stage(self, results: Results, trial: TrialRow, kind: str, key: str, **options: int) -> None:
        if not self._left(results, key):
            return
        with self._alone(key):
            left = [
                {"key": key_of(one), "text": one.text, "history": [asdict(turn) for turn in one.history]}
                for one in self._left(results, key)
            ]
            if left:
                self._child(trial, kind, key, {"questions": left, **options})

    def _alone(self, key: str) -> AbstractContextManager[None]:
        """While it is entered no other comparison does the stage of that key."""
        guard = self._folder / "guards" / key
        guard.mkdir(parents=True, exist_ok=True)
        return locked(guard, self.report)

    def _left(self, results: Results, key: str) -> list[Question]:
        """Questions that were not asked yet, or that failed: a service may be there again."""
        done = {name for name, value in results.of(key).items() if "error" not in value}
        return list({key: one for one in self.questions if (key := key_of(one)) not in done}.values())

    def _child(self, trial: TrialRow, kind: str, key: str, options: Mapping[str, Any]) -> None:
        """Run one stage in a process of its own.

        Raises:
            BookError: It failed; says why.
        """
        folder = self._index(trial.index_key)
        task = {"kind": kind, "key": key, "results": str(results_path()), "folder": str(folder), "recipe": trial.recipe}
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
                failure = ""
                for line in process.stdout:
                    said = json.loads(line)
                    failure = said.get("error", failure)
                    if self.report and "step" in said:
                        label = f"{trial.number}/{len(self._trials)} {said['step']}"
                        self.report(
                            Progress(label, said["done"], said["total"], "questions" if kind != "index" else "chunks")
                        )
                code = process.wait()
            except BaseException:
                process.kill()
                raise
        if code:
            what = failure or f"its process ended with {code}; is there enough memory and disk?"
            raise BookError(f"Row {trial.number} ({trial.label}), {kind}: {what}")


def key_of(question: Question) -> str:
    """Names what is asked, whatever its id and its gold."""
    return digest(question.text, [(turn.role, turn.content) for turn in question.history])


def _identity(step: str, spec: Spec, recipe: Recipe) -> list[str]:
    """What a component does, the weights of the models it uses included."""
    chosen = [registry.llm_spec(str(spec.options["llm"]))] if spec.options.get("llm") else []
    if step == "llm":
        chosen = [spec]
    elif "llm" in registry.needs(step, spec.name) and not chosen:
        chosen = [recipe.llm]
    return [registry.fingerprint(step, spec), *(part for one in chosen for part in fingerprint(one))]
