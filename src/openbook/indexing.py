"""From files to chunks with vectors in a store: what `Book.add` and `Book.rebuild` run.

files --read, clean--> documents --split--> chunks --window by window--> vectors --commit--> store and documents

Embedding is what takes long, so the vectors of each window are kept in `partial/` until the documents they belong to
are committed: work that was stopped or killed goes on at the window where it stopped.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from openbook import text
from openbook.documents import Documents, File, Source
from openbook.errors import BookError, ReadError
from openbook.readers import hidden
from openbook.recipe import digest
from openbook.text import well_formed
from openbook.types import (
    Chunk,
    Cleaner,
    Document,
    Embedder,
    Field,
    Marks,
    Progress,
    Reader,
    Report,
    Splitter,
    Store,
    Unread,
    Vectors,
)

EMBED_WINDOW = 512  # chunks a call of the embedder: 3 s of work, large enough that sorting by length pays
COMMIT_CHUNKS = 8192  # chunks a commit: one Lance fragment each, so few and large ones


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read, or only in part."""

    path: str
    reason: str


@dataclass(slots=True)
class Added:
    """What came of adding files; counts are documents, but for `files_unchanged`."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    files_unchanged: int = 0
    skipped: list[str] = field(default_factory=list)  # files of a folder that no reader knows
    failed: list[Failure] = field(default_factory=list)
    partial: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    seconds_embedding: float = 0.0


def find_files(paths: Iterable[Path], known: Callable[[Path], bool], skipped: list[str]) -> Iterator[Path]:
    """The files that these paths mean: a file itself, the readable files below a folder, what a pattern matches.

    Absolute, each once. Hidden files and folders are left out; those of unknown kind are put into `skipped`.

    Raises:
        ReadError: A path does not exist.
    """
    seen: set[Path] = set()
    for path in paths:
        for file, named in _expand(path.expanduser().absolute()):
            if file in seen:
                continue
            seen.add(file)
            if named or known(file):
                yield file
            else:
                skipped.append(str(file))


def _expand(path: Path) -> Iterator[tuple[Path, bool]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if not hidden(file.relative_to(path).parts) and file.is_file():
                yield file, False
    elif path.exists() or path.is_symlink():
        yield path, True
    elif any(sign in path.name for sign in "*?["):
        matches = sorted(path.parent.glob(path.name))
        if not matches:
            raise ReadError(f"Nothing matches {path}. Check the pattern.")
        for match in matches:
            yield from _expand(match)
    else:
        raise ReadError(f"{path} does not exist. Check the path.")


class Indexer:
    """Adds to one store, under the book's lock."""

    def __init__(
        self,
        *,
        read: Reader,
        cleaners: Sequence[Cleaner],
        splitter: Splitter,
        embedder: Embedder,
        store: Store,
        documents: Documents,
        reading: str,
        partial: Path,
        report: Report | None,
    ) -> None:
        self._read, self._cleaners, self._splitter, self._embedder = read, cleaners, splitter, embedder
        self._store, self._documents, self._reading, self._partial = store, documents, reading, partial
        self._report = report or (lambda progress: None)
        self.summary = Added()
        self._batch: dict[str, Document] = {}
        self._sources: list[Source] = []
        self._files: list[File] = []
        self._dropped: list[str] = []
        self._live = documents.ids()
        self._known = {file.path: file for file in documents.files()}
        self._chunks: list[Chunk] = []
        self._vectors: list[Vectors] = []
        self._embedded = 0  # of self._chunks
        self._committed = 0  # chunks, in all
        self._bytes_read = self._bytes_total = self._chunks_split = 0

    def add(self, files: Sequence[Path]) -> Added:
        """Read, split, embed and commit files; those that did not change cost a look."""
        started = time.perf_counter()
        sizes = {file: _size(file) for file in files}
        self._bytes_total = sum(sizes.values())
        for file in files:
            self._add_file(file)
            self._bytes_read += sizes[file]
        self._commit()
        self.summary.seconds = time.perf_counter() - started
        return self.summary

    def rebuild(self) -> int:
        """Split and embed every live document of the book into the store, which is new; the number of chunks."""
        self._bytes_total = self._documents.characters()
        for document_id, document in self._documents.all():
            self._split(document, document_id)
            self._bytes_read += len(document.text)
            self._embed(all_of_it=False)
            if len(self._chunks) >= COMMIT_CHUNKS:
                self._flush()
        self._flush()
        self._forget_partial()
        return self._committed

    def _add_file(self, path: Path) -> None:
        if (name := well_formed(str(path))) != str(path):
            self._failed(name, f"The name of {name} is not valid UTF-8. Rename it.")
            return
        known = self._known.get(str(path))
        try:
            stat = path.stat()
            current = known is not None and known.state == "ok" and known.reading == self._reading
            if current and known and (known.size_bytes, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
                self._unchanged(str(path))
                return
            sha256 = _sha256(path)
        except OSError as error:
            self._failed(
                str(path), f"{path} cannot be read: {error.strerror or error}. Check the path and its permissions."
            )
            return
        file = File(str(path), stat.st_size, stat.st_mtime_ns, sha256, self._reading, "ok", "", _now())
        if current and known and known.sha256 == sha256:
            self._files.append(file)
            self._unchanged(str(path))
            return
        self._read_file(path, file)

    def _unchanged(self, path: str) -> None:
        self.summary.files_unchanged += 1
        self.summary.unchanged += len(self._documents.sources(path))

    def _failed(self, path: str, reason: str, file: File | None = None) -> None:
        self.summary.failed.append(Failure(path, reason))
        if file:
            self._files.append(
                File(path, file.size_bytes, file.mtime_ns, file.sha256, file.reading, "failed", reason, _now())
            )

    def _read_file(self, path: Path, file: File) -> None:
        before = self._documents.sources(str(path))
        seen: set[str] = set()
        reason = ""
        self._report(Progress("read", self._done, self._expected))
        try:
            for document in self._read(path):
                if isinstance(document, Unread):
                    reason = reason or document.reason
                    continue
                for clean in self._cleaners:
                    document = text.apply(document, clean(document))
                document = _well_formed(document)
                seen.add(document.source)
                self._take(str(path), document, before)
        except ReadError as error:
            reason = str(error)
        if reason and not seen:
            self._failed(str(path), reason, file)
            return
        if reason:
            self.summary.partial.append(Failure(str(path), reason))
            file = File(file.path, file.size_bytes, file.mtime_ns, file.sha256, file.reading, "partial", reason, _now())
        else:
            gone = [source for source in before if source not in seen]
            self._dropped += gone
            self.summary.removed += len(gone)
        self._files.append(file)

    def _take(self, path: str, document: Document, before: dict[str, str]) -> None:
        document_id = identity(document)
        if before.get(document.source) == document_id:
            self.summary.unchanged += 1
            return
        if document_id not in self._live and document_id not in self._batch:
            if self._split(document, document_id) == 0:
                raise ReadError(f"{document.source} has nothing but white space.")
            self._batch[document_id] = document
        self._sources.append(Source(document.source, document_id, path))
        if document.source in before:
            self.summary.updated += 1
        else:
            self.summary.added += 1
        self._embed(all_of_it=False)
        if len(self._chunks) >= COMMIT_CHUNKS:
            self._commit()

    def _split(self, document: Document, document_id: str) -> int:
        before = len(self._chunks)
        self._chunks.extend(self._splitter(document, document_id))
        count = len(self._chunks) - before
        self._chunks_split += count
        return count

    @property
    def _done(self) -> int:
        return self._committed + self._embedded

    @property
    def _expected(self) -> int:
        """Chunks in all, guessed from the bytes not read yet."""
        if not self._bytes_read:
            return self._chunks_split
        return int(self._chunks_split * max(1.0, self._bytes_total / self._bytes_read))

    def _embed(self, *, all_of_it: bool) -> None:
        """Embed the windows that are full; with `all_of_it` the rest too."""
        while (waiting := len(self._chunks) - self._embedded) and (all_of_it or waiting >= EMBED_WINDOW):
            texts = [chunk.indexed for chunk in self._chunks[self._embedded : self._embedded + EMBED_WINDOW]]
            self._report(Progress("embed", self._done, max(self._expected, self._chunks_split)))
            self._vectors.append(self._window(texts))
            self._embedded += len(texts)
        self._report(Progress("embed", self._done, max(self._expected, self._chunks_split)))

    def _window(self, texts: list[str]) -> Vectors:
        """Vectors of one window, from `partial/` when a run that was stopped had come so far."""
        path = self._partial / f"{digest(self._embedder.fingerprint, texts)}.f32"
        shape = (len(texts), self._embedder.dim)
        with suppress(OSError, ValueError):  # not there, or cut off by a full disk: embed it
            return np.frombuffer(path.read_bytes(), np.float32).reshape(shape)
        started = time.perf_counter()
        vectors = self._embedder.embed(texts, "document")
        self.summary.seconds_embedding += time.perf_counter() - started
        with disk_errors(path):
            self._partial.mkdir(exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(np.ascontiguousarray(vectors, np.float32).tobytes())
            temporary.replace(path)
        return vectors

    def _flush(self) -> None:
        """Embed what is left of the batch and add it to the store."""
        self._embed(all_of_it=True)
        if self._chunks:
            self._report(Progress("store", self._done, self._expected))
            self._store.add(self._chunks, np.concatenate(self._vectors))
        self._committed += len(self._chunks)
        self._chunks, self._vectors, self._embedded = [], [], 0

    def _commit(self) -> None:
        count = len(self._chunks)
        if self._batch:
            self._documents.begin(self._batch)
        self._flush()
        old = self._documents.commit([*self._batch.items()], self._sources, self._files, self._dropped)
        self._live = self._live.union(self._batch).difference(old)
        if old:
            self._store.remove(old)
            self._documents.forget(old)
        self.summary.chunks += count
        self._batch, self._sources, self._files, self._dropped = {}, [], [], []
        self._forget_partial()

    def _forget_partial(self) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)


@contextmanager
def disk_errors(path: Path) -> Generator[None]:
    """Turn a full or read-only disk into an error the user can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            message = f"The disk is full: {path.parent} could not be written. Free some space, then run it again."
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            message = f"{path.parent} cannot be written: {error.strerror}. Check its permissions."
        else:
            raise
        raise BookError(message) from error


def identity(document: Document) -> str:
    """The id of a document: a hash of all that it says, wherever it is from."""
    text_sha = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    marks = (document.marks, document.headings, document.parts)
    return digest(document.title, text_sha, marks, dict(document.fields), document.language)


def _well_formed(document: Document) -> Document:
    """Only what a database takes; a row of JSON may hold anything."""

    def labels(marks: Marks) -> Marks:
        return tuple((offset, well_formed(label)) for offset, label in marks)

    def value(said: Field) -> Field:
        return well_formed(said) if isinstance(said, str) else said

    return Document(
        well_formed(document.text),
        well_formed(document.source),
        well_formed(document.title),
        labels(document.marks),
        labels(document.headings),
        labels(document.parts),
        {well_formed(name): value(said) for name, said in document.fields.items()},
        document.language,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # named when it is read


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
