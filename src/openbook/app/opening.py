"""From `-b` and `--set` to an open book."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from openbook.errors import BookError, SpecError
from openbook.home import books_folder

if TYPE_CHECKING:
    from openbook.book import Book
    from openbook.recipe import Recipe


def recipe_with(recipe: Recipe | None, choices: tuple[str, ...]) -> Recipe:
    """A recipe (None: the default) with what `--set` says."""
    from openbook.recipe import Recipe

    recipe = recipe or Recipe()
    for choice in choices:
        step, sign, spec = choice.partition("=")
        if not sign:
            raise SpecError(
                f"--set {choice!r} has no '='. Write --set step=spec, such as: --set \"splitter=chars(size=1000)\""
            )
        recipe = recipe.with_step(step.strip(), spec.strip())
    return recipe


def with_llm(choices: tuple[str, ...], llm: str) -> tuple[str, ...]:
    """What `--set` says and, at its end, what `--llm` says."""
    from openbook.registry import llm_spec

    return (*choices, f"llm={llm_spec(llm)}") if llm else choices


def recipe_of(folder: Path, choices: tuple[str, ...]) -> Recipe:
    """The recipe of the book of `-b`, which need not be there yet, with what `--set` says."""
    from openbook.manifest import NAME, Manifest

    return recipe_with(Manifest.read(folder).recipe if (folder / NAME).exists() else None, choices)


def open_book(folder: Path, choices: tuple[str, ...] = (), *, create: bool = False) -> Book:
    """The book of `-b`, with what `--set` says."""
    from openbook.book import Book
    from openbook.manifest import NAME, Manifest

    if not (folder / NAME).exists():
        if not create:
            raise BookError(_no_such_book(folder))
        return Book.open(folder, recipe_with(None, choices), create=True)
    if not choices:
        return Book.open(folder)
    return Book.open(folder, recipe_with(Manifest.read(folder).recipe, choices))


@contextmanager
def dry_book(folder: Path, choices: tuple[str, ...]) -> Generator[Book]:
    """The book of `-b`, or, where there is none, one as it would be made, gone afterwards."""
    from openbook.manifest import NAME, refuse_other_files

    there = (folder / NAME).exists()
    if not there:
        refuse_other_files(folder)
    with (
        TemporaryDirectory(prefix="openbook-") as scratch,
        open_book(folder if there else Path(scratch) / "book", choices, create=True) as book,
    ):
        yield book


def _no_such_book(folder: Path) -> str:
    from openbook.manifest import name_of
    from openbook.recipe import did_you_mean

    name = folder.name if folder.parent == books_folder() else str(folder)
    known = sorted(path.parent.name for path in books_folder().glob("*/book.toml"))
    hint = did_you_mean(name, known)
    books = f" Books: {', '.join(known)}." if known else ""
    return f"There is no book {name!r}.{hint}{books} Make it with: openbook add -b {name_of(folder)} FILE..."
