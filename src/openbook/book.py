"""Book: create, open, add, search, stream, ask, remove, rebuild. The only place the steps meet.

bible/
  book.toml      recipe, fingerprint of the embedder, which store folder is the live one
  documents.db   cleaned texts with marks: the truth; everything else can be made again from it
  store-*/       chunks, vectors, words
  partial/       vectors of an `add` that was stopped
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import openbook
from openbook import asking, checking, registry
from openbook.asking import MAX_ANSWER_TOKENS, Asked, Memory, Part, Retrieved, last_answer
from openbook.chatting import Chat
from openbook.checking import Check
from openbook.documents import Documents
from openbook.errors import BookError
from openbook.estimating import Estimate
from openbook.explaining import Explanation, explain
from openbook.finding import find
from openbook.fitting import fitting
from openbook.home import absolute
from openbook.indexing import Added, Indexer, disk_errors
from openbook.languages import commonest, unsuited
from openbook.lock import locked
from openbook.manifest import NAME, READING, Manifest, name_of, refuse_other_files, refuse_other_vectors, store_folder
from openbook.opened import Opened, open_store
from openbook.readers import PROGRAMS, known
from openbook.reading import Limits, Reading
from openbook.recipe import Recipe, Spec, digest
from openbook.remembering import Remembered, fingerprint, forget
from openbook.searching import Search, refuse
from openbook.status import Status, status
from openbook.summarizing import WORDS, summarize
from openbook.surveying import survey
from openbook.text import well_formed
from openbook.types import (
    LLM,
    Answer,
    Document,
    Embedder,
    Message,
    Passage,
    Progress,
    Prompt,
    Report,
    Splitter,
    Store,
    Timing,
)
from openbook.whole import Readable, Whole

T = TypeVar("T")

PASSAGES = 5  # of `search`; `ask` takes as many as its prompt wants


class Book:
    """A folder holding what one recipe made of some documents.

    Reading (search, ask) may go on in many threads and processes while one changes it; changes wait for each other.
    """

    def __init__(self, folder: Path, manifest: Manifest, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self._opened = Opened(folder, manifest)

    @classmethod
    def open(cls, folder: str | Path, recipe: Recipe | None = None, *, create: bool = False) -> Book:
        """The book in a folder; with `create`, a new one when none is there.

        Without `recipe` the book's own is used (a new book: the default). A recipe for an existing book may choose
        another retriever, refiner, prompt or llm; they hold for this opening only.

        Raises:
            BookError: No book is there; or the recipe would need other chunks or vectors than the book holds.
            SpecError: The recipe names a component or option that does not exist.
        """
        folder = absolute(folder)
        if create and not (folder / NAME).exists():
            return cls._create(folder, recipe or Recipe())
        manifest = Manifest.read(folder)
        if recipe is None:
            return cls(folder, manifest, manifest.recipe)
        registry.check_recipe(recipe)
        refuse_other_vectors(folder, manifest.recipe, recipe)
        return cls(folder, manifest, recipe)

    @classmethod
    def _create(cls, folder: Path, recipe: Recipe) -> Book:
        registry.check_recipe(recipe)
        refuse_other_files(folder)
        embedder: Embedder = registry.make("embedder", recipe.embedder)
        fingerprint, dim = embedder.fingerprint, embedder.dim  # before anything is made: the model may be missing
        with disk_errors(folder / NAME):
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder, None):
                if not (folder / NAME).exists():  # another process may have been quicker
                    Documents(folder / "documents.db").close()
                    store = store_folder(recipe, fingerprint)
                    Manifest(recipe, fingerprint, dim, store, openbook.__version__).write(folder)
        return cls(folder, Manifest.read(folder), recipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the model and let go of files. Closing twice is allowed; a later call opens them again."""
        self._opened.close()

    # What the book is made of, each opened on first use.

    @property
    def documents(self) -> Documents:
        """The documents of this book.

        Raises:
            BookError: Their file is gone.
        """
        return self._opened.documents

    @property
    def embedder(self) -> Embedder:
        """The embedder that made this book's vectors.

        Raises:
            BookError: This openbook's embedder of that name makes other vectors.
        """
        return self._opened.embedder

    @property
    def store(self) -> Store:
        """Where this book's chunks are."""
        return self._opened.store

    @property
    def llm(self) -> LLM:
        """The model that answers; loads when it is first asked."""
        return self.model(self.recipe.llm)

    def model(self, spec: Spec) -> LLM:
        """The model of a spec: one for all the steps that name it."""
        return self._opened.model(spec)

    @property
    def prompt(self) -> Prompt:
        """What puts passages and question into messages."""
        prompt: Prompt = registry.make("prompt", self.recipe.prompt)
        return prompt

    # Changing it.

    def add(
        self, paths: str | Path | Iterable[str | Path], *, limits: Limits | None = None, report: Report | None = None
    ) -> Added:
        """Read files and folders into the book; what did not change since is left alone.

        Documents of files that are no longer in a folder are removed. A file that cannot be read costs that file only
        and is named in the result; what was read of it before is kept.

        Raises:
            ReadError: A path does not exist; nothing was added.
            BookError: The disk is full, or the book is damaged.
        """
        found, recipe, limits = find(paths, known, self.folder), self._opened.manifest.recipe, limits or Limits()
        steps = recipe.to_dict()
        with self._changing(report):
            with Reading(steps["reader"], steps["cleaners"], limits) as reading:
                summary = self._indexer(recipe, self.store, self.embedder, report, limits).add(found, reading)
            self._optimize(report)  # also when nothing changed: the last time it may have been killed before
        return summary

    def estimate(self, paths: str | Path | Iterable[str | Path], *, limits: Limits | None = None) -> Estimate:
        """What `add` of these would come to: files, chunks, seconds, disk. Costs a second or two, changes nothing."""
        found, recipe, limits = find(paths, known, self.folder), self._opened.manifest.recipe, limits or Limits()
        steps = recipe.to_dict()
        with Reading(steps["reader"], steps["cleaners"], limits) as reading:
            return self._indexer(recipe, self.store, self.embedder, None, limits).estimate(found, reading)

    def _optimize(self, report: Report | None) -> None:
        if report:
            report(Progress("index", 0, 0))
        self.store.optimize(commonest(self.documents.languages(), self.store.word_forms))

    def _indexer(
        self, recipe: Recipe, store: Store, embedder: Embedder, report: Report | None, limits: Limits | None = None
    ) -> Indexer:
        reading = registry.fingerprint_of(recipe, READING)
        return Indexer(
            splitter=_splitter(recipe, embedder),
            embedder=embedder,
            store=store,
            documents=self.documents,
            reading=reading,
            # What could not be read is tried again when a program that may help was installed, or more is allowed.
            retrying=digest(reading, [name for name in PROGRAMS if shutil.which(name)], repr(limits)),
            partial=self.folder / "partial",
            report=report,
            former=self.store if embedder.fingerprint == self._opened.manifest.fingerprint else None,
        )

    def remove(self, names: Sequence[str], *, report: Report | None = None) -> list[str]:
        """Remove documents, by source, file, folder or a file's name; the sources removed.

        Raises:
            BookError: A name means no document, or several files; nothing was removed.
        """
        with self._changing(report):
            chosen, dropped = self.documents.named(map(well_formed, names), name_of(self.folder))
            old = self.documents.commit(dropped_sources=chosen, dropped_files=dropped)
            self.store.remove(old)
            self.documents.forget(old)
            forget(self.folder)
        return sorted(chosen)

    def rebuild(self, recipe: Recipe | None = None, *, report: Report | None = None) -> int:
        """Make chunks, vectors and words again from the documents, with another recipe if given; number of chunks.

        The book serves as it was until the new store is whole. Changed reading steps hold from the next `add` on.

        Raises:
            SpecError: The recipe names a component or option that does not exist.
        """
        recipe = recipe or self.recipe
        registry.check_recipe(recipe)
        embedder: Embedder = registry.make("embedder", recipe.embedder)
        name = store_folder(recipe, embedder.fingerprint, avoid=self._opened.manifest.store)
        with self._changing(report), disk_errors(self.folder / NAME):
            shutil.rmtree(self.folder / name, ignore_errors=True)  # a rebuild that was killed
            store = open_store(self.folder, recipe, name, embedder.dim)
            try:
                count = self._indexer(recipe, store, embedder, report).rebuild()
                store.optimize(commonest(self.documents.languages()))
            finally:
                store.close()
            old = self._opened.manifest.store
            manifest = Manifest(recipe, embedder.fingerprint, embedder.dim, name, openbook.__version__)
            manifest.write(self.folder)
            self._opened.rebuilt(manifest)
            self.recipe = recipe
            shutil.rmtree(self.folder / old, ignore_errors=True)
        return count

    def check(self, *, repair: bool = False, report: Report | None = None) -> Check:
        """Compare documents, chunks and index with each other; with `repair`, make wrong what is not.

        Documents that are damaged themselves are read again from their files, where these still are.
        """
        with self._changing(report):
            splitter = _splitter(self._opened.manifest.recipe, self.embedder)
            found = checking.check(self.documents, self.store, splitter, report)
            if not repair or found.sound:
                return found
            with disk_errors(self.folder / NAME):
                files = checking.drop(found, self.documents, self.store)
                indexer = self._indexer(self._opened.manifest.recipe, self.store, self.embedder, report)
                wrong = found.wrong - found.damaged
                indexer.repair(wrong)
                self.documents.forget(wrong)
                self._optimize(report)
        if again := [file for file in files if Path(file).exists()]:
            self.add(again, report=report)
        return replace(found, repaired=True, lost=tuple(sorted(set(files) - set(again))))

    def keep_recipe(self) -> None:
        """Make this opening's recipe the book's own: retriever, refiners, prompt, llm from now on."""
        with self._changing(None), disk_errors(self.folder / NAME):
            self._opened.manifest = replace(self._opened.manifest, recipe=self.recipe)
            self._opened.manifest.write(self.folder)

    @contextmanager
    def _changing(self, report: Report | None) -> Generator[None]:
        """Hold the book's lock, on a book without leftovers of a change that was killed."""
        with disk_errors(self.folder / NAME), locked(self.folder, report):
            current = Manifest.read(self.folder)
            if current.store != self._opened.manifest.store:
                raise BookError("The book was rebuilt meanwhile. Run the command again.")
            self._opened.follow()
            if pending := self.documents.pending():
                self.store.remove(pending)
                self.documents.forget(pending)
            live = {self._opened.manifest.store}
            for leftover in self.folder.glob("store-*"):
                if leftover.name not in live:
                    shutil.rmtree(leftover, ignore_errors=True)
            yield

    # Asking it.

    def search(self, question: str, k: int = PASSAGES, *, where: str = "") -> list[Passage]:
        """The k passages that answer a question best, best first.

        `where` is an SQL condition on what is known about a document, such as "year >= 2023 and name like '%10K%'".
        """
        return self.retrieve(question, k, where=where)[0]

    def retrieve(self, question: str, k: int = PASSAGES, *, where: str = "", also: Sequence[str] = ()) -> Retrieved:
        """As `search`, with the seconds it took; what is found for other questions, `also`, is put together with it.

        Raises:
            BookError: The question is empty, or the book is; or the condition cannot be read, or fits no document.
        """
        refuse(question, k)
        started = time.perf_counter()
        search, passages = self._asked(question, where, lambda search: list(search.steps(k)[-1].passages[:k]), also)
        if not passages:
            self._refuse_empty()
        return passages, Timing(embed=search.embedding, retrieve=time.perf_counter() - started)

    def _asked(self, question: str, where: str, work: Callable[[Search], T], also: Sequence[str]) -> tuple[Search, T]:
        """A search and what some work makes of it: once more where a rebuild took the store away meanwhile."""
        while True:
            self._opened.follow()
            stamp = self._opened.stamp
            try:
                search = self._search(well_formed(question), where, also)
                found = work(search)
            except (BookError, OSError, ValueError):  # the vector of a new embedder does not fit an old store
                self._opened.follow()
                if stamp == self._opened.stamp:
                    raise
                continue
            self._opened.follow()
            if stamp == self._opened.stamp:  # no other thread has seen one either
                return search, found

    def _refuse_empty(self) -> None:
        if not len(self.store):
            raise BookError(f"This book is empty. Add documents: openbook add -b {name_of(self.folder)} FILE...")

    def _search(self, question: str, where: str, also: Sequence[str]) -> Search:
        return Search(
            question,
            self.recipe,
            self.documents,
            self.store,
            embedder=lambda: self.embedder,
            given=self._given,
            within=self._within(where) if where else None,
            also=tuple(map(well_formed, also)),
        )

    def _given(self, name: str, spec: Spec) -> Any:
        """What a component needs of the book: its part of that name, or the model that the component's spec names."""
        chosen = registry.chosen_llm(spec) if name == "llm" else None
        return self.model(chosen) if chosen else getattr(self, name)

    def explain(self, question: str, k: int = PASSAGES, *, passage: str = "", where: str = "") -> Explanation:
        """Each step of a search with its ranks and scores, and what became of a passage that should be found.

        `passage` is some text of it, as it stands in the document but for white space and case.

        Raises:
            BookError: As `retrieve`.
        """
        refuse(question, k)
        _, found = self._asked(question, where, lambda search: explain(search, k, well_formed(passage)), ())
        if not found.rows:
            self._refuse_empty()
        return found

    def _within(self, where: str) -> set[str]:
        found = self.documents.where(where)
        if not found:
            raise BookError(f"No document fits {where!r}. What is known: openbook status -v -b {name_of(self.folder)}")
        return found

    def stream(
        self, question: str, *, where: str = "", max_tokens: int = MAX_ANSWER_TOKENS, history: Sequence[Message] = ()
    ) -> Generator[Part]:
        """The passages the moment they are found, then the answer's words as they come, then the Answer.

        `history` is what was said before, see `Prompt.messages`: the question is then written so that it stands alone;
        where that changes it, a Searched comes first.

        Raises: BookError, as `retrieve`. ModelError, when the model is missing or failed: after the passages.
        """
        return self._stream(question, where, max_tokens, Memory(history))

    def _stream(self, question: str, where: str, max_tokens: int, memory: Memory) -> Generator[Part]:
        rewriter = partial(registry.build, "rewriter", self.recipe.rewriter, self._given)
        retrieve = partial(self.retrieve, where=where)
        return asking.answer(
            Asked(well_formed(question), memory), self.prompt, self.llm, max_tokens, rewriter, retrieve
        )

    def chat(self, name: str = "") -> Chat:
        """A conversation kept in the book's folder: the one of that name, or a new one; then it is nobody else's.

        Raises: BookError, when another process has it open.
        """
        return Chat(self.folder, name, ask=self._stream, llm=lambda: self.llm)

    def ask(self, question: str, *, where: str = "", max_tokens: int = MAX_ANSWER_TOKENS) -> Answer:
        """The Answer that `stream` ends with."""
        return last_answer(self.stream(question, where=where, max_tokens=max_tokens))

    def summarize(
        self, names: Sequence[str] = (), *, words: int = WORDS, focus: str = "", report: Report | None = None
    ) -> Whole:
        """Documents, named as for `remove` (none: all), in about so many words; with `focus`, what they say of that."""
        return summarize(self.readable(names), words=words, focus=well_formed(focus), report=report)

    def ask_all(self, question: str, *, where: str = "", report: Report | None = None) -> Whole:
        """What each chunk says about a question: "list all ...", which no search can answer."""
        refuse(question, 1)
        return survey(self.readable(where=where), well_formed(question), report=report)

    def readable(self, names: Sequence[str] = (), *, where: str = "") -> Readable:
        """What `summarize` and `ask_all` read: the documents of these names, or that fit a condition, or all."""
        self._opened.follow()
        named, _ = self.documents.named(map(well_formed, names), name_of(self.folder))
        within = set(named.values()) if names else self._within(where) if where else None
        known = Remembered(self.folder, str(fingerprint(self.recipe.llm)))
        return Readable(self.documents, self.store, within, self.llm, known)

    def document(self, passage: Passage) -> Document:
        """The document a passage is from: document.text[chunk.start:chunk.end] is the passage's text.

        Raises:
            BookError: It was removed or changed meanwhile.
        """
        document = self.documents.get(passage.chunk.document_id)
        if document is None:
            raise BookError(f"{passage.source} was changed or removed meanwhile. Search again.")
        return document

    def unsuited(self) -> dict[str, float]:
        """Languages of the documents that the embedder was not made for, and their share of the characters."""
        return unsuited(self.documents.languages(), self.embedder.languages)

    def status(self) -> Status:
        """What the book holds."""
        return status(self.folder, self._opened.manifest, self.documents, self.store)


def _splitter(recipe: Recipe, embedder: Embedder) -> Splitter:
    return fitting(registry.make("splitter", recipe.splitter, spans=embedder.tokens), embedder)
