"""Book: create, open, add, search, stream, ask, remove, rebuild. The only place the steps meet.

bible/
  book.toml      recipe, fingerprint of the embedder, which store folder is the live one
  documents.db   cleaned texts with marks: the truth; everything else can be made again from it
  store-*/       chunks, vectors, words
  partial/       vectors of an `add` that was stopped
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import openbook
from openbook import registry
from openbook.documents import Documents, File
from openbook.errors import BookError
from openbook.indexing import Added, Indexer, disk_errors, find_files
from openbook.lock import locked
from openbook.manifest import NAME, Manifest, name_of
from openbook.prompts.citations import split_citations
from openbook.recipe import Recipe, digest
from openbook.text import well_formed
from openbook.types import (
    LLM,
    Answer,
    Document,
    Embedder,
    Passage,
    Progress,
    Prompt,
    Refiner,
    Report,
    Retriever,
    Store,
    Timing,
    Usage,
)

if TYPE_CHECKING:
    from openbook.types import Vectors

PASSAGES = 5  # of `search`; `ask` takes as many as its prompt wants
MAX_ANSWER_TOKENS = 512
MADE_OF = ("splitter", "embedder", "store")  # changing one of these makes what the store holds wrong
OURS = (NAME, "documents.db", "store-", "partial", ".lock")  # what a making that was killed may have left
READING = ("reader", "cleaners")  # changing one of these makes the documents wrong


@dataclass(frozen=True, slots=True)
class Status:
    """What a book holds."""

    folder: Path
    manifest: Manifest
    files: tuple[File, ...]
    documents_by_file: dict[str, int]
    documents: int
    characters: int
    chunks: int
    size_bytes: int
    unfinished: bool  # an `add` was stopped; running it again goes on


class Book:
    """A folder holding what one recipe made of some documents.

    Reading (search, ask) may go on in many processes while one changes it; changes wait for each other.
    """

    def __init__(self, folder: Path, manifest: Manifest, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self._manifest = manifest
        self._stamp = 0  # of book.toml when it was last read
        self._documents: Documents | None = None
        self._store: Store | None = None
        self._embedder: Embedder | None = None
        self._llm: LLM | None = None

    @classmethod
    def open(cls, folder: str | Path, recipe: Recipe | None = None, *, create: bool = False) -> Book:
        """The book in a folder; with `create`, a new one when none is there.

        Without `recipe` the book's own is used (a new book: the default). A recipe for an existing book may choose
        another retriever, refiner, prompt or llm; they hold for this opening only.

        Raises:
            BookError: No book is there; or the recipe would need other chunks or vectors than the book holds.
            SpecError: The recipe names a component or option that does not exist.
        """
        folder = Path(folder).expanduser().absolute()
        if create and not (folder / NAME).exists():
            return cls._create(folder, recipe or Recipe())
        manifest = Manifest.read(folder)
        if recipe is None:
            return cls(folder, manifest, manifest.recipe)
        _check(recipe)
        _refuse_other_vectors(folder, manifest.recipe, recipe)
        return cls(folder, manifest, recipe)

    @classmethod
    def _create(cls, folder: Path, recipe: Recipe) -> Book:
        _check(recipe)
        if folder.exists() and not folder.is_dir():
            raise BookError(f"{folder} is a file. Name a folder for the book, such as: -b ./mybook")
        if folder.is_dir() and not all(path.name.startswith(OURS) for path in folder.iterdir()):
            raise BookError(
                f"{folder} holds other files and is not a book. Name a new folder, such as: -b {folder}/book"
            )
        embedder: Embedder = registry.make("embedder", recipe.embedder)
        with disk_errors(folder / NAME):
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder, None):
                if not (folder / NAME).exists():  # another process may have been quicker
                    Documents(folder / "documents.db").close()
                    store = _store_folder(recipe, embedder.fingerprint)
                    Manifest(recipe, embedder.fingerprint, embedder.dim, store, openbook.__version__).write(folder)
        return cls(folder, Manifest.read(folder), recipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the model and let go of files. Closing twice is allowed; a later call opens them again."""
        for part in (self._llm, self._store, self._documents):
            if part is not None:
                part.close()
        self._llm = self._store = self._documents = None

    # What the book is made of, each opened on first use.

    @property
    def documents(self) -> Documents:
        """The documents of this book."""
        if self._documents is None:
            if not (self.folder / "documents.db").exists():
                raise BookError(f"{self.folder} has lost its documents.db. Add the documents to a new book.")
            self._documents = Documents(self.folder / "documents.db")
        return self._documents

    @property
    def embedder(self) -> Embedder:
        """The embedder that made this book's vectors.

        Raises:
            BookError: This openbook's embedder of that name makes other vectors.
        """
        if self._embedder is None:
            embedder: Embedder = registry.make("embedder", self._manifest.recipe.embedder)
            if embedder.fingerprint != self._manifest.fingerprint:
                raise BookError(
                    f"The vectors of this book were made by another version of {self._manifest.recipe.embedder}. "
                    f"Make them again with: openbook rebuild -b {name_of(self.folder)}"
                )
            self._embedder = embedder
        return self._embedder

    @property
    def store(self) -> Store:
        """Where this book's chunks are."""
        if self._store is None:
            self._store = self._open_store(self._manifest.recipe, self._manifest.store, self._manifest.dim)
        return self._store

    def _open_store(self, recipe: Recipe, name: str, dim: int) -> Store:
        store: Store = registry.make("store", recipe.store, folder=self.folder / name, dim=dim)
        return store

    @property
    def llm(self) -> LLM:
        """The model that answers; loads when it is first asked."""
        if self._llm is None:
            self._llm = registry.make("llm", self.recipe.llm)
        return self._llm

    @property
    def prompt(self) -> Prompt:
        """What puts passages and question into messages."""
        prompt: Prompt = registry.make("prompt", self.recipe.prompt)
        return prompt

    # Changing it.

    def add(self, paths: str | Path | Iterable[str | Path], *, report: Report | None = None) -> Added:
        """Read files and folders into the book; what did not change since is left alone.

        A file that cannot be read costs that file only and is named in the result.

        Raises:
            ReadError: A path does not exist; nothing was added.
            BookError: The disk is full, or the book is damaged.
        """
        from openbook.readers import SUFFIXES

        if isinstance(paths, str | Path):
            paths = [paths]
        skipped: list[str] = []
        files = list(find_files(map(Path, paths), lambda path: path.suffix.lower() in SUFFIXES, skipped))
        files = [file for file in files if self.folder not in file.parents]
        with self._changing(report):
            indexer = self._indexer(self._manifest.recipe, self.store, self.embedder, report)
            indexer.summary.skipped = skipped
            with disk_errors(self.folder / NAME):
                summary = indexer.add(files)
                if summary.added or summary.updated or summary.removed:
                    self._optimize(report)
        return summary

    def _optimize(self, report: Report | None) -> None:
        if report:
            report(Progress("index", 0, 0))
        self.store.optimize()

    def _indexer(self, recipe: Recipe, store: Store, embedder: Embedder, report: Report | None) -> Indexer:
        return Indexer(
            read=registry.make("reader", recipe.reader),
            cleaners=[registry.make("cleaners", spec) for spec in recipe.cleaners],
            splitter=registry.make("splitter", recipe.splitter, spans=embedder.tokens),
            embedder=embedder,
            store=store,
            documents=self.documents,
            reading=digest(*(registry.fingerprint(step, spec) for step in READING for spec in recipe.specs(step))),
            partial=self.folder / "partial",
            report=report,
        )

    def remove(self, names: Sequence[str], *, report: Report | None = None) -> list[str]:
        """Remove documents, by source, file, folder or a file's name; the sources removed.

        Raises:
            BookError: A name means no document, or several files; nothing was removed.
        """
        with self._changing(report):
            sources = self.documents.sources()
            files = {file.path for file in self.documents.files()}
            chosen: dict[str, str] = {}
            dropped: set[str] = set()
            for name in map(well_formed, names):
                found, whole = self._named(name, sources, files)
                chosen |= found
                dropped |= whole
            old = self.documents.commit(dropped_sources=chosen, dropped_files=dropped)
            self.store.remove(old)
            self.documents.forget(old)
        return sorted(chosen)

    def _named(self, name: str, sources: dict[str, str], files: set[str]) -> tuple[dict[str, str], set[str]]:
        """Documents (source -> id) and whole files that a name typed by a user means."""
        if name in sources and name not in files:
            return {name: sources[name]}, set()
        path = str(Path(name).expanduser().absolute())
        whole = {file for file in files if file == path or file.startswith(path + os.sep)}
        if not whole and path in sources:  # 'corpus.jsonl#7' typed where the file lies
            return {path: sources[path]}, set()
        whole = whole or {file for file in files if Path(file).name == name}
        if not whole:
            raise BookError(
                f"No document of this book is called {name!r}. See: openbook status -b {name_of(self.folder)}"
            )
        if len(whole) > 1 and Path(path) not in {parent for file in whole for parent in Path(file).parents}:
            raise BookError(
                f"{name!r} means {len(whole)} files: {', '.join(sorted(whole)[:3])}... Give the whole path."
            )
        return {source: id_ for file in whole for source, id_ in self.documents.sources(file).items()}, whole

    def rebuild(self, recipe: Recipe | None = None, *, report: Report | None = None) -> int:
        """Make chunks, vectors and words again from the documents, with another recipe if given; number of chunks.

        The book serves as it was until the new store is whole. Changed reading steps hold from the next `add` on.

        Raises:
            SpecError: The recipe names a component or option that does not exist.
        """
        recipe = recipe or self.recipe
        _check(recipe)
        embedder: Embedder = registry.make("embedder", recipe.embedder)
        name = _store_folder(recipe, embedder.fingerprint, avoid=self._manifest.store)
        with self._changing(report), disk_errors(self.folder / NAME):
            shutil.rmtree(self.folder / name, ignore_errors=True)  # a rebuild that was killed
            store = self._open_store(recipe, name, embedder.dim)
            try:
                count = self._indexer(recipe, store, embedder, report).rebuild()
                store.optimize()
            finally:
                store.close()
            old = self._manifest.store
            self._manifest = Manifest(recipe, embedder.fingerprint, embedder.dim, name, openbook.__version__)
            self._manifest.write(self.folder)
            self.store.close()
            self._store, self._embedder, self.recipe = None, None, recipe
            shutil.rmtree(self.folder / old, ignore_errors=True)
        return count

    def keep_recipe(self) -> None:
        """Make this opening's recipe the book's own: retriever, refiners, prompt, llm from now on."""
        with self._changing(None), disk_errors(self.folder / NAME):
            self._manifest = replace(self._manifest, recipe=self.recipe)
            self._manifest.write(self.folder)

    @contextmanager
    def _changing(self, report: Report | None) -> Generator[None]:
        """Hold the book's lock, on a book without leftovers of a change that was killed."""
        with disk_errors(self.folder / NAME), locked(self.folder, report):
            current = Manifest.read(self.folder)
            if current.store != self._manifest.store:
                raise BookError("The book was rebuilt meanwhile. Run the command again.")
            if pending := self.documents.pending():
                self.store.remove(pending)
                self.documents.forget(pending)
            live = {self._manifest.store}
            for leftover in self.folder.glob("store-*"):
                if leftover.name not in live:
                    shutil.rmtree(leftover, ignore_errors=True)
            yield

    # Asking it.

    def search(self, question: str, k: int = PASSAGES) -> list[Passage]:
        """The k passages that answer a question best, best first."""
        return self.retrieve(question, k)[0]

    def retrieve(self, question: str, k: int = PASSAGES) -> tuple[list[Passage], Timing]:
        """As `search`, with the seconds it took.

        Raises:
            BookError: The question is empty, or the book is.
        """
        if not question.strip():
            raise BookError("The question is empty. Write one, such as: openbook search 'who built the ark'")
        if k < 1:
            raise BookError(f"{k} passages cannot be found. Ask for 1 or more.")
        started = time.perf_counter()
        question = well_formed(question)
        self._follow_rebuild()
        embedding = 0.0

        def embed(text: str) -> Vectors:
            nonlocal embedding
            began = time.perf_counter()
            vector = self.embedder.embed([text], "query")[0]
            embedding += time.perf_counter() - began
            return vector  # type: ignore[no-any-return]

        retriever: Retriever = registry.make("retriever", self.recipe.retriever)
        passages = self._live(lambda count: retriever(question, count, self.store, embed), k)
        passages = self._with_origins(passages)
        for spec in self.recipe.refiners:
            refine: Refiner = registry.make("refiners", spec)
            passages = refine(question, passages)
        if not passages and not len(self.store):
            raise BookError(f"This book is empty. Add documents: openbook add -b {name_of(self.folder)} FILE...")
        return passages, Timing(embed=embedding, retrieve=time.perf_counter() - started)

    def _with_origins(self, passages: list[Passage]) -> list[Passage]:
        origins = self.documents.origins({passage.chunk.document_id for passage in passages})
        found = ((passage, origins.get(passage.chunk.document_id)) for passage in passages)
        return [
            replace(passage, sources=origin.sources, title=origin.title, fields=origin.fields)
            for passage, origin in found
            if origin
        ]

    def _follow_rebuild(self) -> None:
        """Another process may have rebuilt this book since it was opened: go on with its new store."""
        if (stamp := (self.folder / NAME).stat().st_mtime_ns) == self._stamp:
            return
        manifest = Manifest.read(self.folder)
        if manifest.store != self._manifest.store:
            if self._store is not None:
                self._store.close()
            self._store = self._embedder = None
        self._manifest, self._stamp = manifest, stamp

    def _live(self, find: Callable[[int], list[Passage]], k: int) -> list[Passage]:
        """Without chunks whose document another process is replacing at this moment."""
        passages = find(k)
        if pending := self.documents.pending():
            passages = [passage for passage in find(2 * k) if passage.chunk.document_id not in pending][:k]
        return passages

    def stream(
        self, question: str, *, max_tokens: int = MAX_ANSWER_TOKENS
    ) -> Iterator[tuple[Passage, ...] | str | Answer]:
        """The passages the moment they are found, then the answer's words as they come, then the Answer.

        Raises:
            BookError: As `retrieve`.
            ModelError: The model is missing or failed; the passages were given before.
        """
        started = time.perf_counter()
        question = well_formed(question)
        prompt, llm = self.prompt, self.llm
        llm.prepare()
        found, timing = self.retrieve(question, prompt.passages)
        passages = tuple(found)
        yield passages
        messages = prompt.messages(question, passages)
        words: list[str] = []
        first, usage = 0.0, Usage()
        for part in llm.stream(messages, max_tokens):
            if isinstance(part, Usage):
                usage = part
                continue
            first = first or time.perf_counter() - started
            words.append(part)
            yield part
        text = "".join(words).strip()
        cited, invented = split_citations(text, len(passages))
        yield Answer(
            question,
            text,
            passages,
            llm.render(messages),
            llm.name,
            replace(timing, first_token=first, total=time.perf_counter() - started, usage=usage),
            {number: passages[number - 1] for number in cited},
            invented,
        )

    def ask(self, question: str, *, max_tokens: int = MAX_ANSWER_TOKENS) -> Answer:
        """The answer to a question, made from the passages found for it.

        Raises:
            BookError, ModelError: As `stream`.
        """
        for part in self.stream(question, max_tokens=max_tokens):
            if isinstance(part, Answer):
                return part
        raise AssertionError("a stream ends with an Answer")

    def document(self, passage: Passage) -> Document:
        """The document a passage is from: document.text[chunk.start:chunk.end] is the passage's text.

        Raises:
            BookError: It was removed or changed meanwhile.
        """
        document = self.documents.get(passage.chunk.document_id)
        if document is None:
            raise BookError(f"{passage.source} was changed or removed meanwhile. Search again.")
        return document

    def status(self) -> Status:
        """What the book holds."""
        size = sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())
        return Status(
            self.folder,
            self._manifest,
            tuple(self.documents.files()),
            {path: contents.documents for path, contents in self.documents.contents().items()},
            len(self.documents),
            self.documents.characters(),
            len(self.store),
            size,
            bool(self.documents.pending()) or (self.folder / "partial").exists(),
        )


def _check(recipe: Recipe) -> None:
    """Names, options, types and values of every step, before anything is made of them."""
    for step in registry.KINDS:
        for spec in recipe.specs(step):
            if step == "store":  # is made with a folder
                registry.check(step, spec)
            else:
                registry.make(step, spec, spans=lambda text: ())  # a splitter may want the embedder's tokens


def _store_folder(recipe: Recipe, fingerprint: str, avoid: str = "") -> str:
    name = f"store-{digest(*(str(recipe.specs(step)) for step in MADE_OF), fingerprint)[:8]}"
    return name + "b" if name == avoid else name


def _refuse_other_vectors(folder: Path, own: Recipe, wanted: Recipe) -> None:
    for step in MADE_OF + READING:
        if own.specs(step) == wanted.specs(step):
            continue
        old, new = own.to_dict()[step], wanted.to_dict()[step]
        raise BookError(
            f"This book was made with {step} {old or 'none'}, not {new or 'none'}. "
            f'Make it again with: openbook rebuild -b {name_of(folder)} --set "{step}={new}"'
        )
