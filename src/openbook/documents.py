"""The documents of one book: cleaned texts with marks and the files they came from, in one SQLite file.

This is the truth of a book; chunks and vectors can be made again from it. A store is another file or folder, so a
change of both is made safe by a journal:

    note ids as pending -> store.add -> documents live, old ones pending -> store.remove old -> pending forgotten

Killed anywhere, the pending ids name all chunks the store may hold without a document.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from openbook.errors import BookError
from openbook.types import Document

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size_bytes INTEGER, mtime_ns INTEGER, sha256 TEXT, reading TEXT,
    state TEXT, reason TEXT, read_at TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    id TEXT PRIMARY KEY, source TEXT UNIQUE, file TEXT, title TEXT, language TEXT, characters INTEGER,
    text BLOB, marks BLOB
);
CREATE INDEX IF NOT EXISTS documents_by_file ON documents (file);
CREATE TABLE IF NOT EXISTS pending (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""

BUSY_SECONDS = 30.0  # another process's commit is milliseconds; this long means a hung disk
ZLIB_LEVEL = 1  # 3x smaller at 100 MB/s; level 6 saves 10 % more and costs five times as much


@dataclass(frozen=True, slots=True)
class File:
    """One file that was read, or could not be."""

    path: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    reading: str  # fingerprint of the reader and cleaners that read it
    state: str  # 'ok' | 'partial' | 'failed'
    reason: str  # why it is not 'ok'
    read_at: str  # ISO 8601, UTC


class Documents:
    """Opened documents of one book. Every method is one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # isolation_level None: transactions begin and end where `_transaction` says.
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            if self._db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'pending'").fetchone() == (0,):
                self._db.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> BookError:
        if "full" in str(error):
            return BookError(
                f"The disk is full: {self._path} could not be written. Free some space, then run it again."
            )
        if "readonly" in str(error) or "read-only" in str(error) or "unable to open" in str(error):
            return BookError(f"{self._path} cannot be written ({error}). Check the folder's permissions.")
        return BookError(f"{self._path} is damaged ({error}). Add the documents again to a new book.")

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._failed(error) from error

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def begin(self, ids: Iterable[str]) -> None:
        """Note that the store is about to hold chunks of these documents."""
        with self._transaction() as db:
            db.executemany("INSERT OR IGNORE INTO pending VALUES (?)", ((one,) for one in ids))

    def commit(
        self,
        documents: Sequence[tuple[str, str, Document]] = (),
        files: Sequence[File] = (),
        retired: Sequence[str] = (),
        dropped_files: Sequence[str] = (),
    ) -> list[str]:
        """One change of the truth: (id, file, document) go live in place of those of the same source.

        Returns the ids of those replaced and retired: they are pending now, until the store has let go of them.
        """
        with self._transaction() as db:
            old = list(retired)
            for document_id, file, document in documents:
                before = db.execute("SELECT id FROM documents WHERE source = ?", (document.source,)).fetchone()
                if before and before[0] != document_id:
                    old.append(before[0])
                    db.execute("DELETE FROM documents WHERE id = ?", before)
                db.execute(
                    "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    _row(document_id, file, document),
                )
                db.execute("DELETE FROM pending WHERE id = ?", (document_id,))
            db.executemany("DELETE FROM documents WHERE id = ?", ((one,) for one in retired))
            db.executemany("INSERT OR IGNORE INTO pending VALUES (?)", ((one,) for one in old))
            db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(astuple, files))
            db.executemany("DELETE FROM files WHERE path = ?", ((path,) for path in dropped_files))
        return old

    def forget(self, ids: Iterable[str]) -> None:
        """The store holds nothing of these pending ids any more."""
        with self._transaction() as db:
            db.executemany("DELETE FROM pending WHERE id = ?", ((one,) for one in ids))

    def pending(self) -> set[str]:
        """Ids the store may hold chunks of without a live document."""
        return {str(row[0]) for row in self._rows("SELECT id FROM pending")}

    def file(self, path: str) -> File | None:
        """What came of a file, or None when it was never added."""
        for row in self._rows("SELECT * FROM files WHERE path = ?", path):
            return File(*row)
        return None

    def files(self) -> Iterator[File]:
        """Every file, by path."""
        for row in self._rows("SELECT * FROM files ORDER BY path"):
            yield File(*row)

    def ids(self, file: str | None = None) -> dict[str, str]:
        """Source -> id of the live documents, of one file or of all."""
        where = "" if file is None else " WHERE file = ?"
        values = () if file is None else (file,)
        return {str(row[0]): str(row[1]) for row in self._rows(f"SELECT source, id FROM documents{where}", *values)}

    def get(self, document_id: str) -> Document | None:
        """A live document, or None."""
        for row in self._rows("SELECT source, title, language, text, marks FROM documents WHERE id = ?", document_id):
            return _document(row)
        return None

    def all(self) -> Iterator[tuple[str, Document]]:
        """Every live document with its id, in the order they were added."""
        for row in self._rows("SELECT source, title, language, text, marks, id FROM documents ORDER BY rowid"):
            yield str(row[5]), _document(row)

    def __len__(self) -> int:
        return next(int(row[0]) for row in self._rows("SELECT count(*) FROM documents"))

    def characters(self) -> int:
        """Characters of all live documents."""
        return next(int(row[0]) for row in self._rows("SELECT coalesce(sum(characters), 0) FROM documents"))

    def counts(self) -> dict[str, int]:
        """Documents by file."""
        rows = self._rows("SELECT file, count(*) FROM documents GROUP BY file")
        return {str(file): int(count) for file, count in rows}

    def close(self) -> None:
        """Let go of the file. Closing twice is allowed."""
        self._db.close()


def _row(document_id: str, file: str, document: Document) -> tuple[object, ...]:
    return (
        document_id,
        document.source,
        file,
        document.title,
        document.language,
        len(document.text),
        zlib.compress(document.text.encode("utf-8", "surrogatepass"), ZLIB_LEVEL),
        zlib.compress(json.dumps(document.marks).encode(), ZLIB_LEVEL),
    )


def _document(row: Sequence[object]) -> Document:
    source, title, language, text, marks = row[:5]
    assert isinstance(text, bytes)
    assert isinstance(marks, bytes)
    return Document(
        zlib.decompress(text).decode("utf-8", "surrogatepass"),
        str(source),
        str(title),
        tuple((offset, label) for offset, label in json.loads(zlib.decompress(marks))),
        str(language),
    )
