"""`book.toml`: what a book was made with. Its last line written makes a folder a book."""

from __future__ import annotations

import json
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

from openbook.errors import BookError
from openbook.recipe import Recipe, digest
from openbook.writing import write

NAME = "book.toml"
MADE_OF = ("splitter", "embedder", "store")  # changing one of these makes what the store holds wrong
READING = ("reader", "cleaners")  # changing one of these makes the documents wrong
OURS = (NAME, "documents.db", "store-", "partial", ".lock")  # what a making that was killed may have left
FORMAT = 2  # counts up when an older openbook could not read a newer book


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `book.toml` holds."""

    recipe: Recipe
    fingerprint: str  # of the embedder that made every vector of this book
    dim: int
    store: str  # folder of the store inside the book; a rebuild makes another and switches here
    version: str  # of the openbook that wrote this

    def write(self, folder: Path) -> None:
        """Replace the file in one step."""
        text = (
            f"format = {FORMAT}\nopenbook = {json.dumps(self.version)}\nstore = {json.dumps(self.store)}\n\n"
            f"[embedder]\nfingerprint = {json.dumps(self.fingerprint)}\ndim = {self.dim}\n\n"
            f"[recipe]\n{self.recipe.to_toml()}"
        )
        write(folder / NAME, text)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a book.

        Raises:
            BookError: No book is there, or its manifest cannot be used by this openbook.
        """
        path = folder / NAME
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            if table["format"] > FORMAT:
                raise BookError(
                    f"{folder} was made by openbook {table['openbook']}, newer than this one. Upgrade openbook."
                )
            if table["format"] < FORMAT:
                raise BookError(
                    f"{folder} was made by openbook {table['openbook']}, which kept documents otherwise. "
                    "Add the documents to a new book."
                )
            return cls(
                Recipe.from_dict(table["recipe"]),
                str(table["embedder"]["fingerprint"]),
                int(table["embedder"]["dim"]),
                str(table["store"]),
                str(table["openbook"]),
            )
        except FileNotFoundError as error:
            raise BookError(
                f"There is no book in {folder}. Make one with: openbook add -b {name_of(folder)} FILE..."
            ) from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise BookError(
                f"{path} cannot be used ({reason}). Restore it, or add the documents to a new book."
            ) from error


def name_of(folder: Path) -> str:
    """What to type after -b for a book in this folder."""
    from openbook.home import books_folder

    return shlex.quote(folder.name if folder.parent == books_folder() else str(folder))


def store_folder(recipe: Recipe, fingerprint: str, avoid: str = "") -> str:
    """The name of a store's folder, made of what it is made of; another one than `avoid`."""
    name = f"store-{digest(*(str(recipe.specs(step)) for step in MADE_OF), fingerprint)[:8]}"
    return name + "b" if name == avoid else name


def refuse_other_vectors(folder: Path, own: Recipe, wanted: Recipe) -> None:
    """Raises: BookError, when the wanted recipe needs other documents, chunks or vectors than the book's own."""
    for step in MADE_OF + READING:
        if own.specs(step) == wanted.specs(step):
            continue
        old, new = own.to_dict()[step], wanted.to_dict()[step]
        raise BookError(
            f"This book was made with {step} {old or 'none'}, not {new or 'none'}. "
            f'Make it again with: openbook rebuild -b {name_of(folder)} --set "{step}={new}"'
        )


def refuse_other_files(folder: Path) -> None:
    """Raises: BookError, when no book can be made in this folder, as it holds something else or is a file."""
    if folder.exists() and not folder.is_dir():
        raise BookError(f"{folder} is a file. Name a folder for the book, such as: -b ./mybook")
    if folder.is_dir() and not all(path.name.startswith(OURS) for path in folder.iterdir()):
        raise BookError(f"{folder} holds other files and is not a book. Name a new folder, such as: -b {folder}/book")
