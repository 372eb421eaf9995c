"""Recipes of a sweep that do the same as another, since they differ only in a step without effect: they are run once.

retriever=bm25 embedder=minilm   |  the words find the same passages, whatever vectors lie beside them
retriever=bm25 embedder=e5-small |

A user who names each recipe gets each: one-at-a-time, or a single list in [vary].
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from openbook import registry
from openbook.bench.results import Results, TrialRow, results_path
from openbook.bench.sweep import Sweep
from openbook.book import Book
from openbook.fitting import fitting
from openbook.recipe import STEPS, Recipe, digest

BY_WORDS = frozenset({"bm25"})  # retrievers that look at no vector


def once(sweep: Sweep, rows: Sequence[TrialRow], documents: Callable[[Recipe], Path]) -> tuple[list[TrialRow], str]:
    """The rows without those that do the same as an earlier one, numbered anew; and what to say of these, or ''.

    `documents` is the folder of the book with the documents as a recipe reads them.
    """
    if sweep.run.mode == "one-at-a-time" or len(_varied(rows)) < 2:
        return [*rows], ""
    recipes = {row.number: Recipe.from_dict(row.recipe) for row in rows}
    firsts: dict[str, TrialRow] = {}
    left: list[TrialRow] = []
    why = ""
    for row in rows:
        recipe = recipes[row.number]
        first = firsts.setdefault(row.answer_key or row.search_key, row)
        if first is row and _looks_at_no_vector(recipe):
            first = firsts.setdefault(digest(row.recipe | {"embedder": ""}), row)
            if first is not row and not _same_chunks(recipes[first.number], recipe, documents(recipe)):
                first = row
        if first is row:
            left.append(row)
        elif not why:
            why = _why(row, first)
    if len(left) == len(rows):
        return left, ""
    out = len(rows) - len(left)
    does, are = ("do", "are") if out > 1 else ("does", "is")
    said = f"{out} of {len(rows)} recipes {does} the same as another and {are} left out, such as {why}"
    return [replace(row, number=number) for number, row in enumerate(left, 1)], f"{said}."


def _varied(rows: Sequence[TrialRow]) -> list[str]:
    """Steps in which the rows differ."""
    return [step for step in rows[0].recipe if len({row.recipe[step] for row in rows}) > 1]


def _why(left_out: TrialRow, kept: TrialRow) -> str:
    """'embedder=e5-small for embedder=minilm, where retriever=bm25'."""
    steps = [step for step in left_out.recipe if left_out.recipe[step] != kept.recipe[step]]
    one, other = (" ".join(f"{step}={row.recipe[step]}" for step in steps) for row in (left_out, kept))
    where = ""
    if steps == ["embedder"]:
        where = f", where retriever={kept.recipe['retriever']}"
    elif not kept.answer_key:
        where = ", as no answers are asked for"
    return f"{one} for {other}{where}"


def _looks_at_no_vector(recipe: Recipe) -> bool:
    others = [step for step in STEPS if step not in {"splitter", "embedder", "store", "retriever"}]
    needing = [spec for step in others for spec in recipe.specs(step) if "embedder" in registry.needs(step, spec.name)]
    return recipe.retriever.name in BY_WORDS and not needing


def _same_chunks(one: Recipe, other: Recipe, documents: Path) -> bool:
    """Whether two recipes cut the documents alike: an embedder with a small window has long chunks cut again."""
    with Results(results_path()) as kept:
        first, second = (_chunks(recipe, documents, kept) for recipe in (one, other))
    return first == second


def _chunks(recipe: Recipe, documents: Path, results: Results) -> str:
    """Names the chunks of all documents: where each begins and ends. Reckoned once."""
    embedder = registry.make("embedder", recipe.embedder)
    with Book.open(documents) as book:
        held = sorted(book.documents.sources().values())
        key = f"chunks {digest(held, registry.fingerprint('splitter', recipe.splitter), embedder.fingerprint)}"
        if "chunks" not in (known := results.measured(key)):
            splitter = fitting(registry.make("splitter", recipe.splitter, spans=embedder.tokens), embedder)
            ends = hashlib.sha256()
            for document_id, document in book.documents.all():
                for chunk in splitter(document, document_id):
                    ends.update(f"{document_id} {chunk.start} {chunk.end}\n".encode())
            known = {"chunks": ends.hexdigest()}
            results.note(key, known)
    return str(known["chunks"])
