"""What a book is made of, each opened on first use: documents, chunks, the embedder that made their vectors, models."""

from __future__ import annotations

from pathlib import Path
from threading import RLock

from openbook import registry
from openbook.documents import Documents
from openbook.errors import BookError
from openbook.manifest import NAME, Manifest, name_of
from openbook.recipe import Recipe, Spec
from openbook.types import LLM, Embedder, Store


class Opened:
    """The files of one book and what works on them; many threads may ask for a part at once.

    Another process may rebuild the book meanwhile: `follow` goes on with what is there now.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.stamp = 0  # of book.toml when it was last read
        self.models: dict[Spec, LLM] = {}
        self._opening = RLock()
        self._documents: Documents | None = None
        self._store: Store | None = None
        self._embedder: Embedder | None = None

    def close(self) -> None:
        """End the models and let go of files; what is asked for later is opened again."""
        for part in (*self.models.values(), self._store, self._documents):
            if part is not None:
                part.close()
        self.models.clear()
        self._store = self._documents = None

    @property
    def documents(self) -> Documents:
        """As `Book.documents`."""
        with self._opening:
            if self._documents is None:
                if not (self.folder / "documents.db").exists():
                    raise BookError(f"{self.folder} has lost its documents.db. Add the documents to a new book.")
                self._documents = Documents(self.folder / "documents.db")
            return self._documents

    @property
    def embedder(self) -> Embedder:
        """As `Book.embedder`."""
        with self._opening:
            if self._embedder is None:
                embedder: Embedder = registry.make("embedder", self.manifest.recipe.embedder)
                if embedder.fingerprint != self.manifest.fingerprint:
                    raise BookError(
                        f"The vectors of this book were made by another version of {self.manifest.recipe.embedder}. "
                        f"Make them again with: openbook rebuild -b {name_of(self.folder)}"
                    )
                self._embedder = embedder
            return self._embedder

    @property
    def store(self) -> Store:
        """As `Book.store`."""
        with self._opening:
            if self._store is None:
                self._store = open_store(self.folder, self.manifest.recipe, self.manifest.store, self.manifest.dim)
            return self._store

    def model(self, spec: Spec) -> LLM:
        """As `Book.model`."""
        with self._opening:
            if spec not in self.models:
                self.models[spec] = registry.make("llm", spec)
            return self.models[spec]

    def rebuilt(self, manifest: Manifest) -> None:
        """The book has other chunks and vectors now, made by this process."""
        if self._store is not None:
            self._store.close()
        self.manifest, self._store, self._embedder = manifest, None, None

    def follow(self) -> None:
        """Go on with a new store where another process may have rebuilt this book."""
        path = self.folder / NAME
        with self._opening:
            if (stamp := path.stat().st_mtime_ns if path.exists() else -1) == self.stamp:
                return
            manifest = Manifest.read(self.folder)
            # A store of the same name may be another one: rebuilt with another recipe, and then with this one again.
            if (self.stamp or manifest.store != self.manifest.store) and self._store is not None:
                self._store.close()
                self._store = None
            if manifest.fingerprint != self.manifest.fingerprint:
                self._embedder = None
            self.manifest, self.stamp = manifest, stamp


def open_store(folder: Path, recipe: Recipe, name: str, dim: int) -> Store:
    """The store of that name in a book's folder."""
    store: Store = registry.make("store", recipe.store, folder=folder / name, dim=dim)
    return store
