"""What comparisons measured, in one SQLite file: a row for each question of each stage, kept by what made it.

A stage's key names everything it depends on (documents, components with their options and versions, weights), so two
recipes, or two comparisons, that share a stage share its rows, and what was stopped goes on at the next question.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from openbook.bench.labels import settings
from openbook.errors import BookError
from openbook.home import comparisons_folder
from openbook.recipe import did_you_mean
from openbook.text import well_formed

BUSY_SECONDS = 60.0
MOST_NAMED = 10  # runs that an error names
BASELINE = 1  # the number of the row that the others are tested against
SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS runs (
  name TEXT PRIMARY KEY, made TEXT NOT NULL, settings TEXT NOT NULL, questions TEXT NOT NULL, gold TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
  run TEXT NOT NULL, number INTEGER NOT NULL, varied TEXT NOT NULL, recipe TEXT NOT NULL,
  index_key TEXT NOT NULL, search_key TEXT NOT NULL, answer_key TEXT NOT NULL, PRIMARY KEY (run, number));
CREATE TABLE IF NOT EXISTS stages (key TEXT PRIMARY KEY, measured TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
  key TEXT NOT NULL, question TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key, question)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One recipe of a run and the keys of its stages."""

    number: int  # from 1; BASELINE is the baseline
    varied: dict[str, str]
    recipe: dict[str, str]
    index_key: str
    search_key: str
    answer_key: str  # '' where no answers were asked for

    @property
    def label(self) -> str:
        """What tells it from the others, in the notation of --set."""
        return settings(self.varied)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One comparison: all that is needed to score it again without a model."""

    name: str
    made: str  # ISO 8601
    settings: dict[str, Any]
    questions: list[dict[str, Any]]  # as their file says them
    gold: dict[str, list[list[list[Any]]]]  # question -> golds -> stretches: [document, start, end, whole]
    trials: tuple[TrialRow, ...] = ()


def results_path() -> Path:
    """Where all comparisons of this home are kept."""
    return comparisons_folder() / "results.db"


def index_folder(key: str) -> Path:
    """Where the book of an index lies, once it is made."""
    return comparisons_folder() / "indexes" / key


class Results:
    """An opened file of results. Several processes may have it open; each write is one transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._db.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Closing twice is allowed."""
        self._db.close()

    def _failed(self, error: Exception) -> BookError:
        if "full" in str(error):
            return BookError(f"The disk is full: {self.path} could not be written. Free some space, then run it again.")
        if isinstance(error, OSError):
            return BookError(f"{self.path.parent} cannot be used: {error.strerror}. Check $OPENBOOK_HOME.")
        return BookError(f"{self.path} cannot be used ({error}). Move it away to begin anew.")

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._failed(error) from error

    # Runs.

    def begin(self, run: RunRow) -> None:
        """Note what a run compares; a run of that name is replaced, the results of its stages are kept."""
        with self._errors(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM trials WHERE run = ?", (run.name,))
            values = (run.name, run.made, *map(json.dumps, (run.settings, run.questions, run.gold)))
            self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", values)
            self._db.executemany(
                "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (run.name, one.number, json.dumps(one.varied), json.dumps(one.recipe), *_keys(one))
                    for one in run.trials
                ],
            )

    def settle(self, name: str, settings: Mapping[str, Any]) -> None:
        """Keep the settings of a run anew: what is known of it only while it runs."""
        with self._errors():
            self._db.execute("UPDATE runs SET settings = ? WHERE name = ?", (json.dumps(settings), name))

    def run(self, name: str) -> RunRow:
        """The run of that name; '' is the last one.

        Raises:
            BookError: There is none; says which there are.
        """
        known = self.runs()
        wanted = well_formed(name) or (known[-1] if known else "")
        with self._errors():
            row = self._db.execute("SELECT * FROM runs WHERE name = ?", (wanted,)).fetchone()
            trials = self._db.execute("SELECT * FROM trials WHERE run = ? ORDER BY number", (wanted,)).fetchall()
        if row is None:
            if not name:
                raise BookError(f"Nothing was compared yet. {named(known)}")
            hint = did_you_mean(name.removesuffix(".toml"), known)
            raise BookError(f"No comparison is called {name!r}.{hint} {named(known)}")
        settings, questions, gold = map(json.loads, row[2:5])
        return RunRow(
            row[0],
            row[1],
            settings,
            questions,
            gold,
            tuple(TrialRow(one[1], json.loads(one[2]), json.loads(one[3]), *one[4:]) for one in trials),
        )

    def trial(self, row: str) -> TrialRow:
        """The row written 'RUN:3', or ':3' of the last run.

        Raises:
            BookError: There is no such row.
        """
        name, sign, number = row.rpartition(":")
        if not sign or not number.isdecimal():
            raise BookError(f"{row!r} is no row. Write the run and the row's number, such as sweep:3.")
        run = self.run(name)
        for one in run.trials:
            if one.number == int(number):
                return one
        raise no_row(run, number)

    def trials(self) -> list[TrialRow]:
        """The rows of all runs."""
        with self._errors():
            found = self._db.execute("SELECT * FROM trials").fetchall()
        return [TrialRow(one[1], json.loads(one[2]), json.loads(one[3]), *one[4:]) for one in found]

    def runs(self) -> list[str]:
        """Names of all runs, the latest last."""
        with self._errors():
            return [str(name) for (name,) in self._db.execute("SELECT name FROM runs ORDER BY made, rowid")]

    # Stages.

    def measured(self, key: str) -> dict[str, Any]:
        """What was measured of a stage as a whole; empty when it was not begun."""
        with self._errors():
            row = self._db.execute("SELECT measured FROM stages WHERE key = ?", (key,)).fetchone()
        return dict(json.loads(row[0])) if row else {}

    def note(self, key: str, measured: Mapping[str, Any]) -> None:
        """Keep what was measured of a stage, beside what is there."""
        with self._errors(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            row = self._db.execute("SELECT measured FROM stages WHERE key = ?", (key,)).fetchone()
            both = {**(json.loads(row[0]) if row else {}), **measured}
            self._db.execute("INSERT OR REPLACE INTO stages VALUES (?, ?)", (key, json.dumps(both)))

    def add(self, key: str, question: str, value: Mapping[str, Any]) -> None:
        """Keep what a stage gave for one question; on the disk when this returns."""
        with self._errors():
            text = well_formed(json.dumps(value, ensure_ascii=False))  # a model may stop within a pair of UTF-16
            self._db.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", (key, question, text))

    def of(self, key: str) -> dict[str, dict[str, Any]]:
        """What a stage gave, by question."""
        with self._errors():
            rows = self._db.execute("SELECT question, value FROM results WHERE key = ?", (key,)).fetchall()
        return {str(name): json.loads(value) for name, value in rows}

    def done(self, key: str) -> set[str]:
        """The questions that a stage gave something for, but not those that failed."""
        with self._errors():
            query = "SELECT question FROM results WHERE key = ? AND json_extract(value, '$.error') IS NULL"
            return {str(name) for (name,) in self._db.execute(query, (key,))}

    def one(self, key: str, question: str) -> dict[str, Any]:
        """What a stage gave for one question; empty when it was not asked yet."""
        with self._errors():
            row = self._db.execute(
                "SELECT value FROM results WHERE key = ? AND question = ?", (key, question)
            ).fetchone()
        return dict(json.loads(row[0])) if row else {}


def named(runs: Sequence[str]) -> str:
    """Which comparisons there are, the latest last, or how to begin one: a sentence for an error."""
    if not runs:
        return "Begin with: openbook compare init -b BOOK"
    more = f"{len(runs) - MOST_NAMED} older ones, " if len(runs) > MOST_NAMED else ""
    return f"Runs: {more}{', '.join(runs[-MOST_NAMED:])}."


def no_row(run: RunRow, number: int | str) -> BookError:
    """The error that a run has no row of that number."""
    rows = f"but 1 to {len(run.trials)}" if len(run.trials) > 1 else "but row 1 alone"
    return BookError(f"The comparison {run.name} has no row {number}, {rows}.")


def _keys(trial: TrialRow) -> tuple[str, str, str]:
    return trial.index_key, trial.search_key, trial.answer_key
