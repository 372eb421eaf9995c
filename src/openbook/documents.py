"""The documents of one book: cleaned texts with marks and the files they came from, in one SQLite file.

This is the truth of a book; chunks and vectors can be made again from it. A document is kept once, by the hash of what
it says; its sources say where: equal files are two sources of one document, a renamed file is another source.

A store is another file or folder, so a change of both is made safe by a journal:

    note ids as pending -> store.add -> documents live, old ones pending -> store.remove old -> pending forgotten

Killed anywhere, the pending ids name all chunks the store may hold without a document.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from openbook import filtering
from openbook.errors import BookError
from openbook.home import absolute
from openbook.types import Document, Field, Marks

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size_bytes INTEGER, mtime_ns INTEGER, sha256 TEXT, reading TEXT,
    state TEXT, reason TEXT, read_at TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    id TEXT PRIMARY KEY, title TEXT, language TEXT, characters INTEGER, pages INTEGER, fields TEXT, text BLOB,
    marks BLOB
);
CREATE TABLE IF NOT EXISTS sources (
    source TEXT PRIMARY KEY, document_id TEXT, file TEXT, fields TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sources_by_file ON sources (file);
CREATE INDEX IF NOT EXISTS sources_by_document ON sources (document_id);
CREATE TABLE IF NOT EXISTS pending (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
# Each search asks for the languages: of 100,000 documents 5 ms, without this 150. A book made before has
# it from its next change on.
BY_LANGUAGE = "CREATE INDEX IF NOT EXISTS documents_by_language ON documents (language, characters)"

BUSY_SECONDS = 30.0  # another process's commit is milliseconds; this long means a hung disk
ZLIB_LEVEL = 1  # 3x smaller at 100 MB/s; level 6 saves 10 % more and costs five times as much
LISTED = "(SELECT value FROM json_each(?))"


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


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document is from."""

    source: str
    document_id: str
    file: str
    fields: Mapping[str, Field] = field(default_factory=dict)  # what the file's name says


@dataclass(frozen=True, slots=True)
class Origin:
    """What a passage says of its document."""

    sources: tuple[str, ...]
    title: str
    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Contents:
    """What came out of one file."""

    documents: int
    pages: int
    language: str  # the commonest
    document_ids: frozenset[str]


class DamagedError(BookError):
    """The bytes of one document are not those that were written."""


class Documents:
    """Opened documents of one book. Every method is one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._languages: tuple[object, dict[str, int]] | None = None
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
        documents: Sequence[tuple[str, Document]] = (),
        sources: Sequence[Source] = (),
        files: Sequence[File] = (),
        dropped_sources: Iterable[str] = (),
        dropped_files: Iterable[str] = (),
    ) -> list[str]:
        """One change of the truth: (id, document) go live, sources are set, sources and files are dropped.

        Returns the ids of documents that have no source any more: they are gone, and pending until the store has let
        go of them.
        """
        with self._transaction() as db:
            db.execute(BY_LANGUAGE)
            db.executemany("INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_row, documents))
            db.executemany("DELETE FROM pending WHERE id = ?", ((one,) for one, _ in documents))
            dropped = json.dumps([*dropped_sources])
            changed = json.dumps([one.source for one in sources])
            held = db.execute(
                f"SELECT DISTINCT document_id FROM sources WHERE source IN {LISTED} OR source IN {LISTED}",
                (dropped, changed),
            ).fetchall()
            db.execute(f"DELETE FROM sources WHERE source IN {LISTED}", (dropped,))
            db.executemany(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)",
                ((one.source, one.document_id, one.file, _json(one.fields)) for one in sources),
            )
            old = [
                document_id
                for (document_id,) in held
                if not db.execute("SELECT 1 FROM sources WHERE document_id = ? LIMIT 1", (document_id,)).fetchone()
            ]
            db.executemany("DELETE FROM documents WHERE id = ?", ((one,) for one in old))
            db.executemany("INSERT OR IGNORE INTO pending VALUES (?)", ((one,) for one in old))
            db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(astuple, files))
            db.execute(f"DELETE FROM files WHERE path IN {LISTED}", (json.dumps([*dropped_files]),))
        return old

    def forget(self, ids: Iterable[str]) -> None:
        """The store holds nothing of these pending ids any more."""
        with self._transaction() as db:
            db.executemany("DELETE FROM pending WHERE id = ?", ((one,) for one in ids))

    def pending(self) -> set[str]:
        """Ids the store may hold chunks of without a live document."""
        return {str(row[0]) for row in self._rows("SELECT id FROM pending")}

    def files(self) -> Iterator[File]:
        """Every file, by path."""
        for row in self._rows("SELECT * FROM files ORDER BY path"):
            yield File(*row)

    def sources(self, file: str | None = None) -> dict[str, str]:
        """Source -> id of its document, of one file or of all."""
        where = "" if file is None else " WHERE file = ?"
        values = () if file is None else (file,)
        rows = self._rows(f"SELECT source, document_id FROM sources{where}", *values)
        return {str(source): str(document_id) for source, document_id in rows}

    def files_of(self, ids: Collection[str]) -> list[str]:
        """The files that these documents are from."""
        query = f"SELECT DISTINCT file FROM sources WHERE document_id IN {LISTED} ORDER BY file"
        return [str(row[0]) for row in self._rows(query, json.dumps(list(ids)))]

    def named(self, names: Iterable[str], book: str) -> tuple[dict[str, str], set[str]]:
        """Documents (source -> id) and whole files that names typed by a user mean, of a source, file or folder.

        Raises:
            BookError: One of them means nothing in this book, or several files.
        """
        sources, files = self.sources(), {file.path for file in self.files()}
        chosen: dict[str, str] = {}
        dropped: set[str] = set()
        for name in names:
            path = str(absolute(name))
            whole = {file for file in files if file == path or file.startswith(path + os.sep)}
            if name in sources and name not in files:
                chosen[name] = sources[name]
            elif not whole and path in sources:  # 'corpus.jsonl#7' typed where the file lies
                chosen[path] = sources[path]
            else:
                whole = whole or {file for file in files if Path(file).name == name}
                _refuse_doubt(name, path, whole, book)
                dropped |= whole
                chosen |= {source: id_ for file in whole for source, id_ in self.sources(file).items()}
        return chosen, dropped

    def ids(self) -> set[str]:
        """Ids of all live documents."""
        return {str(row[0]) for row in self._rows("SELECT id FROM documents")}

    def get(self, document_id: str) -> Document | None:
        """A live document with the first of its sources, or None.

        Raises:
            DamagedError: Its bytes changed on the disk.
        """
        for row in self._rows(f"{DOCUMENT} WHERE id = ?", document_id):
            return _document(row)
        return None

    def all(self) -> Iterator[tuple[str, Document]]:
        """Every live document with its id, in the order they were added."""
        for row in self._rows(f"{DOCUMENT} ORDER BY rowid"):
            yield str(row[0]), _document(row)

    def origins(self, ids: Collection[str]) -> dict[str, Origin]:
        """Where these documents are from, by id; those that are gone meanwhile are left out."""
        listed = json.dumps(list(ids))
        sources: defaultdict[str, list[str]] = defaultdict(list)
        fields: dict[str, dict[str, Field]] = {}
        query = f"SELECT document_id, source, fields FROM sources WHERE document_id IN {LISTED} ORDER BY source"
        for document_id, source, said in self._rows(query, listed):
            sources[document_id].append(source)
            fields.setdefault(document_id, json.loads(said))
        rows = self._rows(f"SELECT id, title, fields FROM documents WHERE id IN {LISTED}", listed)
        return {
            document_id: Origin(tuple(sources[document_id]), title, fields.get(document_id, {}) | json.loads(said))
            for document_id, title, said in rows
        }

    def where(self, condition: str) -> set[str]:
        """Ids of the documents an SQL condition holds for: of their fields, and source, file, name, title, language.

        It is SQLite's notation, as in "year >= 2023 and source like '%10K%'". It can only read, and only these.

        Raises:
            BookError: No such condition, or it names a field that no document has.
        """
        return filtering.matching(self._path, condition)

    def fields(self) -> list[str]:
        """Names of all that `where` can ask for."""
        return filtering.known(self._path)

    def __len__(self) -> int:
        return next(int(row[0]) for row in self._rows("SELECT count(*) FROM documents"))

    def sizes(self) -> dict[str, int]:
        """Characters of each live document, by id."""
        return {str(name): int(count) for name, count in self._rows("SELECT id, characters FROM documents")}

    def characters(self) -> int:
        """Characters of all live documents."""
        return next(int(row[0]) for row in self._rows("SELECT coalesce(sum(characters), 0) FROM documents"))

    def languages(self) -> dict[str, int]:
        """Characters of live documents by language (ISO 639-1; '' unknown)."""
        # The first counts up with other connections' commits, the second with our own.
        stamp = (next(self._rows("PRAGMA data_version"))[0], self._db.total_changes)
        if self._languages is None or self._languages[0] != stamp:
            rows = self._rows("SELECT language, sum(characters) FROM documents GROUP BY language")
            self._languages = (stamp, {str(language): int(count) for language, count in rows})
        return self._languages[1]

    def counts(self) -> dict[str, int]:
        """Documents by file."""
        rows = self._rows("SELECT file, count(*) FROM sources GROUP BY file")
        return {str(file): int(count) for file, count in rows}

    def contents(self) -> dict[str, Contents]:
        """What came out of each file, by path."""
        query = """
            SELECT file, count(*), sum(pages), json_group_array(language), json_group_array(id)
            FROM sources JOIN documents ON id = document_id GROUP BY file
        """
        found = {}
        for file, documents, pages, languages, ids in self._rows(query):
            known = [language for language in json.loads(languages) if language]
            commonest = max(sorted(set(known)), key=known.count, default="")
            found[str(file)] = Contents(documents, pages, commonest, frozenset(json.loads(ids)))
        return found

    def close(self) -> None:
        """Let go of the file. Closing twice is allowed."""
        self._db.close()


def _refuse_doubt(name: str, path: str, files: set[str], book: str) -> None:
    """Raises: BookError, when a name means no file, or several that are not of one folder."""
    if not files:
        raise BookError(f"No document of this book is called {name!r}. See: openbook status -b {book}")
    if len(files) > 1 and Path(path) not in {parent for file in files for parent in Path(file).parents}:
        raise BookError(f"{name!r} means {len(files)} files: {', '.join(sorted(files)[:3])}... Give the whole path.")


# Named columns, as `_document` reads them; a document has a source as long as it lives.
DOCUMENT = """
SELECT id, title, language, fields, text, marks, (SELECT min(source) FROM sources WHERE document_id = id) FROM documents
"""


def _row(entry: tuple[str, Document]) -> tuple[object, ...]:
    document_id, document = entry
    return (
        document_id,
        document.title,
        document.language,
        len(document.text),
        sum(label.startswith("page ") for _, label in document.marks),
        _json(document.fields),
        zlib.compress(document.text.encode("utf-8", "surrogatepass"), ZLIB_LEVEL),
        zlib.compress(_json([document.marks, document.headings, document.parts]).encode(), ZLIB_LEVEL),
    )


def _json(value: object) -> str:
    return json.dumps(dict(value) if isinstance(value, Mapping) else value)


def _document(row: Sequence[Any]) -> Document:
    _, title, language, fields, text, marks, source = row
    try:
        places, headings, parts = json.loads(zlib.decompress(marks))
        said = zlib.decompress(text).decode("utf-8", "surrogatepass")
        known = json.loads(fields)
    except (zlib.error, ValueError, TypeError) as error:
        raise DamagedError(
            f"The text of {source} is damaged ({error}). Read it again with: openbook check --repair"
        ) from error
    return Document(said, source or "", title, _marks(places), _marks(headings), _marks(parts), known, language)


def _marks(pairs: Iterable[Sequence[Any]]) -> Marks:
    return tuple((offset, label) for offset, label in pairs)
