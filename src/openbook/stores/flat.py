"""Exact search: every vector is compared, words by SQLite's FTS5, all in one SQLite file.

The truth that an index's recall is measured against, and quick enough for some ten thousand chunks.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import ClassVar

import numpy as np

from openbook.errors import BookError
from openbook.phrases import phrases
from openbook.types import Chunk, Passage, Vectors

# How words are made of a text. FTS5 has word forms for English alone.
ENGLISH = "porter unicode61 remove_diacritics 2"
OTHER = "unicode61 remove_diacritics 2"
WORDS = """CREATE VIRTUAL TABLE word USING fts5(
    context, text, content='chunk', content_rowid='id', tokenize='{tokenizer}'
)"""

SCHEMA = (
    """CREATE TABLE chunk (
        id INTEGER PRIMARY KEY, document_id TEXT, start INTEGER, "end" INTEGER, text TEXT, place TEXT, context TEXT,
        vector BLOB
    )""",
    "CREATE INDEX chunk_document ON chunk (document_id)",
    WORDS.format(tokenizer=ENGLISH),
    """CREATE TRIGGER chunk_added AFTER INSERT ON chunk BEGIN
        INSERT INTO word(rowid, context, text) VALUES (new.id, new.context, new.text);
    END""",
    """CREATE TRIGGER chunk_removed AFTER DELETE ON chunk BEGIN
        INSERT INTO word(word, rowid, context, text) VALUES ('delete', old.id, old.context, old.text);
    END""",
)

FIELDS = 'document_id, start, "end", text, place, context'

MOST = 1 << 40  # passages: what SQLite takes for a number

LISTED = "(SELECT value FROM json_each(?))"

WORD = re.compile(r"[^\W_]+")

SHORTEST = 4  # letters a word without its ending has

# They are in nearly every English chunk: they would only cost time, and FTS5's BM25 gives them noise for a weight.
STOP_WORDS = frozenset(
    WORD.findall(
        "a an and are as at be but by did do does for from had has have he her his how i if in into is it its me my no "
        "not of on or our she so such than that the their them then there these they this to was we were what when "
        "where which who whom whose why will with you your"
    )
)


@dataclass
class Flat:
    """Vectors are read into memory on the first search, and again when another process changed the file."""

    folder: Path
    dim: int
    timeout: float = 30.0  # seconds to wait while another process writes

    VERSION: ClassVar[int] = 1

    _connection: sqlite3.Connection | None = field(default=None, init=False, repr=False, compare=False)
    _lock: RLock = field(default_factory=RLock, init=False, repr=False, compare=False)
    _loaded: tuple[int, list[int], Vectors] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self.folder / "flat.sqlite"

    def add(self, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        if vectors.shape != (len(chunks), self.dim):
            raise ValueError(
                f"{len(chunks)} chunks need vectors of shape {(len(chunks), self.dim)}, not {vectors.shape}."
            )
        if not chunks:
            return
        rows = (
            (c.document_id, c.start, c.end, c.text, c.place, c.context, vector.tobytes())
            for c, vector in zip(chunks, np.ascontiguousarray(vectors, np.float32), strict=True)
        )
        with self._transaction("IMMEDIATE") as connection:
            connection.executemany(f"INSERT INTO chunk({FIELDS}, vector) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._loaded = None

    def nearest(
        self, vector: Vectors, k: int, *, within: Collection[str] | None = None, exact: bool = False
    ) -> list[Passage]:
        with self._transaction() as connection:
            ids, matrix = self._vectors(connection)
            if within is not None:
                query = f"SELECT id FROM chunk WHERE document_id IN {LISTED}"
                allowed = {number for (number,) in connection.execute(query, (json.dumps(list(within)),))}
                rows_kept = [row for row, number in enumerate(ids) if number in allowed]
                ids, matrix = [ids[row] for row in rows_kept], matrix[rows_kept]
            scores = matrix @ vector
            best = np.argsort(-scores, kind="stable")[: max(k, 0)].tolist()
            query = f"SELECT id, {FIELDS} FROM chunk WHERE id IN {LISTED}"
            rows = connection.execute(query, (json.dumps([ids[index] for index in best]),))
            chunks = {number: Chunk(*values) for number, *values in rows}
        return [Passage(chunks[ids[index]], float(scores[index]), "dense") for index in best]

    def match(self, words: str, k: int, *, within: Collection[str] | None = None) -> list[Passage]:
        if k < 1:
            return []
        fields = ", ".join(f"chunk.{name}" for name in FIELDS.split(", "))
        query = (
            f"SELECT {fields}, -bm25(word) AS score FROM word JOIN chunk ON chunk.id = word.rowid "
            f"WHERE word MATCH ?1 AND (?2 IS NULL OR chunk.document_id IN {LISTED.replace('?', '?2')}) "
            "ORDER BY score DESC, chunk.document_id, chunk.start LIMIT ?3"
        )
        ids = None if within is None else json.dumps(list(within))
        with self._transaction() as connection:
            asked = _asked(words, english=_is_english(connection))
            rows = connection.execute(query, (asked, ids, min(k, MOST))).fetchall() if asked else []
        return [Passage(Chunk(*row[:-1]), row[-1], "bm25") for row in rows]

    def vectors(
        self, document_ids: Iterable[str], starts: Collection[int] | None = None
    ) -> Iterator[tuple[Chunk, Vectors]]:
        query = f"SELECT {FIELDS}, vector FROM chunk WHERE document_id IN {LISTED}"
        wanted = [json.dumps(list(document_ids))]
        if starts is not None:
            query += f" AND start IN {LISTED}"
            wanted.append(json.dumps(list(starts)))
        with self._transaction() as connection:
            rows = connection.execute(query, wanted).fetchall()
        for *values, vector in rows:
            yield Chunk(*values), np.frombuffer(vector, np.float32)

    @property
    def word_forms(self) -> str:
        with self._transaction() as connection:
            return "en" if _is_english(connection) else ""

    def remove(self, document_ids: Iterable[str]) -> int:
        ids = json.dumps(list(document_ids))
        with self._transaction("IMMEDIATE") as connection:
            query = f"DELETE FROM chunk WHERE document_id IN {LISTED}"
            count = connection.execute(query, (ids,)).rowcount
            self._loaded = None
        return count

    def optimize(self, language: str = "") -> None:
        with self._transaction("IMMEDIATE") as connection:
            if language and (language == "en") != _is_english(connection):
                connection.execute("DROP TABLE word")
                connection.execute(WORDS.format(tokenizer=ENGLISH if language == "en" else OTHER))
                connection.execute("INSERT INTO word(word) VALUES ('rebuild')")
            connection.execute("INSERT INTO word(word) VALUES ('optimize')")
        with self._open() as connection:
            pages, free = (
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
            )
            # VACUUM writes the whole file anew: worth it when a quarter of it is empty.
            if free * 4 > pages:
                connection.execute("VACUUM")

    def chunks(self) -> Iterator[Chunk]:
        last = 0
        query = f"SELECT id, {FIELDS} FROM chunk WHERE id > ? ORDER BY id LIMIT 1000"
        while True:
            with self._transaction() as connection:
                rows = connection.execute(query, (last,)).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield from (Chunk(*row[1:]) for row in rows)

    def counts(self) -> dict[str, int]:
        with self._transaction() as connection:
            return dict(connection.execute("SELECT document_id, count(*) FROM chunk GROUP BY document_id").fetchall())

    def __len__(self) -> int:
        with self._transaction() as connection:
            return int(connection.execute("SELECT count(*) FROM chunk").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._loaded = None

    def _vectors(self, connection: sqlite3.Connection) -> tuple[list[int], Vectors]:
        version = connection.execute("PRAGMA data_version").fetchone()[0]  # changes when another connection commits
        if self._loaded is None or self._loaded[0] != version:
            rows = connection.execute("SELECT id, vector FROM chunk ORDER BY id").fetchall()
            matrix = np.frombuffer(b"".join(vector for _, vector in rows), np.float32).reshape(len(rows), self.dim)
            self._loaded = (version, [row for row, _ in rows], matrix)
        return self._loaded[1:]

    @contextmanager
    def _transaction(self, kind: str = "DEFERRED") -> Generator[sqlite3.Connection]:
        with self._open() as connection:
            connection.execute(f"BEGIN {kind}")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        """The connection, for this thread alone; what SQLite has to say becomes a BookError."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                yield self._connection
            except sqlite3.Error as error:
                raise BookError(self._explain(error)) from error
            except OSError as error:
                raise BookError(f"{self.folder} cannot be made ({error.strerror}). Choose another folder.") from error

    def _connect(self) -> sqlite3.Connection:
        self.folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=self.timeout, isolation_level=None, check_same_thread=False)
        try:
            dim = _dim(connection) or self._create(connection)
            if dim != self.dim:
                raise BookError(
                    f"This store holds vectors of {dim} numbers, but the embedder makes {self.dim}. "
                    "Use the book's recipe, or: openbook rebuild"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: sqlite3.Connection) -> int:
        connection.execute("BEGIN IMMEDIATE")
        if not _dim(connection):  # nobody else made it while this waited
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {self.dim}")
        connection.execute("COMMIT")
        return _dim(connection)

    def _explain(self, error: sqlite3.Error) -> str:
        name = getattr(error, "sqlite_errorname", "")  # not there when Python, not SQLite, refused
        if name in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
            return (
                f"{self.path} was being written by another process for {self.timeout:g} s. Try again when it is done."
            )
        if name == "SQLITE_FULL":
            return f"No space left for {self.path}; nothing was changed. Free some and try again."
        if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
            return f"{self.path} may not be written; nothing was changed. Change its permissions and try again."
        return f"{self.path} cannot be used ({error}). Make it again from the documents with: openbook rebuild"


def _is_english(connection: sqlite3.Connection) -> bool:
    (statement,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'word'").fetchone()
    return ENGLISH in statement


def _asked(words: str, *, english: bool) -> str:
    """Any of the words, but all phrases, as FTS5 reads it: each word in quotes, so that none is an operator."""
    asked = list(dict.fromkeys(WORD.findall(words.lower())))
    if english:
        asked = [f'"{word}"' for word in asked if word not in STOP_WORDS] or [f'"{word}"' for word in asked]
    else:
        asked = list(dict.fromkeys(map(_beginning, asked)))
    quoted = [f'"{" ".join(WORD.findall(one))}"' for one in phrases(words)]
    # A phrase is said twice: the rest need not be there, but its words count.
    return " AND ".join([*quoted, f"({' OR '.join([*quoted, *asked])})"]) if asked else ""


def _beginning(word: str) -> str:
    """Whatever begins as a word does; its last two letters may be an ending.

    BM25 on XQuAD in German, MRR@10: .847 for words as written, .869 with Porter's English stems, .890 with Snowball's
    German ones, .897 so.
    """
    return f'"{word[: max(SHORTEST, len(word) - 2)]}"*' if len(word) >= SHORTEST else f'"{word}"'


def _dim(connection: sqlite3.Connection) -> int:
    """The dim of the store, kept where SQLite lets an application keep a number; 0: still to be made."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
