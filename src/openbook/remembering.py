"""What a model has answered to exactly these words, kept in a file: a long work that was stopped goes on where it was.

One file of SQLite in a book's folder. It may be deleted at any time; what the disk does not take is not kept.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NAME = "answers.db"
MOST_BYTES = 64 << 20  # some 200,000 answers of a sentence or two; above that the older half is forgotten
BUSY_SECONDS = 5.0
SCHEMA = "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT)"


class Remembered:
    """The answers of one model. Many processes may write at once."""

    def __init__(self, folder: Path, model: str) -> None:
        """`model` says all that an answer depends on beside the words: which weights, how it is drawn."""
        self._path, self._model = folder / NAME, model

    def in_order(self, asked: Sequence[str], answer: Callable[[list[int]], Generator[T]]) -> Generator[tuple[T, bool]]:
        """The answer to each, in order, and whether it was remembered.

        `answer` is given the numbers of those that are not, and gives their answers in that order: values of JSON.
        """
        keys = [sha256(f"{self._model}\0{words}".encode("utf-8", "surrogatepass")).digest() for words in asked]
        with closing(self._open()) as database:
            known: dict[bytes, T] = dict(_known(database, keys))
            with closing(answer([number for number, key in enumerate(keys) if key not in known])) as new:
                for key in keys:
                    if key in known:
                        yield known[key], True
                    else:
                        said = next(new)
                        self._keep(database, key, said)
                        yield said, False

    def _open(self) -> sqlite3.Connection:
        try:
            return _opened(str(self._path))
        except sqlite3.OperationalError:  # cannot be written
            return _opened(":memory:")
        except sqlite3.DatabaseError:  # is damaged
            with suppress(OSError):
                self._path.unlink()
            return _opened(":memory:")

    def _keep(self, database: sqlite3.Connection, key: bytes, answer: object) -> None:
        with suppress(sqlite3.Error, OSError):
            database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(answer)))
            if self._path.stat().st_size > MOST_BYTES:
                median = "SELECT rowid FROM answers ORDER BY rowid LIMIT 1 OFFSET (SELECT count(*) / 2 FROM answers)"
                database.execute(f"DELETE FROM answers WHERE rowid < ({median})")
                database.execute("VACUUM")


def forget(folder: Path) -> None:
    """Delete all that models have answered about the documents of this folder."""
    (folder / NAME).unlink(missing_ok=True)


def _opened(path: str) -> sqlite3.Connection:
    # isolation_level None: each answer is written when it comes.
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute(SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _known(database: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, T]]:
    with suppress(sqlite3.Error, ValueError):
        for key in keys:
            for (answer,) in database.execute("SELECT answer FROM answers WHERE key = ?", (key,)):
                yield key, json.loads(answer)
