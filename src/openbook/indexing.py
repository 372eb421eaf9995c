"""From files to chunks with vectors in a store: what `Book.add`, `Book.rebuild` and `Book.check` run.

files --Reading--> documents --split--> chunks --window by window--> vectors --commit--> store and documents

A file is looked at when its size or time changed, read when its hash or the way of reading did. Embedding is what takes
long, so a vector that is there already is used again, and the vectors of each window are kept in `partial/` until the
documents they belong to are committed: work that was stopped or killed goes on at the window where it stopped.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from openbook.documents import Documents, File, Source
from openbook.errors import BookError
from openbook.estimating import Estimate, estimate
from openbook.finding import Found, FoundFile
from openbook.readers.files import shown
from openbook.readers.names import name_fields
from openbook.reading import Edits, End, Event, Job, Reading
from openbook.recipe import digest
from openbook.remaining import Remaining
from openbook.text import well_formed
from openbook.types import Chunk, Document, Embedder, Progress, Report, Splitter, Store, Unread, Vectors

EMBED_WINDOW = 512  # chunks a call of the embedder: 3 s of work, large enough that sorting by length pays
WORTH_ESTIMATING = 1 << 18  # bytes of files: a few seconds of work
COMMIT_CHUNKS = 8192  # chunks a commit: one Lance fragment each, so few and large ones
COMMIT_CHARACTERS = 1 << 26  # of documents that wait for their commit, whatever became of their chunks
KEY_BYTES = 16  # of a text's SHA-256
STOPPED = "was not read to its end: the add was stopped. Run it again."
REASONS = 3  # parts of one file that could not be read are named, before they are only counted


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read, or only in part."""

    path: str
    reason: str


@dataclass(slots=True)
class Added:
    """What came of adding files; counts are documents."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0  # the same document, from a file of another name or in another folder
    removed: int = 0
    chunks: int = 0
    chunks_reused: int = 0  # of these, those whose vectors were there already
    skipped: list[str] = field(
        default_factory=list
    )  # files of a folder that no reader knows, empty ones, archives of such
    failed: list[Failure] = field(default_factory=list)
    partial: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    seconds_embedding: float = 0.0


@dataclass(slots=True)
class _Open:
    """A file that is being read."""

    file: FoundFile
    before: Mapping[str, str]  # source -> id of the documents it had
    seen: set[str] = field(default_factory=set)
    unread: list[Unread] = field(default_factory=list)


class Indexer:
    """Adds to one store, under the book's lock."""

    def __init__(
        self,
        *,
        splitter: Splitter,
        embedder: Embedder,
        store: Store,
        documents: Documents,
        reading: str,
        retrying: str,
        partial: Path,
        report: Report | None,
        former: Store | None = None,
    ) -> None:
        """`former` is the store to take vectors from that are there already, made by the same embedder.

        `reading` names the way files are read; `retrying` also what makes another try worthwhile.
        """
        self._splitter, self._embedder, self._store, self._former = splitter, embedder, store, former
        self._documents, self._reading, self._retrying, self._partial = documents, reading, retrying, partial
        self._report = report or (lambda progress: None)
        self.summary = Added()
        self._open: dict[str, _Open] = {}
        self._batch: dict[str, Document] = {}
        self._sources: list[Source] = []
        self._files: list[File] = []
        self._dropped: list[str] = []
        self._gone: list[str] = []  # files
        self._arrived: Counter[str] = Counter()  # ids of documents, and how many sources they got that are new
        self._live = documents.ids()
        self._replaces: dict[str, set[str]] = {}  # id of a document in the batch -> ids whose chunks may be like its
        self._looked_up: set[str] = set()  # of these ids
        self._reused: dict[str, Vectors] = {}  # by what was embedded: of documents that those in the batch replace
        self._chunks: list[Chunk] = []
        self._vectors: list[Vectors] = []
        self._embedded = 0  # of self._chunks
        self._characters = 0  # of self._batch
        self._kept: dict[bytes, Vectors] | None = None
        self._prefix = digest(embedder.fingerprint)
        self._row_bytes = KEY_BYTES + 4 * embedder.dim
        self._committed = 0  # chunks, in all
        self._remaining = Remaining({})

    def estimate(self, found: Found, reading: Reading) -> Estimate:
        """What `add` of these files would come to; nothing is changed."""
        known = {file.path: file for file in self._documents.files()}
        return estimate(self._todo(found, known), reading, self._splitter, self._embedder)

    def add(self, found: Found, reading: Reading) -> Added:
        """Read, split, embed and commit files; those that did not change cost a look."""
        started = time.perf_counter()
        known = {file.path: file for file in self._documents.files()}
        self.summary.skipped = found.skipped
        jobs = self._todo(found, known)
        todo = {file.path: file for file in jobs}
        self._remaining = self._estimated(jobs, reading)
        ended = 0
        for job, event in reading.read(jobs.values()):
            if not self._embedded and not self._committed:  # from then on the chunks are counted
                self._report(Progress("read", ended, len(jobs), "files"))
            ended += isinstance(event, End)
            if job.path not in self._open:
                self._open[job.path] = _Open(todo[job.path], self._documents.sources(job.path))
            self._hear(self._open[job.path], event, known.get(job.path))
        self._drop_gone(found, known)
        self._commit()
        self.summary.seconds = time.perf_counter() - started
        return self.summary

    def rebuild(self) -> int:
        """Split and embed every live document of the book into the store, which is new; the number of chunks."""
        self._remaining = Remaining({"": self._documents.characters()})
        for document_id, document in self._documents.all():
            self._again(document_id, document)
        self._flush()
        self._forget_partial()
        return self._committed

    def repair(self, ids: Iterable[str]) -> int:
        """Split and embed these live documents again, whose chunks were removed; the number of chunks."""
        for document_id in ids:
            if document := self._documents.get(document_id):
                self._again(document_id, document)
        self._flush()
        self._forget_partial()
        return self._committed

    def _again(self, document_id: str, document: Document) -> None:
        self._replaces[document_id] = {document_id}
        self._split(document, document_id, "")
        if len(self._chunks) >= COMMIT_CHUNKS:
            self._flush()

    def _todo(self, found: Found, known: Mapping[str, File]) -> dict[FoundFile, Job]:
        counts = self._documents.counts()
        todo = {}
        for file in found.files:
            if file.size_bytes == 0 and not file.named and file.path not in known:
                self.summary.skipped.append(file.path)  # such as __init__.py
            elif job := self._job(file, known.get(file.path), counts):
                todo[file] = job
        return todo

    def _estimated(self, todo: Mapping[FoundFile, Job], reading: Reading) -> Remaining:
        """What is to come, told to the user where it may take long."""
        sizes = {file.path: float(max(0, file.size_bytes)) for file in todo}
        if sum(sizes.values()) < WORTH_ESTIMATING:
            return Remaining(sizes)
        found = estimate(todo, reading, self._splitter, self._embedder)
        if not found.chunks:
            return Remaining(sizes)
        self._report(Progress("estimate", 0, found.chunks, seconds_left=found.seconds))
        return Remaining(
            {file.path: max(0, file.size_bytes) * found.per_byte(file.path) for file in todo},
            estimated=True,
            seconds_per_chunk=found.seconds / found.chunks,
        )

    def _job(self, file: FoundFile, known: File | None, counts: Mapping[str, int]) -> Job | None:
        """What there is to do for a file: None when it is known, or has a name that cannot be."""
        if (name := well_formed(file.path)) != file.path:
            self.summary.failed.append(Failure(name, f"The name of {shown(name)} is not valid UTF-8. Rename it."))
            return None
        if known is None or known.reading != (self._reading if known.state == "ok" else self._retrying):
            return Job(file.path)
        if (known.size_bytes, known.mtime_ns) != (file.size_bytes, file.mtime_ns):
            return Job(file.path, known.sha256)
        self._same(known, counts.get(file.path, 0))
        return None

    def _same(self, known: File, documents: int) -> None:
        """A file is as it was; what was wrong with it still is."""
        self.summary.unchanged += documents
        if known.state == "failed":
            self.summary.failed.append(Failure(known.path, known.reason))
        elif known.state == "partial":
            self.summary.partial.append(Failure(known.path, known.reason))

    def _hear(self, open_file: _Open, event: Event, known: File | None) -> None:
        if isinstance(event, Document):
            open_file.seen.add(event.source)
            self._take(open_file, event)
        elif isinstance(event, Unread):
            open_file.unread.append(event)
        elif isinstance(event, End):
            del self._open[open_file.file.path]
            self._remaining.ended(open_file.file.path)
            if event.same and known:
                self._same(known, len(open_file.before))
                self._note(open_file.file, event, known.state, known.reason)
            else:
                self._end(open_file, event)
        else:
            assert isinstance(event, Edits)

    def _end(self, open_file: _Open, end: End) -> None:
        reason = _reason(end.error, open_file.unread)
        path = open_file.file.path
        if not reason:
            if not open_file.seen:  # an archive of pictures, say
                self.summary.skipped.append(path)
            self._drop(source for source in open_file.before if source not in open_file.seen)
            self._note(open_file.file, end, "ok", "")
        elif open_file.seen:
            unread = {part.source for part in open_file.unread}
            below = tuple(f"{source}{sign}" for source in unread for sign in "#/")  # in an archive in an archive
            if not end.error:  # what could not be read again stays as it was
                self._drop(
                    source
                    for source in open_file.before
                    if source not in open_file.seen and source not in unread and not source.startswith(below)
                )
            self.summary.partial.append(Failure(path, reason))
            self._note(open_file.file, end, "partial", reason)
        else:
            if open_file.before:
                reason += " What was read of it before is kept."
            self.summary.failed.append(Failure(path, reason))
            self._note(open_file.file, end, "failed", reason)

    def _note(self, file: FoundFile, end: End, state: str, reason: str) -> None:
        reading = self._reading if state == "ok" else "" if end.again else self._retrying
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._files.append(File(file.path, file.size_bytes, file.mtime_ns, end.sha256, reading, state, reason, now))

    def _take(self, open_file: _Open, document: Document) -> None:
        document_id = identity(document)
        before = open_file.before.get(document.source)
        if before == document_id:
            self.summary.unchanged += 1
            return
        if document_id not in self._live and document_id not in self._batch:
            if before:
                self._replaces.setdefault(document_id, set()).add(before)
            self._split(document, document_id, open_file.file.path)
            self._batch[document_id] = document
            self._characters += len(document.text)
        path = open_file.file.path
        said = name_fields(path) | name_fields(document.source)  # of an archive, and of the file in it
        self._sources.append(Source(document.source, document_id, path, said))
        if before:
            self.summary.updated += 1
        else:
            self.summary.added += 1
            self._arrived[document_id] += 1
        self._embed(all_of_it=False)
        if len(self._chunks) >= COMMIT_CHUNKS or self._characters > COMMIT_CHARACTERS:
            self._commit()

    def _drop(self, sources: Iterable[str]) -> None:
        dropped = list(sources)
        self._dropped += dropped
        self.summary.removed += len(dropped)

    def _drop_gone(self, found: Found, known: Mapping[str, File]) -> None:
        """Remove the documents of files that are no longer in a folder that was looked through."""
        for path, reason in found.unlisted:
            kept = sum(name.startswith(path + os.sep) for name in known)
            if reason:
                self.summary.failed.append(Failure(path, f"{reason} Check its permissions."))
            elif kept:
                said = (
                    f"{path} is empty, where {kept} files were; they are kept. If they are gone: openbook remove {path}"
                )
                self.summary.failed.append(Failure(path, said))
        for path in found.gone(known):
            sources = self._documents.sources(path)
            moved = (Counter(sources.values()) & self._arrived).total()
            self._arrived -= Counter(sources.values())
            self.summary.moved += moved
            self.summary.added -= moved
            self.summary.removed -= moved
            self._drop(sources)
            self._gone.append(path)

    def _split(self, document: Document, document_id: str, path: str) -> None:
        before = len(self._chunks)
        self._chunks.extend(self._splitter(document, document_id))
        self._remaining.came(path, len(document.text), len(self._chunks) - before)

    def _embed(self, *, all_of_it: bool) -> None:
        """Embed the windows that are full; with `all_of_it` the rest too."""
        while (waiting := len(self._chunks) - self._embedded) and (all_of_it or waiting >= EMBED_WINDOW):
            window = self._chunks[self._embedded : self._embedded + EMBED_WINDOW]
            self._tell("embed")
            self._vectors.append(self._window(window))
            self._embedded += len(window)
        if self._embedded or self._committed:  # before that, files are counted
            self._tell("embed")

    def _tell(self, step: str) -> None:
        done = self._committed + self._embedded
        self._report(Progress(step, done, self._remaining.total, seconds_left=self._remaining.seconds_left(done)))

    def _window(self, chunks: Sequence[Chunk]) -> Vectors:
        """Vectors of one window, from `partial/` when a run that was stopped had come so far."""
        texts = [chunk.indexed for chunk in chunks]
        there = self._there(chunks)
        self.summary.chunks_reused += sum(text in there for text in texts)
        stopped = self._stopped()
        there |= {text: stopped[key] for text in texts if (key := _key(text)) in stopped}
        if missing := [text for text in dict.fromkeys(texts) if text not in there]:
            started = time.perf_counter()
            made = self._embedder.embed(missing, "document")
            self.summary.seconds_embedding += time.perf_counter() - started
            there |= dict(zip(missing, made, strict=True))
            self._keep(missing, made)
        return np.stack([there[text] for text in texts])

    def _there(self, chunks: Sequence[Chunk]) -> dict[str, Vectors]:
        """Vectors that documents replaced in this batch have already, by what was embedded."""
        waiting = self._chunks[self._embedded :]  # all at once: to look them up, a store may look at all that it has
        ids = {old for chunk in waiting for old in self._replaces.get(chunk.document_id, ())} - self._looked_up
        if ids and self._former is not None:
            self._looked_up |= ids
            with suppress(BookError):  # that store cannot be used any more: `rebuild` makes another
                self._reused |= {chunk.indexed: vector for chunk, vector in self._former.vectors(ids)}
        return {text: self._reused[text] for chunk in chunks if (text := chunk.indexed) in self._reused}

    def _stopped(self) -> dict[bytes, Vectors]:
        """Vectors of a run that was stopped, by key; a file that was cut off gives those it holds whole."""
        if self._kept is None:
            self._kept = {}
            for path in sorted(self._partial.glob(f"{self._prefix}-*.f32")):
                with suppress(OSError):
                    held = path.read_bytes()
                    for at in range(0, len(held) - self._row_bytes + 1, self._row_bytes):
                        vector = np.frombuffer(held, np.float32, self._embedder.dim, at + KEY_BYTES)
                        self._kept[held[at : at + KEY_BYTES]] = vector
        return self._kept

    def _keep(self, texts: Sequence[str], vectors: Vectors) -> None:
        numbers = np.ascontiguousarray(vectors, np.float32)
        rows = (_key(text) + vector.tobytes() for text, vector in zip(texts, numbers, strict=True))
        path = self._partial / f"{self._prefix}-{time.time_ns()}.f32"
        with disk_errors(path):
            self._partial.mkdir(exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(b"".join(rows))
            temporary.replace(path)

    def _flush(self) -> None:
        """Embed what is left of the batch and add it to the store."""
        self._embed(all_of_it=True)
        if self._chunks:
            self._tell("store")
            self._store.add(self._chunks, np.concatenate(self._vectors))
        self._committed += len(self._chunks)
        self._chunks, self._vectors, self._embedded = [], [], 0
        self._looked_up, self._reused = set(), {}

    def _commit(self) -> None:
        count = len(self._chunks)
        if self._batch:
            self._documents.begin(self._batch)
        self._flush()
        old = self._documents.commit(
            [*self._batch.items()], self._sources, self._files + self._begun(), self._dropped, dropped_files=self._gone
        )
        self._live.update(self._batch)
        self._live.difference_update(old)
        if old:
            self._store.remove(old)
            self._documents.forget(old)
        self.summary.chunks += count
        self._batch, self._sources, self._files, self._dropped, self._gone = {}, [], [], [], []
        self._replaces.clear()
        self._characters = 0
        self._forget_partial()

    def _begun(self) -> list[File]:
        """Files of which a part is committed now: if this is killed, they are read again, or found to be gone."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        begun = [self._open[path].file for path in sorted({one.file for one in self._sources} & self._open.keys())]
        return [
            File(one.path, one.size_bytes, one.mtime_ns, "", "", "partial", f"{shown(one.path)} {STOPPED}", now)
            for one in begun
        ]

    def _forget_partial(self) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)
        self._kept = None


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
        elif error.errno in {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}:
            message = f"{path.parent} cannot be a folder: {error.strerror}. Check the path."
        else:
            raise
        raise BookError(message) from error


def identity(document: Document) -> str:
    """The id of a document: a hash of all that it says, wherever it is from."""
    text_sha = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    marks = (document.marks, document.headings, document.parts)
    return digest(document.title, text_sha, marks, dict(document.fields), document.language)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


def _reason(error: str, unread: Sequence[Unread]) -> str:
    """Why a file was not read, or not all of it, in one line; '' when it was."""
    said = [error] if error else []
    said += map(str, unread[:REASONS])
    if len(unread) > REASONS:
        said.append(f"And {len(unread) - REASONS} more parts of it.")
    return " ".join(said)
