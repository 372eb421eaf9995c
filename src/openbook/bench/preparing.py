"""What a comparison needs before it starts, done once for all recipes: documents read, golds found, keys reckoned.

What is wrong with a sweep is said here, before anything that takes long where that can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openbook import registry
from openbook.bench.alike import once
from openbook.bench.gold import documents_of, resolve
from openbook.bench.judge import judged_by
from openbook.bench.questions import Question, read_questions
from openbook.bench.results import TrialRow
from openbook.bench.sweep import Sweep, Trial
from openbook.book import Book
from openbook.errors import BookError
from openbook.manifest import MADE_OF, READING
from openbook.recipe import STEPS, Recipe, Spec, digest
from openbook.remembering import fingerprint
from openbook.text import count
from openbook.types import Report

INDEXED = (*READING, *MADE_OF)  # what an index depends on
ANSWERED = ("prompt", "llm", "rewriter")  # and what a search does not
LIGHT = {"embedder": "hashed(dim=64)", "store": "flat", "splitter": "chars(size=2000)"}  # of the book that is only read


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sweep that can start."""

    questions: Sequence[Question]
    base: Mapping[str, Path]  # reader and cleaners -> the folder of a book with the documents as they read them
    gold: dict[str, list[list[list[Any]]]]  # as RunRow's
    trials: Sequence[TrialRow]
    files: int  # that the documents are
    unread: tuple[str, ...]  # paths of those that could not be read
    alike: str = ""  # what to say of recipes that are left out, as they do the same as another

    def documents(self, recipe: Recipe) -> Path:
        """The folder of the book with the documents as a recipe reads them."""
        return self.base[registry.fingerprint_of(recipe, READING)]


def prepare(sweep: Sweep, folder: Path, report: Report | None) -> Prepared:
    """Check, read, find.

    Raises:
        BookError, ModelError: Nothing can be judged, a model is missing, documents cannot be read, or golds are not in
            them; says which.
    """
    questions = read_questions(sweep.questions)
    _refuse_unjudged(sweep, questions)
    _refuse_missing(sweep)
    base, files, unread = _read(sweep, folder, report)
    gold = _found(sweep, questions, base)
    contents = {path: _contents(path) for path in base.values()}
    trials = []
    for number, trial in enumerate(sweep.trials, 1):
        read = contents[base[registry.fingerprint_of(trial.recipe, READING)]]
        trials.append(_row(sweep, number, trial, read, questions))
    left, said = once(sweep, trials, lambda one: base[registry.fingerprint_of(one, READING)])
    return Prepared(questions, base, gold, tuple(left), files, unread, said)


def _refuse_unjudged(sweep: Sweep, questions: Sequence[Question]) -> None:
    """Raises: BookError, when no question has what the headline is judged by."""
    headline = sweep.headline
    if "@" in headline or headline in {"cited", "cited_recall"}:
        needed, judged = "gold", any(one.gold for one in questions)
    elif headline in {"refused", "ended"}:
        return
    else:
        needed, judged = "answers", any(one.answers or not one.answerable for one in questions)
    if not judged:
        raise BookError(f"No question of {sweep.questions} has {needed}, by which {headline} judges. Add some.")


def _refuse_missing(sweep: Sweep) -> None:
    """Raises: ModelError, when a model is not here; before documents are read, which may take long."""
    if sweep.run.judge:
        judged_by(sweep.run.judge)
    for trial in sweep.trials:
        registry.make("embedder", trial.recipe.embedder).fingerprint  # noqa: B018 - it is found or not
        for step in STEPS:
            if step not in INDEXED and (step not in ANSWERED or sweep.run.answers):
                for spec in trial.recipe.specs(step):
                    identity(step, spec, trial.recipe)


def _read(sweep: Sweep, folder: Path, report: Report | None) -> tuple[dict[str, Path], int, tuple[str, ...]]:
    """The books with the documents, the number of files, and those that could not be read by any reader."""
    found: dict[str, Path] = {}
    files, unread = 0, None
    for trial in sweep.trials:
        recipe = trial.recipe
        read_by = registry.fingerprint_of(recipe, READING)
        if read_by in found:
            continue
        path = folder / "documents" / digest(read_by, list(sweep.documents))
        for step, spec in LIGHT.items():
            recipe = recipe.with_step(step, spec)
        with Book.open(path, recipe, create=True) as book:
            added = book.add(sweep.documents, report=report)
            if not len(book.documents):
                why = f", such as {added.failed[0].path}: {added.failed[0].reason}" if added.failed else ""
                raise BookError(f"No document could be read{why}. Check: documents = {list(sweep.documents)}")
            files = max(files, sum(1 for _ in book.documents.files()))
        failed = {one.path for one in added.failed}
        unread = failed if unread is None else unread & failed
        found[read_by] = path
    return found, files, tuple(sorted(unread or ()))


def _found(sweep: Sweep, questions: Sequence[Question], base: Mapping[str, Path]) -> dict[str, list[list[list[Any]]]]:
    """Where the golds stand, in the documents as any of the readers reads them."""
    gold: dict[str, list[list[list[Any]]]] = {one.id: [[] for _ in one.gold] for one in questions}
    lost: set[str] | None = None
    for folder in base.values():
        with Book.open(folder) as book:
            documents = documents_of(book.documents)
        found = resolve(questions, documents)
        lost = set(found.missing) if lost is None else lost & set(found.missing)
        for question in questions:
            for number, stretches in found.stretches[question.id].items():
                gold[question.id][number] += [[one.document_id, one.start, one.end, one.whole] for one in stretches]
    if lost:
        first = min(lost)
        raise BookError(
            f"{count(len(lost), 'gold')} of {sweep.questions} cannot be found in the documents, such as {first}. "
            "Correct the file, or see what was read with: openbook read FILE"
        )
    return gold


# Keys: the same for the same work, whatever sweep it is part of. Changing them makes all that was kept worthless.


def _row(sweep: Sweep, number: int, trial: Trial, contents: str, questions: Sequence[Question]) -> TrialRow:
    recipe = trial.recipe
    index = digest(
        contents,
        *(registry.fingerprint(step, spec) for step in MADE_OF for spec in recipe.specs(step)),
        registry.make("embedder", recipe.embedder).fingerprint,
    )
    steps = [step for step in STEPS if step not in INDEXED]
    searched = [identity(step, spec, recipe) for step in steps if step not in ANSWERED for spec in recipe.specs(step)]
    if any(one.history for one in questions) and (rewriter := unasking(recipe)) is not None:
        searched.append(identity("rewriter", rewriter, recipe))
    search = digest("search", index, searched, sweep.run.k)
    answer = ""
    if sweep.run.answers:
        asked = [identity(step, spec, recipe) for step in steps for spec in recipe.specs(step)]
        answer = digest("answer", index, asked, sweep.run.max_tokens)
    return TrialRow(number, dict(trial.varied), recipe.to_dict(), index, search, answer)


def _contents(folder: Path) -> str:
    with Book.open(folder) as book:
        return digest(sorted(book.documents.sources().items()))


def identity(step: str, spec: Spec, recipe: Recipe) -> list[str]:
    """What a component does, the weights of the models it uses included.

    Raises:
        ModelError: Weights are missing.
    """
    chosen = spec if step == "llm" else registry.chosen_llm(spec)
    if chosen is None and "llm" in registry.needs(step, spec.name):
        chosen = recipe.llm
    return [registry.fingerprint(step, spec), *(fingerprint(chosen) if chosen else ())]


def unasking(recipe: Recipe) -> Spec | None:
    """The rewriter of a search where no model is asked; None where what was said before is not looked at.

    One that asks a model adds the question before to the search, as those do that cannot ask theirs.
    """
    return None if recipe.rewriter.name == "none" else Spec("previous")
